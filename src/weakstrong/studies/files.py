"""The inputs of a study, from the files that a configuration names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from weakstrong.data.columns import real_valued, target_names
from weakstrong.data.ids import (
    Features,
    by_position,
    checked_ids,
    names_of,
    refuse_shared_columns,
    rows_of,
    texts_of,
)
from weakstrong.data.index_files import published_split
from weakstrong.data.tables import read_features, read_table
from weakstrong.errors import InputError
from weakstrong.studies.inputs import Split, StudyInputs
from weakstrong.studies.settings import StudyConfig

_PARTS = ("supervised", "student")  # roles of the training rows where a division is given whole


def read_inputs(config: StudyConfig) -> StudyInputs:
    """Read and join features, labels, groups and splits, in the order of the labels' rows.

    Raises
    ------
    InputError
        Naming file, row and column of the first fault.
    """
    frame = read_table(config.labels, (config.id, config.groups))
    others = {c for c in (config.id, config.groups) if c is not None}
    asked = () if config.target is None else (config.target,)
    [target] = target_names(frame, config.labels, asked, others)
    ids = None if config.id is None else checked_ids(frame[config.id], config.labels)
    read = [read_features(path, config.id) for path in (*config.weak, *config.strong)]
    for features in read:
        refuse_shared_columns(features, frame, config.labels, {target, *others})
    matrices, notes = _in_order(read, config, ids, len(frame))
    groups = None if config.groups is None else names_of(frame[config.groups], config.labels, "group")
    count = len(config.weak)
    return StudyInputs(
        supervisors=dict(zip(_names(config.weak), matrices[:count], strict=True)),
        students=dict(zip(_names(config.strong), matrices[count:], strict=True)),
        y=real_valued(frame[target], config.labels, task=config.task),
        target=target,
        ids=ids,
        groups=groups,
        splits=tuple(s for p in config.splits for s in _read_splits(p, config, ids, len(frame), notes)),
        notes=tuple(notes),
    )


def _in_order(
    read: list[Features], config: StudyConfig, ids: NDArray[np.str_] | None, n: int
) -> tuple[list[NDArray[Any]], list[str]]:
    """Feature matrices with rows in the order of the labels, all by id or all by position."""
    without = [f for f in read if f.ids is None]
    if ids is None or len(without) == len(read):
        return [f.values for f in read], [by_position(read, n, config.labels, config.id)]
    if without:
        raise InputError(
            f"{without[0].source} has no ids to join by, and other features have: save it as a table with "
            "the column, or as .npz with `ids`"
        )
    matrices, notes = [], []
    for features in read:
        assert features.ids is not None
        rows = rows_of(features.ids, Path(features.source), ids, str(config.labels))
        matrices.append(features.values[rows])
        unlabelled = len(features.ids) - n
        if unlabelled:
            notes.append(f"{features.source}: {unlabelled} rows have no label in {config.labels}; left out")
    return matrices, notes


def _names(paths: tuple[Path, ...]) -> list[str]:
    """Names of files without endings, or their paths where those are not unique."""
    if len(set(paths)) < len(paths):
        twice = next(p for p in paths if paths.count(p) > 1)
        raise InputError(f"{twice}: given twice; name each file of features once")
    stems = [p.name.split(".gz")[0].rsplit(".", 1)[0] for p in paths]
    return [stem if stems.count(stem) == 1 else str(p) for stem, p in zip(stems, paths, strict=True)]


def _read_splits(
    path: Path, config: StudyConfig, ids: NDArray[np.str_] | None, n: int, notes: list[str]
) -> list[Split]:
    """A split for every column of a table (but ids), or the one of a published index file."""
    frame = published_split(path).to_frame() if path.suffix == ".pkl" else read_table(path, None)
    if ids is not None and config.id in frame:
        split_ids = checked_ids(frame[config.id], path)
        frame = frame.iloc[rows_of(split_ids, path, ids, str(config.labels))].drop(columns=config.id)
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
    if set(roles.str.lower()) <= {"0", "1", "0.0", "1.0", "true", "false"}:
        held = roles.str.lower().isin(["1", "1.0", "true"])
        if "evaluate_on" in config.model_fields_set:
            raise InputError(
                f"{path}: split {name!r} has 0 and 1, not roles; leave the roles to evaluate on out",
                "evaluate_on",
            )
        return Split(name, np.flatnonzero(~held), np.flatnonzero(held))
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
