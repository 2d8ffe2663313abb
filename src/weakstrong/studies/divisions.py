"""Divisions of rows: which have true labels, which get weak labels, and which judge."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from weakstrong.arrays import group_numbers
from weakstrong.errors import InputError
from weakstrong.studies.inputs import StudyInputs
from weakstrong.studies.settings import StudyOptions

Rows = NDArray[np.int64]

_MIN_JUDGING_CLUSTERS = 2


@dataclass(frozen=True)
class Division:
    """The rows of each part of a division, by number.

    Parameters
    ----------
    split : str
        Name of the split that it is made from.
    number : int
        Which of the divisions of that split it is.
    supervised : array of int
        Rows with true labels: supervisors and the direct baseline are fitted to them.
    student : array of int
        Rows that supervisors label and students are fitted to.
    judged : array of int
        Rows that all are judged on.
    roles : array of str, optional
        What each judged row is called: ``valid`` or ``test``, say.
    untrained_draw : int
        Which of the untrained controls' random draws it takes, counted round.
    """

    split: str
    number: int
    supervised: Rows
    student: Rows
    judged: Rows
    roles: NDArray[np.str_] | None = None
    untrained_draw: int = 0


def divisions(inputs: StudyInputs, options: StudyOptions) -> list[Division]:
    """Make every division of the rows that a study will fit, and check them before any work starts.

    Raises
    ------
    InputError
        If a division is too small to fit or to judge, or its parts share rows or groups.
    """
    n = len(inputs.y)
    cluster = np.arange(n) if inputs.groups is None else group_numbers(inputs.groups)
    divided = []
    for place, split in enumerate(inputs.splits or [None]):
        for number in range(1 if split is not None and split.is_whole else options.seeds):
            rng = np.random.default_rng([options.seed, place, number])
            if split is None:
                judged, train = _shares(np.arange(n), cluster, options.test_size, rng)
                name = "random"
            else:
                name, train, judged = split.name, split.train, split.test
            if split is not None and split.is_whole:
                assert split.supervised is not None
                supervised, student = split.supervised, np.setdiff1d(train, split.supervised)
            else:
                supervised, student = _labelled(train, cluster, options, rng)
            divided.append(Division(name, number, supervised, student, judged, untrained_draw=place + number))
    for division in divided:
        _check(division, cluster, options, "rows" if inputs.groups is None else "groups")
    return divided


def _labelled(
    train: Rows, cluster: NDArray[np.int64], options: StudyOptions, rng: np.random.Generator
) -> tuple[Rows, Rows]:
    """Training rows that get true labels, and those that get weak ones, at random with clusters whole."""
    supervised, student = _shares(train, cluster, options.true_labels, rng)
    if options.weak_labels is None:
        return supervised, student
    wanted = options.weak_labels
    if isinstance(wanted, float):  # a share of the training rows, as that of true labels is
        wanted = round(wanted * len(train))
    if wanted > len(student):
        raise InputError(
            f"{len(train)} training rows are not enough for {len(supervised)} true and {wanted} weak labels; "
            "ask for fewer",
            "true_labels",
            "weak_labels",
        )
    return supervised, _shares(student, cluster, wanted, rng)[0]


def _shares(
    rows: Rows, cluster: NDArray[np.int64], size: float | int, rng: np.random.Generator
) -> tuple[Rows, Rows]:
    """Split rows in two at random, clusters whole.

    The first part has that share of the clusters, or as many clusters as fit into that number of rows.
    """
    present, rows_of = np.unique(cluster[rows], return_counts=True)
    order = rng.permutation(len(present))
    fit = round(size * len(present))
    if isinstance(size, int):
        fit = int(np.searchsorted(np.cumsum(rows_of[order]), size, side="right"))
    first = np.isin(cluster[rows], present[order[:fit]])
    return rows[first], rows[~first]


def _check(division: Division, cluster: NDArray[np.int64], options: StudyOptions, noun: str) -> None:
    """Refuse a division that cannot be fitted or judged, with a line that names it."""
    name = f"split {division.split!r}, division {division.number}"
    least = options.n_folds if "l2" in options.heads else 1
    for who, rows in {"the supervisor": division.supervised, "the student": division.student}.items():
        count = len(np.unique(cluster[rows]))
        if count < least:
            raise InputError(
                f"{name}: {count} {noun} for {who}, fewer than the {least} folds; use more {noun}, "
                "fewer folds (n_folds) or other numbers of true and weak labels (true_labels, weak_labels)"
            )
    judging = len(np.unique(cluster[division.judged]))
    if judging < _MIN_JUDGING_CLUSTERS:
        raise InputError(
            f"{name}: {judging} held-out {noun}; at least {_MIN_JUDGING_CLUSTERS} are needed to judge: hold "
            "out more"
        )
    fitted = np.concatenate([division.supervised, division.student])
    both = np.isin(cluster[division.judged], cluster[fitted])
    if both.any():
        raise InputError(
            f"split {division.split!r}: held-out row {division.judged[both.argmax()]} (counted from 0) is "
            "also trained on, or its group is; make the splits disjoint"
        )
