"""Gradient descent on least squares in closed form: the head after any number of steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from weakstrong.heads import Head

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class DescentPath:
    """The heads that gradient descent on ``½ · 1/n ‖D θ − Y‖²`` passes through, from zero on.

    D = [1 | Φ] has a column of ones, so that the intercept is learnt as a linear layer's bias is. With
    ``D = U S Vᵀ`` and the rate 1/λ₁, the largest eigenvalue ``λ₁ = S₁²/n`` of DᵀD/n, the head after t steps
    ``θ ← θ − (1/λ₁) Dᵀ(D θ − Y)/n`` is

    ``θ_t = V diag((1 − (1 − S_i²/S₁²)^t) / S_i) Uᵀ Y``.

    As t → ∞ it is the least squares solution of least norm. Directions in which the features vary by
    rounding alone get no coefficient.

    Parameters
    ----------
    singular : array of shape (r,)
        S, falling.
    right : array of shape (r, 1 + d)
        Vᵀ.
    along : array of shape (r, k)
        Uᵀ Y.
    """

    singular: Array
    right: Array
    along: Array

    @classmethod
    def of(cls, features: ArrayLike, labels: ArrayLike) -> Self:
        """Decompose features (n, d) as they are, for labels (n, k)."""
        design, y = with_ones(features), np.asarray(labels, dtype=np.float64)
        # The triangular factor of [D | Y] has all that is needed: R of D, and QᵀY beside it.
        triangle: Any = np.linalg.qr(np.concatenate([design, y], axis=1), mode="r")
        width = design.shape[1]
        left, singular, right = np.linalg.svd(triangle[:, :width], full_matrices=False)
        kept = singular > max(design.shape) * np.finfo(np.float64).eps * singular.max(initial=0.0)
        return cls(singular[kept], right[kept], (left.T @ triangle[:, width:])[kept])

    @property
    def rank(self) -> int:
        """Numerical rank of D."""
        return len(self.singular)

    def head(self, steps: ArrayLike) -> Head:
        """Return the head after a number of steps, one for all targets or one for each."""
        steps = np.broadcast_to(np.asarray(steps, dtype=np.float64), self.along.shape[1:])
        theta = self.right.T @ (self._filter(steps).T * self.along)
        return Head(theta[1:], theta[0])

    def errors(self, features: ArrayLike, labels: ArrayLike, steps: ArrayLike) -> Array:
        """Compute mean squared errors on other rows after each of several numbers of steps, shape (T, k)."""
        inside, y = with_ones(features) @ self.right.T, np.asarray(labels, dtype=np.float64)
        filters = self._filter(np.asarray(steps, dtype=np.float64))
        return np.array([((inside @ (row[:, None] * self.along) - y) ** 2).mean(axis=0) for row in filters])

    def stopped(self, features: ArrayLike, labels: ArrayLike, steps: NDArray[Any]) -> NDArray[Any]:
        """Choose for each target the number of steps that errs least on other rows; the fewest of ties."""
        return np.asarray(steps)[self.errors(features, labels, steps).argmin(axis=0)]

    def _filter(self, steps: Array) -> Array:
        """Compute ``(1 − (1 − S_i²/S₁²)^t) / S_i`` for each number of steps, shape (T, r)."""
        shrunk = (self.singular / self.singular.max(initial=0.0)) ** 2
        with np.errstate(divide="ignore"):  # in the first direction one step is enough: log 0
            logarithm = np.log1p(-shrunk)
        exponent = np.where(steps[:, None] > 0, np.maximum(steps, 1)[:, None] * logarithm, 0.0)
        return -np.expm1(exponent) / self.singular


def step_counts(most: int, per_decade: int = 20) -> NDArray[np.int64]:
    """Return 0, 1 and further numbers of steps up to a largest one, each so many to a factor of ten."""
    decades = np.log10(most)
    grid = np.logspace(0, decades, 1 + int(np.ceil(per_decade * decades)))
    return np.unique(np.concatenate([[0], np.round(grid).astype(np.int64)]))


def with_ones(features: ArrayLike) -> Array:
    """Return features (n, d) behind a column of ones."""
    phi = np.asarray(features, dtype=np.float64)
    return np.concatenate([np.ones((len(phi), 1)), phi], axis=1)
