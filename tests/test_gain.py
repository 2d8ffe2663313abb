"""Measurement: the identity, standard errors against simulation, and gaps that are not there."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import sem

from weakstrong import InputError, measure

DRAWS = 4000


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(1, 30), scale=st.sampled_from([1e-5, 1.0, 1e5]))
def test_gain_is_misfit_plus_cross_term(seed: int, n: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    y, w, s = scale * rng.normal(size=(3, n))
    found = measure(y, w, s, sample_weight=rng.uniform(0.1, 1, size=n))
    total = found.weak_error.value + found.strong_error.value
    difference = found.gain.value - found.misfit.value - found.cross_term.value
    assert abs(difference) <= 1e-13 * total
    assert found.gain.value == pytest.approx(found.weak_error.value - found.strong_error.value)


def test_the_cross_term_is_accurate_where_a_difference_would_not_be() -> None:
    """A tiny disagreement beside large errors: X from its formula keeps its digits."""
    rng = np.random.default_rng(0)
    y, s = 1e8 * rng.normal(size=50), rng.normal(size=50)
    gap = 1e-3 * rng.normal(size=50)
    found = measure(y, s + gap, s)
    exact = 2 * np.mean([float(g) * (float(a) - float(b)) for g, a, b in zip(gap, s, y, strict=True)])
    assert float(found.cross_term.value) == pytest.approx(exact, rel=1e-6)


def test_standard_errors_without_groups_are_those_of_the_mean() -> None:
    rng = np.random.default_rng(1)
    y, w, s = rng.normal(size=(3, 40))
    found = measure(y, w, s)
    rows = {
        "weak_error": (w - y) ** 2,
        "misfit": (w - s) ** 2,
        "gain": (w - y) ** 2 - (s - y) ** 2,
        "cross_term": 2 * (w - s) * (s - y),
    }
    for name, values in rows.items():
        estimate = getattr(found, name)
        assert float(estimate.value) == pytest.approx(values.mean())
        assert float(estimate.standard_error) == pytest.approx(sem(values))
        assert estimate.degrees_of_freedom == 39


def test_clusters_of_copies_count_once() -> None:
    rng = np.random.default_rng(2)
    y, w, s = rng.normal(size=(3, 30))
    once = measure(y, w, s)
    copies = [np.repeat(v, 5) for v in (y, w, s)]
    found = measure(*copies, groups=np.repeat(np.arange(30), 5))
    for name, estimate in once.estimates().items():
        again = found.estimates()[name]
        assert float(again.standard_error) == pytest.approx(float(estimate.standard_error))
    assert float(measure(*copies).gain.standard_error) < 0.5 * float(once.gain.standard_error)
    assert (found.n_rows, found.n_clusters) == (150, 30)


def test_intervals_cover_as_they_say_with_and_without_clusters() -> None:
    """95% intervals of the gain hold its true value in about 95% of samples; ignoring clusters does not."""
    rng = np.random.default_rng(3)
    clusters, size = 40, 4
    common = rng.normal(size=(clusters, 1, DRAWS))
    noise = rng.normal(size=(3, clusters, size, DRAWS))
    y = np.zeros((clusters * size, DRAWS))
    w = (common + 0.3 * noise[0] + 0.5).reshape(-1, DRAWS)
    s = (0.5 * common + 0.3 * noise[1]).reshape(-1, DRAWS)
    truth = (1 + 0.09 + 0.25) - (0.25 + 0.09)
    groups = np.repeat(np.arange(clusters), size)
    coverage = []
    for given_groups in (groups, None):
        low, high = measure(y, w, s, groups=given_groups).gain.interval()
        coverage.append(np.mean((low <= truth) & (truth <= high)))
    assert 0.92 < coverage[0] < 0.97
    assert coverage[1] < 0.75


def test_the_gap_recovered_and_its_standard_error() -> None:
    """The delta method's error is the spread over samples."""
    rng = np.random.default_rng(4)
    n = 200
    y = np.zeros((n, DRAWS))
    w, s, c = (sd * rng.normal(size=(n, DRAWS)) for sd in (1.0, 0.8, 0.5))
    found = measure(y, w, s, y_ceiling=c).performance_gap_recovered
    assert found is not None
    assert np.median(found.value) == pytest.approx((1 - 0.64) / (1 - 0.25), abs=0.02)
    assert np.mean(found.standard_error) == pytest.approx(np.std(found.value), rel=0.1)
    low, high = found.interval()
    assert 0.92 < np.mean((low <= 0.48) & (high >= 0.48)) < 0.98


def test_there_is_no_gap_recovered_without_a_gap() -> None:
    rng = np.random.default_rng(5)
    y, w, s = rng.normal(size=(3, 50))
    assert "ceiling is not known" in measure(y, w, s).not_recovered_because
    same = measure(y, w, s, y_ceiling=w + 1e-3)
    assert same.performance_gap_recovered is None
    assert "not clearly positive" in same.not_recovered_because
    assert same.ceiling_error is not None
    assert "none: weak error" in str(same)
    good = measure(y, y + 1, s, y_ceiling=y)
    assert good.performance_gap_recovered is not None
    assert good.not_recovered_because == ""


def test_targets_are_measured_side_by_side() -> None:
    rng = np.random.default_rng(6)
    y, w, s, c = rng.normal(size=(4, 30, 3))
    together = measure(y, w, s, y_ceiling=c, groups=np.arange(30) // 2)
    for t in range(3):
        one = measure(y[:, t], w[:, t], s[:, t], y_ceiling=c[:, t], groups=np.arange(30) // 2)
        for name in ("weak_error", "gain", "cross_term", "ceiling_error"):
            for part in ("value", "standard_error"):
                assert getattr(getattr(together, name), part)[t] == pytest.approx(
                    float(getattr(getattr(one, name), part))
                )


def test_one_row_has_no_standard_error() -> None:
    assert np.isnan(measure([1.0], [2.0], [1.5]).gain.standard_error)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"y_weak": [1.0, 2.0]}, "y_weak has shape"),
        ({"y_strong": [1.0, np.nan, 2.0]}, r"y_strong: row 1 \(counted from 0\) is NaN"),
        ({"y_true": []}, "y_true has shape"),
        ({"groups": [1, 2]}, "groups: shape"),
        ({"sample_weight": [1.0, -1.0, 1.0]}, "sample_weight"),
        ({"sample_weight": [0.0, 0.0, 0.0]}, "sample_weight"),
        ({"y_ceiling": [1.0]}, "y_ceiling has shape"),
    ],
)
def test_what_cannot_be_measured_is_named(change: dict, said: str) -> None:
    plain = {"y_true": [1.0, 2.0, 3.0], "y_weak": [1.0, 2.0, 2.0], "y_strong": [0.0, 1.0, 2.0]}
    with pytest.raises(ValueError, match=said):
        measure(**plain | change)


def test_weighted_standard_errors_are_those_of_the_weighted_mean() -> None:
    """SE² = Σ_g (Σ_i ω_i (ψ_i − ψ̄))² / (1 − p_g) / (Σ ω)², written out."""
    rng = np.random.default_rng(7)
    y, w, s = rng.normal(size=(3, 40))
    omega, groups = rng.uniform(0.1, 5.0, size=40), np.arange(40) // 3
    for clusters in (groups, np.arange(40)):
        given_groups = groups if clusters is groups else None
        estimate = measure(y, w, s, sample_weight=omega, groups=given_groups).misfit
        mean = np.average((w - s) ** 2, weights=omega)
        square = 0.0
        for g in np.unique(clusters):
            mine, part = clusters == g, omega[clusters == g].sum() / omega.sum()
            square += np.sum((omega * ((w - s) ** 2 - mean))[mine]) ** 2 / (1 - part)
        expected = np.sqrt(square) / omega.sum()
        assert float(estimate.value) == pytest.approx(mean)
        assert float(estimate.standard_error) == pytest.approx(expected)
        assert estimate.degrees_of_freedom < len(np.unique(clusters)) - 1


def test_rows_without_weight_are_no_evidence() -> None:
    rng = np.random.default_rng(8)
    y, w, s, c = rng.normal(size=(4, 40))
    omega = np.where(np.arange(40) < 6, rng.uniform(0.5, 1.0, size=40), 0.0)
    groups = np.arange(40) // 2
    kept = omega > 0
    for given_groups in (None, groups):
        found = measure(y, w, s, y_ceiling=c, groups=given_groups, sample_weight=omega)
        dropped = measure(
            y[kept], w[kept], s[kept], y_ceiling=c[kept], sample_weight=omega[kept],
            groups=None if given_groups is None else groups[kept],
        )  # fmt: skip
        assert (found.n_rows, found.n_clusters) == (dropped.n_rows, dropped.n_clusters)
        for name, estimate in dropped.estimates().items():
            mine = getattr(found, name)
            assert mine.degrees_of_freedom == estimate.degrees_of_freedom
            assert float(mine.value) == pytest.approx(float(estimate.value))
            assert float(mine.standard_error) == pytest.approx(float(estimate.standard_error))


def test_a_gap_that_is_positive_but_not_clearly_is_no_denominator() -> None:
    rng = np.random.default_rng(9)
    y, s = rng.normal(size=(2, 20))
    w, c = y + rng.normal(size=20), y + 0.9 * rng.normal(size=20)
    found = measure(y, w, s, y_ceiling=c)
    gap = (w - y) ** 2 - (c - y) ** 2
    assert 0 < gap.mean() < 2 * sem(gap)
    assert found.performance_gap_recovered is None


@settings(max_examples=60, deadline=None)
@given(power=st.integers(-460, 460), seed=st.integers(0, 10**6), grouped=st.booleans())
def test_units_change_nothing_but_the_unit(power: int, seed: int, grouped: bool) -> None:
    """Labels in units of a power of two, and weights too: the very same digits."""
    rng, scale = np.random.default_rng(seed), 2.0**power
    y, w, s, c = rng.normal(size=(4, 20))
    omega = rng.uniform(0.1, 1.0, size=20)
    groups = np.arange(20) // 2 if grouped else None
    plain = measure(y, w, s, y_ceiling=c, groups=groups, sample_weight=omega)
    found = measure(
        *(scale * v for v in (y, w, s)), y_ceiling=scale * c, groups=groups, sample_weight=omega * scale**2
    )
    assert found.not_recovered_because[:20] == plain.not_recovered_because[:20]
    for name, estimate in plain.estimates().items():
        unit = 1.0 if name in ("performance_gap_recovered", "slope") else scale**2
        for part in ("value", "low", "high", "standard_error"):
            assert getattr(found.estimates()[name], part) == getattr(estimate, part) * unit
        assert found.estimates()[name].effective_clusters == estimate.effective_clusters


@pytest.mark.parametrize(("scale", "said"), [(1e-170, "underflow: rescale"), (1e150, "overflow: rescale")])
def test_labels_whose_squares_float64_cannot_hold_are_refused(scale: float, said: str) -> None:
    y, w, s = scale * np.random.default_rng(0).normal(size=(3, 20, 2))
    with pytest.raises(ValueError, match=said):
        measure(y, w, s)
    w[:, 0], y[:, 0], s[:, 0] = 0.0, 0.0, 0.0
    with pytest.raises(ValueError, match=said):  # each target by itself
        measure(y, w, s)
    assert measure([0.0, 0.0], [0.0, 0.0], [0.0, 0.0]).gain.value == 0
    assert measure([0.0, 1.0], [1e-170, 1.0], [0.0, 1.0]).gain.value == 0  # nothing beside the others


def test_tables_whose_columns_are_in_another_order_are_refused() -> None:
    y = pd.DataFrame({"a": [1.0, 2.0, 3.0], "b": [6.0, 7.0, 9.0]})
    with pytest.raises(InputError, match="y_weak has the columns of y_true in another order"):
        measure(y, y[["b", "a"]], y)
    assert measure(y, y.set_axis(["c", "d"], axis=1), y).weak_error.value.max() == 0


def test_what_verdicts_are_on_is_tested_where_that_is_asked_for() -> None:
    rng = np.random.default_rng(10)
    y, w, s = rng.normal(size=(3, 60))
    plain, tested = (measure(y, y + 1 + 0.1 * w, y + 0.1 * s, tested=ask) for ask in (False, True))
    for name, estimate in tested.estimates().items():
        assert (estimate.p_value is not None) == (name in ("gain", "cross_term"))
        assert getattr(plain, name).p_value is None
    assert tested.gain.verdict().sign == 1
    assert "was not asked for" in plain.gain.verdict().reason
    assert "60 clusters, 60 effective, the largest with 1.7% of the rows, 59 degrees of freedom" in str(plain)
