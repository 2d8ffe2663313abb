"""Cross entropy of many softmax heads at once, with its gradient, in one pass over the rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from weakstrong.arrays import row_blocks
from weakstrong.softmax_basis import Basis

Array = NDArray[np.float64]

_ROOT2 = np.sqrt(2.0)
_RAREST = 1e-6  # where a start puts a class that is not among some of the rows: far away it would stay


class Problems(NamedTuple):
    """Problems on the same rows, one for each entry.

    `label` is which label set is fitted, `fold` which fold is held out (−1 for none), `multiplier` the λ of
    ``½ λ ‖u‖²``, and `radius` the bound on ‖u‖, infinite where there is none.
    """

    label: NDArray[np.intp]
    fold: NDArray[np.intp]
    multiplier: Array
    radius: Array

    def take(self, kept: NDArray[Any]) -> Problems:
        """Return some of them."""
        return Problems(*(field[kept] for field in self))


class Pass(NamedTuple):
    """What a pass over the rows found for p problems.

    `loss` (p,) is the mean cross entropy on the rows fitted, `gradient` (p, m, 1 + r) its gradient,
    `variance` (p, m, m) the mean covariance of the classes at the predictions, in the m columns of
    coordinates, and `held_out` (p,) the sum of cross entropies on the rows held out.
    """

    loss: Array
    gradient: Array
    variance: Array
    held_out: Array


class _Block(NamedTuple):
    """Some rows: features, label sets (k, m, rows), weights, and their folds where there are any."""

    features: Array
    labels: Array
    weights: Array
    folds: NDArray[np.int64] | None


@dataclass(frozen=True, eq=False)
class SoftmaxRows:
    """Rows to fit softmax heads to: features in a basis, k sets of labels, weights and folds.

    Coordinates x of a head have shape (m, 1 + r): an intercept and r coefficients along the basis, in one
    column for two classes (half the difference of the two logits, times √2) and else one for each class,
    which sum to zero. So ``‖σ ∘ W‖_F`` is the norm of the coefficients.

    Parameters
    ----------
    features : array of shape (n, d)
    labels : array of shape (k, n, c)
        Distributions over the classes.
    weights : array of shape (n,)
    basis : Basis
    folds : array of int of shape (n,), or None
    fit_intercept : bool
    """

    features: NDArray[Any]
    labels: Array
    weights: Array
    basis: Basis
    folds: NDArray[np.int64] | None
    fit_intercept: bool

    @property
    def n_columns(self) -> int:
        """Columns m of coordinates: 1 for two classes, else c."""
        c = self.labels.shape[-1]
        return 1 if c == 2 else c

    @property
    def frequencies(self) -> Array:
        """Mean label of each label set, shape (k, c)."""
        return np.asarray(np.einsum("n,knc->kc", self.weights, self.labels) / self.weights.sum())

    def start(self) -> Array:
        """Return the best heads without features, shape (k, m, 1 + r)."""
        x = np.zeros((len(self.labels), self.n_columns, 1 + self.basis.rank))
        if self.fit_intercept:
            logits = np.log(np.maximum(self.frequencies, _RAREST))
            x[..., 0] = self.columns_of(logits)
        return x

    def columns_of(self, logits: Array) -> Array:
        """Return the coordinates (..., m) of logits (..., c)."""
        if self.n_columns == 1:
            return (logits[..., 1:] - logits[..., :1]) / _ROOT2
        return np.asarray(logits - logits.mean(-1, keepdims=True))

    def mass(self, fold: NDArray[np.intp]) -> Array:
        """Return the weight of the rows that are fitted where a fold is held out, shape (p,)."""
        total = np.full(len(fold), self.weights.sum())
        if self.folds is None:
            return total
        held = np.bincount(self.folds, self.weights)
        return np.asarray(np.where(fold < 0, total, total - held[np.maximum(fold, 0)]))

    def __call__(self, x: Array, problems: Problems) -> Pass:
        """Evaluate heads x (p, m, 1 + r), each on its own problem."""
        p, m, _ = x.shape
        outward, bias = self._outward(x)
        loss, held_out, moved = np.zeros(p), np.zeros(p), np.zeros(bias.shape)
        gradient, variance = np.zeros(outward.shape), np.zeros((p, m, m))
        for block in self._blocks(p * m):
            z = (outward.reshape(p * m, -1) @ block.features.T).reshape(p, m, -1)
            z += bias[..., None]
            y = block.labels[problems.label] if len(block.labels) > 1 else block.labels
            each, q = _binary(z, y) if m == 1 else _multinomial(z, y)
            weights = self._fitted(block, problems.fold)
            loss += np.einsum("pn,pn->p", each, weights)
            if block.folds is not None:
                held_out += each @ block.weights - np.einsum("pn,pn->p", each, weights)
            variance += _covariance(q, weights)
            z *= weights[:, None, :]  # what was written there: predictions less labels
            moved += z.sum(-1)
            gradient += (z.reshape(p * m, -1) @ block.features).reshape(p, m, -1)
        mass = self.mass(problems.fold)[:, None, None]
        whole = self._inward(gradient / mass, moved / mass[..., 0])
        return Pass(loss / mass[:, 0, 0], whole, variance / mass, held_out)

    def logits(self, x: Array) -> Iterator[tuple[Array, Array]]:
        """Go over the rows: the logits (p, c, rows) of heads x, and the weights (rows,)."""
        p, m, _ = x.shape
        outward, bias = self._outward(x)
        for block in self._blocks(p * m):
            z = (outward.reshape(p * m, -1) @ block.features.T).reshape(p, m, -1) + bias[..., None]
            yield (np.concatenate([-z / 2, z / 2], 1) if m == 1 else z), block.weights

    @property
    def _is_moved(self) -> bool:
        """Whether blocks of rows are taken less the mean, as they are copied anyway or would lose digits."""
        return self.basis.rotated is None and (self.features.dtype != np.float64 or self.basis.spread.is_far)

    @property
    def _origin(self) -> Array:
        """The mean, where rows are used as they are; else zero, as it was taken away."""
        spread = self.basis.spread
        return np.zeros(len(spread.mean)) if self._is_moved else spread.mean

    def _outward(self, x: Array) -> tuple[Array, Array]:
        """Return coefficients (p, m, d) and intercepts (p, m) for the rows as blocks have them."""
        factor = _ROOT2 if self.n_columns == 1 else 1.0  # the difference of two logits is √2 u
        u, bias = factor * x[..., 1:], factor * x[..., 0]
        if self.basis.rotated is not None:
            return u, bias
        coef = u @ self.basis.outward.T
        return coef, bias - coef @ self._origin

    def _inward(self, gradient: Array, moved: Array) -> Array:
        """Return the gradient in coordinates from the sums of residuals times rows, and of residuals."""
        if self.basis.rotated is None:
            gradient = (gradient - moved[..., None] * self._origin) @ self.basis.outward
        if not self.fit_intercept:
            moved = np.zeros(moved.shape)
        factor = _ROOT2 if self.n_columns == 1 else 1.0
        return np.asarray(factor * np.concatenate([moved[..., None], gradient], -1))

    def _blocks(self, columns: int) -> Iterator[_Block]:
        """Cut the rows into blocks that stay in the processor's cache."""
        whole = self.features if self.basis.rotated is None else self.basis.rotated
        n, d = whole.shape
        for rows in row_blocks(n, d + 4 * columns):
            x = whole[rows]
            if self._is_moved:
                x = np.subtract(x, self.basis.spread.mean, dtype=np.float64)
            y = self.labels[:, rows]
            y = y[:, None, :, 1] if self.n_columns == 1 else np.swapaxes(y, 1, 2)
            w, folds = self.weights[rows], None if self.folds is None else self.folds[rows]
            if not w.all():  # rows without weight are left out: their losses may be infinite
                kept = w > 0
                x, y, w, folds = x[kept], y[..., kept], w[kept], None if folds is None else folds[kept]
            yield _Block(x, np.ascontiguousarray(y), w, folds)

    def _fitted(self, block: _Block, fold: NDArray[np.intp]) -> Array:
        """Return the weights (p or 1, rows) with which rows are fitted."""
        if block.folds is None or (fold < 0).all():
            return np.broadcast_to(block.weights, (len(fold), len(block.weights)))
        return np.where(block.folds == fold[:, None], 0.0, block.weights)


def _binary(z: Array, y: Array) -> tuple[Array, Array]:
    """Return cross entropies (p, rows) and probabilities of the second class; z becomes their residuals.

    z (p, 1, rows) is the difference of the logits, y the label's probability of the second class.
    """
    e = np.exp(-np.abs(z))
    q = np.where(z >= 0, 1.0, e) / (1 + e)
    each = np.log1p(e) + np.maximum(z, 0.0) - y * z
    np.subtract(q, y, out=z)
    return each[:, 0], q


def _multinomial(z: Array, y: Array) -> tuple[Array, Array]:
    """Return cross entropies (p, rows) and probabilities (p, c, rows); z, the logits, becomes residuals."""
    z -= z.max(1, keepdims=True)
    q = np.exp(z)
    total = q.sum(1, keepdims=True)
    each = np.log(total[:, 0]) - np.einsum("pcn,pcn->pn", z, np.broadcast_to(y, z.shape))
    q /= total
    np.subtract(q, y, out=z)
    return each, q


def _covariance(q: Array, weights: Array) -> Array:
    """Sum the covariances of the classes, in columns of coordinates, over rows: shape (p, m, m)."""
    if q.shape[1] == 1:  # (√2)² p (1 − p)
        return np.asarray(2 * np.einsum("pn,pn,pn->p", q[:, 0], 1 - q[:, 0], weights))[:, None, None]
    weighted = q * weights[:, None, :]
    out = -(weighted @ np.swapaxes(q, 1, 2))
    np.einsum("pcc->pc", out)[...] += weighted.sum(-1)
    return out
