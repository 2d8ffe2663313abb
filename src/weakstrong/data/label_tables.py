"""Weak labels that exist already, read from a table: a column for each supervisor, or a row for each label.

Rows are counted from 0 in every message.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from weakstrong.arrays import Array
from weakstrong.class_labels import ClassLabels
from weakstrong.data.class_columns import (
    columns_named,
    names_of_columns,
    of_one_class,
    probability_columns,
    read_classes,
    shares_noted,
    task_of,
)
from weakstrong.data.columns import Task, real_valued
from weakstrong.data.ids import names_of, some
from weakstrong.data.tables import read_table
from weakstrong.data.user_files import refuse_too_large
from weakstrong.errors import InputError, counted, printable, quoted
from weakstrong.votes import GivenLabels, Vote, combined, combined_classes

_ROUNDING = 4 * np.finfo(np.float64).eps  # means of rows that differ by less are one value
_INDEX_REMEDY = "name it as the id if it is one, leave it out, or name the columns of labels"


@dataclass(frozen=True, eq=False)
class LabelTable:
    """Weak labels of one file, a supervisor each.

    Parameters
    ----------
    source : Path
    supervisors : mapping of str to GivenLabels
        In the order of the file's rows, or of its ids where a row is one worker's label.
    ids : array of str, or None
        In the same order.
    frame : DataFrame, or None
        The table itself, to read other columns from; None where a row is one worker's label.
    notes : tuple of str
        Remarks for the user on how labels were combined, and on workers that were left out.
    """

    source: Path
    supervisors: Mapping[str, GivenLabels]
    ids: NDArray[np.str_] | None
    frame: pd.DataFrame | None
    notes: tuple[str, ...]


class _Votes(NamedTuple):
    """Labels of workers on ids, in long form: which id and which worker each is of, by number."""

    ids: NDArray[np.str_]
    workers: list[str]
    id_number: NDArray[np.int64]
    worker_number: NDArray[np.int64]
    labels: Array | ClassLabels


def read_label_table(
    path: Path,
    *,
    id_column: str | None = None,
    columns: Sequence[str] = (),
    worker: str | None = None,
    vote: Vote = "mean",
    each_worker: bool = False,
    others: Collection[str] = (),
    names: Collection[str] = (),
    task: Task | None = None,
    classes: tuple[str, ...] = (),
) -> LabelTable:
    """Read weak labels from a table in which each supervisor has a column, or each row is a worker's label.

    An empty cell is no label.

    Parameters
    ----------
    path : Path
    id_column : str, optional
    columns : sequence of str
        Columns of labels, each that of a supervisor of its name; if none is given, all without another use.
    worker : str, optional
        Column that names who gave a row's label. The labels of an id are then combined to one, that of the
        supervisor named as the only column of labels.
    vote : {"mean", "majority"}
        How labels of workers are combined.
    each_worker : bool
        Whether each worker is a supervisor too, but for those that give fewer than two different labels.
    others : collection of str
        Columns with another use, such as weights, where they are there.
    names : collection of str
        Columns with another use that hold names, such as groups: they are read as text.
    task : str, optional
        Whether labels are numbers, ``"regression"``, or classes, ``"classification"``, for which a supervisor
        may have a column of probabilities for each, ``NAME[class]``; as the first column plainly is unless
        given.
    classes : tuple of str
        Those of the truth, if known: where they are two, a supervisor may have one column of numbers from 0
        to 1, the probability of the second.

    Raises
    ------
    InputError
        If a column is missing, holds no real numbers, or labels that a student can learn nothing from; or if
        an id, or a worker's id, occurs twice.
    """
    path = Path(path)
    _refuse_roles(path, id_column, worker, each_worker)
    frame = read_table(path, (id_column, worker, *names))
    for column, use in ((id_column, "id"), (worker, "worker")):
        if column is not None and column not in frame:
            shown = some(frame.columns)
            raise InputError(f"{path}: no column {column!r} to use as {use}; columns: {shown}", use)
    used = {c for c in (id_column, worker, *others, *names) if c is not None}
    if task is None and probability_columns(c for c in frame.columns if c not in used):
        task = "classification"
    chosen = _label_columns(frame, path, columns, used, task)
    task = task or task_of(frame, chosen[0])
    if worker is None:
        true = classes if task == "classification" else ()
        return _wide(frame, path, chosen, id_column, is_chosen=bool(columns), task=task, true=true)
    if len(chosen) > 1:
        raise InputError(
            f"{path}: each row is one worker's label, so name one column of labels; columns: {some(chosen)}"
        )
    assert id_column is not None
    votes = _votes(frame, path, chosen[0], id_column, worker, task=task)
    supervisors, notes = _voted(votes, path, chosen[0], vote)
    if each_worker:
        single, left_out = _single(votes, path, chosen[0])
        supervisors, notes = supervisors | single, notes + left_out
    return LabelTable(path, supervisors, votes.ids, None, notes)


def _refuse_roles(path: Path, id_column: str | None, worker: str | None, each_worker: bool) -> None:
    """Refuse columns that do not go together, before the table is read."""
    if worker is None and each_worker:
        raise InputError(f"{path}: for a supervisor of each worker, name the column of workers", "worker")
    if worker is not None and id_column is None:
        raise InputError(f"{path}: to combine the labels of workers, name the column of ids", "id")
    if worker is not None and worker == id_column:
        raise InputError(f"{path}: column {worker!r} cannot be ids and workers too", "id", "worker")


def _label_columns(
    frame: pd.DataFrame, path: Path, asked: Sequence[str], used: set[str], task: str | None
) -> list[str]:
    """Return the columns of labels: those asked for, or else all that have no other use."""
    for name in asked:
        if not columns_named(name, frame.columns):
            raise InputError(f"{path}: no column {name!r}; columns: {some(frame.columns)}")
        if name in used:
            raise InputError(
                f"{path}: column {name!r} cannot be labels and ids, workers, weights or groups too"
            )
    left = [c for c in frame.columns if c not in used]
    chosen = list(dict.fromkeys(asked)) or (names_of_columns(left) if task == "classification" else left)
    if not chosen:
        raise InputError(f"{path}: no column of labels is left; columns: {some(frame.columns)}")
    return chosen


def _wide(
    frame: pd.DataFrame,
    path: Path,
    columns: list[str],
    id_column: str | None,
    *,
    is_chosen: bool,
    task: str | None,
    true: tuple[str, ...],
) -> LabelTable:
    """Read a table in which each column is a supervisor."""
    ids = None if id_column is None else names_of(frame[id_column], path, "id")
    repeat = None if ids is None else _first_repeat(pd.factorize(ids)[0])
    if ids is not None and repeat is not None:
        raise InputError(
            f"{path}: id {quoted(str(ids[repeat[1]]))} occurs in rows {repeat[0]} and {repeat[1]} (counted "
            "from 0); remove or rename one; or, if an id has labels of several workers, name their column",
            "worker",
        )
    supervisors = {}
    for name in columns:
        where = f"{path}: column {name!r}"
        if not is_chosen:
            _refuse_index_name(name, frame, where)
        if task == "classification":
            labels = _classes_of(frame, name, path, "remove the column", true)
            supervisors[name] = GivenLabels.of_classes(labels)
            continue
        values = _labels_of(frame[name], path, "remove the column")
        if not is_chosen and len(values) > 2 and np.array_equal(values, values[0] + np.arange(len(values))):
            raise InputError(f"{where} counts the rows; {_INDEX_REMEDY}", "id")
        _refuse_one_value(values, f"{where}: every label", "remove the column")
        supervisors[name] = GivenLabels(values)
    return LabelTable(path, supervisors, ids, frame, tuple(shares_noted(frame, columns, path, true)))


def _refuse_index_name(name: str, frame: pd.DataFrame, where: str) -> None:
    """Refuse a saved row index, by the name that pandas gives."""
    if name == "" or name.lower().startswith("unnamed: ") or name in frame.attrs.get("levels", ()):
        raise InputError(f"{where} is a saved row index; {_INDEX_REMEDY}", "id")


def _votes(
    frame: pd.DataFrame, path: Path, column: str, id_column: str, worker: str, *, task: str | None
) -> _Votes:
    """Read a table in which each row is the label of one worker on one id."""
    id_names, worker_names = (
        names_of(frame[c], path, kind) for c, kind in ((id_column, "id"), (worker, "worker"))
    )
    labels: Array | ClassLabels
    if task == "classification":
        labels = _classes_of(frame, column, path, "give labels that differ")
        rows = np.flatnonzero(labels.labelled)
    else:
        labels = _labels_of(frame[column], path, "give labels")
        rows = np.flatnonzero(~np.isnan(labels))
    worker_number, workers = pd.factorize(worker_names)
    id_number, ids = pd.factorize(id_names[rows])
    repeat = _first_repeat(id_number * len(workers) + worker_number[rows])
    if repeat is not None:
        first, again = rows[list(repeat)]
        raise InputError(
            f"{path}: worker {quoted(str(worker_names[again]))} labels id {quoted(str(id_names[again]))} in "
            f"rows {first} and {again} (counted from 0); a worker labels an id once: remove one"
        )
    workers = [str(name) for name in workers]
    return _Votes(ids.astype(np.str_), workers, id_number, worker_number[rows], _some(labels, rows))


def _some(labels: Array | ClassLabels, rows: NDArray[np.int64]) -> Any:
    """The labels of some rows."""
    return (
        ClassLabels(labels.classes, labels.values[rows]) if isinstance(labels, ClassLabels) else labels[rows]
    )


def _voted(
    votes: _Votes, path: Path, column: str, vote: Vote
) -> tuple[dict[str, GivenLabels], tuple[str, ...]]:
    """Combine the labels of workers; return them with a note on what they were."""
    n, m = len(votes.ids), len(votes.id_number)
    if isinstance(votes.labels, ClassLabels):
        given = combined_classes(votes.id_number, votes.labels, n, vote)
    else:
        given = combined(votes.id_number, votes.labels, n, vote)
        _refuse_one_value(
            given.values, f"{path}: column {column!r}: every id's {vote}", "give labels that differ"
        )
    varies = "no id has two labels, so their noise is unknown"
    if given.noise is not None:
        varies = f"one worker's label varies by {given.noise:.2g} (variance) about its id's mean"
    note = (
        f"{path}: {m:,} labels of {counted(len(np.unique(votes.worker_number)), 'worker')} on {n:,} ids, "
        f"{m / n:,.1f} each; the {vote} is supervisor {column!r}; {varies}"
    )
    return {column: given}, (note,)


def _single(votes: _Votes, path: Path, column: str) -> tuple[dict[str, GivenLabels], tuple[str, ...]]:
    """Make each worker a supervisor; return them with a note on those that are none."""
    if column in votes.workers:
        raise InputError(
            f"{path}: worker {quoted(column)} is named as the column of labels is; supervisors have "
            "names of their own: rename one",
            "each_worker",
        )
    n = len(votes.ids)
    what = f"{path}: the labels of {counted(len(votes.workers), 'worker')}, a row of every id for each,"
    refuse_too_large(8 * n * len(votes.workers), what)
    order = np.argsort(votes.worker_number, kind="stable")
    ends = np.cumsum(np.bincount(votes.worker_number, minlength=len(votes.workers)))
    supervisors, left_out = {}, []
    for name, rows in zip(votes.workers, np.split(order, ends[:-1]), strict=True):
        labels = _some(votes.labels, rows)
        is_class = isinstance(labels, ClassLabels)
        if _is_one_value(labels.values.argmax(1) if is_class else labels):
            left_out.append(name)
        else:
            single = GivenLabels.of_classes(labels) if is_class else GivenLabels(labels)
            supervisors[name] = single.place(votes.id_number[rows], n)
    if not supervisors:
        raise InputError(
            f"{path}: no worker gives two different labels, so none is a supervisor; only combine them",
            "each_worker",
        )
    if not left_out:
        return supervisors, ()
    said = "workers without two different labels, so no supervisors of their own"
    return supervisors, (f"{path}: {said}: {printable(some(left_out))}",)


def _classes_of(
    frame: pd.DataFrame, name: str, path: Path, remedy: str, true: tuple[str, ...] = ()
) -> ClassLabels:
    """Return a supervisor's labels that are classes, of more than one."""
    labels = read_classes(frame, name, path, true)
    only = of_one_class(labels)
    if only is not None:
        raise InputError(
            f"{path}: column {name!r}: every label is {quoted(only)}; a student can learn nothing from them: "
            f"{remedy}"
        )
    return labels


def _labels_of(column: pd.Series, path: Path, remedy: str) -> Array:
    """Return a column as labels, NaN where a cell is empty, with at least one that is not."""
    if column.isna().all():
        raise InputError(f"{path}: column {str(column.name)!r} labels nothing: {remedy}")
    text = np.asarray(pd.to_numeric(column, errors="coerce").isna() & column.notna())
    if text.any() and not pd.api.types.is_numeric_dtype(column) and column.map(type).eq(str).any():
        row = int(text.argmax())
        raise InputError(
            f"{path}: column {str(column.name)!r}, row {row} (counted from 0): "
            f"{quoted(str(column.iloc[row]))} is not a number, as a label is; leave the cell empty where "
            "there is none; or name the columns of labels, if this is none; or set the task to "
            "classification, if labels are classes"
        )
    return real_valued(column, path, allow_missing=True)


def _refuse_one_value(values: Array, what: str, remedy: str) -> None:
    """Refuse labels that are all equal."""
    if _is_one_value(values):
        value = np.nanmean(values)
        raise InputError(f"{what} is {value:g}; a student can learn nothing from them: {remedy}")


def _is_one_value(values: Array) -> bool:
    """Whether labels are all equal, up to the rounding of means; no labels are."""
    known = values[~np.isnan(values)]
    return bool(np.ptp(known) <= _ROUNDING * np.abs(known).max()) if len(known) else True


def _first_repeat(numbers: NDArray[np.int64]) -> tuple[int, int] | None:
    """Return the first place whose number occurred before, after that where it first did."""
    again = np.asarray(pd.Index(numbers).duplicated())
    if not again.any():
        return None
    place = int(again.argmax())
    return int((numbers == numbers[place]).argmax()), place
