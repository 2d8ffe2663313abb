"""Users' files: what is no file is refused before it is opened, and a failure to read one is one line."""

from __future__ import annotations

import math
import os
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from weakstrong.errors import InputError

_MEMORY = Path("/proc/meminfo")
_UTF_16 = "UTF-16; save it as UTF-8"
_STARTS = {b"\xff\xfe": _UTF_16, b"\xfe\xff": _UTF_16, b"\x1f\x8b": "gzipped; name it .csv.gz"}


@contextmanager
def reading(path: Path, kind: str, remedy: str = "") -> Iterator[None]:
    """Read a user's file inside this context, in which any failure is an `InputError` of one line.

    What is no regular file is refused at once, since a pipe would be waited for, and a device has no end.

    Parameters
    ----------
    path : Path
    kind : str
        What the file should be, for the message: ``a readable table``.
    remedy : str
        What to do about a file that is not.

    Raises
    ------
    InputError
        If it is no regular file, or cannot be read.
    """
    remedy = remedy and f"; {remedy}"
    try:
        refuse_no_file(path, remedy)
        yield
    except InputError:
        raise
    except MemoryError as error:
        raise InputError(f"{path}: not memory enough to read it; give a smaller file") from error
    except RecursionError as error:
        raise InputError(f"{path}: not {kind} (nested too deeply){remedy}") from error
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or _in_brief(error)
        raise InputError(f"{path}: cannot be read ({reason}){remedy}") from error
    except UnicodeDecodeError as error:
        found = _STARTS.get(bytes(error.object[:2]), "Latin-1 or no text; save it as UTF-8")
        raise InputError(f"{path}: not text in UTF-8 but perhaps {found}") from error
    except Exception as error:  # a damaged file can fail in any way
        raise InputError(f"{path}: not {kind} ({_in_brief(error)}){remedy}") from error


def refuse_no_file(path: Path, remedy: str = "") -> None:
    """Refuse what is there but no regular file, before it is opened.

    Raises
    ------
    InputError
    OSError
        If it is not there.
    """
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode):
        what = "a folder" if stat.S_ISDIR(mode) else "a pipe or device"
        raise InputError(f"{path}: cannot be read (it is {what}, no file){remedy}")


def data_folder(named: Path | None) -> Path | None:
    """Return the local folder of data: the one that is named, else that of WEAKSTRONG_DATA, if any."""
    given = named or os.environ.get("WEAKSTRONG_DATA")
    return Path(os.path.expanduser(given)) if given else None


def available_memory() -> float:
    """Return how many bytes of memory are free, or infinity where the system does not say."""
    try:
        lines = dict(line.split(":") for line in _MEMORY.read_text(encoding="ascii").splitlines())
        return int(lines["MemAvailable"].split()[0]) * 1024
    except (OSError, ValueError, KeyError):
        return math.inf


def refuse_too_large(claimed: int, what: str) -> None:
    """Refuse what claims more bytes than there is memory, before it is read."""
    if claimed > available_memory():
        raise InputError(
            f"{what} claims {claimed / 1e9:.3g} GB, and {available_memory() / 1e9:.3g} GB of memory are "
            "free: it is damaged, or not memory enough to read it"
        )


def _in_brief(error: BaseException) -> str:
    """Return the first line of an error's message, or of a long one its beginning."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:300]
