"""Softmax heads of least cross entropy on hard or soft labels, with a radius chosen by cross-validation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from weakstrong.arrays import real_array, refuse_no_weight, row_weights
from weakstrong.cross_entropy import Problems, SoftmaxRows
from weakstrong.errors import InputError, quoted
from weakstrong.heads import Head
from weakstrong.links import softmax
from weakstrong.softmax_basis import Basis, Spread
from weakstrong.softmax_folds import chosen_strengths, dealt, drawn_in, first_guess, held_out_loss
from weakstrong.softmax_solver import GAP, Minima, minimize

Array = NDArray[np.float64]

_SMALL, _ROUNDING = 1 << 22, 1e-14  # values that are read so fast that a fit goes on to rounding
_ROUNDED = 1e-6  # by which labels may miss the sum of one, as those in single precision do


@dataclass(frozen=True, eq=False)
class SoftmaxHead:
    """A head that gives probabilities: ``x -> softmax(b + Φ(x) W)`` from d features to c classes.

    What is added to the logits of all classes changes nothing; it is chosen so that the rows of W, and b,
    sum to zero.

    Parameters
    ----------
    coef : array of shape (d, c)
        W.
    intercept : array of shape (c,)
        b.

    Raises
    ------
    ValueError
        If shapes disagree, or a value is no finite number.
    """

    coef: Array
    intercept: Array

    def __post_init__(self) -> None:
        head = Head(self.coef, self.intercept)
        if head.coef.ndim != 2:
            raise InputError(f"coef has shape {head.coef.shape}; expected (d, c)")
        for name in ("coef", "intercept"):
            values = getattr(head, name)
            object.__setattr__(self, name, values - values.mean(-1, keepdims=True))

    @property
    def linear(self) -> Head:
        """The linear head before the softmax, which gives logits."""
        return Head(self.coef, self.intercept)

    def probabilities(self, scores: Array) -> Array:
        """Return the probabilities (n, c) of logits (n, c)."""
        return softmax(scores)

    def __call__(self, features: ArrayLike) -> Array:
        """Return probabilities (n, c) for dense features (n, d)."""
        return self.probabilities(self.linear(features))


@dataclass(frozen=True, eq=False)
class SoftmaxFit:
    """The head that solves ``argmin E_ω CE(y, softmax(b + Φ W))`` over ``‖σ ∘ W‖_F <= r``, certified.

    Parameters
    ----------
    head : SoftmaxHead
    radius : float
        r, infinite for linear heads.
    scale, feature_mean : array of shape (d,)
        σ, zero for a feature that gets no coefficient, and the mean of the rows fitted.
    multiplier : float
        λ for which the head also minimizes ``E_ω CE + ½ λ ‖σ ∘ W‖²``; zero if the ball does not bind.
    optimality_gap : float
        Bound on ``error − minimum``, in nats a row. The minimum is over heads of the ball along the
        directions that are resolved, and is attained to rounding where that takes few passes.
    error : float
        Mean cross entropy on the rows fitted. On weak labels it is the misfit and their entropy.
    cv_error : float or None
        The same, held out, by cross-validation; slightly optimistic where the radius was chosen by it.
    rank, n_ignored, passes : int
        Directions of the features that are resolved, features without a coefficient as they do not vary
        beyond rounding, and passes over all rows that the fit took after its radius was chosen.
    """

    head: SoftmaxHead
    radius: float
    scale: Array
    feature_mean: Array
    multiplier: float
    optimality_gap: float
    error: float
    cv_error: float | None
    rank: int
    n_ignored: int
    passes: int


def fit_softmax(
    features: ArrayLike,
    labels: ArrayLike,
    *,
    weights: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    radius: ArrayLike | None = None,
    n_folds: int | None = None,
    seed: int = 0,
    fit_intercept: bool = True,
    scale: Array | None = None,
) -> tuple[SoftmaxFit, ...]:
    """Fit a softmax head to each of k sets of labels on the same rows, all of them in the same passes.

    ``argmin E_ω CE(y, softmax(b + Φ W))`` over ``‖σ ∘ W‖_F <= r``, convex in (W, b). To fit another set
    of labels in the class of a fit, give its `radius`, and on other rows also its `scale`.

    Parameters
    ----------
    features : array of shape (n, d)
        Dense, of any scale; read in blocks.
    labels : array of shape (k, n, c), or (n, c)
        Distributions over the classes.
    weights : array of shape (n,), optional
        ω >= 0.
    groups : array of shape (n,), optional
        Rows of one group are kept in one fold.
    radius : float or array of shape (k,), optional
        r. None chooses that of each set of labels by cross-validation: that of the penalized head with the
        least held-out loss. Infinity admits all linear heads.
    n_folds : int, optional
        None means 5 where the radius is open and else 0, which is no `cv_error`.
    seed : int
        Of the folds.
    fit_intercept : bool
        Whether b is free, else zero.
    scale : array of shape (d,), optional
        σ. None takes the standard deviations of these rows, or root mean squares without an intercept.

    Returns
    -------
    tuple of SoftmaxFit

    Raises
    ------
    InputError
        If arrays do not fit each other or hold what is no distribution, if there are fewer rows (groups)
        than folds, or if linear heads separate the labels, so that there is no minimizer.
    """
    phi = real_array(features, "features", booleans=True)
    y = np.asarray(real_array(labels, "labels"), dtype=np.float64)
    y = y[None] if y.ndim == 2 else y
    _refuse_shapes(phi, y)
    y = y / y.sum(-1, keepdims=True)
    n, k = len(phi), len(y)
    omega = np.ones(n) if weights is None else row_weights(weights, n, "weights")
    refuse_no_weight(omega, "weights")
    omega = omega / omega.max()
    _refuse_absent(y, omega)
    bound = None if radius is None else _radii(radius, k)
    n_folds = (5 if bound is None else 0) if n_folds is None else n_folds
    folds = dealt(n, omega, groups, n_folds, seed) if n_folds else None
    spread = Spread.of(phi, omega, fit_intercept=fit_intercept, scale=scale)
    whole = bound is not None and bool(np.isinf(bound).any())
    rows = SoftmaxRows(phi, y, omega, Basis.of(phi, omega, spread, whole=whole), folds, bool(fit_intercept))
    cv_error, model = None, None
    if bound is None:
        problems, start, cv_error = chosen_strengths(rows, n_folds)
    else:
        problems = Problems(np.arange(k), np.full(k, -1), np.zeros(k), bound)
        start, model = first_guess(rows, problems)
        start = drawn_in(start, bound)
        if n_folds:
            cv_error = held_out_loss(rows, bound, n_folds)
    tolerance = GAP if phi.size > _SMALL else _ROUNDING
    found = minimize(rows, problems, start, tolerance=tolerance, certified=True, model=model)
    _refuse_separable(rows, problems, found)
    return tuple(_fit(rows, problems, found, i, cv_error) for i in range(k))


def _fit(rows: SoftmaxRows, problems: Problems, found: Minima, i: int, cv_error: Array | None) -> SoftmaxFit:
    """Write one solution in the units of the features."""
    spread, x = rows.basis.spread, found.x[i]
    coef, intercept = coefficients(rows, x)
    radius = problems.radius[i]
    if problems.multiplier[i] > 0:
        radius = np.linalg.norm(x[:, 1:])
    return SoftmaxFit(
        head=SoftmaxHead(coef, intercept),
        radius=float(radius),
        scale=np.where(spread.usable, spread.scale, 0.0),
        feature_mean=spread.centre,
        multiplier=float(found.multiplier[i]),
        optimality_gap=float(found.gap[i]),
        error=float(found.loss[i]),
        cv_error=None if cv_error is None else float(cv_error[i]),
        rank=rows.basis.rank,
        n_ignored=int((~spread.usable).sum()),
        passes=found.passes,
    )


def coefficients(rows: SoftmaxRows, x: Array) -> tuple[Array, Array]:
    """Return coefficients (d, c) and intercepts (c,) of a head in coordinates (m, 1 + r)."""
    columns = np.stack([-x[0], x[0]]) / np.sqrt(2.0) if len(x) == 1 else x
    coef = rows.basis.outward @ columns[:, 1:].T
    return coef, columns[:, 0] - rows.basis.spread.mean @ coef


def _refuse_shapes(phi: NDArray[Any], y: Array) -> None:
    """Refuse features that are no table, and labels that are no distributions for its rows."""
    if phi.ndim != 2 or y.ndim != 3 or y.shape[1] != len(phi) or 0 in y.shape or len(phi) == 0:
        raise InputError(
            f"features have shape {phi.shape} and labels {y.shape}; expected (n, d) and (k, n, c)"
        )
    if y.shape[2] < 2:
        raise InputError("labels are of one class alone; at least two are needed")
    good = (y >= 0).all(-1) & (np.abs(y.sum(-1) - 1) <= _ROUNDED)
    if not good.all():
        which, row = np.argwhere(~good)[0].tolist()
        raise InputError(
            f"labels: row {row} (counted from 0) of set {which} is {quoted(y[which, row].tolist())}; give "
            "probabilities that sum to 1"
        )


def _refuse_absent(y: Array, weights: Array) -> None:
    """Refuse a class that no label gives any probability: the best intercept for it would be −∞."""
    there = np.einsum("n,knc->kc", weights, y) > 0
    if not there.all():
        which, column = np.argwhere(~there)[0].tolist()
        raise InputError(
            f"labels: class {column} (counted from 0) of set {which} has no probability in any row that has "
            "weight: leave its column out, or smooth the labels"
        )


def _radii(radius: ArrayLike, k: int) -> Array:
    """Check radii, and return one for each set of labels."""
    values = np.asarray(real_array(radius, "radius"), dtype=np.float64)
    if not (values >= 0).all() or values.shape not in ((), (1,), (k,)):
        raise InputError(f"radius={quoted(radius)}: give one that is not negative, or {k} of them")
    return np.broadcast_to(values, (k,)).copy()


def _refuse_separable(rows: SoftmaxRows, problems: Problems, found: Minima) -> None:
    """Refuse linear heads whose loss falls for ever as they grow.

    A solver stops there at a gap that is not bounded; or, where it reaches losses that add up to less than
    that of one row on the border of two classes, all rows of hard labels are on the right side.
    """
    least = np.log(2) * rows.weights[rows.weights > 0].min()
    is_hard = ((rows.labels == 0) | (rows.labels == 1)).all((1, 2))
    separated = is_hard & (found.loss * rows.weights.sum() < least)
    open_ = np.isinf(problems.radius) & (problems.multiplier == 0) & (~np.isfinite(found.gap) | separated)
    if open_.any():
        which = "" if len(open_) == 1 else f" of set {int(open_.argmax())}"
        raise InputError(
            f"labels{which}: linear heads separate them (wholly or in part), so that the loss falls for ever "
            'as coefficients grow and has no minimizer: fit them in a ball (heads="l2", or a radius)',
            "heads",
        )
