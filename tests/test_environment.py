"""Whatever the environment says: encodings, backends, homes, pipes; and how faults and defects are shown."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.conftest import World
from weakstrong import InputError, cli, study
from weakstrong.report import terminal
from weakstrong.studies import examples


def arguments(world: World, *more: object) -> list[str]:
    """The arguments of a small study of the world's files."""
    folder = world.folder
    given = [
        "--weak",
        folder / "weak.npy",
        "--strong",
        folder / "strong.npy",
        "--labels",
        folder / "labels.csv",
    ]
    return [str(a) for a in ("study", *given, "--id", "id", "--target", "y", "--seeds", 1, *more)]


def ran(given: list[str], **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "weakstrong", *given], check=False, capture_output=True,
        env={**os.environ, **environment},
    )  # fmt: skip


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_output_that_is_not_unicode_shows_escapes(world: World, tmp_path: Path, encoding: str) -> None:
    frame = world.labels.rename(columns={"y": "température → 漢"})
    frame.drop(columns="id").to_csv(world.folder / "labels.csv", index=False)
    given = [a for a in arguments(world, "--out", tmp_path / "out") if a not in ("--id", "id")]
    done = ran([a if a != "y" else "température → 漢" for a in given], PYTHONIOENCODING=encoding)
    assert done.returncode == 0, done.stderr
    assert rb"\u2192 \u6f22: mean squared errors" in done.stdout
    assert "température → 漢" in (tmp_path / "out" / "config.toml").read_text(encoding="utf-8")


def test_figures_do_not_depend_on_backends_and_styles(world: World, tmp_path: Path) -> None:
    (tmp_path / "matplotlibrc").write_text("text.usetex: True\nfigure.facecolor: red\nbackend: nonsense\n")
    pictures = []
    for name, environment in (
        ("plain", {}),
        ("odd", {"MPLBACKEND": "module://no_such_inline", "MATPLOTLIBRC": str(tmp_path / "matplotlibrc")}),
    ):
        given = [a for a in arguments(world, "--out", tmp_path / name) if a not in ("--id", "id")]
        done = ran(given, **environment)
        assert done.returncode == 0, done.stderr
        pictures.append((tmp_path / name / "figure.png").read_bytes())
    assert pictures[0] == pictures[1]


def test_nobody_reading_on_is_no_fault() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as pipe:
        done = subprocess.run(
            [sys.executable, "-m", "weakstrong", "reproduce", "--list"],
            check=False, stdout=pipe, stderr=subprocess.PIPE,
        )  # fmt: skip
    assert (done.returncode in (1, 141), done.stderr) == (True, b"")


def test_a_path_that_is_not_utf8_is_refused_before_work() -> None:
    done = ran([*["study", "--weak"], os.fsdecode(b"caf\xe9.npy")])
    assert done.returncode == 2
    assert done.stderr == rb"weakstrong: caf\udce9.npy: is not UTF-8, and records are; rename it" + b"\n"


@pytest.mark.parametrize("form", ["--out=~/student", "~/student"])
def test_a_tilde_is_the_home_folder(
    world: World, command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    out = ["--out", form] if form.startswith("~") else [form]
    fit = ["fit", "--features", world.folder / "strong.npy", "--weak-labels", world.folder / "labels.csv"]
    done = command(*fit, "--target", "y", *out)
    assert done.code == 0, done.err
    assert (tmp_path / "student" / "DONE").exists()


HOSTILE = "a\x1b[31m\x9b1m\rb\x07\u202e"


def test_control_characters_never_reach_a_terminal(world: World, command, tmp_path: Path) -> None:
    folder = world.folder
    world.labels.drop(columns=["id", "site"]).rename(columns={"y": HOSTILE}).to_parquet(folder / "l.parquet")
    np.save(folder / f"{HOSTILE}.npy", world.weak)
    given = ["--weak", folder / f"{HOSTILE}.npy", "--strong", folder / "strong.npy", "--seeds", 1]
    config = tmp_path / "c.toml"
    config.write_text('"\\u001b[31mk" = 1\n')
    outputs = [
        command("study", *given, "--labels", folder / "l.parquet", "--out", tmp_path / "out"),
        command("study", *given, "--labels", folder / "l.parquet", "--target", "none"),
        command("study", *given, "--labels", folder / f"{HOSTILE}.csv"),
        command("study", "--config", config),
        command("fit", "--features", folder / "strong.npy", "--weak-labels", folder / "l.parquet", "--out",
                tmp_path / f"{HOSTILE}"),
        command("predict", "--model", tmp_path / HOSTILE, "--features", folder / "strong.npy", "--out",
                tmp_path / f"{HOSTILE}.csv"),
        command(HOSTILE),
    ]  # fmt: skip
    assert [done.code for done in outputs] == [0, 2, 2, 2, 0, 0, 2]
    for done in outputs:
        shown = done.out + done.err
        assert shown
        assert not [c for c in shown if c in HOSTILE and not c.isprintable()], repr(shown)
    record = str(study({HOSTILE: world.weak}, world.strong, world.labels["y"].to_numpy(), seeds=1))
    assert r"supervisor a\x1b[31m\x9b1m\rb\x07\u202e" in record


def test_a_defect_is_one_line_that_asks_for_a_report(
    command, monkeypatch: pytest.MonkeyPatch, world: World
) -> None:
    def broken(*_: object) -> None:
        raise KeyError("no such\nthing \x1b")

    monkeypatch.setattr(examples, "load_example", broken)
    done = command("study", "--example", "diabetes")
    assert done.code == 1
    assert done.err.count("\n") == 1
    assert done.err.startswith(
        "weakstrong: a defect of weakstrong 0.1.0: KeyError: 'no such\\nthing \\x1b'; "
    )
    done = command("study", "--example", "diabetes", "--traceback")
    assert done.code == 1
    assert "Traceback (most recent call last)" in done.err


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MemoryError(), "weakstrong: not memory enough (for this input); give less of it, or use"),
        (MemoryError("Unable to allocate 9 GiB"), "weakstrong: not memory enough (Unable to allocate 9 GiB)"),
        (InputError("a fault", "n_folds"), "weakstrong: a fault (--n-folds)"),
        (OSError(28, "No space left on device", "x"), "weakstrong: [Errno 28] No space left on device: 'x'"),
    ],
)
def test_faults_of_input_and_machine_are_one_line_and_exit_code_2(
    command, monkeypatch: pytest.MonkeyPatch, error: Exception, said: str
) -> None:
    def broken(*_: object) -> None:
        raise error

    monkeypatch.setattr(examples, "load_example", broken)
    done = command("study", "--example", "diabetes")
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert done.err.startswith(said)


def test_a_study_in_python_says_what_it_found(world: World) -> None:
    found = study({"a": world.weak}, world.strong, world.labels["y"].to_numpy(), seeds=1)
    lines = str(found).splitlines()
    assert lines[:2] == ["study: y", "heads l2, student strong, supervisor a"]
    assert any("the student is better than its supervisor" in line for line in lines)
    assert lines[-1].startswith("note: every ball's radius is chosen")
    assert "..." not in str(found)


def test_help_of_the_whole_says_how_faults_end(command) -> None:
    assert "--traceback" in command("--help").out
    assert cli.app.help


def test_one_is_not_said_in_the_plural(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    terminal.show(terminal.study_table(study({"a": world.weak}, world.strong, world.labels["y"], seeds=1)))
    shown = capsys.readouterr().out
    assert "(1 division, " in shown
    assert pd.Series(shown.split()).isin(["divisions,"]).sum() == 0
