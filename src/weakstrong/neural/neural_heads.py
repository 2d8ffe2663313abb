"""Heads with a nonlinearity or one hidden layer, whose classes are not convex."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

Array = NDArray[np.float64]
HeadKind = Literal["linear", "tanh", "relu", "sigmoid", "mlp"]

MLP_UNITS = 16

_ACTIVATIONS: dict[str, Callable[[Array], Any]] = {
    "linear": lambda z: z,
    "tanh": np.tanh,
    "relu": lambda z: np.maximum(z, 0),
    "sigmoid": expit,
    "mlp": lambda z: np.maximum(z, 0),
}
_HOMOGENEOUS = ("linear", "relu")


@dataclass(frozen=True, eq=False)
class NeuralHead:
    """Independent heads ``f(z) = Σ_j a_j φ(zᵀ w_j + b_j)`` side by side, with the nonlinearity φ of a kind.

    ``linear``, ``tanh``, ``relu`` and ``sigmoid`` have one hidden unit, with a = 1 and b = 0: a linear
    map followed by the nonlinearity. ``mlp`` is one hidden layer of ReLU units. Only ``linear`` is a
    convex class.

    Parameters
    ----------
    kind : {"linear", "tanh", "relu", "sigmoid", "mlp"}
    coef : array of shape (..., d, k)
        w_j.
    bias, outer : array of shape (..., k)
        b_j and a_j.
    """

    kind: HeadKind
    coef: Array
    bias: Array
    outer: Array

    @property
    def homogeneous(self) -> bool:
        """True if ``f(c z) = c f(z)`` for all c > 0."""
        return self.kind in _HOMOGENEOUS

    def __call__(self, features: ArrayLike) -> Array:
        """Return predictions (..., n) for features (..., n, d), in float64."""
        inside = np.asarray(features, dtype=np.float64) @ self.coef + self.bias[..., None, :]
        out: Array = (_ACTIVATIONS[self.kind](inside) * self.outer[..., None, :]).sum(-1)
        return out


def random_heads(
    kind: HeadKind, n_heads: int, n_features: int, scale: float, rng: np.random.Generator
) -> NeuralHead:
    """Draw random heads with w ~ N(0, scale² I), and for ``mlp`` also a ~ N(0, 2/k) and b ~ N(0, 1)."""
    units = MLP_UNITS if kind == "mlp" else 1
    coef = scale * rng.standard_normal((n_heads, n_features, units))
    if kind != "mlp":
        return NeuralHead(kind, coef, np.zeros((n_heads, 1)), np.ones((n_heads, 1)))
    bias = rng.standard_normal((n_heads, units))
    return NeuralHead(kind, coef, bias, np.sqrt(2 / units) * rng.standard_normal((n_heads, units)))
