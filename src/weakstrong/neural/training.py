"""Settings of gradient descent with which representations are trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Optimizer = Literal["muon", "adam", "sgd"]
Schedule = Literal["linear", "constant"]
Units = Literal["scaled", "raw"]

_WARM_UP = 0.05  # share of the steps in which a linear schedule's rate rises


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
        Largest learning rate. Muon's is about the spectral norm of a step of each layer's weights.
    momentum : float
        Share of the past in the running mean of gradients: of Muon, whose step looks ahead (Nesterov), and of
        Adam (its β₁). Of ``sgd`` it is PyTorch's: the share of the last step that the next one repeats.
    weight_decay : float
        Each step takes away this share, times the rate, of weights and biases.
    optimizer : {"muon", "adam", "sgd"}
        The step that is made of a gradient.
    schedule : {"linear", "constant"}
        ``linear``: the rate rises for a twentieth of the steps, then falls to zero. ``constant``: it stays.
    units : {"scaled", "raw"}
        Whether inputs, labels and features are brought to size one for the training, or left as they are.
    """

    steps: int
    batch: int
    rate: float
    momentum: float
    weight_decay: float
    optimizer: Optimizer = "muon"
    schedule: Schedule = "linear"
    units: Units = "scaled"

    def rate_at(self, step: int) -> float:
        """Return the rate of a step, by the schedule."""
        if self.schedule == "constant":
            return self.rate
        done = (step + 1) / self.steps
        return self.rate * (done / _WARM_UP if done < _WARM_UP else (1 - done) / (1 - _WARM_UP))
