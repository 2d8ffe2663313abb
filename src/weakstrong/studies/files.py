"""The inputs of a study, from the files that a configuration names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from weakstrong.data.columns import numeric_column, real_valued, row_weights, target_names
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
from weakstrong.data.label_tables import LabelTable, read_label_table
from weakstrong.data.tables import read_features, read_table
from weakstrong.errors import InputError, quoted
from weakstrong.studies.inputs import Split, StudyInputs
from weakstrong.studies.settings import StudyConfig
from weakstrong.votes import GivenLabels

_PARTS = ("supervised", "student")  # roles of the training rows where a division is given whole
_FITTED, _HELD_OUT = ("0", "0.0", "false"), ("1", "1.0", "true")


@dataclass(frozen=True)
class _Rows:
    """The rows of a study: those of the table of true labels, then those that only the features have.

    Parameters
    ----------
    n : int
    ids : array of str of shape (n,), or None
    tables : list of (path, table, row of the study for each of its rows)
        Where columns of rows are found, in this order: true labels, then weak labels.
    """

    n: int
    ids: NDArray[np.str_] | None
    tables: list[tuple[Path, pd.DataFrame, NDArray[np.int64]]]

    def called(self, row: int) -> str:
        return f"row {row} (counted from 0)" if self.ids is None else f"id {quoted(str(self.ids[row]))}"


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
    if any(_is_same_file(path, config.labels) for path in config.weak_labels):
        others |= set(config.weak_columns)
    for name, what in ((config.id, "id"), (config.label_probability, "label_probability")):
        if name is not None and name not in frame:
            raise InputError(f"{config.labels}: no column {name!r}; columns: {some(frame.columns)}", what)
    [target] = target_names(frame, config.labels, asked, others)
    ids = None if config.id is None else checked_ids(frame[config.id], config.labels)
    read = [read_features(path, config.id) for path in (*config.weak, *config.strong)]
    for features in read:
        refuse_shared_columns(features, frame, config.labels, {target, *others})
    matrices, ids, notes = _in_order(read, config, ids, len(frame))
    n = len(matrices[0])
    rows = _Rows(n, ids, [(config.labels, frame, np.arange(len(frame)))])
    weak_labels = _weak_labels(config, rows, target, read, notes)
    truth = real_valued(frame[target], config.labels, task=config.task, allow_missing=True)
    groups, weights = None, None
    if config.groups is not None:
        groups = _column(config.groups, "group", rows, _texts, "")
    if config.weights is not None:
        weights = _column(config.weights, "weight", rows, row_weights, np.nan)
    count = len(config.weak)
    return StudyInputs(
        supervisors=dict(zip(_names(config.weak), matrices[:count], strict=True)),
        students=dict(zip(_names(config.strong), matrices[count:], strict=True)),
        y=_padded(truth, n),
        weak_labels=weak_labels,
        target=target,
        ids=ids,
        groups=groups,
        weights=weights,
        label_probability=None
        if config.label_probability is None
        else _padded(numeric_column(frame[config.label_probability], config.labels, allow_missing=True), n),
        splits=tuple(s for p in config.splits for s in _read_splits(p, config, ids, len(frame), notes)),
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


def _weak_labels(
    config: StudyConfig, rows: _Rows, target: str, features: list[Features], notes: list[str]
) -> dict[str, GivenLabels]:
    """Labels of every supervisor whose labels exist, on the rows of the study; more notes are added."""
    named = (config.groups, config.weights, config.label_probability)
    used = {name for name in named if name is not None}
    read: list[dict[str, GivenLabels]] = []
    for path in config.weak_labels:
        is_truth = _is_same_file(path, config.labels)
        others = {*used, target} if is_truth else used
        table = read_label_table(
            path, id_column=config.id, columns=config.weak_columns, worker=config.worker, vote=config.vote,
            each_worker=config.each_worker, others=others - {str(config.groups)},
            names=[] if config.groups is None else [config.groups], task=config.task,
        )  # fmt: skip
        for student in features[len(config.weak) :]:  # one that sees the labels can only repeat them
            if table.frame is not None:
                refuse_shared_columns(student, table.frame, path, table.supervisors.keys())
        places = _places(table, config, rows, features, notes)
        if table.frame is not None and not is_truth:
            rows.tables.append((path, table.frame, places))
        notes += table.notes
        read.append({name: one.place(places, rows.n) for name, one in table.supervisors.items()})
    every = [name for supervisors in read for name in supervisors]
    found = [
        (name if every.count(name) == 1 else f"{table}:{name}", one)
        for table, supervisors in zip(_names(config.weak_labels), read, strict=True)
        for name, one in supervisors.items()
    ]
    taken = [name for name, _ in found]
    if len(set(taken)) < len(taken):
        twice = next(name for name in taken if taken.count(name) > 1)
        raise InputError(f"two supervisors with weak labels are called {twice!r}; rename a column")
    return dict(found)


def _places(
    table: LabelTable, config: StudyConfig, rows: _Rows, features: list[Features], notes: list[str]
) -> NDArray[np.int64]:
    """The row of the study that each row of a table of weak labels is about."""
    if table.ids is not None and rows.ids is not None:
        for each in features:  # of those with ids, the one that lacks an id is named
            if each.ids is not None:
                rows_of(each.ids, Path(each.source), table.ids, str(table.source))
        return rows_of(rows.ids, config.labels, table.ids, str(table.source))
    count = len(next(iter(table.supervisors.values())).values)
    if count != rows.n:
        raise InputError(
            f"{table.source} has {count} rows and {config.labels} has {rows.n}; without ids they must agree: "
            "give a row for each label, or name an id column",
            "id",
        )
    if not _is_same_file(table.source, config.labels):
        notes.append(f"{table.source} is matched to {config.labels} by position ({rows.n} rows), not by id")
    return np.arange(rows.n)


def _is_same_file(one: Path, other: Path) -> bool:
    """Whether two paths, however they are spelt, are of one file."""
    return one == other or (one.exists() and other.exists() and one.samefile(other))


def _texts(column: pd.Series, path: Path) -> NDArray[np.str_]:
    return texts_of(column, path).to_numpy(dtype=np.str_)


def _column(
    name: str,
    kind: str,
    rows: _Rows,
    parse: Callable[[pd.Series, Path], NDArray[Any]],
    empty: str | float,
) -> NDArray[Any]:
    """A column of all rows of a study, from the first table that has it of each row; names must agree."""
    found = [(path, parse(f[name], path), places) for path, f, places in rows.tables if name in f]
    if not found:
        path, frame, _ = rows.tables[0]
        raise InputError(f"{path}: no column {name!r}; columns: {some(frame.columns)}")
    values = np.full(rows.n, empty, dtype=np.result_type(*(v.dtype for _, v, _ in found)))
    filled = np.zeros(rows.n, dtype=bool)
    for path, some_values, places in found:
        new = ~filled[places]
        differs = ~new & (values[places] != some_values)
        if isinstance(empty, str) and differs.any():  # one group under two names may be judged and fitted
            at = int(differs.argmax())
            raise InputError(
                f"{path}: column {name!r}, {rows.called(int(places[at]))}: {kind} "
                f"{quoted(str(some_values[at]))}, and {quoted(str(values[places[at]]))} in another table; "
                "write it in one way"
            )
        values[places[new]] = some_values[new]
        filled[places] = True
    missing = ~filled | (values == empty if isinstance(empty, str) else np.isnan(values))
    if missing.any():
        where = ", ".join(str(path) for path, _, _ in found)
        raise InputError(
            f"{where}: column {name!r}, {rows.called(int(missing.argmax()))}: no {kind}; give every row one, "
            "those without a true label too (as a row with an empty target), or leave its features out"
        )
    return values


def _padded(values: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """Values of the first rows, and NaN for all others."""
    return np.concatenate([values, np.full(n - len(values), np.nan)])


def _names(paths: tuple[Path, ...]) -> list[str]:
    """Names of files without endings, or their paths where those are not unique."""
    if len(set(paths)) < len(paths):
        twice = next(p for p in paths if paths.count(p) > 1)
        raise InputError(f"{twice}: given twice; name each file once")
    stems = [p.name.split(".gz")[0].rsplit(".", 1)[0] for p in paths]
    return [stem if stems.count(stem) == 1 else str(p) for stem, p in zip(stems, paths, strict=True)]


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
