"""Where results are put: folders and files that are whole or absent, locked while they are made."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from weakstrong.errors import InputError
from weakstrong.whole_files import (
    DONE,
    listed_files,
    partial_files,
    private_path,
    unlisted_files,
    write_list,
)

_MARK = ".weakstrong-stage"  # tells a staging folder from a user's


def check_output(path: Path, overwrite: bool) -> None:
    """Refuse an output folder that cannot be written, before any work is done.

    Raises
    ------
    InputError
        If the folder holds something already (with `overwrite`, something that is not a finished run, or a
        file that the run did not make), cannot be replaced as a whole, or its parent cannot be written.
    """
    path = Path(path)
    remove_dead_lock(path)
    if path.exists():
        if not path.is_dir():
            raise InputError(f"{path}: is a file; name a folder to make", "out")
        _check_movable(path)
        _check_replaceable(path, overwrite)
    _check_parent(path)


def check_output_file(path: Path, overwrite: bool, *suffixes: str, setting: str = "out") -> None:
    """Refuse an output file, named by a setting, that cannot be written, before any work is done."""
    path = Path(path)
    remove_dead_lock(path)
    if suffixes and not path.name.endswith(suffixes):
        raise InputError(f"{path}: must end in {', '.join(suffixes)}")
    if path.exists() and not path.is_file():
        raise InputError(f"{path}: is a folder or a device; name a file to write", setting)
    if path.exists() and not overwrite:
        raise InputError(f"{path}: is there already; choose another or overwrite it", setting, "overwrite")
    if not path.absolute().parent.is_dir():
        raise InputError(f"{path}: its folder is not there; make it, or choose another file", setting)
    _check_parent(path, setting)


def _check_parent(path: Path, setting: str = "out") -> None:
    parent = next(p for p in (*path.absolute().parents, Path("/")) if p.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
        raise InputError(
            f"{path}: cannot be written ({parent} is not a writable folder); choose another", setting
        )


def _check_movable(folder: Path) -> None:
    """Refuse a folder that the finished one cannot take the place of."""
    inside = f"; name a folder inside it, such as {folder / 'record'}"
    if os.path.ismount(folder):
        raise InputError(f"{folder}: is a mount point, which cannot be replaced as a whole{inside}", "out")
    with suppress(OSError):  # the working folder may be gone
        if Path.cwd().is_relative_to(_target(folder)):
            raise InputError(f"{folder}: is the working folder, or holds it{inside}", "out")


def _check_replaceable(folder: Path, overwrite: bool) -> None:
    if not any(folder.iterdir()):
        return
    if not (folder / DONE).is_file():
        raise InputError(
            f"{folder}: not empty, and holds no finished run ({DONE} is missing); choose another", "out"
        )
    if not overwrite:
        raise InputError(
            f"{folder}: holds a finished run; choose another or overwrite it", "out", "overwrite"
        )
    strange = unlisted_files(folder)
    if strange:
        raise InputError(
            f"{folder}: {strange[0]} is not of the run that is to be replaced ({DONE} does not name it); "
            "move it away"
        )


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep other runs from writing the same file or folder; the lock lasts as long as its process.

    Raises
    ------
    InputError
        If another run has it, or nothing can be written beside it.
    """
    path = _target(path)
    made = [parent for parent in path.parents if not parent.exists()]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(_lock_file(path), blocking=False)
        lock.acquire()
    except Timeout as error:
        raise InputError(
            f"{path}: another run is writing it; wait for that, or choose another place", "out"
        ) from error
    except OSError as error:
        raise InputError(
            f"{path}: cannot be written ({error.strerror or error}); choose another", "out"
        ) from error
    try:
        yield
    finally:
        with suppress(OSError):  # removed while it is held: a run that opened it meanwhile notices
            Path(lock.lock_file).unlink()
        lock.release()
        for parent in made:
            with suppress(OSError):  # of a run that failed nothing stays, not even empty folders
                parent.rmdir()


@contextmanager
def output_folder(
    path: Path, key: str = "", *, overwrite: bool = False, held: bool = False
) -> Iterator[Path]:
    """Stage a folder beside `path` and move it there when it is whole; `DONE`, written last, lists it.

    With a key (what identifies the run) the staging folder outlives an interruption, and the
    next run with the same key finds what it holds, whatever ran in between; what other runs left
    is removed when one is whole. Without a key nothing outlives an error. Hidden files in the staging folder
    are for a resumed run alone. A caller that holds the lock of `path` already says so (`held`).

    Raises
    ------
    InputError
        If the folder cannot be written (see `check_output`), or another run is writing it.
    """
    path = _target(path)  # a link stays, and what it points to is made
    check_output(path, overwrite)
    with nullcontext() if held else locked(path):
        stage = staging_folder(path, key)
        stage.mkdir(exist_ok=True)
        (stage / _MARK).touch()
        try:
            yield stage
            check_output(path, overwrite)  # once more: a file may have been put there
            _finish(stage)
        except BaseException:
            if not key or not any(p.name != _MARK for p in stage.glob("*")):
                shutil.rmtree(stage, ignore_errors=True)
            raise
        _move(stage, path)


def remove_dead_lock(path: Path) -> None:
    """Remove the lock of a run that was killed when its work was in place."""
    path = _target(path)
    if path.exists() and path.name and _lock_file(path).exists():
        with suppress(InputError), locked(path):
            pass


def _lock_file(path: Path) -> Path:
    return path.with_name(f".{path.name}.weakstrong-lock")


def _target(path: Path) -> Path:
    """Return the absolute path that links lead to; links that go round are refused where it is used."""
    return Path(os.path.realpath(path))


def staging_folder(path: Path, key: str) -> Path:
    """Return where a run with some key stages the folder `path`."""
    return path.with_name(f".{path.name}.partial-{key[:16] or os.getpid()}")


def _finish(stage: Path) -> None:
    """List what is whole, then remove hidden files: what a resumed run would need, and half-written files."""
    hidden = [p for p in stage.iterdir() if p.name.startswith(".")]
    write_list(stage, but=[p.name for p in hidden])
    for path in (p for p in hidden if p.name != _MARK):
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def _move(stage: Path, path: Path) -> None:
    """Put a finished folder in its place, and remove what it replaces and what dead runs staged for it."""
    replaced = path.with_name(f".{path.name}.partial-replaced")
    try:
        _remove_stages(path, but=stage)
        if path.exists():
            path.rename(replaced)  # whole until the new one takes its place
        (stage / _MARK).unlink()
        stage.rename(path)
    except OSError as error:
        reason = error.strerror or error
        raise InputError(f"{path}: cannot be replaced ({reason}); what was to be there is {stage}") from error
    _remove_stages(path)


def _remove_stages(path: Path, but: Path | None = None) -> None:
    """Remove what earlier runs staged beside `path`; as its lock is held, none of them is at work."""
    stages = re.compile(re.escape(f".{path.name}.partial-") + r"([0-9a-f]{16}|\d+|replaced)")
    for folder in [p for p in path.parent.iterdir() if stages.fullmatch(p.name) and p != but]:
        if (folder / _MARK).is_file():
            shutil.rmtree(folder, ignore_errors=True)
        elif (folder / DONE).is_file() and not unlisted_files(folder):
            for name in [*listed_files(folder), DONE]:  # the list last, so that a kill leaves it readable
                (folder / name).unlink(missing_ok=True)
            folder.rmdir()


@contextmanager
def output_files(path: Path, *beside: Path, overwrite: bool = False) -> Iterator[list[Path]]:
    """Yield names to write a file under, and others beside it; all are moved into place when all are whole.

    The first file is in its place last, so where it is, the others are too. One of the others that is not
    written leaves nothing in its place.

    Raises
    ------
    InputError
        If a file cannot be written (see `check_output_file`), or another run is writing the first.
    """
    places = [_target(p) for p in (path, *beside)]
    check_output_file(places[0], overwrite)
    with locked(places[0]):
        dead = partial_files(places[0].parent, places[0].name)
        for place in places[1:]:  # what a killed run put there is of that run
            check_output_file(place, overwrite or bool(dead))
        private = [private_path(place) for place in places]
        try:
            yield private
            check_output_file(places[0], overwrite)
            if beside:
                places[0].unlink(missing_ok=True)
            for place, written in reversed(list(zip(places, private, strict=True))):
                if written.exists():
                    written.replace(place)
                else:
                    place.unlink(missing_ok=True)
        except OSError as error:
            if error.filename and Path(error.filename) not in private:  # a file of the caller's own
                raise
            raise InputError(
                f"{path}: cannot be written ({error.strerror or error}); choose another file", "out"
            ) from error
        finally:
            for place in (p for q in places for p in partial_files(q.parent, q.name)):
                place.unlink(missing_ok=True)
