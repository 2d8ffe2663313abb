"""Names of rows, such as ids, and how features are matched to tables: by id, or openly by position."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from weakstrong.data.user_files import refuse_too_large
from weakstrong.errors import InputError, quoted


@dataclass(frozen=True)
class Features:
    """The features of a frozen representation.

    Parameters
    ----------
    values : float array of shape (n, d)
    names : tuple of str, or None
        Column names, where the file has them.
    ids : array of str of shape (n,), or None
    source : str
        Where they came from, for messages.
    """

    values: NDArray[Any]
    names: tuple[str, ...] | None
    ids: NDArray[np.str_] | None
    source: str


def kinds_of(column: pd.Series) -> set[type]:
    """Return the types of a column's values."""
    return set(map(type, column)) if column.dtype == object else {column.dtype.type}


def texts_of(column: pd.Series, path: Path) -> pd.Series:
    """Return names as text without white space around them, empty where a cell is."""
    for kind in kinds_of(column):
        if issubclass(kind, bytes | list | tuple | dict | np.ndarray):
            raise InputError(
                f"{path}: column {str(column.name)!r} holds {kind.__name__}; names are text or whole numbers"
            )
    return column.astype(str).str.strip().where(column.notna(), "")


def names_of(column: pd.Series, path: Path, kind: str) -> NDArray[np.str_]:
    """Return names of a kind (id, group) as text, checked that none is missing."""
    texts = texts_of(column, path)
    missing = np.asarray(texts == "")
    if missing.any():
        raise InputError(
            f"{path}: column {column.name!r}, row {missing.argmax()} (counted from 0): no {kind}; give it one"
        )
    longest = int(texts.str.len().max()) if len(texts) else 0  # the array has room for it in every row
    what = f"{path}: column {column.name!r}, whose longest {kind} has {longest} characters,"
    refuse_too_large(4 * longest * len(texts), what)
    return texts.to_numpy(dtype=np.str_)


def checked_ids(column: pd.Series, path: Path) -> NDArray[np.str_]:
    """Return ids as text, checked that none is missing or repeated."""
    ids = names_of(column, path, "id")
    again = np.asarray(pd.Index(ids).duplicated())
    if again.any():
        row = int(again.argmax())
        first = int((ids == ids[row]).argmax())
        raise InputError(
            f"{path}: id {quoted(str(ids[row]))} occurs in rows {first} and {row} (counted from 0); "
            "ids must be unique: remove or rename one"
        )
    return ids


def rows_of(ids: NDArray[np.str_], path: Path, wanted: NDArray[np.str_], by: str) -> NDArray[np.int64]:
    """Return the row of each wanted id among `ids`; an id that is not there is an error that names it."""
    rows = pd.Index(ids).get_indexer(pd.Index(wanted))
    if (rows < 0).any():
        row = int((rows < 0).argmax())
        raise InputError(
            f"{by}: row {row} (counted from 0): id {quoted(str(wanted[row]))} does not occur in {path}; "
            "every id must match: check the id column, or remove the row"
        )
    return np.asarray(rows, dtype=np.int64)


def refuse_shared_columns(features: Features, frame: pd.DataFrame, path: Path, used: Collection[str]) -> None:
    """Refuse a column that is a feature and also a label, weight or group.

    Without ids to join by, a column that both tables have could be the id or a label, so it is refused too.
    """
    suspect = used if features.ids is not None else {*used, *frame.columns}
    shared = sorted((c for c in features.names or () if c in suspect), key=lambda c: c not in used)
    if shared:
        remedy = "remove it from the features"
        if shared[0] not in used:
            remedy = f"name it as the id if rows are joined by it, else {remedy}"
        raise InputError(f"{features.source}: column {shared[0]!r} is also in {path}; {remedy}", "id")


def by_position(features: Sequence[Features], n: int, path: Path, id_column: str | None) -> str:
    """Return a note that rows are matched by position; different counts or unused ids are errors."""
    for each in features:
        if each.ids is not None:
            raise InputError(
                f"{each.source} has ids: name the id column of {path}; or, to match rows by position, save "
                "the matrix without ids",
                "id",
            )
        if len(each.values) != n:
            raise InputError(
                f"{each.source} has {len(each.values)} rows and {path} has {n}; without ids rows are "
                "matched by position, so counts must agree: name the id column, or give `ids` in an .npz",
                "id",
            )
    sources = ", ".join(dict.fromkeys(each.source for each in features))
    because = "" if id_column is None else f", though {path} has ids: an .npz can hold `ids`"
    return f"{sources}: matched to {path} by position ({n} rows), not by id{because}"


def widened(features: Features, names: list[str] | None, width: int, owner: str) -> Features:
    """Put features in the order of the columns that a model was fitted on; a wrong width is refused."""
    if names is not None and features.names is not None:
        missing = [n for n in names if n not in features.names]
        extra = [n for n in features.names if n not in names]
        if missing or extra:
            which = f"lacks column {missing[0]!r}" if missing else f"has the further column {extra[0]!r}"
            raise InputError(
                f"{features.source} {which}; {owner} was fitted on {width} features: {some(names)}"
            )
        order = [features.names.index(n) for n in names]
        return replace(features, values=features.values[:, order], names=tuple(names))
    if features.values.shape[1] != width:
        raise InputError(
            f"{features.source} has {features.values.shape[1]} features a row; {owner} was fitted on "
            f"{width}: use the representation it was fitted with"
        )
    return features


def some(names: Any) -> str:
    """List names for a message, only the first few if there are many."""
    listed = [" ".join(str(n)[:100].split()) for n in names]
    return ", ".join(listed[:8]) + (f" and {len(listed) - 8} more" if len(listed) > 8 else "")
