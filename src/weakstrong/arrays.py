"""Checked arrays from what callers give: real numbers, weights, groups, and rows that are the same rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from weakstrong.errors import InputError, quoted

Array = NDArray[np.float64]

# Squares of labels in these limits, and their sums over rows and features, are far from the ends of float64.
SMALLEST, LARGEST = 1e-140, 1e140
LEAST_PROBABILITY = 1e-100  # what is divided by less may overflow
_EXTREME = 64  # weights of 2^±64 and beyond are counted in a unit of their own size
_BLOCK_BYTES = 1 << 24  # large enough for full speed, small beside what a program takes anyway
_KINDS = {
    "b": "true and false, which are classes: give scores, logits or probabilities",
    "c": "complex numbers (Complex data not supported): give real and imaginary parts as columns",
    "M": "dates or times: encode them as numbers",
    "m": "durations: divide them by a unit of time",
    "S": "bytes: convert them to numbers",
    "U": "text: convert it to numbers",
    "T": "text: convert it to numbers",
    "V": "records: give their fields as columns",
}


class KindError(InputError, TypeError):
    """Raised for input that holds objects which are not numbers."""


def row_blocks(n: int, width: int, *, least: int = 1, times: int = 1) -> Iterator[slice]:
    """Cut n rows into blocks of about 16 MiB of float64 (or several times that), `least` rows at least."""
    rows = max(times * _BLOCK_BYTES // (8 * max(width, 1)), least, 1)
    return (slice(start, min(start + rows, n)) for start in range(0, n, rows))


def real_array(values: Any, name: str, *, booleans: bool = False, column: bool = False) -> NDArray[Any]:
    """Return real numbers as an array, which is a copy only where they must be converted.

    Parameters
    ----------
    values : array-like
        A numeric pandas column may be nullable. NaN is a number here; a masked or missing cell is none.
    name : str
        What to call it in messages.
    booleans : bool
        Whether true and false are numbers, as they are in features and weights.
    column : bool
        Whether a table of one column stands for that column.

    Raises
    ------
    InputError
        If it is sparse, or holds anything else than real numbers; the message names the first fault.
    """
    if hasattr(values, "nnz"):
        raise InputError(f"{name}: sparse data are not supported; give a dense array (.toarray())")
    given = values
    if isinstance(values, np.ma.MaskedArray):
        masked = np.ma.getmaskarray(values)
        if masked.any():
            raise InputError(f"{name}: {_place(masked)} is masked; fill it in or leave the row out")
        given = values.data
    elif _is_labelled(values):
        given = _of_pandas(values, name, booleans)
    try:
        array = np.asarray(given)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name}: real numbers are needed, in rows of one length") from error
    kind = array.dtype.kind
    if kind == "O":
        array = _of_objects(array, name)
    elif kind not in ("fiub" if booleans else "fiu"):
        raise InputError(f"{name}: real numbers are needed, and it holds {_KINDS.get(kind, array.dtype)}")
    return _one_column(array, values) if column else array


def label_array(values: Any, name: str, *, column: bool = False) -> Array:
    """Return labels or predictions as finite float64 numbers whose squares do not overflow."""
    array = np.asarray(real_array(values, name, column=column), dtype=np.float64)
    refuse_infinite(array, name)
    if array.size and max(array.max(), -array.min()) > LARGEST:
        raise InputError(f"{name} goes beyond {LARGEST:g}, whose squares overflow: rescale the labels")
    return array


def refuse_infinite(values: NDArray[Any], name: str, start: int = 0) -> None:
    """Refuse the first value that is NaN or infinite, by name; rows are counted from `start`."""
    if values.dtype.kind != "f" or values.size == 0:
        return
    rows = np.atleast_1d(values)
    for block in row_blocks(len(rows), rows[0].size):
        with np.errstate(over="ignore", invalid="ignore"):
            if np.isfinite(rows[block].sum()):  # a quick look, which an overflow can only make look bad
                continue
        bad = ~np.isfinite(rows[block])
        if bad.any():
            raise InputError(
                f"{name}: {_place(bad, start + block.start)} is NaN, infinite or missing; fill it in"
            )


def refuse_other_rows(named: Mapping[str, Any]) -> None:
    """Refuse pandas objects of one length whose indexes differ: their rows would be matched by position.

    Arrays, lists and tables of other libraries have no index; their rows are matched by position.
    """
    labelled = [(name, values.index) for name, values in named.items() if _is_labelled(values)]
    for name, index in labelled[1:]:
        first, expected = labelled[0]
        if len(index) == len(expected) and not index.equals(expected):
            row = next((i for i, (a, b) in enumerate(zip(expected, index, strict=True)) if a != b), 0)
            raise InputError(
                f"{first} and {name} have different pandas indexes: row {row} (counted from 0) is "
                f"{quoted(str(expected[row]))} in one and {quoted(str(index[row]))} in the other; align them "
                "with .loc[] or .reindex(), or pass .to_numpy() to match rows by position"
            )


def broadcast(values: NDArray[Any], shape: tuple[int, ...], name: str) -> NDArray[Any]:
    """Repeat values to a shape, or refuse those that do not fit it, by name."""
    try:
        return np.broadcast_to(values, shape)
    except ValueError as error:
        raise InputError(f"{name} has shape {values.shape}; expected {shape}") from error


def power_of_two(values: Any, axis: int = 0) -> Array:
    """Return the power of two near the largest size along an axis, or 1 for zeros, to divide by exactly.

    What is divided by it can be squared without under- or overflow.
    """
    exponent = np.frexp(np.abs(np.asarray(values, dtype=np.float64)).max(axis, initial=0.0))[1]
    return np.ldexp(1.0, np.clip(exponent, -1074, 1023))


def row_weights(values: Any, n: int, name: str = "sample_weight") -> Array:
    """Return the weights of n rows, checked to be finite and non-negative; one number is that of all rows."""
    omega = np.asarray(real_array(values, name, booleans=True, column=True), dtype=np.float64)
    omega = np.full(n, omega) if omega.ndim == 0 else omega
    if omega.shape != (n,):
        raise InputError(f"{name} has shape {omega.shape}; expected ({n},)")
    bad = ~((omega >= 0) & np.isfinite(omega))
    if bad.any():
        raise InputError(
            f"{name}: {_place(bad)} is {omega[bad.argmax()]:g}; weights are finite, not negative"
        )
    with np.errstate(over="ignore"):
        if not np.isfinite(omega.sum()):
            raise InputError(f"{name}: the sum is too large for a float64; divide the weights by a number")
    return omega


def weight_unit(weight: Array) -> Array:
    """Return the unit to count weights of that sum in: 1, or the power of four below it if it is extreme."""
    exponent = np.clip(np.frexp(weight)[1] // 2 * 2 - 2, -1074, 1022)
    return np.ldexp(1.0, np.where(np.abs(exponent) > _EXTREME, exponent, 0))


def refuse_no_weight(weights: Array, name: str = "sample_weight") -> None:
    """Refuse weights that are all zero."""
    if not weights.any():
        raise InputError(f"{name} is not to be all zero: at least one row needs weight")


def group_array(groups: Any, n: int) -> NDArray[Any]:
    """Return the names of the groups of n rows, checked that none is missing.

    Names are compared as they are, as Python does: 1, 1.0 and True are one group, 1 and "1" are two.

    Raises
    ------
    InputError
        If there is not one for each row, or one is missing (None, NaN, NaT, NA, masked) or a list.
    """
    try:
        names = np.asarray(groups)
        if isinstance(groups, list | tuple) and names.dtype.kind in "USO":
            names = np.empty(len(groups), dtype=object)  # numpy would make text of what stands beside text
            names[:] = groups
    except ValueError as error:
        raise InputError("groups: give one name for each row, not lists of names") from error
    names = _one_column(names, groups)
    if names.shape != (n,):
        raise InputError(f"groups: shape {names.shape}; give one for each of {n} rows")
    missing = np.ma.getmaskarray(groups) if isinstance(groups, np.ma.MaskedArray) else np.zeros(n, dtype=bool)
    if names.dtype.kind == "O":
        from pandas import isna  # slow to import, and needed for such names alone

        missing = missing | isna(names)
        unhashable = next((g for g in names if getattr(g, "__hash__", None) is None), None)
        if unhashable is not None:
            raise InputError(f"groups: {quoted(unhashable)} is no name; give text or numbers")
    elif names.dtype.kind in "fcmM":
        missing = missing | np.isnan(names)
    if missing.any():
        raise InputError(f"groups: {_place(missing)} has none; name its group")
    return names


def group_numbers(names: NDArray[Any]) -> NDArray[np.int64]:
    """Number the groups of rows, in sorted order, or in order of appearance where names have no order."""
    try:
        return np.unique(names, return_inverse=True)[1].astype(np.int64)
    except TypeError:
        numbers: dict[Any, int] = {}
        return np.array([numbers.setdefault(g, len(numbers)) for g in names.tolist()], dtype=np.int64)


def whole_number(value: Any, name: str, said: str = "a whole number") -> int:
    """Return an integer setting; true and false, text and fractions are none."""
    if not isinstance(value, int | np.integer) or isinstance(value, bool):
        raise InputError(f"{name}={quoted(value)}: give {said}")
    return int(value)


def _is_labelled(values: Any) -> bool:
    """Whether it is a pandas Series or DataFrame, told without importing pandas."""
    return hasattr(values, "iloc") and hasattr(values, "index") and hasattr(values, "dtypes")


def _of_pandas(values: Any, name: str, booleans: bool) -> Any:
    """Numbers of a column or table with nullable or mixed types; anything else as numpy has it."""
    dtypes = [values.dtype] if hasattr(values, "dtype") else list(values.dtypes)
    if any(str(dtype).startswith("Sparse") for dtype in dtypes):
        raise InputError(f"{name}: sparse data are not supported; give dense columns (.sparse.to_dense())")
    kinds = {dtype.kind for dtype in dtypes}
    plain = all(isinstance(dtype, np.dtype) for dtype in dtypes)
    if not kinds <= set("fiub") or (plain and ("b" not in kinds or len(kinds) == 1)):
        return values
    if "b" in kinds and not booleans:
        raise InputError(f"{name}: real numbers are needed, and it holds {_KINDS['b']}")
    missing = bool(np.any(values.isna()))
    whole = None if missing else {"b": np.bool_, "i": np.int64}.get("".join(kinds))
    if whole is not None:
        return values.to_numpy(dtype=whole)
    return values.to_numpy(dtype=np.float64, na_value=np.nan)


def _of_objects(array: NDArray[Any], name: str) -> Array:
    """Numbers of an array of Python objects, if that is what all of them are."""
    for place, value in enumerate(array.ravel()):
        if not isinstance(value, int | float | np.integer | np.floating) or isinstance(value, bool):
            at = np.zeros(array.size, dtype=bool)
            at[place] = True
            raise KindError(
                f"{name}: real numbers are needed, and {_place(at.reshape(array.shape))} is {quoted(value)} "
                f"({type(value).__name__}): the argument must be free of strings and objects: give numbers"
            )
    try:
        return array.astype(np.float64)
    except OverflowError as error:
        raise InputError(f"{name}: holds an integer that is too large for a float64") from error


def _one_column(array: NDArray[Any], given: Any) -> NDArray[Any]:
    """The only column of a table, or the array as it is."""
    is_column = hasattr(given, "columns") and array.ndim == 2 and array.shape[1] == 1
    return array[:, 0] if is_column else array


def _place(found: NDArray[np.bool_], start: int = 0) -> str:
    """Say where the first true value is."""
    if found.ndim == 0:
        return "the value"
    row, *column = np.argwhere(found)[0].tolist()
    return f"row {start + row}{f', column {column[-1]}' if column else ''} (counted from 0)"
