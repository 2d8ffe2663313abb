"""What is measured of every supervisor and student in a table of predictions that others made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from weakstrong.arrays import group_numbers
from weakstrong.class_gains import class_facts, in_other_losses, in_scores
from weakstrong.class_labels import SMOOTHING, is_labelled
from weakstrong.data.tables import write_table
from weakstrong.divergence import BRIER, SQUARED_ERROR
from weakstrong.errors import InputError, quoted
from weakstrong.estimate import Estimate
from weakstrong.gain import Gain, measure
from weakstrong.record import Result
from weakstrong.serialization import to_json

Array = NDArray[np.float64]
Rows = NDArray[np.int64]

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
        others, of_classes = (
            self._in_losses_of_classes(y[judged], said, counted) if self.classes else ({}, {})
        )
        estimates |= others
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

    def _in_losses_of_classes(
        self, y: Array, said: Mapping[str, Array], counted: Mapping[str, Any]
    ) -> tuple[dict[str, Estimate], dict[str, Any]]:
        """Estimates in accuracy, log loss and scores, with facts of the same rows."""
        estimates, sensitivity = in_other_losses(
            y, said, **counted, classes=self.classes, smoothing=self.smoothing, tested=True
        )
        estimates |= in_scores(y, said, **counted)
        facts = class_facts(y, said, self.classes, counted["sample_weight"], self.smoothing)
        return estimates, {**facts, "sensitivity": sensitivity}

    def pictured(self) -> list[tuple[str, Array, Array]]:
        """What is drawn of calibration: a name, and truth and probabilities of the rows that have both."""
        roles = {**self.weak, **self.strong, **self.baselines}
        drawn: list[tuple[str, Array, Array]] = []
        for about, rows in self.parts:
            for name, values in roles.items():
                both = is_labelled(self.truth[rows]) & is_labelled(values[rows])
                who = ", ".join([*about.values(), name])
                new = who, self.truth[rows][both], values[rows][both]
                again = any(np.array_equal(new[1], y) and np.array_equal(new[2], p) for _, y, p in drawn)
                if both.any() and not (again and name in self.baselines):  # those of several supervisors
                    drawn.append(new)
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


def _variance(values: Array, weights: Array) -> float:
    """Weighted variance: the error of predicting the mean, summed over the classes if there are some."""
    mean = np.average(values, axis=0, weights=weights)
    return float(np.average((values - mean) ** 2, axis=0, weights=weights).sum())
