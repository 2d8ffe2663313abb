"""A command killed at a file operation and given again leaves what an uninterrupted one leaves."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.killing import CASES, kill_and_repeat, other_settings, twice_at_once


def some(count: int, total: int) -> list[int]:
    """So many operations, spread over all, the last ones among them: there the result is put in place."""
    spread = {1 + round(i * (total - 1) / (count - 1)) for i in range(count)}
    return sorted(spread | {total - 1})


@pytest.mark.parametrize(("name", "kills"), [("study", 3), ("fit", 3), ("predict", 3), ("embed", 2)])
def test_a_killed_command_ends_in_the_same_files(tmp_path: Path, name: str, kills: int) -> None:
    results = list(kill_and_repeat(CASES[name], tmp_path, lambda total: some(kills, total)))
    assert len(results) >= kills
    assert [r for r in results if r[1]] == []


@pytest.mark.parametrize(
    ("name", "differ"), [("predict", False), ("fit", True), ("study", False), ("study", True)]
)
def test_of_two_commands_at_once_one_wins_whole(tmp_path: Path, name: str, differ: bool) -> None:
    case = CASES[name]
    assert twice_at_once(case, tmp_path, other_settings(case) if differ else None) == []
