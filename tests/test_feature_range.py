"""New rows are clipped to about the range of the fitted ones, and columns of rounding count for nothing."""

from __future__ import annotations

import hashlib
import json
import tracemalloc
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weakstrong import HeadProjection, L2Ball, LinearHeads, Moments, project
from weakstrong.data.ids import Features
from weakstrong.errors import UnlikeRowsWarning
from weakstrong.feature_range import FeatureRange, predicted
from weakstrong.heads import Head
from weakstrong.saved_model import Student


def sample(seed: int = 0, n: int = 300, d: int = 6) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    phi = rng.normal(size=(n, d))
    return phi, phi @ rng.normal(size=d) + rng.normal(size=n)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    cut=st.integers(0, 50),
    dtype=st.sampled_from([np.float64, np.float32, np.float16, np.int32, np.bool_]),
)
def test_predictions_are_those_of_clipped_features(seed: int, cut: int, dtype: type) -> None:
    rng = np.random.default_rng(seed)
    fitted, new = (
        np.round(4 * rng.normal(size=(n, 3)) * size).astype(dtype) for n, size in ((50, 1), (30, 5))
    )
    limits = FeatureRange.of(fitted[:cut]) | FeatureRange.of(fitted[cut:])
    limits = replace(limits, centre=fitted.astype(float).mean(0))
    head = Head(np.array([[1.0], [-2.0], [0.0]]), np.ones(1))
    out, clipped = predicted(head, new, limits, "new")
    low, high = fitted.astype(float).min(0), fitted.astype(float).max(0)
    used = (high > low) & [True, True, False]
    low, high = low - (high - low) / 2, high + (high - low) / 2
    centre = fitted.astype(float).mean(0)
    expected = []
    for row in new.astype(float):
        t = 1.0
        for j in np.flatnonzero(used):
            room = (high if row[j] > centre[j] else low)[j] - centre[j]
            if not low[j] <= row[j] <= high[j]:
                t = min(t, room / (row[j] - centre[j]))
        expected.append(centre + t * (row - centre))
    np.testing.assert_allclose(out, head(np.array(expected)), rtol=1e-12, atol=1e-12)
    outside = ((new < low) | (new > high)) & used
    assert clipped is not None
    np.testing.assert_array_equal(clipped.by_feature, outside.sum(0))
    values = 30 * int(used.sum())
    assert (clipped.rows, clipped.clipped_rows, clipped.values) == (30, outside.any(1).sum(), values)
    assert clipped.share == pytest.approx(outside.sum() / max(values, 1))


def test_a_feature_that_wakes_does_not_carry_a_prediction_away() -> None:
    phi, y = sample()
    phi[:, 5] *= 1e-4
    phi[250, 5] = 3.0
    fitted, new = slice(0, 200), slice(200, 300)
    model = HeadProjection("linear").fit(phi[fitted], y[fitted])
    assert np.mean((model.predict(phi[new]) - y[new]) ** 2) < 3
    off = HeadProjection("linear", clip=False).fit(phi[fitted], y[fitted])
    assert np.max((off.predict(phi[new]) - y[new]) ** 2) > 100
    np.testing.assert_array_equal(model.predict(phi[fitted]), off.predict(phi[fitted]))
    np.testing.assert_array_equal(off.predict(phi[new]), off.head_(phi[new])[:, 0])


def test_the_range_is_that_of_all_rows_with_weight_however_they_come() -> None:
    phi, y = sample()
    weight = np.ones(300)
    weight[[3, 70]] = 0.0
    phi[[3, 70]] = 1e3
    whole = HeadProjection("l2").fit(phi, y, weight)
    stream = HeadProjection("l2")
    for part in (slice(0, 100), slice(100, 300)):
        stream.partial_fit(phi[part], y[part], weight[part])
    for model in (whole, stream):
        assert model.feature_range_ is not None
        np.testing.assert_array_equal(model.feature_range_.low, phi[weight > 0].min(0))
        np.testing.assert_array_equal(model.feature_range_.high, phi[weight > 0].max(0))
    assert HeadProjection(clip=False).fit(phi, y).feature_range_ is None
    for clip in ("no", None, 0):
        for fit in (HeadProjection(clip=clip).fit, HeadProjection(clip=clip).partial_fit):
            with pytest.raises(ValueError, match=r"clip=.*: give True or False"):
                fit(phi, y)


def test_rows_unlike_the_fitted_ones_are_told_of_and_others_are_not() -> None:
    phi, y = sample(n=3000)
    model = HeadProjection("l2").fit(phi[:500], y[:500])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.predict(phi[500:])
    moved = phi[500:].copy()
    moved[:, 2] += 100.0
    with pytest.warns(UnlikeRowsWarning, match="2500 of 2500 rows .* in 1 feature .*and were drawn into it"):
        model.predict(moved)
    with pytest.warns(UnlikeRowsWarning, match="in 6 features"):
        model.predict(phi[500:] * 50)
    with pytest.warns(UnlikeRowsWarning, match=r"in 6 features \(100% of all values\)"):
        model.predict(np.full((20, 6), 1e6))


def test_rows_without_weight_are_left_out_without_a_copy_of_the_others() -> None:
    n, d = 100_000, 16
    phi, y, weight = np.ones((n, d), dtype=np.float32), np.zeros(n), np.ones(n)
    phi[: n // 2] = 0.5
    weight[n // 2] = 0.0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("weakstrong.accumulation._FIRST_BYTES", 1 << 16)  # a small part of all rows
        tracemalloc.start()
        try:
            HeadProjection("linear").fit(phi, y, weight)
            _, fit = tracemalloc.get_traced_memory()
            tracemalloc.reset_peak()
            Moments.of(phi, y, sample_weight=weight)
            _, moments = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert max(fit, moments) < phi.nbytes / 2


def test_bad_values_are_named_not_clipped() -> None:
    phi, y = sample()
    model = HeadProjection("linear").fit(phi, y)
    for bad in (np.nan, np.inf, -np.inf):
        spoilt = phi.copy()
        spoilt[200, 4] = bad
        with pytest.raises(ValueError, match=r"X: row 200, column 4 \(counted from 0\) is NaN, infinite"):
            model.predict(spoilt)


@pytest.mark.parametrize("heads", ["linear", "l2"])
def test_columns_of_rounding_count_for_nothing(heads: str) -> None:
    """Such columns of a public encoder moved predictions of the same rows in half precision by 8%."""
    rng = np.random.default_rng(1)
    live = (0.05 * rng.normal(size=(600, 40))).astype(np.float32)
    dead = rng.normal(size=(600, 3)) * [1e-33, 3e-33, 1e-8]
    phi = np.hstack([live, dead.astype(np.float32)])
    y = live @ rng.normal(size=40) / 0.05 + rng.normal(size=600)
    model = HeadProjection(heads).fit(phi[:400], y[:400])
    plain = HeadProjection(heads).fit(live[:400], y[:400])
    assert model.n_ignored_features_ == 3
    assert plain.n_ignored_features_ == 0
    assert model.rank_ == plain.rank_ == 40
    assert np.all(model.head_.coef[40:] == 0)
    np.testing.assert_allclose(model.predict(phi), plain.predict(live), rtol=1e-6, atol=1e-6)
    moved = model.predict(phi.astype(np.float16)) - model.predict(phi)
    assert np.sqrt(np.mean(moved**2)) < 2e-3 * y.std()
    again = HeadProjection(heads).fit(phi[:400].astype(np.float16), y[:400])
    assert again.n_ignored_features_ == 3
    moved = again.predict(phi) - model.predict(phi)
    assert np.sqrt(np.mean(moved**2)) < 5e-3 * y.std()


def test_true_directions_far_below_the_others_are_kept() -> None:
    rng = np.random.default_rng(2)
    phi = rng.normal(size=(400, 8)).astype(np.float32)
    phi[:, 3] *= np.float32(1e-5)
    y = 1e5 * phi[:, 3].astype(float) + 0.1 * rng.normal(size=400)
    for heads in ("linear", "l2"):
        model = HeadProjection(heads).fit(phi[:300], y[:300])
        assert model.n_ignored_features_ == 0
        assert np.mean((model.predict(phi[300:]) - y[300:]) ** 2) < 0.02


@pytest.mark.parametrize("unit", [1e-6, 1e-12, 1e6, 1e12])
def test_units_of_a_column_of_a_table_make_no_difference(unit: float) -> None:
    phi, y = sample(3)
    other = phi.copy()
    other[:, 1] *= unit
    for heads in ("linear", "l2"):
        a, b = (HeadProjection(heads).fit(x[:200], y[:200]) for x in (phi, other))
        assert a.n_ignored_features_ == b.n_ignored_features_ == 0
        np.testing.assert_allclose(a.predict(phi[200:]), b.predict(other[200:]), rtol=1e-7, atol=1e-9)


def test_the_resolved_class_leaves_columns_of_rounding_out_elsewhere_too() -> None:
    phi, y = sample(4)
    asleep = phi.astype(np.float32)
    asleep[:, 2] *= np.float32(1e-9)
    first = project(Moments.of(asleep, y), L2Ball(1.0))
    assert first.n_ignored == 1
    again = project(Moments.of(phi, y), first.heads)
    assert again.head.coef[2] == 0
    assert project(Moments.of(phi, y), LinearHeads()).n_ignored == 0


def test_saved_students_clip_as_fitted_ones_and_say_so(command, tmp_path: Path) -> None:
    phi, y = sample(5)
    np.save(tmp_path / "x.npy", phi)
    pd.DataFrame({"y": y}).to_csv(tmp_path / "y.csv", index=False)
    far = phi[:40] * 100
    np.save(tmp_path / "far.npy", far)
    given = ("--features", tmp_path / "x.npy", "--weak-labels", tmp_path / "y.csv")
    for flags, clip in (((), True), (("--no-clip",), False)):
        name = f"student-{clip}"
        ran = command("fit", *given, *flags, "--out", tmp_path / name)
        assert ran.code == 0, ran.err
        out = tmp_path / f"{clip}.csv"
        ran = command("predict", "--model", tmp_path / name, "--features", tmp_path / "far.npy", "--out", out)
        assert ran.code == 0, ran.err
        assert ("note: " in ran.err and "were drawn into it" in ran.err) == clip
        found = pd.read_csv(out)["y"].to_numpy()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = HeadProjection("l2", clip=clip).fit(phi, y).predict(far)
        np.testing.assert_allclose(found, expected, rtol=1e-9)
    with np.load(tmp_path / "student-True" / "head.npz") as arrays:
        np.testing.assert_array_equal(arrays["low"], phi.min(0))
    with np.load(tmp_path / "student-False" / "head.npz") as arrays:
        assert "low" not in arrays


def test_a_student_that_was_saved_without_a_range_predicts_as_it_did(command, tmp_path: Path) -> None:
    phi, y = sample(6)
    np.save(tmp_path / "x.npy", phi)
    pd.DataFrame({"y": y}).to_csv(tmp_path / "y.csv", index=False)
    given = ("--features", tmp_path / "x.npy", "--weak-labels", tmp_path / "y.csv")
    assert command("fit", *given, "--out", tmp_path / "student").code == 0
    (tmp_path / "student" / "DONE").unlink()
    now = Student.load(tmp_path / "student")
    head, card = tmp_path / "student" / "head.npz", tmp_path / "student" / "model.json"
    np.savez(head, coef=now.head.coef, intercept=now.head.intercept)  # as the first format was
    known = json.loads(card.read_text(encoding="utf-8"))
    known |= {"format": 1, "head_sha256": hashlib.sha256(head.read_bytes()).hexdigest()}
    for report in known["targets"]:
        del report["n_ignored"]
    card.write_text(json.dumps(known), encoding="utf-8")
    first = Student.load(tmp_path / "student")
    assert (first.feature_range, first.reports) == (None, now.reports)
    far = Features(phi[:40] * 100, None, None, "far")
    np.testing.assert_allclose(first.predict(far)["y"], now.head(far.values)[:, 0])
    with pytest.warns(UnlikeRowsWarning):
        assert np.abs(now.predict(far)["y"]).max() < np.abs(first.predict(far)["y"]).max()
