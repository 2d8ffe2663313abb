"""The projection drawn from real numbers."""

from __future__ import annotations

import numpy as np
import pytest

from weakstrong import InputError
from weakstrong.paper.experiments.figure1 import Figure1Settings, Slice, cross_terms, run_slices, slices

CONFIG = Figure1Settings(rows=300)


def squared(a: np.ndarray, b: np.ndarray) -> float:
    return float(((a - b) ** 2).mean())


def sides(cut: Slice) -> tuple[float, float, float]:
    return squared(cut.student, cut.truth), squared(cut.student, cut.weak), squared(cut.weak, cut.truth)


@pytest.mark.parametrize("seed", range(6))
def test_the_angle_at_the_student_is_right_or_obtuse(seed: int) -> None:
    cuts = slices(CONFIG, seed)
    a, b, c = sides(cuts["subspace"])
    assert c == pytest.approx(a + b, rel=1e-9)
    assert b > 1e-3 * c
    a, b, c = sides(cuts["ball"])
    assert c >= (a + b) * (1 - 1e-9)
    assert b > 1e-6 * c


@pytest.mark.parametrize("seed", range(6))
def test_the_plane_keeps_distances(seed: int) -> None:
    for cut in slices(CONFIG, seed).values():
        weak, student, truth = cut.plane
        lengths = [((p - q) ** 2).sum() for p, q in ((student, truth), (student, weak), (weak, truth))]
        np.testing.assert_allclose(lengths, sides(cut), rtol=1e-9)


@pytest.mark.parametrize("seed", range(6))
def test_no_point_of_the_ball_s_slice_is_nearer_to_the_weak_labels(seed: int) -> None:
    """The slice is drawn from the class itself, so it must contain the truth and touch the student."""
    cut = slices(CONFIG, seed)["ball"]
    weak, student, truth = cut.plane
    distance = np.linalg.norm(cut.body - weak, axis=1)
    reach = np.ptp(cut.body, axis=0).max()
    assert distance.min() >= np.linalg.norm(student - weak) * (1 - 1e-6)
    assert np.linalg.norm(cut.body - student, axis=1).min() < 0.02 * reach
    x, y = cut.body.T
    inside = np.sum((y[:-1] > truth[1]) != (y[1:] > truth[1])) > 0 and x.min() < truth[0] < x.max()
    assert inside


def test_rows_and_summary_are_the_slices_numbers() -> None:
    rows, cuts = run_slices(CONFIG, 0), slices(CONFIG, 0)
    assert list(rows["body"]) == ["subspace", "ball"]
    for _, row in rows.iterrows():
        a, b, c = sides(cuts[row["body"]])
        np.testing.assert_allclose(
            [row["strong_error"], row["misfit"], row["weak_error"]], [a, b, c], rtol=1e-9
        )
    found = cross_terms(rows)
    assert abs(found["subspace"]) < 1e-9
    assert found["ball"] > 0


def test_a_world_with_nothing_to_draw_is_refused() -> None:
    with pytest.raises(InputError, match="larger weak_sigma"):
        slices(Figure1Settings(rows=300, weak_sigma=1e-9), 0)
