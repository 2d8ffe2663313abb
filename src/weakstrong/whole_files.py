"""Files that are whole: written at once, listed with checksums, and kept for a run to go on from.

A finished folder has a file ``DONE`` with the SHA-256 of every other file in it, as ``sha256sum`` writes it.
What is kept on the way to a result carries a checksum of its own.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from secrets import token_hex

from weakstrong.errors import InputError
from weakstrong.identity import file_hash

DONE = "DONE"
_LIST = "# sha256 of the lines below: "  # begins DONE; sha256sum -c takes it for a comment
_CHECKSUM = hashlib.sha256().digest_size


def write_atomically(path: Path, content: bytes | Callable[[Path], None]) -> None:
    """Write a file whole or not at all, from bytes or by a function that is given a path to write to."""
    private = private_path(path)
    try:
        if callable(content):
            content(private)
        else:
            private.write_bytes(content)
        private.replace(path)
    finally:
        private.unlink(missing_ok=True)


def private_path(path: Path) -> Path:
    """Return a name beside `path` that no other process has, with the same ending: it may say the format."""
    return path.with_name(f".partial-{token_hex(4)}-{path.name}")


def partial_files(folder: Path, name: str | None = None) -> list[Path]:
    """Return the files under private names in a folder, for one name or for all."""
    pattern = re.compile(r"\.partial-[0-9a-f]{8}-" + (".+" if name is None else re.escape(name)))
    return [p for p in folder.iterdir() if pattern.fullmatch(p.name)]


def write_list(folder: Path, *, but: Iterable[str] = ()) -> None:
    """Write `DONE`: the SHA-256 of every file of a folder but some, in the format of ``sha256sum``."""
    left_out = {DONE, *but}
    files = [p.relative_to(folder) for p in folder.rglob("*") if p.is_file()]
    names = sorted(p.as_posix() for p in files if p.parts[0] not in left_out)
    lines = [f"{file_hash(folder / name)}  {name}\n" for name in names]
    body = "".join(lines)
    write_atomically(folder / DONE, f"{_LIST}{_sha256(body.encode()).hex()}\n{body}".encode())


def fault_of(folder: Path, *, optional: tuple[str, ...] = ()) -> str:
    """Return what is wrong with a finished folder, in words; nothing if it is as it was written.

    Parameters
    ----------
    folder : Path
    optional : tuple of str
        Files that may be missing.
    """
    if not (folder / DONE).is_file():
        return f"{DONE} is missing"
    text = (folder / DONE).read_bytes()
    first, _, body = text.partition(b"\n")
    if first.decode(errors="replace") != f"{_LIST}{_sha256(body).hex()}":
        return f"{DONE} is damaged, or of an earlier version"
    listed = listed_files(folder)
    for name in listed:
        if not (folder / name).is_file():
            if name not in optional:
                return f"{name} is missing"
        elif file_hash(folder / name) != listed[name]:
            return f"{name} is not as it was written"
    return ""


def changed(folder: Path, *names: str) -> str:
    """Return which file is not as `DONE` says, in words; a copy without the list is taken as it is."""
    listed = listed_files(folder) if (folder / DONE).is_file() else {}
    there = [name for name in names if listed.get(name) and (folder / name).is_file()]
    at_fault = [name for name in there if file_hash(folder / name) != listed[name]]
    return f"{at_fault[0]} is not as it was written" if at_fault else ""


def listed_files(folder: Path) -> dict[str, str]:
    """Return the checksum of each file that `DONE` names; lists of earlier versions have names alone."""
    lines = (folder / DONE).read_text(encoding="utf-8", errors="replace").splitlines()
    parts = [line.rpartition("  ") for line in lines if not line.startswith(_LIST)]
    inside = [part for part in parts if ".." not in Path(part[2]).parts and not Path(part[2]).is_absolute()]
    return {name: checksum for checksum, _, name in inside}


def unlisted_files(folder: Path) -> list[str]:
    """Return the files and empty folders of a finished folder that `DONE` does not name."""
    known = {DONE, *listed_files(folder)}
    paths = [p for p in folder.rglob("*") if p.is_symlink() or not p.is_dir() or not any(p.iterdir())]
    return sorted({p.relative_to(folder).as_posix() for p in paths} - known)


def keep(path: Path, content: bytes) -> None:
    """Keep what a later run can go on from, under a checksum of its content."""
    write_atomically(path, _sha256(content) + content)


def kept(path: Path) -> bytes | None:
    """Return what `keep` wrote; None if it is not there or not as it was written.

    Raises
    ------
    InputError
        If it cannot be read.
    """
    try:
        sealed = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror}); remove it or make it readable"
        ) from error
    content = sealed[_CHECKSUM:]
    return content if _sha256(content) == sealed[:_CHECKSUM] else None


def opened(path: Path) -> io.BytesIO:
    """Open what `keep` wrote.

    Raises
    ------
    InputError
        If it is not there or not as it was written.
    """
    content = kept(path)
    if content is None:
        raise InputError(f"{path}: was changed or removed since this run looked; run it again to go on")
    return io.BytesIO(content)


def _sha256(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()
