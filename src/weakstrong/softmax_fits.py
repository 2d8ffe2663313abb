"""Softmax heads for several sets of labels on the same rows, and further heads that follow from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from weakstrong.arrays import row_weights
from weakstrong.cross_entropy import Problems, SoftmaxRows
from weakstrong.heads import Head
from weakstrong.links import softmax
from weakstrong.softmax_basis import Basis, Spread
from weakstrong.softmax_folds import chosen_strengths, dealt, drawn_in
from weakstrong.softmax_heads import coefficients
from weakstrong.softmax_solver import Minima, minimize

Array = NDArray[np.float64]

_FINE, _ROUGH = 1e-9, 1e-6  # nats: of heads that are told, and of those that are mixed
_CERTIFIED = 1e-12
_NO_CLASS = -1e4  # logit of a class that no label has


@dataclass(frozen=True, eq=False)
class SoftmaxFits:
    """Softmax heads for k sets of labels on the same rows, each in a ball of its own.

    Unlike `fit_softmax`, a set of labels may lack a class: it then gets no probability.

    Parameters
    ----------
    rows : SoftmaxRows
    minima : Minima
    problems : Problems
        With the strength λ of the penalty that is the multiplier of each ball.
    held_out_error : array of shape (k,)
        Cross-validated cross entropy.
    """

    rows: SoftmaxRows
    minima: Minima
    problems: Problems
    held_out_error: Array

    @property
    def head(self) -> Head:
        """Logits: k · c outputs, those of one set side by side."""
        return self.head_of(self.minima.x)

    @property
    def radius(self) -> Array:
        """``‖σ ∘ W‖`` of each head, shape (k,)."""
        return np.asarray(np.linalg.norm(self.minima.x[..., 1:], axis=(1, 2)))

    @property
    def feature_mean(self) -> Array:
        """Mean of the features."""
        return self.rows.basis.spread.centre

    @property
    def n_ignored(self) -> int:
        """Number of features without a coefficient, as they do not vary beyond rounding."""
        return int((~self.rows.basis.spread.usable).sum())

    def head_of(self, x: Array, labels: NDArray[np.intp] | None = None) -> Head:
        """Return the heads of coordinates, each for the classes of its own labels or of those named."""
        which = np.arange(len(x)) if labels is None else labels
        absent = self.rows.frequencies[which] <= 0
        parts = [coefficients(self.rows, one) for one in x]
        coef, intercept = (np.stack(of) for of in zip(*parts, strict=True))
        coef[np.repeat(absent[:, None], coef.shape[1], axis=1)] = 0.0
        intercept[absent] = _NO_CLASS
        return Head(np.hstack(list(coef)), intercept.ravel())

    def said(self, x: Array) -> Array:
        """Return the probabilities of heads on the rows fitted, (k, n, c)."""
        logits = self.head_of(x)(self.rows.features)
        return softmax(logits.reshape(len(logits), len(x), -1)).transpose(1, 0, 2)

    def refitted(self, labels: Array, start: Array) -> Array:
        """Fit heads in the same balls to other labels (k, n, c) of the rows; return their coordinates."""
        k = len(labels)
        problems = Problems(np.arange(k), np.full(k, -1), np.zeros(k), self.radius)
        rows = replace(self.rows, labels=labels)
        return minimize(rows, problems, drawn_in(start, self.radius), tolerance=_FINE, certified=False).x

    def first_at_radius(self) -> Head:
        """Return heads of the first set of labels in the ball of each set."""
        radius = self.radius
        first = np.zeros(len(radius), dtype=np.intp)
        problems = Problems(first, first - 1, np.zeros(len(radius)), radius)
        start = drawn_in(self.minima.x[first], radius)
        x = minimize(self.rows, problems, start, tolerance=_FINE, certified=False).x
        return self.head_of(x, first)

    def members(self, factors: Sequence[float]) -> tuple[list[Head], Array]:
        """Fit heads of several strengths, those of the fits times each of some factors, largest first.

        Returns them, and what heads of the same strengths say of every row that were fitted without its fold:
        (m, k, n, c).
        """
        (k, n, c), assigned = self.rows.labels.shape, self.rows.folds
        assert assigned is not None
        label, fold = np.divmod(np.arange(k * (assigned.max() + 1)), assigned.max() + 1)
        every = np.full(k, -1)
        heads, said = [], np.empty((len(factors), k, n, c))
        whole, parts = self.minima.x, self.minima.x[label]
        for place, factor in enumerate(factors):
            strength = factor * self.problems.multiplier
            free = np.full(len(label), np.inf)
            whole = self._penalized(Problems(np.arange(k), every, strength, free[:k]), whole)
            parts = self._penalized(Problems(label, fold, strength[label], free), parts)
            heads.append(self.head_of(whole))
            logits = self.head_of(parts, label)(self.rows.features).reshape(n, k, -1, c)
            said[place] = softmax(logits[np.arange(n), :, assigned]).transpose(1, 0, 2)
        return heads, said

    def _penalized(self, problems: Problems, start: Array) -> Array:
        return minimize(self.rows, problems, start, tolerance=_ROUGH, certified=False).x


def fit_each(
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
    omega = np.ones(n) if weights is None else row_weights(weights, n) / np.max(weights)
    folds = dealt(n, omega, groups, n_folds, seed)
    spread = Spread.of(features, omega, fit_intercept=True, scale=None)
    basis = Basis.of(features, omega, spread, whole=False)
    rows = SoftmaxRows(features, labels, omega, basis, folds, True)
    problems, start, held_out = chosen_strengths(rows, n_folds)
    found = minimize(rows, problems, start, tolerance=_CERTIFIED, certified=True)
    return SoftmaxFits(rows, found, problems, held_out)
