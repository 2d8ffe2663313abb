"""What a study looks at, and the divisions of its rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from weakstrong.errors import InputError
from weakstrong.studies.settings import StudyOptions

Array = NDArray[np.float64]

_MIN_TEST_CLUSTERS = 2


@dataclass(frozen=True)
class Split:
    """Rows to train on and rows to judge on, by number."""

    name: str
    train: NDArray[np.int64]
    test: NDArray[np.int64]


@dataclass(frozen=True)
class StudyInputs:
    """Everything a study looks at, rows in one order.

    Parameters
    ----------
    weak : mapping of name to array of shape (n, d_w)
    strong : array of shape (n, d_s)
    y : array of shape (n,)
    target : str
    ids : array of str of shape (n,), or None
    groups : array of shape (n,), or None
    splits : tuple of Split
        Empty for random ones.
    notes : tuple of str
    """

    weak: Mapping[str, NDArray[Any]]
    strong: NDArray[Any]
    y: Array
    target: str = "y"
    ids: NDArray[np.str_] | None = None
    groups: NDArray[Any] | None = None
    splits: tuple[Split, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Unit:
    """One division: rows with true labels, rows for the student, rows to judge on."""

    split: str
    repeat: int
    supervised: NDArray[np.int64]
    student: NDArray[np.int64]
    test: NDArray[np.int64]


def divisions(inputs: StudyInputs, options: StudyOptions) -> list[Unit]:
    """Every division of the rows that the study will fit, checked before any work starts."""
    n = len(inputs.y)
    cluster = np.arange(n) if inputs.groups is None else np.unique(inputs.groups, return_inverse=True)[1]
    units = []
    for number, split in enumerate(inputs.splits or [None]):
        for repeat in range(options.repeats):
            rng = np.random.default_rng([options.seed, number, repeat])
            if split is None:
                test, train = _shares(np.arange(n), cluster, options.test_size, rng)
                name = "random"
            else:
                name, train, test = split.name, split.train, split.test
            supervised, student = _shares(train, cluster, options.supervised_fraction, rng)
            units.append(Unit(name, repeat, supervised, student, test))
    for unit in units:
        _check_unit(unit, cluster, options, "rows" if inputs.groups is None else "groups")
    return units


def _shares(
    rows: NDArray[np.int64], cluster: NDArray[np.int64], share: float, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows in two parts at random, clusters whole, the first with about `share` of the clusters."""
    present = rng.permutation(np.unique(cluster[rows]))
    first = np.isin(cluster[rows], present[: round(share * len(present))])
    return rows[first], rows[~first]


def check_inputs(inputs: StudyInputs) -> None:
    """Refuse arrays that cannot be studied, naming the first fault."""
    named = {**{f"weak features {k!r}": v for k, v in inputs.weak.items()}, "strong features": inputs.strong}
    if not inputs.weak:
        raise InputError("a study needs the features of at least one supervisor")
    for name, values in named.items():
        if values.ndim != 2 or values.dtype.kind not in "fiub":
            raise InputError(
                f"{name}: shape {values.shape}, {values.dtype}; give real numbers (rows, features)"
            )
        if len(values) != len(inputs.y):
            raise InputError(
                f"{name}: {len(values)} rows, but {len(inputs.y)} labels; give a row for each label"
            )
        _refuse_infinite(values, name)
    if inputs.y.ndim != 1:
        raise InputError(f"labels have shape {inputs.y.shape}; a study takes one target, shape (n,)")
    _refuse_infinite(inputs.y[:, None], "labels")
    for split in inputs.splits:
        rows = np.concatenate([split.train, split.test])
        outside = rows[(rows < 0) | (rows >= len(inputs.y))]
        if len(outside):
            raise InputError(f"split {split.name!r}: rows go from 0 to {len(inputs.y) - 1}; got {outside[0]}")
        for part in (split.train, split.test):
            numbers, times = np.unique(part, return_counts=True)
            if (times > 1).any():
                raise InputError(f"split {split.name!r}: row {numbers[times.argmax()]} is there twice")
    names = [split.name for split in inputs.splits]
    if len(set(names)) < len(names):
        twice = next(n for n in names if names.count(n) > 1)
        raise InputError(f"split {twice!r} is there twice; give every split a name of its own")
    if inputs.groups is not None and inputs.groups.shape != inputs.y.shape:
        raise InputError(
            f"groups have shape {inputs.groups.shape}; give one for each of {len(inputs.y)} rows"
        )


def _refuse_infinite(values: NDArray[Any], name: str) -> None:
    bad = ~np.isfinite(values)
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise InputError(
            f"{name}: row {row}, column {column} (counted from 0) is NaN or infinite; fill it in"
        )


def _check_unit(unit: Unit, cluster: NDArray[np.int64], options: StudyOptions, units: str) -> None:
    parts = {"the supervisor": unit.supervised, "the student": unit.student}
    for who, rows in parts.items():
        count = len(np.unique(cluster[rows]))
        if count < options.cv:
            raise InputError(
                f"split {unit.split!r}, repeat {unit.repeat}: {count} {units} for {who}, fewer than the "
                f"{options.cv} folds; use more {units}, fewer folds (cv) or another supervised fraction"
            )
    held_out = len(np.unique(cluster[unit.test]))
    if held_out < _MIN_TEST_CLUSTERS:
        raise InputError(
            f"split {unit.split!r}, repeat {unit.repeat}: {held_out} held-out {units}; at least "
            f"{_MIN_TEST_CLUSTERS} are needed to judge: hold out more"
        )
    both = np.isin(cluster[unit.test], cluster[np.concatenate([unit.supervised, unit.student])])
    if both.any():
        raise InputError(
            f"split {unit.split!r}: held-out row {unit.test[both.argmax()]} (counted from 0) is also trained "
            "on, or its group is; make the splits disjoint"
        )
