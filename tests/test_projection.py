"""Exact solvers against cvxpy and LAPACK, and certificates that certify."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import nnls

from weakstrong import ConvexHull, Head, L2Ball, LinearHeads, Moments, Projection, project
from weakstrong.heads import HeadClass, head_class
from weakstrong.least_squares import ScaledProblem
from weakstrong.optimality import ball_gap, hull_gap, linear_gap
from weakstrong.projection import solve

GAP = 1e-8


def sample(seed: int, n: int = 40, d: int = 5) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    phi = rng.normal(size=(n, d)) @ rng.normal(size=(d, d)) + 3 * rng.normal(size=d)
    return phi, np.sin(phi).sum(1) + rng.normal(size=n), rng.uniform(0.1, 1.0, size=n)


def oracle(phi: np.ndarray, y: np.ndarray, weights: np.ndarray, heads: HeadClass) -> float:
    """The least weighted mean squared error, by interior points."""
    share = weights / weights.sum()
    if isinstance(heads, ConvexHull):
        alpha = cp.Variable(heads.vertices.n_targets, nonneg=True)
        predicted, limits = heads.vertices(phi) @ alpha, [cp.sum(alpha) == 1]
    else:
        centre = share @ phi if heads.fit_intercept else np.zeros(phi.shape[1])
        scale = np.sqrt(share @ (phi - centre) ** 2)
        scale = np.where(scale > 1e-10, scale, 1.0)
        z, b = cp.Variable(phi.shape[1]), cp.Variable() if heads.fit_intercept else 0.0
        predicted = ((phi - centre) / scale) @ z + b
        limits = [cp.norm(z) <= heads.radius] if isinstance(heads, L2Ball) else []
    problem = cp.Problem(cp.Minimize(cp.sum_squares(cp.multiply(np.sqrt(share), predicted - y))), limits)
    problem.solve(solver="CLARABEL")
    return float(problem.value)


def classes(rng: np.random.Generator, d: int) -> list[HeadClass]:
    balls = [L2Ball(r, fit_intercept=i) for r in (0.05, 1.0, 1e3) for i in (True, False)]
    hull = ConvexHull([Head(rng.normal(size=(d, 3)), rng.normal(size=3)), Head(np.ones((d, 1)), np.ones(1))])
    return [LinearHeads(), LinearHeads(fit_intercept=False), *balls, hull]


@pytest.mark.parametrize("seed", range(6))
def test_every_class_agrees_with_cvxpy_and_says_how_exact_it_is(seed: int) -> None:
    phi, y, weights = sample(seed)
    for heads in classes(np.random.default_rng(seed), 5):
        found = project(Moments.of(phi, y, sample_weight=weights), heads)
        least = oracle(phi, y, weights, heads)
        assert found.error[0] == pytest.approx(least, rel=1e-6), heads
        assert 0 <= found.optimality_gap[0] <= GAP
        direct = np.average((found.head(phi)[:, 0] - y) ** 2, weights=weights)
        assert found.error[0] == pytest.approx(direct, rel=1e-10)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    n=st.integers(2, 30),
    d=st.integers(1, 20),
    scale=st.sampled_from([1e-6, 1.0, 1e6]),
    rank=st.integers(1, 20),
    single=st.booleans(),
)
def test_linear_heads_predict_as_lapack_does_whatever_the_rank(
    *, seed: int, n: int, d: int, scale: float, rank: int, single: bool
) -> None:
    """Rank deficiency, more features than rows, scales and precisions: same predictions, same objective."""
    rng = np.random.default_rng(seed)
    rank = min(rank, d)
    phi = scale * rng.normal(size=(n, rank)) @ rng.normal(size=(rank, d)) / np.sqrt(rank)
    phi = phi.astype(np.float32) if single else phi
    y = rng.normal(size=n)
    found = project(Moments.of(phi, y), LinearHeads())
    wide = phi.astype(float)
    centred = wide - wide.mean(0)
    spread = centred.std(0)
    if (spread < 1e-9 * scale).any():
        return
    tolerance = 10 * np.finfo(phi.dtype).eps
    coef, _, lapack_rank, singular = np.linalg.lstsq(
        centred / spread, y - y.mean(), rcond=max(tolerance, 1e-12)
    )
    kept = singular[:lapack_rank]
    if np.any((singular > 1e-2 * tolerance * singular[0]) & (singular < 1e2 * tolerance * singular[0])):
        return  # the rank itself is a matter of rounding
    assert found.rank == lapack_rank
    loss = 1e3 * np.finfo(float).eps * (kept[0] / kept[-1])
    expected = (centred / spread) @ coef + y.mean()
    np.testing.assert_allclose(found.head(phi)[:, 0], expected, rtol=loss + 1e-9, atol=(loss + 1e-9) * 3)
    assert found.optimality_gap[0] <= 1e-6


def test_constant_and_duplicated_columns_change_nothing() -> None:
    phi, y, weights = sample(1)
    for block in (phi, phi.astype(np.float32)):
        plain = project(Moments.of(block, y, sample_weight=weights), LinearHeads())
        n = len(block)
        extra = [np.full((n, 1), c) for c in (0.0, 0.1, -1e7)]
        more = np.concatenate([*extra, block, block[:, :2]], axis=1).astype(block.dtype)
        found = project(Moments.of(more, y, sample_weight=weights), LinearHeads())
        assert found.rank == plain.rank == 5
        np.testing.assert_allclose(found.head(more), plain.head(block), rtol=1e-5, atol=1e-6)
        assert np.all(found.head.coef[:3] == 0)
        assert found.status[0] == "minimum-norm"
        assert plain.status[0] == "unique"


def test_exactly_dependent_columns_are_seen_in_long_samples_merged_from_shards() -> None:
    """Indicators that sum to one: what QR and merging leave of the dependence must not become a slope."""
    rng = np.random.default_rng(0)
    place = rng.choice(6, size=40_000, p=[0.9, 0.05, 0.03, 0.0199, 0.00005, 0.00005])
    phi, y = np.eye(6)[place], rng.normal(size=40_000)
    parts = [Moments.of(phi[s::7], y[s::7]) for s in range(7)]
    for m in (Moments.of(phi, y), Moments.merge(parts)):
        found = project(m, LinearHeads())
        assert found.rank == 5
        assert np.abs(found.head.coef).max() < 10


@pytest.mark.parametrize("condition", [1e4, 1e8, 1e12])
def test_ill_conditioned_features_reach_the_least_objective(condition: float) -> None:
    rng = np.random.default_rng(3)
    u, _ = np.linalg.qr(rng.normal(size=(80, 6)))
    v, _ = np.linalg.qr(rng.normal(size=(6, 6)))
    phi = u * np.geomspace(1, 1 / condition, 6) @ v
    y = rng.normal(size=80)
    centred = phi - phi.mean(0)
    coef = np.linalg.lstsq(centred, y - y.mean(), rcond=1e-15)[0]
    least = np.mean((centred @ coef - (y - y.mean())) ** 2)
    found = project(Moments.of(phi, y), LinearHeads())
    # Rounding turns the least direction by about eps times the condition number, whoever solves.
    assert found.error[0] == pytest.approx(least, rel=10 * np.finfo(float).eps * condition)
    for radius in (0.1, 10.0, 1e6):
        ball = project(Moments.of(phi, y), L2Ball(radius))
        assert ball.optimality_gap[0] <= GAP
        assert ball.error[0] >= found.error[0] * (1 - 1e-9)


def test_rounding_noise_of_dead_units_does_not_reach_fresh_rows() -> None:
    """float32 units that only carry rounding noise must not be fitted: a prototype erred by 1e6."""
    rng = np.random.default_rng(4)
    live = rng.normal(size=(400, 6)).astype(np.float32)
    copies = (live[:, :3] * np.float32(1.5)) / np.float32(1.5)  # equal but for rounding
    y = live @ rng.normal(size=6) + rng.normal(size=400)
    phi = np.concatenate([live, copies], axis=1)
    head = project(Moments.of(phi[:200], y[:200]), LinearHeads()).head
    fresh = phi[200:].copy()
    fresh[:, 6:] *= np.float32(1 + 1e-6)
    reference = project(Moments.of(live[:200], y[:200]), LinearHeads()).head(live[200:])
    np.testing.assert_allclose(head(fresh), reference, atol=1e-4)


@pytest.mark.parametrize("intercept", [True, False])
def test_ball_inside_on_and_at_zero(intercept: bool) -> None:
    phi, y, _ = sample(5)
    m = Moments.of(phi, y)
    linear = project(m, LinearHeads(intercept))
    form = ScaledProblem.of(m, intercept)
    size = float(np.linalg.norm(linear.head.coef[:, 0] * form.scale))
    inside = project(m, L2Ball(size * 1.01, intercept))
    np.testing.assert_allclose(inside.head.coef, linear.head.coef, rtol=1e-9)
    assert inside.status[0] == "inside"
    for share in (0.99, 0.5, 1e-3, 1e-9):
        found = project(m, L2Ball(size * share, intercept))
        norm = np.linalg.norm(found.head.coef[:, 0] * form.scale)
        assert norm == pytest.approx(size * share, rel=1e-12)
        assert found.status[0] == "boundary"
        assert found.optimality_gap[0] <= GAP
    nothing = project(m, L2Ball(0.0, intercept))
    assert np.all(nothing.head.coef == 0)
    np.testing.assert_allclose(nothing.error[0], y.var() if intercept else (y**2).mean())


def test_a_radius_for_each_target_and_each_task() -> None:
    rng = np.random.default_rng(6)
    phi, y = rng.normal(size=(3, 30, 4)), rng.normal(size=(3, 30, 2))
    radii = rng.uniform(0.01, 0.5, size=(3, 2))
    together = project(Moments.of(phi, y), L2Ball(radii))
    for i in range(3):
        for t in range(2):
            one = project(Moments.of(phi[i], y[i, :, t]), L2Ball(float(radii[i, t])))
            np.testing.assert_allclose(together.head.coef[i, :, [t]].T, one.head.coef, rtol=1e-9, atol=1e-12)


def test_the_resolved_class_is_the_same_class_on_another_sample() -> None:
    phi, y, _ = sample(7)
    first = project(Moments.of(phi, y), L2Ball(0.3))
    again = project(Moments.of(5 * phi[:20], y[:20]), first.heads)
    assert np.linalg.norm(again.head.coef[:, 0] * first.heads.scale) <= 0.3 * (1 + 1e-12)


@pytest.mark.parametrize("seed", range(10))
def test_gaps_bound_the_excess_of_any_head_of_the_class(seed: int) -> None:
    """A certificate that cannot fail is none: spoilt heads have gaps at least their true excess."""
    phi, y, _ = sample(seed)
    m, rng = Moments.of(phi, y), np.random.default_rng(seed)
    for radius in (0.2, 5.0):
        best = project(m, L2Ball(radius))
        form = ScaledProblem.of(m, True)
        z = rng.normal(size=(5, 1))
        z *= radius * rng.uniform() / np.linalg.norm(z)
        spoilt = form.head(z)
        excess = m.mse(spoilt) - best.error
        assert ball_gap(form, spoilt, np.array([radius])) >= excess * (1 - 1e-9) > 1e-6
    linear = project(m, LinearHeads())
    spoilt = Head(linear.head.coef + 0.1, linear.head.intercept - 0.2)
    np.testing.assert_allclose(
        linear_gap(ScaledProblem.of(m, True), spoilt), m.mse(spoilt) - linear.error, rtol=1e-8
    )


def test_the_gap_is_relative_to_the_variance_and_counts_the_intercept() -> None:
    phi, y, _ = sample(3)
    y = y + 1e3  # a mean that would hide any gap relative to it
    m = Moments.of(phi, y)
    best = project(m, L2Ball(0.4))
    spoilt = Head(best.head.coef, best.head.intercept + 0.3)
    form = ScaledProblem.of(m, True)
    assert ball_gap(form, spoilt, np.array([0.4])) == pytest.approx(0.09, rel=1e-6)
    told = Projection.of(form, spoilt, best.heads, ball_gap(form, spoilt, np.array([0.4])), best.status)
    assert told.optimality_gap[0] == pytest.approx(0.09 / y.var(), rel=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_the_gap_of_a_hull_bounds_the_excess_of_any_mixture(seed: int) -> None:
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(12, 5)) + 0.5
    best = cp.Variable(5, nonneg=True)
    problem = cp.Problem(cp.Minimize(cp.sum_squares(points @ best)), [cp.sum(best) == 1])
    problem.solve(solver="CLARABEL")
    for _ in range(5):
        mixture = rng.dirichlet(np.ones(5))
        excess = np.sum((points @ mixture) ** 2) - problem.value
        assert hull_gap(points, mixture) >= excess * (1 - 1e-9) > 1e-3


def test_the_gap_of_a_hull_is_a_mean_over_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """A solver that stops at the first vertex: the certificate it gets is the excess it has, or more."""
    phi, y, _ = sample(4)
    heads = ConvexHull(Head(np.random.default_rng(4).normal(size=(5, 4)), np.zeros(4)))
    m = Moments.of(phi, y)
    least = project(m, heads).error
    monkeypatch.setattr("weakstrong.projection.nnls", lambda a, *_, **__: (np.eye(a.shape[1])[0], 0.0))
    found = project(m, heads)
    excess = (found.error - least) / m.target_variance
    assert 1e-3 < excess[0] <= found.optimality_gap[0] < 100 * excess[0]


def test_dependent_columns_with_a_large_mean_are_seen_and_what_is_reported_is_what_is_predicted() -> None:
    """Rounding of a column is relative to its mean: the sum of two such columns is not a third direction."""
    rng = np.random.default_rng(0)
    for dtype, mean in ((np.float64, 1e3), (np.float64, 1e6), (np.float64, 1e7), (np.float32, 1e2)):
        a = (rng.normal(size=(200, 2)) + mean).astype(dtype)
        y = a.astype(float) @ [1.0, -2.0] + mean + rng.normal(size=200)
        for third in (a.sum(1, keepdims=True), a * dtype(1.1) / dtype(1.1)):
            phi = np.hstack([a, third])
            found = project(Moments.of(phi[:100], y[:100]), LinearHeads())
            plain = project(Moments.of(a[:100], y[:100]), LinearHeads())
            assert found.rank == plain.rank == 2
            assert np.abs(found.head.coef).max() < 10
            direct = np.mean((found.head(phi[:100].astype(float))[:, 0] - y[:100]) ** 2)
            assert found.error[0] == pytest.approx(direct, rel=1e-4)
            expected = plain.head(a[100:].astype(float))
            np.testing.assert_allclose(found.head(phi[100:].astype(float)), expected, atol=0.05)


def test_a_column_that_is_constant_but_for_rounding_gets_no_coefficient() -> None:
    phi, y, _ = sample(2)
    for dtype in (np.float64, np.float32):
        flat = (dtype(0.1) * (1 + np.finfo(dtype).eps * (np.arange(40) % 2))).astype(dtype)
        assert len(np.unique(flat)) == 2
        found = project(Moments.of(np.column_stack([phi, flat]).astype(dtype), y), LinearHeads())
        assert found.head.coef[5] == 0
        assert found.rank == 5


def test_any_radius_has_a_certificate() -> None:
    phi, y, _ = sample(13)
    m = Moments.of(phi, y)
    linear = project(m, LinearHeads())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for radius in (np.inf, 1e200, 1e160):
            found = project(m, L2Ball(radius))
            np.testing.assert_allclose(found.head.coef, linear.head.coef, rtol=1e-9)
            assert found.optimality_gap[0] <= GAP
            assert found.status[0] == "inside"
        assert project(m, L2Ball(1e-100)).optimality_gap[0] <= GAP


def test_a_column_of_no_scale_gets_no_coefficient() -> None:
    """So a class resolved where a column was constant is the same class where it varies."""
    phi, y, _ = sample(14)
    first = phi.copy()
    first[:, 2] = 7.0
    heads = project(Moments.of(first, y), L2Ball(1.0)).heads
    again = project(Moments.of(phi, y), heads)
    assert again.head.coef[2] == 0
    without = project(Moments.of(np.delete(phi, 2, 1), y), L2Ball(1.0, scale=np.delete(heads.scale, 2)))
    np.testing.assert_allclose(np.delete(again.head.coef, 2, 0), without.head.coef, rtol=1e-9)


def test_hulls_vertices_faces_and_identical_heads() -> None:
    phi, y, _ = sample(8)
    rng = np.random.default_rng(8)
    vertices = Head(rng.normal(size=(5, 4)), rng.normal(size=4))
    at = project(Moments.of(phi, vertices(phi)), ConvexHull(vertices))
    np.testing.assert_allclose(at.head.coef, vertices.coef, atol=1e-7)
    assert set(at.status) == {"vertex"}
    mixture = np.array([0.2, 0.5, 0.3, 0.0])
    inside = project(Moments.of(phi, vertices(phi) @ mixture), ConvexHull(vertices))
    np.testing.assert_allclose(inside.head.coef[:, 0], vertices.coef @ mixture, atol=1e-7)
    same = Head(np.repeat(vertices.coef[:, :1], 3, axis=1), np.repeat(vertices.intercept[:1], 3))
    found = project(Moments.of(phi, y), ConvexHull(same))
    np.testing.assert_allclose(found.head.coef[:, 0], vertices.coef[:, 0], rtol=1e-12)
    assert found.optimality_gap[0] <= GAP


def test_units_do_not_matter() -> None:
    """The gap is relative: scaling features and labels changes no decision."""
    phi, y, _ = sample(9)
    for scale in (1e-100, 1e-8, 1e8, 1e100):
        found = project(Moments.of(phi * scale, y / scale), L2Ball(0.5 / scale))
        plain = project(Moments.of(phi, y), L2Ball(0.5))
        np.testing.assert_allclose(found.head.coef * scale**2, plain.head.coef, rtol=1e-9)
        assert found.optimality_gap[0] <= GAP


def test_constant_labels_are_fitted_exactly() -> None:
    phi, _, _ = sample(10)
    for heads in (LinearHeads(), L2Ball(1.0)):
        found = project(Moments.of(phi, np.full(40, 7.0)), heads)
        np.testing.assert_allclose(found.head(phi), 7.0)
        assert found.optimality_gap[0] <= GAP


@dataclass(frozen=True)
class NonNegativeHeads(HeadClass):
    """Heads with non-negative coefficients and no intercept."""


@solve.register
def _non_negative(heads: NonNegativeHeads, moments: Moments) -> Projection:
    form = ScaledProblem.of(moments, fit_intercept=False)
    root = np.sqrt(moments.weight)
    rows = np.vstack([root * moments.feature_mean, moments.factor])
    goal = np.vstack([root * moments.target_mean, moments.projected])
    head = Head(np.stack([nnls(rows, g)[0] for g in goal.T], axis=1), np.zeros(moments.n_targets))
    return Projection.of(form, head, heads, np.zeros(moments.n_targets), np.full(moments.n_targets, "cone"))


def test_a_further_class_is_one_small_addition() -> None:
    phi, y, _ = sample(11)
    found = project(Moments.of(phi, y), NonNegativeHeads())
    np.testing.assert_allclose(found.head.coef[:, 0], nnls(phi, y)[0], atol=1e-9)


def test_what_cannot_be_projected_is_refused() -> None:
    phi, y, _ = sample(12)
    m = Moments.of(phi, y)
    with pytest.raises(ValueError, match="radius of L2Ball is open"):
        project(m, L2Ball())
    with pytest.raises(ValueError, match="non-negative"):
        L2Ball(-1.0)
    with pytest.raises(ValueError, match="take 2 features; there are 5"):
        project(m, ConvexHull(Head(np.ones((2, 3)), np.ones(3))))
    with pytest.raises(TypeError, match="no solver"):
        project(m, HeadClass())
    with pytest.raises(ValueError, match="differ in width"):
        ConvexHull([Head(np.ones((2, 1)), np.ones(1)), Head(np.ones((3, 1)), np.ones(1))])
    with pytest.raises(ValueError, match="expected"):
        Head(np.ones((2, 1)), np.ones(2))
    with pytest.raises(ValueError, match="this head takes 2"):
        Head(np.ones((2, 1)), np.ones(1))(phi)
    with pytest.raises(TypeError, match="give Moments"):
        project(phi, LinearHeads())
    for radius in (np.nan, "a", True, 1j, [1.0, -1.0]):
        with pytest.raises(ValueError, match="radius"):
            L2Ball(radius)
    for scale in (-np.ones(5), np.full(5, np.nan), np.full(5, np.inf), 1.0, "abc"):
        with pytest.raises(ValueError, match="scale"):
            L2Ball(1.0, scale=scale)
    for heads in (L2Ball(1.0, scale=np.ones(4)), L2Ball(np.ones(3))):
        with pytest.raises(ValueError, match="has shape"):
            project(m, heads)
    for heads in (LinearHeads, lambda switch: L2Ball(1.0, switch)):
        with pytest.raises(ValueError, match="give True or False"):
            heads("no")
    for heads in ([], 3, None, [3]):
        with pytest.raises(ValueError, match="at least one Head"):
            ConvexHull(heads)
    with pytest.raises(ValueError, match="one of"):
        head_class(["l2"])
    with pytest.raises(ValueError, match="takes 2 features"):
        m.mse(Head(np.ones((2, 1)), np.ones(1)))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("dtype", "size"), [(np.float32, 1e-5), (np.float64, 1e-11)])
@pytest.mark.parametrize("intercept", [True, False])
def test_a_true_direction_far_above_rounding_is_kept(
    seed: int, dtype: type, size: float, intercept: bool
) -> None:
    """Two columns differ by `size`, in float32 some eighty roundings: their difference is signal."""
    rng = np.random.default_rng(seed)
    phi = rng.normal(size=(400, 5))
    phi[:, 1] = phi[:, 0] + size * rng.normal(size=400)
    phi = phi.astype(dtype)
    y = (phi[:, 1].astype(float) - phi[:, 0]) / size
    found = project(Moments.of(phi, y), LinearHeads(fit_intercept=intercept))
    assert found.rank == 5
    assert found.error[0] < 1e-6 * y.var()


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_direction_of_rounding_is_cut(seed: int, dtype: type) -> None:
    """A column that is the sum of two others, but for its own rounding, is no direction of its own."""
    rng = np.random.default_rng(seed)
    phi = rng.normal(size=(400, 5))
    phi[:, 1] = phi[:, 0] + phi[:, 2]
    found = project(Moments.of(phi.astype(dtype), rng.normal(size=400)), LinearHeads())
    assert found.rank == 4
