"""ReLU networks in plain arrays, against torch's own."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from weakstrong.neural.mlp import MLP, random_mlp

WIDTHS = (8, 16, 16, 5)


def same_in_torch(network: MLP) -> torch.nn.Sequential:
    layers: list[torch.nn.Module] = []
    for place, (weight, bias) in enumerate(zip(network.weights, network.biases, strict=True)):
        linear = torch.nn.Linear(*weight.shape, dtype=torch.float64)
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(weight.T))
            linear.bias.copy_(torch.from_numpy(bias))
        last = place == network.depth - 1
        layers += [linear] if last and not network.output_relu else [linear, torch.nn.ReLU()]
    return torch.nn.Sequential(*layers)


@pytest.mark.parametrize("initialization", ["uniform", "he", "near-identity"])
@pytest.mark.parametrize("output_relu", [False, True])
def test_features_are_those_of_the_same_network_in_torch(initialization: str, output_relu: bool) -> None:
    rng = np.random.default_rng(3)
    network = random_mlp(rng, WIDTHS, initialization, output_relu=output_relu)
    x = 500 * rng.normal(size=(4, 7, 8))
    with torch.no_grad():
        expected = same_in_torch(network)(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(network.transform(x), expected, rtol=1e-11, atol=1e-9 * np.abs(expected).max())
    assert (network.transform(x) >= 0).all() == output_relu


def test_a_row_s_features_do_not_depend_on_the_others() -> None:
    rng = np.random.default_rng(0)
    network = random_mlp(rng, WIDTHS)
    x = rng.normal(size=(50, 8))
    alone = np.concatenate([network.transform(x[i : i + 1]) for i in range(50)])
    np.testing.assert_allclose(network.transform(x), alone, rtol=1e-12, atol=1e-14)


def test_scaling_is_of_inputs_and_outputs() -> None:
    rng = np.random.default_rng(1)
    network = random_mlp(rng, WIDTHS, "near-identity", output_relu=True)
    x = rng.normal(size=(20, 8))
    np.testing.assert_allclose(
        network.scaled(0.3, 2.5).transform(x), 2.5 * network.transform(0.3 * x), rtol=1e-12
    )


def test_noise_is_on_every_weight_and_on_no_bias() -> None:
    network = random_mlp(np.random.default_rng(2), (64, 64, 64))
    noisy = network.perturbed(0.05, np.random.default_rng(9))
    steps = np.concatenate([(a - b).ravel() for a, b in zip(noisy.weights, network.weights, strict=True)])
    assert (steps != 0).all()
    assert steps.std() == pytest.approx(0.05, rel=0.03)
    assert abs(steps.mean()) < 0.002
    for a, b in zip(noisy.biases, network.biases, strict=True):
        np.testing.assert_array_equal(a, b)


def test_laws_of_the_first_weights() -> None:
    """Uniform as torch's layers; He's variance 2/fan-in; near-identity keeps the signal and its rank."""
    rng = np.random.default_rng(4)
    uniform, he = (random_mlp(rng, (400, 400), kind) for kind in ("uniform", "he"))
    bound = torch.nn.Linear(400, 400).weight.abs().max().item()
    assert np.abs(uniform.weights[0]).max() == pytest.approx(bound, rel=1e-3)
    assert uniform.weights[0].std() == pytest.approx(0.05 / np.sqrt(3), rel=0.01)
    assert np.abs(uniform.biases[0]).max() <= 0.05
    assert he.weights[0].std() == pytest.approx(np.sqrt(2 / 400), rel=0.01)
    assert not he.biases[0].any()
    x = rng.normal(size=(500, 8))
    ranks = []
    for kind in ("uniform", "near-identity"):
        deep = random_mlp(rng, (8, *[16] * 8), kind).transform(x)
        singular = np.linalg.svd(deep - deep.mean(0), compute_uv=False)
        ranks.append((singular > 0.05 * singular[0]).sum())
    assert ranks[1] > ranks[0]


def test_near_identity_is_mostly_identity() -> None:
    """√(1 − μ²) I + μ G, μ = 0.3, G with variance 2/d."""
    [_, weight] = random_mlp(np.random.default_rng(5), (3, 300, 300), "near-identity").weights
    diagonal, others = np.diag(weight), weight[~np.eye(300, dtype=bool)]
    assert diagonal.mean() == pytest.approx(np.sqrt(1 - 0.09), abs=0.005)
    assert others.std() == pytest.approx(0.3 * np.sqrt(2 / 300), rel=0.02)
