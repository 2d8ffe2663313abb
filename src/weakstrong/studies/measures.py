"""What is measured of a supervisor and its student from their predictions, with intervals."""

from __future__ import annotations

from typing import Any

import pandas as pd

from weakstrong.arrays import group_numbers
from weakstrong.divergence import SQUARED_ERROR
from weakstrong.estimate import Estimate
from weakstrong.gain import measure
from weakstrong.predictions import Pair, Predictions


def by_division(predictions: Predictions, fits: pd.DataFrame) -> pd.DataFrame:
    """One row for each division and pair: what was measured on its held-out rows, and how it was fitted."""
    keys = ["split", "division", *Pair._fields]
    measured = []
    for key, part in predictions.table.groupby(keys, sort=False):
        predictions_here = Predictions(part)
        row = dict(zip(keys, key, strict=True))
        row |= {"test_rows": len(predictions_here.judging.table)}
        if row["test_rows"]:
            estimates, _ = measure_pair(predictions_here)
            row |= {n: float(e.value) for n, e in estimates.items() if n != "performance_gap_recovered"}
            row |= {f"{n}_se": float(estimates[n].standard_error) for n in ("gain", "cross_term")}
        measured.append(row)
    rows = pd.DataFrame(measured).merge(fits, on=keys, validate="one_to_one")
    gaps = [rows.pop(name) for name in list(rows) if name.endswith("_optimality_gap")]
    return rows.assign(optimality_gap=pd.concat(gaps, axis=1).max(axis=1))


def measure_pair(predictions: Predictions, *, tested: bool = False) -> tuple[dict[str, Estimate], str]:
    """Estimates on the held-out rows of one pair, and why the gap recovered is not among them.

    They are of the rows that have a true label and that the supervisor labels, but for those of
    `on_all_rows`. A row that several divisions judge is one cluster, as is a group. What verdicts are on is
    `tested`.
    """
    judging = predictions.judging
    table = judging.table
    known = _counted(judging, tested=tested)
    y, w, s = (table[f"y_{of}"] for of in ("true", "weak", "strong"))
    predicted = {b: table[f"y_{b}"] for b in judging.baselines if table[f"y_{b}"].notna().all()}
    gain = measure(y, w, s, y_ceiling=predicted.pop("ceiling", None), **known)
    estimates = gain.estimates()
    estimates["weak_error_minus_misfit"] = _weak_error_minus_misfit(judging)
    for baseline, values in predicted.items():
        against = measure(y, values, s, **known)
        estimates[f"{baseline}_error"] = against.weak_error
        estimates[f"gain_over_{baseline}"] = against.gain
        if baseline.startswith("null"):
            estimates[f"gain_of_{baseline}"] = measure(y, w, values, **known | {"tested": False}).gain
    return estimates | on_all_rows(predictions, tested=tested), gain.not_recovered_because


def on_all_rows(predictions: Predictions, *, tested: bool = False) -> dict[str, Estimate]:
    """Estimates on rows that have no true label, or that the supervisor leaves out, if there are some.

    The misfit is of all rows that the supervisor labels. Gains and errors are of all rows with a true label:
    where the supervisor says nothing, it is taken to say the mean of its labels (``y_null``).
    """
    estimates, unknown = {}, {}
    labelled, known = predictions.weak_labelled, predictions.with_truth
    if labelled.table["y_true"].isna().any():
        estimates["misfit"] = _misfit(labelled)
        without = labelled.table[labelled.table["y_true"].isna()]
        unknown = {"misfit_without_truth": _misfit(Predictions(without))}
    table = known.table
    if table["y_weak"].isna().any() and "y_null" in table:
        y, s = table["y_true"], table["y_strong"]
        weak = table["y_weak"].fillna(table["y_null"])
        others = _counted(known, tested=tested)
        gain = measure(y, weak, s, **others)
        estimates |= {"weak_error": gain.weak_error, "strong_error": gain.strong_error, "gain": gain.gain}
        against = measure(y, table["y_direct"], s, **others)
        estimates |= {"direct_error": against.weak_error, "gain_over_direct": against.gain}
    return unknown | {f"{name}_on_all_rows": estimate for name, estimate in estimates.items()}


def _counted(predictions: Predictions, *, tested: bool) -> dict[str, Any]:
    """How `measure` is to count rows whose truth is known."""
    groups, weights = predictions.clusters.to_numpy(), predictions.weights
    return {"groups": groups, "sample_weight": weights, "tested": tested}


def _misfit(predictions: Predictions) -> Estimate:
    """The misfit of all rows of a table, for which no true label is needed."""
    w, s = (predictions.table[f"y_{of}"].to_numpy() for of in ("weak", "strong"))
    clusters = group_numbers(predictions.clusters.to_numpy())
    return Estimate.of_mean(SQUARED_ERROR.misfit(s, w), clusters, predictions.row_weights)


def _weak_error_minus_misfit(judging: Predictions) -> Estimate:
    """The bound of Theorem 1 on the student's error, by which the paper chooses among supervisors."""
    y, w, s = (judging.table[f"y_{of}"].to_numpy() for of in ("true", "weak", "strong"))
    losses = SQUARED_ERROR.of_rows(y, w, s)
    bound = losses["weak_error"] - losses["misfit"]
    return Estimate.of_mean(bound, group_numbers(judging.clusters.to_numpy()), judging.weights)
