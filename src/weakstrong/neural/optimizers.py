"""Optimizers of the weights of many networks at once: Muon, and PyTorch's Adam and gradient descent."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from weakstrong.neural.training import Training

Step = Callable[[float], None]

_NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)  # coefficients of Jordan's quintic iteration


def steps_of(training: Training, weights: Tensor) -> Step:
    """Return the function that makes a step at a rate, with the optimizer that the settings name.

    Parameters
    ----------
    training : Training
    weights : Tensor
        Changed by every step, along its gradient.
    """
    if training.optimizer == "muon":
        return muon(weights, training.momentum)
    adam, beta = training.optimizer == "adam", training.momentum
    optimizer: torch.optim.Optimizer = (
        torch.optim.Adam([weights], training.rate, (beta, 0.999), fused=True)
        if adam
        else torch.optim.SGD([weights], training.rate, beta)
    )

    def step(rate: float) -> None:
        optimizer.param_groups[0]["lr"] = rate
        optimizer.step()

    return step


def muon(weights: Tensor, momentum: float) -> Step:
    """Return steps along the momentum of each matrix, its singular values set to about one [1]_.

    Unlike PyTorch's Muon it takes many matrices at once, in a tensor of shape (..., rows, columns).

    Parameters
    ----------
    weights : Tensor
    momentum : float
        Share of the past in the running mean of gradients; a step looks ahead (Nesterov).

    References
    ----------
    .. [1] Jordan et al., "Muon: an optimizer for hidden layers in neural networks" (2024).
    """
    mean = torch.zeros_like(weights)

    def step(rate: float) -> None:
        assert weights.grad is not None
        mean.lerp_(weights.grad, 1 - momentum)
        ahead = torch.lerp(mean, weights.grad, 1 - momentum)
        weights.sub_(orthogonalized(ahead), alpha=rate)

    return step


def orthogonalized(matrices: Tensor) -> Tensor:
    """Move the singular values of matrices to about one, by Newton-Schulz iterations."""
    a, b, c = _NEWTON_SCHULZ
    x = matrices.flatten(0, 1).mT
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-12)
    for _ in range(5):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT.view_as(matrices)
