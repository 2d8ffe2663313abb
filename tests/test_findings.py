"""What a study reports: estimates pooled with the right clusters, verdicts, and what is drawn."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from weakstrong import Estimate, Record, Result, measure, study
from weakstrong.report.figures import gain_against_misfit
from weakstrong.report.terminal import study_table
from weakstrong.studies.findings import cluster_notes, conclusions


@pytest.fixture(scope="module")
def found() -> Record:
    rng = np.random.default_rng(0)
    strong = rng.normal(size=(80, 4))
    y = strong @ rng.normal(size=4) + rng.normal(size=80)
    weak = {"a": np.abs(strong[:, :2]), "b": strong[:, 1:3] ** 2}
    split = (np.arange(50), np.arange(50, 80))  # every repeat judges on the same thirty rows
    return study(weak, strong, y, splits={"only": split}, seeds=6)


def test_pooled_estimates_count_a_row_once_however_many_divisions_judge_it(found: Record) -> None:
    for name, part in found.predictions.table.groupby("supervisor"):
        estimates = found.result(supervisor=name).estimates
        kept = {"groups": part["row"], "y_ceiling": part["y_ceiling"]}
        direct = measure(part["y_true"], part["y_weak"], part["y_strong"], **kept)
        assert direct.n_clusters == 30
        for key in ("weak_error", "strong_error", "misfit", "gain", "cross_term", "ceiling_error"):
            assert estimates[key].value == pytest.approx(float(getattr(direct, key).value))
            assert estimates[key].standard_error == pytest.approx(float(getattr(direct, key).standard_error))
            low, high = (float(v) for v in getattr(direct, key).interval())
            assert estimates[key].interval() == pytest.approx((low, high))
        naive = measure(part["y_true"], part["y_weak"], part["y_strong"])
        assert estimates["weak_error"].standard_error > 1.5 * float(naive.weak_error.standard_error)
        for baseline in ("direct", "mean"):
            against = measure(part["y_true"], part[f"y_{baseline}"], part["y_strong"], groups=part["row"])
            assert estimates[f"{baseline}_error"].value == pytest.approx(float(against.weak_error.value))
            assert estimates[f"gain_over_{baseline}"].value == pytest.approx(float(against.gain.value))


def test_spread_is_that_of_the_divisions(found: Record) -> None:
    for name, part in found.tables["divisions"].groupby("supervisor"):
        facts = found.result(supervisor=name).facts
        for key, spread in facts["spread_over_divisions"].items():
            column = part[key]
            expected = {"std": column.std(), "min": column.min(), "max": column.max()}
            assert spread == pytest.approx(expected)
        correlation = np.corrcoef(part["misfit"], part["gain"])[0, 1]
        assert facts["correlation_of_gain_and_misfit"] == pytest.approx(correlation)


def _estimate(value: float, error: float, **change: float) -> Estimate:
    half = 1.984 * error
    plain = {"clusters": 100, "effective_clusters": 90.0, "degrees_of_freedom": 88.0, "largest_share": 0.02,
             "skewness": 0.1, "p_value": 0.001}  # fmt: skip
    return Estimate(value, value - half, value + half, "made up", standard_error=error, **plain | change)


def _estimates(*judged: tuple[float, float], **change: float) -> dict[str, Estimate]:
    names = ("gain", "cross_term", "gain_over_direct")
    known = {name: _estimate(*numbers, **change) for name, numbers in zip(names, judged, strict=True)}
    return known | {"misfit": _estimate(1.0, 0.1), "mean_error": _estimate(5.0, 0.1)}


@pytest.mark.parametrize(
    ("gain", "cross", "direct", "said"),
    [
        ((2, 0.5), (1, 0.2), (1, 0.3), ["is better than its", "exceeds misfit", "the student beats"]),
        ((-2, 0.5), (-3, 0.2), (-1, 0.3), ["is worse than its", "falls short of", "had beats the student"]),
        ((2, 1.5), (-1, 0.9), (1, 0.9), ["undecided whether", "undecided whether", "undecided whether"]),
    ],
)
def test_verdicts_are_what_the_intervals_allow(
    gain: tuple, cross: tuple, direct: tuple, said: list[str]
) -> None:
    lines = conclusions(_estimates(gain, cross, direct))
    assert len(lines) == 3
    for line, words in zip(lines, said, strict=True):
        assert words in line
        assert ("for these fitted models" in line) == ("undecided" not in line)
    assert f"{cross[0]:+.2f} times the misfit" in lines[1]


ALL_CLEAR = ((2, 0.5), (1, 0.2), (1, 0.3))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"effective_clusters": 3.1, "largest_share": 0.62},
            "no verdict whether the student is better than its supervisor "
            "(+2, 95% interval +1.008 to +2.992): only 3.1 effective clusters (one has 62% of the rows)",
        ),
        (
            {"degrees_of_freedom": 3.5, "largest_share": 0.4},
            "no verdict whether the student is better than its supervisor "
            "(+2, 95% interval +1.008 to +2.992): only 3.5 degrees of freedom (one has 40% of the rows)",
        ),
        (
            {"p_value": 0.07},
            "undecided whether the student is better than its supervisor "
            "(+2, 95% interval +1.008 to +2.992): "
            "flipping the signs of clusters does not reject 0 (p = 0.07)",
        ),
    ],
)
def test_where_there_is_no_verdict_the_words_say_why(change: dict, said: str) -> None:
    lines = conclusions(_estimates(*ALL_CLEAR, **change))
    assert lines[0] == said
    reason = said.partition("): ")[2]
    assert all(f"): {reason}" in line for line in lines)


def test_skewed_clusters_are_said_once_with_what_they_are_of() -> None:
    *_, line = conclusions(_estimates(*ALL_CLEAR, skewness=2.5))
    assert line.startswith(
        "the clusters of held-out rows are skewed (gain: skewness 2.5 of 90 effective clust"
    )
    assert "cross term: " in line
    assert "gain over direct: " in line
    assert not any("skewed" in line for line in conclusions(_estimates(*ALL_CLEAR, skewness=1.0)))
    reproduced = _estimates(*ALL_CLEAR, skewness=2.5) | {"misfit": _estimate(0.0, 0.0)}
    assert "(gain over direct: " in conclusions(reproduced)[-1]  # the others are rounding


def test_few_clusters_are_noted_once_for_a_study() -> None:
    def notes(*effective: float) -> tuple[str, ...]:
        found = [_estimates(*ALL_CLEAR, effective_clusters=e, largest_share=0.5) for e in effective]
        return cluster_notes(Result({}, estimates) for estimates in found)

    assert notes(90.0, 12.0) == ()
    [note] = notes(3.1, 3.1)
    assert note.startswith("only 3.1 effective clusters (one has 50% of the rows): too few for a verdict")
    [note] = notes(9.0, 9.0)
    assert note.startswith("only 9 effective clusters: too few to show whether their means are skewed")


def test_a_study_of_a_few_uneven_groups_gives_no_verdict_and_shows_them() -> None:
    rng = np.random.default_rng(5)
    groups = np.repeat(np.arange(40), [60, *[3] * 39])
    strong = rng.normal(size=(len(groups), 3))
    y = strong @ [1.0, 2.0, 3.0] + 0.1 * rng.normal(size=len(groups))
    test = groups <= 6
    split = (np.flatnonzero(~test), np.flatnonzero(test))
    found = study({"weak": strong[:, :1] > 0}, strong, y, groups=groups, splits={"only": split}, seeds=2)
    [result] = found.results
    assert result.estimates["gain"].effective_clusters == pytest.approx(78**2 / (60**2 + 6 * 9))
    assert all(line.startswith("no verdict") for line in result.findings if "reproduce it" not in line)
    [note] = [note for note in found.notes if "clusters" in note]
    assert "only 1.67 effective clusters (one has 77% of the rows)" in note
    for name, estimate in result.estimates.items():
        tested = name in ("gain", "cross_term") or name.startswith("gain_over_")
        assert (estimate.p_value is not None) == tested, name
    console = Console(width=300, file=io.StringIO())
    console.print(study_table(found))
    printed = console.file.getvalue()
    freedom = f"{result.estimates['gain'].degrees_of_freedom:.4g} degrees of freedom"
    evidence = f"intervals from 7 clusters, 1.665 effective, the largest with 77% of the rows, {freedom}"
    assert printed.count(evidence) == 1
    assert "for the procedure: from division to division" in printed


def test_evidence_that_differs_is_shown_for_every_interval(found: Record) -> None:
    [first, *_] = found.results
    apart = dict(first.estimates)
    apart["gain_over_direct"] = replace(apart["gain_over_direct"], effective_clusters=4.5)
    console = Console(width=300, file=io.StringIO())
    console.print(study_table(replace(found, results=(replace(first, estimates=apart),))))
    printed = console.file.getvalue()
    assert "interval of gain from 30 clusters, 30 effective" in printed
    assert "interval of gain over direct from 30 clusters, 4.5 effective" in printed


def test_the_table_has_every_number_in_its_column(found: Record) -> None:
    console = Console(width=300, file=io.StringIO())
    console.print(study_table(found))
    lines = console.file.getvalue().splitlines()
    headings = [h.strip() for h in lines[2].split("  ") if h.strip()]
    keys = {
        "weak error": "weak_error", "student": "strong_error", "misfit": "misfit",
        "weak − misfit": "weak_error_minus_misfit", "gain": "gain",
        "cross term": "cross_term", "ceiling": "ceiling_error", "direct": "direct_error",
        "null": "null_error",
        "mean": "mean_error",
    }  # fmt: skip
    assert headings == ["supervisor", *keys]
    for line in lines[4:6]:
        name, *cells = line.split()
        estimates = found.result(supervisor=name).estimates
        for key, cell in zip(keys.values(), cells, strict=True):
            assert float(cell) == pytest.approx(estimates[key].value, rel=1e-3)


def test_a_record_without_an_estimate_that_came_later_is_still_shown(found: Record) -> None:
    earlier = [replace(result, estimates=dict(result.estimates)) for result in found.results]
    for result in earlier:
        del result.estimates["weak_error_minus_misfit"]
    console = Console(width=300, file=io.StringIO())
    console.print(study_table(replace(found, results=tuple(earlier))))
    for line in console.file.getvalue().splitlines()[4:6]:
        assert line.split()[4] == "–"


def test_the_figure_has_misfit_across_gain_up_and_the_diagonal(found: Record) -> None:
    axes = gain_against_misfit(found.tables["divisions"], "y").axes[0]
    for (name, part), points in zip(
        found.tables["divisions"].groupby("supervisor", sort=False), axes.collections, strict=True
    ):
        assert points.get_label() == name
        np.testing.assert_array_equal(points.get_offsets(), part[["misfit", "gain"]].to_numpy())
    across, up = axes.lines[0].get_data()
    np.testing.assert_array_equal(across, up)
    assert "misfit" in axes.get_xlabel()
    assert "gain" in axes.get_ylabel()


def test_many_supervisors_have_their_legend_outside() -> None:
    rows = pd.DataFrame({"supervisor": list("abcdefghij"), "misfit": range(10), "gain": range(10)})
    rows["mean_error"] = 10.0
    legend = gain_against_misfit(rows, "y").axes[0].get_legend()
    assert len(legend.get_texts()) == 11
    assert legend.get_bbox_to_anchor().x0 >= gain_against_misfit(rows, "y").axes[0].bbox.x1


def _points(rows: pd.DataFrame) -> tuple:
    axes = gain_against_misfit(rows, "y").axes[0]
    return np.concatenate([points.get_offsets() for points in axes.collections]), axes


def test_no_misfit_is_drawn_as_none_on_axes_of_the_labels_size() -> None:
    rng = np.random.default_rng(5)
    strong = rng.normal(size=(90, 3))
    y = 20 * (strong.sum(1) + rng.normal(size=90))
    weak = {"part": strong[:, :2], "other": np.abs(strong)}
    rows = study(weak, strong, y, heads="linear", seeds=3).tables["divisions"]
    alone = rows[rows["supervisor"] == "part"]
    assert 0 < alone["misfit"].max() < 1e-20
    points, axes = _points(alone)
    np.testing.assert_array_equal(points, np.zeros((3, 2)))
    for limit in (axes.get_xlim()[1], axes.get_ylim()[1], -axes.get_ylim()[0]):
        assert limit == pytest.approx(alone["mean_error"].max())
    assert axes.get_xlabel().endswith("\nno misfit but rounding: the student reproduces its supervisor")
    points, axes = _points(rows)
    assert np.sum((points == 0).all(axis=1)) == 3
    np.testing.assert_array_equal(points[3:], rows.loc[rows["supervisor"] == "other", ["misfit", "gain"]])
    assert axes.get_xlim()[1] == pytest.approx(rows["misfit"].max() * 1.05)
    assert "no misfit but rounding at 3 of 6 points" in axes.get_xlabel()


def test_points_without_a_number_and_points_that_set_the_scale_are_noted() -> None:
    rows = pd.DataFrame({"supervisor": "w", "misfit": [1.0, 2, 90], "gain": [1, np.nan, -90]})
    rows = rows.assign(mean_error=4.0, exploded=["ceiling", "", "strong class"])
    points, axes = _points(rows)
    np.testing.assert_array_equal(points, [[1, 1], [90, -90]])
    _, *notes = axes.get_xlabel().split("\n")
    assert notes == [
        "1 of 3 points have no number, and are not drawn",
        "at 1 of 2 points student or supervisor exploded: they set the scale",
    ]
    for nothing in (rows.assign(gain=np.nan), rows.assign(misfit=0.0, gain=0.0, mean_error=0.0)):
        _, axes = (
            _points(nothing) if len(nothing.dropna()) else (None, gain_against_misfit(nothing, "y").axes[0])
        )
        assert axes.get_xlim() == (0, 1)


def test_features_that_contain_the_target_are_pointed_at() -> None:
    rng = np.random.default_rng(3)
    honest = rng.normal(size=(90, 3))
    y = honest.sum(1) + rng.normal(size=90)
    leaking = np.column_stack([honest, 3 * y + 1]).astype(np.float32)  # under another name, in another unit
    said = "features predict the truth almost exactly"

    def lines(weak: np.ndarray, strong: np.ndarray, heads: str) -> list[str]:
        found = study({"w": weak}, strong, y, heads=heads, seeds=2)
        return [line for line in found.results[0].findings if said in line]

    for heads in ("linear", "l2"):
        assert lines(honest[:, :1], honest, heads) == []
        [line] = lines(honest[:, :1], leaking, heads)
        assert line.startswith("the student's features")
        assert line.endswith("do they contain the target?")
        [line] = lines(leaking, honest, heads)
        assert line.startswith("the supervisor's features")
        assert len(lines(leaking, leaking, heads)) == 2
