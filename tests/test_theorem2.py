"""Law 4 on worlds where n, ε and δ are controlled."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from weakstrong.paper.experiments.theorem2 import (
    Theorem2Settings,
    allowance,
    run_worlds,
    shortfall,
    shortfall_statistics,
)

SMALL = Theorem2Settings(draws=40, n_grid=(40, 100, 400, 1600), complexity=5, delta_grid=(0.5, 0.1, 0.05))


def test_epsilon_and_the_least_misfit_are_what_is_asked_for() -> None:
    rows = run_worlds(SMALL, 0)
    assert len(rows) == 5 * (1 + 4 * 3)
    np.testing.assert_allclose(rows["ceiling_error"], rows["epsilon"], atol=1e-15)
    whole = rows[rows["n"] == 0]
    np.testing.assert_allclose(whole["misfit"], SMALL.misfit)
    np.testing.assert_allclose(whole["eta"], 0, atol=1e-15)
    np.testing.assert_allclose(rows["misfit"] - SMALL.misfit, rows["eta"], atol=1e-12)


def test_errors_are_those_of_functions_on_the_unit_interval() -> None:
    """The population's row of one ε, by quadrature of the cosine series."""
    from weakstrong.paper.experiments.theorem2 import _deviations, _errors, _world
    from weakstrong.paper.worlds import stream

    y, w = _world(SMALL, 0.01, stream(3, "theorem 2 world"))
    best = w.copy()
    best[SMALL.complexity :] = 0
    students = best + _deviations(SMALL, 100, stream(3, "draws"))
    grid = (np.arange(20_000) + 0.5) / 20_000
    basis = np.sqrt(2) * np.cos(np.pi * np.arange(1, SMALL.complexity + 3) * grid[:, None])
    truth, weak, student = basis @ y, basis @ w, basis @ students[7]
    assert (truth**2).mean() == pytest.approx(1.0)
    found = _errors(SMALL, y, w, students).iloc[7]
    assert found["weak_error"] == pytest.approx(((weak - truth) ** 2).mean())
    assert found["strong_error"] == pytest.approx(((student - truth) ** 2).mean())
    assert found["misfit"] == pytest.approx(((student - weak) ** 2).mean())
    assert found["gain"] == pytest.approx(found["weak_error"] - found["strong_error"])
    assert found["gain"] == pytest.approx(found["misfit"] + found["cross_term"])


def test_students_are_least_squares_on_the_sample() -> None:
    """The student of a draw by numpy, on weak labels with their part inside the class too."""
    from weakstrong.paper.experiments.theorem2 import _deviations, _world
    from weakstrong.paper.worlds import stream

    _, w = _world(SMALL, 0.0, stream(1, "theorem 2 world"))
    x = stream(1, "draws").random((SMALL.draws, 60, 1))[4]
    basis = np.sqrt(2) * np.cos(np.pi * np.arange(1, SMALL.complexity + 3) * x)
    student = np.linalg.lstsq(basis[:, : SMALL.complexity], basis @ w, rcond=None)[0]
    misled = _deviations(SMALL, 60, stream(1, "draws"))[4]
    np.testing.assert_allclose(w[: SMALL.complexity] + misled[: SMALL.complexity], student, rtol=1e-9)
    assert not misled[SMALL.complexity :].any()


def test_draws_do_not_depend_on_how_many_are_made_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = run_worlds(SMALL, 5)
    monkeypatch.setattr("weakstrong.paper.experiments.theorem2._DRAWS_AT_ONCE", 7)
    pd.testing.assert_frame_equal(run_worlds(SMALL, 5), rows, rtol=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_law_4_holds_in_every_row_and_fails_without_its_sample_terms(seed: int) -> None:
    rows = run_worlds(SMALL, seed)
    assert (rows["law_4_slack"] >= -1e-12).all()
    without = rows["cross_term"] + 2 * np.sqrt(rows["ceiling_error"] * rows["misfit"])
    assert without.min() < -0.01


def test_a_smaller_delta_is_a_worse_sample() -> None:
    short = shortfall(run_worlds(SMALL, 2))
    for n in SMALL.n_grid:
        line = short.xs((n, 0.0), level=("n", "epsilon"))
        assert line.loc[0.05] >= line.loc[0.1] >= line.loc[0.5]


def test_exponents_and_constant_of_known_powers_are_found() -> None:
    rows = run_worlds(SMALL, 0)
    n = rows["n"].where(rows["n"] > 0, np.inf)
    rows["gain"] = rows["misfit"] - (3 * rows["epsilon"] ** 0.5 + n**-0.5)
    found = shortfall_statistics(rows, SMALL.complexity)
    assert found["exponents"]["epsilon"] == pytest.approx(0.5)
    assert found["exponents"]["n"] == pytest.approx(-0.5)
    assert found["delta_shown"] == 0.1
    worst = 0.0
    for _, row in rows[rows["n"] > 0].iterrows():
        rates = row["epsilon"] ** 0.5 + (5 / row["n"]) ** 0.25 + (np.log(1 / row["delta"]) / row["n"]) ** 0.25
        worst = max(worst, (row["misfit"] - row["gain"]) / rates)
    assert found["constant"] == pytest.approx(worst)
    rows["law_4_slack"] = -1.0
    assert shortfall_statistics(rows, SMALL.complexity)["law_4"]["below"] == len(rows)


def test_what_law_4_allows_is_its_slack_and_the_shortfall() -> None:
    rows = run_worlds(SMALL, 1)
    one = rows[(rows["n"] == 100) & (rows["epsilon"] == 0.01) & (rows["delta"] == 0.1)].iloc[0]
    eta_terms = 2 * np.sqrt(one["eta"] * one["weak_error"]) + 2 * one["eta"]
    expected = 2 * np.sqrt(0.01 * one["misfit"]) + eta_terms
    assert allowance(rows).loc[100, 0.01, 0.1] == pytest.approx(expected)
    assert shortfall(rows).loc[100, 0.01, 0.1] == pytest.approx(-one["cross_term"])
