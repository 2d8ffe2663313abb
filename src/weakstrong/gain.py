"""Gain, misfit and cross term of a student over its supervisor, from predictions alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from weakstrong.arrays import (
    group_array,
    group_numbers,
    refuse_no_weight,
    refuse_other_rows,
    row_weights,
)
from weakstrong.class_labels import (
    SMOOTHING,
    check_smoothing,
    smoothed,
)
from weakstrong.disagreement import (
    accuracy_where_they_differ,
    count_alike,
    has_ties,
    with_exact_interval,
    with_exact_share,
)
from weakstrong.divergence import LOG_LOSS, ZERO_ONE, Divergence, divergence_named, is_one_hot
from weakstrong.estimate import Estimate
from weakstrong.gain_inputs import distributions, numbers, usual_loss

Array = NDArray[np.float64]

_TESTED = ("gain", "cross_term")
_OTHER_SMOOTHING = 5.0  # times more and less, to show what a gain in log loss depends on
NO_MISFIT = 1e-9  # of the errors: less is rounding


@dataclass(frozen=True)
class Gain:
    """The gain of a student over its supervisor, with all that it is made of, on the same rows.

    With w, s, y the supervisor's label, the student's prediction and the truth, D the divergence and E the
    (weighted) mean over rows: in squared units of the target for ``squared``, where D is ``(a − b)²``.

    Parameters
    ----------
    weak_error : Estimate
        C = E D(y, w).
    strong_error : Estimate
        A = E D(y, s).
    misfit : Estimate
        B = E D(s, w).
    gain : Estimate
        C − A. Always C − A = B + X; Theorem 1 gives conditions under which X >= 0.
    cross_term : Estimate
        X, from its own formula, never as a difference: 2 E (w − s)(s − y) for ``squared``.
    ceiling_error : Estimate or None
        Error of the student's class fitted to the truth on the student's rows.
    performance_gap_recovered : Estimate or None
        (C − A) / (C − ceiling), standard error by the delta method.
    not_recovered_because : str
        Why `performance_gap_recovered` is None; else empty.
    n_rows, n_clusters : int
        Rows with weight, and the independent clusters the standard errors count.
    slope : Estimate or None
        θ = −X / (B + B'), B' = E D(w, s): ``C − A = (1 − θ) B − θ B'``. The student is better if and only if
        θ < B / (B + B'), which is ½ where D is symmetric; 0 is Theorem 1 with equality. None without misfit.
    divergence : str
        The name of D.
    classes : tuple of str
        Names of the classes, where D is of distributions.
    accuracy_where_they_differ : Estimate or None
        For ``zero-one``: the student's, on rows where it and its supervisor name another class.
    smoothed : tuple of str
        For ``log``: which of the arguments were mixed with the uniform distribution, since they give some
        class no probability.
    sensitivity : mapping of float to mapping of str to Estimate
        Where weak labels or the student's predictions were smoothed: gain and misfit at other smoothings.
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
    slope: Estimate | None = None
    divergence: str = "squared"
    classes: tuple[str, ...] = ()
    accuracy_where_they_differ: Estimate | None = None
    smoothed: tuple[str, ...] = ()
    sensitivity: Mapping[float, Mapping[str, Estimate]] = field(default_factory=dict)

    def estimates(self) -> dict[str, Estimate]:
        """The estimates that are known, by name."""
        named = {f.name: getattr(self, f.name) for f in fields(self)}
        return {name: value for name, value in named.items() if isinstance(value, Estimate)}

    def __str__(self) -> str:
        """One line for each estimate, and one for the clusters of rows that the intervals are from."""
        said = {} if not self.classes else {"loss": f"{self.divergence}, of {', '.join(self.classes)}"}
        said |= {name: str(value) for name, value in self.estimates().items()}
        if self.not_recovered_because:
            said["performance_gap_recovered"] = f"none: {self.not_recovered_because}"
        if self.smoothed:
            said["smoothed"] = ", ".join(self.smoothed)
        for smoothing, of in self.sensitivity.items():
            said[f"gain, smoothing {smoothing:g}"] = f"{of['gain']} (misfit {of['misfit']})"
        said["intervals from"] = self.gain.evidence()
        width = max(len(name) for name in said) + 1
        return "\n".join(f"{name:<{width}}{value}" for name, value in said.items())


@dataclass(frozen=True, eq=False)
class _Judged:
    """Truth, weak labels and predictions of the rows that count, in the form that a divergence takes."""

    arrays: dict[str, Array]
    cluster: NDArray[np.int64]
    weights: Array
    classes: tuple[str, ...] = ()

    def mean(self, values: Array, **given: Any) -> Estimate:
        return Estimate.of_mean(values, self.cluster, self.weights, **given)

    def smoothed(self, smoothing: float) -> _Judged:
        """The same with what gives a class no probability mixed with the uniform distribution."""
        mixed = {name: smoothed(v, smoothing) for name, v in self.arrays.items() if name != "y_true"}
        return replace(self, arrays={**self.arrays, **mixed})


def measure(
    y_true: ArrayLike,
    y_weak: ArrayLike,
    y_strong: ArrayLike,
    *,
    divergence: str | None = None,
    classes: Sequence[Any] | None = None,
    smoothing: float = SMOOTHING,
    y_ceiling: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    tested: bool = False,
) -> Gain:
    """Measure a student against its supervisor on rows with known truth.

    ``C − A = B + X`` (see `Gain`), each from the paired rows, with a Student t interval over clusters:
    `Estimate.of_mean`. The gain in accuracy (``zero-one``) of independent rows that count alike has an exact
    one: `weakstrong.disagreement`.

    Parameters
    ----------
    y_true, y_weak, y_strong : array of shape (n,) or (n, k), or (n, c)
        Truth, supervisor's labels, student's predictions, on rows neither was fitted on if
        the answer is to hold for new rows. A dataframe of one column is a column. Of k targets; or classes,
        or a column of probabilities for each of c classes, or of two classes the probability of the second.
    divergence : {"squared", "brier", "log", "zero-one"}, optional
        The loss: the last three are of classes. ``brier`` if `classes` are named or the truth is of classes:
        text, booleans, categories, or a few integers (not floats) where predictions are of the same ones or
        probabilities. Else ``squared``.
    classes : sequence, optional
        Names of the classes, in the order of the columns of probabilities that have no names of their own.
    smoothing : float
        For ``log``: labels and predictions that give some class no probability are mixed with so much of the
        uniform distribution.
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
        A ValueError: if shapes or classes disagree, a value is no finite real number or no probability, there
        is no row, squares of the values are beyond float64, or pandas objects have different indexes (rows
        are matched by position).

    Examples
    --------
    >>> gain = measure([0.0, 1.0, 2.0], [0.5, 0.5, 2.5], [0.2, 0.9, 2.2])
    >>> float(gain.gain.value - gain.misfit.value - gain.cross_term.value).__abs__() < 1e-12
    True
    >>> said = measure(["no", "yes", "no"], ["no", "no", "yes"], [0.2, 0.9, 0.4], divergence="zero-one")
    >>> round(float(said.gain.value), 3)  # the student is right in all three rows, its supervisor in one
    0.667
    """
    rows_of = {"y_true": y_true, "y_weak": y_weak, "y_strong": y_strong}
    if y_ceiling is not None:
        rows_of["y_ceiling"] = y_ceiling
    refuse_other_rows({**rows_of, "groups": groups, "sample_weight": sample_weight})
    loss = divergence_named(divergence or usual_loss(rows_of, classes))
    names: tuple[str, ...] = ()
    if loss.of_distributions:
        names, arrays = distributions(rows_of, classes)
    else:
        arrays = dict(zip(rows_of, numbers(rows_of), strict=True))
    judged = _counted(arrays, groups, sample_weight, names)
    known: dict[str, Any] = {}
    if loss is LOG_LOSS:
        check_smoothing(smoothing)
        known["smoothed"] = tuple(n for n, v in judged.arrays.items() if n != "y_true" and (v == 0).any())
        if {"y_weak", "y_strong"} & set(known["smoothed"]):
            others = (smoothing / _OTHER_SMOOTHING, min(_OTHER_SMOOTHING * smoothing, (1 + smoothing) / 2))
            known["sensitivity"] = {
                other: _named(judged.smoothed(other), loss, ("gain", "misfit")) for other in others
            }
        judged = judged.smoothed(smoothing)
    return _measured(judged, loss, tested=tested, **known)


def _counted(
    arrays: dict[str, Array],
    groups: ArrayLike | None,
    sample_weight: ArrayLike | None,
    classes: tuple[str, ...],
) -> _Judged:
    """The rows that have weight, with their clusters."""
    n = len(arrays["y_true"])
    omega = np.ones(n) if sample_weight is None else row_weights(sample_weight, n)
    refuse_no_weight(omega)
    counted = omega > 0  # a row without weight is no evidence, nor is its cluster
    names = np.arange(n) if groups is None else group_array(groups, n)
    kept = {name: values[counted] for name, values in arrays.items()}
    return _Judged(kept, group_numbers(names[counted]), omega[counted], classes)


def _named(judged: _Judged, loss: Divergence, names: Sequence[str]) -> dict[str, Estimate]:
    """Some of the estimates of a loss."""
    rows = loss.of_rows(*(judged.arrays[name] for name in ("y_true", "y_weak", "y_strong")))
    return {name: judged.mean(rows[name]) for name in names}


def _measured(judged: _Judged, loss: Divergence, *, tested: bool, **more: Any) -> Gain:
    """All that is measured in one loss."""
    y, w, s, *ceiling = judged.arrays.values()
    rows = loss.of_rows(y, w, s)
    if ceiling:
        rows["ceiling_error"] = loss.error(ceiling[0], y)
    known: dict[str, Any] = {
        name: judged.mean(values, tested=tested and name in _TESTED) for name, values in rows.items()
    }
    known["slope"] = _slope(judged, rows, loss.misfit(w, s))
    if loss is ZERO_ONE:
        of_rows = judged.cluster, judged.weights
        known["accuracy_where_they_differ"] = accuracy_where_they_differ(y, w, s, *of_rows)
        if count_alike(*of_rows) and is_one_hot(y):
            shares = [name for name in rows if name not in _TESTED]
            known |= {name: with_exact_share(known[name], rows[name]) for name in shares}
            if not has_ties(w, s):
                known["gain"] = with_exact_interval(known["gain"], y, w, s)
    recovered, reason = _gap_recovered(rows, judged.cluster, judged.weights)
    return Gain(
        **{"ceiling_error": None, **known, **more},
        performance_gap_recovered=recovered,
        not_recovered_because=reason,
        n_rows=len(y),
        n_clusters=int(judged.cluster.max()) + 1,
        divergence=loss.name,
        classes=judged.classes,
    )


def _slope(judged: _Judged, rows: dict[str, Array], reverse: Array) -> Estimate | None:
    """θ, a ratio of means: its influence on a row is ``(z − θ J) / E J``, z = −cross term, J = B + B'."""
    both = rows["misfit"] + reverse
    mean = judged.mean(both).value
    size = judged.mean(rows["weak_error"] + rows["strong_error"]).value
    if not (np.isfinite(mean) & (mean > NO_MISFIT * size)).all():
        return None
    slope = judged.mean(-rows["cross_term"]).value / mean
    return judged.mean((-rows["cross_term"] - slope * both) / mean, value=slope)


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
