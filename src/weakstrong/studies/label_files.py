"""Weak labels that exist, from the tables that a configuration names, on the rows of a study."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from weakstrong.data.class_columns import columns_named
from weakstrong.data.ids import Features, refuse_shared_columns, rows_of
from weakstrong.data.label_tables import LabelTable, read_label_table
from weakstrong.data.tables import column_names
from weakstrong.data.targets import Target
from weakstrong.errors import InputError
from weakstrong.studies.row_tables import StudyRows
from weakstrong.studies.settings import StudyConfig
from weakstrong.votes import GivenLabels


def read_given_labels(
    config: StudyConfig, rows: StudyRows, target: Target, features: list[Features], notes: list[str]
) -> dict[str, GivenLabels]:
    """Read the labels of every supervisor whose labels exist, on the rows of the study; notes are added.

    A table with the column of workers has their labels, another a supervisor in each column.

    Raises
    ------
    InputError
        If a table has ids without features or a student's features, or two supervisors have one name.
    """
    several = (
        config.weak_labels if len(config.weak_labels) > 1 else ()
    )  # reading a lone one says what it lacks
    columns = {path: column_names(path) for path in several}
    _refuse_missing(config, columns)
    found: list[tuple[str, str, GivenLabels]] = []
    for path, file in zip(config.weak_labels, file_names(config.weak_labels), strict=True):
        table = _read_table(path, config, target, columns.get(path))
        _refuse_other_use(table, config, rows)
        if table.frame is not None:
            for student in features[len(config.weak) :]:  # one that sees the labels can only repeat them
                used = [c for name in table.supervisors for c in columns_named(name, table.frame.columns)]
                refuse_shared_columns(student, table.frame, path, used)
        places = _places(table, config, rows, features, notes)
        if table.frame is not None and not is_same_file(path, config.labels):
            rows.tables.append((path, table.frame, places))
        notes += table.notes
        found += [(file, name, one.place(places, rows.n)) for name, one in table.supervisors.items()]
    names = [name for _, name, _ in found]
    named = [(n if names.count(n) == 1 else f"{file}:{n}", one) for file, n, one in found]
    taken = [name for name, _ in named]
    if len(set(taken)) < len(taken):
        twice = next(name for name in taken if taken.count(name) > 1)
        raise InputError(f"two supervisors with weak labels are called {twice!r}; rename a column")
    return dict(named)


def _refuse_other_use(table: LabelTable, config: StudyConfig, rows: StudyRows) -> None:
    """Refuse a column that nobody named and that the table of true labels has too, such as an id."""
    path, frame, _ = rows.tables[0]
    if config.weak_columns or table.frame is None or is_same_file(table.source, path):
        return
    shared = [name for name in table.supervisors if columns_named(name, frame.columns)]
    if shared:
        raise InputError(
            f"{table.source} and {path} both have a column {shared[0]!r}: name it as the id, or name the "
            "columns of weak labels",
            "id", "weak_columns",
        )  # fmt: skip


def _refuse_missing(config: StudyConfig, columns: Mapping[Path, list[str]]) -> None:
    """Refuse a column of labels or workers that no table has, and a table that has none of those named."""
    if not columns:
        return
    wanted = [("weak_columns", name) for name in config.weak_columns]
    wanted += [("worker", config.worker)] if config.worker is not None else []
    for setting, name in wanted:
        if not any(columns_named(name, there) for there in columns.values()):
            where = ", ".join(map(str, columns))
            raise InputError(f"{where}: none has the column {name!r}", setting)
    for path, there in columns.items():
        if config.weak_columns and not any(columns_named(name, there) for name in config.weak_columns):
            raise InputError(f"{path}: none of the columns named is in it; leave it out", "weak_columns")


def _read_table(path: Path, config: StudyConfig, target: Target, there: list[str] | None) -> LabelTable:
    """Read one table; of several, whose columns are given, with those of the named columns that it has."""
    named = (config.weights, config.label_probability)
    others = {name for name in named if name is not None}
    if is_same_file(path, config.labels):
        others.update(target.columns)
    columns, worker = config.weak_columns, config.worker
    if there is not None:
        columns = tuple(name for name in columns if columns_named(name, there))
        worker = worker if worker in there else None
    return read_label_table(
        path, id_column=config.id, columns=columns, worker=worker, vote=config.vote,
        each_worker=config.each_worker and worker is not None, others=others,
        names=[] if config.groups is None else [config.groups], task=target.task, classes=target.classes,
    )  # fmt: skip


def _places(
    table: LabelTable, config: StudyConfig, rows: StudyRows, features: list[Features], notes: list[str]
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
    if not is_same_file(table.source, config.labels):
        notes.append(f"{table.source} is matched to {config.labels} by position ({rows.n} rows), not by id")
    return np.arange(rows.n)


def is_same_file(one: Path, other: Path) -> bool:
    """Tell whether two paths lead to the same file."""
    return one == other or (one.exists() and other.exists() and one.samefile(other))


def file_names(paths: tuple[Path, ...]) -> list[str]:
    """Names of files without endings, or their paths where those are not unique."""
    if len(set(paths)) < len(paths):
        twice = next(p for p in paths if paths.count(p) > 1)
        raise InputError(f"{twice}: given twice; name each file once")
    stems = [p.name.split(".gz")[0].rsplit(".", 1)[0] for p in paths]
    return [stem if stems.count(stem) == 1 else str(p) for stem, p in zip(stems, paths, strict=True)]
