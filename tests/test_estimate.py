"""Estimates: what their intervals are, that they keep their promise, and that they survive JSON."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.stats import binom, ttest_1samp

from weakstrong import Estimate
from weakstrong.estimate import revived
from weakstrong.serialization import to_json


def test_a_mean_over_lone_rows_has_the_interval_of_a_t_test() -> None:
    x = np.random.default_rng(0).normal([1.0, 5.0], size=(30, 2))
    found = Estimate.of_mean(x, np.arange(30))
    for level in (0.95, 0.8):
        expected = ttest_1samp(x, 0).confidence_interval(level)
        np.testing.assert_allclose(found.interval(level), expected)
    assert (found.rows, found.clusters, found.effective_clusters) == (30, 30, 30.0)
    assert found.degrees_of_freedom == 29


def test_effective_clusters_are_as_many_equal_ones() -> None:
    sizes = [10, 10, 10, 10]
    found = Estimate.of_mean(np.arange(40.0), np.repeat(np.arange(4), sizes))
    assert found.effective_clusters == pytest.approx(4)
    uneven = Estimate.of_mean(np.arange(40.0), np.repeat(np.arange(4), [31, 3, 3, 3]))
    assert uneven.effective_clusters == pytest.approx(40**2 / (31**2 + 27))
    weighted = Estimate.of_mean(np.arange(3.0), np.arange(3), [2.0, 1.0, 1.0])
    assert weighted.effective_clusters == pytest.approx(16 / 6)
    assert np.isnan(Estimate.of_mean(np.arange(3.0), np.zeros(3, dtype=int)).low)


def test_a_bootstrap_has_the_percentiles_of_its_draws() -> None:
    found = Estimate.of_draws(3.0, np.arange(1001.0), rows=7, clusters=5)
    assert found.interval() == (25.0, 975.0)
    assert (found.rows, found.clusters) == (7, 5)
    assert np.isnan(Estimate.of_draws(3.0, [1.0, np.nan]).low)
    with pytest.raises(ValueError, match=r"only the interval at level 0\.95 is known"):
        found.interval(0.9)


def test_the_median_s_interval_covers_as_the_binomial_says() -> None:
    """Order statistics k and n + 1 − k with P(Bin(n, ½) < k) at most 2.5%; none below six values."""
    values = np.random.default_rng(2).normal(size=20)
    found = Estimate.of_median(values)
    k = int(binom.ppf(0.025, 20, 0.5))
    assert found.interval() == (np.sort(values)[k - 1], np.sort(values)[20 - k])
    assert found.value == np.median(values)
    assert np.isnan(Estimate.of_median(values[:5]).low)


def test_a_share_has_the_exact_interval() -> None:
    found = Estimate.of_share(20, 20)
    assert (found.value, found.high) == (1.0, 1.0)
    assert found.low == pytest.approx(0.025 ** (1 / 20), rel=1e-6)
    assert Estimate.of_share(5, 20).value == 0.25


@pytest.mark.parametrize(
    "found",
    [
        Estimate.of_mean(np.arange(5.0), np.array([0, 0, 1, 1, 2])),
        Estimate.of_mean(np.arange(10.0).reshape(5, 2), np.arange(5)),
        Estimate.of_mean(np.arange(3.0), np.zeros(3, dtype=int)),
        Estimate.of_draws(1.0, np.arange(100.0), rows=3),
        Estimate.of_median(np.arange(4.0)),
        Estimate.of_share(2, 3),
    ],
)
def test_estimates_come_back_from_json_wherever_they_stand(found: Estimate) -> None:
    tree = {"a": [found, {"b": found}], "plain": 3, "value": {"value": 1.0, "low": 0.0}}
    back = revived(json.loads(to_json(tree)))
    assert (back["plain"], back["value"]) == (3, tree["value"])
    for copy in (back["a"][0], back["a"][1]["b"]):
        assert isinstance(copy, Estimate)
        for name, value in vars(found).items():
            np.testing.assert_array_equal(getattr(copy, name), value, err_msg=name)
        assert str(copy) == str(found)


def test_an_estimate_prints_itself_with_its_interval() -> None:
    assert str(Estimate(0.123456, 0.1, 0.2, "made up")) == "0.1235 [0.1, 0.2]"


@pytest.mark.parametrize("level", [2, 0, 1, -0.5, np.nan, "a", True])
def test_a_level_is_a_chance(level: object) -> None:
    with pytest.raises(ValueError, match="give a chance between 0 and 1"):
        Estimate.of_mean(np.arange(5.0), np.arange(5)).interval(level)


def test_estimates_of_nothing_are_refused() -> None:
    for make in (
        lambda: Estimate.of_mean([], np.empty(0, dtype=int)),
        lambda: Estimate.of_mean(np.arange(5.0), np.arange(4)),
        lambda: Estimate.of_median([]),
        lambda: Estimate.of_share(0, 0),
        lambda: Estimate.of_share(4, 3),
    ):
        with pytest.raises(ValueError, match=r"one for each row|there is none|a share of"):
            make()
    assert np.isnan(Estimate.of_draws(1.0, []).low)
