"""What torchrun tells each of its processes, in environment variables."""

from __future__ import annotations

import os

from weakstrong.errors import InputError, quoted


def from_torchrun(name: str, otherwise: int) -> int:
    """Read a number that torchrun sets: WORLD_SIZE, LOCAL_WORLD_SIZE or RANK.

    Parameters
    ----------
    name : str
    otherwise : int
        The number without torchrun, which is also the least that it can be.

    Raises
    ------
    InputError
        If it is no such number.
    """
    text = os.environ.get(name, str(otherwise))
    if not (text.isdecimal() and text.isascii() and len(text) < 10 and int(text) >= otherwise):
        raise InputError(
            f"{name} = {quoted(text)} in the environment: a whole number of at least {otherwise} is needed; "
            "unset it, or start the processes with torchrun"
        )
    return int(text)
