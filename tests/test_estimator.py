"""The regressor: scikit-learn's rules, streams, folds, and cross-validation against an explicit loop."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.datasets import load_diabetes
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.model_selection import PredefinedSplit, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from weakstrong import HeadProjection, L2Ball, LinearHeads, Moments, project, weak_to_strong
from weakstrong.cross_validation import FoldAssigner, cross_validate
from weakstrong.estimator import fold_blocks

REPEATED_ROWS = "with an open radius, a row given twice falls into two folds and a row of weight 2 into one"


def expected_failures(estimator: HeadProjection) -> dict[str, str]:
    if estimator.heads == "l2":
        return {"check_sample_weight_equivalence_on_dense_data": REPEATED_ROWS}
    return {}


@parametrize_with_checks(
    [HeadProjection("linear"), HeadProjection(L2Ball(1.0)), HeadProjection("l2")],
    expected_failed_checks=expected_failures,
)
def test_scikit_learns_checks(estimator: HeadProjection, check) -> None:
    check(estimator)
    assert estimator is not None  # the check raises


@pytest.fixture
def sample() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    phi = rng.normal(size=(150, 12)) @ rng.normal(size=(12, 12))
    return phi, phi @ rng.normal(size=(12, 2)) * 0.3 + 4 * rng.normal(size=(150, 2))


@pytest.mark.parametrize("grouped", [False, True])
def test_any_stream_of_batches_is_one_batch(sample: tuple, grouped: bool) -> None:
    phi, y = sample
    groups = np.random.default_rng(1).integers(0, 30, size=150) if grouped else None
    whole = HeadProjection("l2").fit(phi, y, groups=groups)
    for cuts in ([75], [10, 11, 140], list(range(1, 150, 7))):
        stream = HeadProjection("l2")
        for rows in np.split(np.arange(150), cuts):
            stream.partial_fit(phi[rows], y[rows], groups=None if groups is None else groups[rows])
        np.testing.assert_allclose(stream.heads_.radius, whole.heads_.radius, rtol=1e-9)
        np.testing.assert_allclose(stream.head_.coef, whole.head_.coef, rtol=1e-8, atol=1e-12)
        np.testing.assert_allclose(stream.cv_error_, whole.cv_error_, rtol=1e-9)


def test_long_batches_are_read_in_blocks(sample: tuple, monkeypatch: pytest.MonkeyPatch) -> None:
    phi, y = sample
    rng = np.random.default_rng(5)
    weight, groups = rng.uniform(size=150), rng.integers(0, 30, size=150)
    whole = HeadProjection("l2").fit(phi, y, weight, groups)
    expected = whole.predict(phi)
    monkeypatch.setattr("weakstrong.arrays._BLOCK_BYTES", 1)
    assert [rows.stop for rows in fold_blocks(700, 12, 2)] == [384, 700]
    assert [rows.stop for rows in fold_blocks(700, 12, 0)] == [700]
    monkeypatch.setattr("weakstrong.estimator.fold_blocks", lambda n, *_: [slice(0, 120), slice(120, n)])
    blocks = HeadProjection("l2").fit(phi, y, weight, groups)
    np.testing.assert_allclose(blocks.head_.coef, whole.head_.coef, rtol=1e-8)
    np.testing.assert_allclose(blocks.cv_error_, whole.cv_error_, rtol=1e-9)
    np.testing.assert_allclose(blocks.predict(phi), expected, rtol=1e-8)


def test_a_refused_batch_leaves_the_model_as_it_was(sample: tuple) -> None:
    phi, y = sample
    model = HeadProjection("l2").partial_fit(phi[:90], y[:90, 0])
    spoilt = phi[90:100].copy()
    spoilt[3, 2] = np.nan
    for bad in (
        lambda: model.partial_fit(phi[90:100], y[90:100]),  # two targets now
        lambda: model.partial_fit(phi[90:100], y[90:100, 0], groups=np.arange(10)),
        lambda: model.partial_fit(spoilt, y[90:100, 0]),
        lambda: model.partial_fit(phi[90:100], y[90:100, 0], sample_weight=np.full(10, -1.0)),
        lambda: model.set_params(n_folds=3).partial_fit(phi[90:100], y[90:100, 0]),
    ):
        with pytest.raises(ValueError, match=r"."):
            bad()
    model.set_params(n_folds=None)
    assert model.predict(phi).shape == (150,)
    model.partial_fit(phi[90:], y[90:, 0])
    whole = HeadProjection("l2").fit(phi, y[:, 0])
    np.testing.assert_allclose(model.cv_error_, whole.cv_error_, rtol=1e-9)
    np.testing.assert_allclose(model.predict(phi), whole.predict(phi), rtol=1e-8)


def test_a_row_without_a_group_is_refused(sample: tuple) -> None:
    phi, y = sample
    for missing in (np.nan, None):
        groups = np.arange(150).astype(object)
        groups[4] = missing
        with pytest.raises(ValueError, match=r"groups: row 4 \(counted from 0\) has none"):
            HeadProjection("l2").fit(phi, y, groups=groups)


def test_merged_shards_are_one_batch(sample: tuple) -> None:
    phi, y = sample
    shards = [HeadProjection("linear").fit(phi[s::3], y[s::3]).moments_ for s in range(3)]
    merged = project(Moments.merge(shards), LinearHeads())
    np.testing.assert_allclose(merged.head.coef, HeadProjection("linear").fit(phi, y).head_.coef, rtol=1e-9)


def test_fitting_again_forgets(sample: tuple) -> None:
    phi, y = sample
    model = HeadProjection("linear").fit(phi + 5, y * 2).fit(phi, y)
    np.testing.assert_array_equal(model.head_.coef, HeadProjection("linear").fit(phi, y).head_.coef)


def test_the_radius_is_the_best_of_an_explicit_cross_validation(sample: tuple) -> None:
    """Folds refitted from their rows by another solver (ridge at the same norm) give the same errors."""
    phi, y = sample
    model = HeadProjection("l2", random_state=3).fit(phi, y)
    fold = FoldAssigner(5, 3)(np.arange(150))
    parts = [Moments.of(phi[fold == k], y[fold == k]) for k in range(5)]
    chosen = cross_validate(parts, L2Ball())
    np.testing.assert_allclose(chosen.heads.radius, model.heads_.radius, rtol=1e-9)
    places = chosen.errors.argmin(0)
    for t, place in enumerate(places):
        assert chosen.radii[place, t] == chosen.heads.radius[t]
        total = 0.0
        for k in range(5):
            train, held = fold != k, fold == k
            heads = L2Ball(float(chosen.radii[place, t]), scale=phi.std(0))  # one class in every fold
            ball = project(Moments.of(phi[train], y[train, t]), heads)
            total += ((ball.head(phi[held])[:, 0] - y[held, t]) ** 2).sum()
        assert model.cv_error_[t] == pytest.approx(total / 150, rel=1e-8)
        assert np.all(chosen.errors[:, t] >= chosen.error[t])


def test_a_ball_is_ridge_at_the_strength_that_gives_its_norm(sample: tuple) -> None:
    phi, y = sample
    scaler = StandardScaler().fit(phi)
    for strength in (1e-2, 10.0, 1e4):
        ridge = Ridge(strength, solver="svd").fit(scaler.transform(phi), y[:, 0])
        ball = HeadProjection(L2Ball(float(np.linalg.norm(ridge.coef_)))).fit(phi, y[:, 0])
        np.testing.assert_allclose(ball.predict(phi), ridge.predict(scaler.transform(phi)), rtol=1e-6)


def test_linear_cross_validation_is_scikit_learns(sample: tuple) -> None:
    phi, y = sample
    model = HeadProjection("linear", n_folds=4).fit(phi, y[:, 0])
    fold = FoldAssigner(4, 0)(np.arange(150))
    scores = cross_val_score(
        LinearRegression(), phi, y[:, 0], cv=PredefinedSplit(fold), scoring="neg_mean_squared_error"
    )
    sizes = np.bincount(fold)
    assert model.cv_error_[0] == pytest.approx(-(scores * sizes).sum() / 150, rel=1e-9)


def test_more_features_than_rows_interpolate_and_the_ball_does_not() -> None:
    rng = np.random.default_rng(2)
    phi, y = rng.normal(size=(40, 90)).astype(np.float32), rng.normal(size=40)
    linear, ball = HeadProjection("linear").fit(phi, y), HeadProjection("l2").fit(phi, y)
    np.testing.assert_allclose(linear.predict(phi), y, atol=1e-5)
    assert ball.fit_error_[0] > 0.1
    assert ball.cv_error_[0] < 2 * y.var()
    assert linear.rank_ == 39


@pytest.mark.parametrize(("n", "folds"), [(10, 3), (11, 5), (100, 7)])
def test_folds_are_balanced_and_follow_the_seed(n: int, folds: int) -> None:
    dealt = FoldAssigner(folds, 1)(np.arange(n))
    sizes = np.bincount(dealt, minlength=folds)
    assert sizes.max() - sizes.min() <= 1
    np.testing.assert_array_equal(dealt[n // 2 :], FoldAssigner(folds, 1)(np.arange(n // 2, n)))
    assert any((FoldAssigner(folds, seed)(np.arange(n)) != dealt).any() for seed in (2, 3))


def test_groups_stay_in_one_fold() -> None:
    """Rows that are copies of each other: with their groups kept together, noise cannot be learnt."""
    rng = np.random.default_rng(3)
    phi, y = np.repeat(rng.normal(size=(40, 30)), 4, axis=0), np.repeat(rng.normal(size=40), 4)
    apart = HeadProjection("l2").fit(phi, y)
    together = HeadProjection("l2").fit(phi, y, groups=np.repeat(np.arange(40), 4))
    assert apart.cv_error_[0] < 0.7 * y.var()
    assert together.cv_error_[0] > 0.85 * y.var()


def test_weak_to_strong_is_a_clone_fitted_to_the_supervisors_labels() -> None:
    x, y = load_diabetes(return_X_y=True)
    supervisor = make_pipeline(StandardScaler(), HeadProjection("linear")).fit(
        x[:200, :], np.sign(y[:200] - 150)
    )
    student = make_pipeline(PolynomialFeatures(2), HeadProjection(L2Ball(0.1)))
    fitted = weak_to_strong(supervisor, student, x[200:])
    by_hand = clone(student).fit(x[200:], supervisor.predict(x[200:]))
    np.testing.assert_array_equal(fitted.predict(x), by_hand.predict(x))
    assert not hasattr(student[-1], "head_")
    called = weak_to_strong(lambda rows: rows[:, 2] * 7, HeadProjection("linear"), x)
    np.testing.assert_allclose(called.predict(x), x[:, 2] * 7, atol=1e-10)


def test_what_cannot_be_fitted_is_refused(sample: tuple) -> None:
    phi, y = sample
    with pytest.raises(ValueError, match=r"n_samples=3.*fewer folds"):
        HeadProjection("l2").fit(phi[:3], y[:3])
    with pytest.raises(ValueError, match="2 groups"):
        HeadProjection("l2").fit(phi, y, groups=np.arange(150) % 2)
    with pytest.raises(ValueError, match="n_folds=1"):
        HeadProjection(n_folds=1).fit(phi, y)
    with pytest.raises(ValueError, match="'lasso' is not one of"):
        HeadProjection("lasso").fit(phi, y)
    with pytest.raises(ValueError, match="the radius is open"):
        HeadProjection("l2", n_folds=0).fit(phi, y)
    with pytest.raises(ValueError, match="all zero"):
        HeadProjection("linear").fit(phi, y, sample_weight=np.zeros(150))
    with pytest.raises(NotFittedError):
        HeadProjection("l2").partial_fit(phi[:3], y[:3]).predict(phi)
    with pytest.raises(ValueError, match="groups were not given before"):
        HeadProjection("linear").fit(phi, y).partial_fit(phi, y, groups=np.arange(150))
    with pytest.raises(ValueError, match="for every batch"):
        HeadProjection("linear").fit(phi, y, groups=np.arange(150)).partial_fit(phi, y)
    with pytest.raises(ValueError, match="at least two folds"):
        cross_validate([Moments.of(phi, y)], LinearHeads())


def test_batches_read_once_are_one_fit(sample: tuple) -> None:
    phi, y = sample
    rng = np.random.default_rng(1)
    groups, weight = rng.integers(0, 30, size=150), rng.uniform(size=150)
    weight[:20] = 0.0  # the first batches have no weight at all
    for extra in ((), (weight,), (weight, groups), (None, groups)):
        whole = HeadProjection("l2").fit(phi, y, *extra)
        for size in (7, 50):
            parts = (slice(i, i + size) for i in range(0, 150, size))
            batches = ((phi[b], y[b], *(None if v is None else v[b] for v in extra)) for b in parts)
            found = HeadProjection("l2").fit_batches(batches)
            np.testing.assert_allclose(found.head_.coef, whole.head_.coef, rtol=1e-8, atol=1e-12)
            np.testing.assert_allclose(found.cv_error_, whole.cv_error_, rtol=1e-9)
    model = HeadProjection("l2").fit(phi, y)
    before = model.head_
    for wrong in ([], [(phi,)], [phi], [(phi, y), (phi[:, :3], y)], [(phi, y), (phi, y[:, 0])]):
        with pytest.raises(ValueError, match=r"."):
            model.fit_batches(wrong)
    assert model.head_ is before


SCALES = st.integers(-250, 150).map(lambda power: float(f"1e{power}"))


@settings(max_examples=60, deadline=None)
@given(
    scale=SCALES, weight=st.integers(-300, 300), heads=st.sampled_from(["linear", "l2", "ball", "through 0"])
)
def test_features_and_weights_of_any_scale_predict_the_same(scale: float, weight: int, heads: str) -> None:
    rng = np.random.default_rng(0)
    phi = rng.normal(size=(60, 4)) @ rng.normal(size=(4, 4)) + rng.normal(size=4)
    y, omega = phi @ rng.normal(size=(4, 2)) + rng.normal(size=(60, 2)), rng.uniform(0.1, 1, size=60)
    given_heads = {"ball": L2Ball(0.3), "through 0": LinearHeads(fit_intercept=False)}.get(heads, heads)
    plain = HeadProjection(given_heads, n_folds=3).fit(phi, y, omega)
    found = HeadProjection(given_heads, n_folds=3)
    for part in (slice(25), slice(25, 60)):
        found.partial_fit(phi[part] * scale, y[part], omega[part] * float(f"1e{weight}"))
    np.testing.assert_allclose(found.predict(phi * scale), plain.predict(phi), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(found.fit_error_, plain.fit_error_, rtol=1e-9)
    np.testing.assert_allclose(found.cv_error_, plain.cv_error_, rtol=1e-9)
    assert found.rank_ == 4
    assert found.optimality_gap_.max() < 1e-8


def test_weights_are_subnormal_or_change_their_scale_along_a_stream(sample: tuple) -> None:
    phi, y = sample
    plain = HeadProjection("l2").fit(phi, y)
    for size in (2.0**-1060, 2.0**1010):
        found = HeadProjection("l2").fit(phi, y, np.full(150, size))
        np.testing.assert_allclose(found.predict(phi), plain.predict(phi), rtol=1e-9)
    stream = HeadProjection("linear").partial_fit(phi[:50], y[:50], np.full(50, 1e-300))
    stream.partial_fit(phi[50:], y[50:], np.full(100, 1e300))
    last = HeadProjection("linear").fit(phi[50:], y[50:])
    np.testing.assert_allclose(stream.predict(phi), last.predict(phi), rtol=1e-9)
    with pytest.raises(ValueError, match="sum is too large"):
        HeadProjection("linear").fit(phi, y, np.full(150, 1e308))


@pytest.mark.parametrize(
    ("phi_scale", "y_scale", "said"),
    [
        (1.0, 1e-170, "squares underflow: rescale the labels"),
        (1.0, 1e150, "squares overflow: rescale the labels"),
        (1e-300, 1e100, "coefficient of the head is beyond float64"),
        (1e250, 1e-120, "coefficient of the head is beyond float64"),
        (1e307, 1.0, "features must be finite, and their sums too"),
    ],
)
def test_what_float64_cannot_hold_is_refused(
    sample: tuple, phi_scale: float, y_scale: float, said: str
) -> None:
    phi, y = sample
    with pytest.raises(ValueError, match=said):
        HeadProjection("linear").fit(phi * phi_scale, y * y_scale)


@pytest.mark.parametrize("n_folds", [10**9, 10**9 * 1.0, 2.5, True, "5", -1, 1, [5]])
def test_a_number_of_folds_is_a_whole_number(sample: tuple, n_folds: object) -> None:
    for heads in ("l2", "linear"):
        for fit in (
            HeadProjection(heads, n_folds=n_folds).fit,
            HeadProjection(heads, n_folds=n_folds).partial_fit,
        ):
            with pytest.raises(ValueError, match="n_folds="):
                fit(*sample)


def test_a_seed_is_any_whole_number(sample: tuple) -> None:
    for seed in (-1, 2**200, np.int64(3)):
        HeadProjection("l2", random_state=seed).fit(*sample)
    for seed in ("a", None, 1.5, True, np.random.default_rng(0)):
        with pytest.raises(ValueError, match="random_state="):
            HeadProjection("linear", random_state=seed).fit(*sample)


def test_models_and_students_are_named_where_they_cannot_be_used(sample: tuple) -> None:
    for supervisor, student in ((3, HeadProjection()), (lambda x: x[:, 0], "linear")):
        with pytest.raises(TypeError, match="give a supervisor that predicts"):
            weak_to_strong(supervisor, student, sample[0])
    with pytest.raises(ValueError, match="its prediction is beyond float64"):
        HeadProjection("linear", clip=False).fit(sample[0], 1e100 * sample[1]).predict(sample[0] * 1e250)
