"""Display of progress on stderr: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

Item = TypeVar("Item")
Advance = Callable[[int], None]  # called with how much more is done

_SECONDS_BETWEEN_LINES = 2.0


def track(items: Sequence[Item], description: str) -> Iterator[Item]:
    """Yield the items, showing how many are done."""
    with meter(len(items), description) as advance:
        for item in items:
            yield item
            advance(1)


@contextmanager
def meter(total: int, description: str) -> Iterator[Advance]:
    """Show how much of `total` is done; yields a function to call with how much more is done."""
    shown = _bar(total, description) if sys.stderr.isatty() else _lines(total, description)
    with shown as advance:
        yield advance


@contextmanager
def _bar(total: int, description: str) -> Iterator[Advance]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(description, total=total)
        yield lambda more: progress.advance(task, more)


@contextmanager
def _lines(total: int, description: str) -> Iterator[Advance]:
    done, last = 0, float("-inf")

    def advance(more: int) -> None:
        nonlocal done, last
        done += more
        if more and (time.monotonic() - last > _SECONDS_BETWEEN_LINES or done == total):
            print(f"{description}: {done}/{total}", file=sys.stderr, flush=True)
            last = time.monotonic()

    yield advance
