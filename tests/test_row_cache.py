"""Rows that are kept: the same whatever computes them, and computed once."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from weakstrong.data import row_cache
from weakstrong.data.row_cache import CHUNK, cached_rows
from weakstrong.errors import InputError
from weakstrong.identity import fingerprint
from weakstrong.whole_files import keep

CALLS: list[int] = []


def lengths(strings: list[str], factor: int) -> np.ndarray:
    CALLS.append(len(strings))
    return np.array([[len(s) * factor, hash(s) % 2 * 0] for s in strings]).reshape(len(strings), 2)


STRINGS = ["x" * (i % 17) for i in range(3 * CHUNK + 5)]


def of(strings: list[str], cache: Path, factor: int = 2, **options: object) -> np.ndarray:
    return cached_rows(lengths, strings, factor, cache=cache, **options)


def test_processes_and_this_one_give_the_same_rows(tmp_path: Path) -> None:
    parallel = of(STRINGS, tmp_path / "a", workers=2)
    np.testing.assert_array_equal(parallel, of(STRINGS, tmp_path / "b", workers=1))
    np.testing.assert_array_equal(parallel[:, 0], [2 * len(s) for s in STRINGS])


def test_a_script_without_a_main_guard_has_processes_too(tmp_path: Path) -> None:
    """They do not run the script, which would start processes without end and say so with each."""
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\n"
        "print('once')\n"
        "from pathlib import Path\n"
        "from tests.test_row_cache import STRINGS, of\n"
        "print(of(STRINGS, Path(sys.argv[1]), workers=2)[:, 0].sum())\n"
    )
    root = Path(__file__).parent.parent
    done = subprocess.run(
        [sys.executable, script, tmp_path / "cache"], env=os.environ | {"PYTHONPATH": str(root)},
        check=False, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert (done.stderr, done.stdout.split()) == ("", ["once", str(2 * sum(map(len, STRINGS)))])


def test_what_was_computed_is_read_and_a_longer_list_shares_its_beginning(tmp_path: Path) -> None:
    of(STRINGS[: 2 * CHUNK], tmp_path, workers=1)
    CALLS.clear()
    of(STRINGS[: 2 * CHUNK], tmp_path, workers=1)
    assert CALLS == []
    of(STRINGS, tmp_path, workers=1)
    assert CALLS == [CHUNK, 5]
    of(STRINGS, tmp_path, factor=3, workers=1)
    assert len(CALLS) == 2 + 4  # another argument is another key


def test_another_library_is_another_key(tmp_path: Path) -> None:
    CALLS.clear()
    for libraries in ((), ("rdkit 1",), ("rdkit 2",)):
        for _ in range(2):
            cached_rows(lengths, STRINGS[:3], 2, libraries=libraries, cache=tmp_path, workers=1)
    assert CALLS == [3] * 3


def test_other_code_is_another_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    CALLS.clear()
    for code in ("a", "b", "b"):
        monkeypatch.setattr(row_cache, "code_hash", lambda module, code=code: code + module)
        cached_rows(lengths, STRINGS[:3], 2, cache=tmp_path, workers=1)
    assert CALLS == [3] * 2


def test_no_strings_are_no_rows(tmp_path: Path) -> None:
    assert of([], tmp_path).shape == (0, 2)


def cut(content: bytes) -> bytes:
    return content[:-7]


def edited(content: bytes) -> bytes:
    return content[:-1] + bytes([content[-1] ^ 1])


@pytest.mark.parametrize("damage", [cut, edited, lambda _: b"junk", lambda _: b""])
@pytest.mark.parametrize("place", [0, 1, -1])
def test_a_damaged_chunk_is_computed_again(
    tmp_path: Path, damage: Callable[[bytes], bytes], place: int
) -> None:
    whole = of(STRINGS, tmp_path, workers=1)
    file = sorted(tmp_path.glob("lengths/*.rows"))[place]
    sound = file.read_bytes()
    file.write_bytes(damage(sound))
    CALLS.clear()
    np.testing.assert_array_equal(of(STRINGS, tmp_path, workers=1), whole)
    assert len(CALLS) == 1
    assert file.read_bytes() == sound


@pytest.mark.parametrize("rows", [np.zeros((1, 2), int), np.zeros((CHUNK, 1), int), np.zeros((CHUNK, 2)), 0])
def test_a_chunk_of_another_shape_or_kind_is_computed_again(tmp_path: Path, rows: np.ndarray) -> None:
    """Whatever its checksum says: a row of another shape would fill all places by broadcasting."""
    whole = of(STRINGS[: 3 * CHUNK], tmp_path, workers=1)
    version = fingerprint(row_cache.code_hash(lengths.__module__), [], (2,))
    buffer = io.BytesIO()
    np.save(buffer, rows)
    keep(
        tmp_path / "lengths" / f"{fingerprint(version, STRINGS[CHUNK : 2 * CHUNK])[:32]}.rows",
        buffer.getvalue(),
    )
    CALLS.clear()
    np.testing.assert_array_equal(of(STRINGS[: 3 * CHUNK], tmp_path, workers=1), whole)
    assert CALLS == [CHUNK]


def test_what_a_killed_run_left_half_written_is_cleared_when_it_is_old(tmp_path: Path) -> None:
    of(STRINGS[:10], tmp_path, workers=1)
    names = [".partial-00000000-a.rows", ".partial-00000001-b.rows", ".partial-mine"]
    for name in names:
        (tmp_path / "lengths" / name).touch()
    for name in names[1:]:
        os.utime(tmp_path / "lengths" / name, (0, 0))
    of(STRINGS[:10], tmp_path, workers=1)
    assert [(tmp_path / "lengths" / name).exists() for name in names] == [True, False, True]


def test_a_cache_without_a_home_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WEAKSTRONG_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)

    def nowhere() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", nowhere)
    with pytest.raises(InputError, match="WEAKSTRONG_CACHE"):
        row_cache.cache_folder()
