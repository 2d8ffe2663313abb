"""Rows computed from strings in parallel, and kept on disk in chunks so that none is computed twice.

The key of a chunk covers everything that its rows follow from. The cache is ``$WEAKSTRONG_CACHE``, else the
user's cache folder. It can be removed at any time.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from weakstrong.errors import InputError
from weakstrong.identity import code_hash, fingerprint
from weakstrong.parallel import Workers, cores
from weakstrong.progress import Advance
from weakstrong.storage import write_atomically

CHUNK = 1000
_SMALL = 2 * CHUNK  # for fewer rows it is not worth starting processes

Rows = Callable[..., np.ndarray]
Meter = Callable[[int, str], Any]


def cache_folder() -> Path:
    """Return the folder of the cache: ``$WEAKSTRONG_CACHE``, else one in the user's cache folder."""
    named = os.environ.get("WEAKSTRONG_CACHE")
    if named:
        return Path(named)
    home = Path.home() / ("Library/Caches" if sys.platform == "darwin" else ".cache")
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
    paths = [folder / f"{fingerprint(version, part)[:32]}.npy" for part in chunks]
    missing = {path: part for part, path in zip(chunks, paths, strict=True) if not path.exists()}
    to_do = sum(len(part) for part in missing.values())
    make_folder(folder)
    with _shown(meter, to_do, description) as advance:
        pieces = [(rows, part, arguments, path) for path, part in missing.items()]
        processes = workers or cores()
        if processes == 1 or to_do < _SMALL:
            for piece in pieces:
                _compute(*piece, advance)
        else:
            with Workers(processes) as pool:
                pool.run(_compute, pieces, advance)
    if not paths:
        return rows([], *arguments)
    first = _read(paths[0])
    values = np.empty((len(strings), *first.shape[1:]), dtype=first.dtype)
    for i, path in enumerate(paths):  # one at a time into place, so that rows are never in memory twice
        values[i * chunk : (i + 1) * chunk] = _read(path)
    return values


def _compute(rows: Rows, chunk: list[str], arguments: tuple[Any, ...], path: Path, advance: Advance) -> None:
    buffer = io.BytesIO()
    np.save(buffer, rows(chunk, *arguments), allow_pickle=False)
    write_atomically(path, buffer.getvalue())
    advance(len(chunk))


def _read(path: Path) -> np.ndarray:
    try:
        return np.load(path, allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        path.unlink(missing_ok=True)
        raise InputError(f"{path}: a damaged file of the cache, now removed; run it again") from error


def make_folder(folder: Path) -> None:
    """Make a folder of the cache, and check that it can be written.

    Raises
    ------
    InputError
        If the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise InputError(
            f"{folder}: the cache cannot be written ({error.strerror}); name another in WEAKSTRONG_CACHE"
        ) from error


@contextmanager
def _shown(meter: Meter | None, total: int, description: str) -> Iterator[Advance]:
    if meter is None or not total:
        yield lambda more: None
    else:
        with meter(total, description) as advance:
            yield advance
