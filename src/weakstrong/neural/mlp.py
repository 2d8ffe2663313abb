"""ReLU networks as representations, stored in plain arrays."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
Initialization = Literal["uniform", "he", "near-identity"]

_MIXING = 0.3  # near-identity: share of the weights that is random


@dataclass(frozen=True, eq=False)
class MLP:
    """A ReLU network ``h(x) = W_Lᵀ relu(… relu(W_1ᵀ x + b_1) …) + b_L``, a representation R^d0 -> R^dL.

    Parameters
    ----------
    weights : tuple of arrays of shape (d_{l-1}, d_l)
        W_l.
    biases : tuple of arrays of shape (d_l,)
        b_l.
    output_relu : bool
        Whether the last layer has a ReLU as well.
    """

    weights: tuple[Array, ...]
    biases: tuple[Array, ...]
    output_relu: bool = False

    @property
    def depth(self) -> int:
        """Number L of layers."""
        return len(self.weights)

    def transform(self, X: ArrayLike) -> Array:
        """Return features of shape (..., d_L) for inputs of shape (..., d_0), in float64."""
        h = np.asarray(X, dtype=np.float64)
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True), start=1):
            h = h @ weight
            h += bias
            if layer < self.depth or self.output_relu:
                np.maximum(h, 0, out=h)
        return h

    def scaled(self, inputs: float, outputs: float) -> MLP:
        """Return the network ``x -> outputs · h(inputs · x)``, its inputs and outputs rescaled."""
        weights, biases = list(self.weights), list(self.biases)
        weights[0] = weights[0] * inputs
        weights[-1], biases[-1] = weights[-1] * outputs, biases[-1] * outputs
        return MLP(tuple(weights), tuple(biases), self.output_relu)

    def perturbed(self, sigma: float, rng: np.random.Generator) -> MLP:
        """Add N(0, sigma²) noise to every weight of a copy; biases stay the same (Section 5.1, (2))."""
        noisy = tuple(w + sigma * rng.standard_normal(w.shape) for w in self.weights)
        return MLP(noisy, self.biases, self.output_relu)


def random_mlp(
    rng: np.random.Generator,
    widths: tuple[int, ...],
    initialization: Initialization = "uniform",
    *,
    output_relu: bool = False,
) -> MLP:
    """Draw a network with random weights.

    Parameters
    ----------
    rng : Generator
    widths : tuple of int
        ``(d_0, ..., d_L)``.
    initialization : {"uniform", "he", "near-identity"}
        ``"uniform"``: weights and biases uniform in ±1/√fan_in, as PyTorch's linear layers start.
        ``"he"``: N(0, 2/fan_in), no biases [1]_. ``"near-identity"``: square layers are
        ``√(1−μ²) I + μ G`` with G as in ``"he"`` and μ = 0.3, so that deep narrow networks lose
        neither the signal nor its rank; biases N(0, 0.5²) in the first layer, N(0, 0.1²) above.
    output_relu : bool
        Whether the last layer has a ReLU as well.

    References
    ----------
    .. [1] He, Zhang, Ren and Sun, "Delving Deep into Rectifiers" (2015).
    """
    weights, biases = [], []
    for layer, (fan_in, fan_out) in enumerate(pairwise(widths)):
        if initialization == "uniform":
            bound = 1 / np.sqrt(fan_in)
            weights.append(rng.uniform(-bound, bound, (fan_in, fan_out)))
            biases.append(rng.uniform(-bound, bound, fan_out))
            continue
        weight = rng.standard_normal((fan_in, fan_out)) * np.sqrt(2 / fan_in)
        bias = np.zeros(fan_out)
        if initialization == "near-identity":
            if fan_in == fan_out:
                weight = np.sqrt(1 - _MIXING**2) * np.eye(fan_in) + _MIXING * weight
            bias = rng.standard_normal(fan_out) * (0.1 if layer else 0.5)
        weights.append(weight)
        biases.append(bias)
    return MLP(tuple(weights), tuple(biases), output_relu)
