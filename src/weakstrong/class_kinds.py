"""Telling classes from numbers, by what labels hold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

SINGLE = 1e-6  # roundings of single precision
_MOST = 10  # distinct whole numbers that are taken as classes


def is_of_classes(values: Any) -> bool:
    """Tell whether labels are plainly classes: text, booleans or categories.

    A table of numbers is of as many targets, even where its rows sum to one.
    """
    if hasattr(values, "columns"):
        if len(values.columns) > 1:
            return False
        values = values.iloc[:, 0]
    dtype = getattr(values, "dtype", None)
    if dtype is not None and not isinstance(dtype, np.dtype):  # of pandas
        return dtype.kind in "OUSTb"
    array = plain_array(values)
    if array is None:
        return False
    if array.dtype.kind == "O":
        return any(isinstance(value, str | bytes | bool | np.bool_) for value in array.ravel())
    return array.dtype.kind in "USTb"


def is_of_columns(values: Any) -> bool:
    """Tell whether labels have several columns, as probabilities have: one for each class."""
    if hasattr(values, "columns"):
        return len(values.columns) > 1
    array = plain_array(values)
    return array is not None and array.ndim == 2 and array.shape[1] > 1


def is_distribution(values: Any) -> bool:
    """Tell whether rows are probabilities: numbers from 0 to 1 that sum to about one, or empty."""
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        return False
    known = array[~np.isnan(array).any(axis=1)]
    return bool(len(known) and (known >= 0).all() and (np.abs(known.sum(axis=1) - 1) < 0.5).all())


def is_share(known: Array) -> bool:
    """Tell whether numbers are from 0 to 1, but for rounding."""
    return bool(((known >= -SINGLE) & (known <= 1 + SINGLE)).all())


def few_whole_numbers(values: Array) -> bool:
    """Tell whether there are at most ten distinct values, whole ones, each three times on average."""
    known = values[~np.isnan(values)]
    distinct = np.unique(known)
    few = 1 < len(distinct) <= _MOST and len(known) >= 3 * len(distinct)
    return few and np.array_equal(distinct, np.round(distinct))


def may_be_classes(truth: Array, others: Sequence[Array]) -> bool:
    """Tell whether whole numbers and what is said of them can be classes.

    The truth is `few_whole_numbers`, and each of the others is of the same numbers, or of probabilities: a
    column for each of them or, where they are two, one column.
    """
    if not few_whole_numbers(truth):
        return False
    distinct = np.unique(truth[~np.isnan(truth)])
    return all(_is_said_of(distinct, values) for values in others)


def _is_said_of(classes: Array, values: Array) -> bool:
    """Tell whether numbers can be some of the classes, or their probabilities."""
    if values.ndim == 2:
        return values.shape[1] == len(classes) and is_distribution(values)
    known = values[~np.isnan(values)]
    return (len(classes) == 2 and is_share(known)) or bool(np.isin(known, classes).all())


def whole_as_classes(values: Any) -> Any:
    """Return labels with whole numbers that are floats, as beside missing ones, as the classes they are."""
    array = None if hasattr(values, "columns") else plain_array(values)
    if array is None or array.ndim != 1 or array.dtype.kind != "f":
        return values
    known = array[~np.isnan(array)]
    if not len(known) or (known != np.round(known)).any():
        return values
    return np.array([None if np.isnan(v) else int(v) for v in array], dtype=object)


def plain_array(values: Any) -> NDArray[Any] | None:
    """Return values as an array, missing ones as NaN among floats and else as None, or NA of pandas.

    Whole numbers stay whole beside missing ones. It is None if rows have several lengths.
    """
    dtype = getattr(values, "dtype", None)
    is_float = getattr(dtype, "kind", "") == "f"
    if isinstance(values, np.ma.MaskedArray):
        array = values.data.astype(np.float64 if is_float else object)
        array[np.ma.getmaskarray(values)] = None  # NaN, among floats
        return np.asarray(array)
    if dtype is not None and not isinstance(dtype, np.dtype):  # of pandas
        if is_float:
            return np.asarray(values.to_numpy(dtype=np.float64, na_value=np.nan))
        is_whole = dtype.kind in "iu" and not np.any(values.isna())
        return np.asarray(values.astype(np.int64 if is_whole else object))
    try:
        return np.asarray(values)
    except ValueError:
        return None
