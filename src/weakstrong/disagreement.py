"""The gain in accuracy from the rows where supervisor and student name another class."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from weakstrong.divergence import hardened
from weakstrong.estimate import DIFFERING, Estimate

Array = NDArray[np.float64]

_OF_SHARE = (
    0.005  # of the 5% by which the interval may miss: for how many rows differ; the rest for who is right
)


def accuracy_where_they_differ(truth: Array, weak: Array, student: Array) -> Estimate | None:
    """Return the student's accuracy where it names another class than its supervisor; None if nowhere."""
    right, _, differ = _counted(truth, weak, student)
    return Estimate.of_share(int(right.sum()), int(differ.sum())) if differ.any() else None


def with_exact_interval(gain: Estimate, truth: Array, weak: Array, student: Array) -> Estimate:
    """Return a gain in accuracy with an interval for new rows that holds however few rows differ.

    For two classes the gain is ``p (2a − 1)``, p the share of rows that differ and a the student's accuracy
    there: its interval is the extremes of that with p in its exact (Clopper-Pearson) interval of 99.5% and a
    in that of 95.5%. For more classes ``p (π₊ − π₋)``, of the shares where the student and where the
    supervisor is right, each in its interval of 97.75%. The levels add up to at least 95%.

    Parameters
    ----------
    gain : Estimate
        Of rows that are independent and count alike, with none of which two classes are most probable.
    truth, weak, student : array of shape (n, c)
    """
    student_right, weak_right, differ = _counted(truth, weak, student)
    count, n = int(differ.sum()), len(differ)
    shares = _interval(count, n, _OF_SHARE)
    if truth.shape[1] == 2:
        low, high = (2 * end - 1 for end in _interval(int(student_right.sum()), count, 0.05 - _OF_SHARE))
    else:
        each = (0.05 - _OF_SHARE) / 2
        ours, theirs = (_interval(int(of.sum()), count, each) for of in (student_right, weak_right))
        low, high = ours[0] - theirs[1], ours[1] - theirs[0]
    corners = [p * d for p in shares for d in (low, high)]
    return replace(gain, low=np.float64(min(corners)), high=np.float64(max(corners)), method=DIFFERING)


def has_ties(*probabilities: Array) -> bool:
    """Tell whether some row has two most probable classes."""
    return any(bool((hardened(p) % 1 > 0).any()) for p in probabilities)


def _counted(truth: Array, weak: Array, student: Array) -> tuple[NDArray[np.bool_], ...]:
    """Rows that differ and where the student is right, where the supervisor is, and all that differ."""
    y, w, s = (p.argmax(1) for p in (truth, weak, student))
    differ = w != s
    return differ & (s == y), differ & (w == y), differ


def _interval(count: int, total: int, missed: float) -> tuple[float, float]:
    """The exact interval of a share that misses it with a probability; [0, 1] if nothing was seen."""
    from scipy.stats import binomtest

    if total == 0:
        return 0.0, 1.0
    found = binomtest(count, total).proportion_ci(1 - missed)
    return float(found.low), float(found.high)
