"""Tables of predictions that others made, and what is measured of every supervisor and student in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from weakstrong.arrays import LEAST_PROBABILITY, group_numbers
from weakstrong.class_gains import class_facts, in_other_losses, in_scores
from weakstrong.class_kinds import may_be_classes
from weakstrong.class_labels import SMOOTHING, all_classes, check_smoothing, is_labelled
from weakstrong.data.class_columns import (
    columns_named,
    is_of_whole_numbers,
    read_classes,
    said_of_two,
    task_of,
)
from weakstrong.data.columns import Task, numeric_column, row_weights
from weakstrong.data.ids import names_of, some
from weakstrong.data.tables import read_table, write_table
from weakstrong.divergence import BRIER, SQUARED_ERROR
from weakstrong.errors import InputError, quoted
from weakstrong.estimate import Estimate
from weakstrong.gain import Gain, measure
from weakstrong.predictions import Pair
from weakstrong.record import Result
from weakstrong.serialization import to_json

Array = NDArray[np.float64]
Rows = NDArray[np.int64]

_CLUSTERS = {
    "cluster": "clusters are those of column 'cluster'",
    "row": "clusters are those of column 'row': a row that several divisions judge is one",
}
_NO_CLUSTERS = "every row is a cluster of its own; if rows belong together, name the column of groups"
_BASELINES = ("direct", "ceiling")
_OF_LABELS = ("truth", "weak", "strong", *_BASELINES)
_SHOWN = (
    "value", "low", "high", "standard_error", "degrees_of_freedom", "rows", "clusters", "effective_clusters",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class PredictionTable:
    """Labels of supervisors and predictions of students, on rows of which some have a known truth.

    Values are numbers (n,) or, where labels are classes, a probability for each, (n, c).

    Parameters
    ----------
    source : Path
        Where they came from, for messages.
    columns : mapping of str to str or None
        The columns of truth, baselines, groups, weights and probabilities that were taken.
    truth : array
        NaN where it is not known.
    weak : mapping of column name to array
        NaN where the supervisor gave no label.
    strong : mapping of column name to array
    baselines : mapping of str to array
        ``direct`` and ``ceiling``, if they are there.
    clusters : array of shape (n,)
        Names of the independent clusters.
    weights : array of shape (n,)
    label_probability : array of shape (n,)
        The probability with which a row was drawn to get its true label.
    parts : tuple of (about, rows)
        The rows of each class of heads, student and supervisor, if the table is of several.
    notes : tuple of str
        Remarks for the user.
    classes : tuple of str
        Names of the classes, where labels are classes.
    smoothing : float
        As `measure` takes it.
    """

    source: Path
    columns: Mapping[str, str | None]
    truth: Array
    weak: Mapping[str, Array]
    strong: Mapping[str, Array]
    baselines: Mapping[str, Array]
    clusters: NDArray[Any]
    weights: Array
    label_probability: Array
    parts: tuple[tuple[Mapping[str, str], Rows], ...]
    notes: tuple[str, ...]
    classes: tuple[str, ...] = ()
    smoothing: float = SMOOTHING

    def measured(self) -> tuple[Result, ...]:
        """Measure every student against its supervisor: `weakstrong.measure`, with tests for verdicts.

        Gain and errors are of the rows that have a truth and a weak label; each counts by its weight divided
        by the probability of its true label. Where there are rows with a weak label and a prediction but no
        truth, ``misfit_on_all_rows`` is the misfit of all rows that have both, by their weights alone: it
        takes no truth, so no row was drawn for it. ``gain_over_direct`` is by how much the student is better
        than direct training. Where labels are classes these are Brier scores, and those of
        `weakstrong.class_gains` follow.

        Raises
        ------
        InputError
            If no row can be measured, or a prediction is missing where one can.
        """
        return tuple(
            self._measured(about, rows, weak, strong)
            for (about, rows), weak, strong in product(self.parts, self.weak, self.strong)
        )

    def _measured(self, about: Mapping[str, str], rows: Rows, weak: str, strong: str) -> Result:
        """What is measured of one pair."""
        y, w, s = self.truth[rows], self.weak[weak][rows], self.strong[strong][rows]
        known, labelled, weighty = is_labelled(y), is_labelled(w), self.weights[rows] > 0
        self._refuse_missing(strong, s, known & labelled, rows)
        judged = known & labelled & weighty
        if not judged.any():
            of = "".join(f" of {quoted(name)}" for name in about.values())
            raise InputError(
                f"{self.source}: no row{of} has a truth ({quoted(self.columns['truth'])}), a weak label "
                f"({quoted(weak)}) and weight; give some rows all three, or name other columns",
                "truth", "weak",
            )  # fmt: skip
        at = rows[judged]
        said = {"weak": w[judged], "strong": s[judged]}
        for name, values in self.baselines.items():
            if is_labelled(values[at]).any():  # some pairs have none
                self._refuse_missing(str(self.columns[name]), values[rows], judged, rows)
                said[name] = values[at]
        counted: dict[str, Any] = {
            "groups": self.clusters[at], "sample_weight": self.weights[at] / self.label_probability[at]
        }  # fmt: skip
        gain, estimates = self._in_own_loss(y[judged], said, counted)
        of_classes: dict[str, Any] = {}
        if self.classes:
            others, sensitivity = in_other_losses(
                y[judged], said, **counted, classes=self.classes, smoothing=self.smoothing, tested=True
            )
            estimates |= others | in_scores(y[judged], said, **counted)
            of_classes = class_facts(y[judged], said, self.classes, counted["sample_weight"], self.smoothing)
            of_classes["sensitivity"] = sensitivity
        everywhere = labelled & is_labelled(s) & weighty
        if (everywhere & ~known).any():
            loss = BRIER if self.classes else SQUARED_ERROR
            misfits = loss.misfit(s[everywhere], w[everywhere])
            estimates["misfit_on_all_rows"] = self._mean(misfits, rows[everywhere])
        without = {
            "a truth": ~known, "a weak label": known & ~labelled, "weight": known & labelled & ~weighty
        }  # fmt: skip
        facts = {
            "rows": gain.n_rows,
            "rows_left_out_without": {what: int(of.sum()) for what, of in without.items() if of.any()},
            "gap_not_recovered_because": gain.not_recovered_because or None,
            "variance_of_truth": _variance(y[judged], counted["sample_weight"]),
            **of_classes,
        }
        return Result({**about, "weak": weak, "strong": strong}, estimates, facts)

    def _in_own_loss(
        self, y: Array, said: Mapping[str, Array], counted: Mapping[str, Any]
    ) -> tuple[Gain, dict[str, Estimate]]:
        """The gain in squared error or Brier score, and its estimates with those of direct training."""
        known: dict[str, Any] = {**counted, "tested": True}
        known |= {"classes": self.classes} if self.classes else {"divergence": SQUARED_ERROR.name}
        gain = measure(y, said["weak"], said["strong"], y_ceiling=said.get("ceiling"), **known)
        estimates = gain.estimates()
        if "direct" in said:
            over = measure(y, said["direct"], said["strong"], **known)
            estimates |= {"direct_error": over.weak_error, "gain_over_direct": over.gain}
        return gain, estimates

    def pictured(self) -> list[tuple[str, Array, Array]]:
        """What is drawn of calibration: a name, and truth and probabilities of the rows that have both."""
        roles = {**self.weak, **self.strong, **self.baselines}
        drawn = []
        for about, rows in self.parts:
            for name, values in roles.items():
                both = is_labelled(self.truth[rows]) & is_labelled(values[rows])
                who = ", ".join([*about.values(), name])
                if both.any():
                    drawn.append((who, self.truth[rows][both], values[rows][both]))
        return drawn

    def _mean(self, values: Array, rows: Rows) -> Estimate:
        """The mean of values of some rows, by their weights alone, from the same clusters."""
        return Estimate.of_mean(values, group_numbers(self.clusters[rows]), self.weights[rows])

    def _refuse_missing(self, column: str, values: Array, needed: NDArray[np.bool_], rows: Rows) -> None:
        """Refuse a column that lacks a prediction on a row where one is needed."""
        missing = needed & ~is_labelled(values)
        if missing.any():
            raise InputError(
                f"{self.source}: column {quoted(column)}, row {rows[missing.argmax()]} (counted from 0): no "
                "prediction, where there are a truth and a weak label; fill it in or leave the row out"
            )


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
        classes, read = _of_classes(frame, path, truth, names)
        notes += said_of_two(frame, names, path, _two(classes))
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
    if of_study or task_of(frame, truth) == "regression":
        return "regression", []
    values = [pd.to_numeric(frame[name], errors="coerce").to_numpy(np.float64, na_value=np.nan)
              for name in (truth, *names)]  # fmt: skip
    which = f"{path}: {quoted(truth)} holds a few whole numbers, which are taken as"
    if may_be_classes(values[0], values[1:]):
        return "classification", [f"{which} classes; if they are quantities, set the task to regression"]
    return "regression", [f"{which} numbers; if they are classes, set the task to classification"]


def _of_classes(
    frame: pd.DataFrame, path: Path, truth: str, named: Sequence[str]
) -> tuple[tuple[str, ...], dict[str, Array]]:
    """The classes that any of the columns names, and the probabilities of each over them."""
    found = {truth: read_classes(frame, truth, path)}
    of_two = _two(found[truth].classes)
    found |= {name: read_classes(frame, name, path, of_two) for name in dict.fromkeys(named)}
    others = {name: labels.classes for name, labels in found.items() if name != truth}
    classes = all_classes(found[truth].classes, others)
    return classes, {name: labels.over(classes).values for name, labels in found.items()}


def _two(classes: tuple[str, ...]) -> tuple[str, ...] | None:
    """The classes, if they are two."""
    return classes if len(classes) == 2 else None


def write_measured(table: PredictionTable, results: Sequence[Result], path: Path) -> None:
    """Write what was measured as JSON, or as a table with a row for each pair and estimate."""
    if path.name.endswith(".json"):
        whole = {
            "table": table.source, "columns": table.columns, "notes": table.notes,
            "results": [vars(result) for result in results],
        }  # fmt: skip
        path.write_text(to_json(whole), encoding="utf-8")
        return
    rows = [
        {**result.about, "estimate": name, **{field: getattr(estimate, field) for field in _SHOWN}}
        for result in results
        for name, estimate in result.estimates.items()
    ]
    frame = pd.DataFrame(rows)
    numbers = list(_SHOWN[:5])  # arrays without an axis until here
    write_table(frame.astype(dict.fromkeys(numbers, np.float64)), path)


def _refuse_columns(frame: pd.DataFrame, path: Path, named: Mapping[str, tuple[str, ...]]) -> None:
    """Refuse columns that are not there, and one that is truth, weak labels and predictions at once."""
    for setting, names in named.items():
        for name in names:
            there = columns_named(name, frame.columns) if setting in _OF_LABELS else name in frame
            if not there:
                raise InputError(f"{path}: no column {quoted(name)}; columns: {some(frame.columns)}", setting)
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


def _variance(values: Array, weights: Array) -> float:
    """Weighted variance: the error of predicting the mean, summed over the classes if there are some."""
    mean = np.average(values, axis=0, weights=weights)
    return float(np.average((values - mean) ** 2, axis=0, weights=weights).sum())
