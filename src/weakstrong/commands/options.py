"""Types of options, and checks, that several commands share."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from weakstrong.errors import InputError

Columns = Annotated[tuple[str, ...], Parameter(negative="", show_default=False, consume_multiple=True)]
Paths = Annotated[tuple[Path, ...], Parameter(negative="", show_default=False, consume_multiple=True)]
Count = Annotated[int, Parameter(converter=lambda _, tokens: int(tokens[0].value))]  # 2.5 is no count
Switch = Annotated[bool, Parameter(negative="", show_default=False)]

FORMER = Parameter(show=False)  # a flag under the name that it used to have


def check_file(out: Path, overwrite: bool, *suffixes: str) -> None:
    """Refuse a file that cannot be written, before any work is done."""
    if suffixes and not out.name.endswith(suffixes):
        raise InputError(f"{out}: must end in {', '.join(suffixes)}")
    if out.is_dir():
        raise InputError(f"{out}: is a folder; --out names a file to write")
    if out.exists() and not overwrite:
        raise InputError(f"{out}: is there already; choose another --out or pass --overwrite")
    if not out.absolute().parent.is_dir():
        raise InputError(f"{out}: its folder is not there; make it, or choose another --out")
    if not os.access(out.absolute().parent, os.W_OK | os.X_OK):
        raise InputError(f"{out}: its folder cannot be written; choose another --out")


def require(extra: str, *modules: str) -> None:
    """Refuse a command if optional dependencies that it needs are not installed."""
    missing = [name for name in modules if find_spec(name) is None]
    if missing:
        raise InputError(f"this needs {missing[0]}: pip install 'weakstrong[{extra}]'")
