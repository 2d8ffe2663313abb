"""Moments of many small samples at once, by stacked matrix products."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from weakstrong.whitening import PLAIN, cancelled, in_range, is_squared, raised, squarable

Array = NDArray[np.float64]

_LEAST_ROWS = 8  # in multiples of the columns


class Stack(NamedTuple):
    """Moments of many samples of one shape, along a first dimension t, and which of them are sound."""

    weight: Array  # (t,)
    feature_mean: Array  # (t, d)
    target_mean: Array  # (t, k)
    factor: Array  # (t, d, d)
    projected: Array  # (t, d, k)
    residual: Array  # (t, k)
    sound: NDArray[np.bool_]  # (t,)


class _Samples(NamedTuple):
    """Centred features x (t, n, d) and labels (t, n, k), with the roots of weights (t, n) and the origins."""

    x: Array
    labels: Array
    root: Array
    x_origin: Array
    label_origin: Array
    some: slice  # rows, evenly spaced, that stand for all


def stacked(phi: NDArray[Any], y: NDArray[Any], omega: Array | None, space: Array) -> Stack | None:
    """Compute the moments of small samples together, where a loop over them would cost more.

    As in `weakstrong.whitening`, with some rows of each sample, evenly spaced, for the earlier ones, and a
    product by ``B⁻¹``, corrected once, for the triangular solve. Samples that are not sound, since their
    rows are unlike those, are to be factorized by QR.

    Parameters
    ----------
    phi : array of shape (t, n, d)
    y : array of shape (t, n, k)
    omega : array of shape (t, n), optional
        ω > 0.
    space : array of shape (3, t or more, n, d)
        To work in: to allocate it for every few samples would cost as much as the products.

    Returns
    -------
    Stack or None
        None where none is sound, or there are too few rows.
    """
    n, d = phi.shape[1:]
    if not 0 < _LEAST_ROWS * d <= n:
        return None
    some = slice(None, None, max(n // max(_LEAST_ROWS * d, 64), 1))
    space = space[:, : len(phi)]
    samples = _centred(phi, y, omega, some, space[0])
    first = np.concatenate([samples.x[:, some], samples.labels[:, some]], 2)
    try:
        joint = np.asarray(np.linalg.qr(first, mode="r"))
        factor, projected = joint[:, :d, :d], joint[:, :d, d:]
        usable = in_range(factor)
        basis, is_raised = raised(np.where(usable[:, None, None], factor, np.eye(d)))
        fit = np.where(is_raised[..., None], 0.0, projected)
        made = _multiplied(samples, *_written(samples, basis, fit, space[1:]))
    except np.linalg.LinAlgError:
        return None
    return made._replace(sound=made.sound & usable)


def _centred(phi: NDArray[Any], y: NDArray[Any], omega: Array | None, some: slice, out: Array) -> _Samples:
    """Shift rows to about their mean, constant columns to exact zeros, and weight them."""
    root = np.ones(phi.shape[:2]) if omega is None else np.sqrt(omega)
    x, x_origin = _shifted(phi, some, out)
    labels, label_origin = _shifted(y, some)
    if omega is not None:
        x *= root[..., None]
        labels *= root[..., None]
    return _Samples(x, labels, root, x_origin, label_origin, some)


def _shifted(values: NDArray[Any], some: slice, out: Array | None = None) -> tuple[Array, Array]:
    """Rows less the mean of some of them, and that mean."""
    first = values[:, :1].astype(np.float64)
    origin = first + (values[:, some] - first).mean(1, keepdims=True)
    return np.subtract(values, origin, out=out, dtype=np.float64), origin[:, 0]


def _written(samples: _Samples, basis: Array, fit: Array, space: Array) -> tuple[Array, Array]:
    """Write the rows of ill-conditioned samples in their bases, in place; return bases and fits to use."""
    size = np.linalg.norm(basis, axis=1)
    singular = np.linalg.svd(basis / size[:, None], compute_uv=False)
    plain = (singular[:, 0] < PLAIN * singular[:, -1]) & squarable(size).all(1)
    inverse = np.linalg.inv(basis)
    if not plain.all():
        white = slice(None) if not plain.any() else np.flatnonzero(~plain)  # no copy where all are
        rows, by = samples.x[white], inverse[white]
        solved = np.matmul(rows, by, out=space[0, : len(rows)])
        missed = np.matmul(solved, basis[white], out=space[1, : len(rows)])
        np.subtract(rows, missed, out=missed)
        np.matmul(missed, by, out=rows)
        samples.x[white] = np.add(rows, solved, out=rows)
    as_they_are = plain[:, None, None]
    return np.where(as_they_are, np.eye(basis.shape[1]), basis), np.where(as_they_are, inverse @ fit, fit)


def _multiplied(samples: _Samples, basis: Array, fit: Array) -> Stack:
    """Multiply the rows of samples in their bases, and factorize by Cholesky."""
    x, labels = samples.x, samples.labels
    labels -= x @ fit
    weight = (samples.root**2).sum(1)[:, None]
    x_sum, y_sum = ((samples.root[:, None] @ rows)[:, 0] for rows in (x, labels))
    gram = x.transpose(0, 2, 1) @ x
    empty = (np.einsum("tii->ti", gram) == 0)[..., None] & np.eye(x.shape[2], dtype=bool)
    gram = gram + empty
    triangle = _cholesky(gram - x_sum[..., None] * (x_sum / weight)[:, None])
    sound = ~is_squared(triangle, gram)
    cross = x.transpose(0, 2, 1) @ labels - x_sum[..., None] * (y_sum / weight)[:, None]
    along = np.linalg.solve(triangle.transpose(0, 2, 1), cross)
    triangle = np.where(empty, 0.0, triangle)
    whole = (labels**2).sum(1) - y_sum**2 / weight
    residual, projected = whole - (along**2).sum(1), along + triangle @ fit
    return Stack(
        weight=weight[:, 0],
        feature_mean=samples.x_origin + ((x_sum / weight)[:, None] @ basis)[:, 0],
        target_mean=samples.label_origin + y_sum / weight + ((x_sum / weight)[:, None] @ fit)[:, 0],
        factor=triangle @ basis,
        projected=projected,
        residual=np.maximum(residual, 0.0),
        sound=sound & ~cancelled(residual, whole, projected).any(1),
    )


def _cholesky(gram: Array) -> Array:
    """Upper triangular Cholesky factors, or the unit times NaN where there is none."""
    try:
        return np.asarray(np.linalg.cholesky(gram)).transpose(0, 2, 1)
    except np.linalg.LinAlgError:
        return np.stack(
            [_cholesky(one[None])[0] if len(gram) > 1 else np.eye(len(one)) * np.nan for one in gram]
        )
