"""Checked columns of users' tables: numbers, targets, weights. Errors name file, column and row.

Rows are counted from 0 in every message.
"""

from __future__ import annotations

from datetime import date, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from weakstrong.data.ids import kinds_of
from weakstrong.errors import InputError

Task = Literal["regression", "classification"]
TOO_LARGE = np.float64(1e100)  # squares and their sums stay far from overflow below it
_AS_CLASSES = "set the task to classification, or give numbers"
_TIMES = (np.datetime64, np.timedelta64, date, time, timedelta, pd.Period)
_NUMBERS = (np.number, np.bool_, int, float, Decimal, str, type(None), type(pd.NA))


def numeric_column(
    column: pd.Series, path: Path, *, allow_missing: bool = False, may_be_id: bool = True
) -> NDArray[np.float64]:
    """Return a column as finite floats, with NaN for missing values where those are allowed."""
    where = f"{path}: column {str(column.name)!r}"
    kinds = kinds_of(column)
    _refuse_other_kinds(kinds, where)
    numbers = _numbers(column)
    text = np.asarray(numbers.isna() & column.notna())
    if bool in kinds and column.dtype == object:  # among missing values only they are 0 and 1
        truths = column.map(lambda value: isinstance(value, bool))
        text = text | np.asarray(truths & ~(truths | column.isna()).all())
    if text.any():
        row = int(text.argmax())
        fault = f"{where}, row {row} (counted from 0): {_shown(column.iloc[row])} is not a number"
        if not may_be_id:
            raise InputError(f"{fault}; correct it, or encode the column as numbers")
        raise InputError(
            f"{fault}; correct it; or if the column is no number, remove it, name it as the id, or encode it",
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


def _numbers(column: pd.Series) -> pd.Series:
    """Return a column as numbers, with NaN where there is none."""
    try:
        return pd.to_numeric(column, errors="coerce")
    except OverflowError:  # an integer beyond floats is infinite
        return _numbers(column.map(lambda value: str(value) if isinstance(value, int) else value))


def _refuse_other_kinds(kinds: set[type], where: str) -> None:
    """Refuse values that are neither numbers nor text, which may hold one."""
    for kind in kinds:
        if issubclass(kind, _TIMES):
            raise InputError(f"{where} holds dates or times; remove the column, or encode it as numbers")
        if issubclass(kind, list | tuple | dict | np.ndarray):
            raise InputError(
                f"{where} holds lists or records; give each element a column, or save a matrix as .npy"
            )
        if not issubclass(kind, _NUMBERS):
            raise InputError(f"{where} holds {kind.__name__}; remove the column, or encode it as numbers")


def fault_of(value: float) -> str:
    """Describe what is wrong with a number, and the remedy."""
    if np.isfinite(value):
        return f"{value:.3g} is too large to be squared; rescale the column"
    fault = "a missing value (NaN)" if np.isnan(value) else "infinity"
    return f"{fault}; fill it in or leave the row out"


def real_valued(column: pd.Series, path: Path, *, allow_missing: bool = False) -> NDArray[np.float64]:
    """Return a target of numbers as floats; text and booleans are refused."""
    where = f"{path}: target column {str(column.name)!r}"
    kinds = kinds_of(column)
    if not kinds.isdisjoint({bool, np.bool_}):
        raise InputError(f"{where} holds true and false, which are classes; {_AS_CLASSES}", "task")
    _refuse_other_kinds(kinds, where)
    if not pd.api.types.is_numeric_dtype(column):
        text = np.asarray(_numbers(column).isna() & column.notna())
        if text.sum() > column.notna().sum() / 2:  # fewer are typing errors, not classes
            row = int(text.argmax())
            raise InputError(
                f"{where}, row {row} (counted from 0): {_shown(column.iloc[row])} is not a number; "
                f"{_AS_CLASSES}",
                "task",
            )
    values = numeric_column(column, path, allow_missing=allow_missing)
    if np.isnan(values).all():
        raise InputError(f"{where} has no value; at least one row needs a label")
    return values


def row_weights(column: pd.Series, path: Path) -> NDArray[np.float64]:
    """Return the weights of rows, checked to be finite, non-negative and not all zero."""
    values = numeric_column(column, path, may_be_id=False)
    if (values < 0).any() or not (values > 0).any():
        row = int((values < 0).argmax())
        raise InputError(
            f"{path}: column {column.name!r}, row {row} (counted from 0): weight {values[row]:g}; "
            "weights are non-negative and not all zero"
        )
    return values


def _shown(value: Any) -> str:
    text = repr(str(value))
    return text if len(text) <= 40 else text[:37] + "...'"
