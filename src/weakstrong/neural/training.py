"""How representations are trained."""

from __future__ import annotations

from dataclasses import dataclass

_WARM_UP = 0.05  # share of the steps in which the rate rises


@dataclass(frozen=True)
class Training:
    """How a representation is trained.

    Parameters
    ----------
    steps : int
        Gradient steps.
    batch : int
        Rows a step, drawn from all T·n.
    rate : float
        Largest step: the spectral norm, about, of a step of each layer's weights.
    momentum : float
        Share of the past in the running mean of gradients; a step looks ahead (Nesterov).
    weight_decay : float
        Share of weights and biases, times the rate, that a step takes away.
    """

    steps: int
    batch: int
    rate: float
    momentum: float
    weight_decay: float

    def rate_at(self, step: int) -> float:
        """Rate of a step: a linear rise over the first twentieth, then a linear fall to zero at the last."""
        done = (step + 1) / self.steps
        return self.rate * (done / _WARM_UP if done < _WARM_UP else (1 - done) / (1 - _WARM_UP))
