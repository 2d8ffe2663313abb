"""Estimates: numbers with their uncertainty."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from weakstrong.arrays import power_of_two
from weakstrong.errors import InputError

Array = NDArray[np.float64]

CLUSTER_T = "Student t over clusters"
BOOTSTRAP = "percentile bootstrap over clusters"
ORDER_STATISTICS = "median, order statistics"
BINOMIAL = "share, exact binomial"


@dataclass(frozen=True)
class Estimate:
    """A number with an interval, and how the interval was computed.

    Parameters
    ----------
    value : float or array of shape (k,)
        One number for each target.
    low, high : float or array of shape (k,)
        Ends of the interval; NaN where there are too few clusters for one.
    method : str
        How the interval was made: Student t over clusters, bootstrap over clusters, order statistics of
        the values that `value` is the median of, or the exact interval of a share.
    level : float
        Chance that such an interval holds the truth.
    standard_error : float or array of shape (k,), optional
    degrees_of_freedom : float, optional
    rows : int, optional
        Number of rows (or seeds, or divisions) that it was made from.
    clusters : int, optional
        Number of clusters of rows that are independent of one another.
    effective_clusters : float, optional
        ``(Σ W_g)² / Σ W_g²`` with W_g the weight of cluster g: the number of equal clusters that would say
        as much. An interval from few of them is not to be trusted.
    """

    value: Any
    low: Any
    high: Any
    method: str
    level: float = 0.95
    standard_error: Any = None
    degrees_of_freedom: float | None = None
    rows: int | None = None
    clusters: int | None = None
    effective_clusters: float | None = None

    @classmethod
    def of_mean(
        cls,
        values: ArrayLike,
        clusters: NDArray[np.int64],
        weights: ArrayLike | None = None,
        *,
        value: ArrayLike | None = None,
    ) -> Self:
        """Estimate a weighted mean over rows by Student's t over clusters.

        ``SE² = G/(G−1) Σ_g (Σ_{i in g} ω_i (ψ_i − ψ̄))² / (Σ ω)²`` with G clusters g, and G − 1 degrees of
        freedom.

        Parameters
        ----------
        values : array of shape (n,) or (n, k)
            ψ.
        clusters : array of int of shape (n,)
            Numbers from 0, each of them there.
        weights : array of shape (n,), optional
            ω.
        value : float or array of shape (k,), optional
            The estimate, where it is not the mean of ψ but has ψ as its influence on rows.
        """
        psi = np.asarray(values, dtype=np.float64)
        omega = np.ones(len(psi)) if weights is None else np.asarray(weights, dtype=np.float64)
        if len(psi) == 0 or not len(psi) == len(clusters) == len(omega):
            raise InputError(
                f"{len(psi)} values, {len(clusters)} clusters, {len(omega)} weights: one for each row"
            )
        # Powers of two change no digit, and keep what is squared below from under- and overflow.
        unit, omega = power_of_two(psi), omega / power_of_two(omega)
        psi = psi / unit
        spread = omega.reshape((-1,) + (1,) * (psi.ndim - 1))
        mean = (spread * psi).sum(0) / omega.sum()
        count = int(clusters.max()) + 1
        sums = np.zeros((count, *psi.shape[1:]))
        np.add.at(sums, clusters, spread * (psi - mean))
        error = np.full_like(mean, np.nan)
        if count > 1:
            error = np.sqrt(count / (count - 1) * (sums**2).sum(0) / omega.sum() ** 2) * unit
        mean = mean * unit
        sizes = np.bincount(clusters, omega)
        point = np.asarray(mean if value is None else value, dtype=np.float64)
        half = _t_quantile(0.95, count - 1) * error
        return cls(
            point, point - half, point + half, CLUSTER_T, standard_error=error,
            degrees_of_freedom=float(count - 1), rows=len(psi), clusters=count,
            effective_clusters=float(sizes.sum() ** 2 / (sizes**2).sum()),
        )  # fmt: skip

    @classmethod
    def of_draws(cls, value: float, draws: ArrayLike, **counts: Any) -> Self:
        """Estimate by the percentiles of a bootstrap.

        Parameters
        ----------
        value : float
            Of the sample itself.
        draws : array of shape (resamples,)
            Of every resample; where one is undefined, so is the interval.
        **counts
            The fields ``rows``, ``clusters`` and ``effective_clusters``.
        """
        drawn = np.asarray(draws, dtype=np.float64)
        low, high = np.nan, np.nan
        if drawn.size and np.isfinite(value) and np.isfinite(drawn).all():
            low, high = (float(q) for q in np.quantile(drawn, [0.025, 0.975]))
        return cls(float(value), low, high, BOOTSTRAP, **counts)

    @classmethod
    def of_median(cls, values: ArrayLike) -> Self:
        """Estimate the median of independent values by their order statistics; six of them at least."""
        from scipy.stats import quantile_test

        x = np.asarray(values, dtype=np.float64)
        if len(x) == 0:
            raise InputError("values: there is none to take the median of")
        interval = quantile_test(x, p=0.5).confidence_interval(0.95)
        low, high = float(interval.low), float(interval.high)
        return cls(float(np.median(x)), low, high, ORDER_STATISTICS, rows=len(x))

    @classmethod
    def of_share(cls, count: int, total: int) -> Self:
        """Estimate a share by its exact (Clopper-Pearson) interval."""
        from scipy.stats import binomtest

        if not 0 <= count <= total or total < 1:
            raise InputError(f"a share of {count} in {total}: give a count of a total that is at least 1")
        interval = binomtest(count, total).proportion_ci(0.95)
        return cls(count / total, float(interval.low), float(interval.high), BINOMIAL, rows=total)

    def interval(self, level: float | None = None) -> tuple[Any, Any]:
        """Return the ends of the interval, at another level if one is named.

        Raises
        ------
        ValueError
            For a level that is not between 0 and 1, or another one where only the ends at `level` are
            known: all but Student t intervals.
        """
        if level is not None and not (isinstance(level, float) and 0 < level < 1):
            raise InputError(f"level={level}: give a chance between 0 and 1, such as 0.95")
        if level is None or level == self.level:
            return self.low, self.high
        if self.method != CLUSTER_T or self.degrees_of_freedom is None:
            raise InputError(f"only the interval at level {self.level} is known ({self.method})")
        half = _t_quantile(level, self.degrees_of_freedom) * self.standard_error
        return self.value - half, self.value + half

    def __str__(self) -> str:
        """Value with the ends of its interval, in four significant digits."""
        ends = zip(np.ravel(self.value), np.ravel(self.low), np.ravel(self.high), strict=True)
        return ", ".join(f"{value:.4g} [{low:.4g}, {high:.4g}]" for value, low, high in ends)

    def to_dict(self) -> dict[str, Any]:
        """Return the known fields as JSON has them."""
        known = {f.name: getattr(self, f.name) for f in fields(self)}
        return {
            name: v.tolist() if isinstance(v, np.ndarray | np.generic) else v
            for name, v in known.items()
            if v is not None
        }

    @classmethod
    def from_dict(cls, known: Mapping[str, Any]) -> Self:
        """Return the estimate that `to_dict` wrote; what JSON has as null is NaN."""
        kept: dict[str, Any] = {name: np.nan if v is None else v for name, v in known.items()}
        return cls(**kept)


def revived(tree: Any) -> Any:
    """Return a JSON tree with estimates in place of what `Estimate.to_dict` wrote."""
    if isinstance(tree, Mapping):
        if {"value", "low", "high", "method"} <= set(tree):
            return Estimate.from_dict(tree)
        return {name: revived(value) for name, value in tree.items()}
    return [revived(value) for value in tree] if isinstance(tree, list) else tree


def _t_quantile(level: float, degrees_of_freedom: float) -> float:
    """Half the width of a Student t interval in standard errors."""
    from scipy.stats import t

    return float(t.ppf((1 + level) / 2, degrees_of_freedom)) if degrees_of_freedom > 0 else np.nan
