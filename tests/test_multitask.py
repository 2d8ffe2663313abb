"""Equation (9): networks learnt from known tasks, side by side."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.test_mlp import same_in_torch
from weakstrong.neural.mlp import MLP, random_mlp
from weakstrong.neural.multitask import (
    MultitaskSample,
    _gradient,
    _Shape,
    _Stacked,
    pretrain,
    relative_loss,
)
from weakstrong.neural.neural_heads import random_heads
from weakstrong.neural.optimizers import orthogonalized
from weakstrong.neural.training import Training

KINDS = ["linear", "tanh", "relu", "sigmoid", "mlp"]


def sample(seed: int, kind: str = "linear", tasks: int = 4, rows: int = 120) -> MultitaskSample:
    rng = np.random.default_rng(seed)
    truth = random_mlp(rng, (3, 6, 5))
    x = 500 * rng.normal(size=(tasks, rows, 3))
    scale = 1 / np.sqrt((truth.transform(x) ** 2).sum(-1).mean())
    heads = random_heads(kind, tasks, 5, scale, rng)
    return MultitaskSample(x, heads(truth.transform(x)), heads)


def start(seed: int, depth: int = 3) -> MLP:
    return random_mlp(np.random.default_rng([seed, 1]), (3, *[6] * (depth - 1), 5), "near-identity")


def training(**changes: float) -> Training:
    default = {"steps": 400, "batch": 256, "rate": 0.02, "momentum": 0.9, "weight_decay": 0.0}
    return Training(**{**default, **changes})


def learnt(seeds: list[int], setting: Training, depth: int = 3, kind: str = "linear") -> list[MLP]:
    generators = [np.random.default_rng([s, 2]) for s in seeds]
    return pretrain([sample(s, kind) for s in seeds], [start(s, depth) for s in seeds], generators, setting)


@pytest.mark.parametrize("kind", KINDS)
def test_the_gradient_is_that_of_equation_9(kind: str) -> None:
    """On all rows, against torch's modules applied task by task with the heads in their own formula."""
    data, network = sample(0, kind), start(0)
    stacked = _Stacked.of([data])
    shape = _Shape.of(network)
    rows = torch.arange(data.labels.size)[None]
    found = shape.network(_gradient(shape.stacked([network]), shape, stacked, rows)[:, 0])
    modules = same_in_torch(network)
    size = stacked.input_size[0], stacked.feature_size[0]
    label_size = np.sqrt((data.labels**2).mean()) if data.heads.homogeneous else 1.0
    act = {"tanh": torch.tanh, "relu": torch.relu, "mlp": torch.relu, "sigmoid": torch.sigmoid}
    loss = torch.zeros((), dtype=torch.float64)
    for t in range(len(data.labels)):
        h = size[1] * modules(torch.from_numpy(data.inputs[t]) / size[0])
        inside = h @ torch.from_numpy(data.heads.coef[t]) + torch.from_numpy(data.heads.bias[t])
        said = (act.get(kind, lambda z: z)(inside) * torch.from_numpy(data.heads.outer[t])).sum(-1)
        loss = loss + ((said - torch.from_numpy(data.labels[t])) ** 2).sum() / data.labels.size
    (loss / label_size**2).backward()
    for layer, linear in enumerate(m for m in modules if isinstance(m, torch.nn.Linear)):
        expected = linear.weight.grad.numpy().T
        np.testing.assert_allclose(
            found.weights[layer], expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max()
        )
        expected = linear.bias.grad.numpy()
        np.testing.assert_allclose(
            found.biases[layer], expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max()
        )


@pytest.mark.parametrize("kind", KINDS)
def test_training_lowers_the_loss_of_equation_9(kind: str) -> None:
    before = relative_loss(start(1), sample(1, kind))
    [network] = learnt([1], training(steps=600), kind=kind)
    after = relative_loss(network, sample(1, kind))
    assert after < 0.3 * before
    assert after < 0.2


def test_the_relative_loss_is_the_mean_square_over_the_variance_within_tasks() -> None:
    data, network = sample(2), start(2)
    missed, variance = [], []
    for t in range(len(data.labels)):
        said = network.transform(data.inputs[t]) @ data.heads.coef[t, :, 0]
        missed.append(np.mean((said - data.labels[t]) ** 2))
        variance.append(np.var(data.labels[t]))
    assert relative_loss(network, data) == pytest.approx(np.mean(missed) / np.mean(variance), rel=1e-12)


def test_networks_side_by_side_do_not_touch_each_other() -> None:
    """Bit for bit the same whatever is trained beside: a seed more changes no other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    together = learnt([3, 4, 5], training(steps=60))
    for place, seed in enumerate([3, 4, 5]):
        [alone] = learnt([seed], training(steps=60))
        for a, b in zip(
            together[place].weights + together[place].biases, alone.weights + alone.biases, strict=True
        ):
            np.testing.assert_array_equal(a, b)
    torch.set_num_threads(threads)


def test_samples_of_different_size_train_side_by_side() -> None:
    samples = [sample(6, tasks=2, rows=40), sample(7, tasks=5, rows=90)]
    generators = [np.random.default_rng(i) for i in range(2)]
    networks = pretrain(samples, [start(6), start(7)], generators, training(steps=600))
    for network, data in zip(networks, samples, strict=True):
        assert relative_loss(network, data) < 0.2


def test_the_frozen_tasks_and_the_data_stay_as_they_are() -> None:
    data = sample(8)
    kept = [a.copy() for a in (data.inputs, data.labels, data.heads.coef, data.heads.bias, data.heads.outer)]
    first = start(8)
    weights = [w.copy() for w in first.weights]
    pretrain([data], [first], [np.random.default_rng(0)], training(steps=20))
    for a, b in zip(
        (data.inputs, data.labels, data.heads.coef, data.heads.bias, data.heads.outer), kept, strict=True
    ):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(first.weights, weights, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_step_sets_singular_values_to_about_one() -> None:
    rng = np.random.default_rng(0)
    matrices = torch.from_numpy(rng.normal(size=(3, 2, 17, 16)) * np.geomspace(1, 30, 16)).float()
    stepped = orthogonalized(matrices)
    values = torch.linalg.svdvals(stepped)
    assert values.min() > 0.3
    assert values.max() < 1.3
    left, _, right = torch.linalg.svd(matrices, full_matrices=False)
    inner = (stepped * (left @ right)).sum((-2, -1)) / 16
    assert inner.min() > 0.6


def test_padding_stays_zero() -> None:
    shape = _Shape.of(start(9))
    stacked = shape.stacked([start(9), start(10)])
    gradient = _gradient(
        stacked, shape, _Stacked.of([sample(9), sample(10)]), torch.zeros((2, 1), dtype=torch.int64)
    )
    outside = stacked == 0
    assert outside.any()
    step = orthogonalized(gradient)
    assert step[0, :, 4:].abs().max() == 0
    assert step[-1, :, :, 5:].abs().max() == 0
    for network, again in zip(
        [start(9), start(10)], [shape.network(stacked[:, i]) for i in range(2)], strict=True
    ):
        for a, b in zip(network.weights + network.biases, again.weights + again.biases, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-6)


def test_weight_decay_shrinks_the_weights() -> None:
    plain, decayed = (learnt([11], training(steps=400, weight_decay=d))[0] for d in (0.0, 2.0))
    norms = [sum((w**2).sum() for w in m.weights[1:-1]) for m in (plain, decayed)]
    assert norms[1] < 0.7 * norms[0]


def test_the_rate_rises_and_falls_to_zero() -> None:
    setting = training(steps=1000)
    rates = [setting.rate_at(step) for step in range(1000)]
    assert max(rates) == pytest.approx(0.02)
    assert np.argmax(rates) == 49
    assert rates[-1] == pytest.approx(0.0, abs=1e-12)
    assert np.diff(rates)[50:].max() < 0


def test_steps_follow_momentum_with_its_look_ahead() -> None:
    """Three steps written out: m ← βm + (1−β)g, then along βm + (1−β)g, orthogonalized."""
    setting = training(steps=3, batch=8, momentum=0.7, weight_decay=0.5)
    data, network = sample(12), start(12)
    [found] = pretrain([data], [network], [np.random.default_rng(1)], setting)
    stacked, shape = _Stacked.of([data]), _Shape.of(network)
    weights = shape.stacked([network])
    momentum = torch.zeros_like(weights)
    for step, rows in enumerate(stacked.draw([np.random.default_rng(1)], 3, 8)):
        gradient = _gradient(weights, shape, stacked, rows)
        momentum = 0.7 * momentum + 0.3 * gradient
        rate = setting.rate_at(step)
        weights = (1 - 0.5 * rate) * weights - rate * orthogonalized(0.7 * momentum + 0.3 * gradient)
    expected = stacked.unscaled(shape.network(weights[:, 0]), 0)
    for a, b in zip(found.weights, expected.weights, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6 * np.abs(b).max())


def test_adam_and_gradient_descent_are_pytorch_s_on_one_network_s_own_loss() -> None:
    """Against torch's modules and autograd, a parameter at a time, on the data as they are."""
    data, network = sample(15), start(15)
    x, y = (torch.from_numpy(a.reshape(-1, *a.shape[2:])).float() for a in (data.inputs, data.labels))
    coef = torch.from_numpy(data.heads.coef[..., 0].repeat(data.labels.shape[1], 0)).float()
    rates = {"adam": 1e-3, "sgd": 1e-9}
    for name, rate in rates.items():
        setting = training(steps=5, batch=16, rate=rate, momentum=0.8)
        setting = replace(setting, optimizer=name, schedule="constant", units="raw")
        [found] = pretrain([data], [network], [np.random.default_rng(3)], setting)
        modules = same_in_torch(network).float()
        optimizer = {
            "adam": lambda m: torch.optim.Adam(m.parameters(), lr=1e-3, betas=(0.8, 0.999)),
            "sgd": lambda m: torch.optim.SGD(m.parameters(), lr=1e-9, momentum=0.8),
        }[name](modules)
        for rows in np.random.default_rng(3).integers(len(y), size=(5, 16)):
            optimizer.zero_grad()
            ((modules(x[rows]) * coef[rows]).sum(-1) - y[rows]).square().mean().backward()
            optimizer.step()
        linear = [m for m in modules if isinstance(m, torch.nn.Linear)]
        for layer, (module, first) in enumerate(zip(linear, network.weights, strict=True)):
            moved, expected = (w - first for w in (found.weights[layer], module.weight.detach().numpy().T))
            assert np.abs(expected).max() > 0
            np.testing.assert_allclose(moved, expected, rtol=0.02, atol=0.01 * np.abs(expected).max())


def test_a_constant_rate_stays() -> None:
    setting = replace(training(steps=100), schedule="constant")
    assert {setting.rate_at(step) for step in range(100)} == {0.02}


def test_watching_networks_changes_none_of_them() -> None:
    """They are seen every 250 steps and at the end, as copies; what is learnt is the same bit for bit."""
    unseen = learnt([13, 14], training())
    seen: list[list[MLP]] = []
    steps: list[int] = []

    def spoil(networks: list[MLP]) -> None:
        seen.append(deepcopy(networks))
        for network in networks:
            for array in network.weights + network.biases:
                array.fill(np.nan)

    watched = pretrain(
        [sample(13), sample(14)],
        [start(13), start(14)],
        [np.random.default_rng([s, 2]) for s in (13, 14)],
        training(),
        steps.append,
        watch=spoil,
    )
    assert steps == [250, 150]
    assert len(seen) == 2
    for networks in (watched, seen[-1]):
        for a, b in zip(networks, unseen, strict=True):
            for x, y in zip(a.weights + a.biases, b.weights + b.biases, strict=True):
                np.testing.assert_array_equal(x, y)
    losses = [relative_loss(networks[0], sample(13)) for networks in seen]
    assert losses[1] < losses[0] < relative_loss(start(13), sample(13))
