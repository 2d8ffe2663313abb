"""Gains in accuracy and in log loss beside those in the Brier score, by names that say the loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from weakstrong.class_scores import class_scores
from weakstrong.divergence import ZERO_ONE
from weakstrong.estimate import Estimate
from weakstrong.gain import Gain, measure

Array = NDArray[np.float64]

_ENDINGS = {"zero-one": "accuracy", "log": "log_loss"}
_KEPT = ("gain", "performance_gap_recovered", "slope")
SCORED = ("weak", "strong", "direct", "ceiling")


def in_other_losses(
    y: Array, w: Array, s: Array, *, y_ceiling: Array | None = None, **counted: Any
) -> tuple[dict[str, Estimate], dict[str, dict[str, float]]]:
    """Estimate what is gained in accuracy and in log loss.

    Parameters
    ----------
    y, w, s : array of shape (n, c)
    y_ceiling : array of the same shape, optional
    **counted
        What `measure` takes: classes, smoothing, groups, sample_weight, tested.

    Returns
    -------
    estimates : dict
        `named_by_loss` of both.
    sensitivity : dict
        Gain and misfit in log loss at other smoothings, by these, where weak labels were smoothed.
    """
    estimates: dict[str, Estimate] = {}
    sensitivity: dict[str, dict[str, float]] = {}
    for name in _ENDINGS:
        gain = measure(y, w, s, y_ceiling=y_ceiling, divergence=name, **counted)
        estimates |= named_by_loss(gain)
        for smoothing, of in gain.sensitivity.items():
            sensitivity[f"{smoothing:g}"] = {key: float(e.value) for key, e in of.items()}
    return estimates, sensitivity


def named_by_loss(gain: Gain) -> dict[str, Estimate]:
    """Return estimates of a gain by names that say the loss.

    In accuracy ``weak_accuracy``, ``strong_accuracy``, ``ceiling_accuracy``, ``disagreement`` (the share of
    rows for which supervisor and student name another class), ``accuracy_where_they_differ`` and
    ``gain_in_accuracy``; in log loss ``weak_log_loss`` and so on, ``misfit_in_log_loss`` and
    ``cross_term_in_log_loss``. The gap recovered and the slope end likewise. In another loss, as they are.
    """
    found = gain.estimates()
    if gain.divergence not in _ENDINGS:
        return found
    ending, of_accuracy = _ENDINGS[gain.divergence], gain.divergence == ZERO_ONE.name
    kept = _KEPT if of_accuracy else (*_KEPT, "misfit", "cross_term")
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
        "scores": {name: class_scores(y, said[name], weights) for name in SCORED if name in said},
        "smoothing": smoothing,
        "smoothed": [name for name, values in said.items() if (values == 0).any()],
    }
