"""Columns of users' tables that hold classes, or their probabilities. Errors name file, column and row.

Under the name NAME a table has a column of classes called so, or a column of probabilities for each class:
``NAME[positive]``, ``NAME[negative]``. Rows are counted from 0 in every message.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from weakstrong.class_kinds import few_whole_numbers
from weakstrong.class_labels import ClassLabels, class_labels
from weakstrong.class_predictions import are_shares
from weakstrong.data.columns import Task, numeric_column
from weakstrong.data.ids import some, texts_of
from weakstrong.errors import InputError, quoted


def probability_columns(columns: Iterable[str]) -> dict[str, dict[str, str]]:
    """Return the columns of probabilities of each name, by class: those called ``NAME[class]``."""
    found: dict[str, dict[str, str]] = {}
    for column in map(str, columns):
        name, bracket, rest = column.partition("[")
        if name and bracket and rest.endswith("]") and rest[:-1]:
            found.setdefault(name, {})[rest[:-1]] = column
    return {name: of for name, of in found.items() if len(of) > 1}


def columns_named(name: str, columns: Iterable[str]) -> list[str]:
    """Return the columns that a name stands for: its columns of probabilities, or else itself, if there.

    A table of predictions has both: the most probable class is in the column of the name.
    """
    there = [str(column) for column in columns]
    return [*probability_columns(there).get(name, {}).values()] or [name] * (name in there)


def names_of_columns(columns: Iterable[str]) -> list[str]:
    """Return the names that columns stand for, in order: columns of probabilities have one together."""
    there = [str(column) for column in columns]
    owner = {of: name for name, group in probability_columns(there).items() for of in group.values()}
    return list(dict.fromkeys(owner.get(column, column) for column in there))


def task_of(frame: pd.DataFrame, name: str) -> Task:
    """Tell numbers from classes: text, booleans, probabilities, and a few distinct whole numbers are these.

    Text among numbers, in fewer than half of the rows, is a typing error and no class.
    """
    if columns_named(name, frame.columns) != [name]:
        return "classification"
    column = frame[name]
    kind = pd.api.types.infer_dtype(column, skipna=True)
    if kind in ("boolean", "categorical"):
        return "classification"
    numbers = pd.to_numeric(column, errors="coerce")
    if (numbers.isna() & column.notna()).sum() > column.notna().sum() / 2:
        return "classification" if kind in ("string", "mixed", "mixed-integer") else "regression"
    values = numbers.to_numpy(dtype=np.float64, na_value=np.nan)
    return "classification" if few_whole_numbers(values[np.isfinite(values)]) else "regression"


def is_of_whole_numbers(frame: pd.DataFrame, name: str) -> bool:
    """Tell whether a column holds numbers, so that its classes could be quantities too."""
    return name in frame and frame[name].dtype != bool and pd.api.types.is_numeric_dtype(frame[name])


def read_classes(frame: pd.DataFrame, name: str, path: Path, true: tuple[str, ...] = ()) -> ClassLabels:
    """Read the classes, or their probabilities, that a table has under a name; an empty cell has none.

    Parameters
    ----------
    frame : DataFrame
    name : str
    path : Path
        For messages.
    true : tuple of str
        The classes of the truth, if known: where they are two, numbers from 0 to 1, some with a fraction, are
        the probability of the second.

    Raises
    ------
    InputError
        If there is no such column, it holds numbers with fractions, or a row is no distribution.
    """
    columns = columns_named(name, frame.columns)
    if not columns:
        raise InputError(f"{path}: no column {quoted(name)}; columns: {some(frame.columns)}")
    if columns == [name]:
        owner = share_of(frame, name, true)
        if owner is None:
            return class_labels(_classes(frame[name], path), f"{path}: column {name!r}")
        shares = numeric_column(frame[name], path, allow_missing=True, may_be_id=False)
        return class_labels(shares if owner == true[1] else 1 - shares, f"{path}: column {name!r}", true)
    values = [numeric_column(frame[column], path, allow_missing=True, may_be_id=False) for column in columns]
    table = np.column_stack(values)
    classes = [of for of, column in probability_columns(frame.columns)[name].items() if column in columns]
    return class_labels(table, f"{path}: columns {name}[...]", classes)


def share_of(frame: pd.DataFrame, name: str, true: tuple[str, ...]) -> str | None:
    """Return which of two classes a column of numbers is the probability of; None if it is not of one.

    It is that in the brackets of its name, and else the second. Numbers that are the classes are no
    probabilities.
    """
    if len(true) != 2 or columns_named(name, frame.columns) != [name]:
        return None
    if not pd.api.types.is_float_dtype(frame[name]):
        return None
    known = frame[name].dropna().to_numpy(dtype=np.float64)
    if not are_shares(known, true):
        return None
    owner = name.partition("[")[2].removesuffix("]")
    return owner if owner in true else true[1]


def shares_noted(frame: pd.DataFrame, names: Iterable[str], path: Path, true: tuple[str, ...]) -> list[str]:
    """Note which columns are taken as the probability of one of two classes, and of which."""
    owners = {name: share_of(frame, name, true) for name in names}
    said = {of: [quoted(name) for name, owner in owners.items() if owner == of] for of in true}
    return [
        f"{path}: {', '.join(shown)}: taken as the probability of {quoted(of)}"
        for of, shown in said.items()
        if shown
    ]


def of_one_class(labels: ClassLabels) -> str | None:
    """Return the class that every label is, if they are all one; else None."""
    known = labels.values[labels.labelled]
    return labels.classes[int(known[0].argmax())] if labels.is_hard and (known == known[0]).all() else None


def _classes(column: pd.Series, path: Path) -> NDArray[np.object_]:
    """A column of classes as text, None where a cell is empty."""
    missing = column.isna().to_numpy()
    if pd.api.types.is_float_dtype(column):
        values = column.to_numpy(dtype=np.float64, na_value=np.nan)
        bad = ~missing & (values != np.round(values))
        if bad.any():
            outside = ~missing & ((values < 0) | (values > 1))
            is_slip = 0 < 10 * outside.sum() <= (~missing).sum()  # among probabilities
            row = int((outside if is_slip else bad).argmax())
            raise InputError(
                f"{path}: column {str(column.name)!r}, row {row} (counted from 0): {values[row]:g} has a "
                f"fraction, and so is no class; give classes, or their probabilities in columns "
                f"{column.name}[class]"
            )
    if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
        return np.array([None if of else int(v) for v, of in zip(column, missing, strict=True)], dtype=object)
    texts = texts_of(column.astype(object), path).to_numpy(dtype=object)
    texts[missing | (texts == "")] = None
    return np.asarray(texts)
