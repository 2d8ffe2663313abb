"""Divisions of rows: which have true labels, which get weak labels, and which judge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from heapq import heapify, heapreplace

import numpy as np
from numpy.typing import NDArray

from weakstrong.arrays import group_numbers
from weakstrong.errors import InputError, counted, quoted
from weakstrong.studies.inputs import Split, StudyInputs
from weakstrong.studies.settings import StudyOptions
from weakstrong.studies.shares import split_rows

Rows = NDArray[np.int64]

_MIN_JUDGING_CLUSTERS = 2
_VERDICT_CLUSTERS = 6  # the wild cluster bootstrap cannot reject at 5% with fewer


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
    validation : array of int, optional
        Rows that heads may choose by, on labels as they are fitted to; they may be judged on too.
    budgets : mapping of int to array of int
        Training rows with true labels, so many of them, that the direct baseline is fitted to as well.
    """

    split: str
    number: int
    supervised: Rows
    student: Rows
    judged: Rows
    roles: NDArray[np.str_] | None = None
    untrained_draw: int = 0
    validation: Rows | None = None
    budgets: Mapping[int, Rows] = field(default_factory=dict)


def divisions(inputs: StudyInputs, options: StudyOptions) -> list[Division]:
    """Make every division of the rows that a study will fit, and check them before any work starts.

    Where labels are given or truths missing, and no splits are, the held-out parts take turns, so that few
    true labels all judge: those of ``round(1 / test_size)`` divisions in a row are disjoint and hold every
    row (cross-fitting).

    Raises
    ------
    InputError
        If a division is too small to fit or to judge, or its parts share rows or groups.
    """
    has_truth = inputs.has_truth
    cluster = np.arange(len(inputs.y)) if inputs.groups is None else group_numbers(inputs.groups)
    divided = []
    for place, split in enumerate(inputs.splits or [None]):
        for number in range(1 if split is not None and split.is_whole else options.seeds):
            rng = np.random.default_rng([options.seed, place, number])
            name, train, judged = _held_out(split, cluster, inputs, options, number=number, rng=rng)
            if split is not None and split.supervised is not None:
                supervised, student = split.supervised, np.setdiff1d(train, split.supervised)
            else:
                supervised, student = _labelled(train, cluster, has_truth, options, rng)
            budgets = _budgets(train[has_truth[train]], supervised, options, rng) if options.budget else {}
            parts = (name, number, supervised, student, judged)
            divided.append(Division(*parts, untrained_draw=place + number, budgets=budgets))
    for division in divided:
        _check(division, cluster, inputs, options)
    _check_judged(divided, cluster, inputs)
    return divided


def _held_out(
    split: Split | None,
    cluster: NDArray[np.int64],
    inputs: StudyInputs,
    options: StudyOptions,
    *,
    number: int,
    rng: np.random.Generator,
) -> tuple[str, Rows, Rows]:
    """Name of the split, training rows and judged ones: of a split, in turns or at random."""
    if split is not None:
        return split.name, split.train, split.test
    if inputs.weak_labels or not inputs.has_truth.all():
        judged, train = _turn(cluster, inputs.has_truth, options, number)
        return "turns", train, judged
    least = (_VERDICT_CLUSTERS, 2 * _fewest(options))
    rows = np.arange(len(inputs.y))
    judged, train = split_rows(rows, cluster, options.test_size, rng, at_most=False, least=least)
    return "random", train, judged


def _turn(
    cluster: NDArray[np.int64], has_truth: NDArray[np.bool_], options: StudyOptions, number: int
) -> tuple[Rows, Rows]:
    """Rows that are held out in a division and those that are not, where held-out parts take turns.

    Clusters stand in random order, those with most true labels first, and each goes to the part that has
    fewest true labels so far, of these to that with fewest rows.
    """
    turns = max(2, round(1 / options.test_size))
    around, mine = divmod(number, turns)
    rng = np.random.default_rng([options.seed, around])
    truths, sizes = np.bincount(cluster, has_truth).astype(int), np.bincount(cluster)
    order = rng.permutation(len(sizes))
    order = order[np.lexsort((-sizes[order], -truths[order]))]
    part = np.empty(len(sizes), dtype=np.int64)
    filled = [(0, 0, turn) for turn in rng.permutation(turns).tolist()]
    heapify(filled)
    for place in order.tolist():
        known, rows, turn = filled[0]
        part[place] = turn
        heapreplace(filled, (known + int(truths[place]), rows + int(sizes[place]), turn))
    held = part[cluster] == mine
    return np.flatnonzero(held), np.flatnonzero(~held)


def _labelled(
    train: Rows,
    cluster: NDArray[np.int64],
    has_truth: NDArray[np.bool_],
    options: StudyOptions,
    rng: np.random.Generator,
) -> tuple[Rows, Rows]:
    """Training rows that get true labels, and those that get weak ones, at random with clusters whole.

    Rows without a true label get a weak one, whatever cluster they are of.
    """
    fewest, is_count = _fewest(options), isinstance(options.true_labels, int)
    known, size = train[has_truth[train]], options.true_labels
    if isinstance(size, float):  # a share of all training rows, as far as they have true labels
        size = min(round(size * len(train)), len(known))
    elif size > len(known) and len(known) < len(train):
        raise InputError(
            f"{len(known)} of {len(train)} training rows have a true label, fewer than the {size} asked for; "
            "ask for fewer",
            "true_labels",
        )
    least = (fewest, fewest if len(known) == len(train) else 0)
    supervised, _ = split_rows(known, cluster, size, rng, at_most=is_count, least=least)
    student = train[~np.isin(train, supervised)]
    if options.student_rows is None:
        return supervised, student
    wanted, is_count = options.student_rows, isinstance(options.student_rows, int)
    if isinstance(wanted, float):  # a share of the training rows, as that of true labels is
        wanted = round(wanted * len(train))
    if wanted > len(student):
        raise InputError(
            f"{len(train)} training rows are not enough for {len(supervised)} true and {wanted} weak labels; "
            "ask for fewer",
            "true_labels",
            "student_rows",
        )
    return supervised, split_rows(student, cluster, wanted, rng, at_most=is_count, least=(fewest, 0))[0]


def _budgets(
    known: Rows, supervised: Rows, options: StudyOptions, rng: np.random.Generator
) -> dict[int, Rows]:
    """So many of the training rows with true labels, at random, the supervised ones first."""
    if max(options.budget) > len(known):
        raise InputError(
            f"a budget of {max(options.budget)} true labels, and {len(known)} training rows have one (others "
            "are held out); ask for fewer",
            "budget",
        )
    others = known[~np.isin(known, supervised)]
    order = np.concatenate([rng.permutation(supervised), rng.permutation(others)])
    return {count: np.sort(order[:count]) for count in options.budget}


def _fewest(options: StudyOptions) -> int:
    """How many clusters heads are fitted to at least."""
    return options.n_folds if {*options.heads} - {"linear"} else 1


def _check(
    division: Division, cluster: NDArray[np.int64], inputs: StudyInputs, options: StudyOptions
) -> None:
    """Refuse a division that cannot be fitted or judged, with a line that names it."""
    name = f"split {division.split!r}, division {division.number}"
    noun, has_truth, least = "rows" if inputs.groups is None else "groups", inputs.has_truth, _fewest(options)
    has_weight, weighty = _has_weight(inputs), "" if inputs.weights is None else " with weight"
    parts = {"the supervisor": division.supervised, "the student": division.student}
    for supervisor, given in inputs.weak_labels.items():
        own = division.student
        parts[f"the student of {quoted(supervisor)} that it labels"] = own[given.labelled[own]]
    if not inputs.supervisors:
        parts["training directly on true labels"] = parts.pop("the supervisor")
    parts |= {f"the budget of {count} true labels": rows for count, rows in division.budgets.items()}
    few = f"fewer than the {least} folds" if least > 1 else "and one is needed"
    for who, rows in parts.items():
        count = len(np.unique(cluster[rows[has_weight[rows]]]))
        if count < least:
            raise InputError(
                f"{name}: {count} {noun}{weighty} for {who}, {few}; use more {noun}, "
                "fewer folds (n_folds) or other numbers of true and weak labels (true_labels, student_rows, "
                "budget)"
            )
    unknown = division.supervised[~has_truth[division.supervised]]
    if len(unknown):
        raise InputError(
            f"split {division.split!r}: supervised row {unknown[0]} (counted from 0) has no true label; give "
            "it one, or make it a student's"
        )
    judging = len(np.unique(cluster[division.judged[(has_truth & has_weight)[division.judged]]]))
    if judging < _MIN_JUDGING_CLUSTERS:
        true = "" if has_truth.all() else " with a true label"
        raise InputError(
            f"{name}: {judging} held-out {noun}{true}{weighty}; at least {_MIN_JUDGING_CLUSTERS} are needed "
            f"to judge: hold out more{' or label more' if true else ''}",
            "test_size",
        )
    fitted = np.concatenate([division.supervised, division.student, *division.budgets.values()])
    both = np.isin(cluster[division.judged], cluster[fitted])
    if both.any():
        raise InputError(
            f"split {division.split!r}: held-out row {division.judged[both.argmax()]} (counted from 0) is "
            "also trained on, or its group is; make the splits disjoint"
        )


def _has_weight(inputs: StudyInputs) -> NDArray[np.bool_]:
    """Which rows count, shape (n,)."""
    return np.ones(len(inputs.y), dtype=bool) if inputs.weights is None else inputs.weights > 0


def _check_judged(divided: list[Division], cluster: NDArray[np.int64], inputs: StudyInputs) -> None:
    """Refuse given labels that hardly any held-out row with a true label has."""
    judged = np.unique(np.concatenate([division.judged for division in divided]))
    for name, given in inputs.weak_labels.items():
        rows = judged[(given.labelled & inputs.has_truth & _has_weight(inputs))[judged]]
        if len(np.unique(cluster[rows])) < _MIN_JUDGING_CLUSTERS:
            raise InputError(
                f"weak labels {name!r}: {counted(len(rows), 'held-out row')} with a true label have one; at "
                f"least {_MIN_JUDGING_CLUSTERS} are needed to judge: label more rows, or leave that "
                "supervisor out"
            )
