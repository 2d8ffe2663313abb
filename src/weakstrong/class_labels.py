"""Labels that are classes, hard or as probabilities, in one form: a probability for each class."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from weakstrong.arrays import Array, real_array
from weakstrong.class_kinds import SINGLE, is_share, plain_array
from weakstrong.divergence import is_one_hot
from weakstrong.errors import InputError, counted, quoted

SMOOTHING = 0.05
_ROUNDED, _MOST_ROUNDED = 0.005 + 1e-9, 0.05  # of each probability, with two digits, and of their sum


@dataclass(frozen=True, eq=False)
class ClassLabels:
    """Labels that are classes: a distribution over the classes for each row.

    Parameters
    ----------
    classes : tuple of str
        Names of the classes, in the order of the columns.
    values : array of shape (n, c)
        Probabilities; NaN in the whole row where it has no label.
    """

    classes: tuple[str, ...]
    values: Array

    @property
    def labelled(self) -> NDArray[np.bool_]:
        """Which rows have a label."""
        return is_labelled(self.values)

    @property
    def is_hard(self) -> bool:
        """Whether every label is one class."""
        return is_one_hot(self.values[self.labelled])

    def over(self, classes: Sequence[str]) -> ClassLabels:
        """Return the same labels over other classes: more of them, or in another order."""
        missing = set(self.classes) - set(classes)
        if missing:
            raise InputError(f"class {quoted(min(missing))} is none of {quoted(list(classes))}")
        values = np.zeros((len(self.values), len(classes)))
        values[:, [list(classes).index(name) for name in self.classes]] = self.values
        values[~self.labelled] = np.nan
        return ClassLabels(tuple(classes), values)

    def names(self) -> NDArray[np.object_]:
        """Return the most probable class of each row, the first of several; None where there is no label."""
        best = np.where(self.labelled, np.argmax(np.nan_to_num(self.values), axis=1), len(self.classes))
        return np.array([*self.classes, None], dtype=object)[best]


def class_labels(values: Any, name: str, classes: Sequence[Any] | None = None) -> ClassLabels:
    """Read labels that are classes: one for each row, or a column of probabilities for each class.

    Parameters
    ----------
    values : array-like of shape (n,) or (n, c), or DataFrame
        Classes (text, booleans or whole numbers; None or NaN where there is none), or probabilities, whose
        columns a DataFrame names. One number between 0 and 1 a row is the probability of the second of two
        classes.
    name : str
        What to call it in messages.
    classes : sequence, optional
        Names of the columns of probabilities, and all classes that a label may be. Names are compared as
        text: 1 and "1" are one class.

    Raises
    ------
    InputError
        If a probability is negative or those of a row do not sum to one, or a label is none of the classes.
    """
    values = squeezed(values, name)
    if classes is not None and not isinstance(classes, Iterable):
        raise InputError(f"classes={quoted(classes)}: give the names of the classes, in order", "classes")
    given = None if classes is None else _names(list(classes), name)
    if (ndim := np.ndim(values)) == 2:
        columns = _names(list(values.columns), name) if hasattr(values, "columns") else given
        matrix = np.asarray(real_array(values, name, booleans=True), dtype=np.float64)
        columns = columns or tuple(str(i) for i in range(matrix.shape[1]))
        if matrix.shape[1] != len(columns):
            raise InputError(
                f"{name} has {counted(matrix.shape[1], 'column')} of probabilities, and there are "
                f"{len(columns)} classes: {quoted(list(columns))}"
            )
        found = ClassLabels(columns, _distributions(matrix, name))
        return found if given is None or given == columns else found.over(given)
    if ndim != 1:
        raise InputError(f"{name} has {ndim} dimensions; give classes (n,) or probabilities (n, c)")
    array = _column(values, name)
    if array.dtype.kind == "f":
        return _second_of_two(array, name, given)
    return _hard(array, name, given)


def one_hot(names: Iterable[Any], classes: Sequence[str]) -> Array:
    """Return a column for each class, one where a row is of it; NaN in a row that names no class."""
    from pandas import factorize

    place = {name: i for i, name in enumerate(classes)}
    codes, unique = factorize(np.asarray(names, dtype=object))  # -1 where one is missing
    at = np.array([*(place[class_name(name)] for name in unique), -1], dtype=np.int64)[codes]
    values = np.eye(len(classes))[at]
    values[at < 0] = np.nan
    return np.asarray(values)


def is_labelled(values: Array) -> NDArray[np.bool_]:
    """Tell which rows of labels, (n,) numbers or (n, c) probabilities, have one."""
    return ~np.isnan(values if values.ndim == 1 else values[:, 0])


def class_name(value: Any) -> str:
    """Return a class as text: 1.0 is 1, True is True, bytes are UTF-8."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value)


def in_order(values: Iterable[Any]) -> tuple[str, ...]:
    """Return the names of classes in scikit-learn's order: numbers by size, text as text."""
    unique = {class_name(value): value for value in values}
    is_text = any(isinstance(value, str | bytes) for value in unique.values())
    return tuple(sorted(unique, key=str if is_text else lambda name: (float(unique[name]), name)))


def smoothed(values: Array, smoothing: float) -> Array:
    """Mix distributions with the uniform one, ``(1 − ε) p + ε / c``, where one of them has a zero.

    All rows are mixed or none, so that what is said of them is said of one supervisor. Labels whose
    probabilities are all positive are left as they are.
    """
    if not (values == 0).any():
        return values
    return (1 - smoothing) * values + smoothing / values.shape[-1]


def in_simplex(values: Array) -> Array:
    """Return the distributions, along the last axis, that are nearest to values: their L2 projection.

    It is ``max(v − t, 0)`` with the t for which that sums to one (Held, Wolfe and Crowder 1974).
    """
    falling = -np.sort(-values, axis=-1)
    excess = (falling.cumsum(-1) - 1) / np.arange(1, values.shape[-1] + 1)
    kept = (falling > excess).sum(-1, keepdims=True)  # how many stay positive
    return np.asarray(np.maximum(values - np.take_along_axis(excess, kept - 1, -1), 0.0))


def check_smoothing(smoothing: float) -> float:
    """Refuse a share of the uniform distribution that is not above 0 and below 1."""
    if isinstance(smoothing, bool) or not isinstance(smoothing, int | float) or not 0 < smoothing < 1:
        raise InputError(f"smoothing={quoted(smoothing)}: give a share above 0 and below 1", "smoothing")
    return float(smoothing)


def is_whole(name: str) -> bool:
    """Tell whether the name of a class is a whole number."""
    return name.removeprefix("-").isdecimal()


def _names(classes: list[Any], name: str) -> tuple[str, ...]:
    """Names of classes as text, each of them once."""
    names = [class_name(c) for c in classes]
    if len(set(names)) < len(names):
        twice = next(n for n in names if names.count(n) > 1)
        raise InputError(f"{name}: class {quoted(twice)} is there twice; give each a name of its own")
    return tuple(names)


def squeezed(values: Any, name: str) -> Any:
    """Labels as they are, but for a table or matrix of one column, which is that column."""
    if hasattr(values, "columns"):
        return values.iloc[:, 0] if len(values.columns) == 1 else values
    array = plain_array(values)
    if array is None:
        raise InputError(f"{name}: rows have several lengths; give classes (n,) or probabilities (n, c)")
    return array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else values


def _column(values: Any, name: str) -> NDArray[Any]:
    """A column of classes as objects, or of floats as they are; missing ones are None."""
    array = plain_array(values)
    assert array is not None
    if array.dtype.kind == "f":
        return array
    if array.dtype.kind not in "OUSTbiu":
        raise InputError(f"{name} holds {array.dtype}; classes are text, booleans or whole numbers")
    if isinstance(values, list | tuple):  # numpy would make text of what stands beside text
        array = np.empty(len(values), dtype=object)
        array[:] = list(values)
    from pandas import isna

    objects = array.astype(object)
    objects[isna(objects)] = None
    return objects


def _hard(array: NDArray[Any], name: str, classes: tuple[str, ...] | None) -> ClassLabels:
    """One-hot distributions of classes."""
    known = np.array([value is not None for value in array])
    if not known.any():
        raise InputError(f"{name}: no row has a label; at least one row needs one")
    for row in np.flatnonzero(known).tolist():
        value = array[row]
        is_number = isinstance(value, float | np.floating) and not float(value).is_integer()
        if is_number or not isinstance(value, str | bytes | bool | np.bool_ | int | np.integer | float):
            raise InputError(
                f"{name}: row {row} (counted from 0) is {quoted(value)}; classes are text, booleans or whole "
                "numbers"
            )
    texts = [class_name(value) for value in array[known]]
    there = in_order(array[known]) if classes is None else classes
    place = {text: i for i, text in enumerate(there)}
    other = next((text for text in texts if text not in place), None)
    if other is not None:
        row = int(np.flatnonzero(known)[texts.index(other)])
        raise InputError(
            f"{name}: row {row} (counted from 0) is {quoted(other)}, none of the classes "
            f"{quoted(list(there))}; correct it, or name all classes"
        )
    values = np.full((len(array), len(there)), np.nan)
    values[known] = np.eye(len(there))[[place[text] for text in texts]]
    return ClassLabels(there, values)


def _second_of_two(array: Array, name: str, classes: tuple[str, ...] | None) -> ClassLabels:
    """Distributions over two classes from the probability of the second."""
    if classes is None or len(classes) != 2 or not is_share(array[~np.isnan(array)]):
        raise InputError(
            f"{name} holds numbers that are no classes; give classes (text, booleans or whole numbers), a "
            "column of probabilities for each class, or, of two classes, which classes= names in order, the "
            "probability of the second"
        )
    share = np.clip(array, 0.0, 1.0)
    return ClassLabels(classes, np.stack([1 - share, share], axis=1))


def _distributions(matrix: Array, name: str) -> Array:
    """Probabilities that sum to one in each row; a row that is all missing stays so."""
    missing = np.isnan(matrix)
    empty = missing.all(1)
    bad = (missing.any(1) & ~empty) | (matrix < -SINGLE).any(1) | np.isinf(matrix).any(1)
    if bad.any():
        row = int(bad.argmax())
        raise InputError(
            f"{name}: row {row} (counted from 0) has the probabilities {quoted(matrix[row].tolist())}; give "
            "each class a number from 0 to 1, or leave the whole row empty; scores that are no probabilities "
            "can be measured in squared error, beside a truth of one-hot columns"
        )
    matrix = np.maximum(matrix, 0.0)
    sums = matrix.sum(1)
    off = ~empty & ~(np.abs(sums - 1) <= min(_ROUNDED * matrix.shape[1], _MOST_ROUNDED))
    if off.any():
        row = int(off.argmax())
        raise InputError(
            f"{name}: the probabilities of row {row} (counted from 0) sum to {sums[row]:.4g}, not to 1; give "
            "a column for every class, and divide each row by its sum"
        )
    if empty.all():
        raise InputError(f"{name}: no row has a label; at least one row needs one")
    return np.asarray(matrix / sums[:, None])
