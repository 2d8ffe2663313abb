"""Softmax heads of least cross entropy: other solvers, their certificates, and what must not matter."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import cvxpy as cp
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from weakstrong import InputError
from weakstrong.cross_entropy import Problems, SoftmaxRows
from weakstrong.softmax_basis import Basis, Spread
from weakstrong.softmax_heads import SoftmaxFit, SoftmaxHead, fit_softmax, softmax
from weakstrong.softmax_optimality import ball_gap, linear_gap

SEEDS = range(3)
TIGHT = {"rtol": 1e-6, "atol": 1e-7}


def world(
    seed: int, n: int = 120, d: int = 4, c: int = 3, *, hard: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Features of unequal scales that depend on each other, and labels that no head fits."""
    rng = np.random.default_rng(seed)
    phi = rng.normal(size=(n, d)) @ rng.normal(size=(d, d)) + 3 * rng.normal(size=d)
    z = (phi - phi.mean(0)) / phi.std(0)
    y = softmax(z @ rng.normal(size=(d, c)) / np.sqrt(d) + rng.normal(size=(n, c)))
    if hard:
        y = np.eye(c)[(y.cumsum(1)[:, :-1] < rng.random((n, 1))).sum(1)]
    return phi, y


def cross_entropy(
    head: SoftmaxHead, phi: np.ndarray, y: np.ndarray, omega: np.ndarray | None = None
) -> float:
    q = head(phi)
    return float(np.average(-(y * np.log(np.maximum(q, 1e-300))).sum(1), weights=omega))


def norm(fit: SoftmaxFit) -> float:
    return float(np.linalg.norm(fit.scale[:, None] * fit.head.coef))


def least(phi: np.ndarray, y: np.ndarray, radius: float, *, fit_intercept: bool = True) -> float:
    """Return the least cross entropy by a conic solver."""
    sigma = phi.std(0) if fit_intercept else np.sqrt((phi**2).mean(0))
    z = (phi - phi.mean(0) if fit_intercept else phi) / sigma
    w, b = cp.Variable((phi.shape[1], y.shape[1])), cp.Variable((1, y.shape[1]))
    logits = z @ w + (np.ones((len(phi), 1)) @ b if fit_intercept else 0)
    loss = cp.sum(cp.log_sum_exp(logits, axis=1)) - cp.sum(cp.multiply(y, logits))
    bounds = [cp.norm(w, "fro") <= radius] if np.isfinite(radius) else []
    problem = cp.Problem(cp.Minimize(loss / len(phi)), bounds)
    problem.solve(solver="CLARABEL", tol_gap_abs=1e-11, tol_gap_rel=1e-11, tol_feas=1e-11)
    return float(problem.value)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("radius", [0.3, 2.0, np.inf])
@pytest.mark.parametrize(("c", "hard"), [(2, False), (2, True), (4, False), (4, True)])
def test_it_finds_the_least_cross_entropy(seed: int, radius: float, c: int, hard: bool) -> None:
    phi, y = world(seed, c=c, hard=hard)
    [fit] = fit_softmax(phi, y, radius=radius)
    best = least(phi, y, radius)
    assert fit.error == pytest.approx(cross_entropy(fit.head, phi, y), abs=1e-12)
    assert abs(fit.error - best) < 2e-8
    assert fit.optimality_gap < 1e-8
    assert norm(fit) <= radius * (1 + 1e-9)


@pytest.mark.parametrize("radius", [0.5, np.inf])
def test_a_head_may_go_without_an_intercept(radius: float) -> None:
    phi, y = world(5)
    [fit] = fit_softmax(phi, y, radius=radius, fit_intercept=False)
    assert not fit.head.intercept.any()
    assert abs(fit.error - least(phi, y, radius, fit_intercept=False)) < 2e-8
    assert fit.optimality_gap < 1e-8


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("c", [2, 3])
def test_a_ball_has_the_penalized_head_of_scikit_learn(seed: int, c: int) -> None:
    phi, y = world(seed, n=200, c=c, hard=True)
    z = (phi - phi.mean(0)) / phi.std(0)
    strength = 0.03  # of ½ λ ‖W‖²; for two classes ‖W‖² is half the square of scikit-learn's coefficients
    model = LogisticRegression(
        C=(2 if c == 2 else 1) / (strength * len(z)), solver="newton-cholesky", tol=1e-12, max_iter=1000
    ).fit(z, y.argmax(1))
    coef = model.coef_ if c > 2 else np.concatenate([-model.coef_, model.coef_]) / 2
    [fit] = fit_softmax(phi, y, radius=np.linalg.norm(coef))
    assert fit.multiplier == pytest.approx(strength, rel=1e-6)
    np.testing.assert_allclose(fit.head(phi), model.predict_proba(z), **TIGHT)


@pytest.mark.parametrize("c", [2, 3])
def test_soft_labels_are_weighted_copies(c: int) -> None:
    phi, y = world(1, n=80, c=c)
    model = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-12, max_iter=1000)
    model.fit(np.repeat(phi, c, 0), np.tile(np.arange(c), len(phi)), sample_weight=y.ravel())
    [fit] = fit_softmax(phi, y, radius=np.inf)
    np.testing.assert_allclose(fit.head(phi), model.predict_proba(phi), **TIGHT)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("c", [2, 3])
def test_many_rows_are_all_fitted_though_some_show_the_way(dtype: type, c: int) -> None:
    phi, y = world(1, n=6000, d=5, c=c, hard=True)
    phi = np.concatenate([phi, np.zeros((6000, 1))], 1)
    phi[[17, 4711], 5] = 1.0, -2.0  # rows that a part of them is likely to miss
    phi = phi.astype(dtype)
    z = (phi - phi.mean(0, dtype=float)) / phi.std(0, dtype=float)
    model = LogisticRegression(C=0.05, solver="newton-cholesky", tol=1e-12, max_iter=1000).fit(z, y.argmax(1))
    coef = model.coef_ if c > 2 else np.concatenate([-model.coef_, model.coef_]) / 2
    [fit] = fit_softmax(phi, y, radius=np.linalg.norm(coef))
    np.testing.assert_allclose(fit.head(phi), model.predict_proba(z), rtol=1e-5, atol=1e-6)
    assert (fit.rank, fit.n_ignored) == (6, 0)
    assert fit.passes <= 20
    together = fit_softmax(phi, np.stack([y, np.roll(y, 1, 0), y]), radius=[0.5, 1.0, np.linalg.norm(coef)])
    _same(together[2], fit, atol=1e-5)
    assert all(one.optimality_gap < 1e-8 for one in together)
    three = np.arange(6000) < 3
    y[:, 0], y[three] = y[:, 0] + y[:, -1], 0
    y[:, -1] = three
    y[three, 0] = 0
    [rare] = fit_softmax(phi, y, radius=1.0)
    assert rare.optimality_gap < 1e-8
    np.testing.assert_allclose(rare.head(phi).sum(0), y.sum(0), rtol=1e-6)


def _rows(phi: np.ndarray, y: np.ndarray) -> SoftmaxRows:
    omega = np.ones(len(phi))
    spread = Spread.of(phi, omega, fit_intercept=True, scale=None)
    return SoftmaxRows(phi, y[None], omega, Basis.of(phi, omega, spread, whole=True), None, True)


def _coordinates(rows: SoftmaxRows, fit: SoftmaxFit) -> np.ndarray:
    intercept = fit.head.intercept + fit.feature_mean @ fit.head.coef
    columns = np.concatenate([intercept[None], np.linalg.pinv(rows.basis.outward) @ fit.head.coef])
    return rows.columns_of(columns).T[None]


def _one(radius: float) -> Problems:
    return Problems(np.zeros(1, int), np.full(1, -1), np.zeros(1), np.full(1, radius))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("c", [2, 4])
def test_the_certificate_bounds_the_excess_of_any_head(seed: int, c: int) -> None:
    phi, y = world(seed, c=c)
    rows, rng = _rows(phi, y), np.random.default_rng(seed)
    for radius in (0.3, np.inf):
        best, [fit], told = least(phi, y, radius), fit_softmax(phi, y, radius=radius), 0
        for size in (0.0, 1e-6, 1e-4, 1e-2, 0.3):
            for _ in range(5):
                x = _coordinates(rows, fit)
                x = x + size * rng.normal(size=x.shape)
                x -= x.mean(1, keepdims=True) if c > 2 else 0.0
                there = rows(x, _one(radius))
                if np.isfinite(radius):
                    [gap] = ball_gap(rows, x, there, np.zeros(1, int), np.full(1, radius))
                else:
                    [gap] = linear_gap(rows, x, there.gradient)
                assert there.loss[0] - best <= gap + 1e-9
                told += 0 < gap < 1e-2
        assert told >= 10


@pytest.mark.parametrize("c", [2, 4])
def test_another_point_of_the_sphere_has_a_large_gap(c: int) -> None:
    phi, y = world(2, c=c)
    rows, [fit] = _rows(phi, y), fit_softmax(phi, y, radius=0.3)
    x = _coordinates(rows, fit)
    assert ball_gap(rows, x, rows(x, _one(0.3)), np.zeros(1, int), np.full(1, 0.3))[0] < 1e-10
    turned = x.copy()
    turned[..., 1:] = np.roll(turned[..., 1:], 1, -1)  # as long, and another
    assert ball_gap(rows, turned, rows(turned, _one(0.3)), np.zeros(1, int), np.full(1, 0.3))[0] > 1e-3


def _same(a: SoftmaxFit, b: SoftmaxFit, **tolerance: float) -> None:
    assert a.radius == pytest.approx(b.radius, rel=1e-5)
    np.testing.assert_allclose(a.head.coef, b.head.coef, **(TIGHT | tolerance))
    np.testing.assert_allclose(a.head.intercept, b.head.intercept, **(TIGHT | tolerance))


@pytest.mark.parametrize("radius", [None, 0.7, np.inf])
@pytest.mark.parametrize("c", [2, 3])
def test_the_order_of_classes_does_not_matter(radius: float | None, c: int) -> None:
    phi, y = world(3, c=c)
    order = np.random.default_rng(0).permutation(c)[::-1] if c > 2 else [1, 0]
    [fit], [other] = fit_softmax(phi, y, radius=radius), fit_softmax(phi, y[:, order], radius=radius)
    assert other.radius == pytest.approx(fit.radius, rel=1e-6)
    np.testing.assert_allclose(other.head(phi), fit.head(phi)[:, order], **TIGHT)
    if radius is None:
        assert other.cv_error == pytest.approx(fit.cv_error, abs=1e-6)


@pytest.mark.parametrize("radius", [0.7, np.inf])
def test_a_weight_is_a_number_of_rows(radius: float) -> None:
    phi, y = world(4)
    times = np.random.default_rng(0).integers(0, 4, size=len(phi))
    [fit] = fit_softmax(phi, y, weights=0.25 * times, radius=radius)
    [copies] = fit_softmax(np.repeat(phi, times, 0), np.repeat(y, times, 0), radius=radius)
    _same(fit, copies)
    assert fit.error == pytest.approx(copies.error, abs=1e-9)


@pytest.mark.parametrize("radius", [None, 0.7, np.inf])
def test_rows_without_weight_do_not_count(radius: float | None) -> None:
    phi, y = world(6)
    omega = np.ones(150)
    omega[120:] = 0  # last, so that the others keep their folds
    more = np.concatenate([phi, 1e6 * np.ones((30, 4))]), np.concatenate([y, y[:30]])
    _same(fit_softmax(*more, weights=omega, radius=radius)[0], fit_softmax(phi, y, radius=radius)[0])


@pytest.mark.parametrize("radius", [None, np.inf])
@pytest.mark.parametrize("c", [2, 3])
def test_shift_and_scale_of_features_change_no_prediction(radius: float | None, c: int) -> None:
    phi, y = world(7, c=c)
    scale, shift = np.array([1e-6, 1.0, 1e3, 1e8]), np.array([1.0, -5.0, 1e4, 0.0])
    [fit], [other] = fit_softmax(phi, y, radius=radius), fit_softmax(phi * scale + shift, y, radius=radius)
    np.testing.assert_allclose(other.head(phi * scale + shift), fit.head(phi), rtol=1e-5, atol=1e-6)
    assert (other.rank, other.n_ignored) == (4, 0)


@pytest.mark.parametrize(("n", "d"), [(40, 100), (150, 100), (400, 30)])
@pytest.mark.parametrize("c", [2, 3])
def test_features_in_single_precision_or_in_a_file_give_the_same(
    tmp_path: Path, n: int, d: int, c: int
) -> None:
    phi, y = world(8, n=n, d=d, c=c, hard=True)
    phi = phi.astype(np.float32)
    np.save(tmp_path / "features.npy", phi)
    file = np.load(tmp_path / "features.npy", mmap_mode="r")
    [single], [mapped] = fit_softmax(phi, y), fit_softmax(file, y)
    [double] = fit_softmax(phi.astype(np.float64), y)
    np.testing.assert_array_equal(mapped.head.coef, single.head.coef)
    np.testing.assert_allclose(single.head(phi), double.head(phi), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(mapped.head(file), single.head(phi))


def test_features_in_a_file_are_never_copied_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("weakstrong.arrays._BLOCK_BYTES", 1 << 20)
    rng = np.random.default_rng(0)
    phi = rng.normal(size=(60_000, 64)).astype(np.float32)
    y = np.eye(2)[(phi[:, 0] + rng.normal(size=60_000) > 0).astype(int)]
    np.save(tmp_path / "features.npy", phi)
    file = np.load(tmp_path / "features.npy", mmap_mode="r")
    tracemalloc.start()
    try:
        [fit] = fit_softmax(file, y, radius=1.0)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert fit.optimality_gap < 1e-8
    assert peak < phi.nbytes  # 15 MB, of which labels and a part of the rows to start on take 5


def test_blocks_of_rows_are_all_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    phi, y = world(9, n=300)
    whole = [fit_softmax(phi, y)[0], fit_softmax(phi, y, radius=np.inf)[0]]
    monkeypatch.setattr("weakstrong.arrays._BLOCK_BYTES", 1000)
    for before, radius in zip(whole, (None, np.inf), strict=True):
        _same(fit_softmax(phi, y, radius=radius)[0], before)


@pytest.mark.parametrize("radius", [None, [0.5, 1.0, 3.0], np.inf])
@pytest.mark.parametrize("c", [2, 3])
def test_several_labels_at_once_are_each_on_its_own(radius: list[float] | None, c: int) -> None:
    phi = world(10)[0]
    labels = np.stack([world(10, c=c)[1], world(10, c=c, hard=True)[1], np.roll(world(10, c=c)[1], 3, 0)])
    together = fit_softmax(phi, labels, radius=radius, n_folds=4)
    for i, fit in enumerate(together):
        own = radius[i] if isinstance(radius, list) else radius
        [alone] = fit_softmax(phi, labels[i], radius=own, n_folds=4)
        _same(fit, alone)
        assert fit.cv_error == pytest.approx(alone.cv_error, abs=1e-5)


def test_another_set_of_labels_can_be_fitted_in_the_class_of_a_fit() -> None:
    phi, y = world(11, hard=True)
    [student] = fit_softmax(phi, y)
    [again] = fit_softmax(phi, y, radius=student.radius, scale=student.scale)
    _same(again, student)
    [ceiling] = fit_softmax(phi, world(11)[1], radius=student.radius, scale=student.scale)
    assert norm(ceiling) <= student.radius * (1 + 1e-9)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_held_out_loss_is_that_of_an_explicit_loop(seed: int) -> None:
    from weakstrong.cross_validation import FoldAssigner

    phi, y = world(seed)
    sigma = phi.std(0)
    [fit] = fit_softmax(phi, y, radius=0.9, n_folds=3, seed=seed)
    fold = FoldAssigner(3, seed)(np.arange(len(phi)))
    held_out = [
        -(y[fold == f] * np.log(fit_softmax(phi[fold != f], y[fold != f], radius=0.9, scale=sigma)[0].head(
            phi[fold == f]))).sum(1)
        for f in range(3)
    ]  # fmt: skip
    assert fit.cv_error == pytest.approx(np.concatenate(held_out).mean(), abs=1e-4)


def test_the_radius_chosen_has_less_held_out_loss_than_far_ones() -> None:
    phi, y = world(12, n=60, d=12, c=2, hard=True)
    [fit] = fit_softmax(phi, y)
    others = [fit_softmax(phi, y, radius=r, n_folds=5)[0].cv_error for r in (0.03, 30.0)]
    assert fit.cv_error is not None
    assert all(other is not None and fit.cv_error < other for other in others)
    assert fit.optimality_gap < 1e-8


def test_groups_are_kept_in_one_fold() -> None:
    phi, y = world(13, n=40, d=60, c=2, hard=True)
    twice, groups = (np.repeat(a, 2, 0) for a in (phi, y)), np.repeat(np.arange(40), 2)
    features, labels = twice
    [fit] = fit_softmax(phi, y)
    [grouped], [torn] = fit_softmax(features, labels, groups=groups), fit_softmax(features, labels)
    _same(grouped, fit)
    assert grouped.cv_error == pytest.approx(fit.cv_error, abs=1e-6)
    assert torn.cv_error < fit.cv_error - 1e-3  # each row's copy is among those fitted


@pytest.mark.parametrize("c", [2, 3])
def test_linear_heads_that_separate_hard_labels_are_refused(c: int) -> None:
    phi = world(14, n=60)[0]
    y = np.eye(c)[np.arange(60) * c // 60]
    phi[:, 0] = np.arange(60) + 10 * (np.arange(60) * c // 60)
    with pytest.raises(InputError, match=r'no minimizer: fit them in a ball .heads="l2"'):
        fit_softmax(phi, y, radius=np.inf)
    [fit] = fit_softmax(phi, y, radius=5.0)
    assert norm(fit) == pytest.approx(5.0)
    assert fit.optimality_gap < 1e-8
    assert (fit.head(phi).argmax(1) == y.argmax(1)).mean() > 0.9


@pytest.mark.parametrize("seed", SEEDS)
def test_labels_that_are_separated_in_part_are_refused_too(seed: int) -> None:
    rng = np.random.default_rng(seed)
    phi = rng.normal(size=(200, 3))
    y = (phi[:, 0] > 0).astype(int)
    on = rng.random(200) < 0.3  # a third lie on the border, where another feature tells a little
    phi[on, 0] = 0
    y[on] = rng.random(on.sum()) < 1 / (1 + np.exp(-phi[on, 1]))
    with pytest.raises(InputError, match="wholly or in part"):
        fit_softmax(phi, np.eye(2)[y], radius=np.inf)
    phi[:, 0] += rng.normal(size=200)
    assert fit_softmax(phi, np.eye(2)[y], radius=np.inf)[0].optimality_gap < 1e-8


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("n", "d", "c"), [(30, 40, 2), (50, 60, 4)])
def test_as_many_features_as_rows_separate_any_labels(seed: int, n: int, d: int, c: int) -> None:
    phi, y = world(seed, n=n, d=d, c=c, hard=True)
    with pytest.raises(InputError, match="no minimizer"):
        fit_softmax(phi, y[:, y.any(0)], radius=np.inf)
    [fit] = fit_softmax(phi, y[:, y.any(0)], radius=20.0)
    assert fit.optimality_gap < 1e-8


@pytest.mark.parametrize("radius", [None, 0.4, np.inf])
@pytest.mark.parametrize("c", [2, 4])
def test_a_student_inherits_the_class_frequencies(radius: float | None, c: int) -> None:
    phi, y = world(15, c=c)
    omega = np.random.default_rng(0).uniform(size=len(phi))
    [fit] = fit_softmax(phi, y, weights=omega, radius=radius)
    np.testing.assert_allclose(omega @ fit.head(phi), omega @ y, rtol=1e-6)
    [through_zero] = fit_softmax(phi, y, weights=omega, radius=radius, fit_intercept=False)
    assert np.abs(omega @ (through_zero.head(phi) - y)).max() > 1e-3 * omega.sum()


def test_features_that_do_not_vary_get_no_coefficient() -> None:
    phi, y = world(16)
    more = np.concatenate([phi, np.full((120, 1), 7.0), np.zeros((120, 1))], 1).astype(np.float32)
    [fit], [plain] = (
        fit_softmax(more, y, radius=np.inf),
        fit_softmax(phi.astype(np.float32), y, radius=np.inf),
    )
    assert (fit.rank, fit.n_ignored) == (4, 2)
    assert not fit.head.coef[4:].any()
    np.testing.assert_allclose(fit.head(more), plain.head(phi.astype(np.float32)), **TIGHT)


def test_a_feature_given_twice_is_one_direction() -> None:
    phi, y = world(17)
    [fit], [plain] = (fit_softmax(x, y, radius=np.inf) for x in (np.concatenate([phi, phi[:, :2]], 1), phi))
    assert fit.rank == 4
    assert fit.error == pytest.approx(plain.error, abs=1e-9)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("c", [2, 3])
def test_ill_conditioned_features_are_solved_to_the_end(seed: int, c: int) -> None:
    rng = np.random.default_rng(seed)
    size = np.geomspace(1, 1e-4, 20)
    inside = rng.normal(size=(1000, 20))
    y = softmax(inside @ rng.normal(size=(20, c)) / 2)
    phi = (inside * size) @ np.linalg.qr(rng.normal(size=(20, 20)))[0]
    [fit], [free] = fit_softmax(phi, y, radius=np.inf), fit_softmax(inside, y, radius=np.inf)
    assert fit.optimality_gap < 1e-8
    assert fit.passes <= 40
    np.testing.assert_allclose(fit.head(phi), y, atol=1e-5)  # the truth is in the class
    np.testing.assert_allclose(fit.head(phi), free.head(inside), atol=1e-5)


def test_labels_in_single_precision_are_distributions() -> None:
    phi, y = world(18)
    [single], [double] = (fit_softmax(phi, labels, radius=np.inf) for labels in (y.astype(np.float32), y))
    np.testing.assert_allclose(single.head(phi), double.head(phi), atol=1e-6)


def test_a_head_reads_in_one_gauge() -> None:
    rng = np.random.default_rng(0)
    coef, intercept = rng.normal(size=(4, 3)), rng.normal(size=3)
    head, moved = SoftmaxHead(coef, intercept), SoftmaxHead(coef + rng.normal(size=(4, 1)), intercept + 5)
    np.testing.assert_allclose(head.coef.sum(1), 0, atol=1e-12)
    phi = rng.normal(size=(10, 4))
    np.testing.assert_allclose(head(phi), softmax(phi @ coef + intercept))
    np.testing.assert_allclose(moved.intercept, head.intercept)
    np.testing.assert_allclose(SoftmaxHead(1e4 * coef, intercept)(phi).sum(1), 1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": np.full((120, 3), 0.5)}, "row 0 .* probabilities that sum to 1"),
        ({"labels": np.ones((120, 1))}, "one class alone"),
        ({"labels": np.ones((100, 3)) / 3}, "expected .n, d. and .k, n, c."),
        ({"labels": np.eye(3)[np.arange(120) % 2]}, "class 2 .* leave its column out"),
        ({"radius": -1.0}, "radius=-1.0"),
        ({"radius": [1.0, 2.0]}, "or 1 of them"),
        ({"n_folds": 1, "radius": None}, "n_folds=1"),
        ({"groups": np.zeros(120), "radius": None}, "1 groups do not fill"),
        ({"weights": np.zeros(120)}, "not to be all zero"),
    ],
)
def test_faults_are_refused_in_one_line(change: dict, message: str) -> None:
    phi, y = world(0)
    with pytest.raises(InputError, match=message) as raised:
        fit_softmax(**({"features": phi, "labels": y, "radius": 1.0} | change))
    assert "\n" not in str(raised.value)


def test_a_value_that_is_not_finite_is_named() -> None:
    phi, y = world(0)
    phi[7, 2] = np.nan
    with pytest.raises(InputError, match="features: row 7, column 2"):
        fit_softmax(phi, y, radius=1.0)
