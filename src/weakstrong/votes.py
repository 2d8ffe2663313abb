"""Weak labels that exist already: one for each row, or made of several workers' by their mean or majority."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from weakstrong.arrays import Array, label_array, power_of_two, real_array, refuse_infinite
from weakstrong.class_labels import ClassLabels, is_labelled
from weakstrong.divergence import hardened
from weakstrong.errors import InputError, quoted

Vote = Literal["mean", "majority"]


@dataclass(frozen=True, eq=False)
class GivenLabels:
    """Weak labels that a supervisor gave, one for each row that it labels.

    Parameters
    ----------
    values : array of shape (n,) or (n, c)
        NaN where it abstains. Where labels are classes, a probability for each.
    counts : int array of shape (n,), optional
        How many labels each value is made of, 0 where there is none; None where each value is one label.
    noise : float, optional
        Variance of one label about what its row's labels are about, summed over the classes if there are
        some; None if no row has two labels.
    is_mean : bool
        Whether each value is the mean of its labels, of which the noise that is left is known.
    classes : tuple of str
        Names of the classes, where labels are classes.
    """

    values: Array
    counts: NDArray[np.int64] | None = None
    noise: float | None = None
    is_mean: bool = True
    classes: tuple[str, ...] = ()

    @classmethod
    def of_classes(cls, labels: ClassLabels) -> GivenLabels:
        """Return labels that are classes, one for each row."""
        return cls(labels.values, classes=labels.classes)

    @property
    def labelled(self) -> NDArray[np.bool_]:
        """Which rows have a label."""
        return is_labelled(self.values)

    @property
    def is_hard(self) -> bool:
        """Whether every label is one class, where labels are classes."""
        return bool(self.classes) and ClassLabels(self.classes, self.values).is_hard

    @property
    def share(self) -> float:
        """Share of the rows that have a label."""
        return float(self.labelled.mean()) if len(self.values) else 0.0

    @property
    def noise_of_value(self) -> float | None:
        """Variance left in the mean of a row's labels: noise · mean of 1 / count over the labelled rows.

        None where the noise is, no row has a label, or values are no means.
        """
        if self.noise is None or not self.is_mean or not self.labelled.any():
            return None
        if self.counts is None:
            return self.noise
        return float(self.noise * (1 / self.counts[self.labelled]).mean())

    def place(self, rows: NDArray[np.int64], n: int) -> GivenLabels:
        """Put the values at some of n rows, by number; the other rows have no label."""
        values, counts = np.full((n, *self.values.shape[1:]), np.nan), None
        values[rows] = self.values
        if self.counts is not None:
            counts = np.zeros(n, dtype=np.int64)
            counts[rows] = self.counts
        return replace(self, values=values, counts=counts)

    def over(self, classes: tuple[str, ...]) -> GivenLabels:
        """Return the same labels over other classes: more of them, or in another order."""
        return replace(
            self, values=ClassLabels(self.classes, self.values).over(classes).values, classes=classes
        )

    def take(self, rows: NDArray[Any]) -> GivenLabels:
        """Return the labels of some rows, by number or by truth; the noise stays that of all."""
        counts = None if self.counts is None else self.counts[rows]
        return replace(self, values=self.values[rows], counts=counts)


def combined(row_numbers: NDArray[np.int64], labels: Array, n: int, vote: Vote = "mean") -> GivenLabels:
    """Combine the labels of several workers to one for each row: their mean, or the most frequent of them.

    Where several labels of a row are most frequent, it gets their mean. The noise, in either case, is the
    unbiased variance within rows, ``Σ (label − mean of its row)² / Σ (count − 1)``. The order of the labels
    changes no bit of what is returned.

    Parameters
    ----------
    row_numbers : int array of shape (m,)
        The row of each label.
    labels : array of shape (m,)
    n : int
        Number of rows.
    vote : {"mean", "majority"}

    Raises
    ------
    InputError
        If a label is not finite or its square would overflow, or its row is none of the n.
    """
    if vote not in get_args(Vote):
        raise InputError(f"vote={quoted(vote)}: give 'mean' or 'majority'", "vote")
    labels, rows = label_array(labels, "labels"), _row_array(row_numbers, n)
    if labels.shape != rows.shape:
        raise InputError(
            f"labels has shape {labels.shape}; expected {rows.shape}, a label for each row number"
        )
    order = np.lexsort((labels, rows))
    rows, labels = rows[order], labels[order]
    means, counts = _row_means(rows, labels, n), np.bincount(rows, minlength=n)
    noise = _noise(labels - means[rows], counts)
    if vote == "majority":
        means = _row_means(*_most_frequent(rows, labels, n), n)
    return GivenLabels(means, counts, noise, is_mean=vote == "mean")


def combined_classes(
    row_numbers: NDArray[np.int64], labels: ClassLabels, n: int, vote: Vote = "mean"
) -> GivenLabels:
    """Combine the classes that several workers gave a row: the share of each, or the most frequent.

    As `combined`, class by class. Where several classes of a row are most frequent, they share it equally.

    Parameters
    ----------
    row_numbers : int array of shape (m,)
        The row of each label.
    labels : ClassLabels
        One for each of the m.
    n : int
        Number of rows.
    vote : {"mean", "majority"}
    """
    parts = [combined(row_numbers, column, n) for column in labels.values.T]
    shares = np.stack([part.values for part in parts], axis=1)
    noises = [part.noise for part in parts if part.noise is not None]
    noise = sum(noises) if noises else None
    values = shares.copy()
    if vote == "majority":
        there = is_labelled(shares)
        values[there] = hardened(shares[there])
    is_mean = vote == "mean"
    return GivenLabels(values, parts[0].counts, noise, is_mean=is_mean, classes=labels.classes)


def combined_matrix(matrix: Array, vote: Vote = "mean") -> GivenLabels:
    """Combine the labels of several workers, a column each with NaN where it has none, as `combined` does.

    Parameters
    ----------
    matrix : array of shape (n, workers)
    vote : {"mean", "majority"}

    Raises
    ------
    InputError
        If it is no matrix of numbers, or one is infinite or its square would overflow.
    """
    values = np.asarray(real_array(matrix, "matrix"), dtype=np.float64)
    if values.ndim != 2:
        raise InputError(
            f"matrix has shape {values.shape}; give a row for each label, a column for each worker"
        )
    given = ~np.isnan(values)
    refuse_infinite(np.where(given, values, 0.0), "matrix")
    return combined(np.nonzero(given)[0], values[given], len(values), vote)


def _row_array(row_numbers: Any, n: int) -> NDArray[np.int64]:
    """Row numbers, checked to be those of n rows."""
    rows = np.asarray(row_numbers)
    if rows.ndim != 1 or (rows.size and rows.dtype.kind not in "iu"):
        raise InputError(
            f"row_numbers holds {rows.dtype} of shape {rows.shape}; give whole numbers in one row"
        )
    wrong = (rows < 0) | (rows >= n)
    if wrong.any():
        raise InputError(f"row_numbers: {rows[wrong][0]} is no row of {n}; they are counted from 0")
    return rows.astype(np.int64, copy=False)


def _row_means(rows: NDArray[np.int64], labels: Array, n: int) -> Array:
    """Mean of each row's labels, which are sorted by row; NaN where it has none.

    From the first of them on, so the mean of equal labels is that label to the last bit.
    """
    starts = np.diff(rows, prepend=-1) != 0
    origin = np.full(n, np.nan)
    origin[rows[starts]] = labels[starts]
    beyond = np.bincount(rows, labels - origin[rows], n)
    return origin + beyond / np.maximum(np.bincount(rows, minlength=n), 1)


def _most_frequent(rows: NDArray[np.int64], labels: Array, n: int) -> tuple[NDArray[np.int64], Array]:
    """Rows and values of the most frequent labels of each row; they are sorted by row, then label."""
    starts = np.flatnonzero((np.diff(rows, prepend=-1) != 0) | (np.diff(labels, prepend=0.0) != 0))
    times = np.diff(starts, append=len(rows))
    rows, labels = rows[starts], labels[starts]
    most = np.zeros(n, dtype=np.int64)
    np.maximum.at(most, rows, times)
    wins = times == most[rows]
    return rows[wins], labels[wins]


def _noise(deviations: Array, counts: NDArray[np.int64]) -> float | None:
    """Variance of one label about its row, from the deviations from rows' means; None if none has two."""
    freedom = int(np.maximum(counts - 1, 0).sum())
    if freedom == 0:
        return None
    unit = power_of_two(deviations)  # squares neither overflow nor vanish
    return float(((deviations / unit) ** 2).sum() / freedom * unit * unit)
