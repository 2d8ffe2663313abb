"""Types of options, and checks, that several commands share."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, TypeVar
from warnings import warn

from cyclopts import Parameter

from weakstrong.errors import InputError, RenamedWarning, printable

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


def refuse_inputs(out: Path, *inputs: Path | None) -> None:
    """Refuse an output that is also an input, or a folder that holds one: it would be lost."""
    for path in (p for p in inputs if p is not None):
        if Path(os.path.realpath(path)).is_relative_to(os.path.realpath(out)):
            raise InputError(f"{out}: is, or holds, the input {path}; choose another place", "out")


def say(line: str) -> None:
    """Print a line in which control characters, as a path may have, are shown as escapes."""
    print(printable(line))


def require(extra: str, *modules: str) -> None:
    """Refuse a command if optional dependencies that it needs are not installed."""
    missing = [name for name in modules if find_spec(name) is None]
    if missing:
        raise InputError(f"this needs {missing[0]}: pip install 'weakstrong[{extra}]'")
