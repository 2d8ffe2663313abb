"""Divisions of rows with groups: shares are of rows, groups stay whole, and lone rows are divided as ever."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weakstrong.studies.divisions import divisions
from weakstrong.studies.inputs import StudyInputs
from weakstrong.studies.settings import StudyOptions
from weakstrong.studies.shares import _nearest, split_rows


def _inputs(groups: np.ndarray | None, n: int) -> StudyInputs:
    x = np.arange(float(n))[:, None]
    return StudyInputs({"weak": x}, {"strong": x}, x[:, 0], groups=groups)


@settings(max_examples=200, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 12), min_size=0, max_size=9),
    wanted=st.integers(0, 60),
    least=st.integers(0, 1),
    spared=st.integers(0, 30),
)
def test_no_sum_of_sizes_is_nearer(sizes: list[int], wanted: int, least: int, spared: int) -> None:
    most = sum(sizes) - spared
    taken = _nearest(sizes, wanted, least, most) if most >= 0 else [False] * len(sizes)
    found = sum(size for size, is_in in zip(sizes, taken, strict=True) if is_in)
    every = {sum(some) for k in range(len(sizes) + 1) for some in combinations(sizes, k)}
    allowed = [abs(total - wanted) for total in every if least <= total <= most]
    assert (abs(found - wanted) == min(allowed)) if allowed else (found == 0)


@settings(max_examples=100, deadline=None)
@given(n=st.integers(1, 1500), seed=st.integers(0, 10**6), size=st.floats(0.001, 0.999), count=st.booleans())
def test_rows_without_groups_are_drawn_in_the_order_of_one_permutation(
    n: int, seed: int, size: float, count: bool
) -> None:
    rows = np.sort(np.random.default_rng(seed).permutation(2 * n)[:n])
    wanted = int(1 + size * n) if count else size
    first, second = split_rows(
        rows, np.arange(2 * n), wanted, np.random.default_rng(seed), at_most=count, least=(5, 5)
    )
    number = wanted if count else round(wanted * n)
    order = np.random.default_rng(seed).permutation(n)
    np.testing.assert_array_equal(first, np.sort(rows[order[:number]]))
    np.testing.assert_array_equal(second, np.sort(rows[order[number:]]))


@settings(max_examples=100, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    giant=st.sampled_from([0, 50, 385, 2000]),
    lone=st.integers(10, 60),
    size=st.sampled_from([0.1, 0.2, 0.5, 0.8]),
)
def test_a_share_is_of_rows_however_large_a_group_is(seed: int, giant: int, lone: int, size: float) -> None:
    """With lone rows beside the groups the number is met, unless they and the groups can't come nearer."""
    rng = np.random.default_rng(seed)
    sizes = [giant] * (giant > 0) + [1] * lone + rng.integers(2, 9, size=30).tolist()
    cluster = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    n = len(cluster)
    first, second = split_rows(np.arange(n), cluster, size, rng, at_most=False, least=(6, 6))
    assert len(first) > 0
    assert len(second) > 0
    assert not set(cluster[first]) & set(cluster[second])
    np.testing.assert_array_equal(np.sort(np.r_[first, second]), np.arange(n))
    wanted, others = round(size * n), n - giant
    reachable = [*range(others + 1), *range(giant, n + 1)]
    # Six clusters for each part come first, which may be kept from making up the number.
    assert abs(len(first) - wanted) <= min(abs(total - wanted) for total in reachable) + 6 * 8


def test_a_giant_group_is_not_held_out_for_a_small_share() -> None:
    groups = np.r_[np.zeros(385, dtype=int), 1 + np.arange(257) // 2]
    for seed in range(20):
        [division] = divisions(_inputs(groups, 642), StudyOptions(seeds=1, seed=seed))
        assert len(division.judged) == 128
        for part in (division.supervised, division.student):
            assert len(np.unique(groups[part])) >= 5


def test_each_part_keeps_groups_enough_where_small_ones_are() -> None:
    """One group has exactly the share: alone it would be met, and a part of one group judges nothing."""
    groups = np.repeat(np.arange(60), [40, *[2] * 59])
    for seed in range(20):
        options = StudyOptions(seeds=1, seed=seed, test_size=40 / 158, true_labels=0.5)
        [division] = divisions(_inputs(groups, len(groups)), options)
        assert len(np.unique(groups[division.judged])) >= 6
        assert len(division.judged) == 40


@pytest.mark.parametrize(("true", "weak"), [(0.5, None), (0.3, 0.2), (31, 20), (40, 0.25)])
def test_true_and_weak_labels_are_counted_in_rows_too(true: float, weak: float | None) -> None:
    groups = np.r_[np.zeros(40, dtype=int), 1 + np.arange(160) // 2]
    for seed in range(10):
        options = StudyOptions(seeds=1, seed=seed, true_labels=true, student_rows=weak)
        [division] = divisions(_inputs(groups, 200), options)
        train = 200 - len(division.judged)
        assert len(division.judged) == 40
        for part, wanted in ((division.supervised, true), (division.student, weak)):
            if isinstance(wanted, int):
                assert wanted - 1 <= len(part) <= wanted  # whole groups that fit
            elif wanted is not None:
                assert abs(len(part) - round(wanted * train)) <= 1


def test_more_labels_than_there_are_rows_leave_none_over() -> None:
    cluster = np.arange(60) // 3
    first, second = split_rows(
        np.arange(60), cluster, 10**15, np.random.default_rng(0), at_most=True, least=(5, 5)
    )
    assert (len(first), len(second)) == (60, 0)
