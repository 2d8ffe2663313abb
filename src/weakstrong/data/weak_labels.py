"""Weak labels, read from a table and matched to the rows of a feature matrix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from weakstrong.data.columns import Task, row_weights
from weakstrong.data.ids import Features, by_position, checked_ids, names_of, refuse_shared_columns, rows_of
from weakstrong.data.label_tables import LabelTable, read_label_table
from weakstrong.data.tables import read_table
from weakstrong.data.targets import Target, read_target, target_names
from weakstrong.errors import InputError
from weakstrong.votes import Vote

Array = NDArray[np.float64]


@dataclass(frozen=True)
class WeakLabels:
    """Weak labels on the rows of a feature matrix.

    Parameters
    ----------
    values : array of shape (n, k), or (n, c)
        NaN where a row has no label. Of k targets or, where labels are classes, the probabilities of the
        classes of one.
    targets : tuple of str
    weights : array of shape (n,), or None
    groups : array of shape (n,), or None
    notes : tuple of str
        Remarks for the user on how rows were matched.
    classes : tuple of str
        Names of the classes, where labels are classes.
    """

    values: Array
    targets: tuple[str, ...]
    weights: Array | None
    groups: NDArray[Any] | None
    notes: tuple[str, ...]
    classes: tuple[str, ...] = ()


def read_weak_labels(
    path: Path,
    features: Features,
    *,
    targets: Sequence[str] = (),
    id_column: str | None = None,
    weights: str | None = None,
    groups: str | None = None,
    task: Task | None = None,
    worker: str | None = None,
    vote: Vote = "mean",
) -> WeakLabels:
    """Read weak labels from a table, and put them in the order of the features' rows.

    Rows are matched by id where both sides have ids: a feature row that the table lacks, or whose cell is
    empty, has no label. Otherwise they are matched by position, and the counts must agree. Targets are
    numbers or, if it is one alone, classes: `weakstrong.data.targets.read_target`. Where each row is a
    worker's label, those of an id are combined: `weakstrong.data.label_tables.read_label_table`.
    """
    path = Path(path)
    if worker is not None:
        if weights is not None or groups is not None:
            raise InputError(f"{path}: weights and groups are of rows, and here a row is a worker's label")
        table = read_label_table(
            path, id_column=id_column, columns=targets, worker=worker, vote=vote, task=task
        )
        return _of_workers(table, features)
    frame = read_table(path, (id_column, groups))
    others = {c for c in (id_column, weights, groups) if c is not None}
    names = target_names(frame, path, tuple(targets), others)
    read = [read_target(frame, path, name, task) for name in names]
    classes = _classes(read, path)
    refuse_shared_columns(features, frame, path, {*others, *(c for of in read for c in of.columns)})
    both = id_column is not None and features.ids is not None
    rows = np.arange(len(frame))
    notes = tuple(note for of in read for note in of.notes)
    if both:
        assert features.ids is not None
        rows = rows_of(features.ids, Path(features.source), checked_ids(frame[id_column], path), str(path))
    else:
        notes = (*notes, by_position([features], len(frame), path, id_column))
    n = len(features.values)

    def placed(column: NDArray[Any], empty: Any) -> NDArray[Any]:
        dtype = np.result_type(column.dtype, type(empty)) if both else column.dtype
        out = np.full((n, *column.shape[1:]), empty, dtype=dtype)
        out[rows] = column
        return out

    labels = np.column_stack([placed(of.values, np.nan) for of in read])
    weight = None
    if weights is not None:
        weight = placed(row_weights(frame[weights], path), 0.0)
    cluster = None
    if groups is not None:
        cluster = placed(names_of(frame[groups], path, "group"), "")
    return WeakLabels(labels, tuple(names), weight, cluster, notes, classes)


def _classes(read: Sequence[Target], path: Path) -> tuple[str, ...]:
    """Names of the classes, if labels are classes; two targets of which one is of classes are refused."""
    of_classes = [target for target in read if target.classes]
    if of_classes and len(read) > 1:
        raise InputError(
            f"{path}: target {of_classes[0].name!r} is of classes; fit it alone, or, if it holds quantities, "
            "set the task to regression",
            "target", "task",
        )  # fmt: skip
    return of_classes[0].classes if of_classes else ()


def _of_workers(table: LabelTable, features: Features) -> WeakLabels:
    """Combined labels of workers, on the rows of the features; those that nobody labels have none."""
    if features.ids is None:
        raise InputError(
            f"{features.source} has no ids to join the labels of {table.source} by: save it as a table with "
            "the column, or as .npz with `ids`",
            "id",
        )
    assert table.ids is not None
    rows = rows_of(features.ids, Path(features.source), table.ids, str(table.source))
    n = len(features.values)
    given = [one.place(rows, n) for one in table.supervisors.values()]
    labels = np.column_stack([one.values for one in given])
    return WeakLabels(labels, tuple(table.supervisors), None, None, table.notes, given[0].classes)
