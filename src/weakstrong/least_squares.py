"""Least squares in scaled coordinates: one decomposition that solves for linear heads and for balls."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from weakstrong.arrays import SMALLEST, broadcast, power_of_two
from weakstrong.errors import InputError
from weakstrong.heads import Head
from weakstrong.moments import Moments

Array = NDArray[np.float64]

# Singular values below this many roundings of the features are noise. The number does not grow with
# the rows: a threshold of max(n, d) eps would cut real directions.
_RANK_TOLERANCE = 10.0
# Rounding left of an exactly dependent column by factorizing and merging in float64 (in practice from
# 1e-15 to 1e-14).
_ARITHMETIC_NOISE = 1024 * np.finfo(np.float64).eps
_CONSTANT_TOLERANCE = 4.0  # a column that varies by fewer roundings of its size is constant
_NEWTON_STEPS = 200
_LARGEST_EXPONENT = 1000  # of powers of two to multiply by
_ANY_RADIUS = 1e100  # in units of the labels and features: a larger one does not bind, its inverse is zero


@dataclass(frozen=True, eq=False)
class ScaledProblem:
    """A least squares problem in scaled coordinates, decomposed and cut at its numerical rank.

    The problem is ``min ‖A z − c‖²`` with ``z = τ σ ∘ w`` and ``A = U S Vᵀ``. Without an intercept the
    means enter as one more row of the factor; with one they drop out. A power of two τ brings A near 1
    where σ is given, of any size; else τ = 1.

    Parameters
    ----------
    moments : Moments
    fit_intercept : bool
    scale : array of shape (..., d)
        σ.
    unit : array of shape (...)
        τ.
    divisor : array of shape (..., d)
        τσ, one where σ is zero.
    usable : bool array of shape (..., d)
        Columns that vary beyond rounding, of their own size and of the typical column's; the others get no
        coefficient. A column of a network that varies by 1e-8 where others vary by 1 is what its arithmetic
        left: scaled up it would be noise of full size.
    left : array of shape (..., r, q)
        U.
    singular : array of shape (..., q)
        S, zero where cut.
    right : array of shape (..., q, d)
        Vᵀ.
    along : array of shape (..., q, k)
        Uᵀ c, zero where cut.
    largest_cut : array of shape (...)
        The largest singular value that was cut, zero if none was.
    """

    moments: Moments
    fit_intercept: bool
    scale: Array
    unit: Array
    divisor: Array
    usable: NDArray[np.bool_]
    left: Array
    singular: Array
    right: Array
    along: Array
    largest_cut: Array

    @classmethod
    def of(cls, moments: Moments, fit_intercept: bool, scale: Array | None = None) -> ScaledProblem:
        """Scale the columns of a sample and decompose them."""
        factor, targets = rows_of(moments, fit_intercept)
        root = np.sqrt(moments.mass)[..., None]
        spread = norms(factor, root)
        size = column_sizes(moments)
        _refuse_scales(size, moments, root)
        constant = _CONSTANT_TOLERANCE * moments.resolution * size
        usable = spread > (constant if fit_intercept else 0.0)
        given = scale is not None
        if scale is None:
            usable = usable & (spread > _RANK_TOLERANCE * moments.resolution * _typical(spread, usable))
            scale = np.where(usable, spread, 0.0)
        else:
            scale = broadcast(np.asarray(scale, dtype=np.float64), spread.shape, "scale")
            usable = usable & (scale > 0)
        unit, divisor = _divisor(spread, scale, usable, given)
        scaled = np.where(usable[..., None, :], factor / divisor[..., None, :], 0.0)
        left, singular, right = np.linalg.svd(scaled, full_matrices=False)
        relative = np.where(usable, size / divisor, 0.0)
        kept = singular > _noise(singular, right, relative, moments)
        largest_cut = np.where(kept, 0.0, singular).max(-1, initial=0.0)
        singular = np.where(kept, singular, 0.0)
        along = np.where(singular[..., None] > 0, np.swapaxes(left, -1, -2) @ targets, 0.0)
        return cls(
            moments, fit_intercept, scale, unit, divisor, usable, left, singular, right, along, largest_cut
        )

    @property
    def rank(self) -> NDArray[np.intp]:
        """Number of singular values kept, shape (...)."""
        return np.asarray((self.singular > 0).sum(-1))

    @property
    def n_ignored(self) -> NDArray[np.intp]:
        """Number of columns that get no coefficient, shape (...)."""
        return np.asarray((~self.usable).sum(-1))

    def directions(self, coordinates: Array) -> Array:
        """Return scaled coefficients z (..., d, k) from coordinates (..., q, k) along the right vectors."""
        return np.swapaxes(self.right, -1, -2) @ coordinates

    def in_ball(self, radius: Array) -> Array:
        """Minimize ``‖A z − c‖²`` over the ball ``‖z‖ <= τ radius``.

        Returns z, shape (..., d, k), for radii of shape (..., k): ``z(λ) = V (S² + λ)⁻¹ S Uᵀc`` with
        λ = 0 if that is in the ball, else with the root of ``‖z(λ)‖ = τ radius``. ``1/‖z(λ)‖`` is concave
        and increasing, so Newton's method, started below the root, rises to it. Radii may carry further
        leading dimensions: many radii share the decomposition.
        """
        # In units of powers of two, so that no scale of labels or features under- or overflows when squared.
        largest = power_of_two(self.singular, -1)[..., None]
        unit = power_of_two(self.along, -2)
        s = self.singular[..., None] / largest[..., None]
        weighted = s * (self.along / unit[..., None, :])
        radius = times_powers(radius, self.unit[..., None], largest, 1 / unit)
        safe = positive(radius)
        start = np.linalg.norm(weighted, axis=-2) / safe - s.max(-2, initial=0.0) ** 2
        shift = np.maximum(start, 0.0)
        for _ in range(_NEWTON_STEPS):
            denominator = positive(s**2 + shift[..., None, :])
            z = weighted / denominator
            norm = np.linalg.norm(z, axis=-2)
            slope = positive((z**2 / denominator).sum(-2))
            step = np.where(norm > safe, norm**2 / slope * (norm / safe - 1), 0.0)
            shift = shift + step
            if np.all(step <= 4 * np.finfo(float).eps * shift):
                break
        z = weighted / positive(s**2 + shift[..., None, :])
        norm = np.linalg.norm(z, axis=-2)
        onto = np.where((shift > 0) | (norm > radius), radius / positive(norm), 1.0)
        return self.directions(z * (onto * (unit / largest))[..., None, :])

    def leaves(self, radius: Array) -> NDArray[np.bool_]:
        """Whether the best of all linear heads is outside the ball ``‖z‖ <= τ radius``, shape (..., k)."""
        unit = power_of_two(self.along, -2)
        z = self.along / unit[..., None, :] / positive(self.singular)[..., None]
        return np.asarray(np.linalg.norm(z, axis=-2) > times_powers(radius, self.unit[..., None], 1 / unit))

    def head(self, z: Array) -> Head:
        """Return the head with scaled coefficients z, with the best intercept or none."""
        with np.errstate(over="ignore", under="ignore"):
            coef = np.where(self.usable[..., :, None], z / self.divisor[..., :, None], 0.0)
        _refuse_lost(coef, np.where(self.usable[..., :, None], z, 0.0))
        shift = (self.moments.feature_mean[..., None, :] @ coef)[..., 0, :]
        intercept = self.moments.target_mean - shift
        return Head(coef, intercept if self.fit_intercept else np.zeros_like(intercept))


def column_sizes(moments: Moments, share: float = 1.0) -> Array:
    """Return the root mean square of each feature about zero, or with a share of its mean, shape (..., d)."""
    root = np.sqrt(moments.mass)[..., None]
    return np.asarray(np.hypot(norms(moments.factor, root), share * moments.feature_mean))


def norms(columns: Array, root: Array | float = 1.0) -> Array:
    """Compute norms of columns (..., n, d) over a root, of any scale: each is squared near 1."""
    unit = power_of_two(columns, -2)
    return np.asarray(np.linalg.norm(columns / unit[..., None, :], axis=-2) / root * unit)


def _divisor(spread: Array, scale: Array, usable: NDArray[np.bool_], given: bool) -> tuple[Array, Array]:
    """Return τ, a power of two, and τσ: given σ, the largest of the columns divided by τσ is near 1."""
    exponent = np.frexp(spread)[1] - np.frexp(scale)[1]
    largest = np.where(usable, exponent, -_LARGEST_EXPONENT).max(-1, initial=-_LARGEST_EXPONENT)
    power = np.where(given & usable.any(-1), np.minimum(largest, _LARGEST_EXPONENT), 0)
    with np.errstate(over="ignore", under="ignore"):  # columns beyond it are nothing in the ball
        divisor = np.minimum(np.ldexp(scale, power[..., None]), np.finfo(float).max)
    return np.ldexp(1.0, power), np.where(usable, divisor, 1.0)


def times_powers(radius: Array, *powers: Array) -> Array:
    """Multiply a radius by powers of two, to zero or infinity where it is beyond all that matters."""
    exponent = sum(np.frexp(power)[1] - 1 for power in powers)
    with np.errstate(over="ignore", under="ignore"):
        scaled = np.ldexp(radius, exponent)
    return np.where(scaled < 1 / _ANY_RADIUS, 0.0, np.where(scaled > _ANY_RADIUS, np.inf, scaled))


def _typical(spread: Array, varies: NDArray[np.bool_]) -> Array:
    """Return the median spread of the columns that vary (the lower one of two), shape (..., 1)."""
    ordered = np.sort(np.where(varies, spread, np.inf), axis=-1)
    middle = np.maximum((varies.sum(-1) - 1) // 2, 0)[..., None]
    median = (
        np.take_along_axis(ordered, middle, -1) if ordered.shape[-1] else np.zeros_like(middle, dtype=float)
    )
    return np.where(np.isfinite(median), median, 0.0)


def _refuse_scales(size: Array, moments: Moments, root: Array) -> None:
    """Refuse features whose size overflows, and targets whose squares underflow."""
    if not np.isfinite(size).all():
        raise InputError("features are too large for float64: rescale them")
    along = np.abs(moments.projected).max(-2, initial=0.0) / root
    target = np.maximum(np.hypot(moments.target_mean, along), np.sqrt(moments.residual) / root)
    if ((target > 0) & (target < SMALLEST)).any():
        raise InputError(
            f"labels are all below {SMALLEST:g} in size, so that their squares underflow: rescale the labels"
        )


def _refuse_lost(coef: Array, scaled: Array) -> None:
    """Refuse coefficients that float64 cannot hold, though they matter beside the others."""
    matters = np.abs(scaled) > np.finfo(float).eps * np.abs(scaled).max(-2, keepdims=True, initial=0.0)
    if not (np.isfinite(coef).all() and (np.abs(coef) >= np.finfo(float).tiny)[matters].all()):
        raise InputError(
            "a coefficient of the head is beyond float64: labels and features differ too much in scale; "
            "rescale one of them"
        )


def _noise(singular: Array, right: Array, relative: Array, moments: Moments) -> Array:
    """Estimate the singular values that rounding alone can leave, one for each right vector, shape (..., q).

    Features are rounded relative to the size of their column, its mean included. With `relative` that
    size divided by σ, rounding adds about ``resolution · √Σ_j (v_j relative_j)²`` a row along a
    direction v. Arithmetic adds a share of the largest singular value.
    """
    per_row = np.linalg.norm(right * relative[..., None, :], axis=-1)
    rounding = _RANK_TOLERANCE * moments.resolution * per_row * np.sqrt(moments.mass)[..., None]
    floor = max(_RANK_TOLERANCE * moments.resolution, _ARITHMETIC_NOISE)
    return np.maximum(rounding, floor * singular.max(-1, keepdims=True, initial=0.0))


def rows_of(moments: Moments, fit_intercept: bool) -> tuple[Array, Array]:
    """Return the factor and targets of the sample's least squares problem, centred if it has an intercept."""
    if fit_intercept:
        return moments.factor, moments.projected
    root = np.sqrt(moments.mass)[..., None, None]
    factor = np.concatenate([root * moments.feature_mean[..., None, :], moments.factor], axis=-2)
    targets = np.concatenate([root * moments.target_mean[..., None, :], moments.projected], axis=-2)
    return factor, targets


def positive(values: Array) -> Array:
    """Replace zeros by ones, to divide by where the numerator is then zero or unused."""
    return np.where(values > 0, values, 1.0)
