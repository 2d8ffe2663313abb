"""The gain in accuracy from the rows where supervisor and student name another class."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from weakstrong.arrays import group_numbers
from weakstrong.divergence import hardened, is_one_hot
from weakstrong.estimate import DIFFERING, Estimate

Array = NDArray[np.float64]

# Of the 5% by which the interval may miss: for how many rows one alone is right on; the rest for who that is.
_OF_SHARE = 0.005


def accuracy_where_they_differ(
    truth: Array, weak: Array, student: Array, cluster: NDArray[np.int64], weights: Array
) -> Estimate | None:
    """Estimate the student's accuracy where it names another class than its supervisor; None if nowhere.

    The interval is exact (Clopper-Pearson) where every row is its own cluster and all count alike, the truth
    is one class in each, and there are no ties; else Student's t over clusters.
    """
    w, s = hardened(weak), hardened(student)
    differ = (w != s).any(1)
    if not differ.any():
        return None
    right = (s * truth).sum(1)[differ]
    if count_alike(cluster, weights) and not has_ties(weak, student) and is_one_hot(truth):
        return Estimate.of_share(int(right.sum()), len(right))
    return Estimate.of_mean(right, group_numbers(cluster[differ]), weights[differ])


def with_exact_interval(gain: Estimate, truth: Array, weak: Array, student: Array) -> Estimate:
    """Return a gain in accuracy with an interval for new rows that holds however few rows differ.

    The gain is ``q (2a − 1)``, q the share of rows on which one of the two alone is right (of two classes,
    those that differ) and a the share of these on which it is the student. Of n independent rows a number
    ``M ~ Bin(n, q)`` are such, and given M the student is right on ``Bin(M, a)``, however many classes there
    are: the counts of McNemar's test. So the exact (Clopper-Pearson) intervals of q at 99.5% and of a at
    95.5% hold together with a chance of at least 95%, and the extremes of ``q (2a − 1)`` over their corners
    hold the gain.

    Parameters
    ----------
    gain : Estimate
        Of rows that are independent and count alike, with none of which two classes are most probable.
    truth, weak, student : array of shape (n, c)
    """
    y, w, s = (p.argmax(1) for p in (truth, weak, student))
    ours, theirs = int(((s == y) & (w != y)).sum()), int(((w == y) & (s != y)).sum())
    shares = _interval(ours + theirs, len(y), _OF_SHARE)
    accuracies = _interval(ours, ours + theirs, 0.05 - _OF_SHARE)
    corners = [q * (2 * a - 1) for q in shares for a in accuracies]
    return replace(gain, low=np.float64(min(corners)), high=np.float64(max(corners)), method=DIFFERING)


def has_ties(*probabilities: Array) -> bool:
    """Tell whether some row has two most probable classes."""
    return any(bool((hardened(p) % 1 > 0).any()) for p in probabilities)


def with_exact_share(estimate: Estimate, errors: Array) -> Estimate:
    """Return a mean of zeros and ones, of independent rows that count alike, with its exact interval.

    It is that of Clopper and Pearson. Student's t says nothing of a share of 0 or 1, and covers less near
    them.
    """
    if not np.isin(errors, (0.0, 1.0)).all():
        return estimate
    exact = Estimate.of_share(int(errors.sum()), len(errors))
    return replace(estimate, low=np.float64(exact.low), high=np.float64(exact.high), method=exact.method)


def count_alike(cluster: NDArray[np.int64], weights: Array) -> bool:
    """Tell whether every row is a cluster of its own and counts the same."""
    return bool(cluster.max() + 1 == len(cluster) and np.ptp(weights) == 0)


def _interval(count: int, total: int, missed: float) -> tuple[float, float]:
    """The exact interval of a share that misses it with a probability; [0, 1] if nothing was seen."""
    from scipy.stats import binomtest

    if total == 0:
        return 0.0, 1.0
    found = binomtest(count, total).proportion_ci(1 - missed)
    return float(found.low), float(found.high)
