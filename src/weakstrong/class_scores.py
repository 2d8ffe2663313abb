"""Scores of probabilities for classes, side by side: what is right, ranked, sharp and calibrated."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from weakstrong.divergence import BRIER, LOG_LOSS, ZERO_ONE

Array = NDArray[np.float64]


def class_scores(truth: Array, said: Array, weights: Array | None = None) -> dict[str, float]:
    """Score probabilities against classes.

    A Brier score is ``miscalibration − discrimination + uncertainty``, summed over the classes: what isotonic
    recalibration takes off it, what that is better than the frequencies of the classes, and their score
    (the CORP decomposition of Dimitriadis, Gneiting and Jordan 2021). AUROC is of the second of two classes,
    or the mean over the classes that are there, each against the rest.

    Parameters
    ----------
    truth, said : array of shape (n, c)
        Distributions; the truth names a class in each row.
    weights : array of shape (n,), optional

    Returns
    -------
    dict
        ``accuracy``, ``balanced_accuracy``, ``auroc``, ``log_loss``, ``brier``, ``miscalibration``,
        ``discrimination`` and ``uncertainty``; NaN where one is undefined, infinite log loss included.
    """
    omega = np.ones(len(truth)) if weights is None else weights
    there = (truth * omega[:, None]).sum(0) > 0
    right = 1 - ZERO_ONE.error(said, truth)
    recalls = [np.average(right, weights=omega * column) for column in truth.T[there]]
    parts = np.sum([_decomposed(y, p, omega) for y, p in zip(truth.T, said.T, strict=True)], axis=0)
    return {
        "accuracy": float(np.average(right, weights=omega)),
        "balanced_accuracy": float(np.mean(recalls)),
        "auroc": _auroc(truth, said, omega),
        "log_loss": float(np.average(LOG_LOSS.error(said, truth), weights=omega)),
        "brier": float(np.average(BRIER.error(said, truth), weights=omega)),
        **dict(zip(("miscalibration", "discrimination", "uncertainty"), map(float, parts), strict=True)),
    }


def _auroc(truth: Array, said: Array, omega: Array) -> float:
    """Area under the ROC curve: how often a row of the class is given more than another row."""
    from sklearn.metrics import roc_auc_score

    columns = [1] if truth.shape[1] == 2 else range(truth.shape[1])
    areas = [
        roc_auc_score(truth[:, c] > 0.5, said[:, c], sample_weight=omega)
        for c in columns
        if 0 < (truth[:, c] * omega).sum() < omega.sum()
    ]
    return float(np.mean(areas)) if areas else float("nan")


def _decomposed(y: Array, p: Array, omega: Array) -> Array:
    """Miscalibration, discrimination and uncertainty of the probabilities of one class."""
    from sklearn.isotonic import IsotonicRegression

    calibrated = IsotonicRegression(y_min=0, y_max=1).fit(p, y, omega).predict(p)
    constant = np.average(y, weights=omega)
    error, least, most = (np.average((q - y) ** 2, weights=omega) for q in (p, calibrated, constant))
    return np.array([error - least, most - least, most])
