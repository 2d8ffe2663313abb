"""The inputs of a study, from the files that a configuration names."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from weakstrong.data.chembench import published_split
from weakstrong.data.columns import group_names, real_valued, target_names
from weakstrong.data.ids import Features, checked_ids, refuse_shared_columns, rows_of, same_length
from weakstrong.data.tables import read_features, read_table
from weakstrong.errors import InputError
from weakstrong.studies.config import StudyConfig, StudyOptions, validated
from weakstrong.studies.inputs import Split, StudyInputs

_PATHS = ("strong", "labels", "out")
_PATH_LISTS = ("weak", "splits")


def load_config(path: Path | None, given: dict[str, Any]) -> StudyConfig:
    """Settings of a TOML file, overridden by those given; paths in the file are relative to it.

    Raises
    ------
    InputError
        On a file that is not TOML, an unknown key, or a value that does not fit.
    """
    values: dict[str, Any] = {}
    if path is not None:
        try:
            values = tomllib.loads(Path(path).read_text())
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror})") from error
        except (tomllib.TOMLDecodeError, UnicodeError) as error:
            raise InputError(f"{path}: not TOML ({error})") from error
        values = {k: _relative(k, v, Path(path).parent) for k, v in values.items()}
    return validated(StudyConfig, {**values, **given}, str(path) if path else "study")


def read_inputs(config: StudyConfig) -> StudyInputs:
    """Read and join features, labels, groups and splits, in the order of the labels' rows.

    Raises
    ------
    InputError
        Naming file, row and column of the first fault.
    """
    frame = read_table(config.labels, config.id)
    others = {c for c in (config.id, config.groups) if c is not None}
    asked = () if config.target is None else (config.target,)
    [target] = target_names(frame, config.labels, asked, others)
    ids = None if config.id is None else checked_ids(frame[config.id], config.labels)
    notes: list[str] = []

    def joined(path: Path) -> NDArray[Any]:
        features = read_features(path, config.id)
        values, note = _in_order(features, frame, ids, config.labels)
        notes.extend(note)
        return values

    groups = None if config.groups is None else group_names(frame[config.groups], config.labels)
    return StudyInputs(
        weak={name: joined(path) for name, path in _named(config.weak).items()},
        strong=joined(config.strong),
        y=real_valued(frame[target], config.labels),
        target=target,
        ids=ids,
        groups=groups,
        splits=tuple(s for p in config.splits for s in _read_splits(p, config, ids, len(frame), notes)),
        notes=tuple(notes),
    )


def _in_order(
    features: Features, frame: pd.DataFrame, ids: NDArray[np.str_] | None, labels: Path
) -> tuple[NDArray[Any], list[str]]:
    """Feature rows in the order of the labels, by id where both have ids, else by position."""
    if ids is None or features.ids is None:
        if ids is None:
            refuse_shared_columns(features, frame, labels)
        return features.values, [same_length(features, len(frame), labels)]
    rows = rows_of(features.ids, Path(features.source), ids, str(labels))
    rows_of(ids, labels, features.ids, features.source)  # neither side may have rows of its own
    return features.values[rows], []


def _named(paths: tuple[Path, ...]) -> dict[str, Path]:
    """Supervisors by the name of their file, by the path where names are not unique."""
    if len(set(paths)) < len(paths):
        twice = next(p for p in paths if paths.count(p) > 1)
        raise InputError(f"{twice}: given twice with --weak; name each supervisor once")
    stems = [p.name.split(".gz")[0].rsplit(".", 1)[0] for p in paths]
    return {stem if stems.count(stem) == 1 else str(p): p for stem, p in zip(stems, paths, strict=True)}


def _read_splits(
    path: Path, config: StudyConfig, ids: NDArray[np.str_] | None, n: int, notes: list[str]
) -> list[Split]:
    """A split for every column of a table (but ids), or the one of a published index file."""
    frame = published_split(path).to_frame() if path.suffix == ".pkl" else read_table(path, config.id)
    if ids is not None and config.id in frame:
        own = checked_ids(frame[config.id], path)
        frame = frame.iloc[rows_of(own, path, ids, str(config.labels))].drop(columns=config.id)
    elif len(frame) != n:
        raise InputError(
            f"{path} has {len(frame)} rows and {config.labels} has {n}; without ids they must agree: "
            "give a row for each label, or an id column named with --id"
        )
    else:
        notes.append(f"{path} is matched to {config.labels} by position ({n} rows), not by id")
    return [_split(frame[c], str(c), path, config.evaluate_on) for c in frame.columns]


def _split(column: pd.Series, name: str, path: Path, evaluate_on: tuple[str, ...]) -> Split:
    """Rows by role: ``train`` and those to evaluate on, or 0 and 1 with 1 held out."""
    roles = column.astype("string").fillna("").str.strip()
    if set(roles) <= {"0", "1", "0.0", "1.0", "True", "False"}:
        held = roles.isin(["1", "1.0", "True"])
        train, test = ~held, held
    else:
        train, test = roles == "train", roles.isin(evaluate_on)
    if not train.any() or not test.any():
        missing = "'train'" if not train.any() else " or ".join(map(repr, evaluate_on))
        raise InputError(
            f"{path}: split {name!r} has no row with role {missing}; give roles (train, test, ...) or 0 and "
            "1 (1 is held out), and an id column if there is one with --id"
        )
    return Split(name, np.flatnonzero(train), np.flatnonzero(test))


def _relative(key: str, value: Any, folder: Path) -> Any:
    if key in _PATHS and isinstance(value, str):
        return folder / value
    if key in _PATH_LISTS:
        return [folder / v for v in ([value] if isinstance(value, str) else value)]
    return value


def options_of(config: StudyConfig) -> StudyOptions:
    """The options without the files."""
    return StudyOptions(**{name: getattr(config, name) for name in StudyOptions.model_fields})
