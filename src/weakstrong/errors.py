"""The exception for faulty input, with one line that a user can act on as its message, and warnings."""

from __future__ import annotations

import reprlib

_BRIEF = reprlib.Repr()
_BRIEF.maxstring = 100


class InputError(ValueError):
    """Raised for input that cannot be used; the message names the fault, its place and the remedy.

    The command line prints the message as one line, with the flags of the settings, and exits with code 2.

    Parameters
    ----------
    message : str
    *settings : str
        Names of the settings that the remedy is in, such as ``out``.
    """

    def __init__(self, message: str, *settings: str) -> None:
        super().__init__(printable(" ".join(message.split())))
        self.settings = settings

    def __reduce__(self) -> tuple[type[InputError], tuple[str, ...]]:
        """Keep the settings when the exception comes from another process."""
        return type(self), (str(self), *self.settings)


class RenamedWarning(FutureWarning):
    """Issued for a former name that still works; the message gives the present one."""


class UnlikeRowsWarning(UserWarning):
    """Issued where rows to predict are unlike those that a model was fitted to; the message says how many."""


def printable(text: str, *, keep: str = "") -> str:
    """Show control characters, but those to keep, as escapes: no name from a file can command a terminal."""
    shown = (c if c.isprintable() or c in keep else c.encode("unicode_escape").decode() for c in text)
    return "".join(shown)


def counted(number: int, noun: str) -> str:
    """Say a number of things: 1 row, 2 rows."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def percent(share: float) -> str:
    """Say a share in two digits: 0.32%, 4.1%, 62%, 100%."""
    return f"{100 * share:.2g}%" if share < 0.995 else f"{share:.0%}"


def quoted(text: object) -> str:
    """Quote a user's input for a message, with the middle of long text left out."""
    return _BRIEF.repr(text)
