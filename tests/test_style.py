"""Linting, formatting and types are tests."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import without

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    "check",
    [("ruff", "check", "."), ("ruff", "format", "--check", "."), ("mypy",)],
    ids=["lint", "format", "types"],
)
def test_style(check: tuple[str, ...]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *check], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("ci", "outcome"), [("true", "Failed"), ("1", "Failed"), ("", "Skipped"), ("false", "Skipped")]
)
def test_tests_without_their_data_fail_where_every_change_is_tested(ci: str, outcome: str) -> None:
    with pytest.raises(BaseException, match="no data") as raised:
        without("no data", {"CI": ci})
    assert type(raised.value).__name__ == outcome
