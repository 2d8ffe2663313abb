"""How moments are made: rows added by matrix products or Householder QR, samples merged and stacked."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack

from weakstrong.arrays import weight_unit
from weakstrong.errors import InputError
from weakstrong.moments import ARRAYS, Moments
from weakstrong.stacking import stacked
from weakstrong.whitening import Rows, grown

Array = NDArray[np.float64]

_BLOCK_BYTES = 1 << 24  # a block this size keeps QR at full speed and memory constant in n
_FIRST_BYTES = 1 << 20  # of the rows that are factorized first, to whiten others
_STACK_BYTES = 1 << 22  # of small samples that are treated at once
_PIECE, _PIECE_COPIED = (
    64,
    4,
)  # rows added at once, in multiples of the first ones, and where some are left out
_TALL = 32  # blocks that many times as tall as wide are factorized first: to stack them would cost more
_UNEVEN = 1e4  # weights that differ by more: the mean of a few rows may be far from that of all
_BLOCKING = 64  # LAPACK panel width; larger than its own, so workspaces always suffice


def extended(total: Moments | None, phi: NDArray, y: NDArray, omega: Array | None) -> Moments:
    """Add rows to moments: the first of them by QR, the others by `whitening.grown` where it applies."""
    n, d = phi.shape
    before = 0 if total is None else total.n_rows
    first = max(_FIRST_BYTES // (8 * max(d, 1)), 4 * d, 1024)
    start, several = 0, _PIECE if omega is None or omega.all() else _PIECE_COPIED
    with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is refused by those who call
        while start < n:
            rows = slice(start, start + (first if total is None else several * first))
            x, t, w = phi[rows], y[rows], None if omega is None else omega[rows]
            if w is not None and not w.all():  # rows of weight zero are left out, even as the origin
                x, t, w = x[w > 0], t[w > 0], w[w > 0]
            if len(x):
                total = _grown(total, x, t, w)
            start = rows.stop
    assert total is not None
    return replace(total, n_rows=before + n)


def _grown(total: Moments | None, phi: NDArray, y: NDArray, omega: Array | None) -> Moments:
    """Add rows to moments, by a matrix product or, where that would lose digits, by QR in blocks."""
    resolution = _resolution(phi.dtype)
    if total is not None and len(phi) >= phi.shape[1]:
        added = grown(total, Rows(phi, y, omega))
        if added is not None:
            return replace(added, resolution=max(total.resolution, resolution))
    rows = max(_BLOCK_BYTES // (8 * max(phi.shape[1], 1)), 4 * phi.shape[1], 1024)
    for start in range(0, len(phi), rows):
        block = slice(start, start + rows)
        part = _centred(phi[block], y[block], None if omega is None else omega[block], resolution)
        if total is None or len(phi[block]) > _TALL * phi.shape[1]:
            part = _reduced(part)
        total = part if total is None else merged(total, part)
    assert total is not None
    return total


def _resolution(dtype: np.dtype[Any]) -> float:
    """Relative rounding of features: that of float32 for float16 too, which is read as it is."""
    single = dtype.kind == "f" and dtype.itemsize <= 4
    return float(np.finfo(np.float32 if single else np.float64).eps)


def _centred(phi: NDArray, y: NDArray, omega: Array | None, resolution: float) -> Moments:
    """Return the weighted, centred rows of a block as moments that are not factorized yet (Q = I)."""
    n = len(phi)
    weight = np.asarray(float(n) if omega is None else omega.sum())
    unit = weight_unit(weight)
    if omega is not None:
        omega = omega / unit
    mass = weight / unit
    # The rows are shifted by one of them as they are copied (in Fortran order, for LAPACK). So constant
    # columns become exact zeros, and large means cost no accuracy.
    # The heaviest row, since one of hardly any weight may be far from the others, whose digits would go.
    heaviest = 0 if omega is None else int(omega.argmax())
    origin = [a[heaviest].astype(np.float64) for a in (phi, y)]
    phi, y = (
        np.subtract(a.T, o[:, None], dtype=np.float64, order="C").T
        for a, o in zip((phi, y), origin, strict=True)
    )
    means = [a.mean(0) if omega is None else omega @ a / mass for a in (phi, y)]
    phi -= means[0]
    y -= means[1]
    if omega is not None:
        root = np.sqrt(omega)[:, None]
        phi *= root
        y *= root
    feature_mean, target_mean = (o + m for o, m in zip(origin, means, strict=True))
    outside = np.zeros(y.shape[1])
    return Moments(weight, n, feature_mean, target_mean, phi, y, outside, resolution)


def _reduced(rows: Moments) -> Moments:
    """Return moments with their rows brought to triangular form."""
    factor, projected, outside = _triangularize(rows.factor, rows.projected)
    return replace(rows, factor=factor, projected=projected, residual=rows.residual + outside)


def merged(a: Moments, b: Moments) -> Moments:
    """Merge two moments: factorize both factors, stacked with one row for the step between the means.

    That row is ``√(n_a n_b / n) (μ_b − μ_a)``.
    """
    weight = a.weight + b.weight
    if not np.isfinite(weight):
        raise InputError("sample_weight: the sum is too large for float64; divide the weights by a number")
    share = b.weight / weight
    unit = weight_unit(weight)
    between = np.sqrt(a.weight / unit * share)
    a, b = _counted_in(unit, a), _counted_in(unit, b)
    step_phi, step_y = b.feature_mean - a.feature_mean, b.target_mean - a.target_mean
    return _reduced(
        Moments(
            weight=weight,
            n_rows=a.n_rows + b.n_rows,
            feature_mean=a.feature_mean + share * step_phi,
            target_mean=a.target_mean + share * step_y,
            factor=np.concatenate([a.factor.T, b.factor.T, between * step_phi[:, None]], 1).T,
            projected=np.concatenate([a.projected.T, b.projected.T, between * step_y[:, None]], 1).T,
            residual=a.residual + b.residual,
            resolution=max(a.resolution, b.resolution),
        )
    )


def _counted_in(unit: Array, part: Moments) -> Moments:
    """Return what is to be merged with its weights in that unit, which changes no digit."""
    ratio = part.unit / unit
    if ratio == 1:
        return part
    root = np.sqrt(ratio)
    factor, projected = root * part.factor, root * part.projected
    return replace(part, factor=factor, projected=projected, residual=ratio * part.residual)


def _triangularize(phi: Array, y: Array) -> tuple[Array, Array, Array]:
    """Factorize Φ (n, d) by Householder QR, and apply Qᵀ to Y (n, k) without forming it.

    Returns R (r, d), the first r rows of QᵀY and the squared norms of its other rows. Both
    arguments are overwritten.
    """
    r = min(phi.shape)
    if r == 0:
        return np.zeros((0, phi.shape[1])), np.zeros((0, y.shape[1])), (y**2).sum(0)
    phi, y = np.asfortranarray(phi), np.asfortranarray(y)
    packed, tau, _, info = lapack.dgeqrf(phi, lwork=_BLOCKING * phi.shape[1], overwrite_a=1)
    assert info == 0
    lwork = _BLOCKING * (y.shape[1] + _BLOCKING + 1)
    rotated, _, info = lapack.dormqr("L", "T", packed[:, :r], tau, y, lwork, overwrite_c=1)
    assert info == 0
    return np.triu(packed[:r]), rotated[:r].copy(), (rotated[r:] ** 2).sum(0)


def of_many(phi: NDArray, y: NDArray, omega: Array | None) -> Moments:
    """Compute the moments of the samples along leading dimensions, small ones several at once."""
    lead, (n, d) = phi.shape[:-2], phi.shape[-2:]
    t = math.prod(lead)
    phi, y = phi.reshape(t, n, d), y.reshape(t, n, y.shape[-1])
    weights = None if omega is None else omega.reshape(t, n)
    at_once = max(_STACK_BYTES // (8 * n * max(d, 1)), 1)
    space = np.empty((3, min(at_once, len(phi)), n, d) if at_once > 1 else 0)
    parts = []
    for start in range(0, len(phi), at_once):
        some = slice(start, start + at_once)
        parts.append(_of_some(phi[some], y[some], None if weights is None else weights[some], space))
    return joined(parts, lead)


def _of_some(phi: NDArray, y: NDArray, omega: Array | None, space: Array) -> Moments:
    """Compute the moments of samples (t, n, d) by stacked products, and by QR where these are not sound."""
    found = None
    if len(phi) > 1 and (omega is None or _suits_products(omega)):
        with np.errstate(all="ignore"):  # what is not finite is not sound
            found = stacked(phi, y, omega, space)
    left = np.arange(len(phi)) if found is None else np.flatnonzero(~found.sound)
    parts = [extended(None, phi[i], y[i], None if omega is None else omega[i]) for i in left]
    if found is None:
        return joined(parts, (len(parts),))
    arrays: dict[str, Any] = {name: getattr(found, name) for name in ARRAYS}
    moments = Moments(n_rows=phi.shape[1], resolution=_resolution(phi.dtype), **arrays)
    if not parts:
        return moments
    several = joined([moments, *parts], (-1,))
    place = np.arange(len(phi))
    place[left] = len(phi) + np.arange(len(left))
    arrays = {name: getattr(several, name)[place] for name in ARRAYS}
    return replace(several, **arrays)


def _suits_products(omega: Array) -> bool:
    """Whether weights (t, n) are positive, of usual size and even: rows of hardly any may be far away."""
    even = (omega.max(1) <= _UNEVEN * omega.min(1)).all()
    return bool(omega.all() and even and (weight_unit(omega.sum(1)) == 1).all())


def joined(parts: list[Moments], lead: tuple[int, ...]) -> Moments:
    """Join the moments of samples of one shape, and of stacks of such samples, along leading dimensions."""
    height = max(part.factor.shape[-2] for part in parts)

    def together_of(name: str) -> Array:
        arrays = [getattr(part, name) if part.weight.ndim else getattr(part, name)[None] for part in parts]
        if name in ("factor", "projected"):  # rows of weight zero can leave fewer
            arrays = [np.pad(a, [(0, 0), (0, height - a.shape[1]), (0, 0)]) for a in arrays]
        together = np.concatenate(arrays)
        return together.reshape(lead + together.shape[1:])

    arrays: dict[str, Any] = {name: together_of(name) for name in ARRAYS}
    return replace(parts[0], **arrays)
