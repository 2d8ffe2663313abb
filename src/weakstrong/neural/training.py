"""Settings of gradient descent with which representations are trained."""

from __future__ import annotations

from dataclasses import dataclass

_WARM_UP = 0.05  # share of the steps in which the rate rises


@dataclass(frozen=True)
class Training:
    """The settings with which a representation is trained.

    Parameters
    ----------
    steps : int
        Number of gradient steps.
    batch : int
        Rows per step, drawn from all T·n.
    rate : float
        Largest learning rate, which is about the spectral norm of a step of each layer's weights.
    momentum : float
        Share of the past in the running mean of gradients; a step looks ahead (Nesterov).
    weight_decay : float
        Each step takes away this share, times the rate, of weights and biases.
    """

    steps: int
    batch: int
    rate: float
    momentum: float
    weight_decay: float

    def rate_at(self, step: int) -> float:
        """Return the rate of a step, which rises linearly for a twentieth and then falls linearly to zero."""
        done = (step + 1) / self.steps
        return self.rate * (done / _WARM_UP if done < _WARM_UP else (1 - done) / (1 - _WARM_UP))
