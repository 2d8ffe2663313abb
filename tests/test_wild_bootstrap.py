"""The wild cluster bootstrap: against every pattern of signs, one by one, and what it can reject."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy.stats import kstest

from weakstrong import Estimate
from weakstrong.wild_bootstrap import p_value


def _t(means: np.ndarray, shares: np.ndarray) -> float:
    """Student's t of a weighted mean, with CR2."""
    mean = shares @ means
    return abs(mean) / np.sqrt((shares**2 * (means - mean) ** 2 / (1 - shares)).sum())


def _by_enumeration(means: np.ndarray, shares: np.ndarray) -> float:
    observed = _t(means, shares)
    every = [_t(np.array(signs) * means, shares) for signs in product((1, -1), repeat=len(means))]
    return float(np.mean([drawn >= observed * (1 - 1e-9) for drawn in every]))


@pytest.mark.parametrize("count", [2, 3, 5, 6, 9, 12])
@pytest.mark.parametrize("even", [True, False])
def test_all_patterns_of_signs_are_counted_for_few_clusters(count: int, even: bool) -> None:
    rng = np.random.default_rng(count)
    means = rng.normal([0.0, 0.5, 2.0], size=(count, 3))
    shares = np.full(count, 1 / count) if even else rng.dirichlet(np.ones(count))
    found = p_value(shares[:, None] * means, shares, 1 - shares)
    for t in range(3):
        assert found[t] == pytest.approx(_by_enumeration(means[:, t], shares))
        assert found[t] == p_value(shares * means[:, t], shares, 1 - shares)


def test_ties_count_as_evidence_for_zero() -> None:
    """Whole numbers in equal clusters: many patterns have the very same t."""
    shares = np.full(8, 1 / 8)
    means = np.array([1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 2.0, -1.0])
    assert p_value(shares * means, shares, 1 - shares) == pytest.approx(_by_enumeration(means, shares))
    assert p_value(np.zeros(8), shares, 1 - shares) == 1.0
    assert p_value(shares, shares, 1 - shares) == 2**-7  # no spread at all: an infinite t, and its opposite
    assert np.isnan(p_value(np.ones(1), np.ones(1), np.zeros(1)))


def test_five_clusters_cannot_reject_at_5_percent_and_six_can() -> None:
    for count, least in ((5, 1 / 16), (6, 1 / 32)):
        found = Estimate.of_mean(100 + np.arange(float(count)), np.arange(count), tested=True)
        assert found.p_value == least
        assert found.verdict().sign == (count == 6)


def test_p_values_of_many_clusters_are_uniform_where_the_mean_is_zero() -> None:
    rng = np.random.default_rng(3)
    clusters = np.repeat(np.arange(20), rng.integers(1, 9, size=20))
    noise = rng.normal(size=(20, 1000))[clusters] + rng.normal(size=(len(clusters), 1000))
    found = Estimate.of_mean(noise, clusters, tested=True).p_value
    assert kstest(found, "uniform").pvalue > 0.01
    assert found.min() >= 1 / 2000
    assert Estimate.of_mean(noise + 5, clusters, tested=True).p_value.max() == 1 / 2000


def test_the_same_numbers_have_the_same_p_value_whatever_their_unit() -> None:
    x = np.random.default_rng(4).normal(size=40) + 0.3
    found = [
        Estimate.of_mean(unit * x, np.arange(40), tested=True).p_value for unit in (1.0, 2.0**-400, 2.0**400)
    ]
    assert found[0] == found[1] == found[2]
    assert 1 / 2000 < found[0] < 1
    weighted = Estimate.of_mean(x, np.arange(40), np.full(40, 3.0), value=x.mean(), tested=True)
    assert weighted.p_value == pytest.approx(float(found[0]))
