"""Exact fits of softmax heads by plain cross entropy, for many sets of labels and of rows at once.

With Φ the features, centred and scaled, the objective of a problem is
``E_ω [log Σ_c exp z_c − ⟨y, z⟩] + λ/2 ‖W‖²``, z = b + ΦW, b free. Logits that differ by a constant are one
distribution, so W is written in contrasts: ``W = U Qᵀ``, Q an orthonormal basis of what sums to zero.

It is solved by L-BFGS along the eigenvectors of ΦᵀΦ/n, whose eigenvalues s² bound the Hessian by
``½ s² + λ`` (Böhning 1992): with that as its first metric, ill-conditioned features cost nothing more. All
problems take their steps in the same passes over the rows; one that is solved drops out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

from weakstrong.arrays import row_blocks

Array = NDArray[np.float64]
Numbers = NDArray[np.int64]

_CUT = 10.0  # roundings of the features' type; directions below them are noise
_KEPT_BYTES = 1 << 28  # of rows in the coordinates of the basis, which are kept if they are so small
_HISTORY = 10
_SUFFICIENT = 1e-4  # share of the decrease that the slope promises (Armijo)
NO_CLASS = -1e4  # logit of a class that no label has
_MOST_PASSES = 400
_BEFORE_NEWTON, _MOST_NEWTON, _NEWTON_SIZE = 60, 30, 1500


@dataclass(frozen=True, eq=False)
class Basis:
    """The coordinates in which heads on some features are fitted: the principal ones of scaled columns.

    Parameters
    ----------
    features : array of shape (n, d)
    mean : array of shape (d,)
    scale : array of shape (d,)
        Spreads of the columns; 0 where one does not vary beyond rounding.
    right : array of shape (d, r)
        Maps coordinates to coefficients: eigenvectors, divided by the scale.
    square : array of shape (r,)
        Mean squares of the rows along them.
    """

    features: NDArray[Any]
    mean: Array
    scale: Array
    right: Array
    square: Array
    rows: Array | None = field(repr=False)

    @classmethod
    def of(cls, features: NDArray[Any], weights: Array | None = None) -> Basis:
        """Return the basis of rows that count by weights, in two passes over them."""
        n, d = features.shape
        omega = np.full(n, 1 / n) if weights is None else weights / weights.sum()
        origin = features[0].astype(np.float64)
        mean = np.zeros(d)
        for rows in row_blocks(n, d):
            mean += omega[rows] @ (features[rows] - origin)
        mean += origin
        eps = float(np.finfo(features.dtype if features.dtype.kind == "f" else np.float64).eps)
        scale, right, square = _principal(features, mean, omega, eps)
        small = 8 * n * len(square) <= _KEPT_BYTES
        kept = np.asarray((features - mean) @ right) if small else None
        return cls(features, mean, scale, right, square, kept)

    @property
    def n_ignored(self) -> int:
        """Number of features without coefficient, as they do not vary beyond rounding."""
        return int((self.scale == 0).sum())

    def blocks(self) -> Any:
        """Yield some rows at a time, with what makes coordinates of them: (rows, values, right, mean)."""
        n = len(self.features)
        for rows in row_blocks(n, self.features.shape[1]):
            if self.rows is not None:
                yield rows, self.rows[rows]
            else:
                yield rows, self.features[rows] - self.mean


def _principal(features: NDArray[Any], mean: Array, omega: Array, eps: float) -> tuple[Array, Array, Array]:
    """Scales of the columns, and eigenvectors and eigenvalues of their correlations, of those kept."""
    n, d = features.shape
    if n <= d:  # the rows' products are the smaller matrix
        centred = features - mean
        scale = _scales(np.sqrt(omega @ centred**2), mean, eps)
        columns = centred * _inverse(scale) * np.sqrt(omega)[:, None]
        square, left = np.linalg.eigh(columns @ columns.T)
        kept = square > _least(square, eps)
        right = columns.T @ left[:, kept] / np.sqrt(square[kept])
    else:
        gram = np.zeros((d, d))
        for rows in row_blocks(n, d):
            centred = (features[rows] - mean) * np.sqrt(omega[rows])[:, None]
            gram += centred.T @ centred
        scale = _scales(np.sqrt(np.diag(gram)), mean, eps)
        square, vectors = np.linalg.eigh(gram * _inverse(scale)[:, None] * _inverse(scale))
        kept = square > _least(square, eps)
        right = vectors[:, kept]
    return scale, right * _inverse(scale)[:, None], square[kept]


def _scales(spread: Array, mean: Array, eps: float) -> Array:
    return np.where(spread > _CUT * eps * np.abs(mean), spread, 0.0)


def _inverse(scale: Array) -> Array:
    return np.divide(1.0, scale, out=np.zeros_like(scale), where=scale > 0)


def _least(square: Array, eps: float) -> float:
    """The least eigenvalue that is no rounding, of the features or of their products."""
    largest = max(float(square[-1]), 0.0) if len(square) else 0.0
    return max((_CUT * eps) ** 2, len(square) * np.finfo(float).eps) * largest


def contrasts(c: int) -> Array:
    """Return an orthonormal basis (c, c − 1) of the vectors of c numbers that sum to zero (Helmert)."""
    q = np.tril(np.ones((c, c)), -1)[:, : c - 1] * 0.0
    for j in range(1, c):
        q[:j, j - 1], q[j, j - 1] = 1.0, -float(j)
    return q / np.linalg.norm(q, axis=0)


class Problems(NamedTuple):
    """Which labels, rows and strength each of P problems has.

    Parameters
    ----------
    labels : int array of shape (P,)
        Number of the set of labels.
    fold : int array of shape (P,)
        The fold left out; −1 for none.
    strength : array of shape (P,)
        λ.
    """

    labels: Numbers
    fold: Numbers
    strength: Array

    def take(self, some: Any) -> Problems:
        """Return some of the problems."""
        return Problems(*(of[some] for of in self))


class Values(NamedTuple):
    """The cross entropy of P heads on their rows, its gradient, and the error on the rows left out."""

    error: Array  # (P,)
    gradient: Array  # (P, r + 1, q)
    left_out: Array  # (P,) sums, with the weights of all rows summing to one


@dataclass(frozen=True, eq=False)
class Sample:
    """Sets of labels on the same rows, and the coordinates of the heads that are fitted to them.

    Parameters
    ----------
    basis : Basis
    labels : array of shape (k, n, c)
        Distributions.
    weights : array of shape (n,)
        That sum to one.
    folds : int array of shape (n,)
    """

    basis: Basis
    labels: Array
    weights: Array
    folds: Numbers
    q: Array = field(init=False)
    along: Array = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "q", contrasts(self.labels.shape[2]))
        object.__setattr__(self, "along", self.labels @ self.q)

    @cached_property
    def longest_row(self) -> float:
        """The length of the longest row in the coordinates of the basis."""
        right = None if self.basis.rows is not None else self.basis.right
        parts = (values if right is None else values @ right for _, values in self.basis.blocks())
        return max(float(np.linalg.norm(part, axis=1).max(initial=0.0)) for part in parts)

    @property
    def shape(self) -> tuple[int, int]:
        """Shape of the coordinates of one head: (r + 1, q), the last row being the intercept."""
        return len(self.basis.square) + 1, self.q.shape[1]

    def evaluate(self, theta: Array, problems: Problems) -> Values:
        """Return value and gradient of the cross entropy of heads (P, r + 1, q), in one pass over rows."""
        count, (r, q) = len(theta), self.shape
        flat = np.ascontiguousarray(theta.transpose(1, 0, 2)).reshape(r, count * q)
        weights, bias = flat[:-1], flat[-1]
        inner = weights if self.basis.rows is not None else self.basis.right @ weights
        absent = self.absent(problems)
        total = self.train_weight(problems)
        error, left_out = np.zeros(count), np.zeros(count)
        gradient = np.zeros((inner.shape[0], count * q))
        of_bias = np.zeros(count * q)
        for rows, values in self.basis.blocks():
            z = (values @ inner + bias).reshape(-1, count, q)
            y = self.along[problems.labels[None, :], np.arange(rows.start, rows.stop)[:, None]]
            normalizer, expected = self._softmax(z, absent)
            loss = (normalizer - np.einsum("npq,npq->np", y, z)) * self.weights[rows, None]
            inside = self.folds[rows, None] != problems.fold
            error += np.where(inside, loss, 0.0).sum(0)
            left_out += np.where(inside, 0.0, loss).sum(0)
            residual = (expected - y) * (inside * self.weights[rows, None])[..., None]
            residual = residual.reshape(-1, count * q)
            gradient += values.T @ residual
            of_bias += residual.sum(0)
        if self.basis.rows is None:
            gradient = self.basis.right.T @ gradient
        whole = np.concatenate([gradient, of_bias[None]]).reshape(r, count, q).transpose(1, 0, 2)
        return Values(error / total, whole / total[:, None, None], left_out)

    def _softmax(self, z: Array, absent: NDArray[np.bool_]) -> tuple[Array, Array]:
        """Log of the normalizer (n, P), and expected contrasts (n, P, q)."""
        normalizer, probabilities = self._probabilities(z, absent)
        return normalizer, probabilities @ self.q

    def _probabilities(self, z: Array, absent: NDArray[np.bool_]) -> tuple[Array, Array]:
        """Log of the normalizer (n, P), and probabilities (n, P, c), of contrasts of logits."""
        logits = z @ self.q.T
        if absent.any():
            logits = np.where(absent, -np.inf, logits)
        top = logits.max(-1, keepdims=True)
        exponential = np.exp(logits - top)
        total = exponential.sum(-1, keepdims=True)
        return (top + np.log(total))[..., 0], exponential / total

    def probabilities(self, theta: Array, problems: Problems) -> Array:
        """Return what heads (P, r + 1, q) say of all rows, (P, n, c)."""
        out = np.empty((len(theta), *self.labels.shape[1:]))
        absent = self.absent(problems)
        for rows, values in self.basis.blocks():
            along = values if self.basis.rows is not None else values @ self.basis.right
            z = np.einsum("nr,prq->npq", along, theta[:, :-1], optimize=True) + theta[:, -1]
            out[:, rows] = self._probabilities(z, absent)[1].transpose(1, 0, 2)
        return out

    def hessian(self, theta: Array, problem: Problems) -> Array:
        """Return the second derivatives of the cross entropy of one head, ((r + 1) q, (r + 1) q)."""
        r, q = self.shape
        absent, total = self.absent(problem), self.train_weight(problem)[0]
        right = None if self.basis.rows is not None else self.basis.right
        out = np.zeros((r, q, r, q))
        for rows, values in self.basis.blocks():
            along = np.column_stack([values if right is None else values @ right, np.ones(len(values))])
            _, p = self._probabilities((along @ theta)[:, None], absent)
            p = p[:, 0]
            weight = self.weights[rows] * (self.folds[rows] != problem.fold[0]) / total
            mean = p @ self.q
            for j in range(q):
                for k in range(j, q):
                    curved = p @ (self.q[:, j] * self.q[:, k]) - mean[:, j] * mean[:, k]
                    out[:, j, :, k] += along.T @ (along * (weight * curved)[:, None])
        for j in range(q):
            for k in range(j):
                out[:, j, :, k] = out[:, k, :, j].T
        return out.reshape(r * q, r * q)

    def absent(self, problems: Problems) -> NDArray[np.bool_]:
        """Tell the classes that no label fitted has, (P, c): their probability is zero."""
        pairs = zip(problems.labels.tolist(), problems.fold.tolist(), strict=True)
        return np.array([self._mass[pair] <= 0 for pair in pairs])

    @cached_property
    def _mass(self) -> dict[tuple[int, int], Array]:
        """The weight of each class in each set of labels, on the rows that are fitted with each fold."""
        pairs = product(range(len(self.labels)), [-1, *np.unique(self.folds).tolist()])
        return {(of, fold): (self.weights * (self.folds != fold)) @ self.labels[of] for of, fold in pairs}

    def train_weight(self, problems: Problems) -> Array:
        """Return the weight of the rows that each problem is fitted to, (P,)."""
        return np.array([self.weights[self.folds != fold].sum() for fold in problems.fold])


@dataclass(eq=False)
class Descent:
    """L-BFGS on several problems side by side, which goes on where it was when their strengths change.

    Parameters
    ----------
    sample : Sample
    problems : Problems
    theta : array of shape (P, r + 1, q)
    """

    sample: Sample
    problems: Problems
    theta: Array
    passes: int = 0
    steps: list[Array] = field(default_factory=list)
    changes: list[Array] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._measure()

    def _measure(self) -> None:
        self.values = self.sample.evaluate(self.theta, self.problems)
        self.passes += 1

    def strengthen(self, strength: Array) -> None:
        """Change the strengths; what is known of the curvature changes with them exactly."""
        by = (strength - self.problems.strength)[:, None, None]
        self.changes = [y + by * _coefficients(s) for s, y in zip(self.steps, self.changes, strict=True)]
        self.problems = self.problems._replace(strength=strength)

    @property
    def objective(self) -> Array:
        """Cross entropy with penalty, (P,)."""
        return self._penalized(self.theta, self.values)

    @property
    def slope(self) -> Array:
        """Gradient of the objective, (P, r + 1, q)."""
        lam = self.problems.strength[:, None, None]
        return np.asarray(self.values.gradient + lam * _coefficients(self.theta))

    def _penalized(self, theta: Array, values: Values) -> Array:
        penalty = (_coefficients(theta) ** 2).sum((1, 2)) / 2
        return np.asarray(values.error + self.problems.strength * penalty)

    def run(self, tolerance: float, most: int = _MOST_PASSES) -> None:
        """Step until the objective of every problem is expected to be within the tolerance of its least."""
        for _ in range(most):
            slope = self.slope
            direction = -self._times_inverse(slope)
            expected = -(slope * direction).sum((1, 2)) / 2
            going = expected > tolerance
            if not going.any() or not self._step(direction, slope, going):
                return

    def _step(self, direction: Array, slope: Array, going: NDArray[np.bool_]) -> bool:
        """Step along the direction, shorter where it does not descend enough; whether any step was taken."""
        before, old = self.objective, self.slope
        descent = (slope * direction).sum((1, 2))
        size = np.where(going, 1.0, 0.0)
        taken = np.zeros(len(size), dtype=bool)
        theta, values = self.theta.copy(), Values(*(of.copy() for of in self.values))
        for _ in range(12):
            open_ = np.flatnonzero(going & ~taken)
            if not len(open_):
                break
            tried = self.theta[open_] + size[open_, None, None] * direction[open_]
            found = self.sample.evaluate(tried, self.problems.take(open_))
            self.passes += 1
            penalty = (_coefficients(tried) ** 2).sum((1, 2)) / 2
            objective = found.error + self.problems.strength[open_] * penalty
            least = before[open_] + _SUFFICIENT * size[open_] * descent[open_]
            good = objective <= least + 4 * np.finfo(float).eps * np.abs(before[open_])
            place = open_[good]
            theta[place] = tried[good]
            for new, of in zip(values, found, strict=True):
                new[place] = of[good]
            taken[place] = True
            rise = objective - before[open_] - size[open_] * descent[open_]
            shorter = -descent[open_] * size[open_] ** 2 / (2 * np.where(rise > 0, rise, 1.0))
            bounded = np.clip(shorter, 0.1 * size[open_], 0.5 * size[open_])
            size[open_[~good]] = bounded[~good]
        step = theta - self.theta
        self.theta, self.values = theta, values
        self.steps.append(step)
        self.changes.append(self.slope - old)
        del self.steps[:-_HISTORY], self.changes[:-_HISTORY]
        return bool(taken.any())

    def keep(self, some: NDArray[np.bool_]) -> None:
        """Leave problems out."""
        self.problems, self.theta = self.problems.take(some), self.theta[some]
        self.values = Values(*(of[some] for of in self.values))
        self.steps = [of[some] for of in self.steps]
        self.changes = [of[some] for of in self.changes]

    def radius(self) -> Array:
        """Return the norms of the coefficients, (P,)."""
        return np.asarray(np.linalg.norm(self.theta[:, :-1], axis=(1, 2)))

    def gap(self) -> Array:
        """Bound the excess of the cross entropy over its least in the ball of the head's own radius, (P,).

        By convexity it is at most ``r ‖∇‖ + ⟨∇, W⟩``, ∇ the gradient in the coefficients, and
        ``‖∇_b‖ ‖b − b'‖`` for the intercept, where no better b' can be further than the logits of rows reach.
        """
        gradient, radius = self.values.gradient, self.radius()
        inner = (gradient[:, :-1] * self.theta[:, :-1]).sum((1, 2))
        size = np.linalg.norm(gradient[:, :-1], axis=(1, 2))
        reach = np.linalg.norm(self.theta[:, -1], axis=1) + 2 * radius * self.sample.longest_row + 50.0
        of_bias = np.linalg.norm(gradient[:, -1], axis=1) * reach
        return np.asarray(np.maximum(radius * size + inner, 0.0) + of_bias)

    def run_to_gap(self, gap: float) -> None:
        """Step until every gap is certified to be below a bound, or no step makes it smaller.

        Where predictions are so sharp that the bound on the Hessian is far from it, steps by the Hessian
        itself (Newton's) end it.
        """
        self.run(gap, _BEFORE_NEWTON)
        r, q = self.sample.shape
        small = r * q <= _NEWTON_SIZE
        for _ in range(_MOST_NEWTON if small else 8):
            far = self.gap() > gap
            if not far.any():
                return
            if not small:
                self.run(gap / 30, _BEFORE_NEWTON)
            elif not self._step(self._newton_direction(far), self.slope, far):
                return

    def _newton_direction(self, some: NDArray[np.bool_]) -> Array:
        """Solve for the step to the least of the quadratic model, for some of the problems."""
        direction = np.zeros_like(self.theta)
        slope = self.slope
        for place in np.flatnonzero(some):
            hessian = self.sample.hessian(self.theta[place], self.problems.take([place]))
            size = np.append(np.full(self.sample.shape[0] - 1, self.problems.strength[place]), 0.0)
            hessian[np.diag_indices(len(hessian))] += np.repeat(size, self.sample.shape[1])
            try:
                step = cho_solve(cho_factor(hessian), slope[place].ravel())
            except np.linalg.LinAlgError:  # flat along some direction, but for rounding
                step = np.linalg.lstsq(hessian, slope[place].ravel(), rcond=1e-14)[0]
            direction[place] = -step.reshape(slope[place].shape)
        return direction

    def _metric(self) -> Array:
        """The inverse of the bound on the Hessian's diagonal, (P, r + 1, 1)."""
        curvature = 0.5 * np.append(self.sample.basis.square, 1.0)
        lam = self.problems.strength[:, None] * np.append(np.ones(len(curvature) - 1), 0.0)
        return np.asarray(1 / (curvature + lam)[..., None])

    def _times_inverse(self, slope: Array) -> Array:
        """Multiply by the approximate inverse Hessian (two loops, all problems at once)."""
        metric, out = self._metric(), slope.copy()
        pairs = []
        scale = np.ones(len(slope))
        for step, change in zip(self.steps, self.changes, strict=True):
            curvature = (step * change).sum((1, 2))
            size = (change * metric * change).sum((1, 2))
            usable = curvature > 1e-10 * np.maximum(size, np.finfo(float).tiny)
            inverse = np.divide(1.0, curvature, out=np.zeros_like(curvature), where=usable)
            scale = np.where(usable, np.divide(curvature, size, out=scale.copy(), where=size > 0), scale)
            pairs.append((step, change, inverse))
        shares = []
        for step, change, inverse in reversed(pairs):
            share = inverse * (step * out).sum((1, 2))
            out -= share[:, None, None] * change
            shares.append(share)
        out *= metric * scale[:, None, None]
        for (step, change, inverse), share in zip(pairs, reversed(shares), strict=True):
            out += (share - inverse * (change * out).sum((1, 2)))[:, None, None] * step
        return out


def _coefficients(theta: Array) -> Array:
    """The same with zeros for the intercept, which is not penalized."""
    out = theta.copy()
    out[:, -1] = 0.0
    return out
