"""Softmax heads in a ball, fitted to soft or hard labels, with the radius chosen by cross-validation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from weakstrong.arrays import group_numbers, row_weights
from weakstrong.cross_entropy import NO_CLASS, Basis, Descent, Problems, Sample
from weakstrong.cross_validation import FoldAssigner
from weakstrong.heads import Head

Array = NDArray[np.float64]

# Strengths tried, from almost the class frequencies down, in units of half the largest eigenvalue.
_STRENGTHS = np.logspace(0.5, -6.0, 14)
_RISES = 2  # of the error, in a row, after which weaker penalties are not tried
_ROUGH, _MOST_STEPS = 1e-6, 30  # nats by which the heads of folds may miss the least, where so many reach it
TOLERANCE = 1e-8


@dataclass(frozen=True, eq=False)
class SoftmaxFits:
    """Softmax heads for k sets of labels on the same rows, each in a ball of its own.

    Parameters
    ----------
    head : Head
        Logits: k · c outputs, those of one set side by side.
    radius : array of shape (k,)
        ``‖σ ∘ W‖``, σ the spreads of the features, W the coefficients with contrasts of the classes alone.
    strength : array of shape (k,)
        λ, the multiplier of the ball: the head minimizes cross entropy + λ/2 ‖σ ∘ W‖² as well.
    error : array of shape (k,)
        Mean cross entropy on the labels fitted.
    held_out_error : array of shape (k,)
        The same, cross-validated.
    optimality_gap : array of shape (k,)
        Bound on how far that is above the least in the ball, in nats.
    rank, n_ignored : int
    passes : int
        Over the rows.
    """

    head: Head
    radius: Array
    strength: Array
    error: Array
    held_out_error: Array
    optimality_gap: Array
    rank: int
    n_ignored: int
    passes: int
    sample: Sample
    theta: Array

    def said(self, theta: Array) -> Array:
        """Return the probabilities of heads on the rows fitted, (k, n, c)."""
        problems = Problems(np.arange(len(theta)), np.full(len(theta), -1), self.strength)
        return self.sample.probabilities(theta, problems)

    def refitted(self, labels: Array, start: Array) -> Array:
        """Fit heads of the same strengths to other labels (k, n, c) of the rows; return their coordinates."""
        problems = Problems(np.arange(len(labels)), np.full(len(labels), -1), self.strength)
        descent = Descent(replace(self.sample, labels=labels), problems, start)
        descent.run(TOLERANCE)
        return descent.theta

    def members(self, factors: Sequence[float]) -> tuple[list[Head], Array]:
        """Fit heads of several strengths, those of the fits times each of some factors, largest first.

        Returns them, and what heads of the same strengths say of every row that were fitted without its fold:
        (m, k, n, c).
        """
        sample, (k, n, _) = self.sample, self.sample.labels.shape
        folds = np.unique(sample.folds)
        whole = Problems(np.arange(k), np.full(k, -1), self.strength)
        parts = Problems(
            np.repeat(np.arange(k), len(folds)), np.tile(folds, k), self.strength.repeat(len(folds))
        )
        descents = [Descent(sample, of, np.zeros((len(of.labels), *sample.shape))) for of in (whole, parts)]
        heads, said = [], np.empty((len(factors), *sample.labels.shape))
        for place, factor in enumerate(factors):
            for descent, of in zip(descents, (whole, parts), strict=True):
                descent.strengthen(factor * of.strength)
                descent.run(_ROUGH, _MOST_STEPS)
            heads.append(self.head_of(descents[0].theta))
            left_out = sample.probabilities(descents[1].theta, parts).reshape(k, len(folds), n, -1)
            said[place] = left_out[:, np.searchsorted(folds, sample.folds), np.arange(n)]
        return heads, said

    def head_of(self, theta: Array) -> Head:
        """Return the heads of coordinates, as `head` has them."""
        return _head(self.sample, theta, np.arange(len(theta)))

    def first_at_radius(self) -> Head:
        """Return heads of the first set of labels in the ball of each set."""
        k = len(self.radius)
        start = np.repeat(self.theta[:1], k, axis=0)
        labels = np.zeros(k, dtype=np.int64)
        descent = Descent(self.sample, Problems(labels, labels - 1, np.full(k, self.strength[0])), start)
        fit_at_radius(descent, self.radius)
        return _head(self.sample, descent.theta, labels)


def fit_softmax(
    features: NDArray[Any],
    labels: Array,
    *,
    weights: Array | None = None,
    groups: NDArray[Any] | None = None,
    n_folds: int = 5,
    seed: int = 0,
) -> SoftmaxFits:
    """Fit a softmax head to each of k sets of labels, in the ball whose radius errs least held out.

    Parameters
    ----------
    features : array of shape (n, d)
    labels : array of shape (k, n, c)
        Distributions over c classes.
    weights, groups : array of shape (n,), optional
        Rows of one group stay in one fold.
    n_folds : int
    seed : int
        Of the folds.
    """
    n = len(features)
    omega = np.full(n, 1 / n) if weights is None else row_weights(weights, n) / np.sum(weights)
    numbers = np.arange(n) if groups is None else _in_order_of_appearance(groups)
    folds = FoldAssigner(n_folds, seed)(numbers)
    basis = Basis.of(features, None if weights is None else omega)
    sample = Sample(basis, labels, omega, folds)
    strength, held_out, start, passes = _cross_validated(sample, n_folds)
    k = len(labels)
    everything = Problems(np.arange(k), np.full(k, -1), strength)
    descent = Descent(sample, everything, start)
    descent.run_to_gap(TOLERANCE / 10)
    radius = descent.radius()
    return SoftmaxFits(
        _head(sample, descent.theta, np.arange(k)), radius, strength, descent.values.error, held_out,
        descent.gap(), len(basis.square), basis.n_ignored, passes + descent.passes, sample, descent.theta,
    )  # fmt: skip


def _in_order_of_appearance(groups: NDArray[Any]) -> NDArray[np.int64]:
    """Numbers of groups in the order in which they appear, as folds are dealt."""
    numbers = group_numbers(groups)
    _, first = np.unique(numbers, return_index=True)
    return np.asarray(np.argsort(np.argsort(first)))[numbers]


def _cross_validated(sample: Sample, n_folds: int) -> tuple[Array, Array, Array, int]:
    """The strength that errs least held out for each set of labels, that error, and heads to start from."""
    k = len(sample.labels)
    labels, fold = np.repeat(np.arange(k), n_folds), np.tile(np.arange(n_folds), k)
    unit = 0.5 * float(sample.basis.square.max(initial=0.0))
    strengths = _STRENGTHS * (unit or 1.0)
    theta = np.zeros((k * n_folds, *sample.shape))
    best, least = np.full(k, strengths[0]), np.full(k, np.inf)
    start = np.zeros((k, *sample.shape))
    rises = np.zeros(k, dtype=int)
    descent = Descent(sample, Problems(labels, fold, np.full(len(labels), strengths[0])), theta)
    which = np.arange(k)
    for strength in strengths:
        descent.strengthen(np.full(len(descent.theta), strength))
        descent.run(_ROUGH, _MOST_STEPS)
        error = descent.values.left_out.reshape(-1, n_folds).sum(1)
        better = error < least[which]
        rises[which] = np.where(better, 0, rises[which] + 1)
        place = which[better]
        best[place], least[place] = strength, error[better]
        start[place] = descent.theta.reshape(-1, n_folds, *sample.shape)[better].mean(1)
        still = rises[which] < _RISES
        if not still.any():
            break
        if not still.all():
            which = which[still]
            descent.keep(np.repeat(still, n_folds))
    return best, least, start, descent.passes


def fit_at_radius(descent: Descent, radius: Array, most: int = 12) -> None:
    """Find the strengths at which the heads have given radii, where a ball of that radius binds.

    The radius falls with λ; a secant in logarithms, held in the interval known, takes a few steps.
    """
    target = np.maximum(radius, np.finfo(float).tiny)
    low, high = np.full(len(target), -np.inf), np.full(len(target), np.inf)  # of log λ
    at = np.log(descent.problems.strength)
    rate = np.full(len(target), -0.5)  # of log radius with log λ
    old: tuple[Array, Array] | None = None
    for _ in range(most):
        descent.run_to_gap(TOLERANCE / 1e4)  # the norm is off by its root
        miss = np.log(np.maximum(descent.radius(), np.finfo(float).tiny)) - np.log(target)
        if np.abs(miss).max() < 1e-7:
            return
        low, high = np.where(miss > 0, at, low), np.where(miss < 0, at, high)
        if old is not None:
            moved = at - old[0]
            slope = np.divide(miss - old[1], moved, out=rate.copy(), where=np.abs(moved) > 1e-12)
            rate = np.clip(slope, -1.5, -1e-3)
        old = at, miss
        step = at - miss / rate
        known = np.isfinite(low) & np.isfinite(high)
        middle = np.where(known, np.where(known, low, 0.0) / 2 + np.where(known, high, 0.0) / 2, step)
        inside = (step > low) & (step < high)
        at = np.where(np.abs(miss) < 1e-7, at, np.where(inside, step, middle))
        descent.strengthen(np.exp(at))


def _head(sample: Sample, theta: Array, labels: NDArray[np.int64]) -> Head:
    """The heads of coordinates as logits of the features as they are."""
    basis, q = sample.basis, sample.q
    coef = np.einsum("dr,prq,cq->dpc", basis.right, theta[:, :-1], q)
    intercept = theta[:, -1] @ q.T - np.einsum("d,dpc->pc", basis.mean, coef)
    absent = sample.absent(Problems(labels, np.full(len(labels), -1), np.zeros(len(labels))))
    coef[:, absent], intercept[absent] = 0.0, NO_CLASS
    return Head(coef.reshape(len(basis.mean), -1), intercept.reshape(-1))
