"""Weak labels, read from a table and matched to the rows of a feature matrix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from weakstrong.data.columns import real_valued, row_weights, target_names
from weakstrong.data.ids import Features, by_position, checked_ids, names_of, refuse_shared_columns, rows_of
from weakstrong.data.label_tables import LabelTable, read_label_table
from weakstrong.data.tables import read_table
from weakstrong.errors import InputError
from weakstrong.votes import Vote

Array = NDArray[np.float64]


@dataclass(frozen=True)
class WeakLabels:
    """Weak labels on the rows of a feature matrix.

    Parameters
    ----------
    values : array of shape (n, k)
        NaN where a row has no label.
    targets : tuple of str
    weights : array of shape (n,), or None
    groups : array of shape (n,), or None
    notes : tuple of str
        Remarks for the user on how rows were matched.
    """

    values: Array
    targets: tuple[str, ...]
    weights: Array | None
    groups: NDArray[Any] | None
    notes: tuple[str, ...]


def read_weak_labels(
    path: Path,
    features: Features,
    *,
    targets: Sequence[str] = (),
    id_column: str | None = None,
    weights: str | None = None,
    groups: str | None = None,
    task: str | None = None,
    worker: str | None = None,
    vote: Vote = "mean",
) -> WeakLabels:
    """Read weak labels from a table, and put them in the order of the features' rows.

    Rows are matched by id where both sides have ids: a feature row that the table lacks, or whose cell is
    empty, has no label. Otherwise they are matched by position, and the counts must agree. Targets that look
    like classes are refused unless `task` is ``"regression"``. Where each row is a worker's label, those of
    an id are combined: `weakstrong.data.label_tables.read_label_table`.
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
    refuse_shared_columns(features, frame, path, {*names, *others})
    both = id_column is not None and features.ids is not None
    rows = np.arange(len(frame))
    notes: tuple[str, ...] = ()
    if both:
        assert features.ids is not None
        rows = rows_of(features.ids, Path(features.source), checked_ids(frame[id_column], path), str(path))
    else:
        notes = (by_position([features], len(frame), path, id_column),)
    n = len(features.values)

    def placed(column: NDArray[Any], empty: Any) -> NDArray[Any]:
        out = np.full(n, empty, dtype=np.result_type(column.dtype, type(empty)) if both else column.dtype)
        out[rows] = column
        return out

    labels = [placed(real_valued(frame[t], path, task=task, allow_missing=True), np.nan) for t in names]
    weight = None
    if weights is not None:
        weight = placed(row_weights(frame[weights], path), 0.0)
    cluster = None
    if groups is not None:
        cluster = placed(names_of(frame[groups], path, "group"), "")
    return WeakLabels(np.column_stack(labels), tuple(names), weight, cluster, notes)


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
    labels = [given.place(rows, n).values for given in table.supervisors.values()]
    return WeakLabels(np.column_stack(labels), tuple(table.supervisors), None, None, table.notes)
