"""Fitting of heads by gradient descent (torch), as in the paper."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from weakstrong.neural.neural_heads import HeadKind, NeuralHead, random_heads

Array = NDArray[np.float64]

Activation = Callable[[Tensor], Tensor]

_ACTIVATIONS: dict[str, Activation] = {
    "linear": lambda z: z,
    "tanh": torch.tanh,
    "relu": torch.relu,
    "sigmoid": torch.sigmoid,
    "mlp": torch.relu,
}


_PARTS = ("coef", "bias", "outer")


@dataclass(frozen=True)
class Descent:
    """Settings of gradient descent: Adam on minibatches, at a rate that falls linearly to zero.

    One setting serves every head.

    Parameters
    ----------
    steps : int
    batch : int
        Rows in a step, approximately: the rows are divided into parts of equal size.
    rate : float
        Initial rate, for features scaled to root mean square one, and labels too where the class has
        no scale of its own (``linear``, ``relu``).
    starts : int
        Number of random starts for each head; the result with the least training loss is kept.
    """

    steps: int
    batch: int
    rate: float
    starts: int


def fit_heads(
    kind: HeadKind, features: Array, labels: Array, descent: Descent, rng: np.random.Generator
) -> NeuralHead:
    """Minimize ``1/n Σ_j (f(z_j) − y_j)²`` over heads f by gradient descent, for M tasks as one batch.

    Parameters
    ----------
    kind : str
    features : array of shape (M, n, d)
    labels : array of shape (M, n)
    descent : Descent
    rng : Generator
        Draws the initial weights and the order of the rows.

    Returns
    -------
    NeuralHead
        The heads at which the descent ended: for the kinds that are not convex, near a local solution
        at best.
    """
    n_heads, n_rows, width = features.shape
    size = _positive(np.sqrt((features**2).mean(1)))
    first = random_heads(kind, descent.starts * n_heads, width, 1 / np.sqrt(width), rng)
    unit = _positive(np.sqrt((labels**2).mean(1))) if first.homogeneous else np.ones(n_heads)
    order = rng.permutation(n_rows)
    z, y = (features / size[:, None])[:, order], (labels / unit[:, None])[:, order]
    heads = _descend(first, z, y, descent)
    ends = [
        NeuralHead(kind, coef / size[..., None] * unit[:, None, None], bias, outer)
        for coef, bias, outer in zip(*(np.split(p, descent.starts) for p in heads), strict=True)
    ]
    loss = np.stack([((end(features) - labels) ** 2).mean(1) for end in ends])
    best = loss.argmin(0)
    return NeuralHead(
        kind,
        *(np.stack([getattr(e, part) for e in ends])[best, np.arange(n_heads)] for part in _PARTS),
    )


def _descend(first: NeuralHead, features: Array, labels: Array, descent: Descent) -> list[Array]:
    """Run the descents from all starts side by side; return final coefficients, biases and outer weights."""
    parts = [torch.from_numpy(getattr(first, p)).float().requires_grad_() for p in _PARTS]
    count = max(features.shape[1] // descent.batch, 1)
    lots = [
        (torch.from_numpy(z).float(), torch.from_numpy(y).float())
        for z, y in zip(np.array_split(features, count, 1), np.array_split(labels, count, 1), strict=True)
    ]
    if first.kind == "mlp":
        lots = [(z.repeat(descent.starts, 1, 1), y.repeat(descent.starts, 1)) for z, y in lots]
        free, loss = parts, partial(_loss_of_layers, _ACTIVATIONS[first.kind], parts)
    else:
        # All starts of a task see its rows in one product, which is as fast again as one for each.
        lots = [(z.mT.contiguous(), y[:, None]) for z, y in lots]
        coef = parts[0].detach().view(descent.starts, *features.shape[::2]).transpose(0, 1).contiguous()
        free = [coef.requires_grad_()]
        loss = partial(_loss_of_units, _ACTIVATIONS[first.kind], coef)
    optimizer = torch.optim.Adam(free, lr=descent.rate, fused=True)
    decay = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, descent.steps)
    for step in range(descent.steps):
        optimizer.zero_grad()
        torch.autograd.backward(loss(*lots[step % count]))
        optimizer.step()
        decay.step()
    if first.kind != "mlp":
        parts[0] = free[0].transpose(0, 1).reshape(parts[0].shape)
    return [p.detach().double().numpy() for p in parts]


def _loss_of_units(activation: Activation, coef: Tensor, z: Tensor, y: Tensor) -> Tensor:
    """Compute the loss of heads of one unit, coefficients (M, starts, d), on rows (M, d, batch)."""
    return (activation(torch.bmm(coef, z)) - y).square().mean(-1).sum()


def _loss_of_layers(activation: Activation, parts: list[Tensor], z: Tensor, y: Tensor) -> Tensor:
    """Compute the loss of heads with a hidden layer, (starts · M) of them, each on rows (batch, d)."""
    coef, bias, outer = parts
    outputs = (activation(torch.baddbmm(bias[:, None], z, coef)) * outer[:, None]).sum(-1)
    return (outputs - y).square().mean(-1).sum()


def apply_by_row(kind: HeadKind, z: Tensor, heads: tuple[Tensor, Tensor, Tensor], which: Tensor) -> Tensor:
    """Return predictions (...) for rows (..., d) that each have a head of their own.

    `heads` are coef (T, d, k), bias and outer (T, k); `which` (...) names the head of each row.
    """
    coef, bias, outer = heads
    if coef.shape[-1] == 1:  # one hidden unit: bias zero, outer weight one
        return _ACTIVATIONS[kind]((z * coef[..., 0][which]).sum(-1))
    inside = (z[..., None] * coef[which]).sum(-2) + bias[which]
    return (_ACTIVATIONS[kind](inside) * outer[which]).sum(-1)


def _positive(sizes: Array) -> Array:
    """Return sizes to divide by, with one in place of zero."""
    return np.where(sizes > 0, sizes, 1.0)
