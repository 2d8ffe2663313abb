"""Heads by gradient descent."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from weakstrong import LinearHeads, Moments, project
from weakstrong.neural.gradient_heads import Descent, apply_by_row, fit_heads
from weakstrong.neural.neural_heads import NeuralHead, random_heads

KINDS = ["linear", "tanh", "relu", "sigmoid", "mlp"]


def descent(**changes: float) -> Descent:
    return Descent(**{"steps": 2000, "batch": 250, "rate": 0.05, "starts": 1, **changes})


def features(seed: int, heads: int = 3) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(heads, 400, 6)) @ rng.normal(size=(6, 6)) * np.geomspace(0.1, 10, 6)


def test_predictions_are_the_formula() -> None:
    rng = np.random.default_rng(0)
    z = rng.normal(size=(2, 9, 4))
    mlp = random_heads("mlp", 2, 4, 0.7, rng)
    by_hand = np.zeros((2, 9))
    for m in range(2):
        for i in range(9):
            inside = [z[m, i] @ mlp.coef[m, :, k] + mlp.bias[m, k] for k in range(16)]
            by_hand[m, i] = sum(mlp.outer[m, k] * max(v, 0.0) for k, v in enumerate(inside))
    np.testing.assert_allclose(mlp(z), by_hand, rtol=1e-12)
    links = {"tanh": np.tanh, "sigmoid": lambda v: 1 / (1 + np.exp(-v)), "relu": lambda v: np.maximum(v, 0)}
    for kind, link in links.items():
        head = random_heads(kind, 2, 4, 1.0, rng)
        np.testing.assert_allclose(head(z), link(np.einsum("mnd,md->mn", z, head.coef[..., 0])), rtol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_rows_with_heads_of_their_own_say_what_the_heads_say(kind: str) -> None:
    rng = np.random.default_rng(1)
    heads = random_heads(kind, 3, 6, 0.5, rng)
    z, which = rng.normal(size=(40, 6)), rng.integers(3, size=40)
    parts = tuple(torch.from_numpy(p) for p in (heads.coef, heads.bias, heads.outer))
    said = apply_by_row(kind, torch.from_numpy(z), parts, torch.from_numpy(which)).numpy()
    expected = heads(np.broadcast_to(z, (3, 40, 6)))[which, np.arange(40)]
    np.testing.assert_allclose(said, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("kind", KINDS)
def test_homogeneous_is_what_it_says(kind: str) -> None:
    rng = np.random.default_rng(2)
    head = random_heads(kind, 1, 4, 1.0, rng)
    z = rng.normal(size=(1, 30, 4))
    assert np.allclose(head(3 * z), 3 * head(z)) == head.homogeneous


def test_linear_heads_come_near_the_exact_projection() -> None:
    z = features(3)
    labels = np.tanh(z[..., 0]) + z[..., 1] + np.random.default_rng(0).normal(size=z.shape[:2])
    fitted = fit_heads("linear", z, labels, descent(), np.random.default_rng(1))
    exact = project(Moments.of(z, labels), LinearHeads(fit_intercept=False)).head
    loss, least = (((said - labels) ** 2).mean(1) for said in (fitted(z), exact(z)[..., 0]))
    assert (loss >= least * (1 - 1e-12)).all()
    assert (loss - least).max() < 0.01 * labels.var()


@pytest.mark.parametrize("kind", ["tanh", "sigmoid", "relu"])
def test_a_head_of_the_class_is_found_again(kind: str) -> None:
    rng = np.random.default_rng(4)
    z = rng.normal(size=(4, 500, 5))
    labels = random_heads(kind, 4, 5, 0.5, rng)(z)
    fitted = fit_heads(kind, z, labels, descent(starts=4), np.random.default_rng(1))
    assert (((fitted(z) - labels) ** 2).mean(1) < 0.01 * labels.var(1)).all()


@pytest.mark.parametrize("kind", ["relu", "mlp"])
def test_more_starts_end_no_higher(kind: str) -> None:
    """The first start of several is not the only one's, so over tasks the mean is compared, strictly."""
    rng = np.random.default_rng(5)
    z = rng.normal(size=(20, 300, 5))
    labels = random_heads(kind, 20, 5, 0.7, rng)(z)
    losses = []
    for starts in (1, 6):
        fitted = fit_heads(kind, z, labels, descent(steps=300, starts=starts), np.random.default_rng(6))
        losses.append(((fitted(z) - labels) ** 2).mean())
    assert losses[1] < losses[0]


def test_nothing_given_is_changed_and_the_units_are_the_labels_own() -> None:
    z = features(7)
    labels = 1e6 * z[..., 0]
    kept = z.copy(), labels.copy()
    fitted = fit_heads("linear", z, labels, descent(), np.random.default_rng(0))
    np.testing.assert_array_equal(z, kept[0])
    np.testing.assert_array_equal(labels, kept[1])
    small = fit_heads("linear", z, labels * 1e-9, descent(), np.random.default_rng(0))
    np.testing.assert_allclose(
        fitted.coef, 1e9 * small.coef, rtol=1e-3, atol=1e-5 * np.abs(fitted.coef).max()
    )


def test_a_feature_that_is_zero_and_labels_that_are_zero_do_no_harm() -> None:
    z = features(8)
    z[..., 2] = 0
    fitted = fit_heads("relu", z, np.zeros(z.shape[:2]), descent(steps=50), np.random.default_rng(0))
    assert isinstance(fitted, NeuralHead)
    assert np.isfinite(fitted(z)).all()


def test_a_hidden_layer_learns_its_biases_and_outer_weights_and_other_heads_have_none() -> None:
    z, labels = features(9), np.full((3, 400), 5.0) + features(9)[..., 0]
    for kind in KINDS:
        first = random_heads(kind, 3, 6, 1 / np.sqrt(6), np.random.default_rng(2))
        fitted = fit_heads(kind, z, labels, descent(steps=50), np.random.default_rng(2))
        for part in ("bias", "outer"):
            moved = not np.allclose(getattr(fitted, part), getattr(first, part))
            assert moved == (kind == "mlp")
