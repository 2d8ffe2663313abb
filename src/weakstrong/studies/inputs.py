"""The inputs of a study: features, labels and splits of its rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from weakstrong.arrays import (
    LARGEST,
    LEAST_PROBABILITY,
    SMALLEST,
    refuse_infinite,
    refuse_no_weight,
    row_weights,
)
from weakstrong.class_labels import is_labelled
from weakstrong.errors import InputError, quoted
from weakstrong.votes import GivenLabels

Array = NDArray[np.float64]

# Of the table of predictions, beside those that start with y_.
_COLUMNS = {
    "split", "division", "row", "id", "cluster", "role", "weight", "probability", "heads", "student",
    "supervisor",
}  # fmt: skip


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
        Features of each supervisor whose head is fitted to true labels.
    students : mapping of name to array of shape (n, d_s)
        Features of each student.
    y : array of shape (n,) or (n, c)
        True labels, or a probability for each class; NaN where a row has none.
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
    weak_labels : mapping of name to GivenLabels
        Labels of each supervisor whose labels exist already, about which nothing is assumed.
    classes : tuple of str
        Names of the classes, where labels are classes.
    weights : array of shape (n,), optional
        What each row counts for, in fitting and in judging.
    label_probability : array of shape (n,), optional
        Probability with which a row was drawn to get its true label; NaN where it has none. True labels
        weigh the inverse.
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
    weak_labels: Mapping[str, GivenLabels] = field(default_factory=dict)
    classes: tuple[str, ...] = ()
    weights: Array | None = None
    label_probability: Array | None = None

    @property
    def has_truth(self) -> NDArray[np.bool_]:
        """Which rows have a true label, shape (n,)."""
        return is_labelled(self.y)

    @property
    def has_label(self) -> NDArray[np.bool_]:
        """Which rows have a true or a weak label: all, if a supervisor has features. Others are of no use."""
        if self.supervisors:
            return np.ones(len(self.y), dtype=bool)
        return np.any([self.has_truth, *(given.labelled for given in self.weak_labels.values())], axis=0)

    @property
    def truth_weights(self) -> Array | None:
        """What true labels count for: the weight of the row over its probability of having one."""
        if self.label_probability is None:
            return self.weights
        return (np.ones(len(self.y)) if self.weights is None else self.weights) / self.label_probability


def check_inputs(inputs: StudyInputs) -> None:
    """Refuse arrays that cannot be studied, naming the first fault."""
    if not inputs.students:
        raise InputError("a study needs the features of at least one student")
    if not inputs.supervisors and not inputs.weak_labels:
        raise InputError("a study needs a supervisor: its features, or weak labels that exist already")
    both = inputs.supervisors.keys() & inputs.weak_labels.keys()
    if both:
        raise InputError(f"supervisor {min(both)!r} has features and weak labels; give each another name")
    _check_features(inputs)
    _check_truth(inputs)
    for name, given in inputs.weak_labels.items():
        _check_given(name, given, inputs)
    _check_weights(inputs)
    _check_splits(inputs)
    _check_controls(inputs)
    columns = {"groups": inputs.groups, **{f"display {k!r}": v for k, v in inputs.display.items()}}
    for name, column in columns.items():
        if column is not None and column.shape != inputs.y.shape[:1]:
            raise InputError(f"{name}: shape {column.shape}; give one for each of {len(inputs.y)} rows")


def _check_features(inputs: StudyInputs) -> None:
    """Refuse features that are no numbers, or of other rows."""
    named = {f"weak features {name!r}": values for name, values in inputs.supervisors.items()}
    named |= {f"strong features {name!r}": values for name, values in inputs.students.items()}
    for name, values in named.items():
        if values.ndim != 2 or values.dtype.kind not in "fiub":
            raise InputError(
                f"{name}: shape {values.shape}, {values.dtype}; give real numbers (rows, features)"
            )
        if len(values) != len(inputs.y):
            raise InputError(
                f"{name}: {len(values)} rows, but {len(inputs.y)} labels; give a row for each label, or NaN "
                "as the label of a row that has none"
            )
        refuse_infinite(values, name)


def _check_splits(inputs: StudyInputs) -> None:
    """Refuse splits of other rows, and two of one name."""
    for split in inputs.splits:
        _check_split(split, len(inputs.y))
    names = [split.name for split in inputs.splits]
    if len(set(names)) < len(names):
        twice = next(n for n in names if names.count(n) > 1)
        raise InputError(f"split {twice!r} is there twice; give every split a name of its own")


def _check_truth(inputs: StudyInputs) -> None:
    """Refuse true labels that are not one for each row, or all of one class."""
    known = inputs.y[inputs.has_truth] if inputs.y.ndim in (1, 2) else inputs.y
    if not inputs.classes:
        if inputs.y.ndim != 1:
            raise InputError(f"labels have shape {inputs.y.shape}; a study takes one target, shape (n,)")
        _check_numbers(inputs.y, "labels")
        return
    if inputs.y.shape[1:] != (len(inputs.classes),):
        raise InputError(
            f"labels have shape {inputs.y.shape}; give each of {len(inputs.classes)} classes a probability"
        )
    if not len(known):
        raise InputError("labels: no row has one; at least one row needs a label")
    if (known == known[0]).all() and known[0].max() == 1:
        only = inputs.classes[int(known[0].argmax())]
        raise InputError(
            f"target {inputs.target!r}: every true label is {quoted(only)}; with one class there is nothing "
            "to learn or to judge: label rows of another one"
        )


def _check_given(name: str, given: GivenLabels, inputs: StudyInputs) -> None:
    """Refuse weak labels of other rows, and those from which nothing can be learnt."""
    if given.values.shape != inputs.y.shape:
        raise InputError(
            f"weak labels {name!r}: shape {given.values.shape}; give {inputs.y.shape}, one for each row, NaN "
            "where there is none"
        )
    known = given.values[given.labelled]
    if not inputs.classes:
        _check_numbers(given.values, f"weak labels {name!r}")
    elif not len(known):
        raise InputError(f"weak labels {name!r}: no row has one; at least one row needs a label")
    if (known == known[0]).all():
        first = known[0] if not inputs.classes else None
        said = f"{first:g}" if first is not None else _said(known[0], inputs.classes)
        raise InputError(
            f"weak labels {name!r}: every label is {said}; a student can learn nothing from them: leave that "
            "supervisor out"
        )


def _said(probabilities: Array, classes: tuple[str, ...]) -> str:
    """A class, or the probabilities of all of them, for a message."""
    if probabilities.max() == 1:
        return quoted(classes[int(probabilities.argmax())])
    return ", ".join(f"{p:.3g} for {quoted(c)}" for c, p in zip(classes, probabilities, strict=True))


def _check_numbers(values: Array, name: str) -> None:
    """Refuse labels that are infinite, none, or too large or small to be squared."""
    known = values[~np.isnan(values)]
    if not len(known):
        raise InputError(f"{name}: no row has one; at least one row needs a label")
    infinite = np.isinf(values)
    if infinite.any():
        raise InputError(f"{name}: row {infinite.argmax()} (counted from 0) is infinite; correct it")
    largest = np.abs(known).max()
    if largest > LARGEST or 0 < largest < SMALLEST:
        raise InputError(
            f"{name} go up to {largest:.3g} in size; to be squared they need between {SMALLEST:g} and "
            f"{LARGEST:g}: rescale the labels"
        )


def _check_weights(inputs: StudyInputs) -> None:
    """Refuse weights and probabilities that no row can have."""
    if inputs.weights is not None:
        refuse_no_weight(row_weights(inputs.weights, len(inputs.y), "weights"), "weights")
    if inputs.label_probability is not None:
        p = inputs.label_probability
        if p.shape != inputs.y.shape[:1]:
            raise InputError(f"label_probability: shape {p.shape}; give one for each of {len(inputs.y)} rows")
        bad = inputs.has_truth & ~((p >= LEAST_PROBABILITY) & (p <= 1))
        if bad.any():
            row = int(bad.argmax())
            raise InputError(
                f"label_probability: row {row} (counted from 0) has a true label and probability {p[row]:g}; "
                "give each the probability, above 0 and up to 1, with which it was drawn to get one"
            )


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
