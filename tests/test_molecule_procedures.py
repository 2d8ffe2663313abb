"""Who is fitted to which rows, how, and judged on what: the choices of the experiments on molecules."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError
from sklearn.linear_model import LinearRegression

from tests.test_docs import script
from tests.test_molecules import WEAK, config, frame_of, inputs, losses_of, record_of
from weakstrong.heads import Head
from weakstrong.paper.catalogue import catalogue
from weakstrong.paper.gradient_descent import DescentPath, step_counts
from weakstrong.paper.minibatch_adam import AdamOptions, LinearTask, fit_by_adam
from weakstrong.paper.molecule_divisions import (
    MoleculeInputs,
    division,
    roles_in_division,
    run_division,
    true_labels,
)
from weakstrong.paper.molecule_figures import molecules_figure, ranking_figure
from weakstrong.paper.molecule_heads import molecule_fitters
from weakstrong.paper.molecule_resampling import ERRORS, means, resample_weights
from weakstrong.paper.molecule_settings import MoleculeSettings
from weakstrong.paper.molecule_statistics import by_division, ranking, summarize_molecules
from weakstrong.paper.worlds import stream
from weakstrong.predictions import Predictions
from weakstrong.studies.fitting import fit_division

SAME = {"student_rows": "same", "splits": "redrawn"}
DESCENTS = ("stopped", "steps", "adam")


def test_the_student_has_the_very_rows_of_its_supervisor_if_asked() -> None:
    world = inputs()
    for seed in range(4):
        rows = division(config(**SAME), world, seed, 0)
        roles = roles_in_division(config(**SAME), world, seed, 0)
        assert rows.student.tolist() == rows.supervised.tolist()
        assert sorted(rows.student) == np.flatnonzero(roles == "train").tolist()
        assert sorted(rows.judged) == np.flatnonzero(roles != "train").tolist()
        assert rows.validation.tolist() == np.flatnonzero(roles == "valid").tolist()
        few = division(config(**SAME, true_labels=31), world, seed, 0)
        assert few.student.tolist() == few.supervised.tolist()
        assert len(few.student) in (30, 31)
        assert set(few.student) < set(rows.student)
    frame = losses_of(config(**SAME, heads=("linear",)), world, 1)
    np.testing.assert_array_equal(frame["direct_error"], frame["ceiling_error"])


def test_redrawn_roles_have_the_published_sizes_and_are_those_published_for_seed_0() -> None:
    world, settings = inputs(), config(splits="redrawn")
    drawn = [roles_in_division(settings, world, seed, split) for seed in range(4) for split in range(2)]
    for roles, published in zip(drawn, itertools.cycle(world.roles.T)):
        assert sorted(roles) == sorted(published)
    assert all((a != b).any() for a, b in itertools.combinations(drawn, 2))
    for split in range(2):
        assert (drawn[split] == world.roles[:, split]).all()
        again = roles_in_division(config(splits="redrawn", seeds=9), world, 3, split)
        assert (drawn[6 + split] == again).all()
        assert (roles_in_division(config(), world, 3, split) == world.roles[:, split]).all()


def design(world: MoleculeInputs, rows: np.ndarray) -> np.ndarray:
    return world.features["strong"][rows]


@pytest.mark.parametrize("heads", DESCENTS)
@pytest.mark.parametrize("student_rows", ["same", "others"])
def test_rows_of_descents_are_those_of_supervisors_and_students_made_by_hand(
    heads: str, student_rows: str
) -> None:
    """Who is fitted to which labels, and whose valid labels stop it: the student never sees the truth."""
    world = inputs()
    own = {"steps": {"descent_steps": 7}, "adam": {"adam_epochs": 3, "adam_rate": 0.1}}.get(heads, {})
    settings = config(heads=(heads,), student_rows=student_rows, splits="redrawn", judge_on="test", **own)
    table = run_division(settings, world, 1)
    rows = division(settings, world, 1, 1)
    options, grid = AdamOptions(3, 32, 0.1), step_counts(10**6)

    def fitted(kind: str, x: np.ndarray, on: np.ndarray, y: np.ndarray) -> Head:
        valid = rows.validation
        if heads == "adam":
            task = LinearTask(x[on], y[on], x[valid], y[valid])
            return fit_by_adam([task], options, stream(1, f"adam, {kind}", 1))[0]
        path = DescentPath.of(x[on], y[on])
        return path.head(7 if heads == "steps" else path.stopped(x[valid], y[valid], grid))

    for name in WEAK:
        x = world.features[name]
        weak = fitted("weak", x, rows.supervised, world.y[:, None])(x)
        student = fitted("strong", world.features["strong"], rows.student, weak)
        found = table[(table["split"] == "123") & (table["supervisor"] == name)]
        tolerance = {"rtol": 1e-4, "atol": 1e-5} if heads == "adam" else {"rtol": 1e-9}
        np.testing.assert_allclose(found["y_weak"], weak[rows.judged, 0], **tolerance)
        np.testing.assert_allclose(found["y_strong"], student(design(world, rows.judged))[:, 0], **tolerance)
    ceiling = fitted("strong", world.features["strong"], rows.student, world.y[:, None])
    np.testing.assert_allclose(found["y_ceiling"], ceiling(design(world, rows.judged))[:, 0], **tolerance)
    assert (found["y_class"] == found["y_ceiling"]).all() == (heads != "stopped")
    assert table["strong_optimality_gap"].isna().all()


def test_on_a_realizable_truth_the_gain_on_the_fitted_rows_is_the_misfit() -> None:
    """Theorem 1's equality for a subspace, which holds on the sample that the student is fitted to."""
    world = inputs()
    settings = config(**SAME, heads=("linear",), truth="realizable")
    truth = true_labels(settings, world, 0)
    linear = LinearRegression().fit(world.features["strong"], truth)
    np.testing.assert_allclose(linear.predict(world.features["strong"]), truth, atol=1e-9)
    assert 0.5 < np.corrcoef(truth, world.y)[0, 1] < 0.999
    gains = {}
    for name, y in (("realizable", truth), ("measured", world.y)):
        rows = division(settings, world, 0, 0)
        rows = replace(rows, judged=rows.student, roles=None)
        study = replace(world.study(settings), y=y)
        predictions, _ = fit_division(rows, study, molecule_fitters(settings, 0, 0))
        losses = predictions.losses().groupby("supervisor")[["weak_error", "strong_error", "misfit"]].mean()
        gains[name] = losses["weak_error"] - losses["strong_error"], losses["misfit"]
    np.testing.assert_allclose(*gains["realizable"], rtol=1e-9)
    assert (np.abs(gains["measured"][0] / gains["measured"][1] - 1) > 1e-6).all()
    table = run_division(settings, world, 0)
    judged = table.drop_duplicates(["split", "row"])
    np.testing.assert_array_equal(judged["y_true"], truth[judged["row"]])


def test_noise_on_a_realizable_truth_is_normal_and_drawn_anew_for_each_seed() -> None:
    world = inputs(6000)
    clean = true_labels(config(truth="realizable"), world, 0)
    noisy = [true_labels(config(truth="realizable", noise=0.3), world, seed) - clean for seed in (1, 2)]
    for noise in noisy:
        assert noise.std() == pytest.approx(0.3, rel=0.05)
        assert noise.mean() == pytest.approx(0, abs=0.02)
    assert abs(np.corrcoef(noisy)[0, 1]) < 0.05


def test_means_of_divisions_that_judge_rows_of_their_own_are_those_of_their_rows() -> None:
    settings = config(**SAME, heads=("linear",))
    frame = frame_of(settings, inputs())
    losses = Predictions(frame).losses()
    weights = resample_weights(settings, frame)
    found = means(losses, ("valid", "test"), weights, settings)
    for draw in (0, 1, 50):
        weighted = losses.assign(weight=weights[draw][losses["row"]])
        groups = weighted.groupby(["split", "division", "supervisor"])
        total = groups["weight"].sum()
        for name in ERRORS:
            values = (weighted[name] * weighted["weight"]).groupby(
                [weighted[key] for key in ("split", "division", "supervisor")]
            )
            expected = (values.sum() / total).to_numpy().reshape(2, 3, 3)
            np.testing.assert_allclose(found.first[name][draw], expected[:, 0], rtol=1e-12)
            if draw == 0:
                np.testing.assert_allclose(found[name][0], expected, rtol=1e-12)
    sizes = found.estimate(found["gain"].mean((1, 2, 3)))
    assert sizes.rows == losses["row"].nunique()


def test_means_of_published_splits_are_those_of_one_product_over_all_divisions() -> None:
    """As they were computed when all divisions of a split judged the same rows."""
    settings = config(heads=("linear",))
    frame = frame_of(settings, inputs())
    losses = Predictions(frame).losses()
    weights = resample_weights(settings, frame)
    found = means(losses, ("test",), weights, settings)
    test = losses[losses["role"] == "test"].sort_values(["split", "division", "supervisor", "row"])
    for place, (_, part) in enumerate(test.groupby("split")):
        rows = part["row"].to_numpy()[: len(part) // 9]
        total = weights[:, rows].sum(1)[:, None, None]
        values = part["misfit"].to_numpy().reshape(9, -1)
        expected = (weights[:, rows] @ values.T).reshape(-1, 3, 3) / total
        np.testing.assert_allclose(found.first["misfit"][:, place], expected[:, 0], rtol=1e-12)
        np.testing.assert_allclose(found["misfit"][0, place], expected[0], rtol=1e-12)


def test_the_share_of_best_picks_counts_resamples_in_which_the_pick_errs_least() -> None:
    settings = config(heads=("linear",))
    frame = frame_of(settings, inputs())
    of = means(Predictions(frame).losses(), ("test",), resample_weights(settings, frame), settings)
    rule, true = of.rule.mean((1, 2)), of["strong_error"].mean((1, 2))
    expected = np.mean(rule[1:].argmin(1) == true[1:].argmin(1))
    assert ranking(of)["picked_best"] == pytest.approx(expected)


def test_students_from_a_file_have_no_untrained_control() -> None:
    settings = config(**SAME, heads=("linear", "steps"))
    frame = frame_of(settings, replace(inputs(120), untrained={}))
    assert summarize_molecules(settings, frame)["steps"]["test"]["line"]["points"] == 18
    by_division(frame)


def test_clipping_changes_exact_heads_alone() -> None:
    world = inputs()
    world.features["strong"][world.roles[:, 0] == "test"] *= 9
    heads = ("linear", "l2", *DESCENTS)
    clipped, free = (
        run_division(config(heads=heads, clip=clip, adam_epochs=2, judge_on="test"), world, 0)
        for clip in (True, False)
    )
    changed = (clipped["y_strong"] != free["y_strong"]).groupby(clipped["heads"]).any()
    assert changed.to_dict() == dict.fromkeys(heads, False) | {"linear": True, "l2": True}


@pytest.mark.parametrize("judge_on", ["valid+test", "valid", "test"])
def test_verdicts_and_figures_are_about_the_rows_asked_for(judge_on: str) -> None:
    settings = config(**SAME, seeds=6, heads=("linear", "steps"), judge_on=judge_on)
    frame = frame_of(settings, inputs(120))
    assert settings.of_one_seed() == config(**SAME, seeds=6, heads=("linear", "steps")).of_one_seed()
    figure = molecules_figure(by_division(frame), settings, "a title")
    words = {"valid+test": "valid and test rows", "valid": "valid rows", "test": "test rows"}[judge_on]
    first = figure.axes[0].get_title()
    assert first == f"linear heads: the published division of 2 splits, {words}"
    table = by_division(frame)
    mine = table[(table["heads"] == "linear") & (table["evaluation"] == judge_on) & (table["seed"] == 0)]
    drawn = np.vstack([dots.get_offsets() for dots in figure.axes[0].collections])
    np.testing.assert_allclose(sorted(drawn[:, 0]), sorted(mine["misfit"]))
    assert set(summarize_molecules(settings, frame)["steps"]) > {"valid+test", "valid", "test"}
    results = record_of(settings, frame, "ranking").results
    assert words in ranking_figure(results, "a title", judge_on).get_suptitle()
    table = results[0].estimates[judge_on]["table"]
    assert f"picks {table[0]['weak']}," in results[0].findings[0]


def test_what_contradicts_itself_is_refused() -> None:
    for changes, said in (
        ({**SAME, "weak_labels": 20}, "weak_labels has no effect with student_rows = same"),
        ({"student_rows": "same"}, "set splits = redrawn, true_labels or seeds = 1"),
        ({"noise": 0.1}, "noise has no effect on measured labels"),
        ({"truth": "realizable", "swap_roles": True}, "with swap_roles there are several"),
    ):
        with pytest.raises(ValidationError, match=said):
            config(**changes)
    config(student_rows="same", seeds=1)
    config(student_rows="same", true_labels=20)
    config(**MoleculeSettings.presets["paper"])


def test_the_table_of_procedures_has_the_estimates_on_test_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    example = script("examples/reproduce_molecules.py")
    settings = config(**SAME, heads=("linear", "steps"))
    frame = frame_of(settings, inputs(120))
    experiment = replace(catalogue()["fig2d"], settings=settings)
    rows = [
        {"student": "ours", "rows": "same", "dataset": "ESOL", **row}
        for row in example.procedure_rows(experiment, frame)
    ]
    assert [(row["heads"], row["evaluation"]) for row in rows] == [
        (heads, name) for heads in settings.heads for name in ("valid+test", "valid", "test")
    ]
    found = summarize_molecules(settings, frame)["steps"]["test"]
    ratio = found["line"]["gain_over_misfit"]
    assert rows[-1]["gain_over_misfit_low"] == ratio.low
    students = [row["strong_error"]["all"].value for row in found["table"]]
    assert rows[-1]["strong_error"] == pytest.approx(np.mean(students))
    monkeypatch.setattr(example, "PROCEDURE_TABLE", tmp_path / "procedures.csv")
    pd.DataFrame(rows).to_csv(example.PROCEDURE_TABLE, index=False)
    lines = example.procedures_table(pd.read_csv(example.PROCEDURE_TABLE))
    cell = f"{ratio.value:.2f} [{ratio.low:.2f}, {ratio.high:.2f}]"
    assert lines[-1].startswith(f"| ours | same | steps | {cell} | ")
    assert len(lines) == 4
    text = "9.999<!-- procedure: ours / same / steps / ESOL / gain_over_misfit -->"
    assert example.filled(text) == text.replace("9.999", f"{ratio.value:.3f}", 1)
