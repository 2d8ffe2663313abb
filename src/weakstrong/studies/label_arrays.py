"""True and weak labels of a study from arrays: numbers, or classes in one order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from weakstrong.arrays import real_array
from weakstrong.class_kinds import (
    few_whole_numbers,
    is_distribution,
    is_of_columns,
    plain_array,
    whole_as_classes,
)
from weakstrong.class_labels import ClassLabels, class_labels, class_name
from weakstrong.class_predictions import all_classes, class_predictions
from weakstrong.data.columns import Task
from weakstrong.errors import InputError, quoted
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
        str(name): _given(values, f"weak labels {str(name)!r}", truth.classes)
        for name, values in weak_labels.items()
    }
    classes = all_classes(truth.classes, {name: labels.classes for name, (labels, _) in read.items()})
    found = {}
    for name, (labels, workers) in read.items():
        over = labels.over(classes)
        found[name] = GivenLabels.of_classes(over) if workers is None else _voted(over, workers, vote)
    return truth.over(classes).values, classes, found


def _given(values: Any, name: str, classes: tuple[str, ...]) -> tuple[ClassLabels, tuple[int, int] | None]:
    """The labels of a supervisor; those of several workers one after the other, with their shape.

    A table or matrix is of probabilities if its columns are the classes, by name or, without names, by their
    number, and its rows sum to one; else a column is a worker.
    """
    if not is_of_columns(values):
        return class_predictions(values, name, classes, named=False), None
    if hasattr(values, "columns"):
        owned = {class_name(column) for column in values.columns}
        is_said = not owned.isdisjoint(classes) and is_distribution(values)
    else:
        values = plain_array(values)
        is_said = values.shape[1] == len(classes) and is_distribution(values)
    if is_said:
        return class_labels(values, name, None if hasattr(values, "columns") else classes), None
    columns = values.to_numpy(dtype=object) if hasattr(values, "columns") else values
    try:
        return class_labels(whole_as_classes(columns.ravel()), name), columns.shape
    except InputError as error:
        if columns.dtype.kind != "f":
            raise
        raise InputError(
            f"{error}; a matrix of probabilities has a column for each of the classes {quoted(list(classes))}"
        ) from error


def _voted(labels: ClassLabels, shape: tuple[int, int], vote: Vote) -> GivenLabels:
    """Combine the labels of the workers of each row."""
    rows = np.repeat(np.arange(shape[0]), shape[1])
    there = labels.labelled
    known = ClassLabels(labels.classes, labels.values[there])
    return combined_classes(rows[there], known, shape[0], vote)
