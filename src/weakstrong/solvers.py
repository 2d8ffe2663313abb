"""The one operation: L2 projection of labels onto a class of heads, exact and certified."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import singledispatch

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from weakstrong.heads import ConvexHull, Head, HeadClass, L2Ball, LinearHeads
from weakstrong.moments import Moments

Array = NDArray[np.float64]

# Singular values below this many roundings of the features are noise. It does not grow with
# the number of rows: max(n, d) eps would cut real directions.
_RANK_TOLERANCE = 10.0
# What factorizing and merging in float64 leaves of an exactly dependent column (1e-15 to 1e-14 seen).
_ARITHMETIC_NOISE = 1024 * np.finfo(np.float64).eps
_CONSTANT_TOLERANCE = 4.0  # a column that varies by less, relative to its size, is constant
_NEWTON_STEPS = 200
_ONE_VERTEX = 1e-9  # a mixture with less on all other vertices is called a vertex


@dataclass(frozen=True, eq=False)
class Projection:
    """A head that solves ``argmin_{f in F} E_ω (f(Φ) − y)²``, with its certificate.

    Parameters
    ----------
    head : Head
        The minimizer; of least norm (in scaled coordinates) where it is not unique.
    heads : HeadClass
        F, with everything that was open filled in (the ball's scale).
    optimality_gap : array of shape (..., k)
        Bound on ``objective − minimum`` relative to the target's variance about its mean
        (its mean square, if it has no variance): a duality gap, or for a subspace the exact
        excess. It is evaluated from the returned head, and is relative to F on the numerically
        resolved span of the features.
    error : array of shape (..., k)
        The objective: mean squared error on the labels. On weak labels, the misfit.
    rank : array of shape (...)
        Numerical rank of the centred (if there is an intercept), column-scaled features.
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
        If no solver is registered for the class.
    ValueError
        If a radius is open, or widths disagree.

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
    return solve(heads, moments)


@singledispatch
def solve(heads: HeadClass, moments: Moments) -> Projection:
    """Solver of a head class; ``@solve.register`` adds one."""
    raise TypeError(f"no solver is registered for {type(heads).__name__}")


@solve.register
def _linear(heads: LinearHeads, moments: Moments) -> Projection:
    form = ScaledProblem.of(moments, heads.fit_intercept)
    head = form.head(form.directions(form.along / _positive(form.singular)[..., None]))
    excess = form.excess(head)
    full = form.rank == form.usable.sum(-1)
    status = np.where(full[..., None], "unique", "minimum-norm")
    return form.projection(head, heads, excess, np.broadcast_to(status, excess.shape))


@solve.register
def _ball(heads: L2Ball, moments: Moments) -> Projection:
    if heads.radius is None:
        raise ValueError("the radius of L2Ball is open: give one, or let HeadProjection choose it")
    form = ScaledProblem.of(moments, heads.fit_intercept, heads.scale)
    per_target = moments.target_mean.shape
    radius = np.broadcast_to(np.asarray(heads.radius, dtype=np.float64), per_target)
    head = form.head(form.in_ball(radius))
    excess = form.ball_gap(head, radius)
    unconstrained = np.linalg.norm(form.along / _positive(form.singular)[..., None], axis=-2)
    status = np.where(unconstrained > radius, "boundary", "inside")
    return form.projection(head, replace(heads, radius=radius, scale=form.scale), excess, status)


@solve.register
def _hull(heads: ConvexHull, moments: Moments) -> Projection:
    if heads.vertices.n_features != moments.n_features:
        raise ValueError(
            f"the hull's heads take {heads.vertices.n_features} features; there are {moments.n_features}"
        )
    form = ScaledProblem.of(moments, fit_intercept=False)
    lead, k = moments.weight.shape, moments.n_targets
    mixtures = np.empty((*lead, heads.vertices.n_targets, k))
    gap = np.empty((*lead, k))
    for index in np.ndindex(*lead):
        misses = _misses(heads.vertices, moments[index])
        for t in range(k):
            mixtures[(*index, slice(None), t)], excess = _nearest_in_hull(misses[:, :, t])
            gap[(*index, t)] = excess / moments.weight[index]
    head = Head(heads.vertices.coef @ mixtures, heads.vertices.intercept @ mixtures)
    status = np.where(mixtures.max(-2) > 1 - _ONE_VERTEX, "vertex", "face")
    return form.projection(head, heads, gap, status)


def _misses(vertices: Head, moments: Moments) -> Array:
    """``f_j − y`` of every vertex and target, as vectors whose inner products are sums over rows.

    Shape (1 + r, m, k); what of y lies outside the features is common to all and left out.
    """
    root = np.sqrt(moments.weight)
    mean = root * (vertices.intercept + moments.feature_mean @ vertices.coef)[:, None]
    mean = mean - root * moments.target_mean
    inside = (moments.factor @ vertices.coef)[:, :, None] - moments.projected[:, None, :]
    return np.concatenate([mean[None], inside])


def _nearest_in_hull(points: Array) -> tuple[Array, float]:
    """``argmin ‖P α‖²`` over the simplex, and its Frank-Wolfe gap.

    Non-negative least squares on ``[P; 1ᵀ] u = [0; 1]`` has the minimizer ``u = t α``: at
    ``u = t α`` its objective is ``t²‖P α‖² + (t − 1)²``, which over t is
    ``‖P α‖² / (1 + ‖P α‖²)``, increasing in ``‖P α‖²``.
    """
    size = np.linalg.norm(points, axis=0).max()
    unit = points / size if size > 0 else points
    stacked = np.vstack([unit, np.ones(points.shape[1])])
    goal = np.zeros(len(stacked))
    goal[-1] = 1.0
    u, _ = nnls(stacked, goal, maxiter=50 * points.shape[1] + 100)
    alpha = u / u.sum()
    return alpha, hull_gap(points, alpha)


def hull_gap(points: Array, mixture: Array) -> float:
    """Frank-Wolfe gap of ``‖P α‖²`` over the simplex, ``2 max_j ⟨P α, P α − p_j⟩``: bounds the excess."""
    at = points @ mixture
    return max(float(2 * (at @ at - (at @ points).min())), 0.0)


@dataclass(frozen=True, eq=False)
class ScaledProblem:
    """``min ‖A z − c‖²`` in scaled coordinates ``z = σ ∘ w``, with ``A = U S Vᵀ`` cut at its rank.

    Without an intercept the means enter as one more row of the factor; with one they drop out.

    Parameters
    ----------
    moments : Moments
    fit_intercept : bool
    scale : array of shape (..., d)
        σ.
    usable : bool array of shape (..., d)
        Columns that vary beyond rounding; the others get no coefficient.
    left : array of shape (..., r, q)
        U.
    singular : array of shape (..., q)
        S, zero where cut.
    right : array of shape (..., q, d)
        Vᵀ.
    along : array of shape (..., q, k)
        Uᵀ c, zero where cut.
    """

    moments: Moments
    fit_intercept: bool
    scale: Array
    usable: NDArray[np.bool_]
    left: Array
    singular: Array
    right: Array
    along: Array

    @classmethod
    def of(cls, moments: Moments, fit_intercept: bool, scale: Array | None = None) -> ScaledProblem:
        """Scale the columns and decompose."""
        factor, targets = _rows(moments, fit_intercept)
        root = np.sqrt(moments.weight)[..., None]
        spread = np.linalg.norm(factor, axis=-2) / root
        centred = np.linalg.norm(moments.factor, axis=-2) / root
        size = np.hypot(centred, moments.feature_mean)
        constant = _CONSTANT_TOLERANCE * moments.resolution * size
        usable = spread > (constant if fit_intercept else 0.0)
        if scale is None:
            scale = spread
        else:
            scale = np.broadcast_to(np.asarray(scale, dtype=np.float64), spread.shape)
            usable = usable & (scale > 0)
        scaled = np.where(usable[..., None, :], factor / _positive(scale)[..., None, :], 0.0)
        left, singular, right = np.linalg.svd(scaled, full_matrices=False)
        relative = np.where(usable, size / _positive(scale), 0.0)
        singular = np.where(singular > _noise(singular, right, relative, moments), singular, 0.0)
        along = np.where(singular[..., None] > 0, np.swapaxes(left, -1, -2) @ targets, 0.0)
        return cls(moments, fit_intercept, scale, usable, left, singular, right, along)

    @property
    def rank(self) -> NDArray[np.intp]:
        """Number of singular values kept, shape (...)."""
        return np.asarray((self.singular > 0).sum(-1))

    def directions(self, coordinates: Array) -> Array:
        """Scaled coefficients z (..., d, k) from coordinates (..., q, k) along the right vectors."""
        return np.swapaxes(self.right, -1, -2) @ coordinates

    def in_ball(self, radius: Array) -> Array:
        """``argmin ‖A z − c‖² : ‖z‖ <= radius``, shape (..., d, k), for radii of shape (..., k).

        ``z(λ) = V (S² + λ)⁻¹ S Uᵀc`` with λ = 0 inside, else the root of ``‖z(λ)‖ = radius``.
        ``1/‖z(λ)‖`` is concave and increasing, so Newton from below its root rises to it.
        Radii may carry further leading dimensions: many radii share the decomposition.
        """
        s = self.singular[..., None]
        weighted = s * self.along
        safe = _positive(radius)
        start = np.linalg.norm(weighted, axis=-2) / safe - self.singular.max(-1, initial=0.0)[..., None] ** 2
        shift = np.maximum(start, 0.0)
        for _ in range(_NEWTON_STEPS):
            denominator = _positive(s**2 + shift[..., None, :])
            z = weighted / denominator
            norm = np.linalg.norm(z, axis=-2)
            slope = _positive((z**2 / denominator).sum(-2))
            step = np.where(norm > safe, norm**2 / slope * (norm / safe - 1), 0.0)
            shift = shift + step
            if np.all(step <= 4 * np.finfo(float).eps * shift):
                break
        z = weighted / _positive(s**2 + shift[..., None, :])
        norm = np.linalg.norm(z, axis=-2)
        onto = np.where((shift > 0) | (norm > radius), radius / _positive(norm), 1.0)
        return self.directions(z * onto[..., None, :])

    def head(self, z: Array) -> Head:
        """The head with scaled coefficients z, its intercept free or zero."""
        coef = np.where(self.usable[..., :, None], z / _positive(self.scale)[..., :, None], 0.0)
        shift = (self.moments.feature_mean[..., None, :] @ coef)[..., 0, :]
        intercept = self.moments.target_mean - shift
        return Head(coef, intercept if self.fit_intercept else np.zeros_like(intercept))

    def _missed(self, head: Head) -> Array:
        """``Uᵀ (A z − c)`` on the kept directions, from the head itself."""
        factor, targets = _rows(self.moments, self.fit_intercept)
        missed = np.swapaxes(self.left, -1, -2) @ (factor @ head.coef - targets)
        return np.where(self.singular[..., None] > 0, missed, 0.0)

    def _intercept_excess(self, head: Head) -> Array:
        """Objective lost by the intercept's own rounding."""
        if not self.fit_intercept:
            return np.zeros(head.intercept.shape)
        mean = head.intercept + (self.moments.feature_mean[..., None, :] @ head.coef)[..., 0, :]
        return np.asarray((mean - self.moments.target_mean) ** 2)

    def excess(self, head: Head) -> Array:
        """``objective − minimum`` over all linear heads: ``‖P_A (A z − c)‖² / n``, shape (..., k)."""
        inside = (self._missed(head) ** 2).sum(-2) / self.moments.weight[..., None]
        return np.asarray(inside + self._intercept_excess(head))

    def ball_gap(self, head: Head, radius: Array) -> Array:
        """Duality gap of ``‖z‖ <= radius``, shape (..., k): objective less the dual's value at λ.

        ``Σ_i (s_i m_i + λ ζ_i)² / (s_i² + λ) + λ (radius² − ‖z‖²)`` over n, with m = Uᵀ(A z − c)
        and ζ = Vᵀz. Any λ >= 0 bounds the excess; the multiplier that z itself implies is used.
        Rounding enters squared, unlike in a Frank-Wolfe gap.
        """
        missed = self._missed(head)
        s, along = self.singular[..., None], self.right @ (head.coef * self.scale[..., :, None])
        unit = along / _positive(radius)[..., None, :]  # ζ / radius: no radius overflows when squared
        multiplier = np.maximum(-(s * missed * unit).sum(-2), 0.0) / _positive(radius)
        shift = multiplier[..., None, :]
        gap = ((s * missed + shift * along) ** 2 / _positive(s**2 + shift)).sum(-2)
        bound = np.where(multiplier > 0, radius, 0.0)
        gap = gap + multiplier * bound * (bound * (1 - (unit**2).sum(-2)))
        gap = np.where(radius > 0, np.maximum(gap, 0.0), 0.0) / self.moments.weight[..., None]
        return np.asarray(gap + self._intercept_excess(head))

    def projection(self, head: Head, heads: HeadClass, excess: Array, status: NDArray[np.str_]) -> Projection:
        """Attach objective and certificate to a solution."""
        variance = self.moments.target_variance
        square = variance + self.moments.target_mean**2
        floor = np.finfo(float).eps ** 2 * square
        unit = np.where(variance > floor, variance, square)
        gap = excess / np.where(unit > 0, unit, 1.0)
        return Projection(head, heads, gap, self.moments.mse(head), self.rank, status)


def _noise(singular: Array, right: Array, relative: Array, moments: Moments) -> Array:
    """Singular values that rounding alone can leave, one for each right vector, shape (..., q).

    The features' own rounding is relative to a column's size, mean included: with that size
    relative to σ, a direction v carries about ``resolution · √Σ_j (v_j relative_j)²`` a row.
    Arithmetic adds its share of the largest singular value.
    """
    per_row = np.linalg.norm(right * relative[..., None, :], axis=-1)
    own = _RANK_TOLERANCE * moments.resolution * per_row * np.sqrt(moments.weight)[..., None]
    floor = max(_RANK_TOLERANCE * moments.resolution, _ARITHMETIC_NOISE)
    return np.maximum(own, floor * singular.max(-1, keepdims=True, initial=0.0))


def _rows(moments: Moments, fit_intercept: bool) -> tuple[Array, Array]:
    """Factor and targets whose least squares problem is the sample's, centred or not."""
    if fit_intercept:
        return moments.factor, moments.projected
    root = np.sqrt(moments.weight)[..., None, None]
    factor = np.concatenate([root * moments.feature_mean[..., None, :], moments.factor], axis=-2)
    targets = np.concatenate([root * moments.target_mean[..., None, :], moments.projected], axis=-2)
    return factor, targets


def _positive(values: Array) -> Array:
    """The values, with ones for zeros: for quotients whose numerator is then zero or unused."""
    return np.where(values > 0, values, 1.0)
