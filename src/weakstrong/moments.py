"""Moments: the summary of a sample from which linear heads are fitted, computed in one pass over it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import reduce
from operator import add
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import lapack

from weakstrong.arrays import (
    LARGEST,
    broadcast,
    real_array,
    refuse_no_weight,
    refuse_other_rows,
    row_weights,
)
from weakstrong.errors import InputError
from weakstrong.heads import Head
from weakstrong.stacking import stacked
from weakstrong.whitening import Rows, grown

Array = NDArray[np.float64]

_BLOCK_BYTES = 1 << 24  # a block this size keeps QR at full speed and memory constant in n
_FIRST_BYTES = 1 << 20  # of the rows that are factorized first, to whiten others
_STACK_BYTES = 1 << 22  # of small samples that are treated at once
_PIECE = 64  # rows added at once, in multiples of the first ones
_ARRAYS = ("weight", "feature_mean", "target_mean", "factor", "projected", "residual")
_TALL = 32  # blocks that many times as tall as wide are factorized first: to stack them would cost more
_EXTREME = 64  # weights of 2^±64 and beyond are counted in a unit of their own size
_BLOCKING = 64  # LAPACK panel width; larger than its own, so workspaces always suffice


@dataclass(frozen=True, eq=False)
class Moments:
    """A sample of n rows, summarised by the triangular factor of ``[1 | Φ | Y]`` in centred form.

    With weights ω (1 unless given), Ω = diag(ω), means μ and ȳ, and the thin factorization
    ``Ω^½ (Φ − 1 μᵀ) = Q R``, it holds μ, ȳ, ``R``, ``Qᵀ Ω^½ (Y − 1 ȳᵀ)`` and the size
    of what is left of Y outside the span of Q. That is the factor of ``[1 | Φ | Y]`` with its first row
    written as means: the condition number is not squared, and columns whose mean dwarfs
    their spread lose no accuracy.

    ``a + b`` factorizes the two factors stacked. It is associative, so it serves as the
    streaming update, as the merge of shards and as the arithmetic of cross-validation folds.
    Leading dimensions ``...`` are independent samples of equal row count.

    Parameters
    ----------
    weight : array of shape (...)
        Σ ω, the row count where no weights are given.
        Where it is beyond 2^±64 it is itself, but `factor`, `projected` and `residual` are of weights in
        units of `unit`, a power of four near it, so that no scale of weights under- or overflows.
    n_rows : int
        Number of rows, those of weight zero included.
    feature_mean : array of shape (..., d)
        μ.
    target_mean : array of shape (..., k)
        ȳ.
    factor : array of shape (..., r, d), r <= d
        R.
    projected : array of shape (..., r, k)
        Qᵀ Ω^½ (Y − 1 ȳᵀ).
    residual : array of shape (..., k)
        Squared norm of the part of each centred, weighted target outside the span of Q.
    resolution : float
        Relative rounding of the features: eps of float64, or of float32 for features in single or half
        precision.
    """

    weight: Array
    n_rows: int
    feature_mean: Array
    target_mean: Array
    factor: Array
    projected: Array
    residual: Array
    resolution: float

    @classmethod
    def of(
        cls, features: ArrayLike, targets: ArrayLike, *, sample_weight: ArrayLike | None = None
    ) -> Moments:
        """Compute the moments of a sample, read once in blocks, so that memory does not grow with n.

        Parameters
        ----------
        features : array of shape (..., n, d)
            Φ, dense; it is converted to float64 block by block.
        targets : array of shape (..., n, k) or (..., n)
            Y.
        sample_weight : array of shape (..., n), optional
            ω >= 0, of any scale.

        Raises
        ------
        InputError
            A ValueError: if shapes disagree, there is no row, no weight is positive, a value is no finite
            real number, squares of targets overflow, or pandas objects have different indexes.
        """
        refuse_other_rows({"features": features, "targets": targets, "sample_weight": sample_weight})
        phi, y = real_array(features, "features", booleans=True), real_array(targets, "targets")
        if y.ndim == phi.ndim - 1:
            y = y[..., None]
        if phi.ndim < 2 or phi.shape[:-1] != y.shape[:-1]:
            raise InputError(
                f"features have shape {phi.shape} and targets {y.shape}; expected (..., n, d) and (..., n, k)"
            )
        if phi.shape[-2] == 0:
            raise InputError("there is no row to fit")
        omega = None
        if sample_weight is not None:
            given = real_array(sample_weight, "sample_weight", booleans=True, column=True)
            given = broadcast(given, phi.shape[:-1], "sample_weight")
            omega = np.empty(phi.shape[:-1])
            for i in np.ndindex(*phi.shape[:-2]):
                omega[i] = row_weights(given[i], phi.shape[-2])
                refuse_no_weight(omega[i])
        moments = extended(None, phi, y, omega) if phi.ndim == 2 else _of_many(phi, y, omega)
        refuse_overflow(moments)
        return moments

    @classmethod
    def merge(cls, parts: Iterable[Moments]) -> Moments:
        """Add up several moments, at least one, which gives the moments of all their samples together."""
        given = list(parts)
        if not given or not all(isinstance(part, Moments) for part in given):
            raise InputError("parts: give the Moments of one sample or more")
        return reduce(add, given)

    @property
    def n_features(self) -> int:
        """Width d of the representation."""
        return int(self.factor.shape[-1])

    @property
    def n_targets(self) -> int:
        """Number k of targets."""
        return int(self.projected.shape[-1])

    @property
    def unit(self) -> Array:
        """Unit that weights are counted in, shape (...): 1, or a power of four near an extreme `weight`."""
        return weight_unit(self.weight)

    @property
    def mass(self) -> Array:
        """Σ ω in that unit, shape (...): what squared norms of `factor` and `projected` are divided by."""
        return np.asarray(self.weight / self.unit)

    @property
    def target_variance(self) -> Array:
        """Weighted variance of each target about its mean, shape (..., k), in squared units of the target."""
        total: Array = (self.projected**2).sum(-2) + self.residual
        return total / self.mass[..., None]

    def __add__(self, other: Moments) -> Moments:
        """Return the moments of both samples together."""
        if not isinstance(other, Moments):
            return NotImplemented
        mine, theirs = (self.n_features, self.n_targets), (other.n_features, other.n_targets)
        if mine != theirs or self.weight.shape != other.weight.shape:
            raise InputError(f"moments of {mine} and {theirs} (features, targets) do not add")
        lead = self.weight.shape
        if not lead:
            return _merge(self, other)
        return _stack([_merge(self[i], other[i]) for i in np.ndindex(*lead)], lead)

    def __getitem__(self, index: int | tuple[int, ...]) -> Moments:
        """Return the moments of one of the samples along the leading dimensions."""
        parts: dict[str, Any] = {name: np.asarray(getattr(self, name)[index]) for name in _ARRAYS}
        return replace(self, **parts)

    def select(self, targets: ArrayLike) -> Moments:
        """Return the moments of some of the targets, named by place, each as often as it is named."""
        places = np.asarray(targets, dtype=np.intp)
        return replace(
            self,
            target_mean=self.target_mean[..., places],
            projected=self.projected[..., places],
            residual=self.residual[..., places],
        )

    def mse(self, head: Head) -> Array:
        """Compute the mean squared error ``E_ω (b + Φ w − y)²`` of a head, shape (..., k).

        This is the paper's ``d_P(f∘h, y)``, with P the sample. It is computed from the factor alone, as
        ``‖R W − QᵀY‖²/n + residual/n + (b + μᵀ W − ȳ)²``: a sum of squares, so nothing cancels.
        The head's leading dimensions broadcast against the moments'.
        """
        if head.n_features != self.n_features:
            raise InputError(f"the head takes {head.n_features} features; these are of {self.n_features}")
        inside = ((self.factor @ head.coef - self.projected) ** 2).sum(-2)
        shift = head.intercept + (self.feature_mean[..., None, :] @ head.coef)[..., 0, :]
        out: Array = (inside + self.residual) / self.mass[..., None] + (shift - self.target_mean) ** 2
        return out


def weight_unit(weight: Array) -> Array:
    """Return the unit to count weights of that sum in: 1, or the power of four below it if it is extreme."""
    exponent = np.clip(np.frexp(weight)[1] // 2 * 2 - 2, -1074, 1022)
    return np.ldexp(1.0, np.where(np.abs(exponent) > _EXTREME, exponent, 0))


def refuse_overflow(moments: Moments) -> None:
    """Refuse moments of values that are not finite, or too large."""
    with np.errstate(over="ignore", invalid="ignore"):
        squares = moments.target_variance + moments.target_mean**2
    if not (np.isfinite(moments.factor).all() and np.isfinite(moments.feature_mean).all()):
        raise InputError(
            "features must be finite, and their sums too: a NaN, an infinity or an overflow; correct or "
            "rescale them"
        )
    if not (squares <= LARGEST**2).all():
        raise InputError(
            f"targets must be finite, and at most {LARGEST:g} in size to be squared: correct or rescale them"
        )


def extended(total: Moments | None, phi: NDArray, y: NDArray, omega: Array | None) -> Moments:
    """Add rows to moments: the first of them by QR, the others by `whitening.grown` where it applies."""
    n, d = phi.shape
    before = 0 if total is None else total.n_rows
    first = max(_FIRST_BYTES // (8 * max(d, 1)), 4 * d, 1024)
    start = 0
    with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is refused by those who call
        while start < n:
            rows = slice(start, start + (first if total is None else _PIECE * first))
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
        total = part if total is None else _merge(total, part)
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
    # The rows are shifted by the first one as they are copied (in Fortran order, for LAPACK). So constant
    # columns become exact zeros, and large means cost no accuracy.
    origin = [a[0].astype(np.float64) for a in (phi, y)]
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


def _merge(a: Moments, b: Moments) -> Moments:
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


def _of_many(phi: NDArray, y: NDArray, omega: Array | None) -> Moments:
    """Compute the moments of the samples along leading dimensions, small ones several at once."""
    lead, (n, d) = phi.shape[:-2], phi.shape[-2:]
    phi, y = phi.reshape(-1, n, d), y.reshape(-1, n, y.shape[-1])
    weights = None if omega is None else omega.reshape(-1, n)
    at_once = max(_STACK_BYTES // (8 * n * max(d, 1)), 1)
    space = np.empty((3, min(at_once, len(phi)), n, d) if at_once > 1 else 0)
    parts = []
    for start in range(0, len(phi), at_once):
        some = slice(start, start + at_once)
        parts.append(_of_some(phi[some], y[some], None if weights is None else weights[some], space))
    return _stack(parts, lead)


def _of_some(phi: NDArray, y: NDArray, omega: Array | None, space: Array) -> Moments:
    """Compute the moments of samples (t, n, d) by stacked products, and by QR where these are not sound."""
    found = None
    if len(phi) > 1 and (omega is None or (omega.all() and (weight_unit(omega.sum(1)) == 1).all())):
        with np.errstate(all="ignore"):  # what is not finite is not sound
            found = stacked(phi, y, omega, space)
    left = np.arange(len(phi)) if found is None else np.flatnonzero(~found.sound)
    parts = [extended(None, phi[i], y[i], None if omega is None else omega[i]) for i in left]
    if found is None:
        return _stack(parts, (len(parts),))
    arrays: dict[str, Any] = {name: getattr(found, name) for name in _ARRAYS}
    moments = Moments(n_rows=phi.shape[1], resolution=_resolution(phi.dtype), **arrays)
    if not parts:
        return moments
    several = _stack([moments, *parts], (-1,))
    place = np.arange(len(phi))
    place[left] = len(phi) + np.arange(len(left))
    arrays = {name: getattr(several, name)[place] for name in _ARRAYS}
    return replace(several, **arrays)


def _stack(parts: list[Moments], lead: tuple[int, ...]) -> Moments:
    """Join the moments of samples of one shape, and of stacks of such samples, along leading dimensions."""
    height = max(part.factor.shape[-2] for part in parts)

    def joined(name: str) -> Array:
        arrays = [getattr(part, name) if part.weight.ndim else getattr(part, name)[None] for part in parts]
        if name in ("factor", "projected"):  # rows of weight zero can leave fewer
            arrays = [np.pad(a, [(0, 0), (0, height - a.shape[1]), (0, 0)]) for a in arrays]
        together = np.concatenate(arrays)
        return together.reshape(lead + together.shape[1:])

    arrays: dict[str, Any] = {name: joined(name) for name in _ARRAYS}
    return replace(parts[0], **arrays)
