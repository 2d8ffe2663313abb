"""Estimates: what their intervals are, that they keep their promise, and that they survive JSON."""

from __future__ import annotations

import json

import numpy as np
import pytest
from numpy.linalg import eigh, inv
from scipy.stats import binom, skew, ttest_1samp

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


def _by_matrices(y: np.ndarray, clusters: np.ndarray, omega: np.ndarray) -> tuple[float, float]:
    """CR2 of the intercept and its degrees of freedom, from the hat matrix, as Bell and McCaffrey do."""
    x, z = np.sqrt(omega)[:, None], np.sqrt(omega) * y  # weights say how exact a row is
    bread = inv(x.T @ x)
    left_out = np.eye(len(y)) - x @ bread @ x.T
    variance, columns = 0.0, []
    for g in np.unique(clusters):
        mine = clusters == g
        values, vectors = eigh(left_out[np.ix_(mine, mine)])
        adjust = vectors @ np.diag(values**-0.5) @ vectors.T
        row = bread @ x[mine].T @ adjust
        variance += (row @ (left_out @ z)[mine]).item() ** 2
        columns.append((row @ left_out[mine])[0])
    products = np.array(columns) @ np.array(columns).T
    return variance, np.trace(products) ** 2 / np.trace(products @ products)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("sizes", [[3, 3, 3], [1, 2, 9], [20, 1, 1, 1, 1], [1] * 12, [4, 3, 2, 1, 5, 6]])
def test_standard_errors_and_degrees_of_freedom_are_cr2_s(sizes: list[int], weighted: bool) -> None:
    rng = np.random.default_rng(len(sizes))
    clusters = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    y = rng.normal(size=(len(clusters), 2)) + 3
    omega = rng.uniform(0.2, 2.0, size=len(y)) if weighted else np.ones(len(y))
    found = Estimate.of_mean(y, clusters, omega)
    for t in range(2):
        variance, freedom = _by_matrices(y[:, t], clusters, omega)
        assert found.standard_error[t] == pytest.approx(np.sqrt(variance))
        assert found.degrees_of_freedom == pytest.approx(freedom)
    shares = np.bincount(clusters, omega) / omega.sum()
    assert found.largest_share == pytest.approx(shares.max())
    means = [np.average(y[clusters == g], axis=0, weights=omega[clusters == g]) for g in range(len(sizes))]
    np.testing.assert_allclose(found.skewness, skew(means), rtol=1e-9)
    shifted = Estimate.of_mean(y - y.mean(0), clusters, omega, value=[7.0, 8.0])
    np.testing.assert_allclose(shifted.standard_error, found.standard_error)
    np.testing.assert_array_equal(shifted.value, [7.0, 8.0])


def test_equal_clusters_have_the_usual_formula_and_its_degrees_of_freedom() -> None:
    x = np.random.default_rng(0).normal(size=(7, 4))
    found = Estimate.of_mean(x.ravel(), np.repeat(np.arange(7), 4))
    usual = np.sqrt(7 / 6 * ((x.mean(1) - x.mean()) ** 2).sum()) / 7
    assert found.standard_error == pytest.approx(usual)
    assert (found.degrees_of_freedom, found.effective_clusters) == (6.0, 7.0)


def test_the_variance_has_the_mean_and_spread_that_it_is_said_to_have() -> None:
    """Rows independent and normal, clusters uneven: E V = Var μ̂, and 2 (E V)² / Var V = ν."""
    clusters = np.repeat(np.arange(5), [30, 5, 5, 2, 8])
    found = Estimate.of_mean(np.random.default_rng(1).normal(size=(50, 40_000)), clusters)
    variances = found.standard_error**2
    assert variances.mean() == pytest.approx(1 / 50, rel=0.02)
    assert 2 * variances.mean() ** 2 / variances.var() == pytest.approx(found.degrees_of_freedom, rel=0.04)


@pytest.mark.parametrize("small", [1e-30, 1e-300])
def test_a_cluster_that_has_all_but_all_of_the_weight_is_one_cluster(small: float) -> None:
    found = Estimate.of_mean([1.0, 2.0, 4.0], np.arange(3), [1.0, small, small], tested=True)
    assert found.largest_share == 1.0
    assert found.effective_clusters == 1.0
    assert found.degrees_of_freedom == pytest.approx(1.0)
    assert np.isfinite(found.standard_error)
    assert found.verdict().reason == "only 1 effective clusters (one has 100% of the rows)"


def test_estimates_that_were_written_before_are_read() -> None:
    before = {"value": 1.0, "low": 0.5, "high": 1.5, "method": "Student t over clusters", "clusters": 9,
              "degrees_of_freedom": 8.0, "effective_clusters": 9.0, "standard_error": 0.2}  # fmt: skip
    found = revived(before)
    assert (found.largest_share, found.skewness, found.p_value) == (None, None, None)
    assert "was not asked for" in found.verdict().reason
    assert found.evidence() == "9 clusters, 9 effective, 8 degrees of freedom"


def test_what_an_interval_is_from_in_plain_numbers() -> None:
    many = _judged(clusters=20_000, effective_clusters=19_999.6, degrees_of_freedom=9_999.5)
    said = "20000 clusters, 20000 effective, the largest with 5% of the rows, 10000 degrees of freedom"
    assert many.evidence() == said
    assert _judged(effective_clusters=1284.0, skewness=6.0).skew() == "skewness 6 of 1284 effective clusters"
    alone = Estimate.of_mean(np.arange(3.0), np.zeros(3, dtype=int))
    assert alone.evidence().startswith("1 cluster, 1 effective, the largest with 100% of the rows")


def _judged(**change: object) -> Estimate:
    plain = {"low": 0.5, "high": 1.5, "clusters": 20, "effective_clusters": 20.0, "degrees_of_freedom": 19.0,
             "largest_share": 0.05, "skewness": 0.1, "p_value": 0.001}  # fmt: skip
    return Estimate(1.0, method="Student t over clusters", **plain | change)


@pytest.mark.parametrize(
    ("change", "sign", "reason"),
    [
        ({}, 1, ""),
        ({"low": -1.5, "high": -0.5}, -1, ""),
        ({"effective_clusters": 5.0, "degrees_of_freedom": 4.0, "p_value": 0.05}, 1, ""),
        ({"low": -0.1}, 0, "the interval holds 0"),
        ({"low": 0.0}, 0, "the interval holds 0"),
        ({"p_value": 0.06}, 0, "flipping the signs of clusters does not reject 0 (p = 0.06)"),
        ({"p_value": np.nan}, 0, "flipping the signs of clusters does not reject 0 (p = nan)"),
        ({"p_value": None}, 0, "the wild cluster bootstrap was not asked for (tested)"),
        (
            {"effective_clusters": 3.1, "largest_share": 0.62},
            0,
            "only 3.1 effective clusters (one has 62% of the rows)",
        ),
        (
            {"degrees_of_freedom": 3.9, "largest_share": 0.3},
            0,
            "only 3.9 degrees of freedom (one has 30% of the rows)",
        ),
        ({"clusters": 1, "low": np.nan, "high": np.nan}, 0, "only 1 cluster"),
        ({"clusters": None}, 0, "it is not of clusters"),
    ],
)
def test_verdicts_follow_the_rules(change: dict, sign: int, reason: str) -> None:
    assert _judged(**change).verdict() == (sign, reason)


def test_a_verdict_is_on_one_number() -> None:
    values = np.random.default_rng(0).normal(size=(30, 1))
    for shift in (-9.0, 0.1, 9.0):  # a column of one target too
        column, number = (
            Estimate.of_mean(v + shift, np.arange(30), tested=True) for v in (values, values[:, 0])
        )
        assert column.verdict() == number.verdict()
    with pytest.raises(ValueError, match="a verdict is on one number, and there are 2"):
        Estimate.of_mean(np.ones((6, 2)), np.arange(6)).verdict()


def test_skewed_clusters_are_pointed_at_unless_they_are_too_few_to_show_it() -> None:
    assert _judged(skewness=0.15 * 20**0.5 - 0.01).skew() == ""
    assert _judged(skewness=-1.2).skew() == "skewness 1.2 of 20 effective clusters"
    assert _judged(skewness=np.nan).skew() == ""
    few = _judged(effective_clusters=11.9, skewness=3.0)
    assert few.skew() == ""
    assert few.skew_is_unseen()
    assert not _judged().skew_is_unseen()


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
        Estimate.of_mean(np.arange(5.0), np.array([0, 0, 1, 1, 2]), tested=True),
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


def test_estimates_of_several_targets_are_as_good_from_json() -> None:
    values = np.column_stack([np.ones(20), np.arange(20.0) ** 4])
    found = Estimate.of_mean(values, np.arange(20), tested=True)
    back = revived(json.loads(to_json(found)))
    np.testing.assert_array_equal(back.interval(0.9), found.interval(0.9))
    assert back.skew() == found.skew() != ""


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
