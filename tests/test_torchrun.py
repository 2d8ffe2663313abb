"""Numbers of processes in the environment are read, or refused in one line."""

from __future__ import annotations

import pytest

from weakstrong.errors import InputError
from weakstrong.molecules.torchrun import from_torchrun


def test_without_torchrun_there_is_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert from_torchrun("WORLD_SIZE", 1) == 1
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("RANK", "0")
    assert (from_torchrun("WORLD_SIZE", 1), from_torchrun("RANK", 0)) == (4, 0)


@pytest.mark.parametrize("text", ["", "two", "1.5", "-1", "0", "\u0664", "9" * 5000, " 4", "1_0"])
def test_what_is_no_number_of_processes_is_one_line(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("WORLD_SIZE", text)
    with pytest.raises(InputError, match=r"WORLD_SIZE = .* a whole number of at least 1 is needed") as error:
        from_torchrun("WORLD_SIZE", 1)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 300
