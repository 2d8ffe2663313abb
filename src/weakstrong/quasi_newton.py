"""Quasi-Newton steps for many problems in lockstep: L-BFGS whose model is minimized in a ball, exactly."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from weakstrong.least_squares import positive

Array = NDArray[np.float64]

_PAIRS = 10
_ROOT_STEPS, _ROOT_TOLERANCE = 30, 1e-12
_LEAST_VALUE, _LEAST_SHARE, _ROUNDING = 1e-8, 1e-4, 1e-13  # of covariances of classes
_LEAST_CURVATURE = 1e-12  # of a pair, in units of its size: less is rounding


class Covariance(NamedTuple):
    """Mean covariances A of the classes (p, m, m): eigenvalues (p, m) and eigenvectors.

    Along the direction that all classes have in common A is zero, as that changes no probability; what
    rounding makes of it is set to zero.
    """

    values: Array
    vectors: Array

    @classmethod
    def of(cls, covariance: Array) -> Covariance:
        """Decompose covariances."""
        if covariance.shape[1] == 1:
            return cls(np.maximum(covariance[:, 0], _LEAST_VALUE), np.ones(covariance.shape))
        values, vectors = np.linalg.eigh(covariance)
        largest = np.maximum(values[:, -1:], _LEAST_VALUE)
        floored = np.maximum(values, _LEAST_SHARE * largest)
        return cls(np.where(values > _ROUNDING * largest, floored, 0.0), vectors)

    def into(self, x: Array) -> Array:
        """Return x (p, m, q) along the eigenvectors."""
        return x if x.shape[1] == 1 else np.asarray(np.swapaxes(self.vectors, 1, 2) @ x)

    def out(self, x: Array) -> Array:
        """Return the inverse of `into`."""
        return x if x.shape[1] == 1 else np.asarray(self.vectors @ x)


@dataclass(eq=False)
class QuasiNewton:
    """A model of the curvature of p problems, from what their gradients did along past steps.

    For each problem it is the Hessian of the loss alone, ``B``, so that ``B + λ`` on the coefficients is
    known for every λ: the first guess is ``A ⊗ s²``, A the mean covariance of the classes and s² the mean
    squares of the features along each direction, and pairs of steps and changes of gradients correct it
    (L-BFGS).

    Parameters
    ----------
    curvature : array of shape (1 + r,)
        s², with 1 for the intercept.
    fit_intercept : bool
    """

    curvature: Array
    fit_intercept: bool
    steps: list[Array] = field(default_factory=list)
    changes: list[Array] = field(default_factory=list)

    def add(self, step: Array, change: Array, accepted: NDArray[np.bool_]) -> None:
        """Learn from steps (p, m, 1 + r) and changes of the loss's gradient; none where not accepted."""
        size = np.sqrt(_dot(step, step) * _dot(change, change))
        good = accepted & (_dot(step, change) > _LEAST_CURVATURE * size)
        self.steps.append(np.where(good[:, None, None], step, 0.0))
        self.changes.append(np.where(good[:, None, None], change, 0.0))
        del self.steps[:-_PAIRS], self.changes[:-_PAIRS]

    def take(self, kept: NDArray[np.bool_]) -> None:
        """Keep some of the problems."""
        self.steps = [s[kept] for s in self.steps]
        self.changes = [y[kept] for y in self.changes]

    def solve(self, gradient: Array, multiplier: Array, variance: Covariance) -> Array:
        """Return ``(B + λ)⁻¹ g`` for gradients (p, m, 1 + r), λ (p,) and A: the two-loop recursion."""
        shift = multiplier[:, None, None]
        q, kept = gradient.copy(), []
        for s, y in zip(reversed(self.steps), reversed(self.changes), strict=True):
            bent = y.copy()
            bent[..., 1:] += shift * s[..., 1:]
            curved = _dot(s, bent)
            inverse = np.where(curved > 0, 1 / positive(curved), 0.0)
            alpha = inverse * _dot(s, q)
            q -= alpha[:, None, None] * bent
            kept.append((s, bent, inverse, alpha))
        bottom = variance.values[..., None] * self.curvature
        bottom[..., 1:] += shift
        guess = np.where(variance.values[..., None] > 0, 1 / positive(bottom), 0.0)
        if not self.fit_intercept:
            guess[..., 0] = 0.0
        q = variance.out(guess * variance.into(q))
        if kept:
            newest, changed, _, _ = kept[0]
            curved, measured = _dot(newest, changed), _dot(guess, variance.into(changed) ** 2)
            q *= np.where(measured > 0, curved / positive(measured), 1.0)[:, None, None]
        for s, bent, inverse, alpha in reversed(kept):
            beta = inverse * _dot(bent, q)
            q += (alpha - beta)[:, None, None] * s
        return q

    def step(self, x: Array, gradient: Array, multiplier: Array, variance: Covariance) -> Array:
        """Return the step to the minimum of the model of ``f + ½ λ ‖u‖²`` at x."""
        pull = gradient.copy()
        pull[..., 1:] += multiplier[:, None, None] * x[..., 1:]
        return -self.solve(pull, multiplier, variance)

    def step_in_ball(
        self, x: Array, gradient: Array, variance: Covariance, radius: Array, guess: Array
    ) -> tuple[Array, Array]:
        """Return the step to the minimum of the model of f in balls ``‖u‖ <= r`` (p,), and its multipliers.

        ``1/‖u(λ)‖`` is nearly linear in λ, so that its secants, kept in a bracket, find the root of
        ``‖u(λ)‖ = r``.
        """
        low = np.zeros(len(x))
        step = self.step(x, gradient, low, variance)
        excess_low = _excess(x + step, radius)
        outside = excess_low > 0
        if not outside.any():
            return step, low
        high = np.full(len(x), np.inf)
        excess_high = np.zeros(len(x))
        typical = np.linalg.norm(gradient[..., 1:], axis=(1, 2)) / np.maximum(radius, 1e-300)
        at = np.where(guess > 0, guess, np.maximum(typical, 1e-300))
        for _ in range(_ROOT_STEPS):
            at = np.where(outside, at, 0.0)
            step = self.step(x, gradient, at, variance)
            excess = _excess(x + step, radius)
            if (np.abs(excess) <= _ROOT_TOLERANCE)[outside].all():
                break
            over = excess > 0
            low, excess_low = np.where(over, at, low), np.where(over, excess, excess_low)
            high, excess_high = np.where(over, high, at), np.where(over, excess_high, excess)
            bounded = np.isfinite(high)
            slope = excess_low - excess_high
            share = np.where(slope > 0, excess_low / np.where(slope > 0, slope, 1.0), 0.5)
            secant = low + np.clip(share, 0.02, 0.98) * np.where(bounded, high - low, 0.0)
            at = np.where(bounded, secant, 4 * np.maximum(low, at))
        moved = x + step
        norm = np.linalg.norm(moved[..., 1:], axis=(1, 2))
        moved[..., 1:] *= np.where(norm > radius, radius / positive(norm), 1.0)[:, None, None]
        return moved - x, at


def _excess(x: Array, radius: Array) -> Array:
    """Return ``1 − r / ‖u‖``, which is positive outside the ball."""
    norm = np.linalg.norm(x[..., 1:], axis=(1, 2))
    return np.asarray(np.where(norm > 0, 1 - radius / positive(norm), -np.inf))


def _dot(a: Array, b: Array) -> Array:
    """Return inner products, shape (p,)."""
    return np.asarray(np.einsum("pmq,pmq->p", a, b))
