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
from weakstrong.class_gains import class_facts, in_other_losses
from weakstrong.class_labels import SMOOTHING, all_classes, check_smoothing, is_labelled
from weakstrong.data.class_columns import columns_named, read_classes
from weakstrong.data.columns import Task, numeric_column, row_weights
from weakstrong.data.ids import names_of, some
from weakstrong.data.tables import read_table, write_table
from weakstrong.divergence import BRIER, SQUARED_ERROR
from weakstrong.errors import InputError, quoted
from weakstrong.estimate import Estimate
from weakstrong.gain import measure
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
_OF_LABELS = ("truth", "weak", "strong", "ceiling")
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
        The columns of truth, ceiling, groups, weights and probabilities that were taken.
    truth : array
        NaN where it is not known.
    weak : mapping of column name to array
        NaN where the supervisor gave no label.
    strong : mapping of column name to array
    ceiling : array, or None
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
    ceiling: Array | None
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
        takes no truth, so no row was drawn for it. Where labels are classes these are Brier scores, and
        those of `weakstrong.class_gains` follow.

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
        at, best = rows[judged], None
        if self.ceiling is not None and is_labelled(self.ceiling[rows][judged]).any():  # some pairs have none
            self._refuse_missing(str(self.columns["ceiling"]), self.ceiling[rows], judged, rows)
            best = self.ceiling[at]
        omega, groups = self.weights[at] / self.label_probability[at], self.clusters[at]
        arrays = y[judged], w[judged], s[judged]
        counted: dict[str, Any] = {"sample_weight": omega, "tested": True}
        if self.has_clusters or np.ptp(omega) > 0:
            counted["groups"] = groups
        counted |= {"classes": self.classes} if self.classes else {}
        gain = measure(*arrays, y_ceiling=best, **counted)
        estimates, of_classes = gain.estimates(), {}
        if self.classes:
            others, sensitivity = in_other_losses(
                *arrays, y_ceiling=best, smoothing=self.smoothing, **counted
            )
            estimates |= others
            said = {"weak": arrays[1], "strong": arrays[2]} | ({} if best is None else {"ceiling": best})
            of_classes = class_facts(arrays[0], said, self.classes, omega, self.smoothing)
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
            "variance_of_truth": _variance(y[judged], omega),
            **of_classes,
        }
        return Result({**about, "weak": weak, "strong": strong}, estimates, facts)

    def pictured(self) -> list[tuple[str, Array, Array]]:
        """What is drawn of calibration: a name, and truth and probabilities of the rows that have both."""
        roles = {**self.weak, **self.strong} | ({} if self.ceiling is None else {"ceiling": self.ceiling})
        drawn = []
        for about, rows in self.parts:
            for name, values in roles.items():
                both = is_labelled(self.truth[rows]) & is_labelled(values[rows])
                who = ", ".join([*about.values(), name])
                if both.any():
                    drawn.append((who, self.truth[rows][both], values[rows][both]))
        return drawn

    @property
    def has_clusters(self) -> bool:
        """Whether some rows belong together."""
        return len(set(self.clusters.tolist())) < len(self.clusters)

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
    ceiling: str | None = None,
    groups: str | None = None,
    weights: str | None = None,
    label_probability: str | None = None,
    task: Task | None = None,
    smoothing: float = SMOOTHING,
) -> PredictionTable:
    """Read truth, weak labels and predictions from a table, such as the one that a study writes.

    A name stands for a column or, where labels are classes, for the columns of their probabilities,
    ``NAME[class]``. Numbers are classes if the truth is of text or booleans, a name stands for probabilities,
    or the task says so.

    Empty cells are allowed where no truth is known, and where a supervisor gave no label. If the table has
    the columns ``heads``, ``student`` and ``supervisor``, as that of a study has, each combination of them is
    measured on its own.

    Parameters
    ----------
    path : Path
    truth : str
    weak, strong : sequence of str
        Columns of weak labels and of predictions; every pair of them is measured.
    ceiling : str, optional
        ``y_ceiling`` if the table has it.
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
    numeric = {truth, *weak, *strong, ceiling, weights, label_probability}  # under whatever names
    frame = read_table(path, {groups, "cluster", *Pair._fields} - numeric)
    if ceiling is None and columns_named("y_ceiling", frame.columns):
        ceiling = "y_ceiling"
    if set(Pair._fields) <= set(frame):  # as a study writes it
        weights = "weight" if weights is None and "weight" in frame else weights
        if label_probability is None and "probability" in frame:
            label_probability = "probability"
    single = {
        "truth": truth, "ceiling": ceiling, "groups": groups, "weights": weights,
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
    of_classes = (task or _task_of(frame, truth, (*weak, *strong))) == "classification"
    classes: tuple[str, ...] = ()
    if of_classes:
        named = [*several["weak"], *several["strong"], *([ceiling] if ceiling is not None else [])]
        classes, read = _of_classes(frame, path, truth, named)
    else:
        read = {name: numbers(name) for name in (truth, *several["weak"], *several["strong"])}
        read |= {} if ceiling is None else {ceiling: numbers(ceiling)}
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
        ceiling=None if ceiling is None else read[ceiling],
        clusters=np.arange(n) if taken is None else _clusters(frame[taken], path),
        weights=np.ones(n) if weights is None else row_weights(frame[weights], path),
        label_probability=chance,
        parts=tuple(_parts(frame, path) if numeric.isdisjoint(Pair._fields) else [({}, np.arange(n))]),
        notes=tuple(notes),
        classes=classes,
        smoothing=check_smoothing(smoothing),
    )


def _task_of(frame: pd.DataFrame, truth: str, others: Sequence[str]) -> Task:
    """Whether a truth and predictions are plainly classes; 0 and 1 beside numbers are numbers."""
    if any(columns_named(name, frame.columns) != [name] for name in (truth, *others)):
        return "classification"
    kind = pd.api.types.infer_dtype(frame[truth], skipna=True)
    return "classification" if kind in ("string", "boolean", "categorical") else "regression"


def _of_classes(
    frame: pd.DataFrame, path: Path, truth: str, named: Sequence[str]
) -> tuple[tuple[str, ...], dict[str, Array]]:
    """The classes that any of the columns names, and the probabilities of each over them."""
    found = {name: read_classes(frame, name, path) for name in dict.fromkeys((truth, *named))}
    others = {name: labels.classes for name, labels in found.items() if name != truth}
    classes = all_classes(found[truth].classes, others)
    return classes, {name: labels.over(classes).values for name, labels in found.items()}


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
