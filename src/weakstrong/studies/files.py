"""The inputs of a study, from the files that a configuration names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from weakstrong.class_predictions import all_classes
from weakstrong.data.columns import numeric_column
from weakstrong.data.ids import (
    Features,
    by_position,
    checked_ids,
    refuse_shared_columns,
    rows_of,
    some,
    texts_of,
)
from weakstrong.data.index_files import published_split
from weakstrong.data.tables import read_features, read_table
from weakstrong.data.targets import read_target, target_names
from weakstrong.errors import InputError
from weakstrong.studies.inputs import Split, StudyInputs
from weakstrong.studies.label_files import file_names, is_same_file, read_given_labels
from weakstrong.studies.row_tables import StudyRows
from weakstrong.studies.settings import StudyConfig

_PARTS = ("supervised", "student")  # roles of the training rows where a division is given whole
_FITTED, _HELD_OUT = ("0", "0.0", "false"), ("1", "1.0", "true")


def read_inputs(config: StudyConfig) -> StudyInputs:
    """Read and join features, labels, groups and splits.

    Rows are in the order of the labels' rows; rows of the features that have no true label come after them.

    Raises
    ------
    InputError
        Naming file, row and column of the first fault.
    """
    frame = read_table(config.labels, (config.id, config.groups))
    named = (config.id, config.groups, config.weights, config.label_probability)
    others = {name for name in named if name is not None and name in frame}
    asked = () if config.target is None else (config.target,)
    if any(is_same_file(path, config.labels) for path in config.weak_labels):
        others |= set(config.weak_columns)
    for name, what in ((config.id, "id"), (config.label_probability, "label_probability")):
        if name is not None and name not in frame:
            raise InputError(f"{config.labels}: no column {name!r}; columns: {some(frame.columns)}", what)
    [name] = target_names(frame, config.labels, asked, others)
    target = read_target(frame, config.labels, name, config.task)
    ids = None if config.id is None else checked_ids(frame[config.id], config.labels)
    read = [read_features(path, config.id) for path in (*config.weak, *config.strong)]
    for features in read:
        refuse_shared_columns(features, frame, config.labels, {*target.columns, *others})
    matrices, ids, notes = _in_order(read, config, ids, len(frame))
    rows = StudyRows(len(matrices[0]), ids, [(config.labels, frame, np.arange(len(frame)))])
    weak_labels = read_given_labels(config, rows, target, read, notes)
    notes += target.notes
    if config.groups is not None or config.weights is not None:
        there = rows.in_a_table | np.any([given.labelled for given in weak_labels.values()], axis=0)
        if not there.all():
            more = int((~there).sum())
            notes.append(f"{more} rows of the features have no group or weight, in no table; left out")
            rows, matrices = rows.keep(there), [values[there] for values in matrices]
            weak_labels = {name: given.take(there) for name, given in weak_labels.items()}
    n, count = rows.n, len(config.weak)
    classes = all_classes(target.classes, {name: given.classes for name, given in weak_labels.items()})
    return StudyInputs(
        supervisors=dict(zip(file_names(config.weak), matrices[:count], strict=True)),
        students=dict(zip(file_names(config.strong), matrices[count:], strict=True)),
        y=_padded(target.over(classes), n),
        weak_labels={name: given.over(classes) if classes else given for name, given in weak_labels.items()},
        classes=classes,
        target=target.name,
        ids=rows.ids,
        groups=None if config.groups is None else rows.groups(config.groups),
        weights=None if config.weights is None else rows.weights(config.weights),
        label_probability=None
        if config.label_probability is None
        else _padded(numeric_column(frame[config.label_probability], config.labels, allow_missing=True), n),
        splits=tuple(s for p in config.splits for s in _read_splits(p, config, rows.ids, len(frame), notes)),
        notes=tuple(notes),
    )


def _in_order(
    read: list[Features], config: StudyConfig, ids: NDArray[np.str_] | None, n: int
) -> tuple[list[NDArray[Any]], NDArray[np.str_] | None, list[str]]:
    """Feature matrices with rows in one order, all by id or all by position, with the ids of all rows."""
    without = [f for f in read if f.ids is None]
    if ids is None or len(without) == len(read):
        return [f.values for f in read], ids, [by_position(read, n, config.labels, config.id)]
    if without:
        raise InputError(
            f"{without[0].source} has no ids to join by, and other features have: save it as a table with "
            "the column, or as .npz with `ids`"
        )
    for features in read:  # every true label has features
        assert features.ids is not None
        rows_of(features.ids, Path(features.source), ids, str(config.labels))
    known = [pd.Index(features.ids) for features in read]
    last = known[-1]
    common = last[np.all([last.isin(index) for index in known], axis=0)]
    every = np.concatenate([ids, common[~common.isin(ids)].to_numpy(dtype=np.str_)])
    matrices, notes = [], []
    for features, index in zip(read, known, strict=True):
        matrices.append(features.values[index.get_indexer(pd.Index(every))])
        if len(index) > len(every):
            more = len(index) - len(every)
            notes.append(f"{features.source}: {more} rows have neither a label nor all features; left out")
    return matrices, every, notes


def _padded(values: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """Values of the first rows, and NaN for all others."""
    return np.concatenate([values, np.full((n - len(values), *values.shape[1:]), np.nan)])


def _read_splits(
    path: Path, config: StudyConfig, ids: NDArray[np.str_] | None, n: int, notes: list[str]
) -> list[Split]:
    """A split for every column of a table (but ids), or the one of a published index file."""
    frame = published_split(path).to_frame() if path.suffix == ".pkl" else read_table(path, None)
    if ids is not None and config.id in frame:
        split_ids = checked_ids(frame[config.id], path)
        rows_of(split_ids, path, ids[:n], str(config.labels))
        # A row without a true label may be in no part.
        frame = frame.set_index(pd.Index(split_ids)).drop(columns=config.id).reindex(pd.Index(ids))
    elif len(frame) != n:
        raise InputError(
            f"{path} has {len(frame)} rows and {config.labels} has {n}; without ids they must agree: "
            "give a row for each label, or name an id column",
            "id",
        )
    else:
        notes.append(f"{path} is matched to {config.labels} by position ({n} rows), not by id")
    return [_split(frame[c], str(c), path, config) for c in frame.columns]


def _split(column: pd.Series, name: str, path: Path, config: StudyConfig) -> Split:
    """Rows by role: ``train`` and those to evaluate on, or 0 and 1 with 1 held out.

    With ``supervised`` and ``student`` in place of ``train``, a division is given whole.
    """
    roles = texts_of(column, path)
    if set(roles.str.lower()) - {""} <= {*_FITTED, *_HELD_OUT} and (roles != "").any():
        fitted, held = (roles.str.lower().isin(of) for of in (_FITTED, _HELD_OUT))
        if "evaluate_on" in config.model_fields_set:
            raise InputError(
                f"{path}: split {name!r} has 0 and 1, not roles; leave the roles to evaluate on out",
                "evaluate_on",
            )
        return Split(name, np.flatnonzero(fitted), np.flatnonzero(held))
    is_whole = not set(roles).isdisjoint(_PARTS) and "train" not in set(roles)
    needed = (*(_PARTS if is_whole else ("train",)), *config.evaluate_on)
    missing = [role for role in needed if role not in set(roles)]
    if missing:
        raise InputError(
            f"{path}: split {name!r} has no row with role {missing[0]!r}; give roles (train, test, ...; or "
            "supervised, student, test) or 0 and 1 (1 is held out), and name the id column if there is one",
            "id",
        )
    train, test = roles.isin(needed[: -len(config.evaluate_on)]), roles.isin(config.evaluate_on)
    supervised = np.flatnonzero(roles == "supervised") if is_whole else None
    return Split(name, np.flatnonzero(train), np.flatnonzero(test), supervised)
