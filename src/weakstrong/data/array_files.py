"""Feature matrices in .npy and .npz files, read without unpickling; what a header claims is checked first."""

from __future__ import annotations

import math
import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from weakstrong.arrays import row_blocks
from weakstrong.data.columns import TOO_LARGE, fault_of
from weakstrong.data.ids import checked_ids, some
from weakstrong.data.user_files import reading, refuse_too_large
from weakstrong.errors import InputError


def read_array(path: Path) -> tuple[NDArray[Any], NDArray[np.str_] | None]:
    """Read the matrix of an .npy (memory-mapped) or .npz file, and its ids if it has any.

    Raises
    ------
    InputError
        On anything but a finite numeric matrix; the message names file, row and column.
    """
    values, ids = _read_array(path)
    return _checked_matrix(_native(values), path), ids


def _read_array(path: Path) -> tuple[NDArray[Any], NDArray[np.str_] | None]:
    """Read the matrix of an .npy or .npz file, and its ids if it has any, without unpickling."""
    with reading(path, "a plain numeric array, as numpy.save and numpy.savez write; pickles are never read"):
        with path.open("rb") as file:
            if file.read(2) != b"PK":
                file.seek(0)
                _refuse_false_size(file, path.stat().st_size, f"{path}: the array")
                return np.asarray(np.load(path, allow_pickle=False, mmap_mode="r")), None
        with zipfile.ZipFile(path) as archive:
            there = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
            matrices = ["features"] if "features" in there else [name for name in there if name != "ids"]
            if len(matrices) != 1:
                raise InputError(f"{path}: holds {some(there)}; name the matrix 'features' (and ids 'ids')")
            arrays = {
                name: _member(archive, there[name], f"{path}: array {name!r}")
                for name in (*matrices, "ids")
                if name in there
            }
        values, ids = arrays[matrices[0]], arrays.get("ids")
        if ids is None:
            return values, None
        if ids.shape != values.shape[:1]:
            raise InputError(f"{path}: 'ids' has shape {ids.shape} for features of shape {values.shape}")
        if ids.dtype.kind not in "Uiu":
            raise InputError(
                f"{path}: 'ids' holds {ids.dtype}; ids are text or whole numbers: ids.astype(str)"
            )
        return values, checked_ids(pd.Series(ids, name="ids"), path)


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, what: str) -> NDArray[Any]:
    with archive.open(info) as stream:
        _refuse_false_size(stream, info.file_size, what)
        refuse_too_large(info.file_size, what)
        stream.seek(0)
        return np.asarray(np.lib.format.read_array(stream, allow_pickle=False))


def _refuse_false_size(stream: IO[bytes], size: int, what: str) -> None:
    """Refuse an array of Python objects, or one whose header says another size than its bytes have."""
    major, _ = np.lib.format.read_magic(stream)
    header = np.lib.format.read_array_header_1_0 if major == 1 else np.lib.format.read_array_header_2_0
    shape, _, dtype = header(stream)
    if dtype.hasobject:
        raise InputError(
            f"{what} holds Python objects, which are not unpickled; "
            "save numbers as floats, and ids as text: ids.astype(str)"
        )
    claimed, held = math.prod(shape) * dtype.itemsize, size - stream.tell()
    if claimed != held:
        raise InputError(
            f"{what} is damaged: shape {shape} of {dtype} takes {claimed} bytes, and {held} are there; "
            "save it again"
        )


def _native(values: NDArray[Any]) -> NDArray[Any]:
    """Return numbers in the machine's order of bytes, and in double precision where they have more."""
    wide = values.dtype.kind == "f" and values.dtype.itemsize > 8
    with np.errstate(over="ignore"):  # infinity is refused
        return values.astype(np.float64 if wide else values.dtype.newbyteorder("="), copy=False)


def _checked_matrix(values: NDArray[Any], path: Path) -> NDArray[Any]:
    if values.ndim != 2:
        raise InputError(
            f"{path}: the array has shape {values.shape}; features are two-dimensional, (rows, features): "
            "reshape(-1, 1) makes a single feature"
        )
    if values.dtype.kind not in "fiub":
        raise InputError(f"{path}: the array holds {values.dtype}; features are real numbers")
    if 0 in values.shape:
        raise InputError(f"{path}: the table is empty (shape {values.shape})")
    for block in row_blocks(*values.shape) if values.dtype.kind == "f" else ():
        bad = ~(np.abs(values[block]) < TOO_LARGE)
        if bad.any():
            row, column = np.argwhere(bad)[0]
            raise InputError(
                f"{path}: row {block.start + row}, column {column} (counted from 0): "
                f"{fault_of(values[block.start + row, column])}"
            )
    return values  # in its own type, as a memory-mapped file would not fit into memory in another
