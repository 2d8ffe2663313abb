"""The target of a table: numbers, or classes, whichever it holds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from weakstrong.class_kinds import is_share
from weakstrong.class_labels import ClassLabels
from weakstrong.data.class_columns import (
    columns_named,
    is_of_whole_numbers,
    names_of_columns,
    of_one_class,
    read_classes,
    task_of,
)
from weakstrong.data.columns import Task, real_valued
from weakstrong.data.ids import some
from weakstrong.errors import InputError, quoted

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Target:
    """The labels that a table has of one target.

    Parameters
    ----------
    name : str
    columns : tuple of str
        That it was read from: one, or those of the probabilities of the classes.
    task : {"regression", "classification"}
    values : array of shape (n,) or (n, c)
        Numbers, or a probability for each class; NaN where a row has none.
    classes : tuple of str
        Names of the classes; empty for numbers.
    notes : tuple of str
        Remarks for the user.
    """

    name: str
    columns: tuple[str, ...]
    task: Task
    values: Array
    classes: tuple[str, ...]
    notes: tuple[str, ...]

    def over(self, classes: tuple[str, ...]) -> Array:
        """Return the values with a column for each of these classes; numbers as they are."""
        return ClassLabels(self.classes, self.values).over(classes).values if classes else self.values


def read_target(frame: pd.DataFrame, path: Path, name: str, task: Task | None = None) -> Target:
    """Read a target, as numbers or as classes: as the task says, or as its values plainly are.

    Raises
    ------
    InputError
        If a value is neither, or no row has one; the message names file, column and row.
    """
    columns = tuple(columns_named(name, frame.columns))
    resolved = task or task_of(frame, name)
    if resolved == "regression":
        values = real_valued(frame[name], path, allow_missing=True)
        is_alone = name.endswith("]") and "[" in name and is_share(values[~np.isnan(values)])
        said = f"{path}: {name!r} is taken as numbers; if it is the probability of a class, give one for each"
        return Target(name, columns, resolved, values, (), (said,) if is_alone and task is None else ())
    labels = read_classes(frame, name, path)
    only = of_one_class(labels)
    if only is not None:
        raise InputError(
            f"{path}: column {name!r}: every label is {quoted(only)}; with one class there is nothing to "
            "learn or to judge: label rows of another one"
        )
    notes: tuple[str, ...] = ()
    if task is None and is_of_whole_numbers(frame, name):
        notes = (
            f"{path}: {quoted(name)} holds {len(labels.classes)} distinct whole numbers, which are taken as "
            "classes; if they are quantities, such as ratings, set the task to regression",
        )
    return Target(name, columns, resolved, labels.values, labels.classes, notes)


def target_names(frame: pd.DataFrame, path: Path, asked: tuple[str, ...], others: set[str]) -> list[str]:
    """Return the targets asked for, or else the only one whose columns have no other use."""
    for name in (*asked, *others):
        if not (columns_named(name, frame.columns) if name in asked else name in frame):
            setting = ["target"] if name in asked else []
            raise InputError(f"{path}: no column {name!r}; columns: {some(frame.columns)}", *setting)
        if name in asked and name in others:
            raise InputError(f"{path}: column {name!r} cannot be a target and ids, weights or groups too")
    if asked:
        return list(dict.fromkeys(asked))
    left = names_of_columns(c for c in frame.columns if c not in others)
    if len(left) != 1:
        raise InputError(f"{path}: name the target; columns: {some(left)}", "target")
    return left
