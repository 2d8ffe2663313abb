"""Estimates: numbers with their uncertainty."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from weakstrong.cluster_means import ClusterMeans
from weakstrong.errors import InputError, percent
from weakstrong.wild_bootstrap import p_value

Array = NDArray[np.float64]

CLUSTER_T = "Student t over clusters"
CLUSTERS_AND_OTHERS = "Student t over clusters and divisions"
BOOTSTRAP = "percentile bootstrap over clusters"
ORDER_STATISTICS = "median, order statistics"
BINOMIAL = "share, exact binomial"
DIFFERING = "exact binomial, of how many rows one alone is right on and who it is"
_FEWEST_CLUSTERS, _FEWEST_DEGREES = 5, 4  # effective clusters, and degrees of freedom, of a verdict
_REJECTED = 0.05
HOLDS_ZERO = "the interval holds 0"
_SKEW_UNSEEN = 12  # effective clusters: the skewness of fewer is mostly chance
_SKEWED = 0.15  # skewness / √effective: about where 95% intervals cover 93% (benchmarks/clusters.py)


class Verdict(NamedTuple):
    """A verdict on a number: above zero (1), below (−1) or undecided (0), and then why."""

    sign: int
    reason: str = ""


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
    largest_share : float, optional
        The largest ``W_g / Σ W_g``.
    skewness : float or array of shape (k,), optional
        Of the means of the clusters, each counted once; NaN where they do not vary. Where it is large the
        interval covers less than it says.
    p_value : float or array of shape (k,), optional
        Of the wild cluster bootstrap of zero, where it was asked for: `weakstrong.wild_bootstrap`.
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
    largest_share: float | None = None
    skewness: Any = None
    p_value: Any = None

    @classmethod
    def of_mean(
        cls,
        values: ArrayLike,
        clusters: NDArray[np.int64],
        weights: ArrayLike | None = None,
        *,
        value: ArrayLike | None = None,
        tested: bool = False,
    ) -> Self:
        """Estimate a weighted mean over rows by Student's t over clusters.

        With ``p_g = W_g / W`` the share of cluster g in the weight, and D̄_g its weighted mean of ψ,
        ``SE² = Σ_g p_g² (D̄_g − ψ̄)² / (1 − p_g)`` (CR2), and the degrees of freedom of Bell and McCaffrey:
        `ClusterMeans`. For G equal clusters these are ``G/(G−1) Σ_g (p_g (D̄_g − ψ̄))²`` and G − 1.

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
        tested : bool
            Whether to compute `p_value`, which a verdict takes: 2,000 weighted sums over the clusters.
        """
        psi = np.asarray(values, dtype=np.float64)
        omega = np.ones(len(psi)) if weights is None else np.asarray(weights, dtype=np.float64)
        if len(psi) == 0 or not len(psi) == len(clusters) == len(omega):
            raise InputError(
                f"{len(psi)} values, {len(clusters)} clusters, {len(omega)} weights: one for each row"
            )
        means = ClusterMeans.of(psi, clusters, omega)
        shares, unit, freedom = means.shares, means.unit, means.degrees_of_freedom()
        point = np.asarray(means.mean * unit if value is None else value, dtype=np.float64)
        error = np.sqrt(means.variance()) * unit
        half = _t_quantile(0.95, freedom) * error
        found = None
        if tested:
            parts = means.deviations + np.multiply.outer(shares, point / unit)
            found = p_value(parts, shares, means.others)
        return cls(
            point, point - half, point + half, CLUSTER_T, standard_error=error, degrees_of_freedom=freedom,
            rows=len(psi), clusters=len(shares), effective_clusters=means.effective(),
            largest_share=float(shares.max()), skewness=means.skewness(), p_value=found,
        )  # fmt: skip

    @classmethod
    def of_mean_over_two(
        cls,
        values: ArrayLike,
        clusters: NDArray[np.int64],
        others: NDArray[np.int64],
        weights: ArrayLike | None = None,
    ) -> Self:
        """Estimate a weighted mean over values that depend on one another in two ways.

        ``V = V_a + max(V_b − V_ab, 0)``, with V_a the variance over clusters, V_b that over the others and
        V_ab that over what both have in common (Cameron, Gelbach and Miller 2011); Student's t with the
        lesser degrees of freedom. With a single one of the others they do not count.

        Parameters
        ----------
        values : array of shape (n,)
        clusters, others : array of int of shape (n,)
            Numbers from 0, each of them there: rows and divisions, say.
        weights : array of shape (n,), optional
        """
        first = cls.of_mean(values, clusters, weights)
        if others.max(initial=0) == 0:
            return first
        both = np.unique(np.stack([clusters, others]), axis=1, return_inverse=True)[1]
        second, common = (cls.of_mean(values, of, weights) for of in (others, np.ravel(both)))
        variances = [np.asarray(e.standard_error) ** 2 for e in (first, second, common)]
        error = np.sqrt(variances[0] + np.maximum(variances[1] - variances[2], 0.0))
        freedom = min(first.degrees_of_freedom or 0.0, second.degrees_of_freedom or 0.0)
        half = _t_quantile(0.95, freedom) * error
        return replace(
            first, low=first.value - half, high=first.value + half, method=CLUSTERS_AND_OTHERS,
            standard_error=error, degrees_of_freedom=freedom,
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

    def complement(self) -> Self:
        """Return the estimate of one minus the number: of an accuracy, say, from that of an error."""
        skewness = None if self.skewness is None else -np.asarray(self.skewness)
        return replace(
            self, value=1 - self.value, low=1 - self.high, high=1 - self.low, skewness=skewness, p_value=None
        )

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

    def verdict(self) -> Verdict:
        """Say whether the number is above or below zero, by Student's t and the wild cluster bootstrap.

        There is no verdict with fewer than 5 effective clusters or 4 degrees of freedom, where the interval
        holds zero, or where the bootstrap does not reject zero at 5%; the reason says which.

        Raises
        ------
        ValueError
            For several numbers at once.
        """
        if np.size(self.value) != 1:
            raise InputError(f"a verdict is on one number, and there are {np.size(self.value)}")
        low, high = (np.ravel(end).item() for end in self.interval())
        if self.method == DIFFERING:  # it holds as it is
            return Verdict(int(low > 0) - int(high < 0), "" if low > 0 or high < 0 else HOLDS_ZERO)
        if (short := self.too_few()) or not (low > 0 or high < 0):
            return Verdict(0, short or HOLDS_ZERO)
        if self.p_value is None:
            return Verdict(0, "the wild cluster bootstrap was not asked for (tested)")
        p = np.ravel(self.p_value).item()
        if not p <= _REJECTED:
            return Verdict(0, f"flipping the signs of clusters does not reject 0 (p = {p:.2g})")
        return Verdict(1 if low > 0 else -1)

    def too_few(self) -> str:
        """Say why its clusters are too few for a verdict; empty if they are not."""
        if self.clusters is None or self.effective_clusters is None or self.degrees_of_freedom is None:
            return "it is not of clusters"
        if self.clusters == 1:
            return "only 1 cluster"
        share = f"one has {self.largest_share or 0:.0%} of the rows"
        if self.effective_clusters < _FEWEST_CLUSTERS:
            return f"only {self.effective_clusters:.3g} effective clusters ({share})"
        if not self.degrees_of_freedom >= _FEWEST_DEGREES:
            return f"only {self.degrees_of_freedom:.2g} degrees of freedom ({share})"
        return ""

    def skew(self) -> str:
        """Say where the means of its clusters are so skewed that the interval covers less than it says.

        Nothing is said of fewer than 12 effective clusters, whose skewness is mostly chance.
        """
        effective, skewness = (
            self.effective_clusters,
            np.abs(self.skewness if self.skewness is not None else 0),
        )
        if effective is None or effective < _SKEW_UNSEEN or not np.any(skewness > _SKEWED * effective**0.5):
            return ""
        return f"skewness {np.nanmax(skewness):.2g} of {_digits(effective, 3)} effective clusters"

    def skew_is_unseen(self) -> bool:
        """Whether its clusters are too few to show whether their means are skewed."""
        return self.effective_clusters is not None and self.effective_clusters < _SKEW_UNSEEN

    def evidence(self) -> str:
        """What the interval is from, in words: clusters, effective ones, the largest, degrees of freedom."""
        known = {
            "cluster" if self.clusters == 1 else "clusters": self.clusters,
            "effective": self.effective_clusters,
            "degrees of freedom": self.degrees_of_freedom,
        }
        said = [f"{_digits(number, 4)} {name}" for name, number in known.items() if number is not None]
        if self.largest_share is not None:
            said.insert(2, f"the largest with {percent(self.largest_share)} of the rows")
        return ", ".join(said)

    def __str__(self) -> str:
        """Value with the ends of its interval, in four significant digits."""
        ends = zip(np.ravel(self.value), np.ravel(self.low), np.ravel(self.high), strict=True)
        return ", ".join(f"{value:.4g} [{low:.4g}, {high:.4g}]" for value, low, high in ends)

    def to_dict(self) -> dict[str, Any]:
        """Return the known fields as JSON has them; a number that is infinite is ``"inf"`` or ``"-inf"``."""
        known = {f.name: getattr(self, f.name) for f in fields(self)}
        plain = {
            name: v.tolist() if isinstance(v, np.ndarray | np.generic) else v
            for name, v in known.items()
            if v is not None
        }
        return {n: str(v) if isinstance(v, float) and np.isinf(v) else v for n, v in plain.items()}

    @classmethod
    def from_dict(cls, known: Mapping[str, Any]) -> Self:
        """Return the estimate that `to_dict` wrote; what JSON has as null is NaN, and lists are arrays."""
        said: dict[Any, float] = {None: np.nan, "inf": np.inf, "-inf": -np.inf}
        kept: dict[str, Any] = {
            name: v if isinstance(v, list) else said.get(v, v) for name, v in known.items()
        }
        arrays = {name: np.array(v, dtype=np.float64) for name, v in kept.items() if isinstance(v, list)}
        return cls(**kept | arrays)


def revived(tree: Any) -> Any:
    """Return a JSON tree with estimates in place of what `Estimate.to_dict` wrote."""
    if isinstance(tree, Mapping):
        if {"value", "low", "high", "method"} <= set(tree):
            return Estimate.from_dict(tree)
        return {name: revived(value) for name, value in tree.items()}
    return [revived(value) for value in tree] if isinstance(tree, list) else tree


def _digits(number: float, digits: int) -> str:
    """Say a number in so many significant digits, but whole if it has more before the point."""
    return f"{number:.0f}" if number >= 10**digits - 0.5 else f"{number:.{digits}g}"


def _t_quantile(level: float, degrees_of_freedom: float) -> float:
    """Half the width of a Student t interval in standard errors."""
    from scipy.stats import t

    return float(t.ppf((1 + level) / 2, degrees_of_freedom)) if degrees_of_freedom > 0 else np.nan
