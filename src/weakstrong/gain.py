"""Gain, misfit and cross term of a student over its supervisor, from predictions alone."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from weakstrong.arrays import (
    SMALLEST,
    group_array,
    group_numbers,
    label_array,
    refuse_no_weight,
    refuse_other_rows,
    row_weights,
)
from weakstrong.errors import InputError
from weakstrong.estimate import Estimate

Array = NDArray[np.float64]

_TESTED = ("gain", "cross_term")


@dataclass(frozen=True)
class Gain:
    """The gain of a student over its supervisor, with all that it is made of, on the same rows.

    With w, s, y the supervisor's label, the student's prediction and the truth, and E the
    (weighted) mean over rows, in squared units of the target:

    Parameters
    ----------
    weak_error : Estimate
        C = E (w − y)².
    strong_error : Estimate
        A = E (s − y)².
    misfit : Estimate
        B = E (w − s)².
    gain : Estimate
        C − A. Always C − A = B + X; Theorem 1 gives conditions under which X >= 0.
    cross_term : Estimate
        X = 2 E (w − s)(s − y), from this formula, never as a difference.
    ceiling_error : Estimate or None
        Error of the student's class fitted to the truth on the student's rows.
    performance_gap_recovered : Estimate or None
        (C − A) / (C − ceiling), standard error by the delta method.
    not_recovered_because : str
        Why `performance_gap_recovered` is None; else empty.
    n_rows, n_clusters : int
        Rows with weight, and the independent clusters the standard errors count.
    """

    weak_error: Estimate
    strong_error: Estimate
    misfit: Estimate
    gain: Estimate
    cross_term: Estimate
    ceiling_error: Estimate | None
    performance_gap_recovered: Estimate | None
    not_recovered_because: str
    n_rows: int
    n_clusters: int

    def estimates(self) -> dict[str, Estimate]:
        """The estimates that are known, by name."""
        named = {f.name: getattr(self, f.name) for f in fields(self)}
        return {name: value for name, value in named.items() if isinstance(value, Estimate)}

    def __str__(self) -> str:
        """One line for each estimate, and one for the clusters of rows that the intervals are from."""
        rows = [f"{name:<26}{value}" for name, value in self.estimates().items()]
        if self.not_recovered_because:
            rows.append(f"{'performance_gap_recovered':<26}none: {self.not_recovered_because}")
        rows.append(f"{'intervals from':<26}{self.gain.evidence()}")
        return "\n".join(rows)


def measure(
    y_true: ArrayLike,
    y_weak: ArrayLike,
    y_strong: ArrayLike,
    *,
    y_ceiling: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    tested: bool = False,
    divergence: str = "squared",
    classes: Any = None,
    smoothing: float = 0.05,
) -> Gain:
    """Measure a student against its supervisor on rows with known truth.

    ``C − A = B + X`` (see `Gain`), each from the paired rows, with a Student t interval over clusters:
    `Estimate.of_mean`.

    Parameters
    ----------
    y_true, y_weak, y_strong : array of shape (n,) or (n, k)
        Truth, supervisor's labels, student's predictions, on rows neither was fitted on if
        the answer is to hold for new rows. A dataframe of one column is a column.
    y_ceiling : array of the same shape, optional
        Predictions of the student's class fitted to the truth.
    groups : array of shape (n,), optional
        Rows of one group are not independent; each is a cluster. Else each row is one. Names are compared
        as they are: 1 and 1.0 are one group, 1 and "1" are two.
    sample_weight : array of shape (n,), optional
    tested : bool
        Whether gain and cross term are tested by the wild cluster bootstrap, which their `Estimate.verdict`
        takes: 2,000 weighted sums over the clusters for each target.

    Returns
    -------
    Gain

    Raises
    ------
    InputError
        A ValueError: if shapes disagree, a value is no finite real number, there is no row, squares of the
        values are beyond float64, or pandas objects have different indexes (rows are matched by position).

    Examples
    --------
    >>> gain = measure([0.0, 1.0, 2.0], [0.5, 0.5, 2.5], [0.2, 0.9, 2.2])
    >>> float(gain.gain.value - gain.misfit.value - gain.cross_term.value).__abs__() < 1e-12
    True
    """
    rows_of = {"y_true": y_true, "y_weak": y_weak, "y_strong": y_strong}
    if y_ceiling is not None:
        rows_of["y_ceiling"] = y_ceiling
    refuse_other_rows({**rows_of, "groups": groups, "sample_weight": sample_weight})
    from weakstrong.class_labels import smoothed
    from weakstrong.divergence import divergence_named

    loss = divergence_named(divergence)
    if loss.of_distributions:
        y, w, s, *ceiling = (np.asarray(v) for v in rows_of.values())
        if divergence == "log":
            w, s, *ceiling = (smoothed(v, smoothing) for v in (w, s, *ceiling))
    else:
        y, w, s, *ceiling = _columns(rows_of)
    omega = np.ones(len(y)) if sample_weight is None else row_weights(sample_weight, len(y))
    refuse_no_weight(omega)
    counted = omega > 0  # a row without weight is no evidence, nor is its cluster
    names = np.arange(len(y)) if groups is None else group_array(groups, len(y))
    cluster = group_numbers(names[counted])
    y, w, s, omega = y[counted], w[counted], s[counted], omega[counted]
    rows = loss.of_rows(y, w, s)
    if ceiling:
        rows["ceiling_error"] = loss.error(ceiling[0][counted], y)
    known: dict[str, Any] = {
        name: Estimate.of_mean(values, cluster, omega, tested=tested and name in _TESTED)
        for name, values in rows.items()
    }
    recovered, reason = _gap_recovered(rows, cluster, omega)
    return Gain(
        **{"ceiling_error": None, **known},
        performance_gap_recovered=recovered,
        not_recovered_because=reason,
        n_rows=len(y),
        n_clusters=int(cluster.max()) + 1,
    )


def _gap_recovered(
    rows: dict[str, Array], cluster: NDArray[np.int64], omega: Array
) -> tuple[Estimate | None, str]:
    """(C − A) / (C − ceiling) where the denominator is clearly positive for every target."""
    if "ceiling_error" not in rows:
        return None, "the ceiling is not known: no predictions of a model fitted to the truth"
    gaps = rows["weak_error"] - rows["ceiling_error"]
    gap = Estimate.of_mean(gaps, cluster, omega)
    low = np.asarray(gap.interval()[0])
    if not np.all(low > 0):
        return None, (
            "weak error − ceiling error is not clearly positive "
            f"(95% interval from {np.min(low):.3g}), so there is no gap to recover"
        )
    ratio = Estimate.of_mean(rows["gain"], cluster, omega).value / gap.value
    influence = (rows["gain"] - ratio * gaps) / gap.value
    return Estimate.of_mean(influence, cluster, omega, value=ratio), ""


def _columns(named: dict[str, ArrayLike]) -> list[Array]:
    """Finite float arrays of one shape, (n,) or (n, k), that can be squared; errors name the argument."""
    arrays = {name: label_array(value, name, column=True) for name, value in named.items()}
    tables = {name: list(value.columns) for name, value in named.items() if hasattr(value, "columns")}
    for name, columns in tables.items():
        first, expected = next(iter(tables.items()))
        if columns != expected and sorted(map(str, columns)) == sorted(map(str, expected)):
            raise InputError(f"{name} has the columns of {first} in another order; put them in one order")
    shape = next(iter(arrays.values())).shape
    if len(shape) not in (1, 2) or 0 in shape:
        raise InputError(f"y_true has shape {shape}; expected (n,) or (n, k) with at least one row")
    for name, array in arrays.items():
        if array.shape != shape:
            raise InputError(f"{name} has shape {array.shape}; y_true has {shape}")
    largest = np.max([np.abs(array).max(0) for array in arrays.values()], axis=0)
    if ((largest > 0) & (largest < SMALLEST)).any():
        raise InputError(
            f"{', '.join(arrays)} are all below {SMALLEST:g} in size, so that their squares underflow: "
            "rescale the labels"
        )
    return list(arrays.values())
