"""Records: what is written comes back, and what is no whole record is refused."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from weakstrong import Estimate, InputError, Predictions, Record, Result, record
from weakstrong.whole_files import write_list

ROOT = Path(__file__).parents[1]


@pytest.fixture
def made() -> Record:
    estimates = {
        "gain": Estimate.of_mean(np.arange(4.0), np.arange(4)),
        "more": [{"x": Estimate.of_share(1, 2)}],
    }
    return Record(
        kind="study",
        title="a title",
        settings={"seed": 3, "heads": ["l2"]},
        results=(
            Result({"supervisor": "a", "heads": "l2"}, estimates, {"rows": 4, "nothing": None}, ("said",)),
            Result({"supervisor": "b", "heads": "l2"}, {}),
        ),
        facts={"target": "y"},
        notes=("a note",),
        provenance={"numpy": "2"},
        key="k",
        tables={"divisions": pd.DataFrame({"gain": [1.5, 1 / 3], "split": ["s", "t"]})},
        predictions=Predictions(pd.DataFrame({"row": [0, 1], "y_true": [0.1, 1 / 3]})),
        figures={"figure.png": b"\x89PNG"},
    )


def _written(made: Record, folder: Path) -> Path:
    made.write(folder)
    write_list(folder)
    return folder


def test_a_record_comes_back_whole(made: Record, tmp_path: Path) -> None:
    back = Record.read(_written(made, tmp_path))
    for name in ("kind", "title", "settings", "facts", "notes", "provenance", "key", "figures"):
        assert getattr(back, name) == getattr(made, name), name
    assert [r.about for r in back.results] == [r.about for r in made.results]
    first = back.result(supervisor="a")
    assert str(first.estimates["gain"]) == str(made.results[0].estimates["gain"])
    assert first.estimates["more"][0]["x"].value == 0.5
    assert (first.facts, first.findings) == ({"rows": 4, "nothing": None}, ("said",))
    pd.testing.assert_frame_equal(back.tables["divisions"], made.tables["divisions"], check_exact=True)
    pd.testing.assert_frame_equal(back.predictions.table, made.predictions.table, check_exact=True)
    assert Record.read(tmp_path, tables=False).tables == {}
    with pytest.raises(KeyError, match="2 results are about"):
        back.result(heads="l2")


def test_names_come_back_as_text_and_numbers_with_all_digits(made: Record, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    names = ["007", "NA", "nan", "1e3", "True", "", " x", "None"]
    table = pd.DataFrame({"id": names, "supervisor": names, "cluster": names, "y_true": rng.normal(size=8)})
    _written(replace(made, predictions=Predictions(table), tables={"divisions": table}), tmp_path)
    back = Record.read(tmp_path)
    for found in (back.predictions.table, back.tables["divisions"]):
        pd.testing.assert_frame_equal(found, table, check_exact=True)


def test_many_predictions_are_kept_as_parquet(
    made: Record, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("weakstrong.record._MANY_ROWS", 1)
    back = Record.read(_written(made, tmp_path))
    assert (tmp_path / "predictions.parquet").exists()
    pd.testing.assert_frame_equal(back.predictions.table, made.predictions.table)
    (tmp_path / "predictions.parquet").unlink()  # a copy may leave them out
    assert Record.read(tmp_path).predictions is None


def test_what_is_no_whole_record_of_this_version_is_refused(made: Record, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no whole record"):
        Record.read(tmp_path / "nowhere")
    folder = _written(made, tmp_path)
    summary = folder / "summary.json"
    text = summary.read_text()
    summary.write_text(text.replace(f'"schema": {record.SCHEMA}', '"schema": 0'))
    write_list(folder)
    with pytest.raises(InputError, match="not a record of this version"):
        Record.read(folder)
    for damaged in ("[]", text[:-20], text.replace('"facts"', '"fact"'), "[" * 100_000):
        summary.write_text(damaged)
        write_list(folder)
        with pytest.raises(InputError, match="make the record again"):
            Record.read(folder)
    summary.write_text(text)
    write_list(folder)
    (folder / "figure.png").unlink()
    with pytest.raises(InputError, match=r"no whole record \(figure\.png is missing\)"):
        Record.read(folder)


@pytest.mark.parametrize(
    "name", ["config.toml", "divisions.csv", "predictions.csv", "figure.png", "summary.json"]
)
@pytest.mark.parametrize("damage", [lambda content: content[:-1], lambda content: content + b" "])
def test_a_record_that_was_changed_is_refused_by_the_name_of_the_file(
    made: Record, tmp_path: Path, name: str, damage: Callable[[bytes], bytes]
) -> None:
    folder = _written(made, tmp_path)
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(damage(content))
    with pytest.raises(InputError, match=f"no whole record .{re.escape(name)} is not as it was written"):
        Record.read(folder)
    (folder / name).write_bytes(content)
    assert Record.read(folder).title == made.title


def test_every_committed_record_can_be_read() -> None:
    folders = [path.parent for path in sorted((ROOT / "results").rglob("summary.json"))]
    assert len(folders) == 12 + 6 + 16 + 12 + 18 + 4 + 19
    for folder in folders:
        found = Record.read(folder)
        assert found.results
        assert found.figures
        assert found.tables


def test_settings_of_any_characters_come_back(made: Record, tmp_path: Path) -> None:
    odd = "a\x7fb\x00\x1b\u2028é\\\"'\r\n\t"
    back = Record.read(_written(replace(made, settings={"target": odd}), tmp_path))
    assert back.settings == {"target": odd}
