"""Gains in accuracy, log loss and scores beside those in the Brier score, by names that say the loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from weakstrong.arrays import group_numbers
from weakstrong.class_labels import smoothed
from weakstrong.class_scores import class_scores, discrimination_by_row, log_loss, scores_by_row
from weakstrong.disagreement import count_alike, with_exact_share
from weakstrong.divergence import LOG_LOSS, ZERO_ONE, Divergence, is_one_hot
from weakstrong.estimate import Estimate
from weakstrong.gain import Gain, measure

Array = NDArray[np.float64]

_ENDINGS = {"zero-one": "accuracy", "log": "log_loss"}
_KEPT = ("gain", "cross_term", "performance_gap_recovered", "slope")
SCORED = ("weak", "strong", "direct", "ceiling")


def in_other_losses(
    y: Array, said: Mapping[str, Array], *, groups: NDArray[Any], sample_weight: Array, **counted: Any
) -> tuple[dict[str, Estimate], dict[str, dict[str, float]]]:
    """Estimate what is gained in accuracy and in log loss.

    Parameters
    ----------
    y : array of shape (n, c)
    said : mapping of name to array of the same shape
        ``weak``, ``strong`` and baselines.
    groups, sample_weight : array of shape (n,)
    **counted
        What else `measure` takes: classes, smoothing, tested.

    Returns
    -------
    estimates : dict
        `named_by_loss` of both; of every baseline ``NAME_accuracy`` and ``NAME_log_loss``; and
        ``gain_over_direct_in_accuracy`` and ``…_in_log_loss``.
    sensitivity : dict
        Gain and misfit in log loss at other smoothings, by these, where either of the two was smoothed.
    """
    estimates: dict[str, Estimate] = {}
    sensitivity: dict[str, dict[str, float]] = {}
    rows = group_numbers(groups), sample_weight
    known = {"groups": groups, "sample_weight": sample_weight, **counted}
    for loss, ending in ((ZERO_ONE, "accuracy"), (LOG_LOSS, "log_loss")):
        gain = measure(
            y, said["weak"], said["strong"], y_ceiling=said.get("ceiling"), divergence=loss.name, **known
        )
        estimates |= named_by_loss(gain)
        for smoothing, of in gain.sensitivity.items():
            sensitivity[f"{smoothing:g}"] = {key: float(e.value) for key, e in of.items()}
        plain = {n: v if loss is ZERO_ONE else smoothed(v, counted["smoothing"]) for n, v in said.items()}
        errors = {name: loss.error(values, y) for name, values in plain.items()}
        if "direct" in errors:
            over = errors["direct"] - errors["strong"]
            estimates[f"gain_over_direct_in_{ending}"] = Estimate.of_mean(
                over, *rows, tested=counted["tested"]
            )
        for name in said:
            if f"{name}_{ending}" not in estimates:
                estimates[f"{name}_{ending}"] = _of_baseline(errors[name], *rows, loss=loss)
    return estimates, sensitivity


def _of_baseline(errors: Array, clusters: NDArray[np.int64], weights: Array, *, loss: Divergence) -> Estimate:
    """Accuracy, or mean log loss, of predictions that are neither supervisor's nor student's."""
    found = Estimate.of_mean(errors, clusters, weights)
    if loss is not ZERO_ONE:
        return found
    return (with_exact_share(found, errors) if count_alike(clusters, weights) else found).complement()


def in_scores(
    y: Array, said: Mapping[str, Array], *, groups: NDArray[Any], sample_weight: Array
) -> dict[str, Estimate]:
    """Estimate scores that are no means of a loss, and what is gained in them.

    ``NAME_balanced_accuracy`` and ``NAME_auroc`` of supervisor (``weak``), student (``strong``), direct
    training and ceiling, with ``gain_in_balanced_accuracy`` and ``gain_in_auroc``. The gain in Brier score is
    ``gain_in_calibration``, by which miscalibration falls, plus ``gain_in_discrimination``, both without what
    isotonic recalibration fits of noise (`discrimination_by_row`). A score that is undefined, as AUROC is
    where every row is of one class, is not among them; nothing is where the truth is of probabilities. A
    score of 0 or 1 in every row has no interval. ``docs/benchmarks.md`` says how often these intervals held
    in simulations.
    """
    clusters = group_numbers(groups)

    def estimate(values: Array) -> Estimate:
        return Estimate.of_mean(values, clusters, sample_weight)

    if not is_one_hot(y):
        return {}
    scores = {name: scores_by_row(y, said[name], sample_weight) for name in SCORED if name in said}
    weak, strong = scores["weak"], scores["strong"]
    sharper = np.subtract(
        *(discrimination_by_row(y, said[name], clusters, sample_weight) for name in ("strong", "weak"))
    )
    found = {
        "gain_in_calibration": estimate(weak["brier"] - strong["brier"] - sharper),
        "gain_in_discrimination": estimate(sharper),
    }
    for score in ("balanced_accuracy", "auroc"):
        if not np.isnan(weak[score]).any():
            found |= {f"{name}_{score}": _share(estimate(rows[score])) for name, rows in scores.items()}
            found[f"gain_in_{score}"] = estimate(strong[score] - weak[score])
    return found


def _share(estimate: Estimate) -> Estimate:
    """A share whose rows do not vary, as where all are right: they say nothing of how far it may be off."""
    if float(estimate.standard_error) > 0:
        return estimate
    return replace(estimate, low=np.float64(np.nan), high=np.float64(np.nan))


def named_by_loss(gain: Gain) -> dict[str, Estimate]:
    """Return estimates of a gain by names that say the loss.

    In accuracy ``weak_accuracy``, ``strong_accuracy``, ``ceiling_accuracy``, ``disagreement`` (the share of
    rows for which supervisor and student name another class), ``accuracy_where_they_differ``,
    ``gain_in_accuracy`` and ``cross_term_in_accuracy``; in log loss ``weak_log_loss`` and so on, and
    ``misfit_in_log_loss``. The gap recovered and the slope end likewise. In another loss, as they are.
    """
    found = gain.estimates()
    if gain.divergence not in _ENDINGS:
        return found
    ending, of_accuracy = _ENDINGS[gain.divergence], gain.divergence == ZERO_ONE.name
    kept = _KEPT if of_accuracy else (*_KEPT, "misfit")
    named = {f"{name}_in_{ending}": found[name] for name in kept if name in found}
    for role in ("weak", "strong", "ceiling"):
        if (error := found.get(f"{role}_error")) is not None:
            named[f"{role}_{ending}"] = error.complement() if of_accuracy else error
    if of_accuracy:
        named["disagreement"] = found["misfit"]
        if gain.accuracy_where_they_differ is not None:
            named["accuracy_where_they_differ"] = gain.accuracy_where_they_differ
    return named


def class_facts(
    y: Array, said: Mapping[str, Array], classes: Sequence[str], weights: Array, smoothing: float
) -> dict[str, Any]:
    """Return scores of supervisor, student, direct training and ceiling, and the frequencies of classes.

    Frequencies are means of probabilities over the judged rows. ``smoothed`` names what is mixed with the
    uniform distribution where log loss is told, since it gives some class no probability.

    Parameters
    ----------
    y : array of shape (n, c)
    said : mapping of name to array of the same shape
        ``weak``, ``strong`` and baselines.
    classes : sequence of str
    weights : array of shape (n,)
    smoothing : float
    """
    of = {"truth": y, "weak": said["weak"], "strong": said["strong"]}
    means = {name: np.average(values, axis=0, weights=weights) for name, values in of.items()}
    return {
        "classes": list(classes),
        "class_frequencies": {name: mean.tolist() for name, mean in means.items()},
        "scores": {
            name: class_scores(y, said[name], weights)
            | {"log_loss": float(np.average(log_loss(y, smoothed(said[name], smoothing)), weights=weights))}
            for name in SCORED
            if name in said
        },
        "smoothing": smoothing,
        "smoothed": [name for name, values in said.items() if (values == 0).any()],
    }
