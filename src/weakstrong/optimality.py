"""How far a head can be from the best of its class: gaps from the head itself, rounding included."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from weakstrong.arrays import power_of_two
from weakstrong.heads import Head
from weakstrong.least_squares import ScaledProblem, column_sizes, norms, positive, rows_of, times_powers
from weakstrong.moments import Moments
from weakstrong.whitening import PLAIN

Array = NDArray[np.float64]

_MEAN_ROUNDINGS = 2.0  # by which merging can be off, of a column's mean
_ROUNDINGS = 8.0  # by which factorizing, merging and evaluating can be off, of a column's size


def linear_gap(form: ScaledProblem, head: Head) -> Array:
    """Bound ``objective − minimum`` of a head among all linear heads, shape (..., k).

    It is ``‖P_A (A z − c)‖² / n``, plus what the rounding of the intercept costs and what rounding can
    hide (`_unseen`, `_outside`).
    """
    seen = np.linalg.norm(_missed(form, head), axis=-2)
    gap = (seen + _unseen(form, head, np.zeros(head.intercept.shape))) ** 2 + _outside(form, head)
    return np.asarray(gap / form.moments.mass[..., None] + _intercept_excess(form, head))


def ball_gap(form: ScaledProblem, head: Head, radius: Array) -> Array:
    """Bound ``objective − minimum`` of a head in the ball ``‖z‖ <= ϱ``, ϱ = τ radius, shape (..., k).

    It is the duality gap, the objective less the dual's value at λ:
    ``Σ_i (s_i m_i + λ ζ_i)² / (s_i² + λ) + λ (ϱ² − ‖z‖²)`` over n, with m = Uᵀ(A z − c)
    and ζ = Vᵀz, plus what rounding can hide (`_unseen`, `_outside`). Any λ >= 0 bounds the excess; the
    multiplier that z itself implies is used. Rounding enters squared, unlike in a Frank-Wolfe gap.
    """
    size = positive(_target_size(form))
    unit = power_of_two(size[..., None, :], -2)
    limit = times_powers(radius, form.unit[..., None], 1 / unit)  # ϱ in units of labels
    missed, s = _missed(form, head), form.singular[..., None]
    along = form.right @ _scaled(form, head)
    share = along / unit[..., None, :] / positive(limit)[..., None, :]  # ζ / ϱ: no ϱ overflows squared
    pull = -(s * (missed / unit[..., None, :]) * share).sum(-2)
    multiplier = np.maximum(pull, 0.0) / positive(limit)
    shift = multiplier[..., None, :]
    seen = np.linalg.norm((s * missed + shift * along) / np.sqrt(positive(s**2 + shift)), axis=-2)
    bound = np.where(multiplier > 0, limit, 0.0)
    slack = np.abs(1 - (share**2).sum(-2)) + _ROUNDINGS * np.finfo(float).eps
    gap = (seen + _unseen(form, head, multiplier)) ** 2 + _outside(form, head)
    gap = gap + multiplier * (bound * unit) * (bound * unit * slack)
    gap = np.where(limit > 0, gap, 0.0) / form.moments.mass[..., None]
    return np.asarray(gap + _intercept_excess(form, head))


def hull_gap(points: Array, mixture: Array) -> float:
    """Compute the Frank-Wolfe gap of ``‖P α‖²`` over the simplex, a bound on its excess over the minimum.

    It is ``2 max_j ⟨P α, P α − p_j⟩``.
    """
    at = points @ mixture
    return max(float(2 * (at @ at - (at @ points).min())), 0.0)


def hull_rounding(vertices: Head, moments: Moments, mixtures: Array) -> Array:
    """Bound what rounding hides of the gaps of a hull, shape (..., k).

    The errors of a vertex, and of the mixture, are off by h, some roundings of the terms that they sum.
    That moves ``2 ⟨r, r − p_j⟩``, r being the mixture's errors in all rows, by
    ``2 (2 h ‖r‖ + h ‖r − p_j‖ + 2 h²)``.
    """
    head = Head(vertices.coef @ mixtures, vertices.intercept @ mixtures)
    terms = np.abs(vertices.intercept) + column_sizes(moments) @ np.abs(vertices.coef)
    square = moments.target_variance + moments.target_mean**2
    largest = terms.max(-1)[..., None] + np.sqrt(square)
    h = (_ROUNDINGS + vertices.n_targets) * np.finfo(float).eps * largest
    error = np.sqrt(moments.mse(head))
    return np.asarray(2 * h * (2 * error + (error + largest) + 2 * h))


def _missed(form: ScaledProblem, head: Head) -> Array:
    """Compute the residuals ``Uᵀ (A z − c)`` along the kept directions, from the head itself."""
    factor, targets = rows_of(form.moments, form.fit_intercept)
    missed = np.swapaxes(form.left, -1, -2) @ (factor @ head.coef - targets)
    return np.where(form.singular[..., None] > 0, missed, 0.0)


def _intercept_excess(form: ScaledProblem, head: Head) -> Array:
    """Bound the part of the objective that is due to the rounding of the intercept and of the means."""
    if not form.fit_intercept:
        return np.zeros(head.intercept.shape)
    parts = form.moments.feature_mean[..., :, None] * head.coef
    off = np.abs(head.intercept + parts.sum(-2) - form.moments.target_mean)
    hidden = np.abs(parts).sum(-2) + np.abs(head.intercept) + np.abs(form.moments.target_mean)
    return np.asarray((off + _ROUNDINGS * np.finfo(float).eps * hidden) ** 2)


def _scaled(form: ScaledProblem, head: Head) -> Array:
    """Return the scaled coefficients z of a head, shape (..., d, k)."""
    return np.where(form.usable[..., :, None], head.coef * form.divisor[..., :, None], 0.0)


def _unseen(form: ScaledProblem, head: Head, multiplier: Array) -> Array:
    """Bound what the rounding of the factorization hides of ``‖A z − c‖`` along A, shape (..., k).

    The factor is that of features that differ from those given by E, some roundings of each column's
    spread and fewer of its mean (shards are merged by the difference of their means). That moves
    predictions by ``E z``, and turns the span, by which up to ``‖E‖‖A z − c‖/√(s² + λ)`` of the residuals
    lies along it, s being the least singular value kept.
    """
    size = np.sqrt(form.moments.mass)[..., None] * column_sizes(form.moments, _MEAN_ROUNDINGS / _ROUNDINGS)
    moved = (size[..., None] * np.abs(head.coef)).sum(-2)
    whole = np.linalg.norm(np.where(form.usable, size / form.divisor, 0.0), axis=-1)[..., None]
    turned = whole * _residual(form, head) / np.sqrt(_least(form) ** 2 + multiplier)
    hidden = moved + _target_size(form) + turned + _multiplied(form, head, multiplier)
    return np.asarray(_ROUNDINGS * np.finfo(float).eps * hidden)


def _multiplied(form: ScaledProblem, head: Head, multiplier: Array) -> Array:
    """Bound what products of features hide of the same, in roundings, shape (..., k).

    Moments made by products know ``AᵀA`` to roundings of ``‖A‖²``, and so the gradient to as many times
    z less the fit that labels are taken about. That is a fit to some rows, off the best z by up to
    ``‖A z − c‖`` over their least singular value. Rows of a condition beyond κ are whitened, so that
    value is ``‖A‖/κ`` or more, and AᵀA is known to roundings of κ² times itself.
    """
    left, size = _residual(form, head), np.linalg.norm(form.singular, axis=-1)[..., None]
    away = norms(_missed(form, head) / positive(form.singular)[..., None])
    known = size * ((size * away + 2 * PLAIN * left) / np.sqrt(_least(form) ** 2 + multiplier))
    return np.minimum(known, 2 * (2 * PLAIN) ** 2 * left)


def _least(form: ScaledProblem) -> Array:
    """Return the least singular value kept, infinite where there is none, shape (..., 1)."""
    return np.asarray(np.where(form.singular > 0, form.singular, np.inf).min(-1, initial=np.inf)[..., None])


def _outside(form: ScaledProblem, head: Head) -> Array:
    """Bound what a head gains or loses by leaving the span that is kept, shape (..., k).

    Rounded coefficients have a part ζ along directions cut, of singular values up to s. It moves
    residuals by ``e = s ζ``, and so the objective by up to ``2 ‖e‖‖A z − c‖``: the first order of what is
    stationary along the kept directions only.
    """
    z = _scaled(form, head)
    cut = np.where(form.singular[..., None] > 0, 0.0, form.right @ z)
    part = norms(cut) + _ROUNDINGS * np.finfo(float).eps * norms(z)
    return np.asarray(2 * form.largest_cut[..., None] * part * _residual(form, head))


def _residual(form: ScaledProblem, head: Head) -> Array:
    """Compute ``‖A z − c‖`` with what of the targets is outside the features, shape (..., k)."""
    factor, targets = rows_of(form.moments, form.fit_intercept)
    return np.asarray(np.sqrt(((factor @ head.coef - targets) ** 2).sum(-2) + form.moments.residual))


def _target_size(form: ScaledProblem) -> Array:
    """Compute ``‖c‖`` with what is outside the features, shape (..., k)."""
    _, targets = rows_of(form.moments, form.fit_intercept)
    return np.asarray(np.sqrt((targets**2).sum(-2) + form.moments.residual))
