"""``weakstrong reproduce`` on molecules: with small models made here, on the sets as published."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.test_docs import ROOT, script
from tests.test_models import MODELS
from tests.test_molbert_checkpoint import released_state, write
from weakstrong import Record
from weakstrong.errors import InputError
from weakstrong.molecules.encoder_folder import save_model
from weakstrong.molecules.molbert_checkpoint import convert
from weakstrong.molecules.smiles_bert import EncoderConfig, random_model
from weakstrong.paper import reproduction as module
from weakstrong.paper.molecule_divisions import run_division
from weakstrong.paper.molecule_inputs import clusters, prepare, representation
from weakstrong.paper.molecule_settings import MoleculeSettings
from weakstrong.paper.molecule_statistics import by_division
from weakstrong.paper.sources import Places
from weakstrong.paper.verdicts import TOO_FEW

TINY = ["--seeds", 2, "--set", 'weak=["small", "smaller"]', "--set", "resamples=100", "--set", "untrained=1"]
FILES = {"config.toml", "tasks.csv", "table.csv", "predictions.csv", "summary.json", "figure.png", "DONE"}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of encoders with random weights."""
    folder = tmp_path_factory.mktemp("models")
    for name, hidden in (("strong", 16), ("small", 8), ("smaller", 4)):
        (folder / name).mkdir()
        save_model(folder / name, random_model(EncoderConfig(hidden, 1, 2, 16), hidden), None, {}, half=False)
    return folder


def test_a_figure_and_a_table_of_a_set_share_their_rows(
    command, tmp_path: Path, models: Path, data_folder: Path
) -> None:
    out, places = tmp_path / "r", ["--models", models, "--data", data_folder]
    ran = command("reproduce", "fig2e", "table3", *TINY, *places, "--out", out)
    assert ran.code == 0, ran.err
    assert "targets and seeds: 2/2" in ran.err
    assert "not a replication: different h_s" in ran.out
    for name in ("fig2e", "table3"):
        assert {p.name for p in (out / name).iterdir()} == FILES
    settings = tomllib.loads((out / "fig2e" / "config.toml").read_text())
    assert settings["target"] == "fig2e"
    assert settings["weak"] == ["small", "smaller"]
    assert str(models) not in (out / "fig2e" / "config.toml").read_text()
    rows = pd.read_csv(out / "fig2e" / "tasks.csv")
    keys = ["seed", "split", "heads", "evaluation", "supervisor"]
    assert not rows.duplicated(keys).any()
    assert len(rows) == 2 * 3 * 2 * 3 * 2
    assert set(rows["evaluation"]) == {"valid+test", "valid", "test"}
    errors = ("weak_error", "strong_error", "misfit", "ceiling_error", "direct_error", "mean_error",
              "untrained_error")  # fmt: skip
    assert (rows[list(errors)] > 0).all(axis=None)
    np.testing.assert_allclose(rows["gain"], rows["misfit"] + rows["cross_term"], rtol=1e-3, atol=1e-3)
    page = (out / "README.md").read_text()
    for said in ("fig2e/figure.png", "table3/figure.png", "| weak model |", "picked by", "Not a replication",
                 "Spearman", "Law 3", "Rules for molecules"):  # fmt: skip
        assert said in page
    stamp = (out / "fig2e" / "DONE").stat().st_mtime_ns
    again = command("reproduce", "--config", out / "fig2e" / "config.toml", *places, "--out", out)
    assert again.code == 0, again.err
    assert "there already" in again.out
    assert (out / "fig2e" / "DONE").stat().st_mtime_ns == stamp
    (out / "fig2e" / "table.csv").unlink()
    mended = command("reproduce", "fig2e", *TINY, *places, "--out", out)
    assert "there already" not in mended.out
    assert (out / "fig2e" / "table.csv").exists()
    three = command("reproduce", "fig2e", *TINY, "--seeds", 3, *places, "--out", out)
    assert three.code != 0  # --seeds twice
    more = [*TINY[2:], "--seeds", 3]
    assert "targets and seeds: 1/1" in command("reproduce", "fig2e", *more, *places, "--out", out).err
    longer = pd.read_csv(out / "fig2e" / "tasks.csv")
    pd.testing.assert_frame_equal(
        longer[longer["seed"] < 2].set_index(keys).sort_index(), rows.set_index(keys).sort_index()
    )


def test_other_weights_of_the_same_name_are_another_run(
    command, tmp_path: Path, models: Path, data_folder: Path
) -> None:
    own = tmp_path / "models"
    own.mkdir()
    for name in ("small", "smaller"):
        (own / name).symlink_to(models / name)
    (own / "strong").mkdir()
    run = ["reproduce", "fig2e", *TINY, "--models", own, "--data", data_folder, "--out", tmp_path / "r"]
    found = []
    for seed in (1, 2, 1):
        save_model(own / "strong", random_model(EncoderConfig(16, 1, 2, 16), seed), None, {}, half=False)
        ran = command(*run)
        assert ran.code == 0, ran.err
        assert "there already" not in ran.out
        found.append((tmp_path / "r" / "fig2e" / "tasks.csv").read_text())
    assert found[0] == found[2] != found[1]
    assert "targets and seeds" not in ran.err  # the first run's rows


def test_a_converted_checkpoint_features_of_a_file_and_swapped_roles(
    command, tmp_path: Path, models: Path, data_folder: Path
) -> None:
    (tmp_path / "molbert").mkdir()
    convert(write(tmp_path, released_state()), tmp_path / "molbert" / "c", heads=2)
    rng = np.random.default_rng(0)
    np.save(tmp_path / "FreeSolv.mine.npy", rng.normal(size=(642, 5)).astype(np.float32))
    weak = ["--set", f'weak=["small", "{tmp_path}/{{dataset}}.mine.npy"]']
    base = ["reproduce", "fig2e", *TINY[:2], *TINY[4:], *weak, "--models", models, "--data", data_folder]
    ran = command(*base, "--strong", tmp_path / "molbert" / "c", "--out", tmp_path / "r")
    assert ran.code == 0, ran.err
    record = Record.read(tmp_path / "r" / "fig2e")
    assert record.notes[0].startswith("h_s is a converted checkpoint (2 layers of width 16, sha256 ")
    assert "not a replication" not in ran.out
    ran = command(*base, "--set", "swap_roles=true", "--out", tmp_path / "s")
    assert ran.code == 0, ran.err
    rows = pd.read_csv(tmp_path / "s" / "fig2e" / "tasks.csv")
    assert set(rows["supervisor"]) == {"strong"}
    control = rows.groupby("student")["untrained_error"].apply(lambda e: e.isna().all())
    assert control.to_dict() == {"small": False, f"{tmp_path}/{{dataset}}.mine.npy": True}
    page = (tmp_path / "s" / "README.md").read_text()
    assert "–" in page
    assert "Settings that are not the target's own: strong" not in page
    assert "swap_roles = True" in page.partition("own: ")[2].partition(".\n")[0]
    assert "not claimed; not a replication: different h_s |" in page
    assert "| student | supervisor |" in page


def test_killed_and_started_again_it_ends_in_the_same_files(
    tmp_path: Path, models: Path, data_folder: Path
) -> None:
    base = [sys.executable, "-m", "weakstrong", "reproduce", "fig2e", *map(str, TINY[2:]), "--seeds", "8",
            "--models", models, "--data", data_folder, "--workers", "1"]  # fmt: skip
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    subprocess.run([*base, "--out", whole], check=True, capture_output=True)
    process = subprocess.Popen([*base, "--out", killed], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not list(killed.rglob("seed-*.parquet")) and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (killed / "fig2e").exists()
    stamps = {p: p.stat().st_mtime_ns for p in killed.rglob("seed-*.parquet")}
    assert 0 < len(stamps) < 8
    subprocess.run([*base, "--out", killed], check=True, capture_output=True)
    assert stamps == {p: p.stat().st_mtime_ns for p in stamps}
    for name in FILES:
        assert (killed / "fig2e" / name).read_bytes() == (whole / "fig2e" / name).read_bytes(), name


def test_what_is_missing_or_wrong_is_said_in_one_line(
    command, tmp_path: Path, models: Path, data_folder: Path
) -> None:
    damaged = tmp_path / "damaged" / "FreeSolv"
    damaged.mkdir(parents=True)
    for file in (data_folder / "chembench" / "FreeSolv").iterdir():
        (damaged / file.name).write_bytes(file.read_bytes())
    table = damaged / "FreeSolv.csv.gz"
    table.write_bytes(table.read_bytes()[:-1] + b"x")
    short, bad = tmp_path / "short.npy", tmp_path / "bad.npy"
    np.save(short, np.ones((600, 3)))
    np.save(bad, np.full((642, 3), np.nan))
    named = tmp_path / "named.npz"
    np.savez(named, features=np.ones((642, 3)), ids=np.arange(642).astype(str))
    (tmp_path / "empty").mkdir()
    at = ["--models", models, "--data", data_folder]
    cases = [
        (["--models", models, "--data", tmp_path / "nowhere"], "nowhere/FreeSolv/FreeSolv.csv.gz: cannot"),
        (["--models", models, "--data", damaged.parent], "its checksum is not the published one"),
        (["--models", tmp_path / "none", "--data", data_folder], "none: no such folder of models"),
        (["--models", tmp_path / "empty", "--data", data_folder], "strong: no such model or file of"),
        ([*at, "--strong", tmp_path / "empty"], "empty: holds no model"),
        ([*at, "--strong", "weak-9"], "weak-9: no such model or file of features"),
        ([*at, "--strong", short], "short.npy: 600 rows, but FreeSolv has 642 molecules"),
        ([*at, "--strong", bad], "bad.npy: row 0"),
        ([*at, "--set", "true_labels=5000"], "training rows are not enough for 5000 true"),
        ([*at, "--set", "dataset=ESOL"], "fig2e is on FreeSolv; leave dataset out"),
        ([*at, "--strong", named], "named.npz: has ids"),
        ([*at, "--set", "weak_labels=3"], "256 true and 3 weak labels do not fill 5 folds"),
        ([*at, "--strong", "small"], "small is strong and among weak"),
        ([*at, "--set", "heads=[]"], "heads"),
        ([*at, "--set", 'heads=["l2", "l2"]'], "heads must hold different names"),
        ([*at, "--set", "dataset=QM9"], "dataset (got 'QM9')"),
        ([*at, "--solver", "gradient"], "solver is no setting"),
    ]  # fmt: skip
    for arguments, said in cases:
        ran = command("reproduce", "fig2e", *TINY, *arguments, "--out", tmp_path / "r")
        assert ran.code == 2, (arguments, ran)
        assert said in ran.err
        assert len(ran.err.strip().splitlines()) == 1, ran.err  # before anything is embedded
        assert not (tmp_path / "r" / "fig2e").exists()
    ran = command("reproduce", "fig2a", "--data", data_folder, "--out", tmp_path / "r")
    assert ran.code == 2
    assert "none of fig2a is on molecules" in ran.err
    ran = command("reproduce", "fig2a", "--strong", models / "strong", "--out", tmp_path / "r")
    assert ran.code == 2
    assert "strong is no setting" in ran.err


def test_the_papers_procedure_runs_resumes_and_says_what_is_refused(
    command,
    tmp_path: Path,
    models: Path,
    data_folder: Path,
) -> None:
    places = ["--models", models, "--data", data_folder, "--workers", 1]
    same = ["--set", "student_rows=same", "--set", "splits=redrawn"]
    heads = ["--set", 'heads=["adam", "stopped"]', "--set", "adam_epochs=2", "--set", "truth=realizable"]
    run = [
        "reproduce",
        "fig2e",
        "table3",
        "--preset",
        "paper",
        *TINY,
        *places,
        *heads,
        "--out",
        tmp_path / "r",
    ]
    ran = command(*run)
    assert ran.code == 0, ran.err
    assert "targets and seeds: 2/2" in ran.err
    record = Record.read(tmp_path / "r" / "fig2e")
    assert record.notes[1].startswith("the truth is realizable")
    assert set(record.tables["tasks"]["evaluation"]) == {"valid+test", "valid", "test"}
    assert {result.facts["agrees"] for result in record.results} == {TOO_FEW}
    page = (tmp_path / "r" / "README.md").read_text()
    for said in ("by Adam on minibatches", "by gradient descent", "on test rows; the last"):
        assert said in page
    assert "nan" not in page
    assert "preset paper, weak = " in page
    assert record.settings["student_rows"] == "same"
    again = command(*["resamples=101" if part == "resamples=100" else part for part in run])
    assert again.code == 0, again.err
    assert "targets and seeds" not in again.err  # the same rows
    for refused, said in (
        (["--set", "student_rows=same"], "set splits = redrawn"),
        ([*same, "--set", "weak_labels=9"], "weak_labels has no effect"),
        ([*same, "--set", "true_labels=600"], "513 training rows are not enough for 600 true labels"),
        ([*same, "--set", "true_labels=3"], "do not fill 5 folds"),
        (["--set", "truth=realizable", "--set", "swap_roles=true"], "with swap_roles there are several"),
        (["--set", "noise=1.0"], "noise has no effect on measured labels"),
        (["--set", "adam_rate=0.1"], "adam_rate has no effect without adam heads"),
        (["--set", 'heads=["linear", "stopped"]'], "choose by the valid rows"),
        (["--preset", "paper", "--set", "judge_on=valid+test"], "choose by the valid rows"),
        (["--set", 'heads=["newton"]'], "heads"),
    ):
        ran = command("reproduce", "fig2e", *TINY, *places, *refused, "--out", tmp_path / "no")
        assert ran.code == 2, ran
        assert said in ran.err
        assert len(ran.err.strip().splitlines()) == 1, ran.err


def test_features_are_found_where_the_data_are(
    tmp_path: Path, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "features").mkdir()
    (tmp_path / "features" / "ESOL.mine.npy").touch()
    name, config = "features/{dataset}.mine.npy", MoleculeSettings(dataset="ESOL")
    monkeypatch.delenv("WEAKSTRONG_DATA", raising=False)
    with pytest.raises(InputError, match="name the folder of models"):
        representation(name, config, Places(models))
    assert representation(name, config, Places(models, tmp_path)).is_file
    monkeypatch.setenv("WEAKSTRONG_DATA", str(tmp_path))
    assert representation(name, config, Places(models)).label == "ESOL.mine"
    assert not representation("small", config, Places(models)).is_file
    (tmp_path / "models").mkdir()  # another's folder of that name does not hide the clone's
    monkeypatch.chdir(tmp_path)
    assert representation("weak-8", config, Places()).path == MODELS / "weak-8"


def test_without_the_extra_it_is_named(command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_spec", lambda name: None if name == "rdkit" else object())
    ran = command("reproduce", "fig2d", "--out", tmp_path / "r")
    assert ran.code == 2
    assert 'pip install "weakstrong[molecules]"' in ran.err


def test_molecules_of_one_connectivity_are_one_cluster() -> None:
    found = clusters(["C[C@H](N)O", "C[C@@H](N)O", "CCO", "OCC", "CCN"])
    assert found[0] == found[1]
    assert found[2] == found[3]
    assert len(set(found)) == 3


def test_the_committed_models_make_the_committed_record(data_folder: Path) -> None:
    """One division of FreeSolv again; rounding of another machine moves features by some 1e-6."""
    config = MoleculeSettings(dataset="FreeSolv", heads=("l2",))
    found = by_division(run_division(config, prepare(config, Places(MODELS, data_folder)), 3))
    record = pd.read_csv(ROOT / "results" / "molecules" / "records" / "fig2e" / "tasks.csv")
    keys = ["split", "evaluation", "supervisor"]
    record = record[(record["seed"] == 3) & (record["heads"] == "l2")].astype({"split": str})
    both = found.merge(record, on=keys, suffixes=("", "_record"), validate="one_to_one")
    assert len(both) == 3 * 3 * 8
    for name in ("weak_error", "strong_error", "misfit", "ceiling_error", "direct_error", "untrained_error"):
        np.testing.assert_allclose(both[name], both[f"{name}_record"], rtol=0.02, err_msg=name)


def test_the_report_is_that_of_the_records() -> None:
    run = script("examples/reproduce_molecules.py")
    text = (run.RESULTS / "README.md").read_text()
    for name, lines in run.blocks().items():
        [shown] = text.split(f"<!-- {name}: begin -->")[1:]
        assert [line for line in shown.split(f"<!-- {name}: end -->")[0].splitlines() if line] == lines
    assert run.filled(text) == text
    assert len(re.findall(r"\d<!-- (fig2|table|variant|paper)", text)) > 30
    page = (ROOT / "docs" / "paper.md").read_text()
    assert len(re.findall(r"\d<!-- (fig2|table)", page)) > 4
    assert run.filled(page) == page
