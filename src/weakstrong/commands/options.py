"""Types of options, and checks, that several commands share."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, TypeVar
from warnings import warn

from cyclopts import Parameter

from weakstrong.errors import InputError, RenamedWarning

Columns = Annotated[tuple[str, ...], Parameter(negative="", show_default=False, consume_multiple=True)]
Paths = Annotated[tuple[Path, ...], Parameter(negative="", show_default=False, consume_multiple=True)]
Count = Annotated[int, Parameter(converter=lambda _, tokens: int(tokens[0].value))]  # 2.5 is no count
Switch = Annotated[bool, Parameter(negative="", show_default=False)]

Value = TypeVar("Value")
FORMER = Parameter(show=False)  # a flag under the name that it used to have


def under_present_name(name: str, value: Value | None, former: str, given: Value | None) -> Value | None:
    """Return the value of a flag; one given by its former name gives a warning."""
    if given is None:
        return value
    if value is not None:
        raise InputError(f"{former} is the former name of {name}, which is given too; leave it out", former)
    warn(f"{former} is now called {name}", RenamedWarning, stacklevel=2)
    return given


def check_file(out: Path, overwrite: bool, *suffixes: str) -> None:
    """Refuse a file that cannot be written, before any work is done."""
    if suffixes and not out.name.endswith(suffixes):
        raise InputError(f"{out}: must end in {', '.join(suffixes)}")
    if out.is_dir():
        raise InputError(f"{out}: is a folder; name a file to write", "out")
    if out.exists() and not overwrite:
        raise InputError(f"{out}: is there already; choose another or overwrite it", "out", "overwrite")
    if not out.absolute().parent.is_dir():
        raise InputError(f"{out}: its folder is not there; make it, or choose another file", "out")
    if not os.access(out.absolute().parent, os.W_OK | os.X_OK):
        raise InputError(f"{out}: its folder cannot be written; choose another file", "out")


def require(extra: str, *modules: str) -> None:
    """Refuse a command if optional dependencies that it needs are not installed."""
    missing = [name for name in modules if find_spec(name) is None]
    if missing:
        raise InputError(f"this needs {missing[0]}: pip install 'weakstrong[{extra}]'")
