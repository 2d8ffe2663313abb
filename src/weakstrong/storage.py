"""Folders and files that are whole or absent, and the texts that records are written in."""

from __future__ import annotations

import glob
import json
import os
import platform
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from weakstrong.errors import InputError
from weakstrong.estimate import Estimate
from weakstrong.identity import code_hash

DONE = "DONE"
_JSON_WIDTH = 300


def check_output(path: Path, overwrite: bool) -> None:
    """Refuse an output folder that cannot be written, before any work is done.

    Raises
    ------
    InputError
        If the folder holds something already (with `overwrite`, something that is not a
        finished run, or a file that the run did not make), or its parent cannot be written.
    """
    path = Path(path)
    if path.exists():
        if not path.is_dir():
            raise InputError(f"{path}: is a file; name a folder to make", "out")
        _check_replaceable(path, overwrite)
    parent = next(p for p in path.absolute().parents if p.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
        raise InputError(
            f"{path}: cannot be written ({parent} is not a writable folder); choose another", "out"
        )


def _check_replaceable(folder: Path, overwrite: bool) -> None:
    there = [p.name for p in folder.iterdir() if p.name != DONE]
    if not (folder / DONE).is_file():
        if there:
            raise InputError(
                f"{folder}: not empty, and holds no finished run ({DONE} is missing); choose another", "out"
            )
        return
    if not overwrite:
        raise InputError(
            f"{folder}: holds a finished run; choose another or overwrite it", "out", "overwrite"
        )
    listing = (folder / DONE).read_text().splitlines()  # nothing where an earlier version wrote it
    strange = sorted(name for name in there if listing and name not in listing and not name.startswith("."))
    if strange:
        raise InputError(f"{folder}: {strange[0]} is not of the run that is to be replaced; move it away")


@contextmanager
def output_folder(path: Path, key: str = "", *, overwrite: bool = False) -> Iterator[Path]:
    """Stage a folder beside `path` and move it there when it is whole; DONE, written last, lists it.

    With a key (what identifies the run) the staging folder outlives an interruption, and the
    next run with the same key finds what it holds, whatever ran in between; what other runs left
    is removed when one is whole. Without a key nothing outlives an error.
    """
    path = Path(path).resolve()  # a link stays, and what it points to is made
    check_output(path, overwrite)
    prefix = f".{path.name}.partial-"
    stage = path.with_name(prefix + (key[:16] or str(os.getpid())))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        stage.mkdir(exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{path}: cannot be written ({error.strerror or error}); choose another", "out"
        ) from error
    try:
        yield stage
        (stage / DONE).write_text("".join(f"{name}\n" for name in sorted(p.name for p in stage.iterdir())))
        replaced = path.with_name(f"{prefix}replaced-{os.getpid()}")
        if path.exists():
            path.rename(replaced)  # whole until the new one takes its place
        stage.rename(path)
        shutil.rmtree(replaced, ignore_errors=True)
        for stale in path.parent.glob(glob.escape(prefix) + "*"):
            shutil.rmtree(stale, ignore_errors=True)
    except BaseException:
        if not key:
            shutil.rmtree(stage, ignore_errors=True)
        raise


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    partial = path.with_name(f".partial-{os.getpid()}-{path.name}")
    partial.write_bytes(content)
    partial.replace(path)


def provenance() -> dict[str, Any]:
    """Name the versions that numbers can depend on."""
    packages = ("numpy", "scipy", "scikit-learn", "pandas")
    return {
        "weakstrong": version("weakstrong"),
        "code": code_hash()[:16],
        "python": platform.python_version(),
        **{name: version(name) for name in packages},
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
    }


def to_json(value: Any) -> str:
    """Readable JSON with numpy numbers as numbers and NaN as null; short values on one line."""
    return _lines(_plain(value), "") + "\n"


def _lines(value: Any, indent: str) -> str:
    """JSON of plain values: a mapping or list on one line if that is short enough."""
    flat = json.dumps(value, ensure_ascii=False, allow_nan=False)
    if not isinstance(value, dict | list) or len(indent) + len(flat) <= _JSON_WIDTH:
        return flat
    inner = indent + " "
    if isinstance(value, dict):
        parts = [f"{json.dumps(k, ensure_ascii=False)}: {_lines(v, inner)}" for k, v in value.items()]
        opening, closing = "{}"
    else:
        parts = [_lines(v, inner) for v in value]
        opening, closing = "[]"
    return f"{opening}\n" + ",\n".join(inner + part for part in parts) + f"\n{indent}{closing}"


def to_toml(values: dict[str, Any]) -> str:
    """TOML of flat settings; those that are None are left out."""
    lines = [f"{k} = {json.dumps(_plain(v), ensure_ascii=False)}" for k, v in values.items() if v is not None]
    return "\n".join(lines) + "\n"


def _plain(value: Any) -> Any:
    if isinstance(value, Estimate):
        value = value.to_dict()
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set):
        return [_plain(v) for v in value]
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    return str(value) if isinstance(value, Path) else value
