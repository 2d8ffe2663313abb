"""Cross-validation from fold moments: what refitting on rows would have found, in one pass."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.model_selection import PredefinedSplit, cross_val_score

from weakstrong import (
    ConvexHull,
    Head,
    HeadProjection,
    L2Ball,
    LinearHeads,
    Moments,
    cross_validation,
    project,
)
from weakstrong.cross_validation import FoldAssigner, cross_validate
from weakstrong.heads import HeadClass

N, D, K = 60, 8, 4


class Sample:
    """Rows, two targets of very different signal, weights and uneven folds."""

    def __init__(self, seed: int, n: int = N, d: int = D) -> None:
        rng = np.random.default_rng(seed)
        self.phi = rng.normal(size=(n, d)) @ rng.normal(size=(d, d)) + rng.normal(size=d)
        signal = self.phi @ rng.normal(size=d)
        self.y = np.column_stack([signal + rng.normal(size=n), 0.1 * signal + 5 * rng.normal(size=n)])
        self.weights = rng.uniform(0.2, 2.0, size=n)
        self.fold_of = np.concatenate([np.arange(K), rng.integers(0, K, size=n - K)])
        self.rng = rng

    def moments(self, rows: np.ndarray) -> Moments:
        return Moments.of(self.phi[rows], self.y[rows], sample_weight=self.weights[rows])

    def folds(self) -> list[Moments]:
        return [self.moments(self.fold_of == f) for f in range(K)]

    def spread(self, intercept: bool) -> np.ndarray:
        """Standard deviations, or root mean squares, of the columns over all rows."""
        centre = np.average(self.phi, axis=0, weights=self.weights) if intercept else 0.0
        return np.sqrt(np.average((self.phi - centre) ** 2, axis=0, weights=self.weights))

    def refitted(self, heads: HeadClass) -> np.ndarray:
        """Held-out error by refitting on the other folds' rows and predicting the rows held out."""
        if isinstance(heads, L2Ball) and heads.scale is None:  # one class in every fold
            heads = replace(heads, scale=self.spread(heads.fit_intercept))
        held_out = np.empty_like(self.y)
        for f in range(K):
            rows = self.fold_of == f
            held_out[rows] = project(self.moments(~rows), heads).head(self.phi[rows])
        return np.average((held_out - self.y) ** 2, axis=0, weights=self.weights)


def scaled_norm(sample: Sample, coef: np.ndarray) -> np.ndarray:
    centred = sample.phi - np.average(sample.phi, axis=0, weights=sample.weights)
    spread = np.sqrt(np.average(centred**2, axis=0, weights=sample.weights))
    return np.linalg.norm(coef * spread[:, None], axis=0)


@pytest.mark.parametrize("seed", range(4))
def test_a_closed_class_has_the_error_of_refitting_on_each_complement(seed: int) -> None:
    sample = Sample(seed)
    hull = ConvexHull(Head(sample.rng.normal(size=(D, 5)), sample.rng.normal(size=5)))
    given = [LinearHeads(), LinearHeads(fit_intercept=False), L2Ball(0.5), L2Ball(np.array([0.1, 2.0])), hull]
    for heads in given:
        found = cross_validate(sample.folds(), heads)
        np.testing.assert_allclose(found.error, sample.refitted(heads), rtol=1e-9)
        assert found.heads is heads
        assert found.radii is None


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("scale", [None, np.geomspace(0.5, 2.0, D)], ids=["spread", "given"])
def test_an_open_radius_is_the_argmin_of_the_error_of_refitting(seed: int, scale: np.ndarray | None) -> None:
    sample = Sample(seed)
    for intercept in (True, False):
        heads = L2Ball(fit_intercept=intercept, scale=scale)
        found = cross_validate(sample.folds(), heads)
        expected = [sample.refitted(L2Ball(r, intercept, scale)) for r in found.radii]
        np.testing.assert_allclose(found.errors, expected, rtol=1e-8)
        best = np.argmin(expected, axis=0)
        np.testing.assert_array_equal(found.heads.radius, found.radii[best, [0, 1]])
        np.testing.assert_array_equal(found.error, found.errors[best, [0, 1]])
        assert found.heads.fit_intercept is intercept
        assert found.heads.scale is scale


def test_targets_of_different_signal_get_different_radii_and_a_choice_inside_the_grid() -> None:
    """The test above would be empty if the argmin were always an end of the grid."""
    chosen = []
    for seed in range(4):
        found = cross_validate(Sample(seed).folds(), L2Ball())
        chosen.append(found.errors.argmin(0))
    assert np.all(np.ptp(chosen, axis=1) > 0)
    assert np.any((np.array(chosen) > 0) & (np.array(chosen) < len(found.radii) - 1))


def test_equal_errors_choose_the_smallest_radius(monkeypatch: pytest.MonkeyPatch) -> None:
    """Radii that hold every fold's least squares solution give one head, so one error."""
    sample = Sample(0, d=2)
    sample.y = sample.phi @ np.ones((2, 2)) + 0.01 * sample.y
    monkeypatch.setattr(cross_validation, "_radii", lambda *_: np.outer([0.01, 1e3, 1e4, 1e5], [1.0, 2.0]))
    found = cross_validate(sample.folds(), L2Ball())
    np.testing.assert_array_equal(found.errors[1], found.errors[3])
    np.testing.assert_array_equal(found.heads.radius, [1e3, 2e3])


def test_radii_tried_are_norms_of_ridge_solutions_from_almost_nothing_to_least_squares() -> None:
    sample = Sample(5)
    radii = cross_validate(sample.folds(), L2Ball()).radii
    assert np.all(np.diff(radii, axis=0) >= 0)
    centred = sample.phi - np.average(sample.phi, axis=0, weights=sample.weights)
    scaled = centred / np.sqrt(np.average(centred**2, axis=0, weights=sample.weights))
    fit = {"X": scaled, "y": sample.y, "sample_weight": sample.weights}
    least = LinearRegression().fit(**fit).coef_
    np.testing.assert_allclose(radii[-1], np.linalg.norm(least, axis=1), rtol=1e-9)
    top = np.linalg.norm(np.sqrt(sample.weights)[:, None] * scaled, 2) ** 2
    for strength in (10.0, 1e-2, 1e-5):
        ridge = np.linalg.norm(Ridge(alpha=strength * top).fit(**fit).coef_, axis=1)
        nearest = np.abs(radii / ridge - 1).min(0)
        np.testing.assert_array_less(nearest, 1e-8)
    np.testing.assert_array_less(radii[0], 0.1 * radii[-1])
    sample.phi[:, 1] = sample.phi[:, 0] + 1e-6 * sample.phi[:, 1]  # least squares, however ill-conditioned
    radii = cross_validate(sample.folds(), L2Ball()).radii
    least = project(sample.moments(np.ones(N, dtype=bool)), LinearHeads()).head.coef
    np.testing.assert_allclose(radii[-1], scaled_norm(sample, least), rtol=1e-6)
    np.testing.assert_array_less(radii[-2], 0.9 * radii[-1])


def test_targets_and_leading_problems_are_chosen_one_at_a_time() -> None:
    samples = [Sample(seed) for seed in range(3)]
    rows = [[np.flatnonzero(np.arange(N) % K == f) for f in range(K)] for _ in samples]
    one_by_one = [[s.moments(rows[i][f]) for f in range(K)] for i, s in enumerate(samples)]
    batch = [
        Moments.of(*(np.stack([getattr(s, a)[rows[0][f]] for s in samples]) for a in ("phi", "y")),
                   sample_weight=np.stack([s.weights[rows[0][f]] for s in samples]))
        for f in range(K)
    ]  # fmt: skip
    for heads in (LinearHeads(), L2Ball(0.7), L2Ball()):
        together = cross_validate(batch, heads)
        for i, folds in enumerate(one_by_one):
            alone = cross_validate(folds, heads)
            np.testing.assert_allclose(together.error[i], alone.error, rtol=1e-9)
            if isinstance(heads, L2Ball) and heads.radius is None:
                np.testing.assert_allclose(together.heads.radius[i], alone.heads.radius, rtol=1e-9)
    first = cross_validate([Moments.of(samples[0].phi[r], samples[0].y[r, 0]) for r in rows[0]], L2Ball())
    both = cross_validate([Moments.of(samples[0].phi[r], samples[0].y[r]) for r in rows[0]], L2Ball())
    np.testing.assert_allclose(first.heads.radius[0], both.heads.radius[0], rtol=1e-9)


def test_a_complement_keeps_its_digits_beside_a_fold_a_billion_times_larger() -> None:
    """Complements subtracted from the total would keep none: 1 part in 1e18 of the squares."""
    sample = Sample(6)
    large = sample.fold_of == 1
    sample.phi[large] *= 1e9
    for heads in (LinearHeads(), L2Ball(2.0, scale=np.ones(D))):
        found = cross_validate(sample.folds(), heads)
        np.testing.assert_allclose(found.error, sample.refitted(heads), rtol=1e-6)


def test_linear_error_is_that_of_scikit_learn_on_the_same_folds() -> None:
    sample = Sample(7)
    sample.weights[:] = 1.0
    scores = cross_val_score(
        LinearRegression(),
        sample.phi,
        sample.y[:, 0],
        cv=PredefinedSplit(sample.fold_of),
        scoring="neg_mean_squared_error",
    )
    sizes = np.bincount(sample.fold_of)
    found = cross_validate(sample.folds(), LinearHeads())
    np.testing.assert_allclose(found.error[0], -np.average(scores, weights=sizes), rtol=1e-10)


def test_one_fold_is_refused() -> None:
    with pytest.raises(ValueError, match="at least two folds; got 1"):
        cross_validate(Sample(0).folds()[:1], LinearHeads())


@settings(max_examples=60, deadline=None)
@given(
    n=st.integers(1, 300),
    n_folds=st.integers(2, 20),
    seed=st.integers(-(2**70), 2**70),
    cuts=st.lists(st.floats(0, 1), max_size=4),
)
def test_folds_are_balanced_at_every_moment_and_a_stream_is_dealt_as_its_batch(
    n: int, n_folds: int, seed: int, cuts: list[float]
) -> None:
    assign = FoldAssigner(n_folds, seed)
    fold = assign(np.arange(n))
    assert fold.min() >= 0
    assert fold.max() < n_folds
    for seen in range(1, n + 1):
        counts = np.bincount(fold[:seen], minlength=n_folds)
        assert counts.max() - counts.min() <= 1
    edges = sorted({0, n, *(int(c * n) for c in cuts)})
    stream = [assign(np.arange(a, b)) for a, b in pairwise(edges)]
    np.testing.assert_array_equal(np.concatenate(stream), fold)
    shuffled = np.random.default_rng(0).integers(0, n, size=2 * n)  # units repeated, in any order
    np.testing.assert_array_equal(assign(shuffled), fold[shuffled])


def test_folds_are_random_in_position_and_differ_by_seed() -> None:
    """Each place of a deal meets each fold equally often, and successive deals are not alike."""
    n_folds, deals = 5, 4000
    fold = FoldAssigner(n_folds, 0)(np.arange(n_folds * deals)).reshape(deals, n_folds)
    counts = np.array([np.bincount(place, minlength=n_folds) for place in fold.T])
    sigma = np.sqrt(deals * 0.2 * 0.8)
    assert np.abs(counts - deals / n_folds).max() < 5 * sigma
    pairs = np.histogram2d(fold[:-1, 0], fold[1:, 0], bins=n_folds)[0]
    assert np.abs(pairs - deals / n_folds**2).max() < 5 * np.sqrt(deals / n_folds**2)
    seeds = [FoldAssigner(n_folds, seed)(np.arange(500)) for seed in (0, 1, 2, -1, 2**40)]
    for i in range(len(seeds)):
        for j in range(i):
            assert 0.1 < np.mean(seeds[i] == seeds[j]) < 0.3
    np.testing.assert_array_equal(seeds[1], FoldAssigner(n_folds, 1)(np.arange(500)))


def test_rows_of_a_group_share_a_fold_dealt_by_order_of_appearance() -> None:
    sample = Sample(8)
    groups = np.array([f"site {g}" for g in sample.rng.integers(0, 17, size=N)])
    appeared = {g: i for i, g in enumerate(dict.fromkeys(groups))}
    sample.fold_of = FoldAssigner(K, 3)(np.array([appeared[g] for g in groups]))
    for heads in ("linear", "l2"):
        student = HeadProjection(heads, n_folds=K, random_state=3)
        student.fit(sample.phi, sample.y, sample.weights, groups)
        expected = cross_validate(sample.folds(), student.heads_ if heads == "linear" else L2Ball())
        np.testing.assert_allclose(student.cv_error_, expected.error, rtol=1e-9)
    np.testing.assert_allclose(student.heads_.radius, expected.heads.radius, rtol=1e-9)
