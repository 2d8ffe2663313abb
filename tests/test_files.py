"""Reading users' files: what is accepted agrees, and each fault is one line that names its place."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from weakstrong import InputError
from weakstrong.data.columns import real_valued
from weakstrong.data.index_files import published_split, read_index_lists
from weakstrong.data.tables import read_features, read_table
from weakstrong.identity import fingerprint
from weakstrong.molecules.chembench import load_chembench


@pytest.fixture
def matrix() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(6, 3))


def test_every_format_gives_the_same_features(tmp_path: Path, matrix: np.ndarray) -> None:
    frame = pd.DataFrame(matrix, columns=["a", "b", "c"])
    frame.insert(0, "key", [f"{i:02d}" for i in range(6)])
    frame.to_csv(tmp_path / "f.csv", index=False)
    frame.to_csv(tmp_path / "f.csv.gz", index=False)
    frame.to_parquet(tmp_path / "f.parquet")
    np.save(tmp_path / "f.npy", matrix)
    np.savez(tmp_path / "f.npz", features=matrix, ids=frame["key"].to_numpy(dtype=str))
    for name in ("f.csv", "f.csv.gz", "f.parquet", "f.npy", "f.npz"):
        found = read_features(tmp_path / name, "key")
        np.testing.assert_allclose(found.values, matrix, rtol=1e-15)
        if name != "f.npy":
            assert found.ids is not None
            assert list(found.ids) == list(frame["key"])  # "00", not 0
        assert found.names == (("a", "b", "c") if "csv" in name or "parquet" in name else None)


def test_numbers_stay_in_the_type_of_their_file(tmp_path: Path, matrix: np.ndarray) -> None:
    """So they need not fit into memory: where they are fitted they are promoted block by block."""
    for dtype in (np.float64, np.float32, np.float16, np.int64, np.bool_):
        np.save(tmp_path / "f.npy", matrix.astype(dtype))
        assert read_features(tmp_path / "f.npy").values.dtype == dtype


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.ones(4), "two-dimensional"),
        (np.array([["a", "b"]]), "real numbers"),
        (np.ones((2, 2)) * 1j, "real numbers"),
        (np.empty((0, 3)), "empty"),
        (np.array([[1.0, 2.0], [3.0, np.nan]]), "row 1, column 1 (counted from 0): a missing value (NaN)"),
        (np.array([[1.0], [-1e200]]), "row 1, column 0 (counted from 0): -1e+200 is too large"),
        (np.array([[1.0, np.inf]], dtype=np.float32), "row 0, column 1 (counted from 0): infinity"),
    ],
)
def test_arrays_that_are_no_feature_matrix(tmp_path: Path, array: np.ndarray, said: str) -> None:
    np.save(tmp_path / "f.npy", array)
    with pytest.raises(InputError, match=r"f\.npy") as caught:
        read_features(tmp_path / "f.npy")
    assert said in str(caught.value)


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    np.save(tmp_path / "objects.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    (tmp_path / "disguised.npy").write_bytes(pickle.dumps(np.ones((2, 2))))
    np.savez(tmp_path / "objects.npz", features=np.array([[None]], dtype=object))
    for name in ("objects.npy", "disguised.npy", "objects.npz"):
        with pytest.raises(InputError, match=r"not a plain numeric array|holds Python objects"):
            read_features(tmp_path / name)
    np.savez(tmp_path / "ids.npz", features=np.ones((2, 2)), ids=np.array(["a", "b"], dtype=object))
    with pytest.raises(InputError, match=r"array 'ids' holds Python objects.*ids\.astype\(str\)"):
        read_features(tmp_path / "ids.npz")
    with pytest.raises(InputError, match=r"give one of \.csv, \.csv\.gz, \.parquet \("):
        read_table(tmp_path / "ids.npz")
    (tmp_path / "f.pkl").write_bytes(pickle.dumps(1))
    with pytest.raises(InputError, match="give one of"):
        read_features(tmp_path / "f.pkl")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the table is empty"),
        ("a,b\n", "the table is empty"),
        ("a,b\n1,x\n", "column 'b', row 0 (counted from 0): 'x' is not a number"),
        ("a,b\n1,2\n3,\n", "column 'b', row 1 (counted from 0): a missing value"),
        ("a,b\n1,inf\n", "column 'b', row 0 (counted from 0): infinity"),
        ("a,b\n1,2\n1,2,3,4\n", "not a readable table"),
        ("a,b\n1,2,3\n4,5,6\n", "its rows have more cells than its first line has names"),
        ("0.5,1.5\n2,3\n", "its first line holds numbers"),
        ("a,b,a\n1,2,3\n", "column 'a' occurs twice"),
        (",a\n0,1.5\n1,2.5\n", "feature column 0 (counted from 0) has no name"),
        ("a;b\n1,5;2\n", "its cells are separated by ';'"),
        ("a,b\n1,1e101\n", "column 'b', row 0 (counted from 0): 1e+101 is too large"),
    ],
)
def test_tables_that_are_no_feature_matrix(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "f.csv").write_text(text)
    with pytest.raises(InputError, match=r"f\.csv") as caught:
        read_features(tmp_path / "f.csv")
    assert said in str(caught.value)


def test_numbered_columns_are_column_names(tmp_path: Path, matrix: np.ndarray) -> None:
    pd.DataFrame(matrix).to_csv(tmp_path / "f.csv", index=False)
    found = read_features(tmp_path / "f.csv")
    assert found.names == ("0", "1", "2")
    np.testing.assert_allclose(found.values, matrix, rtol=1e-15)


def test_damaged_archives_are_not_readable_tables(tmp_path: Path, matrix: np.ndarray) -> None:
    pd.DataFrame(matrix, columns=["a", "b", "c"]).to_csv(tmp_path / "f.csv.gz", index=False)
    content = (tmp_path / "f.csv.gz").read_bytes()
    middle = len(content) // 2
    spoilt = content[:middle] + bytes(255 - b for b in content[middle : middle + 20]) + content[middle + 20 :]
    for damaged in (content[:middle], spoilt, b"a,b\n1,2\n"):
        (tmp_path / "f.csv.gz").write_bytes(damaged)
        with pytest.raises(InputError, match=r"f\.csv\.gz: (not a readable table|cannot be read)"):
            read_table(tmp_path / "f.csv.gz")


def test_what_parquet_adds(tmp_path: Path, matrix: np.ndarray) -> None:
    """A named index is a column; lists in cells are no features."""
    frame = pd.DataFrame(matrix, columns=["a", "b", "c"], index=pd.Index(list("uvwxyz"), name="key"))
    frame.to_parquet(tmp_path / "f.parquet")
    found = read_features(tmp_path / "f.parquet", "key")
    assert list(found.ids) == list("uvwxyz")
    np.testing.assert_array_equal(found.values, matrix)
    pd.DataFrame({"embedding": list(matrix)}).to_parquet(tmp_path / "f.parquet")
    with pytest.raises(InputError, match="column 'embedding' holds lists"):
        read_features(tmp_path / "f.parquet")


def test_any_text_is_an_id(tmp_path: Path) -> None:
    (tmp_path / "f.csv").write_text("id,a\nNA,1\nnull,2\n01,3\n")
    assert list(read_features(tmp_path / "f.csv", "id").ids) == ["NA", "null", "01"]


def test_dates_are_no_features(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": [1.0, 2.0], "day": pd.date_range("2020-01-01", periods=2)})
    frame.to_parquet(tmp_path / "f.parquet")
    with pytest.raises(InputError, match="column 'day' holds dates"):
        read_features(tmp_path / "f.parquet")


def test_damaged_arrays_are_one_line(tmp_path: Path, matrix: np.ndarray) -> None:
    for name, save in (("f.npy", np.save), ("f.npz", np.savez), ("c.npz", np.savez_compressed)):
        save(tmp_path / name, matrix)
        content = (tmp_path / name).read_bytes()
        for place in range(0, len(content), 5):
            spoilt = (
                content[:place] + bytes(255 - b for b in content[place : place + 3]) + content[place + 3 :]
            )
            for damaged in (content[:place], spoilt):
                (tmp_path / name).write_bytes(damaged)
                try:
                    assert np.isfinite(read_features(tmp_path / name).values).all()
                except InputError as error:
                    assert str(error).startswith(str(tmp_path / name))  # noqa: PT017


def test_ids_in_an_archive_are_text_or_whole_numbers(tmp_path: Path, matrix: np.ndarray) -> None:
    np.savez(tmp_path / "f.npz", features=matrix, ids=np.arange(6))
    assert list(read_features(tmp_path / "f.npz").ids) == list("012345")
    for ids in (np.array([b"\xe9"] * 6), np.arange(6.0), np.array("x")):
        np.savez(tmp_path / "f.npz", features=matrix, ids=ids)
        with pytest.raises(InputError, match=r"f\.npz: 'ids' (holds|has shape)"):
            read_features(tmp_path / "f.npz")


def test_files_that_are_not_there(tmp_path: Path) -> None:
    for name in ("no.npy", "no.csv", "no.parquet"):
        with pytest.raises(InputError, match=f"{name}: cannot be read"):
            read_features(tmp_path / name)
    (tmp_path / "bad.parquet").write_bytes(b"no parquet")
    with pytest.raises(InputError, match="not a readable table"):
        read_table(tmp_path / "bad.parquet")


def test_ids_must_be_there_once(tmp_path: Path) -> None:
    (tmp_path / "f.csv").write_text("id,a\nx,1\ny,2\nx,3\n")
    with pytest.raises(InputError, match=r"id 'x' occurs in rows 0 and 2"):
        read_features(tmp_path / "f.csv", "id")
    with pytest.raises(InputError, match="no column 'key'"):
        read_features(tmp_path / "f.csv", "key")
    (tmp_path / "f.csv").write_text("id,a\nx,1\n,2\n")
    with pytest.raises(InputError, match=r"row 1.*no id"):
        read_features(tmp_path / "f.csv", "id")


@pytest.mark.parametrize("column", [["yes", "no"] * 6, [True, False] * 6], ids=["text", "boolean"])
def test_classes_are_no_numbers(tmp_path: Path, column: list) -> None:
    with pytest.raises(InputError, match="set the task to classification") as caught:
        real_valued(pd.Series(column, name="label"), tmp_path / "t.csv")
    assert caught.value.settings == ("task",)


@pytest.mark.parametrize("column", [[0.5, 1.5] * 6, [0, 1] * 6, list(range(12)), [7.0] * 9])
def test_real_values_pass(tmp_path: Path, column: list) -> None:
    np.testing.assert_array_equal(real_valued(pd.Series(column, name="v"), tmp_path), column)


def test_a_slip_in_a_target_is_not_called_a_class(tmp_path: Path) -> None:
    column = pd.Series(["0.5", "1.5", "<5", "2.5"], name="v")
    with pytest.raises(InputError, match=r"row 2 \(counted from 0\): '<5' is not a number; correct it"):
        real_valued(column, tmp_path)


def test_fingerprints_tell_inputs_apart() -> None:
    a = np.arange(6.0)
    prints = {fingerprint(x) for x in (a, a.reshape(2, 3), a.astype(np.float32), a + 1, {"k": 1}, {"k": 2})}
    assert len(prints) == 6
    assert fingerprint(a, {"k": 1}) == fingerprint(a.copy(), {"k": 1})


def test_fingerprints_depend_on_every_part() -> None:
    @dataclass
    class Box:
        parts: dict
        names: tuple = ()

    a = np.arange(3.0)
    boxes = [
        Box({"a": a}), Box({"a": a, "b": a}), Box({"b": a}), Box({"a": a + 1}), Box({"a": a}, ("x",)),
        Box({"a": a}, ("x", "y")), Box({"a": a}, (("x", "y"),)), Box({"a": None}), Box({"a": a.astype(str)}),
        Box({"a": np.array([1, "1"], dtype=object)}), Box({"a": np.array(["1", 1], dtype=object)}),
    ]  # fmt: skip
    prints = [fingerprint(box) for box in boxes]
    assert len(set(prints)) == len(boxes)
    assert fingerprint(Box({"a": a.copy()})) == prints[0]


class _Hostile:
    def __reduce__(self) -> tuple:
        return (eval, ("1/0",))


def test_a_hostile_index_file_runs_nothing() -> None:
    with pytest.raises(InputError, match=r"builtins\.eval"):
        read_index_lists(pickle.dumps(_Hostile()), "split.pkl")
    with pytest.raises(InputError, match="not a readable index file"):
        read_index_lists(b"\x80\x04garbage", "split.pkl")
    with pytest.raises(InputError, match="no lists"):
        read_index_lists(pickle.dumps({"a": "b"}), "split.pkl")
    assert read_index_lists(pickle.dumps([[0, 2], [1]]), "split.pkl") == [[0, 2], [1]]


def test_chembench_files_must_be_the_published_ones(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        load_chembench("ESOL", tmp_path)
    (tmp_path / "ESOL").mkdir()
    (tmp_path / "ESOL" / "ESOL.csv.gz").write_bytes(b"other")
    with pytest.raises(InputError, match="checksum"):
        load_chembench("ESOL", tmp_path)
    with pytest.raises(InputError, match="no such set"):
        load_chembench("QM9", tmp_path)
    (tmp_path / "mine.pkl").write_bytes(pickle.dumps([[0], [1], [2]]))
    with pytest.raises(InputError, match=r"mine\.pkl: not the name of a published"):
        published_split(tmp_path / "mine.pkl")


@pytest.mark.parametrize(
    ("name", "sizes", "spread"),
    [("ESOL", (902, 113, 113), 2.10), ("FreeSolv", (513, 64, 65), 3.84), ("Lipop", (3360, 420, 420), 1.20)],
)
def test_chembench_sets_and_splits_are_those_of_the_paper(
    data_folder: Path, name: str, sizes: tuple[int, int, int], spread: float
) -> None:
    found = load_chembench(name, data_folder)
    assert len(found.smiles) == len(found.y) == sum(sizes)
    assert found.y.std() == pytest.approx(spread, abs=0.02)
    assert not found.smiles.str.contains(r"\s").any()
    assert list(found.splits) == ["122", "123", "124"]
    for seed in found.splits:
        assert tuple((found.splits[seed] == role).sum() for role in ("train", "valid", "test")) == sizes
    assert not found.splits["122"].equals(found.splits["123"])
