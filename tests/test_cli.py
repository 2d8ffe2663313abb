"""The command as a whole: help, start-up, faults."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import pytest

import weakstrong
from weakstrong import InputError, molecules
from weakstrong.molecules import corpora


@pytest.mark.parametrize(
    "verb", ["fit", "predict", "study", "measure", "reproduce", "pretrain", "convert", "embed", "leakage"]
)
def test_every_verb_has_help_with_an_example(command, verb: str) -> None:
    ran = command(verb, "--help")
    assert ran.code == 0
    assert f"Example: weakstrong {verb}" in " ".join(ran.out.split())


def test_start_up_loads_nothing_heavy() -> None:
    code = (
        "import sys, weakstrong, weakstrong.cli\n"
        "sys.argv = ['weakstrong', '--help']\n"
        "weakstrong.cli.main()\n"
        "heavy = {'torch', 'sklearn', 'pandas', 'matplotlib', 'scipy', 'pyarrow'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "study" in done.stdout


@pytest.mark.parametrize("name", weakstrong.__all__)
def test_every_public_name_is_there_and_documented(name: str) -> None:
    assert name in dir(weakstrong)
    assert getattr(weakstrong, name).__doc__


def test_names_are_still_the_same_after_their_modules_are_loaded() -> None:
    for _ in range(2):
        assert callable(weakstrong.study)
    with pytest.raises(AttributeError, match="no attribute 'frobnicate'"):
        _ = weakstrong.frobnicate


@pytest.mark.parametrize("name", ["ECFPCounts", "RDKitDescriptors", "SmilesEncoder"])
def test_transformers_are_where_they_are_looked_for(name: str) -> None:
    assert name in dir(molecules)
    assert getattr(molecules, name).__doc__
    with pytest.raises(AttributeError, match="no attribute 'Frobnicator'"):
        _ = molecules.Frobnicator


def test_an_interruption_says_what_goes_on(command, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(corpora, "read_corpus", interrupted)
    ran = command("leakage", "--smiles", "a.smi", "--reference", "b.smi", "--out", "c.csv")
    assert ran.code == 130
    assert ran.err == (
        "weakstrong: interrupted; study --out, reproduce, pretrain and embed go on where they stopped\n"
    )


@pytest.mark.parametrize("arguments", [("frobnicate",), ("fit",), ("predict", "--model")])
def test_a_wrong_call_is_one_line_and_exit_code_2(command, arguments: tuple[str, ...]) -> None:
    ran = command(*arguments)
    assert ran.code == 2
    assert ran.err.count("\n") == 1
    assert ran.err.startswith("weakstrong: ")


def test_the_command_line_adds_the_flags_of_the_settings(command, tmp_path: Path) -> None:
    """The library names settings; the exception keeps them when it comes from another process."""
    error = pickle.loads(pickle.dumps(InputError("a fault; another way", "drop_invalid", "out")))
    assert (str(error), error.settings) == ("a fault; another way", ("drop_invalid", "out"))
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "mine.txt").touch()
    ran = command("study", "--example", "diabetes", "--out", tmp_path / "there")
    assert ran.code == 2
    assert ran.err.endswith("choose another (--out)\n")


def test_former_flags_of_fit_still_work_and_say_the_present_ones(command, world) -> None:
    flags = ["fit", "--features", world.folder / "strong.npy", "--weak-labels", world.folder / "labels.csv",
             "--target", "y", "--id", "id", "--out"]  # fmt: skip
    old = command(*flags, world.folder / "old", "--cv", 3)
    new = command(*flags, world.folder / "new", "--n-folds", 3)
    assert (old.code, new.code) == (0, 0)
    assert "note: cv is now called n_folds" in old.err
    assert "note" not in new.err
    heads = [(world.folder / name / "head.npz").read_bytes() for name in ("old", "new")]
    assert heads[0] == heads[1]
    both = command(*flags, world.folder / "both", "--cv", 3, "--n-folds", 3)
    assert (both.code, both.err.count("\n")) == (2, 1)
