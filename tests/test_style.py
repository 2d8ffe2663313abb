"""Linting, formatting and types are tests."""

from __future__ import annotations

import ast
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


def _names_no_encoding(call: ast.Call) -> bool:
    """Whether a call opens text in the encoding of the locale."""
    name = getattr(call.func, "attr", getattr(call.func, "id", ""))
    if name not in ("read_text", "write_text", "open") or any(k.arg == "encoding" for k in call.keywords):
        return False
    owner = getattr(getattr(call.func, "value", None), "id", "")
    modes = [a.value for a in call.args if isinstance(a, ast.Constant) and isinstance(a.value, str)]
    return owner not in ("gzip", "os", "archive") and not (
        name == "open" and any("b" in mode for mode in modes)
    )


def test_text_is_never_in_the_encoding_of_the_locale() -> None:
    assert _names_no_encoding(ast.parse("path.read_text()").body[0].value)
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for room in ("src", "examples", "benchmarks")
        for path in (ROOT / room).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and _names_no_encoding(node)
    ]
    assert found == []


@pytest.mark.parametrize(
    ("ci", "outcome"), [("true", "Failed"), ("1", "Failed"), ("", "Skipped"), ("false", "Skipped")]
)
def test_tests_without_their_data_fail_where_every_change_is_tested(ci: str, outcome: str) -> None:
    with pytest.raises(BaseException, match="no data") as raised:
        without("no data", {"CI": ci})
    assert type(raised.value).__name__ == outcome
