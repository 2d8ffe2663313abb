"""Softmax heads by exact cross entropy: independent oracles, certificates, and fits side by side."""

from __future__ import annotations

import cvxpy as cp
import numpy as np
import pytest
from scipy.special import log_softmax, softmax
from sklearn.linear_model import LogisticRegression

from weakstrong.softmax_fits import fit_each
from weakstrong.softmax_folds import _Path

SHAPES = [(60, 4, 2), (80, 5, 3), (30, 50, 2), (40, 60, 4)]  # the last two with fewer rows than features


def make(seed: int, n: int, d: int, c: int, *, soft: bool = False) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d)) @ rng.normal(size=(d, d)) + 3 * rng.normal(size=d)
    logits = 2 * ((x - x.mean(0)) / x.std(0)) @ rng.normal(size=(d, c)) / np.sqrt(d)
    if soft:
        return x, softmax(logits + rng.normal(size=(n, c)), axis=1)
    return x, np.eye(c)[(logits + rng.gumbel(size=(n, c))).argmax(1)]


def scaled(x: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    mean = np.average(x, axis=0, weights=weights)
    return (x - mean) / np.sqrt(np.average((x - mean) ** 2, axis=0, weights=weights))


def cross_entropy(x: np.ndarray, y: np.ndarray, coef: np.ndarray, intercept: np.ndarray) -> float:
    return float(-(y * log_softmax(x @ coef + intercept, axis=1)).sum(1).mean())


@pytest.mark.parametrize(("n", "d", "c"), SHAPES)
@pytest.mark.parametrize("seed", range(3))
def test_hard_labels_have_the_heads_of_scikit_learn(n: int, d: int, c: int, seed: int) -> None:
    x, y = make(seed, n, d, c)
    fits = fit_each(x, y[None])
    z, strength = scaled(x), float(fits.problems.multiplier[0])
    # scikit-learn has one column of coefficients for two classes: the difference of ours
    size = 2 / (n * strength) if c == 2 else 1 / (n * strength)
    oracle = LogisticRegression(C=size, tol=1e-11, max_iter=50_000).fit(z, y.argmax(1))
    of = log_softmax if c > 2 else lambda v, axis: np.stack([np.zeros(len(v)), v[:, 0]], 1)
    raw = z @ oracle.coef_.T + oracle.intercept_
    expected = softmax(of(raw, axis=1), axis=1)
    np.testing.assert_allclose(softmax(fits.head(x), axis=1), expected, atol=2e-5)


@pytest.mark.parametrize(("n", "d", "c"), SHAPES)
def test_soft_labels_in_a_ball_are_those_of_a_convex_solver(n: int, d: int, c: int) -> None:
    x, y = make(7, n, d, c, soft=True)
    fits = fit_each(x, y[None])
    z, coef, intercept = scaled(x), cp.Variable((d, c)), cp.Variable(c)
    logits = z @ coef + np.ones((n, 1)) @ cp.reshape(intercept, (1, c), order="C")
    objective = (cp.sum(cp.log_sum_exp(logits, axis=1)) - cp.sum(cp.multiply(y, logits))) / n
    problem = cp.Problem(cp.Minimize(objective), [cp.norm(coef, "fro") <= float(fits.radius[0])])
    least = problem.solve(solver=cp.CLARABEL)
    assert fits.minima.loss[0] == pytest.approx(least, abs=1e-6)
    assert fits.minima.loss[0] <= least + 1e-7 + fits.minima.gap[0]
    assert fits.minima.gap[0] < 1e-8


def test_sets_of_labels_side_by_side_are_those_one_by_one() -> None:
    x, first = make(0, 90, 5, 3)
    labels = np.stack([first, make(1, 90, 5, 3, soft=True)[1], np.roll(first, 3, axis=0)])
    groups = np.arange(90) // 3
    together = fit_each(x, labels, groups=groups, n_folds=4, seed=2)
    for place, y in enumerate(labels):
        alone = fit_each(x, y[None], groups=groups, n_folds=4, seed=2)
        assert together.problems.multiplier[place] == pytest.approx(alone.problems.multiplier[0])
        np.testing.assert_allclose(
            together.head.coef[:, 3 * place : 3 * place + 3], alone.head.coef, atol=1e-4
        )
        assert together.held_out_error[place] == pytest.approx(alone.held_out_error[0], abs=1e-4)


def test_the_held_out_error_is_that_of_heads_fitted_without_the_fold() -> None:
    x, y = make(4, 60, 3, 2)
    fits = fit_each(x, y[None], n_folds=3)
    z, folds = scaled(x), fits.rows.folds
    total = 0.0
    for fold in range(3):
        train = folds != fold
        size = 2 / (train.sum() * float(fits.problems.multiplier[0]))
        oracle = LogisticRegression(C=size, tol=1e-10, max_iter=10_000).fit(z[train], y[train].argmax(1))
        total -= (oracle.predict_log_proba(z[~train]) * y[~train]).sum()
    assert fits.held_out_error[0] == pytest.approx(total / 60, abs=2e-3)  # folds are solved roughly


@pytest.mark.parametrize("seed", range(4))
def test_no_other_penalty_is_better_held_out(seed: int) -> None:
    """Of all half decades, many of which were not tried; in label sets that want unlike ones."""
    n, d, c = SHAPES[seed]
    x, y = make(seed, n, d, c)
    noise = np.random.default_rng(seed).permutation(y)
    fits = fit_each(x, np.stack([y, 0.7 * y + 0.3 / c, noise]))
    path = _Path.of(fits.rows, 5)
    largest = 0.5 * fits.rows.basis.curvature.max()
    for strength in largest * np.logspace(0.5, -4, 10):
        path.try_out(np.full((1, 3), strength), fits.rows.start()[path.label], 1e-8)
    assert (fits.held_out_error <= path.errors.min(0) + 1e-4).all()
    assert len(set(fits.problems.multiplier.tolist())) > 1


def test_groups_stay_in_one_fold() -> None:
    x, y = make(5, 60, 4, 3)
    groups = np.repeat(np.arange(20), 3)
    fits = fit_each(x, y[None], groups=groups)
    assert all(len(set(fits.rows.folds[groups == g])) == 1 for g in range(20))


@pytest.mark.parametrize("c", [2, 4])
def test_the_student_says_every_class_as_often_as_its_supervisor(c: int) -> None:
    """With an unpenalized intercept E s = E w on the rows fitted: a biased prior is inherited."""
    x, y = make(6, 80, 5, c, soft=True)
    fits = fit_each(x, y[None])
    np.testing.assert_allclose(softmax(fits.head(x), axis=1).mean(0), y.mean(0), atol=1e-7)


def test_units_of_the_features_and_the_order_of_classes_change_nothing() -> None:
    x, y = make(8, 70, 4, 3)
    base = softmax(fit_each(x, y[None]).head(x), axis=1)
    moved = x * [1e3, 1e-3, 1.0, 7.0] + [5.0, -1e3, 0.0, 1.0]
    np.testing.assert_allclose(softmax(fit_each(moved, y[None]).head(moved), axis=1), base, atol=1e-5)
    order = [2, 0, 1]
    other = softmax(fit_each(x, y[None][..., order]).head(x), axis=1)
    np.testing.assert_allclose(other, base[:, order], atol=1e-5)


def test_the_first_labels_at_the_radius_of_others() -> None:
    x, y = make(9, 90, 5, 2)
    other = make(10, 90, 5, 2)[1]
    fits = fit_each(x, np.stack([y, other, 0.5 * y + 0.25]))
    at_radius = fits.first_at_radius()
    spread = x.std(0)[:, None] * at_radius.coef
    norms = [np.linalg.norm(spread[:, 2 * k : 2 * k + 2]) for k in range(3)]
    np.testing.assert_allclose(norms, fits.radius, rtol=1e-5)
    np.testing.assert_allclose(at_radius.coef[:, :2], fits.head.coef[:, :2], atol=1e-4)


def test_a_constant_feature_and_a_class_that_no_label_has_get_nothing() -> None:
    x, y = make(11, 60, 4, 2)
    x[:, 1] = 5.0
    labels = np.column_stack([y[:, 0], np.zeros(60), y[:, 1]])
    fits = fit_each(x, labels[None])
    assert fits.n_ignored == 1
    assert (fits.head.coef[1] == 0).all()
    said = softmax(fits.head(x), axis=1)
    assert (said[:, 1] == 0).all()
    np.testing.assert_allclose(said[:, [0, 2]], softmax(fit_each(x, y[None]).head(x), axis=1), atol=1e-4)


def test_heads_of_several_strengths_and_what_they_say_of_rows_left_out() -> None:
    x, y = make(12, 90, 4, 3)
    labels = np.stack([y, make(13, 90, 4, 3, soft=True)[1]])
    fits = fit_each(x, labels, n_folds=3)
    heads, said = fits.members((100.0, 1.0))
    assert said.shape == (2, 2, 90, 3)
    np.testing.assert_allclose(said.sum(-1), 1)
    np.testing.assert_allclose(heads[1].coef, fits.head.coef, atol=2e-3)
    sizes = [np.linalg.norm(head.coef) for head in heads]
    assert sizes[0] < sizes[1]
    held_out = -(labels * np.log(said[1])).sum(-1).mean(-1)
    np.testing.assert_allclose(held_out, fits.held_out_error, atol=1e-3)


def test_heads_refitted_to_the_same_labels_are_the_same() -> None:
    x, y = make(14, 90, 4, 3)
    fits = fit_each(x, y[None])
    again = fits.head_of(fits.refitted(y[None], 0.5 * fits.minima.x))
    np.testing.assert_allclose(again.coef, fits.head.coef, atol=1e-3)
    np.testing.assert_allclose(fits.said(fits.minima.x)[0], softmax(fits.head(x), axis=1))


def test_separable_classes_have_a_head_in_a_ball() -> None:
    x = np.r_[np.linspace(-2, -1, 30), np.linspace(1, 2, 30)][:, None]
    y = np.eye(2)[np.repeat([0, 1], 30)]
    fits = fit_each(x, y[None])
    assert np.isfinite(fits.radius[0])
    assert (softmax(fits.head(x), axis=1).argmax(1) == y.argmax(1)).all()
