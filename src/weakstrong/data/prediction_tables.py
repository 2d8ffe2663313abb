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
from weakstrong.data.columns import numeric_column, row_weights
from weakstrong.data.ids import names_of, some
from weakstrong.data.tables import read_table, write_table
from weakstrong.divergence import SQUARED_ERROR
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
_SHOWN = (
    "value", "low", "high", "standard_error", "degrees_of_freedom", "rows", "clusters", "effective_clusters",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class PredictionTable:
    """Labels of supervisors and predictions of students, on rows of which some have a known truth.

    Parameters
    ----------
    source : Path
        Where they came from, for messages.
    columns : mapping of str to str or None
        The columns of truth, ceiling, groups, weights and probabilities that were taken.
    truth : array of shape (n,)
        NaN where it is not known.
    weak : mapping of column name to array of shape (n,)
        NaN where the supervisor gave no label.
    strong : mapping of column name to array of shape (n,)
    ceiling : array of shape (n,), or None
    clusters : array of shape (n,)
        Names of the independent clusters.
    weights : array of shape (n,)
    label_probability : array of shape (n,)
        The probability with which a row was drawn to get its true label.
    parts : tuple of (about, rows)
        The rows of each class of heads, student and supervisor, if the table is of several.
    notes : tuple of str
        Remarks for the user.
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

    def measured(self) -> tuple[Result, ...]:
        """Measure every student against its supervisor: `weakstrong.measure`, with tests for verdicts.

        Gain and errors are of the rows that have a truth and a weak label; each counts by its weight divided
        by the probability of its true label. Where there are rows with a weak label and a prediction but no
        truth, ``misfit_on_all_rows`` is the misfit of all rows that have both, by their weights alone: it
        takes no truth, so no row was drawn for it.

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
        known, labelled, weighty = ~np.isnan(y), ~np.isnan(w), self.weights[rows] > 0
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
        if (
            self.ceiling is not None and not np.isnan(self.ceiling[rows][judged]).all()
        ):  # some pairs have none
            self._refuse_missing(str(self.columns["ceiling"]), self.ceiling[rows], judged, rows)
            best = self.ceiling[at]
        omega, groups = self.weights[at] / self.label_probability[at], self.clusters[at]
        gain = measure(
            y[judged], w[judged], s[judged], y_ceiling=best, groups=groups, sample_weight=omega, tested=True
        )
        estimates = gain.estimates()
        everywhere = labelled & ~np.isnan(s) & weighty
        if (everywhere & ~known).any():
            misfits = SQUARED_ERROR.misfit(s[everywhere], w[everywhere])
            estimates["misfit_on_all_rows"] = self._mean(misfits, rows[everywhere])
        without = {
            "a truth": ~known, "a weak label": known & ~labelled, "weight": known & labelled & ~weighty
        }  # fmt: skip
        facts = {
            "rows": gain.n_rows,
            "rows_left_out_without": {what: int(of.sum()) for what, of in without.items() if of.any()},
            "gap_not_recovered_because": gain.not_recovered_because or None,
            "variance_of_truth": _variance(y[judged], omega),
        }
        return Result({**about, "weak": weak, "strong": strong}, estimates, facts)

    def _mean(self, values: Array, rows: Rows) -> Estimate:
        """The mean of values of some rows, by their weights alone, from the same clusters."""
        return Estimate.of_mean(values, group_numbers(self.clusters[rows]), self.weights[rows])

    def _refuse_missing(self, column: str, values: Array, needed: NDArray[np.bool_], rows: Rows) -> None:
        """Refuse a column that lacks a prediction on a row where one is needed."""
        missing = needed & np.isnan(values)
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
) -> PredictionTable:
    """Read truth, weak labels and predictions from a table, such as the one that a study writes.

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
    if ceiling is None and "y_ceiling" in frame:
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

    n, true = len(frame), numbers(truth)
    chance = np.ones(n)
    if label_probability is not None:
        chance = _probabilities(numbers(label_probability), ~np.isnan(true), label_probability, path)
    return PredictionTable(
        source=path,
        columns={**single, "groups": taken},
        truth=true,
        weak={name: numbers(name) for name in several["weak"]},
        strong={name: numbers(name) for name in several["strong"]},
        ceiling=None if ceiling is None else numbers(ceiling),
        clusters=np.arange(n) if taken is None else _clusters(frame[taken], path),
        weights=np.ones(n) if weights is None else row_weights(frame[weights], path),
        label_probability=chance,
        parts=tuple(_parts(frame, path) if numeric.isdisjoint(Pair._fields) else [({}, np.arange(n))]),
        notes=tuple(notes),
    )


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
            if name not in frame:
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
    """Weighted variance: the error of predicting the mean."""
    mean = np.average(values, weights=weights)
    return float(np.average((values - mean) ** 2, weights=weights))
