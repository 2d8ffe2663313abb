"""What users' files hold is read as it is written there, in every format, or refused in one line."""

from __future__ import annotations

import gzip
import io
import os
import warnings
import zipfile
from collections.abc import Callable
from contextlib import suppress
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

from tests.conftest import World
from weakstrong import InputError, study
from weakstrong.data import tables, user_files
from weakstrong.data.columns import numeric_column, real_valued
from weakstrong.data.ids import texts_of
from weakstrong.data.index_files import published_content
from weakstrong.data.tables import read_features, read_table, text_column, write_table
from weakstrong.molecules.corpora import read_smiles
from weakstrong.studies.files import read_inputs
from weakstrong.studies.settings import StudyConfig, load_config, read_toml

NAMES = ["000", "7", "7.0", "NA", "nan", "None", "null", "True", "1e5", "X17"]
VALUES = np.arange(20.0).reshape(10, 2) / 8


def written(folder: Path, content: str | bytes, name: str = "f.csv") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def refused(read: Callable[..., Any], *arguments: Any) -> str:
    with pytest.raises(InputError) as caught:
        read(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# Names


def test_ids_are_text_as_it_is_written_in_every_format(tmp_path: Path) -> None:
    """Padded with spaces or not, they join."""
    frame = pd.DataFrame(VALUES, columns=["a", "b"]).assign(id=[f" {name} " for name in NAMES])
    frame.to_csv(tmp_path / "f.csv", index=False)
    frame.to_parquet(tmp_path / "f.parquet")
    frame.astype({"id": "category"}).to_parquet(tmp_path / "c.parquet")
    np.savez(tmp_path / "f.npz", features=VALUES, ids=frame["id"].to_numpy(dtype=str))
    for name in ("f.csv", "f.parquet", "c.parquet", "f.npz"):
        assert list(read_features(tmp_path / name, "id").ids) == NAMES
    numbers = {"csv": pd.DataFrame.to_csv, "parquet": pd.DataFrame.to_parquet}
    for ending, write in numbers.items():
        write(frame.assign(id=range(10)), tmp_path / f"n.{ending}", index=False)
        assert list(read_features(tmp_path / f"n.{ending}", "id").ids) == list("0123456789")


def test_an_empty_id_is_missing_in_every_format(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": [1.5, 2.5], "id": ["x", " "]})
    frame.to_csv(tmp_path / "f.csv", index=False)
    frame.to_parquet(tmp_path / "f.parquet")
    np.savez(tmp_path / "f.npz", features=[[1.5], [2.5]], ids=["x", " "])
    for name in ("f.csv", "f.parquet", "f.npz"):
        assert "row 1 (counted from 0): no id" in refused(read_features, tmp_path / name, "id")


def test_groups_of_a_long_table_are_not_split_by_pieces(tmp_path: Path) -> None:
    """Pandas types a long column in pieces: 000 would be 0 in some of them and 000 in others."""
    n = 30_000
    plates = np.array([f"{i % 40:03d}" for i in range(n)], dtype=object)
    plates[-7] = "X17"
    extra = {f"c{i}": np.arange(n) % 7 for i in range(36)}
    frame = pd.DataFrame({"y": np.arange(n) / 3, "plate": plates, **extra})
    frame.to_csv(tmp_path / "labels.csv", index=False)
    np.save(tmp_path / "f.npy", np.ones((n, 1)))
    config = StudyConfig(
        weak=(tmp_path / "f.npy",), strong=(tmp_path / "f.npy",), labels=tmp_path / "labels.csv", target="y",
        groups="plate",
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        inputs = read_inputs(config)
    assert inputs.groups is not None
    assert list(inputs.groups) == list(plates)


def test_truth_values_in_one_piece_of_a_long_column_are_no_numbers(tmp_path: Path) -> None:
    cells = ["1.5"] * 200_000 + ["True"] * 200_000
    path = written(tmp_path, "a\n" + "\n".join(cells) + "\n")
    assert "'True' is not a number" in refused(read_features, path)


def test_roles_are_text(tmp_path: Path) -> None:
    path = written(tmp_path, "id,s,t\n01,train,0\n02, NA ,1\n03,,1.0\n")
    frame = read_table(path, None)
    assert texts_of(frame["id"], path).to_list() == ["01", "02", "03"]
    assert texts_of(frame["s"], path).to_list() == ["train", "NA", ""]
    assert texts_of(frame["t"], path).to_list() == ["0", "1", "1.0"]


def test_other_columns_have_missing_values_by_their_names(tmp_path: Path) -> None:
    path = written(tmp_path, "id,v\nNA,NA\n2,null\n3,5\n")
    for keys in ((), ("id",)):
        values = numeric_column(read_table(path, keys)["v"], path, allow_missing=True)
        np.testing.assert_array_equal(values, [np.nan, np.nan, 5])


def test_names_that_are_no_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "f.parquet"
    for name in ([1], b"a", {"a": 1}):
        parquet.write_table(pa.table({"a": [1.5, 2.5], "id": [name, name]}), path)
        assert "names are text or whole numbers" in refused(read_features, path, "id")
    large = 2**60 + 1  # no float is this
    parquet.write_table(pa.table({"g": [large, None]}), path)
    assert texts_of(read_table(path)["g"], path).to_list() == [str(large), ""]
    path = written(tmp_path, "id,a\n" + "x" * 200_000 + ",1\n" + "x" * 200_000 + ",2\n")
    assert len(refused(read_features, path, "id")) < 400
    monkeypatch.setattr(user_files, "available_memory", lambda: 1e6)
    assert "whose longest id has 200000 characters, claims 0.0016 GB" in refused(read_features, path, "id")


# First lines


@pytest.mark.parametrize(
    "name",
    ["Unnamed: 0", "index", "Index", "__index_level_0__", "level_0", "row", "row_id", "rownames", "id"],
)
def test_a_saved_row_index_is_no_feature(tmp_path: Path, name: str) -> None:
    frame = pd.DataFrame({name: range(10), "a": VALUES[:, 0]})
    for first in (0, 1):
        frame[name] = np.arange(10) + first
        frame.to_csv(tmp_path / "f.csv", index=False)
        frame.astype(float).to_parquet(tmp_path / "f.parquet")
        for ending in ("csv", "parquet"):
            said = refused(read_features, tmp_path / f"f.{ending}")
            assert f"column {name!r} is a saved row index" in said
    assert read_features(tmp_path / "f.csv", name).names == ("a",)
    if not name.startswith("Unnamed"):  # nobody else gives such a name
        frame[name] = np.arange(10)[::-1]
        frame.to_csv(tmp_path / "f.csv", index=False)
        assert read_features(tmp_path / "f.csv").names == (name, "a")


def test_a_feature_may_count_the_rows(tmp_path: Path) -> None:
    for text in ("time,a\n0,5\n1,6\n2,7\n", "index,a\n1,5\n2,6\n", "indexed,a\n0,5\n1,6\n2,7\n"):
        assert read_features(written(tmp_path, text)).values.shape[1] == 2


@pytest.mark.parametrize("first", ["3,5", "0,2", "1,2", "1", "0.5,1", "-1,1e3", "True,False", "5,NaN", ",7"])
def test_a_table_without_names_is_refused(tmp_path: Path, first: str) -> None:
    path = written(tmp_path, f"{first}\n" + "3,4\n" * 5)
    for read in (read_features, read_table):
        assert "its first line holds numbers; add a line of column names" in refused(read, path)


@pytest.mark.parametrize("first", ["0,1", "id,0,1", "y,0", "400nm,1", "id,400"])
def test_numbers_may_be_names(tmp_path: Path, first: str) -> None:
    row = ",".join(["7"] * len(first.split(",")))
    assert list(read_table(written(tmp_path, f"{first}\n{row}\n"))) == first.split(",")


# Lines


def test_a_blank_line_is_a_row_of_empty_cells_but_at_the_end(tmp_path: Path) -> None:
    for end in ("\n", "\r\n", "\r"):
        for before, after in (("", ""), ("\ufeff", end), (end, end * 3 + " \t " + end)):
            one = written(tmp_path, before + end.join(["y", "0.5", "", " ", '""', "1.5"]) + after)
            values = real_valued(read_table(one)["y"], one, allow_missing=True)
            np.testing.assert_array_equal(values, [0.5, np.nan, np.nan, np.nan, 1.5])
            two = written(tmp_path, before + end.join(["y,z", "1,2", "", ",", "3,4"]) + after)
            assert read_table(two)["z"].fillna(-1).to_list() == [2, -1, -1, 4]
    assert "row 1 (counted from 0): a missing value" in refused(read_features, two)


def test_an_empty_cell_at_the_end_is_a_row(tmp_path: Path) -> None:
    pd.DataFrame({"y": [1.5, np.nan, np.nan]}).to_csv(tmp_path / "f.csv", index=False)
    assert len(read_table(tmp_path / "f.csv")) == 3
    assert len(read_table(written(tmp_path, "y,z\n1,2\n,\n\n"))) == 2


def test_blank_lines_are_rows_across_pieces(tmp_path: Path) -> None:
    """Wherever a piece of the text ends."""
    rng = np.random.default_rng(0)
    lines = ["" if rng.random() < 0.5 else "0.25" for _ in range(300_000)]
    path = written(tmp_path, "y\r\n" + "\r\n".join([*lines, "1"]) + "\r\n" * 200_000)
    values = real_valued(read_table(path)["y"], path, allow_missing=True)
    np.testing.assert_array_equal(values, [float(line or "nan") for line in [*lines, "1"]])


def test_a_line_break_in_quotes_is_no_row(tmp_path: Path) -> None:
    path = written(tmp_path, '\ufeff"the\nid",b\r\n"x\r\n\r\ny",3\r\nz,4\r\n\r\n')
    found = read_features(path, "the\nid")
    assert list(found.ids) == ["x\r\n\r\ny", "z"]
    assert found.values.tolist() == [[3], [4]]


def test_blank_lines_are_texts_too(tmp_path: Path) -> None:
    path = written(tmp_path, "smiles,name\nCCO,a\n\nNaN,b\n\n")
    assert text_column(path, read_table(path), "smiles") == ["CCO", "", "NaN"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("température,b\n1,2\n".encode("latin-1"), "perhaps Latin-1"),
        ("a,b\n1,2\n".encode("utf-16"), "perhaps UTF-16; save it as UTF-8"),
        ("a,b\n1,2\n".encode("utf-16-le"), "UTF-16; save it as UTF-8"),
        (b"a,b\n1,2\x005\n", "NUL characters"),
        (gzip.compress(b"a,b\n1,2\n", mtime=0), "perhaps gzipped; name it .csv.gz"),
        (b"a" * 5_000_000, "its first line has more than 4,194,304 characters"),
        (b"a,b\n1," + b"9" * 2_000_000 + b"\n", "is not a number"),
        (b"a,b\n1," + b"9" * 400 + b"\n", "infinity"),
        (b'a,b\n1,"2\n3,4\n', "EOF inside string"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_table(tmp_path: Path, content: bytes, said: str) -> None:
    message = refused(read_features, written(tmp_path, content))
    assert said in message
    assert len(message) < 400


def test_names_in_utf_8_are_read_whatever_the_locale(tmp_path: Path) -> None:
    for encoding in ("utf-8", "utf-8-sig"):
        path = written(tmp_path, 'target = "température"\n'.encode(encoding), "f.toml")
        assert read_toml(path) == {"target": "température"}
        assert list(read_table(written(tmp_path, "température\n1.5\n".encode(encoding)))) == ["température"]


# Kinds of numbers


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        ([date(2020, 1, 1)] * 3, "dates or times"),
        ([datetime(2020, 1, 1)] * 3, "dates or times"),
        ([time(1)] * 3, "dates or times"),
        ([timedelta(1)] * 3, "dates or times"),
        ([b"1.5"] * 3, "bytes"),
        ([{"a": 1}] * 3, "records"),
        ([[1.0]] * 3, "lists"),
        ([None, None, None], "a missing value"),
        ([True, None, False], "a missing value"),
        (["1.5", "x", "2.5"], "'x' is not a number"),
    ],
)
def test_columns_that_are_no_numbers(tmp_path: Path, cells: list, said: str) -> None:
    parquet.write_table(pa.table({"v": cells}), tmp_path / "f.parquet")
    assert said in refused(read_features, tmp_path / "f.parquet")
    if "missing" not in said:
        frame = read_table(tmp_path / "f.parquet")
        assert said in refused(lambda: real_valued(frame["v"], tmp_path))


@pytest.mark.parametrize(
    "cells",
    [
        pa.array([Decimal("1.5"), Decimal("2.5")]),
        pa.array([1.5, 2.5, 1.5]).dictionary_encode(),
        pa.array(np.float16([1.5, 2.5])),
        pa.array([True, False]),
        pa.array(["1.5", "2.5"]),
        pa.array([1, 2], pa.uint64()),
    ],
)
def test_columns_that_are_numbers(tmp_path: Path, cells: pa.Array) -> None:
    parquet.write_table(pa.table({"v": cells}), tmp_path / "f.parquet")
    np.testing.assert_array_equal(
        read_features(tmp_path / "f.parquet").values[:, 0], [float(cell) for cell in cells.to_pylist()]
    )


@pytest.mark.parametrize("dtype", [">f8", ">f4", "g", ">i4"])
def test_arrays_are_in_the_order_of_bytes_of_the_machine(tmp_path: Path, dtype: str) -> None:
    np.save(tmp_path / "f.npy", np.arange(6).reshape(3, 2).astype(dtype))
    found = read_features(tmp_path / "f.npy").values
    assert found.dtype.isnative
    assert found.dtype.itemsize <= 8
    np.testing.assert_array_equal(found, np.arange(6).reshape(3, 2))


@pytest.mark.parametrize("values", [np.array([["2020"]], "M8[D]"), np.array([[b"1"]]), np.array([[1j]])])
def test_arrays_that_are_no_numbers(tmp_path: Path, values: np.ndarray) -> None:
    np.save(tmp_path / "f.npy", values)
    np.savez(tmp_path / "f.npz", values)
    for name in ("f.npy", "f.npz"):
        assert "features are real numbers" in refused(read_features, tmp_path / name)


# What Parquet adds


def test_names_of_columns_that_are_numbers_are_text(tmp_path: Path) -> None:
    pd.DataFrame(VALUES).to_parquet(tmp_path / "f.parquet")
    assert read_features(tmp_path / "f.parquet").names == ("0", "1")
    assert read_table(tmp_path / "f.parquet")["0"].to_list() == VALUES[:, 0].tolist()


def test_named_levels_of_an_index_are_columns(tmp_path: Path) -> None:
    path, frame = tmp_path / "f.parquet", pd.DataFrame(VALUES, columns=["a", "b"])
    index = pd.MultiIndex.from_arrays([NAMES, range(10), VALUES[:, 0]], names=["id", None, "c"])
    frame.set_axis(index).to_parquet(path)
    assert sorted(read_table(path)) == ["a", "b", "c", "id"]
    assert "'c' is an index, so it is no feature" in refused(read_features, path, "id")
    frame.set_axis(index.droplevel("c")).to_parquet(path)
    found = read_features(path, "id")
    assert list(found.ids) == NAMES
    assert found.names == ("a", "b")
    frame.set_axis(pd.RangeIndex(10, name="id")).to_parquet(path)
    assert list(read_features(path, "id").ids) == list("0123456789")
    frame.assign(id=NAMES).set_index("id", drop=False).to_parquet(path)
    assert list(read_features(path, "id").ids) == NAMES
    frame[frame["a"] > 1].to_parquet(path)  # an index without a name, as a selection has
    assert read_features(path).names == ("a", "b")


@pytest.mark.parametrize(
    "said_by_pandas", ["{garbage", "[]", '{"index_columns": ["gone"], "columns": []}', ""]
)
def test_a_table_is_read_whatever_pandas_says_of_it(tmp_path: Path, said_by_pandas: str) -> None:
    table = pa.table({"a": VALUES[:, 0]}).replace_schema_metadata({"pandas": said_by_pandas})
    parquet.write_table(table, tmp_path / "f.parquet")
    np.testing.assert_array_equal(read_features(tmp_path / "f.parquet").values[:, 0], VALUES[:, 0])


def test_tables_of_parquet_that_are_none(tmp_path: Path) -> None:
    path = tmp_path / "f.parquet"
    parquet.write_table(pa.table([[1.5], [2.5]], names=["a", "a"]), path)
    assert "column 'a' occurs twice" in refused(read_table, path)
    parquet.write_table(pa.table({"a": pa.array([], pa.float64())}), path)
    assert "the table is empty" in refused(read_table, path)
    pd.DataFrame({"v": pd.period_range("2020", periods=3)}).to_parquet(path)
    assert "dates or times" in refused(read_features, path)
    pd.DataFrame({"v": pd.interval_range(0, 3)}).to_parquet(path)
    assert "holds Interval" in refused(read_features, path)


# What is no file, or claims to be another


@pytest.mark.parametrize(
    "name", ["f.csv", "f.csv.gz", "f.parquet", "f.npy", "f.npz", "f.toml", "f.smi", "f.pkl"]
)
def test_pipes_folders_and_devices_are_refused_unopened(tmp_path: Path, name: str) -> None:
    """A pipe would be waited for, and a device has no end."""
    readers = {"toml": read_toml, "smi": read_smiles, "pkl": published_content}
    path, read = tmp_path / name, readers.get(name[2:], read_features)
    os.mkfifo(path)
    assert "it is a pipe or device, no file" in refused(read, path)
    path.unlink()
    path.symlink_to("/dev/zero")
    assert "it is a pipe or device, no file" in refused(read, path)
    path.unlink()
    path.mkdir()
    assert "it is a folder, no file" in refused(read, path)
    path.rmdir()
    assert "cannot be read (No such file or directory)" in refused(read, path)


def npz(path: Path, shape: tuple[int, ...], content: bytes) -> Path:
    """Write an archive whose header claims a shape."""
    member = io.BytesIO()
    header = {"descr": "<f8", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(member, header)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("features.npy", member.getvalue() + content)
    return path


@pytest.mark.parametrize("shape", [(10**15, 10**15), (8, 2), (2, 2), (0, 4), (-2, 4)])
def test_arrays_that_claim_another_size_than_they_have(tmp_path: Path, shape: tuple[int, int]) -> None:
    path = npz(tmp_path / "f.npz", shape, bytes(64))
    with zipfile.ZipFile(path) as archive:
        (tmp_path / "f.npy").write_bytes(archive.read("features.npy"))
    for name in ("f.npy", "f.npz"):
        assert "is damaged: shape" in refused(read_features, tmp_path / name)


def test_a_truncated_array_says_so(tmp_path: Path) -> None:
    np.save(tmp_path / "f.npy", VALUES)
    content = (tmp_path / "f.npy").read_bytes()
    assert "160 bytes, and 155 are there" in refused(read_features, written(tmp_path, content[:-5], "f.npy"))
    assert "EOF" in refused(read_features, written(tmp_path, content[:50], "f.npy"))
    np.savez(tmp_path / "f.npz", VALUES)
    content = (tmp_path / "f.npz").read_bytes()
    assert "not a zip file" in refused(read_features, written(tmp_path, content[:-5], "f.npz"))


def test_more_than_memory_holds_is_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An archive of zeros is a thousandth of what it inflates to, and a column of one value still less."""
    path = npz(tmp_path / "f.npz", (10_000, 100), bytes(8_000_000))
    parquet.write_table(pa.table({"a": np.zeros(1_000_000)}), tmp_path / "f.parquet")
    assert max(path.stat().st_size, (tmp_path / "f.parquet").stat().st_size) < 10_000
    assert read_features(path).values.shape == (10_000, 100)
    monkeypatch.setattr(user_files, "available_memory", lambda: 1e6)
    assert "claims 0.008 GB, and 0.001 GB of memory are free" in refused(read_features, path)
    assert "claims 0.008 GB" in refused(read_features, tmp_path / "f.parquet")


def test_text_that_fills_the_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "f.csv.gz"
    path.write_bytes(gzip.compress(b"a,b\n" + b"0,0\n" * 20_000_000, 1))
    monkeypatch.setattr(tables, "available_memory", lambda: 1e6)
    assert "not memory enough to read it" in refused(read_features, path)


def test_a_system_that_does_not_say_how_much_memory_it_has(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert user_files.available_memory() > 1e6
    for content in ("", "MemAvailable: none\n"):
        monkeypatch.setattr(user_files, "_MEMORY", written(tmp_path, content, "meminfo"))
        assert user_files.available_memory() == np.inf


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("a = " + "[" * 5000 + "]" * 5000, "nested too deeply"),
        ("a = 1\n" * 200_000, "too long for settings"),
        ("a = " + "9" * 5000, "not TOML"),
        ("a = 'température'".encode("latin-1"), "perhaps Latin-1"),
        ("a = 1".encode("utf-16"), "perhaps UTF-16"),
        ("weak = 1\n= 2", "not TOML"),
        ('weak = "w"\nstrong = "s"\nlabels = "l"\ntrue_labels = inf', "give a share between 0 and 1"),
        ('weak = "w"\nstrong = "s"\nlabels = "l"\ntrue_labels = nan', "give a share between 0 and 1"),
    ],
    ids=range(8),
)
def test_settings_that_cannot_be_read(tmp_path: Path, content: str | bytes, said: str) -> None:
    assert said in refused(load_config, written(tmp_path, content, "f.toml"), {})


# Targets that are integers


def test_a_target_of_few_integers_is_a_regression_if_one_says_so(
    world: World, command: Callable[..., Any]
) -> None:
    folder, ratings = world.folder, np.clip(np.round(world.labels["y"]), 1, 5)
    labels, strong = folder / "labels.csv", folder / "strong.npy"
    world.labels.assign(y=ratings).to_csv(labels, index=False)
    doing = {
        "study": ("--weak", folder / "weak.npy", "--strong", strong, "--labels", labels, "--seeds", 1),
        "fit": ("--features", strong, "--weak-labels", labels, "--out", folder / "student"),
    }
    for name, flags in doing.items():
        ran = command(name, *flags, "--target", "y")
        assert ran.code == 0, ran.err
        assert "'y' holds 5 distinct whole numbers, which are taken as classes; if they are" in ran.out
        again = ["--overwrite"] if name == "fit" else []
        ran = command(name, *flags, "--target", "y", "--task", "regression", *again)
        assert ran.code == 0, ran.err
        assert "taken as classes" not in ran.out
    with pytest.raises(InputError, match="a few distinct whole numbers as floats") as caught:
        study({"w": world.weak}, world.strong, ratings, seeds=1)
    assert caught.value.settings == ("task",)
    assert study({"w": world.weak}, world.strong, ratings, seeds=1, task="regression").results


def test_text_and_truth_values_are_refused_whatever_the_task(world: World) -> None:
    for values in ([True, False] * 6, ["yes", "no"] * 6, [True, None, False] * 4):
        assert "classification" in refused(
            lambda values=values: real_valued(pd.Series(values, dtype=object), world.folder)
        )
    with pytest.raises(InputError, match="true and false"):
        study({"w": world.weak}, world.strong, world.labels["y"] > 3, task="regression")


@pytest.mark.parametrize("first", [range(60), ["a"] * 60, np.linspace(0, 1, 60)])
@pytest.mark.parametrize("end", ["", ",", ",7", ",,"])
def test_rows_longer_than_the_first_line_are_never_shifted(tmp_path: Path, first: Any, end: str) -> None:
    rows = [f"{n},0.{i + 10},9.5{end}" for i, n in enumerate(first)]
    path = written(tmp_path, "\n".join(["n,y,z", *rows]))
    if end in (",7", ",,"):
        assert "its rows have more cells than its first line has names" in refused(read_table, path)
        return
    for keys in ((), ("n",)):  # an empty cell at the end of every row is none, or refused
        with suppress(InputError):
            values = read_table(path, keys)["y"]
            np.testing.assert_array_equal(values, [float(f"0.{i + 10}") for i in range(60)])


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("Unnamed: 0", [2, 0, 1, 5]), ("Unnamed: 0", [0.5, 1.5, 2.0, 9.0]), ("row_id", [100, 101, 102, 103]),
        ("X", [1, 2, 3, 4]), ("index", [7, 8, 9, 10]),
    ],
)  # fmt: skip
def test_saved_row_indexes_of_other_starts_and_orders_are_no_features(
    tmp_path: Path, name: str, values: list
) -> None:
    frame = pd.DataFrame({name: values, "a": [0.1, 0.2, 0.4, 0.3]})
    frame.to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(InputError, match=f"column '{name}' is a saved row index"):
        read_features(tmp_path / "t.csv")
    assert len(read_features(tmp_path / "t.csv", name).values) == 4
    frame.rename(columns={name: "x"}).to_csv(tmp_path / "t.csv", index=False)
    assert read_features(tmp_path / "t.csv").values.shape == (4, 2)


def test_an_index_of_parquet_is_the_id_or_refused_as_a_feature(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": [0.1, 0.2, 0.4]}, index=pd.Index([700, 90, 81], name="mol"))
    frame.to_parquet(tmp_path / "t.parquet")
    with pytest.raises(InputError, match="'mol' is an index, so it is no feature"):
        read_features(tmp_path / "t.parquet")
    found = read_features(tmp_path / "t.parquet", "mol")
    assert (found.names, found.ids.tolist()) == (("a",), ["700", "90", "81"])


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz", "t.parquet"])
def test_names_with_breaks_and_quotes_come_back_row_by_row(tmp_path: Path, name: str) -> None:
    names = ["a\rb", "c\nd", 'q"x', "e,f", "g\r\nh", "007"]
    write_table(pd.DataFrame({"id": names, "y": [0.5] * 6}), tmp_path / name)
    assert read_table(tmp_path / name, ("id",))["id"].to_list() == names


def test_smiles_of_any_line_ends_are_read(tmp_path: Path) -> None:
    for ends in ("\n", "\r\n", "\r"):
        (tmp_path / "m.smi").write_bytes(f"CCO name{ends}{ends}CC{ends}".encode())
        assert read_smiles(tmp_path / "m.smi").smiles == ["CCO", "", "CC"]


@pytest.mark.parametrize("cells", ["TRUE FALSE", "true false", "True False", "1 0", "1.0 0.0"])
def test_held_out_rows_are_marked_as_programs_write_them(command: Any, world: World, cells: str) -> None:
    held, kept = cells.split()
    column = [held if i % 5 == 0 else kept for i in range(120)]
    pd.DataFrame({"s": column}).to_csv(world.folder / "s.csv", index=False)
    folder = world.folder
    ran = command(
        "study", "--weak", folder / "weak.npy", "--strong", folder / "strong.npy", "--target", "y",
        "--labels", folder / "labels.csv", "--splits", folder / "s.csv", "--seeds", 1,
    )  # fmt: skip
    assert ran.code == 0, ran.err
    assert "24 held-out rows" in ran.out


def test_an_output_is_never_an_input(command: Any, world: World) -> None:
    folder = world.folder
    fit = (
        "fit",
        "--features",
        folder / "strong.npy",
        "--target",
        "y",
        "--out",
        folder / "m",
        "--weak-labels",
    )
    assert command(*fit, folder / "labels.csv").code == 0
    world.labels[["id", "y"]].to_csv(folder / "m.csv", index=False)
    before = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    predict = ("predict", "--model", folder / "m", "--features", folder / "m.csv", "--out", folder / "m.csv")
    for given in (predict, (*fit, folder / "m" / "predictions.csv")):
        ran = command(*given, "--overwrite")
        assert (ran.code, "is, or holds, the input" in ran.err) == (2, True), ran.err
    assert {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()} == before


def test_predictions_beyond_float64_are_refused(command: Any, world: World) -> None:
    folder = world.folder
    np.save(folder / "tiny.npy", world.strong * 1e-300)
    np.save(folder / "large.npy", world.strong * 1e99)
    fit = ("fit", "--features", folder / "tiny.npy", "--weak-labels", folder / "labels.csv", "--target", "y")
    assert command(*fit, "--no-clip", "--out", folder / "m").code == 0
    ran = command("predict", "--model", folder / "m", "--features", folder / "large.npy", "--out",
                  folder / "p.csv")  # fmt: skip
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "large.npy: row 0 (counted from 0): its prediction is beyond float64" in ran.err
