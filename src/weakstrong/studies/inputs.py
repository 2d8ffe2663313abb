"""The inputs of a study: features, labels and splits of its rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from weakstrong.arrays import LARGEST, SMALLEST, refuse_infinite
from weakstrong.data.columns import refuse_classes
from weakstrong.errors import InputError

Array = NDArray[np.float64]

# Of the table of predictions, beside those that start with y_.
_COLUMNS = {"split", "division", "row", "id", "cluster", "role", "heads", "student", "supervisor"}


@dataclass(frozen=True)
class Split:
    """Rows to train on and rows to judge on, by number.

    Parameters
    ----------
    name : str
    train, test : array of int
    supervised : array of int, optional
        The training rows with true labels, all others being the student's. With it the split is one division,
        given whole; without it each division draws them at random.
    """

    name: str
    train: NDArray[np.int64]
    test: NDArray[np.int64]
    supervised: NDArray[np.int64] | None = None

    @property
    def is_whole(self) -> bool:
        """Whether nothing is left to draw."""
        return self.supervised is not None


@dataclass(frozen=True)
class StudyInputs:
    """Everything a study looks at, rows in one order. Swapping supervisors and students swaps roles.

    Parameters
    ----------
    supervisors : mapping of name to array of shape (n, d_w)
        Features of each supervisor.
    students : mapping of name to array of shape (n, d_s)
        Features of each student.
    y : array of shape (n,)
        True labels.
    target : str
        What they are of.
    ids : array of str of shape (n,), optional
    groups : array of shape (n,), optional
        Rows of one group stay on one side of every division, and are one cluster.
    splits : tuple of Split
        Empty for random ones.
    untrained : mapping of name to array of shape (draws, n, d)
        Features of a student's architecture without training, as a control, for students that have one.
    display : mapping of name to array of shape (n,)
        Columns for display only, such as the text of each row.
    notes : tuple of str
    """

    supervisors: Mapping[str, NDArray[Any]]
    students: Mapping[str, NDArray[Any]]
    y: Array
    target: str = "y"
    ids: NDArray[np.str_] | None = None
    groups: NDArray[Any] | None = None
    splits: tuple[Split, ...] = ()
    untrained: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    display: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def check_inputs(inputs: StudyInputs, task: str | None = None) -> None:
    """Refuse arrays that cannot be studied, naming the first fault; `task` is as in `StudyOptions`."""
    named = {f"weak features {name!r}": values for name, values in inputs.supervisors.items()}
    named |= {f"strong features {name!r}": values for name, values in inputs.students.items()}
    for role, there in (("supervisor", inputs.supervisors), ("student", inputs.students)):
        if not there:
            raise InputError(f"a study needs the features of at least one {role}")
    for name, values in named.items():
        if values.ndim != 2 or values.dtype.kind not in "fiub":
            raise InputError(
                f"{name}: shape {values.shape}, {values.dtype}; give real numbers (rows, features)"
            )
        if len(values) != len(inputs.y):
            raise InputError(
                f"{name}: {len(values)} rows, but {len(inputs.y)} labels; give a row for each label"
            )
        refuse_infinite(values, name)
    if inputs.y.ndim != 1:
        raise InputError(f"labels have shape {inputs.y.shape}; a study takes one target, shape (n,)")
    refuse_infinite(inputs.y, "labels")
    refuse_classes(inputs.y, f"target {inputs.target!r}", task)
    largest = np.abs(inputs.y).max(initial=0.0)
    if largest > LARGEST or 0 < largest < SMALLEST:
        raise InputError(
            f"labels go up to {largest:.3g} in size; to be squared they need between {SMALLEST:g} and "
            f"{LARGEST:g}: rescale the labels"
        )
    for split in inputs.splits:
        _check_split(split, len(inputs.y))
    names = [split.name for split in inputs.splits]
    if len(set(names)) < len(names):
        twice = next(n for n in names if names.count(n) > 1)
        raise InputError(f"split {twice!r} is there twice; give every split a name of its own")
    _check_controls(inputs)
    columns = {"groups": inputs.groups, **{f"display {k!r}": v for k, v in inputs.display.items()}}
    for name, column in columns.items():
        if column is not None and column.shape != inputs.y.shape:
            raise InputError(f"{name}: shape {column.shape}; give one for each of {len(inputs.y)} rows")


def _check_controls(inputs: StudyInputs) -> None:
    """Refuse untrained controls and display columns that cannot be used."""
    for name, draws in inputs.untrained.items():
        if name not in inputs.students:
            raise InputError(f"untrained {name!r}: there is no such student")
        if draws.ndim != 3 or draws.shape[1] != len(inputs.y) or draws.dtype.kind not in "fiub":
            raise InputError(
                f"untrained {name!r}: shape {draws.shape}, {draws.dtype}; give real numbers "
                f"(draws, {len(inputs.y)} rows, features)"
            )
        for draw in draws:
            refuse_infinite(draw, f"untrained {name!r}")
    taken = [name for name in inputs.display if name in _COLUMNS or name.startswith("y_")]
    if taken:
        raise InputError(f"display {taken[0]!r}: predictions have a column of that name; choose another")


def _check_split(split: Split, n: int) -> None:
    """Refuse row numbers that are out of range or repeated."""
    own = np.empty(0, dtype=np.int64) if split.supervised is None else split.supervised
    rows = np.concatenate([split.train, split.test])
    outside = rows[(rows < 0) | (rows >= n)]
    if len(outside):
        raise InputError(f"split {split.name!r}: rows go from 0 to {n - 1}; got {outside[0]}")
    for part in (own, split.train, split.test):
        numbers, times = np.unique(part, return_counts=True)
        twice = numbers[times > 1]
        if len(twice):
            said = "is both a supervised row and a student's" if np.isin(twice[0], own) else "is there twice"
            said = "is there twice" if part is own else said
            mask = "; a mask is of True and False: .astype(bool)" if set(numbers) <= {0, 1} else ""
            raise InputError(f"split {split.name!r}: row {twice[0]} {said}{mask}")
