"""The command as a whole: help, start-up, faults."""

from __future__ import annotations

import subprocess
import sys

import pytest

import weakstrong
from weakstrong import molecules
from weakstrong.molecules import corpora


@pytest.mark.parametrize(
    "verb", ["fit", "predict", "study", "reproduce", "pretrain", "convert", "embed", "leakage"]
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
