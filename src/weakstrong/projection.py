"""L2 projection of labels onto a class of heads, solved exactly and with a certificate."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import singledispatch

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from weakstrong.arrays import broadcast
from weakstrong.errors import InputError
from weakstrong.heads import ConvexHull, Head, HeadClass, L2Ball, LinearHeads
from weakstrong.least_squares import ScaledProblem, positive
from weakstrong.moments import Moments
from weakstrong.optimality import ball_gap, hull_gap, hull_rounding, linear_gap

Array = NDArray[np.float64]

_ONE_VERTEX = 1e-9  # a mixture with less on all other vertices is called a vertex


@dataclass(frozen=True, eq=False)
class Projection:
    """The head that solves ``argmin_{f in F} E_ω (f(Φ) − y)²``, with a certificate of its optimality.

    Parameters
    ----------
    head : Head
        The minimizer; of least norm (in scaled coordinates) where it is not unique.
    heads : HeadClass
        F, with everything that was open filled in (the ball's scale).
    optimality_gap : array of shape (..., k)
        Bound on ``objective − minimum`` relative to the target's variance about its mean
        (its mean square, if it has no variance): a duality gap, or for a subspace the excess itself.
        It is evaluated from the returned head, and counts what rounding can hide of the features, targets
        and head given. The minimum is over those heads of F that lie in the numerically resolved span of the
        features: directions so weak that rounding of features in their precision would hide them are
        left out, and `rank` and `n_ignored` say how many are. Along those the objective may fall further.
        For a hull, whose heads are given, nothing is left out.
    error : array of shape (..., k)
        The objective: the mean squared error on the labels. On weak labels it is the misfit.
    rank : array of shape (...)
        Numerical rank of the centred (if there is an intercept), column-scaled features.
    n_ignored : array of shape (...)
        Number of features that vary by rounding alone, and so get no coefficient.
    status : array of str of shape (..., k)
        ``"unique"`` or ``"minimum-norm"`` for linear heads, ``"inside"`` or ``"boundary"`` for
        a ball, ``"vertex"`` or ``"face"`` for a hull.
    """

    head: Head
    heads: HeadClass
    optimality_gap: Array
    error: Array
    rank: NDArray[np.intp]
    status: NDArray[np.str_]
    n_ignored: NDArray[np.intp]

    @classmethod
    def of(
        cls, form: ScaledProblem, head: Head, heads: HeadClass, excess: Array, status: NDArray[np.str_]
    ) -> Projection:
        """Make the projection of a head whose objective is at most `excess` above the minimum."""
        variance = form.moments.target_variance
        square = variance + form.moments.target_mean**2
        floor = np.finfo(float).eps ** 2 * square
        unit = np.where(variance > floor, variance, square)
        gap = excess / np.where(unit > 0, unit, 1.0)
        return cls(head, heads, gap, form.moments.mse(head), form.rank, status, form.n_ignored)


def project(moments: Moments, heads: HeadClass) -> Projection:
    """Project the targets of a sample onto a class of heads.

    ``argmin_{f in F} E_ω (f(Φ) − y)²``: equation (1) of the paper on a population, (4) on a
    sample.

    Parameters
    ----------
    moments : Moments
        The sample; leading dimensions are independent problems, targets share one factorization.
    heads : HeadClass
        F: `LinearHeads`, `L2Ball`, `ConvexHull`, or a subclass of `HeadClass` with a solver
        registered in `solve`.

    Returns
    -------
    Projection

    Raises
    ------
    TypeError
        If no solver is registered for the class, or what is to be projected is no `Moments`.
    ValueError
        If a radius is open, widths disagree, squares of the targets underflow, or a coefficient is beyond
        float64.

    Notes
    -----
    Let s be the projection of weak labels w, y the truth, and A = E (s − y)², B = E (w − s)²,
    C = E (w − y)², ε the least error of F on the truth, all on one measure, F closed and convex
    and fixed before w is seen. Then

    - Theorem 1 (ε = 0): ``C − A >= B``, with equality for a linear subspace;
    - ε > 0: ``C − A >= B − 2√(εB)``, for a linear subspace also ``<= B + 2√(εB)``;
    - Theorem 2, s within η of the least misfit: ``C − A >= B − 2√(εB) − 2√(ηC) − 2η``.

    With a radius chosen on w these hold given the radius, ε being that of the chosen ball.
    """
    if not isinstance(moments, Moments):
        raise TypeError(f"moments: give Moments, as Moments.of makes them; got {type(moments).__name__}")
    return solve(heads, moments)


@singledispatch
def solve(heads: HeadClass, moments: Moments) -> Projection:
    """Project onto a class of heads; ``@solve.register`` adds the solver of another class."""
    raise TypeError(f"no solver is registered for {type(heads).__name__}")


@solve.register
def _linear(heads: LinearHeads, moments: Moments) -> Projection:
    form = ScaledProblem.of(moments, heads.fit_intercept)
    head = form.head(form.directions(form.along / positive(form.singular)[..., None]))
    excess = linear_gap(form, head)
    full = form.rank == form.usable.sum(-1)
    status = np.where(full[..., None], "unique", "minimum-norm")
    return Projection.of(form, head, heads, excess, np.broadcast_to(status, excess.shape))


@solve.register
def _ball(heads: L2Ball, moments: Moments) -> Projection:
    if heads.radius is None:
        raise InputError("the radius of L2Ball is open: give one, or let HeadProjection choose it")
    form = ScaledProblem.of(moments, heads.fit_intercept, heads.scale)
    radius = broadcast(np.asarray(heads.radius, dtype=np.float64), moments.target_mean.shape, "radius")
    head = form.head(form.in_ball(radius))
    excess = ball_gap(form, head, radius)
    status = np.where(form.leaves(radius), "boundary", "inside")
    return Projection.of(form, head, replace(heads, radius=radius, scale=form.scale), excess, status)


@solve.register
def _hull(heads: ConvexHull, moments: Moments) -> Projection:
    if heads.vertices.n_features != moments.n_features:
        raise InputError(
            f"the hull's heads take {heads.vertices.n_features} features; there are {moments.n_features}"
        )
    form = ScaledProblem.of(moments, fit_intercept=False)
    lead, k = moments.weight.shape, moments.n_targets
    mixtures = np.empty((*lead, heads.vertices.n_targets, k))
    gap = np.empty((*lead, k))
    for index in np.ndindex(*lead):
        misses = _misses(heads.vertices, moments[index])
        for t in range(k):
            mixtures[(*index, slice(None), t)], excess = nearest_in_hull(misses[:, :, t])
            gap[(*index, t)] = excess / moments.mass[index]
    gap += hull_rounding(heads.vertices, moments, mixtures)
    head = Head(heads.vertices.coef @ mixtures, heads.vertices.intercept @ mixtures)
    status = np.where(mixtures.max(-2) > 1 - _ONE_VERTEX, "vertex", "face")
    return Projection.of(form, head, heads, gap, status)


def _misses(vertices: Head, moments: Moments) -> Array:
    """Compute the errors ``f_j − y`` of every vertex and target, in a basis that has few rows.

    Their inner products are those over all rows. Shape (1 + r, m, k); the part of y outside the span
    of the features is common to all vertices and left out.
    """
    root = np.sqrt(moments.mass)
    mean = root * (vertices.intercept + moments.feature_mean @ vertices.coef)[:, None]
    mean = mean - root * moments.target_mean
    inside = (moments.factor @ vertices.coef)[:, :, None] - moments.projected[:, None, :]
    return np.concatenate([mean[None], inside])


def nearest_in_hull(points: Array) -> tuple[Array, float]:
    """Minimize ``‖P α‖²`` over the simplex; return the minimizer and its Frank-Wolfe gap.

    Non-negative least squares on ``[P; ϱ 1ᵀ] u = [0; ϱ]`` has the minimizer ``u = t α``: at
    ``u = t α`` its objective is ``t²‖P α‖² + ϱ²(t − 1)²``, which over t is
    ``ϱ²‖P α‖² / (ϱ² + ‖P α‖²)``, increasing in ``‖P α‖²``. The least norm of a point is a ϱ that is no less
    than the minimum and hides none of it; columns of one size keep what points of unlike sizes differ in.
    """
    norms = np.linalg.norm(points, axis=0)
    size = norms.max()
    unit = points / size if size > 0 else points
    row = norms.min() / size if norms.min() > 0 else 1.0
    stacked = np.vstack([unit, np.full(points.shape[1], row)])
    columns = np.linalg.norm(stacked, axis=0)
    goal = np.zeros(len(stacked))
    goal[-1] = row
    u, _ = nnls(stacked / columns, goal, maxiter=50 * points.shape[1] + 100)
    alpha = u / columns
    alpha /= alpha.sum()
    return alpha, hull_gap(points, alpha)
