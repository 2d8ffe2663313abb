"""Worlds of Section 5.1 and the tasks on them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import kstest, linregress

from weakstrong.paper.catalogue import catalogue, resolve
from weakstrong.paper.experiments.synthetic import estimates_over_seeds, seed_statistics
from weakstrong.paper.networks import batches, draw_sample, initial_mlp, pretraining_jobs
from weakstrong.paper.task_settings import TaskSettings, WorldSettings
from weakstrong.paper.tasks import measure_tasks, representations_of, run_tasks
from weakstrong.paper.worlds import inputs, random_tasks, stream, truth

PERTURBED = TaskSettings(representations="perturbation", tasks=12, rows=400)


def test_the_world_is_the_paper_s() -> None:
    """h*: 5 layers, R^8 -> R^16 of width 16; x ~ N(0, 500² I); T = 10, N_r = 2000, M = 100, N_f = 2000."""
    config = TaskSettings()
    h = truth(config, 0)
    assert [w.shape for w in h.weights] == [(8, 16), *[(16, 16)] * 4]
    x = inputs(config, (5000,), stream(0, "some"))
    assert kstest((x / 500).ravel(), "norm").pvalue > 0.001
    assert (config.pretraining_tasks, config.pretraining_rows, config.tasks, config.rows) == (
        10,
        2000,
        100,
        2000,
    )
    jobs = pretraining_jobs(config, 0)
    assert (jobs["weak"].depth, jobs["strong"].depth) == (2, 8)
    sample = draw_sample(jobs["strong"])
    assert sample.inputs.shape == (10, 2000, 8)
    np.testing.assert_allclose(
        sample.labels[3], h.transform(sample.inputs[3]) @ sample.heads.coef[3, :, 0], rtol=1e-12
    )
    np.testing.assert_array_equal(sample.inputs, draw_sample(jobs["weak"]).inputs)


def test_purposes_have_random_numbers_of_their_own() -> None:
    """No pretrained network starts from weights of h*, nor from another network's: a real trap."""
    purposes = [("truth", ()), ("samples", (0,)), ("samples", (1,)), ("first weights", (8, 0))]
    assert len({tuple(stream(4, p, *i).standard_normal(8)) for p, i in purposes}) == len(purposes)
    alike = TaskSettings(truth_init="he", pretraining_init="he", weak_depth=5, strong_depth=5)
    jobs = pretraining_jobs(alike, 4)
    assert jobs["weak"].key != jobs["strong"].key
    networks = [truth(alike, 4), *(initial_mlp(job) for job in jobs.values())]
    networks.append(initial_mlp(pretraining_jobs(alike.model_copy(update={"strong_depth": 8}), 4)["strong"]))
    assert [network.depth for network in networks] == [5, 5, 5, 8]
    for layer in range(5):
        for i, a in enumerate(networks):
            for b in networks[:i]:
                assert abs(np.corrcoef(a.weights[layer].ravel(), b.weights[layer].ravel())[0, 1]) < 0.35


def test_every_figure_is_the_paper_s() -> None:
    """What sets each figure apart; everything else is as in Figure 2b."""
    apart = {
        "fig2a": {"representations": "realizable"},
        "fig2b": {},
        "fig2c": {"representations": "perturbation"},
        "fig3a": {"swap_roles": True},
        "fig3b": {"representations": "perturbation", "swap_roles": True},
        "fig3c": {"pretraining_tasks": 5, "pretraining_rows": 250},
    }
    for name, changes in apart.items():
        assert catalogue()[name].settings == TaskSettings(**changes), name
    base = TaskSettings()
    assert (base.weak_depth, base.strong_depth, base.truth_depth) == (2, 8, 5)
    assert (base.weak_sigma, base.strong_sigma, base.sigma) == (0.05, 0.01, 500)
    assert (base.width, base.input_dim, base.fit_intercept, base.heads) == (16, 8, False, "linear")


def test_tasks_have_unit_size_and_the_first_are_the_same_whatever_their_number() -> None:
    for law in ("normal", "sphere"):
        world = WorldSettings(task_law=law, task_scale=2.0)
        tasks = random_tasks(world, 3, "finetuning tasks", 300)
        labels = tasks(truth(world, 3).transform(inputs(world, (4000,), stream(3, "test")))[None])
        assert (labels**2).mean() == pytest.approx(4.0, rel=0.25)
        fewer = random_tasks(world, 3, "finetuning tasks", 7)
        np.testing.assert_array_equal(fewer.coef, tasks.coef[:7])
    lengths = np.linalg.norm(tasks.coef[..., 0], axis=1)
    np.testing.assert_allclose(lengths, lengths[0])


def test_roles_swap_and_noise_has_its_size() -> None:
    weak, strong = representations_of(PERTURBED, 1, {})
    swapped = representations_of(PERTURBED.model_copy(update={"swap_roles": True}), 1, {})
    h = truth(PERTURBED, 1)
    for a, b in ((weak, swapped[1]), (strong, swapped[0])):
        for u, v in zip(a.weights, b.weights, strict=True):
            np.testing.assert_array_equal(u, v)
    for noisy, sigma in ((weak, 0.05), (strong, 0.01)):
        step = np.concatenate([(a - b).ravel() for a, b in zip(noisy.weights, h.weights, strict=True)])
        assert step.std() == pytest.approx(sigma, rel=0.1)
    realizable = PERTURBED.model_copy(update={"representations": "realizable"})
    pretrained = {"weak": weak}
    np.testing.assert_array_equal(representations_of(realizable, 1, pretrained)[1].weights[2], h.weights[2])


def test_rows_are_the_pipeline_done_by_hand() -> None:
    """Task 5, with numpy's least squares, on the samples that its own stream gives."""
    rows = run_tasks(PERTURBED, 2, {})
    h, (hw, hs) = truth(PERTURBED, 2), representations_of(PERTURBED, 2, {})
    f = random_tasks(PERTURBED, 2, "finetuning tasks", 6).coef[5, :, 0]
    taught, labelled, fresh = inputs(PERTURBED, (3, 400), stream(2, "samples", 5))

    def least(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.linalg.lstsq(a, b, rcond=None)[0]

    fw = least(hw.transform(taught), h.transform(taught) @ f)
    fs = least(hs.transform(labelled), hw.transform(labelled) @ fw)
    best = least(hs.transform(labelled), h.transform(labelled) @ f)
    y, w, s = h.transform(fresh) @ f, hw.transform(fresh) @ fw, hs.transform(fresh) @ fs
    expected = {
        "weak_error": np.mean((w - y) ** 2),
        "strong_error": np.mean((s - y) ** 2),
        "misfit": np.mean((w - s) ** 2),
        "cross_term": 2 * np.mean((w - s) * (s - y)),
        "ceiling_error": np.mean((hs.transform(fresh) @ best - y) ** 2),
        "label_variance": y.var(),
    }
    found = rows[rows["task"] == 5].iloc[0]
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-6), name
    np.testing.assert_allclose(rows["gain"], rows["misfit"] + rows["cross_term"], rtol=1e-9)
    assert rows["excess_loss"].max() < 1e-12


def test_a_task_s_row_does_not_depend_on_how_many_there_are() -> None:
    few, many = (run_tasks(PERTURBED.model_copy(update={"tasks": m}), 3, {}) for m in (4, 9))
    pd.testing.assert_frame_equal(few, many.iloc[:4], rtol=1e-9)


def test_realizable_gain_is_misfit_up_to_the_sample() -> None:
    """Theorem 1 on fresh rows: no ceiling error; gain short of misfit by about 2η, η ≈ misfit · d / n."""
    config = PERTURBED.model_copy(update={"representations": "realizable", "tasks": 60, "rows": 2000})
    weak = truth(config, 5).perturbed(0.05, stream(5, "weak noise"))
    rows = run_tasks(config, 5, {"weak": weak})
    assert (rows["ceiling_error"] < 1e-15 * rows["weak_error"]).all()
    short = (rows["misfit"] - rows["gain"]) / rows["misfit"]
    error = short.std() / np.sqrt(60)
    assert abs(short.mean() - 2 * 16 / 2000) < 4 * error
    assert error < 0.01
    found = seed_statistics(rows)
    assert abs(found["slope"] - 1) < 0.1
    assert found["r2_misfit"] > 0.95


def test_law_3_s_slack_and_its_standard_error() -> None:
    """Against the spread of the slack over many samples of the same three functions."""
    rng = np.random.default_rng(0)
    n, repeats = 500, 400
    z = rng.normal(size=(4, repeats, n))
    y = z[0] + 0.2 * z[3]
    w, s, best = z[0] + 0.5 * z[1] + 0.3 * z[3], 0.9 * z[0] + 0.1 * z[2], z[0]
    rows = measure_tasks(0, y, w, s, best)
    by_hand = rows["gain"] - rows["misfit"] + 2 * np.sqrt(rows["ceiling_error"] * rows["misfit"])
    np.testing.assert_allclose(rows["law_3_slack"], by_hand, rtol=1e-9)
    assert rows["law_3_slack_se"].mean() == pytest.approx(rows["law_3_slack"].std(), rel=0.1)


def test_statistics_of_a_seed() -> None:
    rng = np.random.default_rng(1)
    rows = run_tasks(PERTURBED, 1, {})
    rows["misfit"] = rng.uniform(1, 2, size=len(rows))
    rows["gain"] = 0.7 * rows["misfit"] - 0.1 + 0.05 * rng.normal(size=len(rows))
    found = seed_statistics(rows)
    assert found["slope"] == pytest.approx(linregress(rows["misfit"], rows["gain"]).slope)
    total = ((rows["gain"] - rows["gain"].mean()) ** 2).sum()
    assert found["r2_misfit"] == pytest.approx(1 - ((rows["gain"] - rows["misfit"]) ** 2).sum() / total)
    assert found["r2_minus_misfit"] == pytest.approx(1 - ((rows["gain"] + rows["misfit"]) ** 2).sum() / total)
    assert found["mean_gain"] == pytest.approx(rows["gain"].mean())
    exact = rows.assign(exact_misfit=rows["misfit"], exact_gain=rows["gain"] - 0.2 * rows["misfit"])
    assert seed_statistics(exact)["slope_change"] == pytest.approx(0.2)


def test_statistics_over_seeds_count_reversals_and_law_3() -> None:
    def seed(number: int, slope: float, shift: float) -> pd.DataFrame:
        rows = run_tasks(PERTURBED, 0, {}).assign(seed=number)
        return rows.assign(gain=slope * rows["misfit"] + shift, law_3_slack=slope, law_3_slack_se=0.4)

    frame = pd.concat([seed(0, -1, 0.0), seed(1, -0.5, 100.0), seed(2, 1, -100.0), seed(3, 0.9, 0.0)])
    estimates, facts = estimates_over_seeds(frame)
    assert facts["seeds_reversed"] == 1
    assert (estimates["reversed"].value, estimates["reversed"].rows) == (0.25, 4)
    assert facts["law_3"] == {"tasks": 48, "below": 24, "clearly_below": 12}
    assert estimates["slope"].value == pytest.approx(0.2)
    assert facts["range_over_seeds"]["slope"] == pytest.approx({"min": -1.0, "max": 1.0})


def test_batches_put_equal_shapes_together_and_long_ones_first() -> None:
    jobs = [job for seed in range(12) for job in pretraining_jobs(TaskSettings(), seed).values()]
    lots = batches(jobs)
    assert sorted(job.key for lot in lots for job in lot) == sorted(job.key for job in jobs)
    assert max(len(lot) for lot in lots) <= 6
    assert all(len({job.batch_key for job in lot}) == 1 for lot in lots)
    assert [lot[0].depth for lot in lots] == sorted((lot[0].depth for lot in lots), reverse=True)


def test_experiments_that_need_the_same_network_share_it() -> None:
    base = TaskSettings()
    swapped, realizable = (
        base.model_copy(update=u) for u in ({"swap_roles": True}, {"representations": "realizable"})
    )
    more = base.model_copy(update={"seeds": 20, "tasks": 7, "rows": 50})
    keys = {role: job.key for role, job in pretraining_jobs(base, 3).items()}
    assert {role: job.key for role, job in pretraining_jobs(swapped, 3).items()} == keys
    assert {role: job.key for role, job in pretraining_jobs(more, 3).items()} == keys
    assert {role: job.key for role, job in pretraining_jobs(realizable, 3).items()} == {"weak": keys["weak"]}
    for change in ({"pretraining_rows": 250}, {"weight_decay": 0.1}, {"truth_init": "he"}, {"sigma": 1.0}):
        changed = pretraining_jobs(base.model_copy(update=change), 3)
        assert not {job.key for job in changed.values()} & set(keys.values())


def test_tasks_of_another_class_can_have_the_networks_of_linear_ones() -> None:
    linear, relu = TaskSettings(), TaskSettings(heads="relu", solver="gradient", pretraining_heads="linear")
    jobs, others = pretraining_jobs(linear, 2), pretraining_jobs(relu, 2)
    assert {role: job.key for role, job in jobs.items()} == {role: job.key for role, job in others.items()}
    own = pretraining_jobs(relu.model_copy(update={"pretraining_heads": "same"}), 2)
    assert {job.key for job in own.values()}.isdisjoint({job.key for job in jobs.values()})


def test_an_optimizer_has_a_rate_of_its_own_unless_one_is_given() -> None:
    assert [TaskSettings(pretraining_optimizer=o).pretraining_rate for o in ("muon", "adam", "sgd")] == [
        0.02,
        0.001,
        0.05,
    ]
    assert TaskSettings(pretraining_optimizer="adam", pretraining_rate=0.5).pretraining_rate == 0.5
    [changed] = resolve(("fig2b",), {}, ("pretraining_optimizer=adam",))
    assert changed.settings.pretraining_rate == 0.001
    [given] = resolve(("fig2b",), {}, ("pretraining_optimizer=adam", "pretraining_rate=0.5"))
    assert given.settings.pretraining_rate == 0.5


def test_what_the_optimizer_missed_is_known_for_the_first_ten_tasks_of_other_heads() -> None:
    settings = {"heads": "tanh", "solver": "gradient", "descent_steps": 30, "rows": 100}
    rows = run_tasks(PERTURBED.model_copy(update=settings), 0, {})
    assert (rows["excess_loss"][:10] >= 0).all()
    assert rows["excess_loss"][:10].max() > 0
    assert rows["excess_loss"][10:].isna().all()


def test_heads_by_gradient_descent_come_with_exact_ones_of_the_same_samples() -> None:
    rows = run_tasks(PERTURBED.model_copy(update={"solver": "gradient", "descent_steps": 200}), 0, {})
    exact = run_tasks(PERTURBED, 0, {})
    pd.testing.assert_series_equal(rows["exact_gain"], exact["gain"], check_names=False, rtol=1e-9)
    assert (rows["excess_loss"] > 0).all()
    assert rows["excess_loss"].max() < 0.3
