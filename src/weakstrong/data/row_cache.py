"""Rows computed from strings, in parallel, each chunk kept on disk under a key of all that decides it.

The cache is ``$WEAKSTRONG_CACHE``, else the user's cache folder. It can be removed at any time.
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
_SMALL = 2 * CHUNK  # fewer rows than this are not worth starting processes for

Rows = Callable[..., np.ndarray]
Meter = Callable[[int, str], Any]


def cache_folder() -> Path:
    """Folder of computed rows: ``$WEAKSTRONG_CACHE``, else the user's cache folder."""
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
    """``rows(strings, *arguments)`` computed in chunks, from the cache where it was computed before.

    A chunk's key is its strings, the arguments, the code of `rows` and the versions of libraries that are
    named, so a longer corpus shares the chunks of its beginning, and a killed run goes on.

    Parameters
    ----------
    rows : callable
        Importable by name; takes a list of strings and the arguments, returns an array with a row a string.
        Its module, with all that this imports, is the code that the rows follow from.
    strings : sequence of str
    *arguments
        Plain values.
    libraries : sequence of str
        Libraries that decide the rows, with their versions: ``rdkit 2026.9.1``.
    cache : Path, optional
        Another folder than `cache_folder()`.
    meter : callable, optional
        Shows progress, as `weakstrong.progress.meter`.
    description : str
    workers : int, optional
        Processes; one a core unless given. With 1 `rows` may be any callable. Rows do not depend on it.
    chunk : int
        Rows computed and kept together.
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
    found = np.empty((len(strings), *first.shape[1:]), dtype=first.dtype)
    for i, path in enumerate(paths):  # one at a time into their place: never twice in memory
        found[i * chunk : (i + 1) * chunk] = _read(path)
    return found


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
    """Make a folder of the cache.

    Raises
    ------
    InputError
        If it cannot be written.
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
