"""Scores of probabilities for classes, side by side: what is right, ranked, sharp and calibrated."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from weakstrong.divergence import BRIER, LOG_LOSS, ZERO_ONE, is_one_hot

Array = NDArray[np.float64]

_FOLDS = 10
_OF_CLASSES = ("balanced_accuracy", "auroc", "miscalibration", "discrimination", "uncertainty")


def class_scores(truth: Array, said: Array, weights: Array | None = None) -> dict[str, float]:
    """Score probabilities against classes: the means of `scores_by_row`.

    Returns
    -------
    dict
        ``accuracy``, ``balanced_accuracy``, ``auroc``, ``log_loss``, ``brier``, ``miscalibration``,
        ``discrimination`` and ``uncertainty``. NaN where one is undefined: the second, the third and the last
        three where the truth is of probabilities, AUROC where it is of one class alone.
    """
    rows = scores_by_row(truth, said, weights)
    return {name: float(np.average(values, weights=weights)) for name, values in rows.items()}


def scores_by_row(truth: Array, said: Array, weights: Array | None = None) -> dict[str, Array]:
    """Return numbers of the rows whose weighted mean is a score, and whose spread is what it is uncertain by.

    Accuracy, log loss and Brier score are means. The others are their value plus the influence of each row.
    A Brier score is ``miscalibration − discrimination + uncertainty``, summed over the classes: what isotonic
    recalibration takes off it, what that is better than the frequencies of the classes, and their score
    (the CORP decomposition of Dimitriadis, Gneiting and Jordan 2021); the isotonic fit minimizes, so that its
    own uncertainty does not count to first order. AUROC is of the second of two classes, or the mean over the
    classes that are there, each against the rest; the spread of its rows is that of DeLong, DeLong and
    Clarke-Pearson (1988).

    Parameters
    ----------
    truth, said : array of shape (n, c)
        Distributions.
    weights : array of shape (n,), optional

    Returns
    -------
    dict of str to array of shape (n,)
        As `class_scores`.
    """
    omega = np.ones(len(truth)) if weights is None else weights
    right = 1 - ZERO_ONE.error(said, truth)
    of_all = {
        "accuracy": right,
        "log_loss": log_loss(truth, said),
        "brier": BRIER.error(said, truth),
    }
    if not is_one_hot(truth):
        return of_all | dict.fromkeys(_OF_CLASSES, np.full(len(truth), np.nan))
    there = np.flatnonzero((truth * omega[:, None]).sum(0) > 0)
    parts = np.sum([_decomposed(y, p, omega) for y, p in zip(truth.T, said.T, strict=True)], axis=0)
    recalls = np.mean([_recall(truth[:, c], right, omega) for c in there], axis=0)
    return of_all | dict(zip(_OF_CLASSES, (recalls, _auroc(truth, said, omega), *parts), strict=True))


def log_loss(truth: Array, said: Array) -> Array:
    """Return the cross entropy ``−Σ_c y_c log p_c`` of each row, in nats."""
    from scipy.special import entr

    return np.asarray(LOG_LOSS.error(said, truth) + entr(truth).sum(-1))


def discrimination_by_row(truth: Array, said: Array, clusters: NDArray[np.int64], weights: Array) -> Array:
    """Return numbers of the rows whose weighted mean is the discrimination, without what is fitted of noise.

    On the rows that it is fitted to, an isotonic fit has as much less error than the best one as it has more
    on others, to first order; so its error is taken as the mean of both, the latter by ten-fold
    cross-validation over clusters.
    """
    rows, folds = np.zeros(len(truth)), min(_FOLDS, int(clusters.max()) + 1)
    sizes = np.bincount(clusters, weights)
    for y, p in zip(truth.T, said.T, strict=True):
        inside = (_recalibrated(p, y, weights)(p) - y) ** 2
        # Dealt in order of what is said, so that the order of rows changes nothing.
        means = [np.bincount(clusters, weights * of) / sizes for of in (y, p)]
        dealt = np.empty(len(sizes), dtype=np.intp)
        dealt[np.lexsort(means)] = np.arange(len(sizes)) % folds
        outside = inside.copy()
        for fold in range(folds if folds > 1 else 0):
            held = (dealt == fold)[clusters]
            outside[held] = (_recalibrated(p[~held], y[~held], weights[~held])(p[held]) - y[held]) ** 2
        rows += (np.average(y, weights=weights) - y) ** 2 - (inside + outside) / 2
    return rows


def _recall(of_class: Array, right: Array, omega: Array) -> Array:
    """The share of a class that is right: ``R + y (right − R) / P(y)``."""
    recall = np.average(right, weights=omega * of_class)
    return np.asarray(recall + of_class * (right - recall) / np.average(of_class, weights=omega))


def _auroc(truth: Array, said: Array, omega: Array) -> Array:
    """Area under the ROC curve: how often a row of the class is given more than another row."""
    columns = [1] if truth.shape[1] == 2 else range(truth.shape[1])
    areas = [
        _area(truth[:, c] > 0.5, said[:, c], omega)
        for c in columns
        if 0 < (truth[:, c] * omega).sum() < omega.sum()
    ]
    return np.asarray(np.mean(areas, axis=0)) if areas else np.full(len(truth), np.nan)


def _area(of_class: NDArray[np.bool_], p: Array, omega: Array) -> Array:
    """``A + y (share of others below − A) / P(y) + (1 − y) (share of the class above − A) / P(not y)``."""
    from sklearn.metrics import roc_auc_score

    area = roc_auc_score(of_class, p, sample_weight=omega)
    rows = np.full(len(p), float(area))
    for mine in (of_class, ~of_class):
        beaten = _share_below(p[mine], p[~mine], omega[~mine])
        won = beaten if mine is of_class else 1 - beaten
        rows[mine] += (won - area) * omega.sum() / omega[mine].sum()
    return rows


def _share_below(values: Array, others: Array, omega: Array) -> Array:
    """The weighted share of the others that is below each value; those that are equal count half."""
    order = np.argsort(others)
    passed = np.concatenate([[0.0], omega[order].cumsum()])
    below, above = (np.searchsorted(others[order], values, side=side) for side in ("left", "right"))
    return np.asarray((passed[below] + passed[above]) / (2 * passed[-1]))


def _recalibrated(p: Array, y: Array, omega: Array) -> Callable[[Array], Array]:
    """The isotonic function of the probabilities of a class that predicts it best."""
    from sklearn.isotonic import IsotonicRegression

    return IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(p, y, omega).predict


def _decomposed(y: Array, p: Array, omega: Array) -> Array:
    """Miscalibration, discrimination and uncertainty of the probabilities of one class, by row."""
    calibrated = _recalibrated(p, y, omega)(p)
    error, least, most = ((q - y) ** 2 for q in (p, calibrated, np.average(y, weights=omega)))
    return np.array([error - least, most - least, most])
