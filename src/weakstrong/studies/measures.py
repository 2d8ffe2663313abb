"""What is measured of a supervisor and its student from their predictions, with intervals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from weakstrong.arrays import group_numbers
from weakstrong.class_gains import class_facts, in_other_losses, in_scores
from weakstrong.class_labels import SMOOTHING
from weakstrong.estimate import Estimate
from weakstrong.gain import measure
from weakstrong.predictions import Pair, Predictions

Array = NDArray[np.float64]

_NOT_BY_DIVISION = ("performance_gap_recovered", "slope")  # ratios, which few rows do not settle


def by_division(
    predictions: Predictions, fits: pd.DataFrame, *, smoothing: float = SMOOTHING
) -> pd.DataFrame:
    """One row for each division and pair: what was measured on its held-out rows, and how it was fitted."""
    keys = ["split", "division", *Pair._fields]
    measured = []
    for key, part in predictions.table.groupby(keys, sort=False):
        predictions_here = Predictions(part)
        row = dict(zip(keys, key, strict=True))
        row |= {"test_rows": len(predictions_here.judging.table)}
        if row["test_rows"]:
            estimates, _ = measure_pair(predictions_here, smoothing=smoothing)
            row |= {n: float(e.value) for n, e in estimates.items() if not n.startswith(_NOT_BY_DIVISION)}
            row |= {f"{n}_se": float(estimates[n].standard_error) for n in ("gain", "cross_term")}
        measured.append(row)
    rows = pd.DataFrame(measured).merge(fits, on=keys, validate="one_to_one")
    gaps = [rows.pop(name) for name in list(rows) if name.endswith("_optimality_gap")]
    return rows.copy().assign(optimality_gap=pd.concat(gaps, axis=1).max(axis=1))  # in one piece


def measure_pair(
    predictions: Predictions, *, tested: bool = False, smoothing: float = SMOOTHING
) -> tuple[dict[str, Estimate], dict[str, Any]]:
    """Estimates on the held-out rows of one pair, and facts, such as why the gap recovered is not among them.

    They are of the rows that have a true label and that the supervisor labels, but for those of
    `on_all_rows`. A row that several divisions judge is one cluster, as is a group. What verdicts are on is
    `tested`. Where labels are classes, errors are Brier scores, and `in_losses_of_classes` follow.
    """
    judging = predictions.judging
    known = _counted(judging, tested=tested)
    y, w, s = (judging.values(name) for name in ("true", "weak", "strong"))
    predicted = {b: judging.values(b) for b in judging.baselines if judging.known(b).all()}
    gain = measure(y, w, s, y_ceiling=predicted.get("ceiling"), **known)
    estimates = gain.estimates()
    estimates["weak_error_minus_misfit"] = _weak_error_minus_misfit(judging)
    loss = judging.divergence
    weak, strong = loss.error(w, y), loss.error(s, y)
    for baseline, values in predicted.items():
        if baseline == "ceiling":
            continue
        errors = loss.error(values, y)
        estimates[f"{baseline}_error"] = _mean(judging, errors)
        estimates[f"gain_over_{baseline}"] = _mean(judging, errors - strong, tested=tested)
        if baseline.startswith("null"):
            estimates[f"gain_of_{baseline}"] = _mean(judging, weak - errors)
    estimates |= on_all_rows(predictions, tested=tested)
    facts: dict[str, Any] = {"gap_not_recovered_because": gain.not_recovered_because or None}
    if predictions.classes:
        found, of_classes = in_losses_of_classes(judging, tested=tested, smoothing=smoothing)
        estimates, facts = estimates | found, facts | of_classes
    return estimates, facts


def in_losses_of_classes(
    judging: Predictions, *, tested: bool, smoothing: float
) -> tuple[dict[str, Estimate], dict[str, Any]]:
    """Estimates in accuracy and in log loss, where labels are classes, with facts of the same rows.

    Where verdicts are wanted (`tested`), those of `in_scores` too.
    """
    y = judging.values("true")
    said = {name: judging.values(name) for name in ("weak", "strong", *judging.baselines)}
    said = {name: values for name, values in said.items() if not np.isnan(values).any()}
    rows = {"groups": judging.clusters.to_numpy(), "sample_weight": judging.weights}
    estimates, sensitivity = in_other_losses(
        y, said, **rows, classes=judging.classes, smoothing=smoothing, tested=tested
    )
    facts: dict[str, Any] = {}
    if tested:
        estimates |= in_scores(y, said, **rows)
        facts = class_facts(y, said, judging.classes, judging.weights, smoothing)
    return estimates, {**facts, "sensitivity": sensitivity}


def on_all_rows(predictions: Predictions, *, tested: bool = False) -> dict[str, Estimate]:
    """Estimates on rows that have no true label, or that the supervisor leaves out, if there are some.

    The misfit is of all rows that the supervisor labels. Gains and errors are of all rows with a true label:
    where the supervisor says nothing, it is taken to say the mean of its labels (``y_null``).
    """
    estimates, unknown = {}, {}
    labelled, known = predictions.weak_labelled, predictions.with_truth
    has_truth = labelled.known("true")
    if not has_truth.all():
        estimates["misfit"] = _misfit(labelled)
        unknown = {"misfit_without_truth": _misfit(Predictions(labelled.table[~has_truth]))}
    labels = known.known("weak")
    if not labels.all() and "null" in known.baselines:
        y, s, weak = (known.values(name) for name in ("true", "strong", "weak"))
        weak = np.where(labels if y.ndim == 1 else labels[:, None], weak, known.values("null"))
        others = _counted(known, tested=tested)
        gain = measure(y, weak, s, **others)
        estimates |= {"weak_error": gain.weak_error, "strong_error": gain.strong_error, "gain": gain.gain}
        against = measure(y, known.values("direct"), s, **others)
        estimates |= {"direct_error": against.weak_error, "gain_over_direct": against.gain}
    return unknown | {f"{name}_on_all_rows": estimate for name, estimate in estimates.items()}


def _mean(judging: Predictions, values: Array, *, tested: bool = False) -> Estimate:
    """The mean over rows that have a true label and a weak one."""
    clusters = group_numbers(judging.clusters.to_numpy())
    return Estimate.of_mean(values, clusters, judging.weights, tested=tested)


def _counted(predictions: Predictions, *, tested: bool) -> dict[str, Any]:
    """How `measure` is to count rows whose truth is known, and in which loss."""
    groups, weights = predictions.clusters.to_numpy(), predictions.weights
    counted = {"groups": groups, "sample_weight": weights, "tested": tested}
    if predictions.classes:
        counted |= {"divergence": predictions.divergence.name, "classes": predictions.classes}
    return counted


def _misfit(predictions: Predictions) -> Estimate:
    """The misfit of all rows of a table, for which no true label is needed."""
    w, s = (predictions.values(name) for name in ("weak", "strong"))
    clusters = group_numbers(predictions.clusters.to_numpy())
    return Estimate.of_mean(predictions.divergence.misfit(s, w), clusters, predictions.row_weights)


def _weak_error_minus_misfit(judging: Predictions) -> Estimate:
    """The bound of Theorem 1 on the student's error, by which the paper chooses among supervisors."""
    losses = judging.divergence.of_rows(*(judging.values(name) for name in ("true", "weak", "strong")))
    bound = losses["weak_error"] - losses["misfit"]
    return _mean(judging, bound)
