"""Moments at the speed of a matrix product: rows whitened by a factor of earlier rows, then multiplied."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import blas, lapack

from weakstrong.arrays import LARGEST, SMALLEST

if TYPE_CHECKING:
    from weakstrong.moments import Moments

Array = NDArray[np.float64]

# A Gram matrix squares the condition number. Below this one that costs less than 1e-9 of a direction's
# size; above it rows are whitened first, so that what is squared is near 1.
_PLAIN = 1e3
# A column that the others explain but for less than this share is whitened by that share, lest it grow.
_SMALLEST_PIVOT = 1e-7
# New rows may outweigh the earlier ones in a direction by so much: beyond it, the rounding of what is large
# reaches what is small.
_OUTWEIGHED = 1e4
_CANCELLED, _NOTHING = 1e-6, 1e-20  # what is left of squares where digits have gone, and of squared labels
_LEAST_ROWS = 8  # of a sample among many, in multiples of its columns
_CACHED_BYTES = 1 << 20  # rows worked on at a time stay in the processor's cache


class _Sums(NamedTuple):
    """Sums over rows, with weights ω, of features x and of labels y about an earlier fit."""

    weight: Array  # Σ ω
    x: Array  # Σ ω x, shape (d,)
    y: Array  # Σ ω y, (k,)
    xx: Array  # upper triangle of Σ ω x xᵀ, (d, d)
    xy: Array  # Σ ω x yᵀ, (d, k)
    yy: Array  # Σ ω y², (k,)


def grown(total: Moments, phi: NDArray, y: NDArray, omega: Array | None) -> Moments | None:
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
    phi : array of shape (n, d)
    y : array of shape (n, k)
    omega : array of shape (n,), optional
        ω > 0.

    Returns
    -------
    Moments or None
        None where the earlier rows do not span the features, or the new ones are unlike them: they outweigh
        them in a direction, or a column varies that was constant.
    """
    if total.unit != 1 or total.n_features == 0 or len(total.factor) < total.n_features:
        return None
    if not _in_range(total.factor):
        return None
    basis, raised = _raised(total.factor)
    if _is_plain(basis):
        added = _added(total, None, raised, phi, y, omega)
        if added is None or _is_plain(_raised(added.factor)[0], 2 * _PLAIN):
            return added
    return _added(total, np.asfortranarray(basis), raised, phi, y, omega)


def _raised(factor: Array) -> tuple[Array, NDArray[np.bool_]]:
    """Return triangular factors (..., d, d) with small pivots raised (those of zero columns to 1), and which."""
    size = np.linalg.norm(factor, axis=-2)
    pivots = np.einsum("...ii->...i", factor)
    least = np.where(size == 0, 1.0, _SMALLEST_PIVOT * size)
    raised = np.abs(pivots) < least
    basis = factor.copy()
    np.einsum("...ii->...i", basis)[raised] = np.copysign(least, pivots)[raised]
    return basis, raised


def _in_range(factor: Array) -> NDArray[np.bool_]:
    """Whether all columns of factors (..., d, d) are zero, or of a size whose square neither under- nor overflows."""
    largest = np.abs(factor).max(-2)
    return np.asarray(((largest == 0) | ((largest > SMALLEST) & (largest < LARGEST))).all(-1))


def _is_plain(basis: Array, limit: float = _PLAIN) -> bool:
    """Whether rows may be multiplied as they are: a small condition of scaled columns, of sizes to square."""
    size = np.linalg.norm(basis, axis=0)
    if not _squarable(size).all():
        return False
    reciprocal, _ = lapack.dtrcon(np.asfortranarray(basis / size))
    return bool(reciprocal * limit > 1)


def _squarable(size: Array) -> NDArray[np.bool_]:
    """Whether products of numbers of that size are far from under- and overflow."""
    return np.asarray((size > 1e-70) & (size < 1e70))


def _added(
    total: Moments,
    basis: Array | None,
    raised: NDArray[np.bool_],
    phi: NDArray,
    y: NDArray,
    omega: Array | None,
) -> Moments | None:
    """Add rows in a basis, or as they are, unless they are unlike the earlier ones."""
    factor, projected = total.factor, total.projected
    if basis is None:
        earlier = factor
        fit = np.where(raised[:, None], 0.0, _solved(factor + np.diag(raised * 1.0), projected))
    else:
        earlier = np.eye(len(factor))
        units = earlier[raised].T * (basis - factor).diagonal()[raised]
        earlier[raised] -= _solved(basis, units, transposed=True).T
        fit = np.where(raised[:, None], 0.0, projected)
    new = _summed(total, basis, fit, phi, y, omega)
    before = (earlier**2).sum(0)
    squares = new.xx.diagonal()
    if not (squares <= _OUTWEIGHED * before).all():  # nor where they are not finite, or a dead column wakes
        return None
    left = projected - earlier @ fit
    sums = new._replace(
        weight=total.weight + new.weight,
        xx=new.xx + earlier.T @ earlier,
        xy=new.xy + earlier.T @ left,
        yy=new.yy + (left**2).sum(0) + total.residual,
    )
    made = _factorized(sums, fit)
    if made is None:
        return None
    triangle, projected, residual = made
    shift = sums.x / sums.weight
    return replace(
        total,
        weight=np.asarray(sums.weight),
        n_rows=total.n_rows + len(phi),
        feature_mean=total.feature_mean + (shift if basis is None else basis.T @ shift),
        target_mean=total.target_mean + sums.y / sums.weight + shift @ fit,
        factor=triangle if basis is None else _product(triangle, basis),
        projected=projected,
        residual=residual,
    )


def _summed(
    total: Moments, basis: Array | None, fit: Array, phi: NDArray, y: NDArray, omega: Array | None
) -> _Sums:
    """Sum over rows, a few at a time: features in the basis, and labels less the fit."""
    (n, d), k = phi.shape, y.shape[1]
    rows = max(_CACHED_BYTES // (8 * d), 256)
    sums = _Sums(
        np.zeros(()), np.zeros(d), np.zeros(k), np.zeros((d, d), order="F"), np.zeros((d, k)), np.zeros(k)
    )
    weight, sx, sy, xx, xy, yy = sums
    for start in range(0, n, rows):
        block = slice(start, start + rows)
        x = np.subtract(phi[block], total.feature_mean, dtype=np.float64, order="C")
        if basis is not None:
            x = blas.dtrsm(1.0, basis, x.T, side=0, lower=0, trans_a=1, overwrite_b=1).T
        label = y[block] - total.target_mean - x @ fit
        root = np.ones(len(x))
        if omega is not None:
            root = np.sqrt(omega[block])
            x *= root[:, None]
            label *= root[:, None]
        weight = weight + root @ root
        sx += root @ x
        sy += root @ label
        xx = blas.dsyrk(1.0, x.T, 1.0, xx, overwrite_c=1)
        xy += x.T @ label
        yy += (label**2).sum(0)
    return _Sums(weight, sx, sy, xx, xy, yy)


def _factorized(sums: _Sums, fit: Array) -> tuple[Array, Array, Array] | None:
    """Factorize sums by Cholesky: the triangle, labels along it and their squares outside, or None."""
    empty = np.diag((sums.xx.diagonal() == 0) * 1.0)
    gram = sums.xx - np.outer(sums.x, sums.x) / sums.weight + empty
    triangle, info = lapack.dpotrf(np.asfortranarray(gram), overwrite_a=1, clean=1)
    if info != 0:
        return None
    along = _solved(triangle, sums.xy - np.outer(sums.x, sums.y) / sums.weight, transposed=True)
    triangle -= empty
    whole = sums.yy - sums.y**2 / sums.weight
    residual, projected = whole - (along**2).sum(0), along + triangle @ fit
    if _cancelled(residual, whole, projected).any():
        return None
    return triangle, projected, np.maximum(residual, 0.0)


def _cancelled(residual: Array, whole: Array, projected: Array) -> NDArray[np.bool_]:
    """Whether what is left of squares of labels (..., k) is the rounding of their difference."""
    return np.asarray((residual < _CANCELLED * whole) & (whole > _NOTHING * (projected**2).sum(-2)))


def _solved(triangle: Array, right: Array, *, transposed: bool = False) -> Array:
    """Solve a triangular system, or its transpose."""
    solution, info = lapack.dtrtrs(triangle, right, trans=int(transposed))
    return np.asarray(solution if info == 0 else np.full_like(right, np.nan))


def _product(left: Array, right: Array) -> Array:
    """Multiply two upper triangular matrices."""
    return np.triu(blas.dtrmm(1.0, left, np.asfortranarray(right)))


class Stack(NamedTuple):
    """Moments of many samples of one shape, along a first dimension t, and which of them are sound."""

    weight: Array  # (t,)
    feature_mean: Array  # (t, d)
    target_mean: Array  # (t, k)
    factor: Array  # (t, d, d)
    projected: Array  # (t, d, k)
    residual: Array  # (t, k)
    sound: NDArray[np.bool_]  # (t,)


def stacked(phi: NDArray, y: NDArray, omega: Array | None) -> Stack | None:
    """Compute the moments of small samples together by stacked products, where a loop over them costs more.

    As in `grown`, with the first rows of each sample for earlier ones, and a product by ``B⁻¹``, corrected
    once, for the triangular solve. Samples that are not sound (dependent columns, rows unlike the first
    ones) are to be factorized by QR.

    Parameters
    ----------
    phi : array of shape (t, n, d)
    y : array of shape (t, n, k)
    omega : array of shape (t, n), optional
        ω > 0.

    Returns
    -------
    Stack or None
        None where none is sound, or there are too few rows.
    """
    n, d = phi.shape[1:]
    if not 0 < _LEAST_ROWS * d <= n:
        return None
    lead = slice(None, None, max(n // max(_LEAST_ROWS * d, 64), 1))
    root = np.ones((len(phi), n)) if omega is None else np.sqrt(omega)
    (x, x_origin), (label, y_origin) = (_shifted(values, lead) for values in (phi, y))
    if omega is not None:
        x *= root[..., None]
        label *= root[..., None]
    try:
        factor = np.linalg.qr(np.concatenate([x[:, lead], label[:, lead]], 2), mode="r")
        in_range = _in_range(factor[:, :d, :d])
        factor[~in_range] = 0.0
        basis, raised = _raised(factor[:, :d, :d])
        fit = np.where(raised[..., None], 0.0, factor[:, :d, d:])
        size = np.linalg.norm(basis, axis=1)
        singular = np.linalg.svd(basis / size[:, None], compute_uv=False)
        plain = (singular[:, 0] < _PLAIN * singular[:, -1]) & _squarable(size).all(1)
        inverse = np.linalg.inv(basis)
        white = np.flatnonzero(~plain)
        if len(white):
            rows, by, back = x[white], inverse[white], basis[white]
            solved = rows @ by
            solved += (rows - solved @ back) @ by
            x[white] = solved
        basis[plain], fit[plain] = np.eye(d), (inverse @ fit)[plain]
        made = _multiplied(x, label, root, (x_origin, y_origin), basis, fit, lead)
        return made._replace(sound=made.sound & in_range)
    except np.linalg.LinAlgError:
        return None


def _shifted(values: NDArray, lead: slice) -> tuple[Array, Array]:
    """Shift rows to about their mean, constant columns to exact zeros; return also what was subtracted."""
    first = values[:, :1].astype(np.float64)
    origin = first + (values[:, lead] - first).mean(1, keepdims=True)
    return np.subtract(values, origin, dtype=np.float64), origin[:, 0]


def _multiplied(
    x: Array, label: Array, root: Array, origins: tuple[Array, Array], basis: Array, fit: Array, lead: slice
) -> Stack:
    """Multiply the rows of samples in their bases, and factorize by Cholesky."""
    label -= x @ fit
    weight = (root**2).sum(1)[:, None]
    x_sum, y_sum = ((root[:, None] @ a)[:, 0] for a in (x, label))
    gram = x.transpose(0, 2, 1) @ x
    squares = np.einsum("tii->ti", gram)
    sound = (squares <= _OUTWEIGHED * (x[:, lead] ** 2).sum(1)).all(1)
    empty = (squares == 0)[..., None] & np.eye(x.shape[2], dtype=bool)
    gram = gram - x_sum[..., None] * (x_sum / weight)[:, None] + empty
    gram[~sound] = np.eye(x.shape[2])
    triangle = np.linalg.cholesky(gram).transpose(0, 2, 1)
    cross = x.transpose(0, 2, 1) @ label - x_sum[..., None] * (y_sum / weight)[:, None]
    along = np.linalg.solve(triangle.transpose(0, 2, 1), cross)
    triangle = np.where(empty, 0.0, triangle)
    whole = (label**2).sum(1) - y_sum**2 / weight
    residual, projected = whole - (along**2).sum(1), along + triangle @ fit
    return Stack(
        weight=weight[:, 0],
        feature_mean=origins[0] + ((x_sum / weight)[:, None] @ basis)[:, 0],
        target_mean=origins[1] + y_sum / weight + ((x_sum / weight)[:, None] @ fit)[:, 0],
        factor=triangle @ basis,
        projected=projected,
        residual=np.maximum(residual, 0.0),
        sound=sound & ~_cancelled(residual, whole, projected).any(1),
    )
