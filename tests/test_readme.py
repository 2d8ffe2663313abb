"""What the README shows runs as it stands."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from functools import reduce
from operator import getitem
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def _blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def test_the_quickstart_runs_and_is_ten_lines() -> None:
    [quickstart] = _blocks("python")
    assert len([line for line in quickstart.splitlines() if line.strip()]) <= 10
    done = subprocess.run(
        [sys.executable, "-c", quickstart], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    [shown] = _blocks("text")
    assert done.stdout == shown


def test_the_two_commands_are_there() -> None:
    shell = "\n".join(_blocks("sh"))
    assert 'pip install -c constraints.txt -e ".[nn]" && weakstrong reproduce' in shell
    assert 'pip install -c constraints.txt -e ".[test]" && pytest' in shell


@pytest.mark.parametrize(
    "line", [b for b in "\n".join(_blocks("sh")).splitlines() if b.startswith("weakstrong")]
)
def test_commands_shown_are_commands_there_are(command, line: str) -> None:
    words = line.split()
    known = command(words[1], "--help").out
    for flag in re.findall(r"--[a-z-]+", line):
        assert flag in known


def _rounded(quoted: str, value: float) -> bool:
    """Whether a number as shown is the value rounded to the digits shown."""
    digits = len(quoted.partition(".")[2])
    return abs(float(quoted.replace(",", "")) - value) <= 0.51 * 10**-digits


def script(path: str) -> ModuleType:
    """A script outside the package, as a module."""
    spec = importlib.util.spec_from_file_location(Path(path).stem, ROOT / path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look there
    spec.loader.exec_module(module)
    return module


def _block(name: str) -> list[str]:
    """Lines of the README between the marks of a name, but empty ones."""
    [text] = re.findall(rf"<!-- {name}: begin -->\n(.*?)<!-- {name}: end -->", README, flags=re.DOTALL)
    return [line for line in text.splitlines() if line]


BENCHMARK = json.loads((ROOT / "benchmarks" / "results" / "heads.json").read_text())


def test_tables_are_those_of_the_records() -> None:
    shown = script("results/study/run.py").front_tables() | script("results/synthetic/run.py").front_tables()
    shown["benchmark"] = script("benchmarks/heads.py").table(BENCHMARK)
    shown |= script("results/molecules/run.py").front_tables()
    for name in ("synthetic", "molecules", "supervision"):
        record = json.loads((ROOT / "benchmarks" / "results" / f"{name}.json").read_text())
        lines = script(f"benchmarks/{name}.py").table(record)
        shown[f"benchmark {name}"] = [line for line in lines if line]
    probes = json.loads((ROOT / "models" / "probes.json").read_text())
    shown["models"] = script("models/make.py").front_table(probes)
    assert set(re.findall(r"<!-- ([\w ]+): begin -->", README)) == set(shown)
    for name, lines in shown.items():
        assert len(lines) > 5
        assert _block(name) == lines


def test_numbers_in_the_text_are_those_of_the_records() -> None:
    of_benchmark = re.findall(r"([\d.,]+)<!-- (\w+(?:/\w+)+) -->", README)
    of_studies = re.findall(r"(-?[\d.]+)<!-- ([\w-]+) (\w+) (\w+) -->", README)
    assert len(of_benchmark) >= 2
    assert len(of_studies) >= 4
    for number, place in of_benchmark:
        assert _rounded(number, reduce(getitem, place.split("/"), BENCHMARK)), place
    for number, study, supervisor, estimate in of_studies:
        record = json.loads((ROOT / "results" / "study" / study / "summary.json").read_text())
        value = record["supervisors"][supervisor]["estimates"][estimate]["value"]
        assert _rounded(number, value), (study, estimate)
    of_variants = re.findall(r"(-?[\d.]+)<!-- variant: (.+?) / ([\w-]+) / (\w+) -->", README)
    assert len(of_variants) >= 2
    variants = pd.read_csv(ROOT / "results" / "synthetic" / "sensitivity.csv").set_index(
        ["variant", "target"]
    )
    for number, variant, target, statistic in of_variants:
        assert _rounded(number, variants.loc[(variant, target), statistic]), (variant, target)
    of_synthetic = re.findall(r"(-?[\d.]+)<!-- synthetic (\w+) (\w+(?:/\w+)+)( percent)? -->", README)
    assert len(of_synthetic) >= 4
    for number, target, place, percent in of_synthetic:
        record = json.loads((ROOT / "results" / "synthetic" / target / "summary.json").read_text())
        value = reduce(getitem, place.split("/"), record) * (100 if percent else 1)
        assert _rounded(number, value), (target, place)
