"""Means of clusters of rows, and what can be said of their mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from weakstrong.arrays import power_of_two

Array = NDArray[np.float64]


@dataclass(frozen=True)
class ClusterMeans:
    """The means ``D̄_g`` of clusters g around their weighted mean ``μ̂ = Σ p_g D̄_g``.

    Parameters
    ----------
    mean : array of shape () or (k,)
        μ̂, for each of k targets, in units of `unit`.
    deviations : array of shape (G,) or (G, k)
        ``p_g (D̄_g − μ̂)``, in the same units.
    shares : array of shape (G,)
        ``p_g = W_g / W``, with W_g the weight of the rows of cluster g.
    others : array of shape (G,)
        ``1 − p_g``, to all digits even where it is next to nothing.
    unit : array of shape () or (k,)
        Powers of two.
    """

    mean: Array
    deviations: Array
    shares: Array
    others: Array
    unit: Array

    @classmethod
    def of(cls, values: Array, clusters: NDArray[np.int64], weights: Array) -> Self:
        """Take the means of values of shape (n,) or (n, k) over clusters, numbered from 0."""
        # Powers of two change no digit, and keep what is squared from under- and overflow.
        unit, omega = power_of_two(values), weights / power_of_two(weights)
        psi, spread = values / unit, omega.reshape((-1,) + (1,) * (values.ndim - 1))
        total = omega.sum()
        mean = (spread * psi).sum(0) / total
        sums = np.zeros((int(clusters.max()) + 1, *psi.shape[1:]))
        if len(sums) == len(psi):
            sums[clusters] = spread * (psi - mean)
        else:
            np.add.at(sums, clusters, spread * (psi - mean))
        sizes = np.bincount(clusters, omega)
        largest = sizes.argmax()
        others = total - sizes
        others[largest] = np.delete(sizes, largest).sum()  # a difference would lose its digits
        return cls(mean, sums / total, sizes / total, others / total, unit)

    def variance(self) -> Array:
        """``V = Σ_g p_g² (D̄_g − μ̂)² / (1 − p_g)`` (CR2), in squared units; NaN for a cluster alone.

        Its mean is the variance of μ̂ if rows are independent and as variable everywhere, however uneven the
        clusters (Bell and McCaffrey 2002). With G equal ones it is the usual ``G/(G−1) Σ_g``.
        """
        if len(self.shares) == 1:
            return np.full_like(self.mean, np.nan)
        return np.asarray((self.deviations**2 / self._column(self.others)).sum(0))

    def degrees_of_freedom(self) -> float:
        """``ν = 1 / (Σ p² + (Σ q)² − Σ q²)`` with ``q = p² / (1 − p)``; NaN for a cluster alone.

        That of the χ² with the first two moments of `variance`, if rows are independent, normal and as
        variable everywhere (Bell and McCaffrey 2002): ``p_g (D̄_g − μ̂) / √(1 − p_g)`` then have variance
        p_g and covariances of square ``q_g q_h``. It is G − 1 for G equal clusters.
        """
        if len(self.shares) == 1 or self._are_equal:
            return float(len(self.shares) - 1) or np.nan
        q = self.shares**2 / self.others
        largest = q.argmax()
        rest = np.delete(q, largest)
        products = 2 * q[largest] * rest.sum() + rest.sum() ** 2 - (rest**2).sum()
        return float(1 / ((self.shares**2).sum() + products))

    def effective(self) -> float:
        """``1 / Σ p_g²``: the number of equal clusters that would say as much."""
        return float(len(self.shares) if self._are_equal else 1 / (self.shares**2).sum())

    def skewness(self) -> Array:
        """``m₃ / m₂^{3/2}`` of the cluster means, each counted once; NaN where they do not vary."""
        held = slice(None) if self.shares.all() else self.shares > 0
        means = self.deviations[held] / self._column(self.shares[held])
        means -= means.mean(0)
        squares = means * means  # a cube by ** would take ten times as long
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray((squares * means).mean(0) / squares.mean(0) ** 1.5)

    @property
    def _are_equal(self) -> bool:
        """Whether all clusters have one size, for which formulas give whole numbers but for rounding."""
        return bool((self.shares == self.shares[0]).all())

    def _column(self, numbers: Array) -> Array:
        """Numbers of the clusters, to stand beside the targets."""
        return numbers.reshape((-1,) + (1,) * (self.deviations.ndim - 1))
