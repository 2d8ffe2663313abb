"""Representations learnt from several known tasks, by equation (9) of the paper (torch)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from weakstrong.neural.gradient_heads import apply_by_row
from weakstrong.neural.mlp import MLP
from weakstrong.neural.neural_heads import HeadKind, NeuralHead
from weakstrong.neural.optimizers import steps_of
from weakstrong.neural.training import Training

Array = NDArray[np.float64]

_INDEX_STEPS = 250  # steps whose rows are drawn at once


@dataclass(frozen=True, eq=False)
class MultitaskSample:
    """Inputs and labels of T known tasks: the data of equation (9).

    Parameters
    ----------
    inputs : array of shape (T, n, d)
        x_j^(t).
    labels : array of shape (T, n)
        y_j^(t) = f^(t)∘h*(x_j^(t)).
    heads : NeuralHead
        The tasks f^(1), …, f^(T), frozen.
    """

    inputs: Array
    labels: Array
    heads: NeuralHead


def pretrain(
    samples: Sequence[MultitaskSample],
    initial: Sequence[MLP],
    generators: Sequence[np.random.Generator],
    training: Training,
    advance: Callable[[int], None] = lambda _: None,
    *,
    watch: Callable[[list[MLP]], None] | None = None,
) -> list[MLP]:
    """Learn networks h from known tasks by gradient descent, as in equation (9).

    Each one minimizes ``1/(T n) Σ_t Σ_j (f^(t)∘h(x_j^(t)) − y_j^(t))²``. Several networks of one
    shape are trained side by side as one batch, each on a sample of its own; none depends on the others.
    `weakstrong.neural.optimizers` makes the steps.

    Parameters
    ----------
    samples, initial, generators : sequences of equal length
        Data, initial weights and order of the rows for each network.
    training : Training
    advance : callable
        Called with the number of steps made since its last call.
    watch : callable, optional
        Called with copies of the networks as they stand, each time after `advance`.

    Returns
    -------
    list of MLP
    """
    data = _Stacked.of(samples, scaled=training.units == "scaled")
    shape = _Shape.of(initial[0])
    weights = shape.stacked(initial)
    make_step = steps_of(training, weights)

    def networks() -> list[MLP]:
        return [data.unscaled(shape.network(weights[:, i]), i) for i in range(len(samples))]

    for start in range(0, training.steps, _INDEX_STEPS):
        steps = range(start, min(start + _INDEX_STEPS, training.steps))
        drawn = data.draw(generators, len(steps), training.batch)
        for step, rows in zip(steps, drawn, strict=True):
            weights.grad = _gradient(weights, shape, data, rows)
            rate = training.rate_at(step)
            weights.mul_(1 - rate * training.weight_decay)
            make_step(rate)
        advance(len(steps))
        if watch is not None:
            watch(networks())
    return networks()


def relative_loss(representation: MLP, sample: MultitaskSample) -> float:
    """Compute the objective of equation (9), relative to the variance of the labels within their task."""
    missed = sample.heads(representation.transform(sample.inputs)) - sample.labels
    return float((missed**2).mean() / sample.labels.var(axis=1).mean())


@dataclass(frozen=True, eq=False)
class _Stacked:
    """The samples of several networks in one set of rows, rescaled to sizes of about one if asked to."""

    inputs: Tensor  # (rows of all samples, d)
    labels: Tensor  # (rows,)
    task: Tensor  # (rows,), counted over all samples
    heads: tuple[Tensor, Tensor, Tensor]  # coef, bias, outer of all tasks
    kind: HeadKind
    starts: list[int]  # first row of each sample
    sizes: list[int]
    input_size: list[float]
    feature_size: list[float]

    @classmethod
    def of(cls, samples: Sequence[MultitaskSample], *, scaled: bool = True) -> _Stacked:
        inputs, labels, task, heads, input_size, feature_size = [], [], [], [], [], []
        n_tasks = 0
        for sample in samples:
            tasks, rows = sample.labels.shape
            units = _units(sample) if scaled else (1.0, 1.0, 1.0)
            label_size = units[1]
            input_size.append(units[0])
            feature_size.append(units[2])
            inputs.append(sample.inputs.reshape(tasks * rows, -1) / input_size[-1])
            labels.append(sample.labels.ravel() / label_size)
            task.append(n_tasks + np.repeat(np.arange(tasks), rows))
            coef = sample.heads.coef * feature_size[-1] / label_size
            heads.append((coef, sample.heads.bias, sample.heads.outer))
            n_tasks += tasks
        sizes = [len(y) for y in labels]
        stacked = (torch.from_numpy(np.concatenate(parts)).float() for parts in zip(*heads, strict=True))
        coef_, bias, outer = stacked
        return cls(
            torch.from_numpy(np.concatenate(inputs)).float(),
            torch.from_numpy(np.concatenate(labels)).float(),
            torch.from_numpy(np.concatenate(task)),
            (coef_, bias, outer),
            samples[0].heads.kind,
            [sum(sizes[:i]) for i in range(len(sizes))],
            sizes,
            input_size,
            feature_size,
        )

    def draw(self, generators: Sequence[np.random.Generator], steps: int, batch: int) -> Tensor:
        """Draw rows for several steps, shape (steps, networks, batch), with one generator per network."""
        drawn = [
            start + rng.integers(size, size=(steps, batch))
            for rng, start, size in zip(generators, self.starts, self.sizes, strict=True)
        ]
        return torch.from_numpy(np.stack(drawn, axis=1))

    def unscaled(self, network: MLP, index: int) -> MLP:
        """Return a network rescaled to the original units of its sample."""
        return network.scaled(1 / self.input_size[index], self.feature_size[index])


def _units(sample: MultitaskSample) -> tuple[float, float, float]:
    """Compute the sizes of inputs, labels and features that training divides by."""
    label_size = _size(sample.labels) if sample.heads.homogeneous else 1.0
    # Features of about this size give labels of the right size. A head with one hidden unit has
    # coefficients of norm label / feature; with several, the norm of their sum is as good a guess.
    return _size(sample.inputs), label_size, label_size / _size(sample.heads.coef.sum(-1), axes=1)


def _size(values: Array, axes: int | None = None) -> float:
    """Compute the root mean square of values, or of their norms along an axis; 1 in place of 0."""
    squares = values**2 if axes is None else (values**2).sum(axes)
    return float(np.sqrt(squares.mean())) or 1.0


@dataclass(frozen=True)
class _Shape:
    """The layers of all networks as one tensor (layers, networks, 1 + fan-in, fan-out), padded with zeros.

    The first row is the bias. Padding stays zero, as its gradients are zero.
    """

    widths: tuple[int, ...]
    output_relu: bool

    @classmethod
    def of(cls, network: MLP) -> _Shape:
        widths = (network.weights[0].shape[0], *(w.shape[1] for w in network.weights))
        return cls(widths, network.output_relu)

    def stacked(self, networks: Sequence[MLP]) -> Tensor:
        layers, rows, columns = len(self.widths) - 1, 1 + max(self.widths[:-1]), max(self.widths[1:])
        out = np.zeros((layers, len(networks), rows, columns), dtype=np.float32)
        for place, network in enumerate(networks):
            for layer, (weight, bias) in enumerate(zip(network.weights, network.biases, strict=True)):
                out[layer, place, 0, : len(bias)] = bias
                out[layer, place, 1 : 1 + len(weight), : len(bias)] = weight
        return torch.from_numpy(out)

    def network(self, layers: Tensor) -> MLP:
        arrays = layers.double().numpy()
        fans = list(zip(arrays, self.widths, self.widths[1:], strict=False))
        weights = tuple(a[1 : 1 + fan_in, :fan_out].copy() for a, fan_in, fan_out in fans)
        return MLP(weights, tuple(a[0, :fan_out].copy() for a, _, fan_out in fans), self.output_relu)


def _gradient(weights: Tensor, shape: _Shape, data: _Stacked, rows: Tensor) -> Tensor:
    """Compute the gradient of the loss, which is a mean over rows and a sum over networks."""
    leaves = [w.detach().requires_grad_() for w in weights.unbind()]
    z = data.inputs[rows]
    for layer, (leaf, fan_in, fan_out) in enumerate(
        zip(leaves, shape.widths, shape.widths[1:], strict=False)
    ):
        if layer:
            z = torch.relu(z)
        z = torch.baddbmm(leaf[:, :1, :fan_out], z, leaf[:, 1 : 1 + fan_in, :fan_out])
    if shape.output_relu:
        z = torch.relu(z)
    predictions = apply_by_row(data.kind, z, data.heads, data.task[rows])
    loss = (predictions - data.labels[rows]).square().mean(-1).sum()
    return torch.stack(torch.autograd.grad(loss, leaves))
