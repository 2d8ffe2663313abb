"""Kinds of options that verbs share."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from weakstrong.errors import InputError

Columns = Annotated[tuple[str, ...], Parameter(negative="", show_default=False, consume_multiple=True)]
Paths = Annotated[tuple[Path, ...], Parameter(negative="", show_default=False, consume_multiple=True)]
Count = Annotated[int, Parameter(converter=lambda _, tokens: int(tokens[0].value))]  # 2.5 is no count
Switch = Annotated[bool, Parameter(negative="", show_default=False)]


def require(extra: str, *modules: str) -> None:
    """Refuse a command whose optional dependencies are not installed."""
    missing = [name for name in modules if find_spec(name) is None]
    if missing:
        raise InputError(f"this needs {missing[0]}: pip install 'weakstrong[{extra}]'")
