"""Progress of long work: a bar on a terminal, plain lines elsewhere, always on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

Item = TypeVar("Item")

_SECONDS_BETWEEN_LINES = 2.0


def track(items: Sequence[Item], description: str) -> Iterator[Item]:
    """Yield the items, showing how many are done."""
    if sys.stderr.isatty():
        yield from _bar(items, description)
        return
    total, last = len(items), float("-inf")
    for done, item in enumerate(items, start=1):
        yield item
        if time.monotonic() - last > _SECONDS_BETWEEN_LINES or done == total:
            print(f"{description}: {done}/{total}", file=sys.stderr, flush=True)
            last = time.monotonic()


def _bar(items: Sequence[Item], description: str) -> Iterator[Item]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(description, total=len(items))
        for item in items:
            yield item
            progress.advance(task)
