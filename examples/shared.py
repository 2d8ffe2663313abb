"""The root of the repository, the arguments of the examples, and how they write into pages."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Mapping
from pathlib import Path

from weakstrong import Result
from weakstrong.paper.pages import with_blocks

ROOT = Path(__file__).parents[1]
_WORTH = "its weak labels are worth "
_SHORT = {
    _WORTH: "",
    " true ones": "",
    "95% interval ": "",
    "about ": "",
    "fewer than ": "< ",
    "more than ": "> ",
}
Blocks = Mapping[str, list[str]]


def parser(doc: str | None) -> argparse.ArgumentParser:
    """Return the argument parser of an example, with ``--report`` and the docstring as description."""
    options = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--report", action="store_true", help="only write the pages from the records")
    return options


def add_data(options: argparse.ArgumentParser) -> None:
    """Add ``--data``, the folder of the data, which may also be named by WEAKSTRONG_DATA."""
    default = os.environ.get("WEAKSTRONG_DATA") or None
    options.add_argument("--data", type=Path, default=default, help="data folder [default: WEAKSTRONG_DATA]")


def main(doc: str | None, make: Callable[[Path], None], report: Callable[[], None]) -> None:
    """Run an example that needs data: make what is not there yet, and write the pages."""
    arguments = parser(doc)
    add_data(arguments)
    options = arguments.parse_args()
    if not options.report:
        if options.data is None:
            arguments.error("name the data folder with --data or WEAKSTRONG_DATA")
        make(options.data)
    report()


def worth(result: Result) -> str:
    """Say what weak labels are worth in true ones: the finding of a study, without the words around it."""
    [said] = [finding for finding in result.findings if finding.startswith(_WORTH)]
    for words, sign in _SHORT.items():
        said = said.replace(words, sign)
    return said


def write_pages(pages: Mapping[str, Blocks], transform: Callable[[str], str] = str) -> None:
    """Replace the blocks of pages, named from the root, after another function changed their text."""
    for name, blocks in pages.items():
        page = ROOT / name
        page.write_text(with_blocks(transform(page.read_text(encoding="utf-8")), blocks), encoding="utf-8")
