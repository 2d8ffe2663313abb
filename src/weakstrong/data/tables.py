"""Feature matrices and label tables, read from files with checks whose errors name the place at fault.

Rows are counted from 0 in every message. Names (ids, groups, roles) are text as it is written: 007 is not 7,
and NA is a name. In a CSV a blank line is a row of empty cells, but blank lines at the end are no rows.
"""

from __future__ import annotations

import gzip
import io
import re
import warnings
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from weakstrong.data.array_files import read_array
from weakstrong.data.columns import numeric_column
from weakstrong.data.ids import Features, checked_ids, some, texts_of
from weakstrong.data.user_files import available_memory, reading, refuse_too_large
from weakstrong.errors import InputError
from weakstrong.serialization import write_csv

_CSV = (".csv", ".csv.gz")
TABLES = (*_CSV, ".parquet")
_ARRAYS = (".npy", ".npz")
_MISSING = [
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A",
    "NA", "NULL", "NaN", "None", "n/a", "nan", "null",
]  # fmt: skip
_OTHER_VALUES = ("True", "False", "true", "false", "NaN", "nan")
_BLANK = " \t\r\n"
_LONGEST_LINE = 1 << 22  # of column names: half a million of them
_LOW_MEMORY = 1 << 28
_ROW_INDEX = re.compile(
    r"((?-i:X)|(__index_)?level_\d+(__)?|index|idx|id|row([ _.]?(id|index|name|number|num))?s?)",
    re.IGNORECASE,
)


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
        values, ids = read_array(path)
        return Features(values, None, ids, str(path))
    frame = read_table(path, (id_column,), accepted=(*TABLES, *_ARRAYS))
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
    levels = [name for name in frame.attrs.get("levels", ()) if name != id_column]
    if levels:
        raise InputError(
            f"{path}: {levels[0]!r} is an index, so it is no feature; name it as the id if it is one, or "
            "leave it out (pandas: reset_index(drop=True))",
            "id",
        )
    columns = [numeric_column(frame[c], path) for c in frame.columns]
    for name, values in zip(frame.columns, columns, strict=True):
        _refuse_row_index(name, values, path)
    return Features(np.column_stack(columns), tuple(frame.columns), ids, str(path))


def _refuse_row_index(name: str, values: NDArray[np.float64], path: Path) -> None:
    """Refuse a saved row index: by the name that pandas gives, or by a like one if it counts the rows."""
    is_unnamed = name.lower().startswith("unnamed: ")  # by pandas, whatever it holds
    counts = len(values) > 2 and _ROW_INDEX.fullmatch(name) is not None
    if is_unnamed or (counts and np.array_equal(values, values[0] + np.arange(len(values)))):
        raise InputError(
            f"{path}: column {name!r} is a saved row index, so it is no feature; name it as the id if it is "
            "one, or leave it out (pandas: to_csv(index=False))",
            "id",
        )


def read_table(
    path: Path, keys: Collection[str | None] | None = (), *, accepted: tuple[str, ...] = TABLES
) -> pd.DataFrame:
    """Read a CSV (plain or gzipped) or Parquet table, in a CSV with names as text.

    Parameters
    ----------
    path : Path
    keys : collection of str, optional
        Columns of names (ids, groups, roles), those that are there; None for every column.
    accepted : tuple of str
        Endings of files to list where another is refused.

    Raises
    ------
    InputError
        If it cannot be read, is empty, or has two columns of one name.
    """
    path = Path(path)
    if not path.name.endswith(TABLES):
        raise InputError(
            f"{path}: this kind of file is not read here; give one of {', '.join(accepted)} "
            "(pickles are never read)"
        )
    with reading(path, "a readable table"):
        frame = _read_csv(path, keys) if path.name.endswith(_CSV) else _read_parquet(path)
    if len(frame) == 0:
        raise InputError(f"{path}: the table is empty; it has a header but no rows")
    if not frame.columns.is_unique:
        twice = frame.columns[frame.columns.duplicated()][0]
        raise InputError(f"{path}: column {twice!r} occurs twice; rename one")
    return frame


@contextmanager
def _no_cell_lost() -> Iterator[None]:
    """Refuse rows of more cells than names, which pandas would cut (or shift) with a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)
        # Pieces of a column may have different types, which is seen to where it is read.
        warnings.simplefilter("ignore", pd.errors.DtypeWarning)
        try:
            yield
        except pd.errors.ParserWarning as error:
            raise ValueError("its rows have more cells than its first line has names") from error


def column_names(path: Path) -> list[str]:
    """Return the names of a table's columns, without reading its rows.

    Raises
    ------
    InputError
        If it is no table, or cannot be read.
    """
    if not path.name.endswith(TABLES):
        raise InputError(f"{path}: this kind of file is not read here; give one of {', '.join(TABLES)}")
    with reading(path, "a readable table"):
        if path.name.endswith(_CSV):
            return _first_line(path)
        from pyarrow import parquet

        return [str(name) for name in parquet.read_schema(path).names]


def _read_csv(path: Path, keys: Collection[str | None] | None, only: str | None = None) -> pd.DataFrame:
    """Read a CSV with the names of its first line as they are; pandas would silently rename repeated ones."""
    names = _first_line(path)
    places = [i for i, name in enumerate(names) if only in (None, name)]
    text = [i for i in places if keys is None or names[i] in keys]
    missing = _MISSING if not text else {i: _MISSING for i in places if i not in set(text)}
    with _csv_text(path) as lines, _no_cell_lost():
        frame = pd.read_csv(
            lines, header=0, index_col=False, names=list(range(len(names))),
            usecols=None if only is None else places, dtype=dict.fromkeys(text, str), na_values=missing,
            keep_default_na=False, skipinitialspace=True, skip_blank_lines=False,
        )  # fmt: skip
    return frame.set_axis([names[i] for i in places], axis=1)


def _first_line(path: Path) -> list[str]:
    """Return the names of a CSV's columns, from its first line that is not blank."""
    with _csv_text(path) as lines:
        start = lines.read(_LONGEST_LINE)
    if len(start) >= _LONGEST_LINE and not re.search(r"[\r\n]", start):
        raise ValueError(f"its first line has more than {_LONGEST_LINE:,} characters")
    if not start:
        raise InputError(f"{path}: the table is empty; it needs a header line and rows")
    first = pd.read_csv(
        io.StringIO(start), header=None, nrows=1, dtype=str, skipinitialspace=True, keep_default_na=False
    )
    names = first.iloc[0].to_list()
    for separator in (";", "\t"):
        if len(names) == 1 and separator in names[0]:
            raise ValueError(f"its cells are separated by {separator!r}; separate them by commas")
    written = [name for name in names if name]
    numbers = pd.to_numeric(pd.Series(written), errors="coerce").notna()
    as_pandas = [str(i) for i in range(len(written))]
    if all(numbers | np.isin(written, _OTHER_VALUES)) and written != as_pandas:
        raise ValueError("its first line holds numbers; add a line of column names")
    return names


@contextmanager
def _csv_text(path: Path) -> Iterator[_Lines]:
    with gzip.open(path) if path.name.endswith(".gz") else path.open("rb") as content:
        yield _Lines(io.TextIOWrapper(content, encoding="utf-8-sig", newline=""))


class _Lines:
    """The text of a CSV without blank lines before its first line and after its last."""

    def __init__(self, text: IO[str]) -> None:
        self._text = text
        self._held = [""]  # what may be blank lines at the end
        self._pieces = 0

    def __iter__(self) -> Iterator[str]:
        """Make it a file for pandas, which reads it."""
        return iter(lambda: self.read(1 << 18), "")

    def read(self, size: int = -1) -> str:
        """Return the next piece of the text."""
        while piece := self._text.read(size):
            if "\0" in piece:
                raise ValueError("it holds NUL characters: it is no text, or UTF-16; save it as UTF-8")
            body = piece.rstrip(_BLANK)
            if body:
                whole = "".join((*self._held, body))
                self._held = [piece[len(body) :]]
                self._pieces += 1
                if self._pieces % 256 == 0 and available_memory() < _LOW_MEMORY:
                    raise MemoryError
                return whole if self._pieces > 1 else whole.lstrip(_BLANK)
            self._held.append(piece)
        return ""


def text_column(path: Path, frame: pd.DataFrame, column: str) -> list[str]:
    """Return a column of a table as the text that its file holds, without white space around.

    So ``NaN`` is a word, 007 is not 7, and an empty cell is an empty text.
    """
    if path.name.endswith(_CSV):
        with reading(path, "a readable table"):
            frame = _read_csv(path, (column,), column)
    return texts_of(frame[column], path).to_list()


def _read_parquet(path: Path) -> pd.DataFrame:
    """Read a Parquet table, in which the named levels of an index become columns like any other."""
    from pyarrow import parquet, types

    with parquet.ParquetFile(path) as file:
        refuse_too_large(8 * file.metadata.num_rows * file.metadata.num_columns, f"{path}: the table")
        table = file.read()
    table.validate(full=True)
    for place, field in enumerate(table.schema):
        if types.is_dictionary(field.type):  # categories: what they are of
            table = table.set_column(place, field.name, table.column(place).cast(field.type.value_type))
    try:
        frame = table.to_pandas(integer_object_nulls=True)  # as floats, integers would be rounded
    except Exception:  # what pandas wrote of its own about the table may be damaged
        frame = table.replace_schema_metadata().to_pandas(integer_object_nulls=True)
    frame.columns = [str(name) for name in frame.columns]
    levels = [i for i, name in enumerate(frame.index.names) if name is not None and str(name) not in frame]
    named = [str(frame.index.names[i]) for i in levels]
    frame = frame.reset_index(level=levels).reset_index(drop=True)
    frame = frame.set_axis([str(name) for name in frame.columns], axis=1)
    frame.attrs["levels"] = named
    return frame


def write_table(frame: pd.DataFrame, path: Path) -> None:
    """Write a table as CSV, gzipped CSV or Parquet; the same table gives the same bytes."""
    if path.name.endswith(".parquet"):
        frame.to_parquet(path, index=False)
    elif path.name.endswith(".gz"):  # without the name and time that gzip would add
        with path.open("wb") as file, gzip.GzipFile("", "wb", fileobj=file, mtime=0) as zipped:
            write_csv(frame, zipped, mode="wb")
    else:
        write_csv(frame, path)
