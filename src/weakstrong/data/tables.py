"""Feature matrices and label tables, read from files with checks whose errors name the place at fault.

Rows are counted from 0 in every message. Ids are compared as text.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from weakstrong.arrays import row_blocks
from weakstrong.data.columns import TOO_LARGE, fault_of, numeric_column
from weakstrong.data.ids import Features, checked_ids, refuse_repeats, some
from weakstrong.errors import InputError

_CSV = (".csv", ".csv.gz")
_TABLES = (*_CSV, ".parquet")
_ARRAYS = (".npy", ".npz")


def read_features(path: Path, id_column: str | None = None) -> Features:
    """Read features from a ``.npy``, ``.npz``, CSV or Parquet file.

    An ``.npz`` holds one 2-d array, or one that is named `features`, with optional `ids`.

    Parameters
    ----------
    path : Path
    id_column : str, optional
        Column of ids in a table; every other column is a feature.

    Raises
    ------
    InputError
        On anything but a finite numeric matrix; the message names file, row and column.
    """
    path = Path(path)
    if path.name.endswith(_ARRAYS):
        values, ids = _read_array(path)
        return Features(_checked_matrix(values, path), None, ids, str(path))
    frame = read_table(path, id_column, accepted=(*_TABLES, *_ARRAYS))
    ids = None
    if id_column is not None:
        if id_column not in frame:
            raise InputError(f"{path}: no column {id_column!r} to use as id; columns: {some(frame.columns)}")
        ids = checked_ids(frame[id_column], path)
        frame = frame.drop(columns=id_column)
    if frame.shape[1] == 0:
        raise InputError(f"{path}: no feature column besides the id; give a table with features")
    if "" in frame.columns:
        raise InputError(
            f"{path}: feature column {frame.columns.get_loc('')} (counted from 0) has no name; name it, or "
            "leave it out if it is a saved row index (pandas: to_csv(index=False))"
        )
    columns = [numeric_column(frame[c], path) for c in frame.columns]
    return Features(np.column_stack(columns), tuple(map(str, frame.columns)), ids, str(path))


def read_table(
    path: Path, id_column: str | None = None, *, accepted: tuple[str, ...] = _TABLES
) -> pd.DataFrame:
    """Read a CSV (plain or gzipped) or Parquet table, with the id column as text."""
    path = Path(path)
    if not path.name.endswith(_TABLES):
        raise InputError(
            f"{path}: this kind of file is not read here; give one of {', '.join(accepted)} "
            "(pickles are never read)"
        )
    try:
        frame = _read_csv(path, id_column) if path.name.endswith(_CSV) else _read_parquet(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error
    except pd.errors.EmptyDataError as error:
        raise InputError(f"{path}: the table is empty; it needs a header line and rows") from error
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: not text in UTF-8; save it so, or name it .csv.gz if it is gzipped"
        ) from error
    except (ValueError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: not a readable table ({_first_line(error)})") from error
    if len(frame) == 0:
        raise InputError(f"{path}: the table is empty; it has a header but no rows")
    if not frame.columns.is_unique:
        twice = frame.columns[frame.columns.duplicated()][0]
        raise InputError(f"{path}: column {twice!r} occurs twice; rename one")
    return frame


def _read_csv(path: Path, id_column: str | None) -> pd.DataFrame:
    """Read a CSV with the names of its first line as they are; pandas would silently rename repeated ones."""
    first = pd.read_csv(path, header=None, nrows=1, dtype=str, skipinitialspace=True, keep_default_na=False)
    names = first.iloc[0]
    for separator in (";", "\t"):
        if len(names) == 1 and separator in names[0]:
            raise ValueError(f"its cells are separated by {separator!r}; separate them by commas")
    numbers = pd.to_numeric(names, errors="coerce")
    if numbers.notna().all() and (numbers % 1 != 0).any():
        raise ValueError("its first line holds numbers; add a line of column names")
    frame = pd.read_csv(path, skipinitialspace=True)
    if not frame.index.equals(pd.RangeIndex(len(frame))):
        raise ValueError("its rows have more cells than its first line has names")
    frame = frame.set_axis(names.to_list(), axis=1)
    if id_column in names.to_list():  # as text: 007 is not 7, and NA is an id like any other
        ids = pd.read_csv(path, usecols=[id_column], dtype=str, keep_default_na=False, skipinitialspace=True)
        frame[id_column] = ids[id_column].str.strip()
    return frame


def text_column(path: Path, frame: pd.DataFrame, column: str) -> list[str]:
    """Return a column of a table as the text that its file holds, without white space around.

    So ``NaN`` is a word, 007 is not 7, and an empty cell is an empty text. In a CSV of one column an empty
    line is an empty cell, but empty lines at the end are not rows.
    """
    if not path.name.endswith(_CSV):
        return [str(s).strip() for s in frame[column].astype(object).fillna("")]
    alone = frame.shape[1] == 1
    cells = pd.read_csv(
        path,
        usecols=[column],
        dtype=str,
        keep_default_na=False,
        skipinitialspace=True,
        skip_blank_lines=not alone,
    )[column]
    texts = [s.strip() for s in cells.fillna("")]
    while alone and texts and not texts[-1]:
        texts.pop()
    return texts


def _read_parquet(path: Path) -> pd.DataFrame:
    """Read a Parquet table, in which a named index becomes a column like any other."""
    frame = pd.read_parquet(path)
    return frame if frame.index.name is None else frame.reset_index()


def write_table(frame: pd.DataFrame, path: Path) -> None:
    """Write a CSV or Parquet file, whole or not at all; an existing file is replaced."""
    if not path.name.endswith((".csv", ".csv.gz", ".parquet")):
        raise InputError(f"{path}: a table is written as .csv, .csv.gz or .parquet")

    def write(partial: Path) -> None:
        if path.name.endswith(".parquet"):
            frame.to_parquet(partial, index=False)
        else:
            frame.to_csv(partial, index=False)

    _write_whole(path, write)


def write_array(values: NDArray[Any], path: Path) -> None:
    """Write an ``.npy`` file, whole or not at all; an existing file is replaced."""
    _write_whole(path, lambda partial: np.save(partial, values, allow_pickle=False))


def _write_whole(path: Path, write: Callable[[Path], None]) -> None:
    partial = path.with_name(f".partial-{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(partial)
        partial.replace(path)
    except OSError as error:
        if partial.parent.is_dir():
            partial.unlink(missing_ok=True)
        raise InputError(
            f"{path}: cannot be written ({error.strerror or error}); choose another file", "out"
        ) from error


def _read_array(path: Path) -> tuple[NDArray[Any], NDArray[np.str_] | None]:
    """Read the matrix of an .npy or .npz file, and its ids if it has any, without unpickling."""
    try:
        loaded = np.load(path, allow_pickle=False, mmap_mode="r" if path.suffix == ".npy" else None)
        if not isinstance(loaded, np.lib.npyio.NpzFile):
            return np.asarray(loaded), None
        with loaded:
            arrays = {name: _member(loaded, name, path) for name in loaded.files}
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or _first_line(error)})") from error
    except Exception as error:  # a damaged file can fail in any way
        raise InputError(
            f"{path}: not a plain numeric array (pickled and object arrays are not read); "
            "save a float array with numpy.save or numpy.savez"
        ) from error
    ids = arrays.pop("ids", None)
    if "features" in arrays:
        values = arrays["features"]
    elif len(arrays) == 1:
        values = next(iter(arrays.values()))
    else:
        raise InputError(f"{path}: holds {some(arrays)}; name the matrix 'features' (and ids 'ids')")
    if ids is None:
        return values, None
    if ids.shape != values.shape[:1]:
        raise InputError(f"{path}: 'ids' has shape {ids.shape} for features of shape {values.shape}")
    if ids.dtype.kind not in "Uiu":
        raise InputError(f"{path}: 'ids' holds {ids.dtype}; ids are text or whole numbers: ids.astype(str)")
    texts = ids.astype(np.str_)
    refuse_repeats(texts, path)
    return values, texts


def _member(archive: np.lib.npyio.NpzFile, name: str, path: Path) -> NDArray[Any]:
    """Read an array of an .npz; one of Python objects (often ids from pandas) is refused by name."""
    try:
        return np.asarray(archive[name])
    except ValueError as error:
        if "Object arrays" not in str(error):
            raise
        raise InputError(
            f"{path}: array {name!r} holds Python objects, which are not unpickled; "
            f"save numbers as floats, and ids as text: ids.astype(str)"
        ) from error


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


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
