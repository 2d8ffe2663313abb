"""Cross-validation from the moments of folds, without a second pass over the data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from weakstrong.errors import InputError
from weakstrong.heads import HeadClass, L2Ball
from weakstrong.least_squares import ScaledProblem
from weakstrong.moments import Moments
from weakstrong.projection import project

Array = NDArray[np.float64]

# The radii tried are the norms of the ridge solutions at these strengths (relative to the largest squared
# singular value): three a decade, from almost the mean to almost least squares, then least squares itself.
_STRENGTHS = np.append(np.logspace(1.0, -10.0, 34), 0.0)


@dataclass(frozen=True)
class CrossValidation:
    """A head class with its radius chosen, and the held-out error behind the choice.

    Parameters
    ----------
    heads : HeadClass
        The class, complete: a ball has a radius for each target.
    moments : Moments
        Moments of all folds together.
    error : array of shape (..., k)
        Cross-validated mean squared error of the class on the labels given. Where
        the radius was chosen by it, it is slightly optimistic.
    radii : array of shape (g, ..., k), or None
        Radii tried, smallest first.
    errors : array of shape (g, ..., k), or None
        Cross-validated error at each radius.
    """

    heads: HeadClass
    moments: Moments
    error: Array
    radii: Array | None = None
    errors: Array | None = None


def cross_validate(folds: Sequence[Moments], heads: HeadClass) -> CrossValidation:
    """Cross-validate a head class from the moments of K folds, and choose a radius that is open.

    ``CV(F) = Σ_k n_k E_k (f_{-k}(Φ) − y)² / Σ_k n_k``, ``f_{-k}`` the projection on the other
    folds. Complements are merged from prefixes and suffixes, never subtracted. A ball is the same in every
    fold: its scale is that of all rows, which depends on features only. An open radius is chosen
    for each target: the smallest of those with least such error. A radius chosen on the labels
    that are fitted can shut the truth out of the ball: the theory then holds given the radius.

    Parameters
    ----------
    folds : sequence of Moments
        At least two.
    heads : HeadClass
        Candidate class; an `L2Ball` without radius is completed.

    Returns
    -------
    CrossValidation

    Raises
    ------
    ValueError
        With fewer than two folds.
    """
    if len(folds) < 2:
        raise InputError(f"cross-validation needs at least two folds; got {len(folds)}")
    complements = _complements(folds)
    whole = complements[0] + folds[0]
    weights = [fold.weight[..., None] / whole.unit[..., None] for fold in folds]
    total = sum(weights)
    tried = heads
    if isinstance(heads, L2Ball):
        form = ScaledProblem.of(whole, heads.fit_intercept, heads.scale)
        tried = replace(heads, scale=form.scale)  # of all rows: one class in every fold
    if not isinstance(tried, L2Ball) or not isinstance(heads, L2Ball) or tried.radius is not None:
        parts = [
            w * fold.mse(project(rest, tried).head)
            for w, fold, rest in zip(weights, folds, complements, strict=True)
        ]
        return CrossValidation(heads, whole, np.asarray(sum(parts) / total))
    radii = _radii(form)
    errors = np.zeros(radii.shape)
    for w, fold, rest in zip(weights, folds, complements, strict=True):
        form = ScaledProblem.of(rest, tried.fit_intercept, tried.scale)
        errors += w * fold.mse(form.head(form.in_ball(radii))) / total
    best = errors.argmin(0)[None]
    radius = np.take_along_axis(radii, best, 0)[0]
    error = np.take_along_axis(errors, best, 0)[0]
    return CrossValidation(replace(heads, radius=radius), whole, error, radii, errors)


def _radii(form: ScaledProblem) -> Array:
    """Return the radii to try: norms of ridge solutions on the whole sample, smallest first, (g, ..., k)."""
    s = form.singular[..., None]
    largest = np.square(s).max(-2, keepdims=True, initial=0.0)
    strengths = _STRENGTHS.reshape((-1,) + (1,) * s.ndim) * largest
    bottom = s**2 + strengths
    norms = np.linalg.norm(s * form.along / np.where(bottom > 0, bottom, 1.0), axis=-2)
    return np.asarray(norms / form.unit[..., None])


def _complements(folds: Sequence[Moments]) -> list[Moments]:
    """Merge all folds but one, for each of them, from prefixes and suffixes: about 3K merges."""
    before: list[Moments | None] = [None]
    after: list[Moments | None] = [None]
    for i in range(len(folds) - 1):
        before.append(_plus(before[-1], folds[i]))
        after.append(_plus(folds[-1 - i], after[-1]))
    pairs = zip(before, reversed(after), strict=True)
    return [merged for a, b in pairs if (merged := _plus(a, b)) is not None]


def _plus(a: Moments | None, b: Moments | None) -> Moments | None:
    if a is None or b is None:
        return a if b is None else b
    return a + b


@dataclass(frozen=True)
class FoldAssigner:
    """Assigns folds by a seed and a row's position (or its group's rank of appearance) alone.

    Consecutive rows (or groups) are dealt out K at a time, one to each fold in a random order. So folds
    stay balanced, and rows get the same folds in a stream of batches as in one batch.

    Parameters
    ----------
    n_folds : int
        K.
    seed : int
    """

    n_folds: int
    seed: int

    def __call__(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the fold of each row or group, given their positions, counted from zero."""
        deal, place = positions // self.n_folds, positions % self.n_folds
        numbers, which = np.unique(deal, return_inverse=True)
        cards = numbers[:, None] * self.n_folds + np.arange(self.n_folds)
        order = _scramble(cards.astype(np.uint64), self.seed).argsort(1)
        return np.asarray(order[which, place])


def _scramble(values: NDArray[np.uint64], seed: int) -> NDArray[np.uint64]:
    """Mix values and a seed to random bits by splitmix64 (Steele, Lea and Flood, 2014)."""
    offset = np.uint64(seed * 0xD1342543DE82EF95 % 2**64)
    z = (values + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15) + offset
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(z ^ (z >> np.uint64(31)))
