"""Rows computed from strings in parallel, and kept on disk in chunks so that none is computed twice.

The key of a chunk covers everything that its rows follow from. The cache is ``$WEAKSTRONG_CACHE``, else the
user's cache folder. It can be removed at any time.
"""

from __future__ import annotations

import errno
import io
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from weakstrong.errors import InputError
from weakstrong.identity import code_hash, fingerprint
from weakstrong.parallel import Workers, cores
from weakstrong.progress import Advance
from weakstrong.whole_files import keep, kept, partial_files

CHUNK = 1000
_SMALL = 2 * CHUNK  # for fewer rows it is not worth starting processes
_DEAD_AFTER = 3600.0  # seconds: a file is written in less, so one that is still half-written was killed

Rows = Callable[..., np.ndarray]
Meter = Callable[[int, str], Any]
Piece = tuple[Rows, list[str], tuple[Any, ...], Path]


def cache_folder() -> Path:
    """Return the folder of the cache: ``$WEAKSTRONG_CACHE``, else one in the user's cache folder.

    Raises
    ------
    InputError
        If neither is known.
    """
    named = os.environ.get("WEAKSTRONG_CACHE")
    if named:
        return Path(os.path.expanduser(named))
    try:
        home = Path.home() / ("Library/Caches" if sys.platform == "darwin" else ".cache")
    except RuntimeError as error:
        raise InputError(
            "no home folder is known to keep a cache in; name one in WEAKSTRONG_CACHE"
        ) from error
    return Path(os.environ.get("XDG_CACHE_HOME") or home) / "weakstrong"


def cached_rows(
    rows: Rows,
    strings: Sequence[str],
    *arguments: Any,
    libraries: Sequence[str] = (),
    cache: Path | None = None,
    meter: Meter | None = None,
    description: str = "rows",
    workers: int | None = None,
    chunk: int = CHUNK,
) -> np.ndarray:
    """Compute ``rows(strings, *arguments)`` in chunks, or read the chunks computed before from the cache.

    A chunk's key is its strings, the arguments, the code of `rows` and the versions of libraries that are
    named, so a longer corpus shares the chunks of its beginning, and a killed run goes on.

    Parameters
    ----------
    rows : callable
        Importable by name; takes a list of strings and the arguments, returns an array with one row per
        string. Its module, with all that this imports, is the code that the rows follow from.
    strings : sequence of str
    *arguments
        Plain values.
    libraries : sequence of str
        Libraries that decide the rows, with their versions: ``rdkit 2026.9.1``.
    cache : Path, optional
        Folder to use instead of `cache_folder()`.
    meter : callable, optional
        Shows progress, as `weakstrong.progress.meter` does.
    description : str
    workers : int, optional
        Number of processes, by default one per core. With 1, `rows` may be any callable. The rows do not
        depend on it.
    chunk : int
        Number of rows computed and kept together.
    """
    folder = (cache or cache_folder()) / rows.__name__
    version = fingerprint(code_hash(rows.__module__), list(libraries), arguments)
    chunks = [list(strings[i : i + chunk]) for i in range(0, len(strings), chunk)]
    if not chunks:
        return rows([], *arguments)
    make_folder(folder)
    paths = [folder / f"{fingerprint(version, part)[:32]}.rows" for part in chunks]
    values, pending = _gathered(None, range(len(chunks)), paths, chunks)
    if pending:
        missing = {paths[i]: chunks[i] for i in pending}
        pieces = [(rows, part, arguments, path) for path, part in missing.items()]
        with _shown(meter, sum(map(len, missing.values())), description) as advance:
            _compute_all(pieces, advance, workers or cores())
        values, pending = _gathered(values, pending, paths, chunks)
    if values is None or pending:
        raise InputError(f"{folder}: rows cannot be read back; name another cache in WEAKSTRONG_CACHE")
    return values


def _gathered(
    values: np.ndarray | None, places: Iterable[int], paths: Sequence[Path], chunks: Sequence[Sequence[str]]
) -> tuple[np.ndarray | None, list[int]]:
    """Put kept chunks into their places, one at a time; also return the places of those that are not there.

    A chunk that is damaged, or of another shape than the rest, counts as not there.
    """
    pending = []
    for i in places:
        block = _read(paths[i], len(chunks[i]))
        if block is not None and values is None:
            values = np.empty((sum(map(len, chunks)), *block.shape[1:]), dtype=block.dtype)
        if (
            block is None
            or values is None
            or (block.shape[1:], block.dtype) != (values.shape[1:], values.dtype)
        ):
            pending.append(i)
        else:
            start = i * len(chunks[0])
            values[start : start + len(block)] = block
    return values, pending


def _compute_all(pieces: Sequence[Piece], advance: Advance, processes: int) -> None:
    if processes == 1 or sum(len(part) for _, part, *_ in pieces) < _SMALL:
        for piece in pieces:
            _compute(*piece, advance)
    else:
        with Workers(processes) as pool:
            pool.run(_compute, pieces, advance)


def _compute(rows: Rows, chunk: list[str], arguments: tuple[Any, ...], path: Path, advance: Advance) -> None:
    buffer = io.BytesIO()
    np.save(buffer, rows(chunk, *arguments), allow_pickle=False)
    keep(path, buffer.getvalue())
    advance(len(chunk))


def _read(path: Path, count: int) -> np.ndarray | None:
    """Read a kept chunk; None if it is not there, damaged or not of so many rows."""
    content = kept(path)
    rows = None if content is None else np.load(io.BytesIO(content), allow_pickle=False)
    return rows if rows is not None and rows.ndim and len(rows) == count else None


def make_folder(folder: Path) -> None:
    """Make a folder of the cache, check that it can be used, and clear it of what killed runs left.

    Raises
    ------
    InputError
        If the folder cannot be written or read.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        for file in partial_files(folder):
            if time.time() - file.stat().st_mtime > _DEAD_AFTER:
                file.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(
            f"{folder}: the cache cannot be used ({error.strerror}); name another in WEAKSTRONG_CACHE"
        ) from error


@contextmanager
def _shown(meter: Meter | None, total: int, description: str) -> Iterator[Advance]:
    if meter is None or not total:
        yield lambda more: None
    else:
        with meter(total, description) as advance:
            yield advance
