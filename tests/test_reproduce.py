"""``weakstrong reproduce``: records, resuming, and what is refused."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.conftest import Ran
from weakstrong import Estimate, InputError, Record
from weakstrong.paper import reproduction as module
from weakstrong.paper.catalogue import catalogue, resolve
from weakstrong.paper.experiments import figure1, synthetic
from weakstrong.paper.reproduction import CACHE
from weakstrong.paper.verdicts import TOO_FEW

TINY = [f"pretraining_{k}" for k in ("steps=40", "rows=60", "tasks=3")] + ["tasks=5", "rows=80"]
SETS = [part for pair in TINY for part in ("--set", pair)]
FILES = {"config.toml", "tasks.csv", "summary.json", "figure.png", "DONE"}

Command = Callable[..., Ran]


def test_every_figure_gets_its_record_and_the_folder_a_page(command: Command, tmp_path: Path) -> None:
    ran = command("reproduce", "--seeds", 2, "--out", tmp_path / "r", *SETS)
    assert ran.code == 0, ran.err
    six = [name for name, experiment in catalogue().items() if experiment.default]
    assert six == ["fig2a", "fig2b", "fig2c", "fig3a", "fig3b", "fig3c"]
    page = (tmp_path / "r" / "README.md").read_text()
    for name in six:
        folder = tmp_path / "r" / name
        assert {p.name for p in folder.iterdir()} == FILES
        rows = pd.read_csv(folder / "tasks.csv")
        named = [
            "seed",
            "task",
            "weak_error",
            "strong_error",
            "misfit",
            "gain",
            "cross_term",
            "ceiling_error",
        ]
        assert set(named) <= set(rows)
        assert [tuple(p) for p in rows[["seed", "task"]].to_numpy()] == [
            (s, t) for s in range(2) for t in range(5)
        ]
        assert f"{name}/figure.png" in page
        assert f"| {name} | {catalogue()[name].claim} | " in page
        settings = tomllib.loads((folder / "config.toml").read_text())
        assert settings["pretraining_steps"] == 40
        assert set(catalogue()[name].settings.model_dump()) | {"target"} == set(settings)
        agrees = Record.read(folder).results[0].facts["agrees"]
        assert agrees == ("undecided (no or yes)" if name == "fig3c" else TOO_FEW)  # of two seeds
    # Roles swapped: the same two representations, and nothing is computed twice for them.
    loss = [
        pd.read_csv(tmp_path / "r" / n / "tasks.csv")["strong_pretraining_loss"] for n in ("fig2b", "fig3a")
    ]
    pd.testing.assert_series_equal(*loss)
    assert "pretraining 4 networks" in ran.err
    assert "targets and seeds: 10/10" in ran.err  # with these settings fig2b and fig3c are one


def test_a_seed_more_changes_no_other_and_a_finished_target_is_left_alone(
    command: Command, tmp_path: Path
) -> None:
    out = tmp_path / "r"

    def rows(*arguments: object) -> tuple[pd.DataFrame, Ran]:
        ran = command("reproduce", "fig2b", "--out", out, *SETS, *arguments)
        assert ran.code == 0, ran.err
        return pd.read_csv(out / "fig2b" / "tasks.csv"), ran

    two, _ = rows("--seeds", 2)
    stamp = (out / "fig2b" / "DONE").stat().st_mtime_ns
    _, ran = rows("--seeds", 2)
    assert (out / "fig2b" / "DONE").stat().st_mtime_ns == stamp
    assert "there already" in ran.out
    three, ran = rows("--seeds", 3)
    assert "pretraining 2 networks" in ran.err
    assert "targets and seeds: 1/1" in ran.err
    pd.testing.assert_frame_equal(three[three["seed"] < 2].reset_index(drop=True), two, check_exact=True)
    for scrap in (out / CACHE).rglob("*.*"):
        if scrap.is_file():
            scrap.unlink()
    alone, _ = rows("--seeds", 1, "--seed", 2, "--workers", 1)
    pd.testing.assert_frame_equal(alone, three[three["seed"] == 2].reset_index(drop=True), check_exact=True)


def test_killed_and_started_again_it_ends_in_the_same_files(tmp_path: Path) -> None:
    """kill -9 after the first network of two lots; the workers end with it."""
    slow = [s.replace("steps=40", "steps=900") for s in SETS]
    base = [sys.executable, "-m", "weakstrong", "reproduce", "fig2b", "--seeds", "2", *slow, "--workers", "1"]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    subprocess.run([*base, "--out", whole], check=True, capture_output=True)
    process = subprocess.Popen([*base, "--out", killed], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not list(killed.rglob("8-layers*.npz")) and time.monotonic() < deadline:
        time.sleep(0.01)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    workers = [int(pid) for pid in children.read_text().split()] if children.exists() else []
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (killed / "fig2b").exists()
    [kept] = killed.rglob("8-layers-seed-0*.npz")
    stamp = kept.stat().st_mtime_ns
    subprocess.run([*base, "--out", killed], check=True, capture_output=True)
    assert kept.stat().st_mtime_ns == stamp
    for name in FILES:
        assert (killed / "fig2b" / name).read_bytes() == (whole / "fig2b" / name).read_bytes(), name
    assert (killed / "README.md").read_bytes() == (whole / "README.md").read_bytes()
    while any(Path(f"/proc/{pid}").exists() for pid in workers) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers)


def test_theorem_2_figure_1_and_other_heads(command: Command, tmp_path: Path) -> None:
    out = tmp_path / "r"
    ran = command("reproduce", "theorem2", "--seeds", 1, "--out", out, "--set", "draws=100",
                  "--set", "n_grid=[40, 80, 160]", "--set", "complexity=4")  # fmt: skip
    assert ran.code == 0, ran.err
    ran = command("reproduce", "figure1", "--out", out, "--set", "rows=100")
    assert ran.code == 0, ran.err
    descent = ["--solver", "gradient", "--seeds", 1, *SETS, "--set", "descent_steps=60"]
    ran = command("reproduce", "nonconvex-relu", "fig2c", "--out", out, *descent)
    assert ran.code == 0, ran.err
    records = {n: Record.read(out / n) for n in ("theorem2", "figure1", "nonconvex-relu", "fig2c")}
    assert "reconstruction" in records["nonconvex-relu"].title
    found = {name: record.results[0] for name, record in records.items()}
    assert found["theorem2"].facts["law_4"]["below"] == 0
    assert found["figure1"].facts["agrees"] == "yes"
    assert found["nonconvex-relu"].estimates["mean_excess_loss"].value >= 0
    for name in ("slope_change", "mean_excess_loss"):
        assert found["fig2c"].estimates[name].value != 0
    page = (out / "README.md").read_text()
    assert all(f"{name}/figure.png" in page for name in found)
    assert "with complexity = 4, draws = 100" in page
    assert "Law 3" in page.partition("nonconvex-relu/")[0]
    assert "Law 3" not in page.partition("## Heads that are not")[2].partition("## Theorem 2")[0]
    again = command("reproduce", "--config", out / "theorem2" / "config.toml", "--out", out)
    assert "there already" in again.out
    ran = command("reproduce", "fig2b", "--config", out / "theorem2" / "config.toml", "--out", out)
    assert ran.code == 2
    assert "holds the settings of theorem2" in ran.err


def test_a_record_that_is_damaged_is_made_again(command: Command, tmp_path: Path) -> None:
    out = tmp_path / "r"
    run = ["reproduce", "fig2c", "--seeds", 1, "--out", out, *SETS]
    assert command(*run).code == 0
    kept = {name: (out / "fig2c" / name).read_bytes() for name in FILES}
    for name, content in (("figure.png", None), ("summary.json", b"[]"), ("summary.json", b"{")):
        file = out / "fig2c" / name
        file.unlink() if content is None else file.write_bytes(content)
        ran = command(*run)
        assert ran.code == 0, ran.err
        assert "there already" not in ran.out
        assert {n: (out / "fig2c" / n).read_bytes() for n in FILES} == kept
    assert [p.name for p in out.iterdir() if p.name.startswith(".fig2c")] == []


def test_changed_code_computes_again_and_drops_only_its_own_old_results(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "r"
    run = ["reproduce", "fig2c", "--seeds", 1, "--out", out, *SETS]
    assert command(*run).code == 0
    [old] = (out / CACHE).glob("WeakToStrong-*")
    (out / CACHE / "mine").mkdir()
    monkeypatch.setattr(module, "code_hash", lambda *modules: "another")
    ran = command(*run)
    assert ran.code == 0
    assert "targets and seeds: 1/1" in ran.err
    assert not old.exists()
    assert (out / CACHE / "mine").exists()


def test_another_s_page_and_another_run_are_left_alone(command: Command, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("# My project")
    ran = command("reproduce", "fig2c", "--seeds", 1, "--out", tmp_path, *SETS)
    assert ran.code == 2
    assert "README.md: is not a page of this command" in ran.err
    assert (tmp_path / "README.md").read_text() == "# My project"
    out = tmp_path / "r"
    with module._lock_cache(out / CACHE):
        ran = command("reproduce", "fig2c", "--seeds", 1, "--out", out, *SETS)
    assert ran.code == 2
    assert "another run is writing it" in ran.err
    assert len(ran.err.strip().splitlines()) == 1


def test_notes_beside_a_record_stay_and_are_no_reason_to_refuse_the_rest(
    command: Command, tmp_path: Path
) -> None:
    out = tmp_path / "r"
    assert command("reproduce", "fig2c", "--seeds", 1, "--out", out, *SETS).code == 0
    (out / "fig2c" / ".git").mkdir()
    (out / "fig2c" / ".git" / "HEAD").write_text("years of work")
    assert "there already" in command("reproduce", "fig2c", "--seeds", 1, "--out", out, *SETS).out
    ran = command("reproduce", "fig2c", "--seeds", 2, "--out", out, *SETS)
    assert ran.code == 2
    assert "fig2c: .git/HEAD is not of the run that is to be replaced" in ran.err
    assert (out / "fig2c" / ".git" / "HEAD").read_text() == "years of work"


@pytest.mark.parametrize("name", ["tasks.csv", "config.toml", "summary.json", "figure.png"])
def test_a_record_that_was_damaged_is_made_again(command: Command, tmp_path: Path, name: str) -> None:
    out = tmp_path / "r"
    assert command("reproduce", "fig2c", "--seeds", 1, "--out", out, *SETS).code == 0
    file = out / "fig2c" / name
    sound = file.read_bytes()
    file.write_bytes(sound[:-3])
    ran = command("reproduce", "fig2c", "--seeds", 1, "--out", out, *SETS)
    assert (ran.code, "there already" in ran.out) == (0, False)
    assert file.read_bytes() == sound


@pytest.mark.parametrize("damage", [lambda c: c[:-9], lambda c: b"", lambda c: c[:50] + b"x" + c[51:]])
def test_kept_rows_and_networks_that_were_damaged_are_computed_again(
    command: Command, tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    out = tmp_path / "r"
    given = ("reproduce", "fig2b", "--seeds", 1, "--out", out, *SETS)
    assert command(*given).code == 0
    table = (out / "fig2b" / "tasks.csv").read_bytes()
    shutil.rmtree(out / "fig2b")
    kept = sorted(p for p in (out / CACHE).rglob("*") if p.is_file())
    assert len(kept) == 3  # two networks and the rows of a seed
    for file in kept:
        file.write_bytes(damage(file.read_bytes()))
    ran = command(*given)
    assert ran.code == 0, ran.err
    assert "pretraining 2 networks" in ran.err
    assert (out / "fig2b" / "tasks.csv").read_bytes() == table


def test_numbers_that_overflow_are_one_line(command: Command, tmp_path: Path) -> None:
    huge = ["--set", "weak_sigma=1000", "--set", "truth_depth=120"]
    ran = command("reproduce", "fig2c", "--seeds", 1, "--out", tmp_path / "r", *SETS, *huge)
    assert ran.code == 2
    assert "weakstrong: fig2c, seed 0: features must be finite, and their sums too" in ran.err
    assert "Traceback" not in ran.err
    assert not (tmp_path / "r" / "fig2c").exists()


BAD = [
    (["fig2d2"], "fig2d2 is no target (did you mean fig2"),
    (["fig2a", "--set", "tasks"], "setting tasks: expected key=value"),
    (["fig2a", "--set", "taskz=3"], "taskz is no setting (did you mean tasks?)"),
    (["fig2a", "--set", "tasks=many"], "tasks (got 'many')"),
    (["fig2a", "--set", "tasks=2.5"], "tasks (got 2.5)"),
    (["theorem2", "--set", "tasks=3"], "theorem2: tasks is no setting"),
    (["theorem2", "--set", "n_grid=[]"], "n_grid must hold different numbers"),
    (["theorem2", "--set", "n_grid=[40, 40]"], "n_grid must hold different numbers"),
    (["theorem2", "--set", "delta_grid=[0.001]"], "delta_grid must hold different numbers from 0.005"),
    (["theorem2", "--set", "epsilon_grid=[0.1]"], "epsilon_grid must hold 0 and a positive number"),
    (["theorem2", "--set", "misfit=inf"], "misfit (got inf)"),
    (["figure1", "--set", "ball_rows=20"], "ball_rows must be at most the width"),
    (["figure1", "--set", "heads=tanh"], "heads (got 'tanh')"),
    (["fig2a", "--set", "tasks=5", "--set", "tasks=6"], "setting tasks: given twice"),
    (
        ["fig2a", "--set", "fit_intercept=true", "--solver", "gradient"],
        "fit_intercept is for exact linear heads",
    ),
    (["fig2a", "--set", "width=1"], "width (got 1)"),
    (["fig2a", "--seed", "99999999999999999999999"], "seed"),
    (["fig2a", "theorem2", "--solver", "gradient"], "theorem2: solver is no setting"),
    (["nonconvex-tanh", "--solver", "exact"], "no exact solver"),
    (["nonconvex-tanh", "--set", "fit_intercept=true"], "fit_intercept is for exact linear heads"),
    (["fig2a", "--seeds", "0"], "seeds (got 0)"),
    (["fig2a", "--seeds", "2.5"], "2.5"),
    (["fig2a", "--workers", "0"], "workers must be at least 1; got 0"),
    (["fig2a", "--solver", "magic"], "magic"),
    (["fig2a", "--config", "nowhere.toml"], "nowhere.toml: cannot be read"),
]


@pytest.mark.parametrize(("arguments", "said"), BAD)
def test_what_is_wrong_is_said_in_one_line(
    command: Command, tmp_path: Path, arguments: list[str], said: str
) -> None:
    ran = command("reproduce", *arguments, "--out", tmp_path / "r")
    assert ran.code == 2
    assert said in ran.err
    assert len(ran.err.strip().splitlines()) == 1
    assert not (tmp_path / "r").exists()


def test_a_folder_that_is_no_record_is_not_touched(command: Command, tmp_path: Path) -> None:
    (tmp_path / "r" / "fig2a").mkdir(parents=True)
    (tmp_path / "r" / "fig2a" / "mine.txt").write_text("kept")
    ran = command("reproduce", "fig2a", "--out", tmp_path / "r", *SETS)
    assert ran.code == 2
    assert "holds no finished run" in ran.err
    assert [p.name for p in (tmp_path / "r" / "fig2a").iterdir()] == ["mine.txt"]
    (tmp_path / "file").write_text("")
    ran = command("reproduce", "fig2a", "--out", tmp_path / "file", *SETS)
    assert ran.code == 2
    assert len(ran.err.strip().splitlines()) == 1


def test_without_torch_the_extra_is_named(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "find_spec", lambda name: None if name == "torch" else find_spec(name))
    for arguments in (["fig2a"], ["fig2c", "--solver", "gradient"], ["nonconvex-relu"]):
        ran = command("reproduce", *arguments, "--out", tmp_path / "r")
        assert ran.code == 2
        assert 'pip install "weakstrong[nn]"' in ran.err
    ran = command("reproduce", "fig2c", "--seeds", 1, "--out", tmp_path / "r", *SETS)
    assert ran.code == 0, ran.err


def test_the_list_and_the_help_name_every_target(command: Command) -> None:
    listed, helped = command("reproduce", "--list"), command("reproduce", "--help")
    for name in catalogue():
        assert name in listed.out
        assert name in helped.out
    assert "nn" in listed.out
    assert "Example" in helped.out


def test_settings_come_from_the_target_then_the_file_then_the_command_line(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text('target = "fig3c"\nseeds = 7\ntasks = 30\n')
    [experiment] = resolve((), {"seeds": 9}, ("tasks=40", "truth_init=he"), file)
    config = experiment.settings
    assert experiment.name == "fig3c"
    assert (config.seeds, config.tasks, config.truth_init) == (9, 40, "he")
    assert (config.pretraining_tasks, config.pretraining_rows) == (5, 250)
    assert [e.name for e in resolve(("fig2a", "fig2a"), {})] == ["fig2a"]
    with pytest.raises(InputError, match="is no target"):
        resolve(("fig9",), {})


def test_a_preset_is_under_the_file_and_the_command_line(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text("pretraining_steps = 50\n")
    [experiment] = resolve(("fig3c",), {}, ("pretraining_init=he",), file, "paper")
    config = experiment.settings
    assert (config.pretraining_optimizer, config.pretraining_rate, config.solver) == (
        "adam",
        1e-3,
        "gradient",
    )
    assert (config.pretraining_steps, config.pretraining_init, config.pretraining_rows) == (50, "he", 250)
    with pytest.raises(InputError, match=r"theorem2 has no preset paper \(it has none\)"):
        resolve(("theorem2",), {}, preset="paper")


def test_a_run_with_a_preset_says_so_and_what_else_is_changed(command: Command, tmp_path: Path) -> None:
    tiny = ["--set", "tasks=3", "--set", "rows=40", "--seeds", 1, "--out", tmp_path]
    steps = ["--set", "pretraining_steps=20", "--set", "descent_steps=20", "--set", "pretraining_rows=30"]
    ran = command("reproduce", "fig2b", "--preset", "paper", *tiny, *steps)
    assert ran.code == 0, ran.err
    page = (tmp_path / "README.md").read_text()
    for said in ("with preset paper, ", "pretraining_rows = 30", "pretraining_steps = 20"):
        assert said in page
    assert "pretraining_optimizer = adam" not in page
    record = Record.read(tmp_path / "fig2b")
    assert record.settings["pretraining_optimizer"] == "adam"
    assert record.settings["pretraining_rate"] == 1e-3
    plain = command("reproduce", "fig2b", *tiny, *steps)
    assert plain.code == 0
    assert "preset" not in (tmp_path / "README.md").read_text()


def test_networks_that_diverge_are_one_line(command: Command, tmp_path: Path) -> None:
    changes = ("pretraining_optimizer=sgd", "pretraining_units=raw", "pretraining_steps=100", "tasks=3")
    pairs = [part for change in changes for part in ("--set", change)]
    ran = command("reproduce", "fig2a", *pairs, "--seeds", 1, "--out", tmp_path)
    assert ran.code == 2
    assert "the weights went to infinity; lower pretraining_rate" in ran.err
    assert ran.err.strip().count("error") <= 1
    assert not (tmp_path / "fig2a").exists()


def estimates(
    slope: float, fit: float, reversed_: int = 0, spread: float = 0.01, seeds: int = 8
) -> dict[str, Estimate]:
    found = {"slope": slope, "r2_misfit": fit, "r2_minus_misfit": fit, "ceiling_over_misfit": 0.1,
             "gain_over_misfit": slope}  # fmt: skip
    around = np.linspace(-spread, spread, seeds)
    return {k: Estimate.of_median(v + around) for k, v in found.items()} | {
        "reversed": Estimate.of_share(reversed_, 20)
    }


@pytest.mark.parametrize(
    ("name", "found", "agrees"),
    [
        ("fig2a", estimates(0.95, 0.97), "yes"),
        ("fig2a", estimates(0.95, 0.8), "partly"),
        ("fig2a", estimates(0.7, 0.95), "partly"),
        ("fig2a", estimates(0.3, 0.95), "no"),
        ("fig2a", estimates(-1.0, 0.95), "no"),
        ("fig3a", estimates(-1.0, 0.95), "yes"),
        ("fig3a", estimates(1.0, 0.95), "no"),
        ("fig2a", estimates(0.95, 0.89, spread=0.03), "undecided (partly or yes)"),
        ("fig2a", estimates(0.89, 0.97, spread=0.03), "undecided (partly or yes)"),
        ("fig2a", estimates(0.51, 0.97, spread=0.03), "undecided (no or partly)"),
        ("fig2a", estimates(0.9, 0.9, spread=0.5), "undecided (no or yes)"),
        ("fig2a", estimates(0.95, 0.97, seeds=5), "undecided (no interval: six seeds at least)"),
        ("fig3a", estimates(-0.92, 0.95, spread=0.03), "undecided (partly or yes)"),
        ("fig3c", estimates(-1.0, 0.9, 15), "yes"),  # 51% to 91%
        ("fig3c", estimates(-1.0, 0.9, 14), "undecided (no or yes)"),
        ("fig3c", estimates(-1.0, 0.9, 6), "undecided (no or yes)"),
        ("fig3c", estimates(-1.0, 0.9, 5), "no"),
    ],
)
def test_verdicts_follow_their_rules(name: str, found: dict[str, Estimate], agrees: str) -> None:
    facts = {"seeds_reversed": round(20 * found["reversed"].value)}
    said, answer = catalogue()[name]._verdict(found, facts)
    assert answer == agrees
    assert any(digit in said for digit in "0123456789")
    assert isinstance(catalogue()[name], synthetic.WeakToStrong)


@pytest.mark.parametrize(("ball", "agrees"), [(0.1, "yes"), (-0.1, "no")])
def test_figure_1_agrees_if_no_angle_is_acute(ball: float, agrees: str) -> None:
    rows = figure1.run_slices(catalogue()["figure1"].settings, 0)
    of_ball = rows["body"] == "ball"
    rows.loc[of_ball, "cross_term"] = ball * rows.loc[of_ball, "weak_error"]
    [result] = catalogue()["figure1"].results(rows)
    assert result.facts["agrees"] == agrees
