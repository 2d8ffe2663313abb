"""Mixtures of probability heads: the class of heads for which Theorem 1 holds in log loss."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from weakstrong.arrays import row_weights
from weakstrong.errors import InputError
from weakstrong.heads import HeadClass
from weakstrong.projection import nearest_in_hull

Array = NDArray[np.float64]
Loss = Literal["log", "brier", "cross-entropy"]

_MOST_STEPS, _GAP = 100, 1e-10
_TINY = 1e-300  # in place of a zero whose logarithm is taken
_ROUNDING = 1e-13  # of the Hessian's size, added so that it has a factor


@dataclass(frozen=True, eq=False)
class Mixtures(HeadClass):
    """The class of mixtures of m given probability heads, ``{Σ_j α_j p_j(x) : α >= 0, Σ_j α_j = 1}``.

    It is convex as a set of distributions. So the projection by ``E KL(s ‖ w)`` has Theorem 1 in log loss
    (Mulgund and Pabbaraju 2025): if P(class | x) is in it, ``gain >= misfit``, if it was fixed before the
    weak labels were seen.

    Parameters
    ----------
    members : sequence of callables or classifiers
        Functions of features (n, d) to probabilities (n, c), or fitted classifiers with ``predict_proba``,
        the classes of all in one order.
    """

    members: Sequence[Any]

    def __post_init__(self) -> None:
        if isinstance(self.members, str) or not isinstance(self.members, Sequence) or not self.members:
            raise InputError("Mixtures needs a list of at least one probability head")
        for place, member in enumerate(self.members):
            if not callable(member) and not hasattr(member, "predict_proba"):
                raise InputError(f"member {place} of Mixtures is neither a function nor has predict_proba")

    def say(self, features: Any) -> Array:
        """Return what every member says, (m, n, c)."""
        functions: list[Callable[[Any], Any]] = [getattr(m, "predict_proba", m) for m in self.members]
        said = [np.asarray(function(features), dtype=np.float64) for function in functions]
        if len({values.shape for values in said}) > 1:
            raise InputError(f"members of Mixtures say arrays of shapes {[values.shape for values in said]}")
        return np.stack(said)


@dataclass(frozen=True, eq=False)
class MixtureProjection:
    """The mixture nearest to weak labels, and how far from the nearest it can be.

    Parameters
    ----------
    shares : array of shape (m,)
        α.
    error : float
        What was minimized, on the rows given.
    optimality_gap : float
        Its Frank-Wolfe gap, which bounds the excess over the least: in nats, or of a Brier score.
    steps : int
    """

    shares: Array
    error: float
    optimality_gap: float
    steps: int


def project_mixture(
    said: Array, weak: Array, weights: Array | None = None, *, loss: Loss = "log"
) -> MixtureProjection:
    """Project weak labels onto the mixtures of what some heads say.

    ``argmin_α E_ω KL(Σ_j α_j p_j ‖ w)`` (``log``), ``E_ω ‖Σ_j α_j p_j − w‖²`` (``brier``) or, plain
    cross entropy, ``−E_ω Σ_c w_c log Σ_j α_j p_jc``. Newton's steps, each a projection onto the simplex,
    until the Frank-Wolfe gap ``max_j ⟨∇, α − e_j⟩`` is 1e-10.

    Parameters
    ----------
    said : array of shape (m, n, c)
        Probabilities.
    weak : array of shape (n, c)
        Of full support for ``log``.
    weights : array of shape (n,), optional
    loss : {"log", "brier", "cross-entropy"}

    Raises
    ------
    InputError
        If shapes disagree, or a weak label has a zero and the loss is ``log``.
    """
    if said.ndim != 3 or weak.shape != said.shape[1:]:
        raise InputError(f"heads say {said.shape}, (m, n, c), and weak labels have shape {weak.shape}")
    if loss == "log" and not (weak > 0).all():
        row = int((~(weak > 0)).any(1).argmax())
        raise InputError(
            f"weak: row {row} (counted from 0) gives a class no probability, which no mixture is near to in "
            "log loss; mix labels with the uniform distribution first"
        )
    n = len(weak)
    omega = np.full(n, 1 / n) if weights is None else row_weights(weights, n) / np.sum(weights)
    shares = np.full(len(said), 1 / len(said))
    value, gradient, hessian = _derivatives(shares, said, weak, omega, loss)
    done = 0
    while done < _MOST_STEPS:
        gap = float(gradient @ shares - gradient.min())
        if gap <= _GAP:
            break
        target = _newton_target(shares, gradient, hessian)
        size, descent = 1.0, float(gradient @ (target - shares))
        if -descent <= 0:  # rounding: go to the best vertex instead
            target = np.eye(len(shares))[gradient.argmin()]
            descent = -gap
        while True:
            tried = (1 - size) * shares + size * target
            found = _derivatives(tried, said, weak, omega, loss)
            rounding = 4 * np.finfo(float).eps * abs(value)
            if found[0] <= value + 1e-4 * size * descent + rounding or size < 1e-8:
                break
            size /= 2
        if size < 1e-8:
            break
        shares, (value, gradient, hessian) = tried, found
        done += 1
    return MixtureProjection(shares, value, max(float(gradient @ shares - gradient.min()), 0.0), done)


def _derivatives(
    shares: Array, said: Array, weak: Array, omega: Array, loss: Loss
) -> tuple[float, Array, Array]:
    """Value, gradient and Hessian in the shares, in one pass over the rows."""
    mixed = np.einsum("j,jnc->nc", shares, said)
    safe = np.maximum(mixed, _TINY)
    if loss == "log":
        ratio = np.log(safe) - np.log(weak)
        value, slope, curvature = (mixed * ratio).sum(1), ratio + 1, 1 / safe
    elif loss == "brier":
        value, slope = ((mixed - weak) ** 2).sum(1), 2 * (mixed - weak)
        curvature = np.full_like(mixed, 2.0)
    else:
        value, slope, curvature = -(weak * np.log(safe)).sum(1), -weak / safe, weak / safe**2
    flat = said.reshape(len(said), -1)
    scaled = flat * (omega[:, None] * curvature).ravel()
    return float(omega @ value), flat @ (omega[:, None] * slope).ravel(), scaled @ flat.T


def _newton_target(shares: Array, gradient: Array, hessian: Array) -> Array:
    """The least of the quadratic model in the simplex, as the nearest point of a hull."""
    size = np.trace(hessian) / len(hessian)
    values, vectors = np.linalg.eigh(hessian)
    root = np.sqrt(np.maximum(values, _ROUNDING * max(size, _TINY)))
    factor = root[:, None] * vectors.T  # factorᵀ factor = the Hessian
    centre = factor @ shares - (vectors.T @ gradient) / root
    return nearest_in_hull(factor - centre[:, None])[0]
