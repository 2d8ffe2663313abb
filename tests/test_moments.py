"""Moments: one pass, any order, any precision, the same answer."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weakstrong import Head, LinearHeads, Moments, accumulation, project


def sample(seed: int, n: int = 60, d: int = 4, k: int = 2) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    phi = rng.normal(size=(n, d)) * rng.gamma(1.0, size=d) + rng.normal(size=d)
    return phi, phi @ rng.normal(size=(d, k)) + rng.normal(size=(n, k))


def gram(m: Moments) -> np.ndarray:
    """Centred cross products of features and targets: what a triangular factor is unique up to."""
    stacked = np.concatenate([m.factor, m.projected], axis=-1)
    products = np.swapaxes(stacked, -1, -2) @ stacked
    k, places = m.n_targets, np.arange(m.n_targets)
    products[..., -k:, -k:][..., places, places] += m.residual
    return products


def assert_same(a: Moments, b: Moments, rtol: float = 1e-12) -> None:
    """Equal up to the sign of rows of the factor (target-target products off the diagonal are not kept)."""
    np.testing.assert_allclose(a.weight, b.weight, rtol=rtol)
    for x, y in ((a.feature_mean, b.feature_mean), (a.target_mean, b.target_mean)):
        np.testing.assert_allclose(x, y, rtol=rtol, atol=rtol)
    ga, gb, d = gram(a), gram(b), a.n_features
    np.testing.assert_allclose(ga[..., :d, :], gb[..., :d, :], rtol=1e-9, atol=rtol * np.abs(gb).max())
    places = np.arange(a.n_targets) + d
    np.testing.assert_allclose(ga[..., places, places], gb[..., places, places], rtol=1e-10)
    assert a.n_rows == b.n_rows


def test_the_factor_is_that_of_the_centred_sample() -> None:
    phi, y = sample(0)
    centred = np.concatenate([phi - phi.mean(0), y - y.mean(0)], axis=1)
    found = gram(Moments.of(phi, y))
    np.testing.assert_allclose(found[:4], (centred.T @ centred)[:4], rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(Moments.of(phi, y).target_variance, y.var(0), rtol=1e-12)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    n=st.integers(2, 40),
    d=st.integers(1, 12),
    cuts=st.lists(st.floats(0, 1), max_size=4),
)
def test_shards_merged_in_any_order_are_the_batch(seed: int, n: int, d: int, cuts: list[float]) -> None:
    phi, y = sample(seed, n, d)
    edges = sorted({0, n, *(int(c * n) for c in cuts)})
    parts = [Moments.of(phi[a:b], y[a:b]) for a, b in pairwise(edges)]
    whole = Moments.of(phi, y)
    assert_same(Moments.merge(parts), whole)
    assert_same(Moments.merge(parts[::-1]), whole)
    middle = len(parts) // 2
    if 0 < middle < len(parts):
        assert_same(Moments.merge(parts[:middle]) + Moments.merge(parts[middle:]), whole)


def test_blocks_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    phi, y = sample(1, n=5000, d=3)
    whole = Moments.of(phi, y)
    monkeypatch.setattr(accumulation, "_BLOCK_BYTES", 1)  # 1,024 rows, the least
    monkeypatch.setattr(accumulation, "grown", lambda *_: None)
    monkeypatch.setattr(accumulation, "_FIRST_BYTES", 1)
    blocks: list[int] = []
    centred = accumulation._centred
    monkeypatch.setattr(accumulation, "_centred", lambda *a: blocks.append(len(a[0])) or centred(*a))
    assert_same(Moments.of(phi, y), whole)
    assert blocks == [1024] * 4 + [904]


def test_a_batch_of_tasks_is_the_loop_over_them() -> None:
    rng = np.random.default_rng(2)
    phi, y, w = rng.normal(size=(2, 3, 30, 4)), rng.normal(size=(2, 3, 30, 2)), rng.uniform(size=(2, 3, 30))
    batch = Moments.of(phi, y, sample_weight=w)
    solved = project(batch, LinearHeads())
    for i in np.ndindex(2, 3):
        one = Moments.of(phi[i], y[i], sample_weight=w[i])
        assert_same(batch[i], one)
        np.testing.assert_allclose(solved.head.coef[i], project(one, LinearHeads()).head.coef, rtol=1e-10)
    assert_same((batch + batch)[1, 2], batch[1, 2] + batch[1, 2])
    np.testing.assert_allclose(batch.mse(solved.head), solved.error)


def test_many_targets_are_one_at_a_time() -> None:
    phi, y = sample(3, k=7)
    together = Moments.of(phi, y)
    for t in range(7):
        one = Moments.of(phi, y[:, t])
        np.testing.assert_allclose(np.abs(together.projected[:, [t]]), np.abs(one.projected), rtol=1e-10)
        np.testing.assert_allclose(together.residual[[t]], one.residual, rtol=1e-10)


@pytest.mark.parametrize("n", [3, 60])
def test_mse_is_the_mean_squared_error(n: int) -> None:
    phi, y = sample(4, n=n)
    rng = np.random.default_rng(5)
    w = rng.uniform(size=n)
    head = Head(rng.normal(size=(4, 2)), rng.normal(size=2))
    expected = np.average((head(phi) - y) ** 2, axis=0, weights=w)
    np.testing.assert_allclose(Moments.of(phi, y, sample_weight=w).mse(head), expected, rtol=1e-12)
    many = Head(rng.normal(size=(5, 4, 2)), rng.normal(size=(5, 2)))
    found = Moments.of(phi, y, sample_weight=w).mse(many)
    for i in range(5):
        single = Head(many.coef[i], many.intercept[i])
        np.testing.assert_allclose(found[i], np.average((single(phi) - y) ** 2, axis=0, weights=w))


def test_weights_are_repetitions_and_zero_weights_are_absence() -> None:
    phi, y = sample(6, n=20)
    times = np.random.default_rng(7).integers(0, 4, size=20)
    weighted = Moments.of(phi, y, sample_weight=times)
    repeated = Moments.of(np.repeat(phi, times, axis=0), np.repeat(y, times, axis=0))
    assert weighted.n_rows == 20
    np.testing.assert_allclose(weighted.weight, repeated.n_rows)
    np.testing.assert_allclose(gram(weighted)[:4], gram(repeated)[:4], rtol=1e-11, atol=1e-11)
    dropped = Moments.of(phi[times > 0], y[times > 0], sample_weight=times[times > 0])
    np.testing.assert_allclose(gram(weighted)[:4], gram(dropped)[:4], rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("value", [1e14, 1e20, np.nan])
def test_a_row_without_weight_is_not_there_whatever_it_holds(value: float) -> None:
    phi, y = sample(10, n=30)
    weights = np.ones(30)
    weights[[0, 7]] = 0
    spoilt_phi, spoilt_y = phi.copy(), y.copy()
    spoilt_phi[0], spoilt_y[7], spoilt_phi[7, 1] = value, value, 12.0
    found = Moments.of(spoilt_phi, spoilt_y, sample_weight=weights)
    kept = weights > 0
    assert_same(replace(found, n_rows=28), Moments.of(phi[kept], y[kept]))
    assert found.n_rows == 30
    constant = np.where(kept, 0.1, 5.0)[:, None]
    with_constant = Moments.of(np.hstack([phi, constant]), y, sample_weight=weights)
    assert project(with_constant, LinearHeads()).rank == 4


@pytest.mark.parametrize("ratio", [1e6, 1e8])
def test_a_mean_far_above_the_spread_costs_nothing(ratio: float) -> None:
    phi, y = sample(8, n=500)
    shift = ratio * np.ones(4)
    plain = project(Moments.of(phi, y), LinearHeads())
    moved = project(Moments.of(phi + shift, y + ratio), LinearHeads())
    # Adding the shift itself rounds each value by up to half a unit in the last place.
    noise = 100 * ratio * np.finfo(float).eps
    np.testing.assert_allclose(moved.head.coef, plain.head.coef, rtol=noise, atol=noise)
    np.testing.assert_allclose(moved.error, plain.error, rtol=noise)


def test_float32_features_are_read_as_they_are(tmp_path: Path) -> None:
    phi, y = sample(9)
    single = phi.astype(np.float32)
    assert_same(Moments.of(single, y), Moments.of(single.astype(np.float64), y))
    assert Moments.of(single, y).resolution == np.finfo(np.float32).eps
    assert (Moments.of(single, y) + Moments.of(phi, y)).resolution == np.finfo(np.float32).eps
    np.save(tmp_path / "phi.npy", single)
    assert_same(Moments.of(np.load(tmp_path / "phi.npy", mmap_mode="r"), y), Moments.of(single, y))


def test_inputs_are_not_changed() -> None:
    phi, y = sample(10)
    copies = phi.copy(), y.copy()
    first = Moments.of(phi, y)
    factor = first.factor.copy()
    project(first + first, LinearHeads())
    for array, copy in ((phi, copies[0]), (y, copies[1]), (first.factor, factor)):
        np.testing.assert_array_equal(array, copy)


def test_what_cannot_be_used_is_refused() -> None:
    phi, y = sample(11)
    with pytest.raises(ValueError, match="expected"):
        Moments.of(phi, y[:-1])
    with pytest.raises(ValueError, match="no row"):
        Moments.of(phi[:0], y[:0])
    for weight in (-np.ones(60), np.zeros(60)):
        with pytest.raises(ValueError, match="sample_weight"):
            Moments.of(phi, y, sample_weight=weight)
    for value in (np.nan, np.inf):
        spoilt = phi.copy()
        spoilt[3, 1] = value
        with pytest.raises(ValueError, match="finite"), np.errstate(all="ignore"):
            Moments.of(spoilt, y)
    for parts in ([], [3]):
        with pytest.raises(ValueError, match="one sample or more"):
            Moments.merge(parts)
    with pytest.raises(ValueError, match="do not add"):
        Moments.of(phi, y) + Moments.of(phi[:, :2], y)


@settings(max_examples=40, deadline=None)
@given(
    powers=st.lists(st.integers(-1000, 900), min_size=2, max_size=4),
    features=st.integers(-800, 480),
    seed=st.integers(0, 10**6),
)
def test_parts_of_any_scale_of_weights_merge_to_the_whole(
    powers: list[int], features: int, seed: int
) -> None:
    n = 12 * len(powers)
    phi, y = sample(seed, n=n)
    weight = np.random.default_rng(seed).uniform(0.5, 1.0, size=n)
    weight *= np.repeat([2.0**p for p in powers], 12)
    scaled, cuts = phi * 2.0**features, [slice(12 * i, 12 * i + 12) for i in range(len(powers))]
    merged = Moments.merge(Moments.of(scaled[c], y[c], sample_weight=weight[c]) for c in cuts)
    np.testing.assert_allclose(merged.weight, weight.sum(), rtol=1e-14)
    found = project(merged, LinearHeads())
    whole = project(Moments.of(scaled, y, sample_weight=weight), LinearHeads())
    relative = weight / weight.max()  # what is far below is as good as absent
    kept = relative > 1e-30
    plain = project(Moments.of(phi[kept], y[kept], sample_weight=relative[kept]), LinearHeads())
    for each in (found, whole):
        np.testing.assert_allclose(each.head(scaled), plain.head(phi), rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(each.error, plain.error, rtol=1e-6)
