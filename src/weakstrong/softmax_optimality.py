"""How far softmax heads can be from the least cross entropy: bounds from its dual, maximum entropy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from weakstrong.cross_entropy import Pass, SoftmaxRows

Array = NDArray[np.float64]

_ROUNDINGS = 4.0  # that sums over the rows can be off by, of what is summed


def ball_gap(rows: SoftmaxRows, x: Array, there: Pass, label: NDArray[np.intp], radius: Array) -> Array:
    """Bound ``loss − minimum`` over balls ``‖u‖ <= r``, shape (p,), by the dual's value at the predictions.

    The dual is ``max E H(s) − r ‖E (s − y) zᵀ‖`` over distributions s with ``E s = E y``. At the
    predictions p, ``loss − E H(p) = ⟨∇, x⟩``. Where the intercept is not quite at its best,
    ``E p ≠ E y``, s is ``(1 − t) p + t q`` with the least t for which a constant distribution q makes them
    equal. Infinite without a ball.
    """
    inside = np.einsum("pmq,pmq->p", there.gradient, x)
    pull = np.linalg.norm(there.gradient[..., 1:], axis=(1, 2))
    with np.errstate(invalid="ignore"):
        gap = inside + np.where(radius > 0, radius, 0.0) * pull
    if rows.fit_intercept:
        share = _missing(rows, there, label)
        entropy = there.loss - inside
        size = np.sqrt(2 * rows.basis.spread.total)
        with np.errstate(invalid="ignore"):
            gap = gap + share * (np.maximum(entropy, 0.0) + radius * size)
    rounding = _ROUNDINGS * np.finfo(float).eps * (there.loss + np.minimum(radius, 1e300) * pull)
    gap = np.maximum(gap, 0.0) + rounding
    return np.where(np.isfinite(radius), gap, np.inf)


def _missing(rows: SoftmaxRows, there: Pass, label: NDArray[np.intp]) -> Array:
    """Return the least t for which ``E y = (1 − t) E p + t q`` has a distribution q."""
    wanted = rows.frequencies[label]
    moved = there.gradient[..., 0]
    if rows.n_columns == 1:
        moved = np.concatenate([-moved, moved], -1) / np.sqrt(2.0)
    given = wanted + moved
    return np.asarray((np.maximum(moved, 0.0) / np.maximum(given, np.finfo(float).tiny)).max(-1))


def linear_gap(rows: SoftmaxRows, x: Array, gradient: Array) -> Array:
    """Bound ``loss − minimum`` over all linear heads, shape (p,), by the maximum-entropy dual, in one pass.

    Among distributions with the moments of the labels, ``E s zᵀ = E y zᵀ``, the greatest mean entropy is the
    least cross entropy. ``s = p − zᵀ G⁻¹ ∇`` has these moments, G the second moments of the rows; if it
    is a distribution in every row, the gap is ``E KL(s ‖ p)``; else infinite.
    """
    from scipy.special import kl_div

    # The basis is of all rows here, so that G is diagonal in it.
    back = gradient / np.concatenate([[1.0], rows.basis.curvature])
    if not rows.fit_intercept:
        back[..., 0] = 0.0
    p = len(x)
    total, least = np.zeros(p), np.zeros(p)
    for z, weights in rows.logits(np.concatenate([x, back])):
        q = np.exp(z[:p] - z[:p].max(1, keepdims=True))
        q /= q.sum(1, keepdims=True)
        s = q - z[p:]
        least = np.minimum(least, s.min((1, 2), initial=0.0))
        total += kl_div(np.maximum(s, 0.0), q).sum(1) @ weights
    return np.where(least < 0, np.inf, total / rows.weights.sum())
