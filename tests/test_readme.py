"""What the README shows runs as it stands."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def _blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def test_the_quickstart_runs_and_is_ten_lines() -> None:
    [quickstart] = _blocks("python")
    assert len([line for line in quickstart.splitlines() if line.strip()]) <= 11
    done = subprocess.run(
        [sys.executable, "-c", quickstart], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    assert "cross_term" in done.stdout


def test_the_two_commands_are_there() -> None:
    shell = "\n".join(_blocks("sh"))
    assert "pip install -c constraints.txt -e . && weakstrong study --example diabetes" in shell
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


def test_numbers_of_the_benchmark_are_those_of_the_record() -> None:
    record = json.loads((ROOT / "benchmarks" / "results" / "heads.json").read_text())
    numbers = re.findall(r"([\d.,]+)[×*]*<!-- ([\w.]+(?:/[\w.]+)+) -->", README)
    assert len(numbers) >= 9
    for quoted, place in numbers:
        found = record
        for key in place.split("/"):
            found = found[key]
        assert _rounded(quoted, found), place


def test_numbers_of_the_studies_are_those_of_the_records() -> None:
    quoted = re.findall(r"(-?[\d.]+)<!-- ([\w-]+) ([\w]+) (\w+) -->", README)
    assert len(quoted) >= 6
    for number, study, supervisor, estimate in quoted:
        record = json.loads((ROOT / "results" / "study" / study / "summary.json").read_text())
        assert _rounded(number, record["supervisors"][supervisor]["estimates"][estimate]["value"])
