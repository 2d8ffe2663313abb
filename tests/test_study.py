"""``weakstrong study``: against a loop written out by hand, records, resuming and bad input."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from sklearn.linear_model import LinearRegression

from tests.conftest import World
from weakstrong import HeadProjection, InputError, Record, study
from weakstrong.predictions import Parts
from weakstrong.report.terminal import study_table
from weakstrong.studies.divisions import divisions
from weakstrong.studies.inputs import Split, StudyInputs
from weakstrong.studies.run import run
from weakstrong.studies.settings import StudyOptions

RECORDS = Path(__file__).parents[1] / "results" / "study"
COLUMNS = {
    "split",
    "division",
    "heads",
    "student",
    "supervisor",
    "weak_error",
    "strong_error",
    "misfit",
    "gain",
    "cross_term",
}
COLUMNS |= {"ceiling_error", "direct_error", "mean_error"}


@pytest.fixture
def arrays() -> dict:
    rng = np.random.default_rng(3)
    strong = rng.normal(size=(90, 4))
    noisy = strong @ rng.normal(size=4) + 0.3 * rng.normal(size=90)
    return {"weak": {"a": np.abs(strong[:, :2]), "b": strong[:, :1]}, "strong": strong, "y": noisy}


def drawn_in(values: np.ndarray, fitted: np.ndarray) -> np.ndarray:
    low, high, centre = fitted.min(0), fitted.max(0), fitted.mean(0)
    room = np.where(values > centre, high + (high - low) / 2, low - (high - low) / 2) - centre
    share = np.minimum((room / (values - centre)).min(1), 1)
    return centre + share[:, None] * (values - centre)


@pytest.mark.parametrize("clip", [True, False])
def test_linear_study_equals_the_pipeline_written_out_with_scikit_learn(arrays: dict, *, clip: bool) -> None:
    def fitted(x: np.ndarray, rows: np.ndarray, labels: np.ndarray, at: np.ndarray) -> np.ndarray:
        return LinearRegression().fit(x[rows], labels).predict(drawn_in(x[at], x[rows]) if clip else x[at])

    arrays["strong"][::7] *= 4  # so that there is something to draw in
    found = study(**arrays, heads="linear", seeds=3, seed=4, clip=clip)
    options = StudyOptions(heads=("linear",), seeds=3, seed=4)
    inputs = StudyInputs(arrays["weak"], {"strong": arrays["strong"]}, arrays["y"])
    strong, y = arrays["strong"], arrays["y"]
    for unit in divisions(inputs, options):
        sup, own, test = unit.supervised, unit.student, unit.judged
        assert len(np.unique(np.concatenate([sup, own, test]))) == len(y)
        for name, weak in arrays["weak"].items():
            labels, w, t = fitted(weak, sup, y[sup], own), fitted(weak, sup, y[sup], test), y[test]
            s, ceiling = fitted(strong, own, labels, test), fitted(strong, own, y[own], test)
            direct = fitted(strong, sup, y[sup], test)
            rows = found.tables["divisions"]
            row = rows[(rows["division"] == unit.number) & (rows["supervisor"] == name)].iloc[0]
            expected = {
                "weak_error": np.mean((w - t) ** 2),
                "strong_error": np.mean((s - t) ** 2),
                "misfit": np.mean((w - s) ** 2),
                "gain": np.mean((w - t) ** 2) - np.mean((s - t) ** 2),
                "cross_term": np.mean((w - t) ** 2) - np.mean((s - t) ** 2) - np.mean((w - s) ** 2),
                "ceiling_error": np.mean((ceiling - t) ** 2),
                "direct_error": np.mean((direct - t) ** 2),
                "mean_error": np.mean((y[sup].mean() - t) ** 2),
            }
            for key, value in expected.items():
                assert row[key] == pytest.approx(value, rel=1e-7, abs=1e-10), key


@pytest.mark.parametrize("grouped", [False, True])
def test_ball_study_equals_the_pipeline_written_out_with_regressors(arrays: dict, grouped: bool) -> None:
    """Seed, folds and groups reach every fit; radii and gaps of the record are those of the student."""
    groups = np.arange(90) // 3 if grouped else None
    found = study(**arrays, groups=groups, heads="l2", n_folds=4, seed=6, seeds=1)
    options = StudyOptions(heads=("l2",), n_folds=4, seed=6, seeds=1)
    [unit] = divisions(
        StudyInputs(arrays["weak"], {"strong": arrays["strong"]}, arrays["y"], groups=groups), options
    )
    strong, y, sup, own, test = arrays["strong"], arrays["y"], unit.supervised, unit.student, unit.judged

    def fitted(features: np.ndarray, rows: np.ndarray, labels: np.ndarray) -> HeadProjection:
        model = HeadProjection("l2", n_folds=4, random_state=6)
        return model.fit(features[rows], labels, groups=None if groups is None else groups[rows])

    labels = [fitted(weak, sup, y[sup]).predict(weak[own]) for weak in arrays["weak"].values()]
    students = fitted(strong, own, np.column_stack([y[own], *labels]))
    direct = fitted(strong, sup, y[sup])
    for name, weak in arrays["weak"].items():
        supervisor = fitted(weak, sup, y[sup])
        student = fitted(strong, own, supervisor.predict(weak[own]))
        expected = {
            "y_weak": supervisor.predict(weak[test]),
            "y_strong": student.predict(strong[test]),
            "y_ceiling": fitted(strong, own, y[own]).predict(strong[test]),
            "y_direct": direct.predict(strong[test]),
            "y_mean": np.full(len(test), y[sup].mean()),
        }
        part = found.predictions.table.query("supervisor == @name")
        np.testing.assert_array_equal(part["row"], test)
        for column, values in expected.items():
            np.testing.assert_allclose(part[column], values, rtol=1e-8, atol=1e-10)
        row = found.tables["divisions"][found.tables["divisions"]["supervisor"] == name].iloc[0]
        assert row["weak_radius"] == pytest.approx(supervisor.heads_.radius[0])
        assert row["strong_radius"] == pytest.approx(student.heads_.radius[0])
        assert row["fitting_misfit"] == pytest.approx(student.fit_error_[0])
        place = list(arrays["weak"]).index(name) + 1
        assert row["ceiling_radius"] == pytest.approx(students.heads_.radius[0])
        assert row["direct_radius"] == pytest.approx(direct.heads_.radius[0])
        gaps = students.optimality_gap_[[0, place]]
        worst = max(supervisor.optimality_gap_[0], direct.optimality_gap_[0], *gaps)
        assert row["optimality_gap"] == pytest.approx(worst, rel=1e-6, abs=0)


def test_more_repeats_do_not_change_the_first(arrays: dict) -> None:
    few, more = (study(**arrays, seeds=r).tables["divisions"] for r in (2, 4))
    pd.testing.assert_frame_equal(few, more[more["division"] < 2].reset_index(drop=True))
    assert not study(**arrays, seeds=2, seed=1).tables["divisions"]["gain"].equals(few["gain"])


def test_groups_stay_on_one_side_and_widen_intervals_when_rows_are_copies(arrays: dict) -> None:
    copies = {
        "weak": {k: np.repeat(v, 4, axis=0) for k, v in arrays["weak"].items()},
        "strong": np.repeat(arrays["strong"], 4, axis=0),
        "y": np.repeat(arrays["y"], 4),
    }
    groups = np.repeat(np.arange(90), 4)
    grouped = study(**copies, groups=groups, seeds=2)
    inputs = StudyInputs(copies["weak"], {"strong": copies["strong"]}, copies["y"], groups=groups)
    for unit in divisions(inputs, StudyOptions(seeds=2)):
        sides = [set(groups[rows]) for rows in (unit.supervised, unit.student, unit.judged)]
        assert sum(map(len, sides)) == len(set.union(*sides)) == 90
    estimate = grouped.result(supervisor="a").estimates["weak_error"]
    errors = grouped.predictions.table.query("supervisor == 'a'").eval("(y_weak - y_true) ** 2")
    naive = errors.std() / np.sqrt(len(errors))
    assert estimate.standard_error > 1.5 * naive


def test_a_student_whose_features_span_the_supervisors_gains_nothing_and_is_told_so(arrays: dict) -> None:
    found = study({"part": arrays["strong"][:, :2]}, arrays["strong"], arrays["y"], heads="linear", seeds=2)
    said = found.result(supervisor="part")
    assert said.estimates["misfit"].value < 1e-20
    assert "nothing gained or lost" in said.findings[0]


def _run(command, world: World, *more: object, seeds: int = 3):
    return command(
        "study", "--weak", world.folder / "weak.npy", "--strong", world.folder / "strong.npy",
        "--labels", world.folder / "labels.csv", "--target", "y", "--seeds", seeds, *more,
    )  # fmt: skip


def test_the_record(world: World, command) -> None:
    out = world.folder / "record"
    ran = _run(command, world, "--id", "id", "--groups", "site", "--out", out)
    assert ran.code == 0, ran.err
    names = ["DONE", "config.toml", "divisions.csv", "figure.png", "predictions.csv", "summary.json"]
    assert sorted(p.name for p in out.iterdir()) == names
    rows, predictions = pd.read_csv(out / "divisions.csv"), pd.read_csv(out / "predictions.csv")
    assert set(rows.columns) >= COLUMNS
    assert list(rows["gain"]) == pytest.approx(list(rows["misfit"] + rows["cross_term"]), abs=1e-12)
    assert (out / "figure.png").read_bytes().startswith(b"\x89PNG")
    record = Record.read(out)
    weak = predictions.eval("(y_weak - y_true) ** 2").mean()
    assert record.result(supervisor="weak").estimates["weak_error"].value == pytest.approx(weak)
    ids = world.labels.set_index("id")["y"]
    np.testing.assert_allclose(ids[predictions["id"]], predictions["y_true"])
    assert "student" in ran.out
    assert len([n for n in record.notes if "by position" not in n]) == 1  # that radii were chosen
    assert "holds a finished run" in _run(command, world, "--out", out).err
    again = command("study", "--config", out / "config.toml", "--out", world.folder / "again")
    assert again.code == 0, again.err
    assert (world.folder / "again" / "divisions.csv").read_bytes() == (out / "divisions.csv").read_bytes()


def test_splits_from_a_table(world: World, command) -> None:
    roles = pd.DataFrame({"id": world.labels["id"], "s1": "train", "s2": 0})
    roles.loc[90:, "s1"], roles.loc[:29, "s2"], roles.loc[85:89, "s1"] = "test", 1, "valid"
    roles.sample(frac=1, random_state=0).to_csv(world.folder / "splits.csv", index=False)
    out = world.folder / "record"
    ran = _run(command, world, "--id", "id", "--splits", world.folder / "splits.csv", "--out", out)
    assert ran.code == 0, ran.err
    predictions = pd.read_csv(out / "predictions.csv")
    assert set(predictions.query("split == 's1'")["row"]) == set(range(90, 120))
    assert set(predictions.query("split == 's2'")["row"]) == set(range(30))
    ran = _run(command, world, "--id", "id", "--splits", world.folder / "splits.csv", "--evaluate-on", "exam")
    assert ran.code == 2
    assert "split 's1' has no row with role 'exam'" in ran.err


def test_splits_of_0_and_1_have_no_roles(world: World, command) -> None:
    path = world.folder / "splits.csv"
    pd.DataFrame({"s": (np.arange(120) >= 90).astype(int)}).to_csv(path, index=False)
    out = world.folder / "out"
    assert _run(command, world, "--splits", path, "--out", out).code == 0
    ran = _run(command, world, "--splits", path, "--evaluate-on", "valid")
    assert ran.code == 2
    assert "split 's' has 0 and 1, not roles" in ran.err
    again = command("study", "--config", out / "config.toml", "--out", world.folder / "again")
    assert again.code == 0, again.err
    assert (world.folder / "again" / "divisions.csv").read_bytes() == (out / "divisions.csv").read_bytes()


def test_several_tables_of_splits_with_names_a_file_could_not_have(world: World, command) -> None:
    folder, flags = world.folder, []
    for name, held in (("fold/1", slice(90, 120)), ("fold: 2?", slice(0, 30))):
        roles = pd.Series("train", index=range(120), name=name)
        roles.iloc[held] = "test"
        flags += ["--splits", folder / f"{len(flags)}.csv"]
        roles.to_csv(flags[-1], index=False)
    out = folder / "record"
    assert _run(command, world, *flags, "--out", out).code == 0
    assert list(pd.read_csv(out / "divisions.csv")["split"].unique()) == ["fold/1", "fold: 2?"]
    again = command("study", "--config", out / "config.toml", "--out", folder / "again")
    assert again.code == 0, again.err
    assert (folder / "again" / "divisions.csv").read_bytes() == (out / "divisions.csv").read_bytes()
    twice = _run(command, world, *flags, "--splits", flags[1])
    assert twice.code == 2
    assert "split 'fold/1' is there twice" in twice.err


def test_the_splits_of_chembench_on_real_features(command, data_folder: Path, tmp_path: Path) -> None:
    """FreeSolv by the command line: the first division is that of the committed record."""
    sets, features = data_folder / "chembench" / "FreeSolv", data_folder / "features"
    ran = command(
        "study", "--weak", features / "FreeSolv.chemvae_zinc_196.npy",
        "--strong", features / "FreeSolv.lstm_chem_512.npy", "--labels", sets / "FreeSolv.csv.gz",
        "--target", "expt", "--splits", sets / "FreeSolv.random122.ind.pkl",
        "--seeds", 1, "--out", tmp_path / "out",
    )  # fmt: skip
    assert ran.code == 0, ran.err
    found = pd.read_csv(tmp_path / "out" / "divisions.csv").iloc[0]
    record = pd.read_csv(RECORDS / "FreeSolv-l2" / "divisions.csv").iloc[0]
    assert (found["split"], found["division"], found["test_rows"]) == (122, 0, 65)
    for name in ("weak_error", "strong_error", "misfit", "gain", "ceiling_error", "direct_error"):
        assert found[name] == pytest.approx(record[name], rel=1e-6), name


def test_what_depends_on_the_division_and_on_the_radius_is_said(world: World, command) -> None:
    assert "from division to division gain ranges from" in _run(command, world).out
    assert "given the radius" in _run(command, world).out
    assert "given the radius" not in _run(command, world, "--heads", "linear").out
    assert "a single division" in _run(command, world, seeds=1).out


def test_a_record_can_be_run_again_from_where_it_lies(
    world: World, command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its configuration names files relative to itself, not to where the command was given."""
    monkeypatch.chdir(world.folder)
    flags = ("--strong", "strong.npy", "--labels", "labels.csv", "--target", "y", "--seeds", 2)
    first = command("study", "--weak", "weak.npy", *flags, "--out", "records/one")
    assert first.code == 0, first.err
    assert str(world.folder) not in (world.folder / "records/one/config.toml").read_text()
    monkeypatch.chdir(world.folder / "records")
    again = command("study", "--config", "one/config.toml", "--out", "two")
    assert again.code == 0, again.err
    one, two = (world.folder / "records" / name for name in ("one", "two"))
    for name in ("divisions.csv", "config.toml"):
        assert (two / name).read_bytes() == (one / name).read_bytes()
    command("study", "--example", "diabetes", "--seeds", 1, "--out", "example")
    again = command("study", "--config", "example/config.toml", "--out", "again")
    assert again.code == 0, again.err


def test_all_features_are_joined_by_id_or_none(world: World, command) -> None:
    folder, ids = world.folder, world.labels["id"].to_numpy(dtype=str)
    turned = np.random.default_rng(0).permutation(120)
    np.savez(folder / "strong.npz", features=world.strong[turned], ids=ids[turned])
    np.savez(folder / "weak.npz", features=world.weak, ids=ids)
    world.labels[:100].to_csv(folder / "labels.csv", index=False)

    def ran(weak: str, *more: object):
        return command(
            "study", "--weak", folder / weak, "--strong", folder / "strong.npz", "--labels",
            folder / "labels.csv", "--target", "y", "--seeds", 2, *more,
        )  # fmt: skip

    assert "weak.npy has no ids to join by" in ran("weak.npy", "--id", "id").err
    assert "weak.npz has ids: name the id column" in ran("weak.npz").err
    found = ran("weak.npz", "--id", "id", "--out", folder / "out")
    assert found.code == 0, found.err
    assert "100 of 120 rows have a true label" in found.out
    truth = world.labels["y"].to_numpy().copy()
    order = np.r_[
        np.arange(100), turned[turned >= 100]
    ]  # those without a true label as the features have them
    truth[100:] = np.nan
    expected = study({"weak": world.weak[order]}, {"strong": world.strong[order]}, truth[order], seeds=2)
    rows = Record.read(folder / "out").tables["divisions"]
    pd.testing.assert_frame_equal(rows, expected.tables["divisions"])


def test_several_values_may_follow_one_flag(world: World, command) -> None:
    np.save(world.folder / "other.npy", world.strong[:, :2])
    ran = command(
        "study", "--weak", world.folder / "weak.npy", world.folder / "other.npy", "--strong",
        world.folder / "strong.npy", "--labels", world.folder / "labels.csv", "--target", "y", "--seeds", 1,
    )  # fmt: skip
    assert ran.code == 0, ran.err
    assert "other (1 division," in ran.out


@pytest.mark.parametrize(("width", "unit"), [(80, 1.0), (80, 30.0), (120, 1e-3), (200, 1e-3)])
def test_the_table_shows_every_number_and_name_whole(arrays: dict, width: int, unit: float) -> None:
    names = [f"a rather long name of supervisor {i}" for i in range(3)]
    record = study(dict.fromkeys(names, arrays["weak"]["a"]), arrays["strong"], arrays["y"] * unit)
    console = Console(width=width, file=io.StringIO())
    console.print(study_table(record))
    shown = console.file.getvalue()
    assert "…" not in shown
    for found in record.results:
        for key in ("weak_error", "strong_error", "misfit", "ceiling_error", "direct_error", "mean_error"):
            assert f"{found.estimates[key].value:.4g}" in shown
        for key in ("gain", "cross_term"):
            assert f"{found.estimates[key].value:+.4g}" in shown
    for name in names:
        assert name.split()[-1] in shown


def test_a_config_file_with_flags_over_it(world: World, command) -> None:
    path = world.folder / "study.toml"
    path.write_text(
        'weak = ["weak.npy"]\nstrong = "strong.npy"\nlabels = "labels.csv"\ntarget = "y"\nseeds = 2\n'
    )
    ran = command("study", "--config", path, "--heads", "linear", "--out", world.folder / "record")
    assert ran.code == 0, ran.err
    settings = Record.read(world.folder / "record").settings
    assert (settings["seeds"], settings["heads"]) == (2, ["linear"])
    for text, said in (
        ("seedss = 2", "seedss is no setting (did you mean seeds?); settings: heads"),
        ("seeds = 0", "seeds (got 0): Input should be greater than or equal to 1"),
        ("seeds = true", "seeds (got True)"),
        ("strong = 'x.npy'", "labels is missing; give it (--labels, --config)"),
        ("weak = 3", "weak (got 3)"),
        ("weak = [3]", "weak (got 3)"),
        ("splits = true", "splits (got True)"),
        ("= 2", "not TOML"),
    ):
        path.write_text(text)
        ran = command("study", "--config", path)
        assert (ran.code, ran.err.count("\n")) == (2, 1)
        assert said in ran.err


def test_the_example_runs_without_files(command) -> None:
    ran = command("study", "--example", "diabetes", "--seeds", 2)
    assert ran.code == 0, ran.err
    for supervisor in ("bmi", "bp", "s5"):
        assert supervisor in ran.out
    assert "leave it out (--strong)" in command("study", "--example", "diabetes", "--strong", "x.npy").err
    assert "no such example" in command("study", "--example", "iris").err


class Interrupted(Exception):
    """Stands for a kill between two divisions."""


@pytest.mark.parametrize(
    "changed", ["nothing", "y", "strong", "weak", "ids", "groups", "name", "split", "seed", "code"]
)
def test_a_run_goes_on_only_from_the_very_same_inputs(
    changed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Interrupted, then run with one thing changed: what was kept of the first run must not be used."""
    rng = np.random.default_rng(1)
    strong = rng.normal(size=(60, 3))
    held = np.arange(60) >= 40
    first = StudyInputs(
        {"w": strong[:, :1] ** 2}, {"s": strong}, strong.sum(1) + rng.normal(size=60), "y",
        np.array([f"r{i}" for i in range(60)]), np.arange(60) // 2,
        (Split("s", np.flatnonzero(~held), np.flatnonzero(held)),),
    )  # fmt: skip
    second, options = first, StudyOptions(seeds=3)
    if changed == "y":
        second = replace(first, y=first.y + strong[:, 0])
    elif changed == "strong":
        second = replace(first, students={"s": np.abs(strong)})
    elif changed == "weak":
        second = replace(first, supervisors={"w": np.abs(strong[:, :1])})
    elif changed == "ids":
        second = replace(first, ids=np.char.add("new-", first.ids))
    elif changed == "groups":
        second = replace(first, groups=np.r_[np.arange(40) // 4, np.arange(40, 60)])
    elif changed == "name":
        second = replace(first, supervisors={"other": first.supervisors["w"]})
    elif changed == "split":
        second = replace(first, splits=(replace(first.splits[0], name="renamed"),))
    elif changed == "seed":
        options = StudyOptions(seeds=3, seed=1)
    fitted: list[int] = []

    def two_then_stop(units, _):
        yield from units[:2]
        raise Interrupted

    def counted(units, said: str):
        fitted.append("going on after 2 of 3" in said)
        return units

    out = tmp_path / "out"
    with pytest.raises(Interrupted):
        run(first, StudyOptions(seeds=3), out=out, track=two_then_stop)
    if changed == "code":
        monkeypatch.setattr("weakstrong.studies.run.code_hash", lambda module: "another version")
    resumed = run(second, options, out=out, track=counted)
    fresh = run(second, options, out=tmp_path / "fresh")
    assert fitted == [changed == "nothing"]
    assert resumed.predictions is None  # they stay on disk
    kept, anew = (Record.read(tmp_path / name).predictions for name in ("out", "fresh"))
    pd.testing.assert_frame_equal(kept.table, anew.table)
    pd.testing.assert_frame_equal(resumed.tables["divisions"], fresh.tables["divisions"])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["fresh", "out"]


SLOW_STUDY = """
import sys, time
import weakstrong.studies.run as runner
fit = runner.fit_division
def slow(*arguments, **more):
    time.sleep(0.15)
    return fit(*arguments, **more)
runner.fit_division = slow
sys.argv = ["weakstrong", *sys.argv[1:]]
from weakstrong.cli import main
main()
"""


def test_a_killed_study_resumes_to_the_same_record(world: World, command, tmp_path: Path) -> None:
    arguments = [
        "study", "--weak", world.folder / "weak.npy", "--strong", world.folder / "strong.npy",
        "--labels", world.folder / "labels.csv", "--target", "y", "--seeds", 8,
    ]  # fmt: skip
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert command(*arguments, "--out", whole).code == 0
    started = subprocess.Popen([sys.executable, "-c", SLOW_STUDY, *map(str, arguments), "--out", str(cut)])
    deadline = time.monotonic() + 60
    while len(list(tmp_path.glob(".cut.partial-*/.fits-*"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(started.pid, signal.SIGKILL)
    started.wait()
    assert not cut.exists()
    kept = {f: f.stat().st_mtime_ns for f in tmp_path.glob(".cut.partial-*/.fits-*")}
    assert 3 <= len(kept) < 8
    seen: dict[Path, int] = {}

    from weakstrong.studies import run as runner

    original = runner._written

    def spy(found: Record, parts: Parts, stage: Path) -> Record:
        seen.update({f: f.stat().st_mtime_ns for f in stage.glob(".fits-*")})
        return original(found, parts, stage)

    runner._written = spy
    try:
        assert command(*arguments, "--out", cut).code == 0
    finally:
        runner._written = original
    assert {f: seen[f] for f in kept} == kept  # finished divisions were not fitted again
    for name in ("predictions.csv", "divisions.csv", "summary.json"):
        assert (cut / name).read_bytes() == (whole / name).read_bytes()
    assert sorted(p.name for p in cut.iterdir()) == sorted(p.name for p in whole.iterdir())
    assert not list(tmp_path.glob(".*"))


BAD_STUDY = {
    "lengths": (lambda w: np.save(w.folder / "weak.npy", w.weak[:50]), [], "weak.npy has 50 rows"),
    "nan": (lambda w: np.save(w.folder / "weak.npy", w.weak * np.nan), [], "row 0, column 0"),
    "one-dimensional": (lambda w: np.save(w.folder / "weak.npy", w.weak[:, 0]), [], "two-dimensional"),
    "no label": (
        lambda w: w.labels.assign(y=np.nan).to_csv(w.folder / "labels.csv", index=False),
        [],
        "target column 'y' has no value; at least one row needs a label",
    ),
    "unknown column": (lambda w: None, ["--groups", "clinic"], "no column 'clinic'"),
    "too many folds": (lambda w: None, ["--n-folds", "60"], "fewer than the 60 folds"),
    "bad option": (lambda w: None, ["--test-size", "1.5"], "test_size"),
    "not a number": (lambda w: None, ["--n-folds", "many"], "many"),
    "half a repeat": (lambda w: None, ["--seed", "2.9"], "2.9"),
    "no splits": (lambda w: None, ["--evaluate-on", "valid"], "evaluate_on has no effect without splits"),
    "unknown flag": (lambda w: None, ["--frobnicate"], "--frobnicate"),
    "two alike": (lambda w: None, ["--weak", "WEAK"], "given twice"),
}


@pytest.mark.parametrize("fault", BAD_STUDY)
def test_bad_input_is_one_line_and_leaves_nothing(world: World, command, fault: str) -> None:
    change, more, said = BAD_STUDY[fault]
    change(world)
    more = [world.folder / "weak.npy" if m == "WEAK" else m for m in more]
    before = sorted(p.name for p in world.folder.iterdir())
    ran = _run(command, world, *more, "--out", world.folder / "record")
    assert ran.code == 2
    assert ran.err.count("\n") == 1
    assert said in ran.err
    assert sorted(p.name for p in world.folder.iterdir()) == before


def test_arrays_that_cannot_be_studied(arrays: dict) -> None:
    with pytest.raises(InputError, match="strong features 'strong': 80 rows, but 90 labels"):
        study(arrays["weak"], arrays["strong"][:80], arrays["y"])
    with pytest.raises(InputError, match=r"labels: row 3 \(counted from 0\) is infinite"):
        study(arrays["weak"], arrays["strong"], np.where(np.arange(90) == 3, np.inf, arrays["y"]))
    with pytest.raises(InputError, match="also trained on"):
        study(**arrays, splits={"s": (np.arange(60), np.arange(59, 90))})
    apart = {"s": (np.arange(60), np.arange(60, 90))}
    study(**arrays, splits=apart, groups=np.arange(90) // 2, seeds=1)
    with pytest.raises(InputError, match=r"row 60 \(counted from 0\) is also trained on, or its group is"):
        study(**arrays, splits=apart, groups=np.where(np.arange(90) == 60, 0, np.arange(90)))
    with pytest.raises(InputError, match="1 held-out groups; at least 2"):
        study(**arrays, splits=apart, groups=np.r_[np.arange(60), np.full(30, 60)])
    for spoilt in (np.nan, np.inf):
        with pytest.raises(InputError, match=r"weak features 'b': row 5, column 0"):
            study(
                {**arrays["weak"], "b": np.where(np.arange(90)[:, None] == 5, spoilt, 1.0)},
                arrays["strong"],
                arrays["y"],
            )
    with pytest.raises(InputError, match="row 3 is there twice"):
        study(**arrays, splits={"s": (np.r_[3, np.arange(60)], np.arange(60, 90))})
    with pytest.raises(InputError, match="got -30"):
        study(**arrays, splits={"s": (np.arange(60), np.arange(-30, 0))})
    with pytest.raises(InputError, match="row numbers or masks"):
        study(**arrays, splits={"s": (np.arange(60.0), np.arange(60, 90))})
    with pytest.raises(InputError, match="groups: shape"):
        study(**arrays, groups=np.arange(90)[:, None])
    with pytest.raises(InputError, match="every true label is 'high'"):
        study(arrays["weak"], arrays["strong"], ["high"] * 90)
    with pytest.raises(InputError, match="a study needs a supervisor"):
        study({}, arrays["strong"], arrays["y"])
    with pytest.raises(InputError, match="did you mean seeds"):
        study(**arrays, seedss=3)
    with pytest.raises(InputError, match="rows go from 0 to 89; got 90"):
        study(**arrays, splits={"s": (np.arange(60), np.arange(60, 91))})
    with pytest.raises(InputError, match="give a mapping"):
        study(arrays["strong"], arrays["strong"], arrays["y"])
    with pytest.raises(InputError, match="true and false"):
        study(arrays["weak"], arrays["strong"], arrays["y"] > 0, task="regression")


def test_splits_are_row_numbers_or_masks(arrays: dict) -> None:
    held = np.arange(90) % 3 == 0
    by_mask = study(**arrays, splits={"s": (~held, held)}, seeds=2)
    by_number = study(**arrays, splits={"s": (np.flatnonzero(~held), np.flatnonzero(held))}, seeds=2)
    pd.testing.assert_frame_equal(by_mask.tables["divisions"], by_number.tables["divisions"])


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ((np.arange(80) < 60, np.arange(90) >= 60), "a mask of 80 entries; give one for each of 90 rows"),
        ((np.arange(91) < 60, np.arange(90) >= 60), "a mask of 91 entries"),
        (
            ((np.arange(90) < 60) * 1, (np.arange(90) >= 60) * 1),
            r"a mask is of True and False: \.astype\(bool\)",
        ),
        ((np.arange(30), np.arange(29, 60), np.arange(60, 90)), "row 29 is both a supervised row and a"),
        ((np.arange(30), np.arange(30, 61), np.arange(60, 90)), "also trained on"),
        (([0, 0, 1], np.arange(30, 60), np.arange(60, 90)), "row 0 is there twice"),
        ((np.array([2**63 + 1], dtype=np.uint64), np.arange(60, 90)), "rows go from 0 to 89"),
        ((["a"], ["b"]), "text"),
        ((3, 4), "one-dimensional"),
        (5, "give \\(train, test\\)"),
        ((np.arange(60),), "give \\(train, test\\)"),
    ],
)
def test_rows_of_a_split_that_cannot_be(arrays: dict, parts: object, said: str) -> None:
    with pytest.raises(InputError, match=f"split 's': .*{said}"):
        study(**arrays, splits={"s": parts})


def test_masks_may_be_nullable_and_names_are_unique_as_text(arrays: dict) -> None:
    held = np.arange(90) % 3 == 0
    plain = study(**arrays, splits={"s": (~held, held)}, seeds=1)
    nullable = {"s": (pd.Series(~held, dtype="boolean"), pd.Series(np.flatnonzero(held), dtype="Int64"))}
    found = study(**arrays, splits=nullable, seeds=1)
    pd.testing.assert_frame_equal(found.tables["divisions"], plain.tables["divisions"])
    for twice in ({"weak": {1: arrays["strong"], "1": arrays["strong"]}}, {"display": {1: held, "1": held}}):
        with pytest.raises(InputError, match="two names are one as text"):
            study(**arrays | twice)
    for option in ("splits", "untrained", "display"):
        with pytest.raises(InputError, match="give a mapping"):
            study(**arrays, **{option: [held]})


@pytest.mark.parametrize("scale", [1e-170, 1e150])
def test_labels_that_cannot_be_squared_are_refused_by_a_study(arrays: dict, scale: float) -> None:
    with pytest.raises(InputError, match="rescale the labels"):
        study(arrays["weak"], arrays["strong"], arrays["y"] * scale)


def test_a_study_is_the_same_in_any_unit(arrays: dict) -> None:
    plain = study(**arrays, seeds=2)
    weak = {name: values * 1e-200 for name, values in arrays["weak"].items()}
    found = study(weak, arrays["strong"] * 1e150, arrays["y"] * 2.0**320, seeds=2)
    for one, other in zip(plain.results, found.results, strict=True):
        said, also = ([re.sub(r"[-+0-9.e]{2,}", "#", line) for line in r.findings] for r in (one, other))
        assert said == also
        spread = other.facts["spread_over_divisions"]["gain"]["std"]
        assert spread / 2.0**640 == pytest.approx(one.facts["spread_over_divisions"]["gain"]["std"], rel=1e-6)
        low, high = other.estimates["gain"].interval()
        expected = one.estimates["gain"].interval()
        assert (float(low) / 2.0**640, float(high) / 2.0**640) == pytest.approx(expected, rel=1e-6)


def _written_out(x: np.ndarray, rows: np.ndarray, labels: np.ndarray, heads: str) -> HeadProjection:
    return HeadProjection(heads, n_folds=5 if heads == "l2" else None).fit(x[rows], labels)


def test_students_and_head_classes_in_one_study_are_those_of_separate_ones(arrays: dict) -> None:
    students = {"all": arrays["strong"], "two": arrays["strong"][:, :2]}
    both = study(arrays["weak"], students, arrays["y"], heads=["linear", "l2"], seeds=2)
    assert len(both.results) == 2 * 2 * 2
    for name, features in students.items():
        for heads in ("linear", "l2"):
            alone = study(arrays["weak"], {name: features}, arrays["y"], heads=heads, seeds=2)
            part = both.predictions.table.query("student == @name and heads == @heads")
            keys = ["division", "supervisor", "row"]
            pd.testing.assert_frame_equal(
                part.sort_values(keys).reset_index(drop=True),
                alone.predictions.table.sort_values(keys).reset_index(drop=True),
                rtol=1e-9,
            )


@pytest.mark.parametrize("heads", ["linear", "l2"])
def test_a_division_given_whole_with_untrained_controls_and_the_ceiling_of_the_student(
    arrays: dict, heads: str
) -> None:
    """Every prediction is that of heads fitted one by one; the class ceiling has the student's radius."""
    strong, y, rng = arrays["strong"], arrays["y"], np.random.default_rng(0)
    sup, own, test = np.split(rng.permutation(90), [30, 70])
    untrained, text = rng.normal(size=(2, 90, 3)), np.array([f"text {i}" for i in range(90)])
    found = study(
        **arrays, heads=heads, splits={"given": (sup, own, test)}, untrained={"strong": untrained},
        display={"text": text}, seeds=7,
    )  # fmt: skip
    table = found.predictions.table
    assert list(table["division"].unique()) == [0]  # nothing is left to draw
    assert list(table["text"]) == list(text[table["row"]])
    own = np.sort(own)
    for name, weak in arrays["weak"].items():
        labels = _written_out(weak, sup, y[sup], heads).predict(weak[own])
        student = _written_out(strong, own, labels, heads)
        best = HeadProjection(student.heads_).fit(strong[own], y[own])
        part = table[table["supervisor"] == name]
        np.testing.assert_array_equal(part["row"], test)
        np.testing.assert_allclose(part["y_strong"], student.predict(strong[test]), rtol=1e-8)
        np.testing.assert_allclose(part["y_class"], best.predict(strong[test]), rtol=1e-8)
        control = _written_out(untrained[0], own, labels, heads).predict(untrained[0][test])
        np.testing.assert_allclose(part["y_untrained"], control, rtol=1e-8)
    estimates = found.result(supervisor="a").estimates
    errors = found.predictions.losses().query("supervisor == 'a'")
    for name in ("class", "untrained", "direct", "mean"):
        assert estimates[f"{name}_error"].value == pytest.approx(errors[f"{name}_error"].mean())
        gain = (errors[f"{name}_error"] - errors["strong_error"]).mean()
        assert estimates[f"gain_over_{name}"].value == pytest.approx(gain)


def test_untrained_draws_are_taken_in_turn(arrays: dict) -> None:
    draws = np.random.default_rng(0).normal(size=(2, 90, 3))
    one, other, both = (
        study(**arrays, untrained={"strong": d}, seeds=3).predictions.table
        for d in (draws[:1], draws[1:], draws)
    )
    for number, alone in enumerate((one, other, one)):
        mine, theirs = (t.loc[t["division"] == number, "y_untrained"] for t in (both, alone))
        np.testing.assert_array_equal(mine, theirs)


def test_labels_are_counted_in_rows_or_shares(arrays: dict) -> None:
    def rows(**options: object) -> tuple[int, int]:
        first = study(**arrays, seeds=1, **options).tables["divisions"].iloc[0]
        return first["supervised_rows"], first["student_rows"]

    assert rows() == (36, 36)
    assert rows(true_labels=20) == (20, 52)
    assert rows(true_labels=20, student_rows=30) == (20, 30)
    assert rows(true_labels=0.25, student_rows=0.5) == (18, 36)
    few = study(**arrays, seeds=1, true_labels=20, student_rows=30, seed=3).predictions.table
    more = study(**arrays, seeds=1, true_labels=20, seed=3).predictions.table
    np.testing.assert_allclose(few["y_weak"], more["y_weak"])  # the same supervisor
    grouped = study(**arrays, groups=np.arange(90) // 4, seeds=1, true_labels=31, n_folds=2).tables[
        "divisions"
    ]
    assert 28 <= grouped["supervised_rows"].iloc[0] <= 31  # whole groups that fit
    for wrong in (0, -3, 1.5, True, "half"):
        with pytest.raises(InputError, match="true_labels"):
            study(**arrays, true_labels=wrong)
    with pytest.raises(InputError, match="fewer than the 5 folds"):
        study(**arrays, true_labels=70)


def test_a_table_may_give_divisions_whole(world: World, command) -> None:
    roles = pd.DataFrame({"id": world.labels["id"], "s": "student"})
    roles.loc[:39, "s"], roles.loc[90:, "s"], roles.loc[40:49, "s"] = "supervised", "test", ""
    roles.to_csv(world.folder / "splits.csv", index=False)
    out = world.folder / "record"
    ran = _run(command, world, "--id", "id", "--splits", world.folder / "splits.csv", "--out", out)
    assert ran.code == 0, ran.err
    rows = pd.read_csv(out / "divisions.csv")
    assert rows[["supervised_rows", "student_rows", "test_rows"]].to_numpy().tolist() == [[40, 40, 30]]
    roles.loc[roles["s"] == "student", "s"] = ""
    roles.to_csv(world.folder / "splits.csv", index=False)
    ran = _run(command, world, "--id", "id", "--splits", world.folder / "splits.csv")
    assert "no row with role 'student'" in ran.err


def test_former_names_of_settings_still_work_and_say_the_present_one(
    world: World, command, arrays: dict
) -> None:
    ran = _run(command, world, "--cv", 4, "--supervised-fraction", 0.4, "--out", world.folder / "old")
    assert ran.code == 0, ran.err
    notes = [line for line in ran.err.splitlines() if "note" in line]
    assert notes == [
        "weakstrong: note: study: supervised_fraction is now called true_labels",
        "weakstrong: note: study: cv is now called n_folds",
    ]
    new = _run(command, world, "--n-folds", 4, "--true-labels", 0.4, "--out", world.folder / "new")
    assert "note" not in new.err
    one, other = ((world.folder / name / "divisions.csv").read_bytes() for name in ("old", "new"))
    assert one == other
    both = _run(command, world, "--cv", 4, "--n-folds", 4)
    assert both.code == 2
    assert "cv is the former name of n_folds" in both.err
    with pytest.warns(FutureWarning, match="cv is now called n_folds"):
        study(**arrays, cv=4, seeds=1)


def test_several_students_from_files(world: World, command) -> None:
    np.save(world.folder / "other.npy", world.strong[:, :2])
    ran = _run(command, world, "--strong", world.folder / "other.npy", seeds=1)
    assert ran.code == 0, ran.err
    assert "weak → strong (1 division," in ran.out
    assert "weak → other (1 division," in ran.out


def test_what_arrays_of_controls_and_display_cannot_be(arrays: dict) -> None:
    good = np.ones((2, 90, 3))
    for untrained, message in (
        ({"other": good}, "untrained 'other': there is no such student"),
        ({"strong": good[0]}, "untrained 'strong': shape"),
        ({"strong": good[:, :80]}, "untrained 'strong': shape"),
        ({"strong": good * np.nan}, "untrained 'strong': row 0"),
    ):
        with pytest.raises(InputError, match=message):
            study(**arrays, untrained=untrained)
    for name in ("row", "y_true"):
        with pytest.raises(InputError, match=f"display '{name}': predictions have a column"):
            study(**arrays, display={name: np.arange(90)})
    with pytest.raises(InputError, match="display 'text': shape"):
        study(**arrays, display={"text": np.arange(80)})
    for options in ({"true_labels": 60, "student_rows": 50}, {"true_labels": 0.7, "student_rows": 0.5}):
        with pytest.raises(InputError, match="72 training rows are not enough"):
            study(**arrays, **options)
