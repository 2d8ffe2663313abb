"""True and weak labels of a study from arrays: numbers, or classes in one order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from weakstrong.arrays import real_array
from weakstrong.class_kinds import few_whole_numbers, is_distribution, whole_as_classes
from weakstrong.class_labels import ClassLabels, all_classes, class_labels
from weakstrong.data.columns import Task
from weakstrong.errors import InputError
from weakstrong.votes import GivenLabels, Vote, combined_classes, combined_matrix

Array = NDArray[np.float64]
_CLASSES = ("string", "boolean", "categorical", "mixed-integer")
Given = dict[str, GivenLabels]


def study_labels(
    y: ArrayLike, weak_labels: Mapping[str, ArrayLike], vote: Vote, task: Task | None
) -> tuple[Array, tuple[str, ...], Given]:
    """Return true labels, the names of the classes if labels are classes, and weak labels.

    Raises
    ------
    InputError
        If it is not plain whether labels are classes and `task` does not say so, or they cannot be read.
    """
    if (task or _task_of(y)) == "classification":
        return _of_classes(y, weak_labels, vote)
    truth = np.asarray(real_array(y, "y", column=True), dtype=np.float64)
    if truth.ndim != 1:
        raise InputError(f"y has shape {truth.shape}; a study takes one target, shape (n,)")
    named = {str(name): values for name, values in weak_labels.items()}
    return truth, (), {name: _numbers(v, f"weak labels {name!r}", vote) for name, v in named.items()}


def _task_of(y: Any) -> Task:
    """Tell numbers from classes: text, booleans, categories, tables, and a few distinct whole numbers.

    Whole numbers as floats, as numpy has them beside missing ones, may be either, and are refused.
    """
    if hasattr(y, "columns") and len(y.columns) > 1:
        return "classification"
    given = y.iloc[:, 0] if hasattr(y, "columns") else y
    try:
        column = given if isinstance(given, pd.Series) else pd.Series(np.asarray(given))
    except ValueError:  # of several dimensions, or records
        return "regression"  # where it is refused
    kind = pd.api.types.infer_dtype(column, skipna=True)
    if kind in _CLASSES or (kind == "mixed" and any(isinstance(value, str | bool) for value in column)):
        return "classification"
    if kind not in ("integer", "floating"):
        return "regression"
    values = column.to_numpy(dtype=np.float64, na_value=np.nan)
    if not few_whole_numbers(values[np.isfinite(values)]):
        return "regression"
    if kind == "floating":
        raise InputError(
            "y holds a few distinct whole numbers as floats: if they are classes, set the task to "
            "classification; if quantities, such as ratings, or 0 and 1 as numbers, to regression",
            "task",
        )
    return "classification"


def _numbers(values: ArrayLike, name: str, vote: Vote) -> GivenLabels:
    """The labels of a supervisor, combined where a row has several."""
    array = np.asarray(real_array(values, name, column=True), dtype=np.float64)
    if array.ndim != 2:
        return GivenLabels(array)
    try:
        return combined_matrix(array, vote)
    except InputError as error:
        raise InputError(f"{name}: {error}", *error.settings) from error


def _of_classes(
    y: ArrayLike, weak_labels: Mapping[str, ArrayLike], vote: Vote
) -> tuple[Array, tuple[str, ...], Given]:
    """Labels over the classes that any of them names, in one order."""
    truth = class_labels(whole_as_classes(y), "y")
    read = {
        str(name): _given(whole_as_classes(values), f"weak labels {str(name)!r}", truth.classes)
        for name, values in weak_labels.items()
    }
    classes = all_classes(truth.classes, {name: labels.classes for name, (labels, _) in read.items()})
    found = {}
    for name, (labels, workers) in read.items():
        over = labels.over(classes)
        found[name] = GivenLabels.of_classes(over) if workers is None else _voted(over, workers, vote)
    return truth.over(classes).values, classes, found


def _given(values: Any, name: str, classes: tuple[str, ...]) -> tuple[ClassLabels, tuple[int, int] | None]:
    """The labels of a supervisor; those of several workers one after the other, with their shape."""
    if np.ndim(values) == 2 and not hasattr(values, "columns"):
        array = np.asarray(values)
        if array.dtype.kind != "f" or not is_distribution(array):
            return class_labels(array.ravel(), name), array.shape  # a column for each worker
        return class_labels(array, name, classes), None
    if hasattr(values, "columns") and set(map(str, values.columns)).isdisjoint(classes):
        array = values.to_numpy(dtype=object)
        return class_labels(array.ravel(), name), array.shape
    is_share = np.ndim(values) == 1 and np.asarray(values).dtype.kind == "f"
    return class_labels(values, name, classes if is_share else None), None


def _voted(labels: ClassLabels, shape: tuple[int, int], vote: Vote) -> GivenLabels:
    """Combine the labels of the workers of each row."""
    rows = np.repeat(np.arange(shape[0]), shape[1])
    there = labels.labelled
    known = ClassLabels(labels.classes, labels.values[there])
    return combined_classes(rows[there], known, shape[0], vote)
