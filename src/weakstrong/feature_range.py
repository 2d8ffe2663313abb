"""The range of features on the rows that a head is fitted to; new rows are drawn into about that range."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from weakstrong.arrays import refuse_infinite
from weakstrong.errors import InputError, counted, percent
from weakstrong.heads import Head

Array = NDArray[np.float64]

_WIDENED = 0.5  # of the range, on either side
# Of rows like the fitted ones at most 0.3% of the values are outside (16 sets of features, 50 rows fitted).
MANY_CLIPPED, _MANY_OF_ONE, _FEWEST_ROWS = 0.01, 0.5, 10
_CACHED_BYTES = 1 << 20


@dataclass(frozen=True, eq=False)
class Clipped:
    """A count of the values of new rows that were outside the range of the fitted ones.

    Features without a coefficient are left out.

    Parameters
    ----------
    rows, values : int
        Rows and values looked at.
    clipped_rows : int
        Rows with such a value.
    by_feature : array of int of shape (d,)
        Such values of each feature.
    """

    rows: int
    values: int
    clipped_rows: int
    by_feature: NDArray[np.int64]

    @property
    def share(self) -> float:
        """Share of the values that were outside."""
        return float(self.by_feature.sum()) / self.values if self.values else 0.0

    @property
    def is_large(self) -> bool:
        """Whether so much is outside, of all values or of one feature, that the rows are unlike others."""
        worst = self.by_feature.max(initial=0)
        return self.share > MANY_CLIPPED or (worst >= _FEWEST_ROWS and worst > _MANY_OF_ONE * self.rows)

    def __str__(self) -> str:
        """What was outside, in a sentence."""
        features = counted(int((self.by_feature > 0).sum()), "feature")
        rows = f"{self.clipped_rows} of {counted(self.rows, 'row')}"
        share = f"{percent(self.share)} of all values"
        where = f"{rows} are far outside the range of the fitted rows in {features} ({share})"
        return f"{where} and were drawn into it"


@dataclass(frozen=True, eq=False)
class FeatureRange:
    """The least and the greatest value of each feature on the rows that a head is fitted to.

    A new row outside that range, widened by half of it on either side, is drawn towards the mean μ of the
    fitted rows until it is inside: ``x ↦ μ + t (h(x) − μ)``, with the largest t <= 1 for which all features
    are between low − r/2 and high + r/2, r = high − low. That is a representation of its own, made without
    labels. It changes nothing on the fitted rows and knows no units; and a feature that hardly varied there,
    but wakes on a new row, cannot carry its prediction away. The row is drawn in whole, since to clip each
    feature alone would break what nearly dependent features have in common, on which large coefficients rest.

    Parameters
    ----------
    low, high : array of shape (d,)
    centre : array of shape (d,), optional
        μ.
    """

    low: Array
    high: Array
    centre: Array | None = None

    @classmethod
    def of(cls, features: NDArray[Any], counted: NDArray[np.bool_] | None = None) -> Self:
        """Return the range of rows (n, d), or of those counted.

        It is not finite where a value is not, and ∞ to −∞ if there is no row.
        """
        ranges = [(x.min(0), x.max(0)) for x in _in_cache(features, counted) if len(x)]
        if not ranges:
            return cls(np.full(features.shape[1], np.inf), np.full(features.shape[1], -np.inf))
        lows, highs = zip(*ranges, strict=True)
        return cls(np.min(lows, 0).astype(np.float64), np.max(highs, 0).astype(np.float64))

    def __or__(self, other: FeatureRange) -> FeatureRange:
        """Return the range of the rows of both, without a centre."""
        return FeatureRange(np.minimum(self.low, other.low), np.maximum(self.high, other.high))

    @property
    def is_finite(self) -> bool:
        """Whether all values are."""
        return bool(np.isfinite(self.low).all() and np.isfinite(self.high).all())

    def suits(self, head: Head) -> bool:
        """Whether it has a finite least, mean and greatest value, in order, for each feature of a head."""
        if self.centre is None or {a.shape for a in (self.low, self.centre, self.high)} != {
            (head.n_features,)
        }:
            return False
        low, high = self.bounds  # a mean of rounded numbers may leave their range
        return self.is_finite and bool(((low <= self.centre) & (self.centre <= high)).all())

    @property
    def bounds(self) -> tuple[Array, Array]:
        """Where a row is drawn to: the range, widened."""
        margin = 2 * _WIDENED * (self.high / 2 - self.low / 2)
        with np.errstate(over="ignore"):
            return self.low - margin, self.high + margin


def predicted(
    head: Head, features: NDArray[Any], limits: FeatureRange | None, name: str
) -> tuple[Array, Clipped | None]:
    """Return the predictions (n, k) of a head for rows (n, d), and what was outside, if there are limits.

    Raises
    ------
    InputError
        If a value is NaN or infinite, or a prediction overflows; `name` is what the features are called.
    """
    clipped = None
    with np.errstate(over="ignore", invalid="ignore"):
        if limits is None:
            out = head(features)
        else:
            out, clipped = _drawn_in(head, features, limits, name)
    if not np.isfinite(out).all():  # looked for only then, so that features are read once
        refuse_infinite(features, name)
        row = int((~np.isfinite(out).all(-1)).argmax())
        raise InputError(
            f"{name}: row {row} (counted from 0): its prediction is beyond float64; give features of the "
            "size that the head was fitted to"
        )
    return out, clipped


def _drawn_in(head: Head, features: NDArray[Any], limits: FeatureRange, name: str) -> tuple[Array, Clipped]:
    assert limits.centre is not None
    low, high = limits.bounds
    used = (head.coef != 0).any(-1) & (limits.high > limits.low)  # of a constant, no range is known
    out = np.empty((len(features), head.n_targets))
    rows, by_feature, start = 0, np.zeros(head.n_features, dtype=np.int64), 0
    for x in _in_cache(features):
        found = FeatureRange.of(x)
        if not found.is_finite:
            refuse_infinite(x, name, start)
        if (found.low < low).any() or (found.high > high).any():
            outside = ((x < low) | (x > high)) & used
            rows += int(outside.any(1).sum())
            by_feature += outside.sum(0)
            step = x - limits.centre
            room = np.where(step > 0, high, low) - limits.centre
            share = np.divide(room, step, out=np.ones_like(step), where=outside).min(1)[:, None]
            out[start : start + len(x)] = head(np.where(share < 1, limits.centre + share * step, x))
        else:
            out[start : start + len(x)] = head(x)
        start += len(x)
    return out, Clipped(len(features), len(features) * int(used.sum()), rows, by_feature)


def _in_cache(features: NDArray[Any], counted: NDArray[np.bool_] | None = None) -> Iterator[NDArray[Any]]:
    """Rows, or those counted, a few at a time, so that looking at them more than once costs little."""
    rows = max(_CACHED_BYTES // (8 * max(features.shape[1], 1)), 1)
    for start in range(0, len(features), rows):
        block = slice(start, start + rows)
        yield features[block] if counted is None else features[block][counted[block]]
