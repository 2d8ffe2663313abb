"""Projection of class labels onto the mixtures of given probabilities, exact and with a certificate."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq

from weakstrong.arrays import real_array, refuse_no_weight, row_blocks, row_weights
from weakstrong.class_labels import class_labels
from weakstrong.errors import InputError, quoted
from weakstrong.mixture_losses import MIXTURE_LOSSES, STEEPEST, MixtureLoss
from weakstrong.projection import nearest_in_hull

Array = NDArray[np.float64]

_TARGET = 2e-12  # gap, in nats, at which it stops
_MOST_STEPS = 100
_LEAST = 1e-12  # what probabilities below it, over all classes of a row, may cost of the gap
_ROUNDINGS = 8.0  # by which sums over rows can be off, of the sizes of their terms
_RIDGE = 4 * float(np.finfo(float).eps)  # of each curvature, for each member: those alike leave H singular
_ALIKE = 1e-14  # singular values, of the largest, below which members are alike


@dataclass(frozen=True, eq=False)
class MixtureProjection:
    """The mixture of given distributions that is nearest to class labels, with a certificate.

    Parameters
    ----------
    alpha : array of shape (m,)
        α >= 0, which sums to one.
    optimality_gap : float
        Bound on ``objective − minimum``, in nats (in squared probabilities for Brier): the Frank-Wolfe gap
        at `alpha`, with what rounding can hide of it.
    objective : float
        What is minimized: for ``"log"`` and ``"brier"`` the misfit.
    passes : int
        How often all members were read.
    """

    alpha: Array
    optimality_gap: float
    objective: float
    passes: int


def project_mixture(
    members: ArrayLike | Sequence[ArrayLike],
    weak: ArrayLike,
    weights: ArrayLike | None = None,
    *,
    divergence: str = "log",
) -> MixtureProjection:
    """Find the mixture of given distributions that is nearest to labels.

    ``argmin_{α >= 0, Σ_j α_j = 1} E_ω D(Σ_j α_j p_j, w)``, D being KL(s‖w), the student first, for
    ``"log"``; KL(w‖s) for ``"cross-entropy"``; ``‖s − w‖²`` for ``"brier"``.

    Parameters
    ----------
    members : array of shape (m, n, c)
        p_j: a distribution over c classes for each row, from each of m members.
    weak : array of shape (n, c)
        w. For ``"log"`` every probability is positive: where it is not, the misfit of any student who gives
        the class a probability is infinite, and `weakstrong.class_labels.smoothed` mends it.
    weights : array of shape (n,), optional
        ω.
    divergence : str
        ``"log"``, ``"cross-entropy"`` or ``"brier"``.

    Returns
    -------
    MixtureProjection

    Raises
    ------
    InputError
        If shapes disagree, rows are no distributions, a label that is to be positive is zero, or, for
        ``"cross-entropy"``, no member gives a probability to what a label holds possible.

    Notes
    -----
    The set of mixtures is convex as a set of distributions. Let s be the minimizer, y the truth of each row
    and G the gain ``E KL(y‖w) − E KL(y‖s)``. If y is a mixture,

    - ``"log"``: ``G >= E KL(s‖w)``: Theorem 1 (Mulgund and Pabbaraju, arXiv 2501.19105);
    - ``"cross-entropy"``: ``G >= 0``, and with a gap g of the solver ``G >= −log(1 + g)``: a gain, but not of
      the size of the misfit.

    Newton's method on the simplex: each step goes towards the minimum of the second-order model over the
    simplex, as far as the objective falls, and takes O(n m c + n c m²). Where rounding stops that, steps
    towards single members take turns with it.
    """
    problem = _problem(members, weak, weights, divergence)
    alpha = np.full(len(problem.members), 1 / len(problem.members))
    best: tuple[float, Array, Array] | None = None
    passes = since_best = 0
    for step in range(_MOST_STEPS):
        at = _at(problem, alpha)
        passes += 1
        since_best += 1
        if best is None or at.gap < best[0]:
            best, since_best = (at.gap, alpha, at.mixed), 0
        if at.gap <= _TARGET:
            break
        # Ways that fail in rounding do not fail on the same problems: they take turns.
        along = _to_vertex(at, alpha) if since_best % 2 else _towards(at, alpha, refined=step % 2 == 1)
        change = _mixed(problem, along)
        passes += 1
        alpha = np.maximum(alpha + _step(problem, at.mixed, change) * along, 0.0)
        alpha /= alpha.sum()
    assert best is not None
    gap, alpha, mixed = best
    objective = problem.omega @ problem.loss.value(mixed, problem.weak)
    return MixtureProjection(alpha, gap, float(objective), passes)


class _Problem(NamedTuple):
    """Members (m, n, c), labels (n, c), weights (n,) that sum to one, and what is to be minimized."""

    members: Array
    weak: Array
    omega: Array
    loss: MixtureLoss
    least: float

    def blocks(self) -> list[slice]:
        """Rows to read at a time."""
        m, n, c = self.members.shape
        return list(row_blocks(n, m * c))


class _At(NamedTuple):
    """A mixture's predictions (n, c), with the gradient (m,), Hessian (m, m) and certificate there."""

    mixed: Array
    gradient: Array
    hessian: Array
    gap: float


def _problem(members: Any, weak: Any, weights: Any, divergence: str) -> _Problem:
    """Check what is to be projected onto what; rows of weight zero are left out."""
    if not isinstance(divergence, str) or divergence not in MIXTURE_LOSSES:
        raise InputError(
            f"divergence={quoted(divergence)}: give one of {', '.join(MIXTURE_LOSSES)}", "divergence"
        )
    w = distributions(weak, "weak")
    if len(members) == 0:
        raise InputError("members: there is none; give the probabilities (n, c) of one at least")
    named = [(f"members[{j}]", p) for j, p in enumerate(members)]
    points = np.stack([distributions(p, name, w.shape) for name, p in named])
    omega = np.ones(len(w)) if weights is None else row_weights(weights, len(w), "weights")
    refuse_no_weight(omega, "weights")
    loss = MIXTURE_LOSSES[divergence]
    _refuse_infinite_loss(loss.infinite(w, points) & (omega > 0)[:, None], loss)
    kept = omega > 0
    if not kept.all():
        points, w, omega = points[:, kept], w[kept], omega[kept]
    omega = omega / omega.max()
    return _Problem(points, w, omega / omega.sum(), loss, _LEAST / w.shape[1])


def _refuse_infinite_loss(found: NDArray[np.bool_], loss: MixtureLoss) -> None:
    """Refuse labels that no mixture, or not every one, has a finite loss on."""
    if found.any():
        row, column = np.argwhere(found)[0].tolist()
        raise InputError(f"weak: row {row}, column {column} (counted from 0) {loss.remedy}")


def distributions(values: Any, name: str, shape: tuple[int, ...] | None = None) -> Array:
    """Return distributions over classes, (n, c), each divided by its sum; a shape is one to agree with.

    Raises
    ------
    InputError
        If a row is empty or no distribution, or the shape is another.
    """
    array = real_array(values, name)
    if array.ndim != 2 or (shape is not None and array.shape != shape):
        expected = "(n, c)" if shape is None else f"{shape}, as the labels have"
        raise InputError(f"{name} has shape {array.shape}; give probabilities of shape {expected}")
    labels = class_labels(array, name, range(array.shape[1]))
    if not labels.labelled.all():
        row = int(np.argmin(labels.labelled))
        raise InputError(f"{name}: row {row} (counted from 0) is empty; fill it in or leave the row out")
    return labels.values


def _mixed(problem: _Problem, alpha: Array) -> Array:
    """Compute ``Σ_j α_j p_j``, shape (n, c)."""
    return np.tensordot(alpha, problem.members, axes=1)


def _at(problem: _Problem, alpha: Array) -> _At:
    """Compute all that a step needs, in one pass over the members.

    With f the objective, f̃ <= f what the slopes belong to and g its gradient, convexity gives
    ``f(α) − min f <= f(α) − f̃(α) + ⟨g, α⟩ − min_j g_j``.
    """
    m, n, c = problem.members.shape
    mixed = np.empty((n, c))
    gradient, size, hessian = np.zeros(m), np.zeros(m), np.zeros((m, m))
    for rows in problem.blocks():
        points = problem.members[:, rows].reshape(m, -1)
        mixed[rows] = (alpha @ points).reshape(-1, c)
        at = mixed[rows], problem.weak[rows], problem.least
        omega = problem.omega[rows, None]
        slope = (omega * problem.loss.slope(*at)).ravel()
        gradient += points @ slope
        size += points @ np.abs(slope)
        hessian += (points * (omega * problem.loss.curvature(*at)).ravel()) @ points.T
    above = problem.omega @ problem.loss.above_tangent(mixed, problem.least)
    rounding = _ROUNDINGS * np.finfo(float).eps * size.max()
    gap = max(float(gradient @ alpha - gradient.min()), 0.0) + above + rounding
    return _At(mixed, gradient, hessian, float(gap))


def _towards(at: _At, alpha: Array, refined: bool) -> Array:
    """Return the way to the minimum over the simplex of the second-order model, else to a vertex.

    With ``H = RᵀR``, ``⟨g, β − α⟩ + ½ ‖R (β − α)‖²`` is half of ``‖R β − b‖²`` with ``b = R α − R⁻ᵀ g``, but
    for a constant: the point nearest to b of a hull. It says which members take part; a linear system says
    more exactly with which α, where they are alike or of very unlike curvature.
    """
    slope = at.gradient - at.gradient @ alpha  # along the simplex the same, and its rounding is less
    diagonal = np.diag(at.hessian)
    ridge = _RIDGE * len(alpha) * np.where(diagonal > 0, diagonal, diagonal.max())
    try:
        root = np.linalg.cholesky(at.hessian + np.diag(ridge))  # Rᵀ
        away = root.T @ alpha - np.linalg.solve(root, at.gradient)
        nearest = nearest_in_hull(root.T - away[:, None])[0]
        along = _on_face(at.hessian, slope, nearest > 0, alpha) if refined else nearest - alpha
        along[alpha.argmax()] -= along.sum()
        if slope @ along < 0:
            return np.asarray(along)
    except (np.linalg.LinAlgError, RuntimeError):  # not definite to rounding, or too many exchanges
        pass
    return _to_vertex(at, alpha)


def _to_vertex(at: _At, alpha: Array) -> Array:
    """Return the way to the member that is best by the gradient."""
    vertex = np.zeros(len(alpha))
    vertex[at.gradient.argmin()] = 1.0
    return vertex - alpha


def _on_face(hessian: Array, slope: Array, face: NDArray[np.bool_], alpha: Array) -> Array:
    """Return the way δ to the minimum of the second-order model among mixtures of some members.

    ``H δ + g = λ 1`` on the face and ``Σ δ = 0``, in units in which H has a diagonal of ones; no further
    than to where an α is zero.
    """
    along = np.where(face, 0.0, -alpha)
    diagonal = np.diag(hessian)[face]
    unit = np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
    row = np.append(1 / unit, 0.0) / np.linalg.norm(1 / unit)
    system = np.zeros((len(row), len(row)))
    system[:-1, :-1] = hessian[np.ix_(face, face)] / unit / unit[:, None]
    system[-1], system[:, -1] = row, row
    right = -np.append((slope + hessian @ along)[face] / unit, along.sum() / np.linalg.norm(1 / unit))
    along[face] = np.linalg.lstsq(system, right, rcond=_ALIKE)[0][:-1] / unit
    down = along < 0
    return along * np.min(alpha[down] / -along[down], initial=1.0)


def _step(problem: _Problem, mixed: Array, change: Array) -> float:
    """Return how far to go along a change of predictions, 1 at most: to where the objective is least."""

    def slope(t: float) -> float:
        s = np.maximum(mixed + t * change, 0.0)
        with np.errstate(invalid="ignore"):
            parts = problem.loss.slope(s, problem.weak, problem.least) * change
        return min(float(problem.omega @ parts.sum(1)), STEEPEST)  # finite, to interpolate

    return _root(slope)


def _root(slope: Callable[[float], float]) -> float:
    """Return the root in [0, 1] of an increasing function, 1 where it stays below zero, else 0."""
    if slope(1.0) <= 0:
        return 1.0
    return float(brentq(slope, 0.0, 1.0, xtol=1e-30, rtol=1e-3, maxiter=200)) if slope(0.0) < 0 else 0.0
