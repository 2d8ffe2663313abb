"""The laws of weak-to-strong generalization over random worlds, each with its negative control.

A world is a finite population with weights, so "population" is exact. A is the student's error, B
its misfit, C the supervisor's error, X the cross term, ε the least error of the same class on the
truth: all mean squared, all on that population.
"""

from __future__ import annotations

from itertools import combinations
from typing import NamedTuple

import numpy as np
import pytest

from weakstrong import ConvexHull, Head, L2Ball, LinearHeads, Moments, measure, project
from weakstrong.heads import HeadClass

SEEDS = range(25)
ROUNDING = 1e-10


class World(NamedTuple):
    phi: np.ndarray
    weak: np.ndarray
    weights: np.ndarray
    rng: np.random.Generator


class Measured(NamedTuple):
    A: float
    B: float
    C: float
    X: float


def make_world(seed: int) -> World:
    rng = np.random.default_rng(seed)
    n, d = int(rng.integers(30, 90)), int(rng.integers(1, 9))
    phi = rng.normal(size=(n, d)) @ rng.normal(size=(d, d)) + rng.normal(size=d)
    weak = np.tanh(phi @ rng.normal(size=d)) * rng.gamma(2.0) + rng.normal(size=n)
    return World(phi, weak, rng.uniform(0.2, 2.0, size=n), rng)


def classes(world: World) -> list[HeadClass]:
    d = world.phi.shape[1]
    vertices = Head(world.rng.normal(size=(d, 6)), world.rng.normal(size=6))
    spread = np.sqrt(np.average((world.phi - world.phi.mean(0)) ** 2, axis=0))
    return [
        LinearHeads(),
        LinearHeads(fit_intercept=False),
        L2Ball(world.rng.uniform(0.1, 2.0), scale=spread),
        L2Ball(world.rng.uniform(0.1, 2.0), fit_intercept=False, scale=spread),
        ConvexHull(vertices),
    ]


def member(heads: HeadClass, world: World) -> np.ndarray:
    """Predictions of a random head of the class: a truth that is realizable."""
    d = world.phi.shape[1]
    if isinstance(heads, ConvexHull):
        mixture = world.rng.dirichlet(np.ones(heads.vertices.n_targets) * 0.4)
        return (heads.vertices(world.phi) @ mixture)[:]
    w = world.rng.normal(size=d)
    if isinstance(heads, L2Ball):
        w *= world.rng.uniform() * heads.radius / np.linalg.norm(w * heads.scale)
    return world.phi @ w + (world.rng.normal() if heads.fit_intercept else 0.0)


def fitted(heads: HeadClass, world: World, labels: np.ndarray) -> np.ndarray:
    head = project(Moments.of(world.phi, labels, sample_weight=world.weights), heads).head
    return head(world.phi)[:, 0]


def measured(world: World, y: np.ndarray, w: np.ndarray, s: np.ndarray) -> Measured:
    found = measure(y, w, s, sample_weight=world.weights)
    parts = (found.strong_error, found.misfit, found.weak_error, found.cross_term)
    return Measured(*(float(p.value) for p in parts))


def error(world: World, a: np.ndarray, b: np.ndarray) -> float:
    return float(np.average((a - b) ** 2, weights=world.weights))


@pytest.mark.parametrize("seed", SEEDS)
def test_law_1_gain_is_misfit_plus_cross_term_for_any_three_vectors(seed: int) -> None:
    """C − A = B + X and |C − A − B| <= 2√(AB), whatever w, s and y are."""
    world = make_world(seed)
    y, s = world.rng.standard_cauchy(len(world.weak)), world.rng.normal(size=len(world.weak))
    A, B, C, X = measured(world, y, world.weak, s)
    assert pytest.approx(B + X, rel=1e-12, abs=1e-12 * (A + C)) == C - A
    assert abs(C - A - B) <= 2 * np.sqrt(A * B) * (1 + ROUNDING)


@pytest.mark.parametrize("seed", SEEDS)
def test_law_2_theorem_1_a_realizable_truth_gives_a_non_negative_cross_term(seed: int) -> None:
    """y in F∘h, s the projection of w: C >= A + B; for a subspace C = A + B."""
    world = make_world(seed)
    for heads in classes(world):
        y = member(heads, world)
        s = fitted(heads, world, world.weak)
        A, B, C, X = measured(world, y, world.weak, s)
        scale = A + B + C
        assert 1e-6 * scale < B
        assert -ROUNDING * scale <= X
        if isinstance(heads, LinearHeads):
            assert abs(X) <= ROUNDING * scale


def test_law_2_is_strict_for_some_bodies() -> None:
    """For a ball or a hull X > 0 happens: the test of X >= 0 is not one of X = 0."""
    seen = {L2Ball: 0.0, ConvexHull: 0.0}
    for seed in SEEDS:
        world = make_world(seed)
        for heads in classes(world)[2:]:
            y = member(heads, world)
            A, B, C, X = measured(world, y, world.weak, fitted(heads, world, world.weak))
            seen[type(heads)] = max(seen[type(heads)], X / (A + B + C))
    assert min(seen.values()) > 0.05


def test_law_2_fails_where_the_truth_is_outside_the_class() -> None:
    """Negative control: y not in F∘h, and X < 0 in many worlds."""
    worst = []
    for seed in SEEDS:
        world = make_world(seed)
        y = world.weak + 0.3 * world.rng.normal(size=len(world.weak))
        A, B, C, X = measured(world, y, world.weak, fitted(LinearHeads(), world, world.weak))
        worst.append(X / (A + B + C))
    assert np.median(worst) < -0.1


def test_law_2_fails_for_a_class_that_is_not_convex() -> None:
    """Negative control: heads on any two of the features, a union of subspaces."""
    worst = 0.0
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        phi = rng.normal(size=(40, 5))
        world = World(phi, phi @ rng.normal(size=5) + rng.normal(size=40), np.ones(40), rng)
        pairs = [World(phi[:, list(p)], *world[1:]) for p in combinations(range(5), 2)]
        fits = [fitted(LinearHeads(), pair, world.weak) for pair in pairs]
        s = min(fits, key=lambda f: error(world, f, world.weak))
        for pair in pairs:
            A, B, C, X = measured(world, member(LinearHeads(), pair), world.weak, s)
            worst = min(worst, X / (A + B + C))
    assert worst < -0.05


def test_law_2_fails_for_coefficients_rescaled_onto_the_ball() -> None:
    """Negative control: shrinking the least squares solution is not the projection."""
    worst = 0.0
    for seed in SEEDS:
        world = make_world(seed)
        heads = L2Ball(0.5, scale=np.ones(world.phi.shape[1]))
        least = project(Moments.of(world.phi, world.weak, sample_weight=world.weights), LinearHeads()).head
        coef = least.coef * min(1.0, 0.5 / np.linalg.norm(least.coef))
        centre = np.average(world.phi, axis=0, weights=world.weights)
        s = (world.phi - centre) @ coef[:, 0] + np.average(world.weak, weights=world.weights)
        for _ in range(20):
            A, B, C, X = measured(world, member(heads, world), world.weak, s)
            worst = min(worst, X / (A + B + C))
    assert worst < -0.01


def test_law_2_fails_and_law_3_holds_for_a_radius_chosen_on_the_weak_labels() -> None:
    """Negative control: a ball shrunk to fit w shuts y out; given the radius, law 3 still holds."""
    worst = 0.0
    for seed in SEEDS:
        world = make_world(seed)
        spread = np.sqrt(np.average((world.phi - world.phi.mean(0)) ** 2, axis=0))
        y = member(L2Ball(3.0, scale=spread), world)
        w = 0.05 * world.weak  # labels that call for a small radius
        least = project(Moments.of(world.phi, w, sample_weight=world.weights), LinearHeads()).head
        chosen = L2Ball(0.5 * float(np.linalg.norm(least.coef[:, 0] * spread)), scale=spread)
        A, B, C, X = measured(world, y, w, fitted(chosen, world, w))
        eps = error(world, fitted(chosen, world, y), y)
        worst = min(worst, X / B)
        assert B - 2 * np.sqrt(eps * B) - ROUNDING * (A + B + C) <= C - A
    assert worst < -0.5


@pytest.mark.parametrize("seed", SEEDS)
def test_law_3_a_truth_outside_the_class_costs_at_most_two_roots(seed: int) -> None:
    """C − A >= B − 2√(εB), and for a subspace C − A <= B + 2√(εB)."""
    world = make_world(seed)
    for heads in classes(world):
        for size in (0.0, 0.1, 1.0, 10.0):
            y = member(heads, world) + size * world.rng.normal(size=len(world.weak))
            A, B, C, _ = measured(world, y, world.weak, fitted(heads, world, world.weak))
            slack = 2 * np.sqrt(error(world, fitted(heads, world, y), y) * B)
            rounding = ROUNDING * (A + B + C)
            assert B - slack - rounding <= C - A
            if isinstance(heads, LinearHeads):
                assert B + slack + rounding >= C - A


@pytest.mark.parametrize("seed", SEEDS)
def test_law_4_theorem_2_a_student_within_eta_of_the_least_misfit(seed: int) -> None:
    """C − A >= B − 2√(εB) − 2√(ηC) − 2η; two-sided for a subspace."""
    world = make_world(seed)
    for heads in classes(world):
        y = member(heads, world) + world.rng.choice([0.0, 0.5]) * world.rng.normal(size=len(world.weak))
        p = fitted(heads, world, world.weak)
        best = fitted(heads, world, y)
        eps = error(world, best, y)
        for step in (1e-3, 0.03, 0.3):
            s = p + step * (member(heads, world) - p)  # in the class, which is convex
            A, B, C, _ = measured(world, y, world.weak, s)
            eta = B - error(world, p, world.weak)
            assert eta > 0
            rounding = ROUNDING * (A + B + C)
            assert B - 2 * np.sqrt(eps * B) - 2 * np.sqrt(eta * C) - 2 * eta - rounding <= C - A
            if isinstance(heads, LinearHeads):
                slack = 2 * np.sqrt(eps * (B - eta)) + 2 * np.sqrt(eta) * np.sqrt(error(world, p, best))
                assert abs(C - A - B + 2 * eta) <= slack + rounding


def test_law_3_without_eta_fails_for_a_student_that_is_not_the_projection() -> None:
    """Negative control: dropping η from law 4 is wrong on a sample."""
    worst = 0.0
    for seed in SEEDS:
        world = make_world(seed)
        y = member(LinearHeads(), world)
        p = fitted(LinearHeads(), world, world.weak)
        A, B, C, _ = measured(world, y, world.weak, p + 0.5 * (p - y))
        worst = min(worst, (C - A - B) / (A + B + C))
    assert worst < -0.05


def test_the_mean_of_supervisors_gains_their_disagreement() -> None:
    """Linear class, labels averaged: C̄ − A(s̄) = mean G_k + mean E (s_k − s̄)²."""
    world = make_world(3)
    y = world.rng.normal(size=len(world.weak))
    labels = [world.weak + world.rng.normal(size=len(world.weak)) for _ in range(4)]
    students = [fitted(LinearHeads(), world, w) for w in labels]
    together = fitted(LinearHeads(), world, np.mean(labels, axis=0))
    gains = [error(world, w, y) - error(world, s, y) for w, s in zip(labels, students, strict=True)]
    spread = [error(world, s, together) for s in students]
    mean_weak = np.mean([error(world, w, y) for w in labels])
    assert mean_weak - error(world, together, y) == pytest.approx(np.mean(gains) + np.mean(spread))
