"""Rows added to moments at the speed of a matrix product: whitened by those before, then multiplied."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import blas, lapack

from weakstrong.arrays import LARGEST, SMALLEST, weight_unit

if TYPE_CHECKING:
    from weakstrong.moments import Moments

Array = NDArray[np.float64]

# A Gram matrix squares the condition number. Below this one that costs less than 1e-9 of a direction's
# size; above it rows are whitened first, so that what is squared is near 1.
PLAIN = 1e3
# A column that the others explain but for less than this share is whitened by that share, lest it grow.
_SMALLEST_PIVOT = 1e-7
# Where new rows are unlike the earlier ones, whitened columns explain one another. So much of their squares
# must be left, or the rounding of what is large reaches what is small.
_LEFT = 1e-7
_CANCELLED, _NOTHING = 1e-6, 1e-20  # what is left of squares where digits have gone, and of squared labels
_CACHED_BYTES = 1 << 20  # rows worked on at a time stay in the processor's cache


class Rows(NamedTuple):
    """Rows to add: features (n, d), labels (n, k) and positive weights (n,) or None."""

    features: NDArray[Any]
    labels: NDArray[Any]
    weights: Array | None


class _Basis(NamedTuple):
    """How new rows are written, and the earlier rows in these terms.

    `triangle` is B, or None for rows as they are. In that basis `earlier` (d, d) is the factor of the earlier
    rows, and `fit` (d, k) about what predicts their labels.
    """

    triangle: Array | None
    earlier: Array
    fit: Array


class _Sums(NamedTuple):
    """Sums over rows, with weights ω, of features x in a basis and of labels y less the fit."""

    weight: Array  # Σ ω
    x: Array  # Σ ω x, shape (d,)
    y: Array  # Σ ω y, (k,)
    xx: Array  # upper triangle of Σ ω x xᵀ, (d, d)
    xy: Array  # Σ ω x yᵀ, (d, k)
    yy: Array  # Σ ω y², (k,)


def grown(total: Moments, rows: Rows) -> Moments | None:
    """Add rows to moments by a matrix product, or return None where a QR factorization is called for.

    R is the factor of the earlier rows, B is R with its smallest pivots raised. The new rows become
    ``x = B⁻ᵀ (φ − μ)`` by a triangular solve, which is stable row by row, so that their Gram matrix has a
    condition near 1 if they are like the earlier rows. Then ``chol(G) B`` is the factor of all rows. Labels
    are taken about the earlier fit, so that sums of squares outside the span lose no digits. Where B is
    well-conditioned, nothing is solved: ``x = φ − μ``.

    Parameters
    ----------
    total : Moments
        Of earlier rows, one sample.
    rows : Rows

    Returns
    -------
    Moments or None
        None where the earlier rows do not span the features, the new ones are so unlike them that
        whitening does not help, or the weights of all are counted in a unit of their own.
    """
    if total.unit != 1 or total.n_features == 0 or len(total.factor) < total.n_features:
        return None
    if not in_range(total.factor):
        return None
    triangle, is_raised = raised(total.factor)
    if _is_plain(triangle):
        fit = np.where(
            is_raised[:, None], 0.0, _solved(total.factor + np.diag(is_raised * 1.0), total.projected)
        )
        added = _added(total, rows, _Basis(None, total.factor, fit))
        if added is None or _is_plain(raised(added.factor)[0], 2 * PLAIN):
            return added
    earlier = np.eye(total.n_features)
    units = earlier[is_raised].T * (triangle - total.factor).diagonal()[is_raised]
    earlier[is_raised] -= _solved(triangle, units, transposed=True).T
    fit = np.where(is_raised[:, None], 0.0, total.projected)
    return _added(total, rows, _Basis(np.asfortranarray(triangle), earlier, fit))


def raised(factor: Array) -> tuple[Array, NDArray[np.bool_]]:
    """Raise the small pivots of triangular factors (..., d, d), those of zero columns to 1; say which."""
    size = np.linalg.norm(factor, axis=-2)
    pivots = np.einsum("...ii->...i", factor)
    least = np.where(size == 0, 1.0, _SMALLEST_PIVOT * size)
    small = np.abs(pivots) < least
    triangle = factor.copy()
    np.einsum("...ii->...i", triangle)[small] = np.copysign(least, pivots)[small]
    return triangle, small


def in_range(factor: Array) -> NDArray[np.bool_]:
    """Tell whether all columns of factors (..., d, d) are zero or of a size that can be squared."""
    largest = np.abs(factor).max(-2)
    return np.asarray(((largest == 0) | ((largest > SMALLEST) & (largest < LARGEST))).all(-1))


def squarable(size: Array) -> NDArray[np.bool_]:
    """Tell whether numbers are of a size that can be multiplied a few times."""
    return np.asarray((size > 1e-70) & (size < 1e70))


def is_squared(triangle: Array, gram: Array) -> NDArray[np.bool_]:
    """Tell whether a Cholesky factor (..., d, d) has lost its digits to the squares that it was made from.

    Its squared pivots are what of each column the means and the columns before it leave.
    """
    pivots, squares = (np.einsum("...ii->...i", matrix) for matrix in (triangle, gram))
    return np.asarray(~(pivots**2 >= _LEFT * squares).all(-1))


def cancelled(residual: Array, whole: Array, projected: Array) -> NDArray[np.bool_]:
    """Whether what is left of squares of labels (..., k) is the rounding of a difference."""
    return np.asarray((residual < _CANCELLED * whole) & (whole > _NOTHING * (projected**2).sum(-2)))


def _is_plain(triangle: Array, limit: float = PLAIN) -> bool:
    """Whether rows may be multiplied as they are: a small condition of scaled columns, of sizes to square."""
    size = np.linalg.norm(triangle, axis=0)
    if not squarable(size).all():
        return False
    reciprocal, _ = lapack.dtrcon(np.asfortranarray(triangle / size))
    return bool(reciprocal * limit > 1)


def _added(total: Moments, rows: Rows, basis: _Basis) -> Moments | None:
    """Add rows in a basis, unless they are unlike the earlier ones or of extreme weight."""
    triangle, earlier, fit = basis
    new = _summed(total, rows, basis)
    left = total.projected - earlier @ fit
    weight = total.weight + new.weight
    if weight_unit(weight) != 1:
        return None
    sums = new._replace(
        weight=weight,
        xx=new.xx + earlier.T @ earlier,
        xy=new.xy + earlier.T @ left,
        yy=new.yy + (left**2).sum(0) + total.residual,
    )
    made = _factorized(sums, fit)
    if made is None:
        return None
    factor, projected, residual = made
    shift = sums.x / sums.weight
    return replace(
        total,
        weight=np.asarray(sums.weight),
        n_rows=total.n_rows + len(rows.labels),
        feature_mean=total.feature_mean + (shift if triangle is None else triangle.T @ shift),
        target_mean=total.target_mean + sums.y / sums.weight + shift @ fit,
        factor=factor if triangle is None else np.triu(blas.dtrmm(1.0, factor, triangle)),
        projected=projected,
        residual=residual,
    )


def _summed(total: Moments, rows: Rows, basis: _Basis) -> _Sums:
    """Sum over rows, a few at a time."""
    (n, d), k = rows.features.shape, rows.labels.shape[1]
    some = max(_CACHED_BYTES // (8 * d), 256)
    weight, sx, sy = np.zeros(()), np.zeros(d), np.zeros(k)
    xx, xy, yy = np.zeros((d, d), order="F"), np.zeros((d, k)), np.zeros(k)
    for start in range(0, n, some):
        block = slice(start, start + some)
        x = np.subtract(rows.features[block], total.feature_mean, dtype=np.float64, order="C")
        if basis.triangle is not None:
            x = blas.dtrsm(1.0, basis.triangle, x.T, side=0, lower=0, trans_a=1, overwrite_b=1).T
        y = rows.labels[block] - total.target_mean - x @ basis.fit
        root = np.ones(len(x))
        if rows.weights is not None:
            root = np.sqrt(rows.weights[block])
            x *= root[:, None]
            y *= root[:, None]
        weight = weight + root @ root
        sx += root @ x
        sy += root @ y
        xx = blas.dsyrk(1.0, x.T, 1.0, xx, overwrite_c=1)
        xy += x.T @ y
        yy += (y**2).sum(0)
    return _Sums(weight, sx, sy, xx, xy, yy)


def _factorized(sums: _Sums, fit: Array) -> tuple[Array, Array, Array] | None:
    """Factorize sums by Cholesky: the triangle, labels along it and their squares outside, or None."""
    empty = np.diag((sums.xx.diagonal() == 0) * 1.0)
    gram = sums.xx - np.outer(sums.x, sums.x) / sums.weight + empty
    triangle, info = lapack.dpotrf(np.asfortranarray(gram), overwrite_a=1, clean=1)
    if info != 0 or is_squared(triangle, sums.xx + empty):
        return None
    whole = sums.yy - sums.y**2 / sums.weight
    if (whole < _LEFT * sums.yy).any():
        return None
    along = _solved(triangle, sums.xy - np.outer(sums.x, sums.y) / sums.weight, transposed=True)
    triangle -= empty
    residual, projected = whole - (along**2).sum(0), along + triangle @ fit
    if cancelled(residual, whole, projected).any():
        return None
    return triangle, projected, np.maximum(residual, 0.0)


def _solved(triangle: Array, right: Array, *, transposed: bool = False) -> Array:
    """Solve a triangular system, or its transpose."""
    solution, info = lapack.dtrtrs(triangle, right, trans=int(transposed))
    return np.asarray(solution if info == 0 else np.full_like(right, np.nan))
