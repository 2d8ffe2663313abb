"""The one exception that means "the input is at fault", with a line a user can act on."""

from __future__ import annotations

import reprlib

_BRIEF = reprlib.Repr()
_BRIEF.maxstring = 100


class InputError(ValueError):
    """Input that cannot be used: the message names what, where, and the remedy.

    The command line prints the message as one line and exits with code 2.
    """


def quoted(text: object) -> str:
    """What a user gave, as a message shows it: in quotation marks, the middle left out where it is long."""
    return _BRIEF.repr(text)
