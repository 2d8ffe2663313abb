"""Tables of predictions that others made, read and checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from weakstrong.arrays import LEAST_PROBABILITY
from weakstrong.class_kinds import may_be_classes
from weakstrong.class_labels import SMOOTHING, check_smoothing, is_labelled
from weakstrong.class_predictions import all_classes
from weakstrong.data.class_columns import (
    columns_named,
    is_of_whole_numbers,
    read_classes,
    shares_noted,
    task_of,
)
from weakstrong.data.columns import Task, numeric_column, row_weights
from weakstrong.data.ids import names_of, some
from weakstrong.data.prediction_tables import PredictionTable, Rows
from weakstrong.data.tables import read_table
from weakstrong.errors import InputError, quoted
from weakstrong.predictions import Pair

Array = NDArray[np.float64]

_CLUSTERS = {
    "cluster": "clusters are those of column 'cluster'",
    "row": "clusters are those of column 'row': a row that several divisions judge is one",
}
_NO_CLUSTERS = "every row is a cluster of its own; if rows belong together, name the column of groups"
_BASELINES = ("direct", "ceiling")
_OF_LABELS = ("truth", "weak", "strong", *_BASELINES)


def read_predictions(
    path: Path,
    *,
    truth: str = "y_true",
    weak: Sequence[str] = ("y_weak",),
    strong: Sequence[str] = ("y_strong",),
    direct: str | None = None,
    ceiling: str | None = None,
    groups: str | None = None,
    weights: str | None = None,
    label_probability: str | None = None,
    task: Task | None = None,
    smoothing: float = SMOOTHING,
) -> PredictionTable:
    """Read truth, weak labels and predictions from a table, such as the one that a study writes.

    A name stands for a column or, where labels are classes, for the columns of their probabilities,
    ``NAME[class]``, or for one of the probability of the second of two classes. Labels are classes if the
    truth is of text or booleans, a name stands for several columns of probabilities, or the task says so;
    and, but in the predictions of a study, a few whole numbers are if what is said of them can be
    (`weakstrong.class_kinds.may_be_classes`), which is noted.

    Empty cells are allowed where no truth is known, and where a supervisor gave no label. If the table has
    the columns ``heads``, ``student`` and ``supervisor``, as that of a study has, each combination of them is
    measured on its own.

    Parameters
    ----------
    path : Path
    truth : str
    weak, strong : sequence of str
        Columns of weak labels and of predictions; every pair of them is measured.
    direct, ceiling : str, optional
        Columns of predictions of models fitted to true labels: the few at hand, and those of the student's
        rows. ``y_direct`` and ``y_ceiling`` if the table has them.
    groups : str, optional
        Column of clusters: ``cluster`` if the table has it, or else ``row``; if it has neither, every row is
        one.
    weights, label_probability : str, optional
        Columns of weights, and of the probabilities, above 0 and at most 1, with which rows were drawn to get
        their true label. One is needed wherever there is a truth. In a table of a study they are ``weight``
        and ``probability``, if it has them.
    task : {"regression", "classification"}, optional
    smoothing : float
        Share of the uniform distribution that labels without full support are mixed with in log loss.

    Raises
    ------
    InputError
        If a column is missing, or holds anything but finite numbers; the message names file, row and column.
    """
    path = Path(path)
    if path.is_dir():
        raise InputError(f"{path}: is a folder; give a table, such as the predictions.csv of a record")
    numeric = {truth, *weak, *strong, direct, ceiling, weights, label_probability}  # under whatever names
    frame = read_table(path, {groups, "cluster", *Pair._fields} - numeric)
    fitted = {"direct": direct, "ceiling": ceiling}
    for name, given in fitted.items():
        if given is None and columns_named(f"y_{name}", frame.columns):
            fitted[name] = f"y_{name}"
    of_study = set(Pair._fields) <= set(frame)
    if of_study:
        weights = "weight" if weights is None and "weight" in frame else weights
        if label_probability is None and "probability" in frame:
            label_probability = "probability"
    single = {
        "truth": truth, **fitted, "groups": groups, "weights": weights,
        "label_probability": label_probability,
    }  # fmt: skip
    several = {"weak": tuple(dict.fromkeys(weak)), "strong": tuple(dict.fromkeys(strong))}
    _refuse_columns(frame, path, {**{k: (v,) for k, v in single.items() if v is not None}, **several})
    taken, notes = groups, []
    if groups is None:
        taken = next((name for name in _CLUSTERS if name in frame and name not in numeric), None)
        notes.append(_CLUSTERS[taken] if taken else _NO_CLUSTERS)

    def numbers(column: str) -> Array:
        return numeric_column(frame[column], path, allow_missing=True, may_be_id=False)

    n = len(frame)
    names = [*several["weak"], *several["strong"], *(name for name in fitted.values() if name is not None)]
    if task is None:
        task, said = _task_of(frame, path, truth, names, of_study=of_study)
        notes += said
    classes: tuple[str, ...] = ()
    if task == "classification":
        classes, read, said = _of_classes(frame, path, truth, names)
        notes += said + _never_noted(read, truth, classes)
    else:
        read = {name: numbers(name) for name in (truth, *names)}
    true = read[truth]
    chance = np.ones(n)
    if label_probability is not None:
        chance = _probabilities(numbers(label_probability), is_labelled(true), label_probability, path)
    return PredictionTable(
        source=path,
        columns={**single, "groups": taken},
        truth=true,
        weak={name: read[name] for name in several["weak"]},
        strong={name: read[name] for name in several["strong"]},
        baselines={name: read[column] for name, column in fitted.items() if column is not None},
        clusters=np.arange(n) if taken is None else _clusters(frame[taken], path),
        weights=np.ones(n) if weights is None else row_weights(frame[weights], path),
        label_probability=chance,
        parts=tuple(_parts(frame, path) if numeric.isdisjoint(Pair._fields) else [({}, np.arange(n))]),
        notes=tuple(notes),
        classes=classes,
        smoothing=check_smoothing(smoothing),
    )


def _task_of(
    frame: pd.DataFrame, path: Path, truth: str, names: Sequence[str], *, of_study: bool
) -> tuple[Task, list[str]]:
    """Whether labels are numbers or classes, with a note where whole numbers may be either."""
    if any(columns_named(name, frame.columns) != [name] for name in (truth, *names)):
        return "classification", []
    if not is_of_whole_numbers(frame, truth):
        kind = pd.api.types.infer_dtype(frame[truth], skipna=True)
        is_of_classes = kind in ("string", "boolean", "categorical")
        return "classification" if is_of_classes else "regression", []
    is_of_floats = pd.api.types.is_float_dtype(frame[truth]) and not frame[truth].isna().any()
    if of_study or task_of(frame, truth) == "regression":
        return "regression", []
    values = [pd.to_numeric(frame[name], errors="coerce").to_numpy(np.float64, na_value=np.nan)
              for name in (truth, *names)]  # fmt: skip
    which = f"{path}: {quoted(truth)} holds a few whole numbers, which are taken as"
    said = zip(names, values[1:], strict=True)
    other = next((name for name, of in said if not may_be_classes(values[0], [of])), None)
    why = "" if is_of_floats or other is None else f" ({quoted(other)} is neither of the same nor of shares)"
    if not is_of_floats and other is None:
        return "classification", [f"{which} classes; if they are quantities, set the task to regression"]
    return "regression", [f"{which} numbers; if they are classes, set the task to classification{why}"]


def _of_classes(
    frame: pd.DataFrame, path: Path, truth: str, named: Sequence[str]
) -> tuple[tuple[str, ...], dict[str, Array], list[str]]:
    """The classes that any of the columns names, the probabilities of each over them, and notes."""
    found = {truth: read_classes(frame, truth, path)}
    true = found[truth].classes
    found |= {name: read_classes(frame, name, path, true) for name in dict.fromkeys(named)}
    others = {name: labels.classes for name, labels in found.items() if name != truth}
    classes = all_classes(true, others)
    read = {name: labels.over(classes).values for name, labels in found.items()}
    return classes, read, shares_noted(frame, named, path, true)


def _never_noted(read: Mapping[str, Array], truth: str, classes: Sequence[str]) -> list[str]:
    """Note which classes are named that no truth is."""
    there = {name: np.nansum(values, axis=0) > 0 for name, values in read.items()}
    lines = []
    for name, said in there.items():
        never = [of for of, mine, true in zip(classes, said, there[truth], strict=True) if mine and not true]
        if never:
            named = ", ".join(map(quoted, never))
            lines.append(f"{quoted(name)} names {named}, which no truth is: that counts as wrong")
    return lines


def _refuse_columns(frame: pd.DataFrame, path: Path, named: Mapping[str, tuple[str, ...]]) -> None:
    """Refuse columns that are not there, and one that is truth, weak labels and predictions at once."""
    for setting, names in named.items():
        for name in names:
            there = columns_named(name, frame.columns) if setting in _OF_LABELS else name in frame
            if not there:
                alone = [str(c) for c in frame.columns if str(c).startswith(f"{name}[")]
                said = f"{quoted(alone[0])} is the only one of its classes" if alone else ""
                said = said or f"columns: {some(frame.columns)}"
                raise InputError(f"{path}: no column {quoted(name)}; {said}", setting)
    seen: dict[str, str] = {}
    for setting in ("truth", "weak", "strong"):
        for name in named[setting]:
            if name in seen:
                raise InputError(
                    f"{path}: column {quoted(name)} cannot be two of truth, weak label and prediction; name "
                    "another",
                    seen[name], setting,
                )  # fmt: skip
            seen[name] = setting


def _clusters(column: pd.Series, path: Path) -> NDArray[Any]:
    """Names of clusters, checked that none is missing; whole numbers keep their order, as in a study."""
    names = names_of(column, path, "group")
    return column.to_numpy() if pd.api.types.is_integer_dtype(column) else names


def _probabilities(values: Array, needed: NDArray[np.bool_], column: str, path: Path) -> Array:
    """Probabilities of true labels, checked to be in (0, 1], and known where they are needed."""
    where = f"{path}: column {quoted(column)}, row"
    bad = ~np.isnan(values) & ~((values >= LEAST_PROBABILITY) & (values <= 1))
    if bad.any():
        row = int(bad.argmax())
        raise InputError(
            f"{where} {row} (counted from 0): {values[row]:g} is no probability of getting a true label; "
            "give one above 0 and at most 1"
        )
    missing = needed & np.isnan(values)
    if missing.any():
        raise InputError(
            f"{where} {missing.argmax()} (counted from 0): no probability, where there is a truth; fill it in"
        )
    return values


def _parts(frame: pd.DataFrame, path: Path) -> list[tuple[Mapping[str, str], Rows]]:
    """The rows of each class of heads, student and supervisor, or all rows if these are not named."""
    keys = list(Pair._fields)
    if not set(keys) <= set(frame):
        return [({}, np.arange(len(frame)))]
    names = pd.DataFrame({key: names_of(frame[key], path, key) for key in keys})
    grouped = names.groupby(keys, sort=False)
    return [
        (dict(zip(keys, map(str, key), strict=True)), part.index.to_numpy(dtype=np.int64))
        for key, part in grouped
    ]
