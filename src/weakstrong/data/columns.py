"""Checked columns of users' tables: numbers, targets, weights, groups. Errors name file, column and row.

Rows are counted from 0 in every message.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from weakstrong.data.ids import some
from weakstrong.errors import InputError

TOO_LARGE = np.float64(1e100)  # squares and their sums stay far from overflow below it
_MAX_CLASSES = 10


def numeric_column(column: pd.Series, path: Path, *, allow_missing: bool = False) -> NDArray[np.float64]:
    """Return a column as finite floats, with NaN for missing values where those are allowed."""
    where = f"{path}: column {str(column.name)!r}"
    if column.dtype.kind in "mM":
        raise InputError(f"{where} holds dates or times; remove the column, or encode it as numbers")
    if column.dtype == object and isinstance(next(iter(column), None), list | tuple | np.ndarray):
        raise InputError(f"{where} holds lists; give each element a column, or save the matrix as .npy")
    numbers = pd.to_numeric(column, errors="coerce")
    text = np.asarray(numbers.isna() & column.notna())
    if text.any():
        row = int(text.argmax())
        raise InputError(
            f"{where}, row {row} (counted from 0): {_shown(column.iloc[row])} is not a number; "
            "correct it; or if the column is no number, remove it, name it as the id, or encode it",
            "id",
        )
    values = numbers.to_numpy(dtype=np.float64, na_value=np.nan)
    bad = ~(np.abs(values) < TOO_LARGE)
    if allow_missing:
        bad &= ~np.isnan(values)
    if bad.any():
        row = int(bad.argmax())
        raise InputError(f"{where}, row {row} (counted from 0): {fault_of(values[row])}")
    return np.asarray(values)


def fault_of(value: float) -> str:
    """Describe what is wrong with a number, and the remedy."""
    if np.isfinite(value):
        return f"{value:.3g} is too large to be squared; rescale the column"
    fault = "a missing value (NaN)" if np.isnan(value) else "infinity"
    return f"{fault}; fill it in or leave the row out"


def real_valued(column: pd.Series, path: Path, *, allow_missing: bool = False) -> NDArray[np.float64]:
    """Return a regression target as floats; class labels (text, booleans, few integers) are refused."""
    where = f"{path}: target column {str(column.name)!r}"
    reason = (
        "weakstrong fits real values with squared loss and does not support classification yet; "
        "give scores, logits or probabilities instead of classes"
    )
    if pd.api.types.is_bool_dtype(column):
        raise InputError(f"{where} holds true and false; {reason}")
    if not pd.api.types.is_numeric_dtype(column) and column.dtype.kind not in "mM":
        text = np.asarray(pd.to_numeric(column, errors="coerce").isna() & column.notna())
        if text.sum() > column.notna().sum() / 2:  # fewer are typing errors, not classes
            row = int(text.argmax())
            raise InputError(
                f"{where}, row {row} (counted from 0): {_shown(column.iloc[row])} is not a number; {reason}"
            )
    values = numeric_column(column, path, allow_missing=allow_missing)
    known = values[~np.isnan(values)]
    if len(known) == 0:
        raise InputError(f"{where} has no value; at least one row needs a label")
    distinct = np.unique(known)
    few = len(distinct) <= _MAX_CLASSES and len(known) >= 3 * len(distinct)
    if few and len(distinct) > 1 and np.array_equal(distinct, np.round(distinct)):
        raise InputError(f"{where} looks like classes ({len(distinct)} distinct integers); {reason}")
    return values


def target_names(frame: pd.DataFrame, path: Path, asked: tuple[str, ...], others: set[str]) -> list[str]:
    """Return the target columns asked for, or else the only column that has no other use."""
    for name in (*asked, *others):
        if name not in frame:
            raise InputError(f"{path}: no column {name!r}; columns: {some(frame.columns)}")
        if name in asked and name in others:
            raise InputError(f"{path}: column {name!r} cannot be a target and ids, weights or groups too")
    if asked:
        return list(dict.fromkeys(asked))
    left = [str(c) for c in frame.columns if c not in others]
    if len(left) != 1:
        raise InputError(f"{path}: name the target; columns: {some(left)}", "target")
    return left


def row_weights(column: pd.Series, path: Path) -> NDArray[np.float64]:
    """Return the weights of rows, checked to be finite, non-negative and not all zero."""
    values = numeric_column(column, path)
    if (values < 0).any() or not (values > 0).any():
        row = int((values < 0).argmax())
        raise InputError(
            f"{path}: column {column.name!r}, row {row} (counted from 0): weight {values[row]:g}; "
            "weights are non-negative and not all zero"
        )
    return values


def group_names(column: pd.Series, path: Path) -> NDArray[np.str_]:
    """Return the groups of rows as text, checked that none is missing."""
    missing = np.asarray(column.isna())
    if missing.any():
        raise InputError(f"{path}: column {column.name!r}, row {missing.argmax()} (counted from 0): no group")
    return column.astype(str).to_numpy(dtype=np.str_)


def _shown(value: Any) -> str:
    text = repr(str(value))
    return text if len(text) <= 40 else text[:37] + "...'"
