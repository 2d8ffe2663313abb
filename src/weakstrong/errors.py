"""The one exception that means "the input is at fault", with a line a user can act on."""

from __future__ import annotations


class InputError(ValueError):
    """Input that cannot be used: the message names what, where, and the remedy.

    The command line prints the message as one line and exits with code 2.
    """
