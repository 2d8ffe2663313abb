"""Solvers of heads for classes, one for each class of heads, and what they take and return."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import singledispatch
from typing import Any

import numpy as np
from numpy.typing import NDArray

from weakstrong.brier_heads import BrierHead
from weakstrong.class_labels import class_name, smoothed
from weakstrong.errors import InputError, quoted
from weakstrong.estimator import HeadProjection
from weakstrong.heads import HeadClass, L2Ball, LinearHeads
from weakstrong.mixtures import MixtureHead, Mixtures, fit_mixture
from weakstrong.softmax_heads import fit_softmax

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ClassTask:
    """What a classifier is to fit: checked features and labels, and how.

    Parameters
    ----------
    features : array of shape (n, d)
        For mixtures, what their members predict from.
    labels : array of shape (n, c)
        Distributions over the classes.
    classes : array of shape (c,)
    weights : array of shape (n,), or None
    groups : array of shape (n,), or None
    divergence : {"log", "brier"}
    n_folds, seed : int
        Number of folds, zero for none, and their seed.
    in_simplex : bool
        Whether linear outputs are drawn onto probabilities.
    smoothing : float
        Share of the uniform distribution that labels with zeros are mixed with for mixtures in log loss.
    """

    features: NDArray[Any]
    labels: Array
    classes: NDArray[Any]
    weights: Array | None
    groups: NDArray[Any] | None
    divergence: str
    n_folds: int
    seed: int
    in_simplex: bool
    smoothing: float


@dataclass(frozen=True, eq=False)
class FittedClasses:
    """A head for classes: a callable from features to probabilities, and what is known of it.

    A head with a part `linear` and `probabilities` of its scores has its new rows drawn into the range of
    the fitted ones, for which `feature_mean` is needed. The numbers are as in `HeadClassifier`.
    """

    head: Any
    heads: HeadClass
    optimality_gap: float
    error: float
    cv_error: float | None = None
    rank: int = 0
    n_ignored: int = 0
    passes: int = 1
    feature_mean: Array | None = None


@singledispatch
def fit_classes(heads: HeadClass, task: ClassTask) -> FittedClasses:
    """Fit a head of a class to labels that are classes; further classes register their solvers here."""
    raise InputError(
        f"heads={quoted(heads)}: no classifier for it; give 'l2', 'linear', an L2Ball or Mixtures"
    )


@fit_classes.register
def _linear(heads: LinearHeads, task: ClassTask) -> FittedClasses:
    if task.divergence == "brier":
        return _least_squares(heads, task)
    found = _logistic(np.inf, heads.fit_intercept, None, task)
    return replace(found, heads=heads)


@fit_classes.register
def _ball(heads: L2Ball, task: ClassTask) -> FittedClasses:
    if task.divergence == "brier":
        return _least_squares(heads, task)
    radius = np.ravel(np.inf if heads.radius is None else heads.radius)
    if len(radius) != 1:
        raise InputError(f"heads={quoted(heads)}: a head for classes has one radius; give one number")
    chosen = None if heads.radius is None else float(radius[0])
    return _logistic(chosen, heads.fit_intercept, heads.scale, task)


@fit_classes.register
def _mixtures(heads: Mixtures, task: ClassTask) -> FittedClasses:
    labels = smoothed(task.labels, task.smoothing) if task.divergence == "log" else task.labels
    names = [class_name(name) for name in task.classes.tolist()]
    alpha, gap, error = fit_mixture(
        heads, task.features, labels, task.weights, names, divergence=task.divergence
    )
    return FittedClasses(MixtureHead(heads, alpha, tuple(names)), heads, gap, error)


def _logistic(
    radius: float | None, fit_intercept: bool, scale: Array | None, task: ClassTask
) -> FittedClasses:
    """Fit a softmax head of least cross entropy."""
    [fit] = fit_softmax(
        task.features,
        task.labels,
        weights=task.weights,
        groups=task.groups,
        radius=radius,
        n_folds=task.n_folds,
        seed=task.seed,
        fit_intercept=fit_intercept,
        scale=scale,
    )
    ball = L2Ball(fit.radius, fit_intercept, fit.scale)
    return FittedClasses(
        fit.head, ball, fit.optimality_gap, fit.error, fit.cv_error, fit.rank, fit.n_ignored, fit.passes,
        fit.feature_mean,
    )  # fmt: skip


def _least_squares(heads: HeadClass, task: ClassTask) -> FittedClasses:
    """Project the columns of probabilities by least squares, each on its own."""
    model = HeadProjection(heads, n_folds=task.n_folds, random_state=task.seed, clip=False)
    model.fit(task.features, task.labels, task.weights, task.groups)
    variance = model.moments_.target_variance
    return FittedClasses(
        BrierHead(model.head_, task.in_simplex),
        model.heads_,
        float((model.optimality_gap_ * variance).sum()),
        float(model.fit_error_.sum()),
        None if model.cv_error_ is None else float(model.cv_error_.sum()),
        model.rank_,
        model.n_ignored_features_,
        1,
        model.moments_.feature_mean,
    )
