"""Divisions, heads and statistics of the experiments on molecules, on made-up sets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr
from sklearn.linear_model import LinearRegression

from weakstrong.bootstrap import cluster_weights
from weakstrong.errors import InputError
from weakstrong.estimate import Estimate
from weakstrong.estimator import HeadProjection
from weakstrong.paper.catalogue import catalogue
from weakstrong.paper.molecule_claims import PAPER_TABLE_1, molecule_verdict, strong_model
from weakstrong.paper.molecule_divisions import MoleculeInputs, division, run_division
from weakstrong.paper.molecule_figures import ranking_figure
from weakstrong.paper.molecule_resampling import ERRORS, Means, means, resample_weights
from weakstrong.paper.molecule_settings import MoleculeSettings
from weakstrong.paper.molecule_statistics import (
    CROSSED,
    RULES,
    by_division,
    law_3,
    line,
    ranking,
    regret,
    spearman,
    summarize_molecules,
    table,
)
from weakstrong.paper.molecule_tables import molecule_page, paper_table
from weakstrong.paper.pages import agreement, findings
from weakstrong.paper.verdicts import TOO_FEW
from weakstrong.predictions import Predictions
from weakstrong.record import Record, Result
from weakstrong.whole_files import write_list

WEAK = ("a", "b", "c")


def config(**changes: object) -> MoleculeSettings:
    settings = {"dataset": "ESOL", "weak": WEAK, "seeds": 3, "resamples": 100, **changes}
    return MoleculeSettings(**settings)


def inputs(n: int = 400, *, noise: float = 0.5, twins: int = 60, seed: int = 0) -> MoleculeInputs:
    """The truth is linear in the strong features, plus noise; weak models see the first 1, 2 or 4 of them."""
    rng = np.random.default_rng(seed)
    strong = rng.normal(size=(n, 6))
    y = strong @ [2.0, -1.5, 1.0, 1.0, 0.5, 0.5] + noise * rng.normal(size=n)
    roles = np.full((n, 2), "train ")
    roles[:, 0], roles[:, 1] = rng.permutation(n) % 5, rng.permutation(n) % 5
    roles = np.where(roles == "0", "test", np.where(roles == "1", "valid", "train"))
    clusters = np.arange(n).astype(np.uint64)
    clusters[:twins] = np.arange(twins) // 2
    features = {
        "strong": strong, "a": strong[:, :1] ** 3, "b": np.abs(strong[:, :2]), "c": np.sign(strong[:, :4])
    }  # fmt: skip
    untrained = {name: rng.normal(size=(2, n, 3)) for name in features}
    return MoleculeInputs(y, roles, ("122", "123"), clusters, features, untrained, np.full(n, "C"))


def test_a_division_is_in_two_halves_without_twins_across_and_judges_on_the_rest() -> None:
    world = inputs()
    for seed, split in [(s, k) for s in range(10) for k in range(2)][::-1]:
        rows = division(config(), world, seed, split)
        train = np.flatnonzero(world.roles[:, split] == "train")
        assert sorted([*rows.supervised, *rows.student]) == train.tolist()
        assert abs(len(rows.supervised) - len(rows.student)) <= 2
        assert not set(world.clusters[rows.supervised]) & set(world.clusters[rows.student])
        assert sorted([*train, *rows.judged]) == list(range(400))
    again, other = division(config(seeds=9), world, 0, 0), division(config(), world, 5, 0)
    assert again.supervised.tolist() == rows.supervised.tolist()
    assert set(other.supervised) != set(rows.supervised)


def test_twins_of_judged_rows_are_removed_from_training_on_request() -> None:
    world = inputs()
    kept, removed = (division(config(twins=t), world, 0, 0) for t in ("kept", "removed"))
    taught = [np.concatenate([d.supervised, d.student]) for d in (kept, removed)]
    across = [np.isin(world.clusters[t], world.clusters[kept.judged]) for t in taught]
    assert across[0].any()
    assert not across[1].any()
    assert sorted(taught[1]) == sorted(taught[0][~across[0]])
    assert removed.judged.tolist() == kept.judged.tolist()


def test_numbers_of_labels_are_those_asked_for() -> None:
    world = inputs()
    for seed in range(20):
        rows = division(config(true_labels=31, weak_labels=50), world, seed, 0)
        assert len(rows.supervised) in (30, 31)
        assert len(rows.student) == 50
        fewer = division(config(true_labels=31, weak_labels=20), world, seed, 0)
        assert fewer.student.tolist() == rows.student[:20].tolist()
        rest = division(config(true_labels=31), world, seed, 0)
        assert len(rest.supervised) + len(rest.student) == (world.roles[:, 0] == "train").sum()
    for bad in ({"true_labels": 400}, {"weak_labels": 399}, {"weak_labels": 3}, {"true_labels": 3}):
        with pytest.raises(InputError, match="true_labels"):
            division(config(**bad), world, 1, 0)
    few = division(config(true_labels=3, heads=("linear",)), world, 1, 0)  # no folds to fill
    assert len(few.supervised) in (2, 3)


def test_rows_are_the_squared_errors_of_independent_least_squares() -> None:
    world, settings = inputs(), config(heads=("linear",))
    frame = losses_of(settings, world, 2)
    assert (frame["smiles"] == "C").all()
    for split, name in enumerate(world.splits):
        rows = division(settings, world, 2, split)
        taught, own, judged = rows.supervised, rows.student, rows.judged
        strong, truth = world.features["strong"], world.y[judged]

        def fitted(x, on, labels):
            return LinearRegression().fit(x[on], labels).predict

        for weak in WEAK:
            part = frame[(frame["split"] == name) & (frame["supervisor"] == weak)]
            assert part["row"].tolist() == judged.tolist()
            supervisor = fitted(world.features[weak], taught, world.y[taught])
            w, labels = supervisor(world.features[weak][judged]), supervisor(world.features[weak][own])
            s = fitted(strong, own, labels)(strong[judged])
            control = world.untrained["strong"][(2 + split) % 2]
            u = fitted(control, own, labels)(control[judged])
            expected = {
                "weak_error": (w - truth) ** 2,
                "strong_error": (s - truth) ** 2,
                "misfit": (w - s) ** 2,
                "cross_term": (w - truth) ** 2 - (s - truth) ** 2 - (w - s) ** 2,
                "ceiling_error": (fitted(strong, own, world.y[own])(strong[judged]) - truth) ** 2,
                "direct_error": (fitted(strong, taught, world.y[taught])(strong[judged]) - truth) ** 2,
                "class_error": (fitted(strong, own, world.y[own])(strong[judged]) - truth) ** 2,
                "mean_error": (world.y[taught].mean() - truth) ** 2,
                "untrained_error": (u - truth) ** 2,
            }
            assert set(expected) == set(ERRORS)
            for column, values in expected.items():
                np.testing.assert_allclose(part[column], values, atol=1e-9, err_msg=column)
            said = fitted(strong, own, labels)(strong[own])
            np.testing.assert_allclose(part["fitting_misfit"], ((said - labels) ** 2).mean())


@pytest.mark.parametrize("heads", ["linear", "l2"])
def test_swapped_the_strong_model_supervises_every_weak_one(heads: str) -> None:
    world = inputs()
    frame = losses_of(config(swap_roles=True, heads=(heads,)), world, 0)
    assert set(frame["supervisor"]) == {"strong"}
    assert list(frame["student"].unique()) == list(WEAK)
    straight = losses_of(config(heads=(heads,)), world, 0)
    # The strong model's head on the supervisor's labels is the direct baseline of the straight run.
    direct = straight[straight["supervisor"] == "a"]["direct_error"].to_numpy()
    np.testing.assert_allclose(frame[frame["student"] == "b"]["weak_error"], direct, rtol=1e-6)


def test_a_ball_s_radius_is_chosen_with_twins_in_one_fold() -> None:
    """Copies of a row in other folds would make any radius look good."""
    world = inputs(120, noise=3.0, twins=0)
    copied = MoleculeInputs(
        np.tile(world.y, 4), np.tile(world.roles, (4, 1)), world.splits, np.tile(world.clusters, 4),
        {k: np.tile(v, (4, 1)) for k, v in world.features.items()}, {}, np.tile(world.smiles, 4),
    )  # fmt: skip
    settings = config(heads=("l2",), true_labels=100)
    frame, rows = losses_of(settings, copied, 0), division(settings, copied, 0, 0)
    x, y, taught = copied.features["strong"], copied.y, rows.supervised

    def direct(groups: np.ndarray | None) -> np.ndarray:
        model = HeadProjection("l2", n_folds=5).fit(x[taught], y[taught], groups=groups)
        return (model.predict(x[rows.judged]) - y[rows.judged]) ** 2

    found = frame[(frame["split"] == "122") & (frame["supervisor"] == "a")]["direct_error"]
    np.testing.assert_allclose(found, direct(copied.clusters[taught]))
    assert not np.allclose(found, direct(None), rtol=1e-3)
    assert frame["untrained_error"].isna().all()


def test_the_class_error_is_of_the_student_s_own_ball() -> None:
    world, settings = inputs(), config(heads=("l2",))
    frame, rows = losses_of(settings, world, 1), division(settings, world, 1, 0)
    taught, own, judged = rows.supervised, rows.student, rows.judged
    groups = world.clusters

    def fit(name, on, labels, heads="l2"):
        return HeadProjection(heads).fit(world.features[name][on], labels, groups=groups[on])

    for weak in WEAK:
        labels = fit(weak, taught, world.y[taught]).predict(world.features[weak][own])
        student = fit("strong", own, labels)
        best = fit("strong", own, world.y[own], student.heads_).predict(world.features["strong"][judged])
        found = frame[(frame["split"] == "122") & (frame["supervisor"] == weak)]["class_error"]
        np.testing.assert_allclose(found, (best - world.y[judged]) ** 2, rtol=1e-6)
    assert not np.allclose(frame["class_error"], frame["ceiling_error"], rtol=1e-3)


def losses_of(settings: MoleculeSettings, world: MoleculeInputs, seed: int) -> pd.DataFrame:
    return Predictions(run_division(settings, world, seed)).losses()


def frame_of(settings: MoleculeSettings, world: MoleculeInputs) -> pd.DataFrame:
    frames = [run_division(settings, world, seed) for seed in settings.all_seeds()]
    return pd.concat(frames, ignore_index=True)


def record_of(settings: MoleculeSettings, frame: pd.DataFrame, expects: str = "misfit") -> Record:
    experiment = replace(catalogue()["fig2d"], settings=settings, expects=expects)
    results = experiment.results(frame)
    return Record("fig2d", "a title", settings.model_dump(), results, {"changed": {}}, ("whose (more)",))


def read_back(record: Record, folder: Path) -> Record:
    record.write(folder)
    write_list(folder)
    return Record.read(folder)


def test_gain_is_misfit_where_theory_says_so_and_not_where_the_student_is_weaker() -> None:
    """Truth in the student's class and many rows; and the control, roles swapped."""
    world = inputs(6000, noise=0.0)
    frame = frame_of(config(), world)
    found = summarize_molecules(config(), frame)
    for at in found.values():
        over = at["valid+test"]["line"]["gain_over_misfit"]
        assert over.low <= over.value <= over.high
        assert over.value == pytest.approx(1, abs=0.1)
    # A radius chosen on weak labels shuts the truth out of the ball: all linear heads have a promise, alone.
    promises = {heads: at["test"]["law_3"]["points_with_a_promise"] for heads, at in found.items()}
    assert promises["linear"] == 3 * 3 * 2 > promises["l2"]
    swapped = config(swap_roles=True)
    frame = frame_of(swapped, world)
    assert agreement(record_of(swapped, frame)) == "not claimed"
    enough = config(seeds=6, heads=("linear",))
    assert agreement(record_of(enough, frame_of(enough, world))) == "yes"
    found = summarize_molecules(swapped, frame)
    over = found["linear"]["valid+test"]["line"]["gain_over_misfit"]
    assert over.value == pytest.approx(-1, abs=0.1)


def test_means_are_those_of_the_rows_and_a_resample_s_of_rows_drawn_so_often() -> None:
    settings = config(heads=("linear",))
    frame = frame_of(settings, inputs())
    rng = np.random.default_rng(0)
    weights = np.stack([np.ones(400), rng.integers(0, 4, 400).astype(float)])
    losses = Predictions(frame).losses().rename(columns={"division": "seed"})
    found = means(losses.rename(columns={"seed": "division"}), ("test",), weights, settings)
    judged = losses[losses["role"] == "test"]
    plain = judged.groupby(["split", "seed", "supervisor"])["misfit"].mean()
    drawn = judged.loc[judged.index.repeat(weights[1][judged["row"]].astype(int))]
    resampled = drawn.groupby(["split", "seed", "supervisor"])["misfit"].mean()
    np.testing.assert_allclose(found["misfit"][0].ravel(), plain)
    for draw, expected in enumerate((plain, resampled)):
        first = expected.xs(0, level="seed")
        np.testing.assert_allclose(found.first["misfit"][draw].ravel(), first)
    np.testing.assert_allclose(found["gain"], found["misfit"] + found["cross_term"], atol=1e-12)
    rows = by_division(frame)
    mine = rows[rows["evaluation"] == "test"].set_index(["split", "seed", "supervisor"])["misfit"]
    np.testing.assert_allclose(mine.sort_index(), plain)
    np.testing.assert_allclose(rows["gain"], rows["misfit"] + rows["cross_term"], atol=1e-12)


def test_clusters_are_drawn_whole_and_as_many_as_there_are() -> None:
    clusters, counted = np.array([5, 5, 7, 9, 9, 9, 4]), np.array([1, 0, 1, 1, 1, 1, 0], dtype=bool)
    weights = cluster_weights(clusters, counted, 500)
    assert (weights[:, 0] == weights[:, 1]).all()
    assert (weights[:, 3] == weights[:, 5]).all()
    assert (weights[:, 6] == 0).all()
    assert (weights[:, [0, 2, 3]].sum(1) == 3).all()
    assert len(np.unique(weights[:, 0])) == 4
    assert Estimate.of_draws(500.0, np.arange(1001.0)).interval() == (25.0, 975.0)


def test_intervals_cover_the_population_s_gain() -> None:
    """Fixed heads, fresh molecules: about 95 of 100 intervals hold the mean over very many."""
    rng = np.random.default_rng(3)
    hits = 0
    for _ in range(200):
        sample = rng.exponential(size=(120, 1)) - 1.0
        twice = np.repeat(sample, 2, axis=0)  # every molecule has a twin
        weights = cluster_weights(np.arange(240) // 2, np.ones(240, dtype=bool), 400)
        low, high = Estimate.of_draws(0.0, (weights @ twice)[:, 0] / weights.sum(1)).interval()
        hits += low <= 0 <= high
    assert 180 <= hits <= 198


def test_spearman_is_scipy_s_along_the_last_axis() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 4, (2, 3, 8)).astype(float), rng.normal(size=(2, 3, 8))
    found = spearman(a, b)
    for i in np.ndindex(2, 3):
        assert found[i] == pytest.approx(spearmanr(a[i], b[i]).statistic)
    assert np.isnan(spearman(np.ones(4), np.arange(4.0)))
    paper = np.array(list(PAPER_TABLE_1.values()))[:, :, 0].T
    assert spearman(paper[0], paper[1]) == pytest.approx(0.929, abs=5e-4)


def made(pairs: int = 3, divisions: int = 2, **values: list[float]) -> Means:
    """One sample and two equal resamples, one split; a value a pair, the same in all divisions."""
    given = {name: np.zeros(pairs) for name in ERRORS} | {k: np.array(v) for k, v in values.items()}
    shape = (3, 1, divisions, pairs)
    return Means.of(WEAK[:pairs], {k: np.broadcast_to(v, shape) for k, v in given.items()})


def test_slopes_over_redrawn_splits_are_inside_their_intervals() -> None:
    """Points that have row noise of their own: drawing rows again would shrink every resampled slope."""
    rng = np.random.default_rng(0)
    shape = (1, 3, 20, 8)
    size = np.linspace(1, 2, 8)
    misfit = size + rng.normal(size=shape)
    gain = size + 0.3 * rng.normal(size=shape)
    again = [v + s * rng.normal(size=(300, *shape[1:])) for v, s in ((misfit, 1.0), (gain, 0.3))]
    values = {name: np.zeros((301, *shape[1:])) for name in ERRORS}
    values["misfit"], gains = (np.concatenate(pair) for pair in zip((misfit, gain), again, strict=True))
    values["weak_error"] = gains  # the student errs by nothing
    of = Means.of(tuple("abcdefgh"), values)
    inside = {r: line(of, redrawn=r)["slope"] for r in (True, False)}
    assert inside[True].low < inside[True].value < inside[True].high
    assert inside[False].value == inside[True].value > inside[False].high


def test_regret_is_what_each_rule_s_pick_loses() -> None:
    of = made(weak_error=[3.0, 2.0, 4.0], misfit=[1.0, 0.5, 2.9], strong_error=[0.7, 0.5, 1.5])
    found = regret(of, of)
    assert {rule: round(f["regret"].value, 6) for rule, f in found.items()} == {
        "weak error − misfit": 1.0,  # picks c: 4.0 − 2.9
        "weak error": 0.0,
        "most misfit": 1.0,
        "least misfit": 0.0,
        "at random": 0.4,
    }
    assert tuple(found) == RULES
    assert found["weak error − misfit"]["over_weak_alone"].value == 1.0
    assert found["weak error − misfit"]["over_half_of_random"].value == pytest.approx(0.8)  # 1.0 − 0.4/2
    other = made(weak_error=[3.0, 2.0, 4.0], strong_error=[0.1, 0.5, 1.5])
    assert regret(of, other)["weak error"]["regret"].value == pytest.approx(
        0.4
    )  # scored on one, judged on another
    tied = made(weak_error=[2.0, 2.0 + 1e-12, 4.0], strong_error=[0.1, 0.5, 1.5])
    assert regret(tied, tied)["weak error"]["regret"].value == pytest.approx(0.2)  # the mean of both picks


def alike() -> MoleculeInputs:
    """Weak models between which chance decides: picks differ by rows and divisions."""
    world, rng = inputs(noise=2.0), np.random.default_rng(5)
    noisy = {name: world.features["strong"][:, :4] + rng.normal(size=(400, 4)) for name in WEAK}
    return replace(world, features={**world.features, **noisy})


def test_every_statistic_is_that_of_a_plain_computation() -> None:
    """The sample's values, from the rows by loops."""
    settings = config(heads=("linear",), seeds=4)
    frame = frame_of(settings, alike())
    found = summarize_molecules(settings, frame)["linear"]
    losses = Predictions(frame).losses().rename(columns={"division": "seed"})
    values = losses.groupby(["role", "seed", "split", "supervisor"])[list(ERRORS)].mean()
    test = by_division(frame).query("evaluation == 'test'").set_index(["seed", "split", "supervisor"])
    lost, lost_alone, crossed = [], [], []
    for seed in range(4):
        rule, weak, true = (
            np.array([v.loc[seed, :, w].mean() for w in WEAK])
            for v in (test["weak_error"] - test["misfit"], test["weak_error"], test["strong_error"])
        )
        lost.append(true[rule.argmin()] - true.min())
        lost_alone.append(true[weak.argmin()] - true.min())
        for split in ("122", "123"):
            chosen = values.loc["valid", seed, split].loc[list(WEAK)]
            judged = values.loc["test", seed, split].loc[list(WEAK)]["strong_error"].to_numpy()
            pick = (chosen["weak_error"] - chosen["misfit"]).to_numpy().argmin()
            crossed.append(judged[pick] - judged.min())
    rule_name = "weak error − misfit"
    of_rule = found["test"]["regret"][rule_name]
    assert of_rule["regret"].value == pytest.approx(np.mean(lost))
    assert of_rule["over_weak_alone"].value == pytest.approx(np.mean(lost) - np.mean(lost_alone))
    assert found[CROSSED]["regret"][rule_name]["regret"].value == pytest.approx(np.mean(crossed))
    assert np.mean(crossed) > np.mean(lost) > 0
    for name in ("test", "valid+test", CROSSED):
        assert all(rule["regret"].low >= 0 for rule in found[name]["regret"].values())
    over = found["test"]["line"]
    assert over["cross_over_misfit"].value == pytest.approx(test["cross_term"].mean() / test["misfit"].mean())
    assert over["gain_over_misfit"].value == pytest.approx(test["gain"].mean() / test["misfit"].mean())
    between = test.groupby("supervisor")[["misfit", "gain"]].mean()
    slope, _ = np.polyfit(between["misfit"], between["gain"], 1)
    assert over["slope_of_means"].value == pytest.approx(slope)
    slope, _ = np.polyfit(test["misfit"], test["gain"], 1)
    assert over["slope"].value == pytest.approx(slope)
    means_of = test.groupby("supervisor").mean(numeric_only=True).loc[list(WEAK)]
    correlation = spearmanr(means_of["weak_error"] - means_of["misfit"], means_of["strong_error"]).statistic
    assert found["test"]["ranking"]["all"].value == pytest.approx(correlation)
    for row in found["test"]["table"]:
        mine = means_of.loc[row["weak"]]
        for name in (*ERRORS, "gain"):
            assert row[name]["all"].value == pytest.approx(mine[name])
        assert row["gain_over_direct"]["all"].value == pytest.approx(
            mine["direct_error"] - mine["strong_error"]
        )
        over = mine["untrained_error"] - mine["strong_error"]
        assert row["gain_over_untrained"]["all"].value == pytest.approx(over)
    law = found["test"]["law_3"]
    assert law["class_error"].value == pytest.approx(test["class_error"].mean())
    assert law["points_with_a_promise"] == (test["misfit"] > 4 * test["class_error"]).sum()


def test_resamples_draw_clusters_whole_and_divisions_too() -> None:
    settings = config(heads=("linear",), seeds=4)
    frame = frame_of(settings, inputs())
    weights = resample_weights(settings, frame)
    judged = np.unique(frame["row"])
    assert (weights[0, judged] == 1).all()
    cluster = frame.drop_duplicates("row").set_index("row")["cluster"]
    twins = [rows.index.to_numpy() for _, rows in cluster.groupby(cluster) if len(rows) > 1]
    assert len(twins) >= 5
    for first, second in twins:
        assert (weights[:, first] == weights[:, second]).all()
    lone = [rows.index[0] for _, rows in cluster.groupby(cluster) if len(rows) == 1]
    assert (weights[1:, lone[0]] != weights[1:, lone[1]]).any()
    # Where molecules all agree, an interval is of the divisions alone: about 1.96 standard errors.
    steps = np.random.default_rng(0).normal(size=(1, 1, 40, 1))
    of = Means.of(("a",), {name: np.broadcast_to(steps, (4001, 2, 40, 1)) for name in ERRORS})
    found = table(of)[0]["misfit"]["all"]
    assert found.value == pytest.approx(steps.mean())
    assert found.high - found.low == pytest.approx(2 * 1.96 * steps.std() / np.sqrt(40), rel=0.1)


def test_law_3_promises_a_gain_where_the_ceiling_error_is_below_a_quarter_of_the_misfit() -> None:
    of = made(
        misfit=[1.0, 1.0, 4.0],
        class_error=[0.2, 0.3, 1.1],
        weak_error=[1.0, 0, 9],
        strong_error=[0.5, 9, 0],
    )
    found = law_3(of)
    assert found["points"] == 6
    assert found["points_with_a_promise"] == 2
    assert found["points_below"] == 2
    assert found["points_with_a_broken_promise"] == 0
    of_broken = made(
        misfit=[1.0, 1.0, 4.0],
        class_error=[0.2, 0.3, 0.5],
        weak_error=[0.0, 0.0, 9.0],
        strong_error=[1, 9, 0],
    )
    broken = law_3(of_broken)
    assert (broken["points_with_a_promise"], broken["points_below"]) == (4, 4)
    assert broken["points_with_a_broken_promise"] == 2
    assert found["class_over_quarter_misfit"]["least"].value == pytest.approx(0.8)
    assert found["promise"]["most"].value == pytest.approx(1 - 2 * np.sqrt(0.2))


def test_the_table_is_sorted_as_the_paper_s_and_spreads_are_over_splits_and_divisions() -> None:
    rng = np.random.default_rng(1)
    values = {name: rng.uniform(1, 2, (4, 3, 5, 3)) for name in ERRORS}
    of = Means.of(WEAK, values)
    values["gain"] = values["weak_error"] - values["strong_error"]
    rows = table(of)
    shown = [row["weak_error_minus_misfit"]["all"].value for row in rows]
    assert shown == sorted(shown)
    for row in rows:
        mine = values["strong_error"][0, ..., WEAK.index(row["weak"])]
        cell = row["strong_error"]
        assert list(cell["first"].values()) == pytest.approx([mine[:, 0].mean(), mine[:, 0].std(ddof=1)])
        assert cell["all"].value == pytest.approx(mine.mean())
        assert cell["std_over_splits"] == pytest.approx(mine.mean(1).std(ddof=1))
        assert cell["std_over_divisions"] == pytest.approx(mine.mean(0).std(ddof=1))
    found = ranking(of)["first"].value
    rule = (values["weak_error"] - values["misfit"])[0, :, 0].mean(0)
    assert found == pytest.approx(spearmanr(rule, values["strong_error"][0, :, 0].mean(0)).statistic)
    r2 = line(of)["r2_misfit"].value
    fits = []
    for place in range(5):
        gain, misfit = (values[k][0, :, place].ravel() for k in ("gain", "misfit"))
        fits.append(1 - ((gain - misfit) ** 2).sum() / ((gain - gain.mean()) ** 2).sum())
    assert r2 == pytest.approx(np.median(fits))


def test_the_paper_s_table_has_the_best_of_each_column_in_bold(tmp_path: Path) -> None:
    settings = config()
    record = record_of(settings, frame_of(settings, alike()), "ranking")
    lines = paper_table(record.result(heads="l2").estimates, {"a": ((9.0, 0.1), (8.0, 0.2))})
    assert [c.strip() for c in lines[0].split("|")][2:8] == [
        "weak error − misfit", "weak error − misfit, paper", "true error of the student",
        "true error of the student, paper", "weak error − misfit, test rows",
        "true error of the student, test rows",
    ]  # fmt: skip
    body = [[c.strip() for c in row.split("|")[1:-1]] for row in lines[2:]]
    for column in range(1, 7):
        cells = [row[column] for row in body if row[column] != "–"]
        numbers = [float(c.strip("*").split(" ±")[0]) for c in cells]
        assert [c.startswith("**") for c in cells] == [n == min(numbers) for n in numbers]
    rules = [float(row[1].strip("*").split(" ±")[0]) for row in body]
    assert rules == sorted(rules)
    back = read_back(record, tmp_path)
    page = molecule_page(back, ranking=True)
    for heads, row in zip(("linear", "l2"), [p for p in page if p.startswith("| most misfit")], strict=True):
        at = back.result(heads=heads).estimates
        expected = [at[name]["regret"]["most misfit"] for name in ("valid+test", CROSSED)]
        shown = [f[part].value for f in expected for part in ("regret", "over_weak_alone")]
        cells = [float(c.split()[0]) for c in row.split("|")[2:-1]]
        assert cells == pytest.approx(shown, abs=5e-5)
    assert any("Spearman" in p for p in page)


def test_the_table_of_errors_has_every_baseline_in_its_column(tmp_path: Path) -> None:
    settings = config(heads=("l2",))
    record = read_back(record_of(settings, frame_of(settings, inputs())), tmp_path)
    page = molecule_page(record, ranking=False)
    head = next(p for p in page if p.startswith("| weak model"))
    headings = [c.strip() for c in head.split("|")[1:-1]]
    names = dict(
        zip(headings[1:11],
            ("weak_error", "strong_error", "misfit", "gain", "cross_term", "ceiling_error", "direct_error",
             "mean_error", "untrained_error", "gain_over_direct"), strict=True)
    )  # fmt: skip
    said = "supervisor, student, misfit, gain, cross term, ceiling, direct, mean, untrained student"
    assert list(names) == [*said.split(", "), "gain over direct"]
    for row in record.results[0].estimates["valid+test"]["table"]:
        [line] = [p for p in page if p.startswith(f"| {row['weak']} |")]
        cells = [float(c.split()[0]) for c in line.split("|")[2:12]]
        assert cells == pytest.approx([row[n]["all"].value for n in names.values()], abs=6e-3)
    assert any("Law 3" in p for p in page)


@pytest.mark.parametrize("swap", [False, True])
def test_one_weak_model_and_one_division_make_a_page(swap: bool, tmp_path: Path) -> None:
    settings = config(weak=("a",), seeds=1, swap_roles=swap)
    frame = frame_of(settings, inputs())
    for expects in ("misfit", "ranking"):
        record = record_of(settings, frame, expects)
        assert np.isnan(record.result(heads="l2").estimates["test"]["ranking"]["all"].value)
        if expects == "ranking":
            assert findings(record).count("a alone: nothing to choose") == 2
            assert agreement(record) == ("not claimed" if swap else "no choice")
        assert "nan" not in findings(record)
        lines = molecule_page(read_back(record, tmp_path), ranking=expects == "ranking")
        assert not any("nan" in line or "None" in line for line in lines)
    ranking_figure(record.results, "one")


def exactly(value: float, high: float | None = None) -> Estimate:
    return Estimate(value, value, value if high is None else high, "made up")


def line_of(slope: float, fit: float, best: float | None = None) -> dict[str, object]:
    over = {"slope": exactly(slope), "gain_over_misfit": exactly(slope), "r2_misfit": exactly(fit, best)}
    return {"valid+test": {"line": over}}


def ranking_of(
    true: list[float],
    rule: float,
    chance: float,
    high: float = 0.4,
    *,
    over: float = 0.1,
    picked_best: float = 1.0,
) -> dict[str, object]:
    rows = [{"weak": w, "strong_error": {"all": exactly(t)}} for w, t in zip(WEAK, true, strict=True)]
    lost = {
        "weak error − misfit": {
            "regret": exactly(rule, high),
            "over_weak_alone": exactly(over),
            "over_half_of_random": exactly(rule - chance / 2, high - chance / 2),
        },
        "at random": {"regret": exactly(chance)},
    }
    order = {"all": exactly(0.5), "picked_best": picked_best}
    return {"valid+test": {"table": rows, "ranking": order, "regret": lost}}


@pytest.mark.parametrize(
    ("expects", "found", "agrees"),
    [
        ("misfit", {"linear": line_of(1.0, 0.95), "l2": line_of(0.95, 0.9)}, "yes"),
        ("misfit", {"linear": line_of(0.7, 0.6), "l2": line_of(0.6, 0.5)}, "partly"),
        ("misfit", {"linear": line_of(-1.0, 0.95), "l2": line_of(0.95, 0.9)},
         "no (linear heads), yes (l2 heads)"),
        ("ranking", {"l2": ranking_of([1.0, 2.0, 3.0], 0.3, 1.0)}, "yes"),
        ("misfit", {"l2": line_of(1.0, 0.6, 0.95)}, "undecided (partly or yes)"),
        ("misfit", {"l2": line_of(1.0, 0.6, np.nan)}, TOO_FEW),
        ("ranking", {"l2": ranking_of([1.0, 2.0, 3.0], 0.3, 1.0, 0.6)}, "undecided (no or partly)"),
        ("ranking", {"l2": ranking_of([1.0, 2.0, 3.0], 0.3, 1.0, picked_best=0.97)},
         "undecided (partly or yes)"),
        ("ranking", {"l2": ranking_of([2.0, 1.0, 3.0], 0.3, 1.0, picked_best=0.02)}, "partly"),
        ("ranking", {"l2": ranking_of([2.0, 1.0, 3.0], 0.6, 1.0, 0.7)}, "no"),
    ],
)  # fmt: skip
def test_verdicts_follow_their_rules(expects: str, found: dict[str, object], agrees: str) -> None:
    verdicts = {heads: molecule_verdict(at, expects) for heads, at in found.items()}
    results = [Result({"heads": h}, {}, {"agrees": a}, (said,)) for h, (said, a) in verdicts.items()]
    record = Record("fig2d", "a title", {}, tuple(results), {"changed": {}, "caveat": "whose"}, ("whose",))
    assert agreement(record) == agrees
    assert all(f"{heads}: " in findings(record) for heads in found)


def test_whose_representation_it_is_is_said() -> None:
    ours = strong_model({"kind": "encoder", "layers": 4, "hidden": 256}, "strong")
    assert ours.startswith("not a replication: different h_s (here 4 layers of width 256")
    theirs = strong_model(
        {"kind": "converted checkpoint", "layers": 12, "hidden": 768, "checkpoint_sha256": "ab12"}, "molbert"
    )
    assert "12 layers of width 768, sha256 ab12" in theirs
    assert "not a replication" not in theirs
    assert "features of lstm.npy" in strong_model({"kind": "features"}, "lstm.npy")


def test_inputs_come_back_from_their_file(tmp_path) -> None:
    world = inputs()
    world.save(tmp_path / "deep" / "w.npz")
    back = MoleculeInputs.load(tmp_path / "deep" / "w.npz")
    assert back.splits == world.splits
    assert list(back.features) == list(world.features)
    pd.testing.assert_frame_equal(run_division(config(), back, 0), run_division(config(), world, 0))
