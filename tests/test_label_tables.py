"""Weak labels that exist already: read as they are given, or combined over workers by mean or majority."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weakstrong import InputError
from weakstrong.data import label_tables
from weakstrong.data.label_tables import LabelTable, read_label_table
from weakstrong.votes import GivenLabels, combined, combined_matrix

LONG = "id,who,y\n007,ann,0.5\nNA,bob,1.5\n007,bob,1.0\nx,ann,2.0\nNA,NA,2.5\nx,bob,\n"


def votes(seed: int, n: int = 8, m: int = 40, *, few: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Row numbers and labels of random votes, of few distinct values, so that there are ties."""
    rng = np.random.default_rng(seed)
    labels = rng.choice([-0.5, 0.1, 0.3, 1e3], size=m) if few else rng.normal(size=m)
    return rng.integers(0, n, m), labels


def by_row(rows: np.ndarray, labels: np.ndarray) -> dict[int, list[float]]:
    found = defaultdict(list)
    for row, label in zip(rows.tolist(), labels.tolist(), strict=True):
        found[row].append(label)
    return found


def slowly(labels: list[float], vote: str) -> float:
    times = Counter(labels)
    most = [label for label, count in times.items() if count == max(times.values())]
    return float(np.mean(labels if vote == "mean" else most))


def written(folder: Path, content: str, name: str = "f.csv") -> Path:
    (folder / name).write_text(content, encoding="utf-8")
    return folder / name


def refused(path: Path, **settings: Any) -> tuple[str, tuple[str, ...]]:
    with pytest.raises(InputError) as caught:
        read_label_table(path, **settings)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(str(path))
    return str(caught.value), caught.value.settings


def assert_same(a: GivenLabels, b: GivenLabels) -> None:
    np.testing.assert_array_equal(a.values, b.values)
    np.testing.assert_array_equal(a.counts, b.counts)
    assert a.noise == b.noise


# Laws of combining


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(1, 12), m=st.integers(0, 60), few=st.booleans())
@pytest.mark.parametrize("vote", ["mean", "majority"])
def test_votes_are_those_of_a_slow_loop(vote: str, seed: int, n: int, m: int, few: bool) -> None:
    rows, labels = votes(seed, n, m, few=few)
    found, expected = combined(rows, labels, n, vote), by_row(rows, labels)
    np.testing.assert_array_equal(found.labelled, [row in expected for row in range(n)])
    np.testing.assert_array_equal(found.counts, [len(expected[row]) for row in range(n)])
    for row in np.flatnonzero(found.labelled):
        assert found.values[row] == pytest.approx(slowly(expected[row], vote), rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("seed", range(20))
def test_noise_is_the_pooled_variance_within_rows(seed: int) -> None:
    rows, labels = votes(seed, few=seed % 2 == 0)
    groups = [g for g in by_row(rows, labels).values() if len(g) > 1]
    expected = sum(np.var(g) * len(g) for g in groups) / sum(len(g) - 1 for g in groups)
    for vote in ("mean", "majority"):
        found = combined(rows, labels, 8, vote)
        assert found.noise == pytest.approx(expected, rel=1e-12)
        left = pytest.approx(expected * np.mean(1 / found.counts[found.counts > 0]))
        assert found.noise_of_value == (left if vote == "mean" else None)  # of a majority it is unknown


@pytest.mark.parametrize("vote", ["mean", "majority"])
def test_the_order_of_labels_changes_no_bit(vote: str) -> None:
    rows, labels = votes(0, few=False)
    order = np.random.default_rng(1).permutation(len(rows))
    assert_same(combined(rows, labels, 8, vote), combined(rows[order], labels[order], 8, vote))


@pytest.mark.parametrize("vote", ["mean", "majority"])
@pytest.mark.parametrize("exponent", [-500, -30, 3, 330])
def test_a_power_of_two_scales_exactly(vote: str, exponent: int) -> None:
    rows, labels = votes(2)
    scale = 2.0**exponent
    found, plain = combined(rows, labels * scale, 8, vote), combined(rows, labels, 8, vote)
    np.testing.assert_array_equal(found.values, plain.values * scale)
    assert found.noise == plain.noise * scale * scale
    assert found.noise > 0


@pytest.mark.parametrize("vote", ["mean", "majority"])
def test_a_shift_moves_values_and_leaves_noise(vote: str) -> None:
    rows, labels = votes(3)
    found, plain = combined(rows, labels + 1e6, 8, vote), combined(rows, labels, 8, vote)
    np.testing.assert_allclose(found.values, plain.values + 1e6, rtol=1e-14)
    assert found.noise == pytest.approx(plain.noise, rel=1e-9)


def test_large_labels_do_not_overflow_and_equal_ones_keep_every_bit() -> None:
    found = combined(np.repeat([0, 1], 10), np.tile([1e100, -1e100], 10), 2)
    np.testing.assert_allclose(found.values, 0, atol=1e86)
    assert found.noise == pytest.approx(1e200 * 20 / 18)
    equal = combined(np.repeat([0, 1], 3), np.repeat([0.1, 1e100 / 3], 3), 2)
    np.testing.assert_array_equal(equal.values, [0.1, 1e100 / 3])
    assert equal.noise == 0.0
    with pytest.raises(InputError, match="overflow"):
        combined(np.zeros(2, dtype=int), np.array([1e160, 0.0]), 1)


def test_noise_is_unbiased() -> None:
    """With rows of one to four labels; the variance that divides by counts is not."""
    rng = np.random.default_rng(0)
    rows = np.repeat(np.arange(40), rng.integers(1, 5, 40))
    truth = rng.normal(size=40) * 10
    draws = truth[rows] + 0.5 * rng.normal(size=(2000, len(rows)))
    found = [combined(rows, draw, 40) for draw in draws]
    noise = np.array([f.noise for f in found])
    assert abs(noise.mean() - 0.25) < 4 * noise.std() / np.sqrt(len(noise))
    counts = found[0].counts
    biased = noise * (counts - 1).sum() / counts[counts > 1].sum()
    assert abs(biased.mean() - 0.25) > 4 * biased.std() / np.sqrt(len(biased))
    left = np.mean([((f.values - truth) ** 2).mean() for f in found])
    assert np.mean([f.noise_of_value for f in found]) == pytest.approx(left, rel=0.02)


@pytest.mark.parametrize("vote", ["mean", "majority"])
def test_a_matrix_is_its_long_form(vote: str) -> None:
    rng = np.random.default_rng(0)
    matrix = np.where(rng.random((20, 5)) < 0.5, rng.choice([0.1, 0.2, 0.4], (20, 5)), np.nan)
    matrix[3] = np.nan
    rows, workers = np.nonzero(~np.isnan(matrix))
    assert_same(combined_matrix(matrix, vote), combined(rows, matrix[rows, workers], 20, vote))
    assert np.isnan(combined_matrix(matrix, vote).values[3])


def test_what_cannot_be_combined() -> None:
    rows, labels = votes(0)
    with pytest.raises(InputError, match="give 'mean' or 'majority'"):
        combined(rows, labels, 8, "median")
    with pytest.raises(InputError, match="7 is no row of 7"):
        combined(np.array([0, 7]), labels[:2], 7)
    with pytest.raises(InputError, match="a label for each row number"):
        combined(rows, labels[1:], 8)
    with pytest.raises(InputError, match="whole numbers"):
        combined(rows + 0.5, labels, 8)
    with pytest.raises(InputError, match=r"row 1 .* is NaN"):
        combined(rows[:2], np.array([0.0, np.nan]), 8)
    with pytest.raises(InputError, match=r"matrix: row 0, column 1 .* infinite"):
        combined_matrix(np.array([[np.nan, np.inf]]))
    with pytest.raises(InputError, match="a column for each worker"):
        combined_matrix(labels)


# Given labels


def test_labels_are_placed_and_taken() -> None:
    rows, labels = votes(4)
    some = combined(rows, labels, 8)
    order = np.array([9, 3, 4, 0, 1, 7, 8, 2])
    placed = some.place(order, 10)
    assert_same(placed.take(order), some)
    assert np.flatnonzero(~placed.labelled).tolist() == [5, 6]
    assert placed.counts[[5, 6]].tolist() == [0, 0]
    assert placed.share == 0.8
    assert placed.noise_of_value == pytest.approx(some.noise_of_value)
    assert_same(placed.take(placed.labelled), placed.take(np.flatnonzero(placed.labelled)))


def test_single_labels_have_no_counts_and_what_labels_nothing_no_noise() -> None:
    single = GivenLabels(np.array([1.0, np.nan])).place(np.array([2, 0]), 3)
    np.testing.assert_array_equal(single.values, [np.nan, np.nan, 1.0])
    assert single.counts is None
    assert single.noise_of_value is None
    assert single.take(np.array([2])).share == 1.0
    assert GivenLabels(np.ones(2), noise=0.3).noise_of_value == 0.3
    none = combined(np.array([], dtype=int), np.array([]), 2)
    assert (none.share, none.noise, none.counts.tolist()) == (0.0, None, [0, 0])
    assert combined(np.array([0, 1]), np.array([1.0, 2.0]), 2).noise is None
    assert combined(np.array([0, 0]), np.array([1.0, 2.0]), 2).take(np.array([1])).noise_of_value is None
    assert GivenLabels(np.array([])).share == 0.0


# Tables with a column for each supervisor


def test_each_column_is_a_supervisor_and_an_empty_cell_an_abstention(tmp_path: Path) -> None:
    path = written(tmp_path, "id,a,b,g,w\n007,0.5,,01,1\nNA,1.5,2.5,NA,2\nx,,3.5,02,3\n")
    table = read_label_table(path, id_column="id", others=("w", "absent"), names=("g",))
    assert list(table.supervisors) == ["a", "b"]
    assert table.ids.tolist() == ["007", "NA", "x"]
    np.testing.assert_array_equal(table.supervisors["a"].values, [0.5, 1.5, np.nan])
    np.testing.assert_array_equal(table.supervisors["b"].labelled, [False, True, True])
    assert table.supervisors["a"].counts is None
    assert table.frame["g"].tolist() == ["01", "NA", "02"]
    assert table.frame["w"].tolist() == [1, 2, 3]
    assert (table.notes, table.source) == ((), path)
    chosen = read_label_table(path, columns=("b", "b"))
    assert list(chosen.supervisors) == ["b"]
    assert chosen.ids is None


WIDE = {
    "labels nothing": ("id,a,b\nx,0.5,\ny,1.5,\n", {}, "column 'b' labels nothing: remove the column"),
    "one value": (
        "id,a\nx,0.5\ny,0.5\nz,\n",
        {},
        "column 'a': every label is 0.5; a student can learn nothing from them: remove the column",
    ),
    "text classes": (
        "id,a\nx,yes\ny,no\n",
        {"task": "regression"},
        "is not a number, as a label is",
    ),
    "one class": ("id,a\nx,yes\ny,yes\n", {}, "column 'a': every label is 'yes'; a student can learn"),
    "fractions": (
        "id,a\nx,0.5\ny,1.5\n",
        {"task": "classification"},
        "row 0 (counted from 0): 0.5 has a fraction",
    ),
    "no distribution": (
        "id,a[no],a[yes]\nx,0.5,0.5\ny,0.2,0.2\n",
        {},
        "columns a[...]: the probabilities of row 1 (counted from 0) sum to 0.4, not to 1",
    ),
    "half a distribution": ("id,a[no],a[yes]\nx,0.5,0.5\ny,0.2,\n", {}, "row 1 (counted from 0) has the"),
    "a slip": ("id,a\nx,0.5\ny,1.5\nz,<5\n", {}, "column 'a', row 2 (counted from 0): '<5' is not a number"),
    "no column left": ("id,w\nx,0.5\n", {"others": ["w"]}, "no column of labels is left; columns: id, w"),
    "no such column": ("id,a\nx,0.5\n", {"columns": ["b"]}, "no column 'b'; columns: id, a"),
    "two uses": ("id,a\nx,0.5\n", {"columns": ["id"]}, "column 'id' cannot be labels and ids"),
    "no id": ("id,a\nx,0.5\n,1.5\n", {}, "column 'id', row 1 (counted from 0): no id"),
    "no name": (",id,a\n0,x,0.5\n1,y,1.5\n", {}, "column '' is a saved row index"),
    "a saved index": ("Unnamed: 0,id,a\n0,x,0.5\n1,y,1.5\n", {}, "column 'Unnamed: 0' is a saved row index"),
    "an index": ("n,id,a\n3,x,0.5\n4,y,1.5\n5,z,2\n", {}, "column 'n' counts the rows; name it as the id"),
}


@pytest.mark.parametrize("kind", WIDE)
def test_columns_that_are_no_labels(tmp_path: Path, kind: str) -> None:
    content, given, said = WIDE[kind]
    assert said in refused(written(tmp_path, content), id_column="id", **given)[0]


def test_an_id_that_occurs_twice_may_have_labels_of_workers(tmp_path: Path) -> None:
    said, named = refused(written(tmp_path, LONG), id_column="id", columns=("y",))
    assert "id '007' occurs in rows 0 and 2 (counted from 0); remove or rename one; or, if an id has" in said
    assert "labels of several workers, name their column" in said
    assert named == ("worker",)
    said, named = refused(written(tmp_path, LONG), id_column="key")
    assert "no column 'key' to use as id; columns: id, who, y" in said
    assert named == ("id",)


def test_what_counts_the_rows_is_a_label_where_it_is_asked_for(tmp_path: Path) -> None:
    path = written(tmp_path, "n,a\n3,0.5\n4,1.5\n5,2\n")
    assert list(read_label_table(path, columns=("n",)).supervisors) == ["n"]


def test_ratings_are_read_as_quantities_or_as_classes(tmp_path: Path) -> None:
    wide = written(tmp_path, "id,a\n" + "".join(f"{i},{i % 2}\n" for i in range(9)))
    numbers = read_label_table(wide, id_column="id", task="regression").supervisors["a"]
    np.testing.assert_array_equal(numbers.values, np.arange(9) % 2)
    classes = read_label_table(wide, id_column="id").supervisors["a"]
    assert classes.classes == ("0", "1")
    np.testing.assert_array_equal(classes.values[:, 1], np.arange(9) % 2)


@pytest.mark.parametrize("vote", ["mean", "majority"])
def test_classes_of_workers_are_combined_class_by_class(tmp_path: Path, vote: Any) -> None:
    rows = ["a,1,yes", "a,2,no", "a,3,yes", "b,1,no", "b,2,no", "c,1,maybe", "c,2,yes", "d,3,"]
    path = written(tmp_path, "id,who,y\n" + "\n".join(rows) + "\n")
    given = read_long(path, vote=vote).supervisors["y"]
    assert given.classes == ("maybe", "no", "yes")
    shares = [[0, 1 / 3, 2 / 3], [0, 1, 0], [0.5, 0, 0.5]]
    most = [[0, 0, 1], [0, 1, 0], [0.5, 0, 0.5]]  # a tie is shared
    np.testing.assert_allclose(given.values, most if vote == "majority" else shares)
    one_hot = np.eye(3)
    apart = [[one_hot[2], one_hot[1], one_hot[2]], [one_hot[1]] * 2, [one_hot[0], one_hot[2]]]
    squares = sum(((np.array(of) - np.mean(of, axis=0)) ** 2).sum() for of in apart)
    assert given.noise == pytest.approx(squares / (2 + 1 + 1))
    each = read_label_table(path, id_column="id", worker="who", each_worker=True).supervisors
    assert set(each) == {"y", "1", "2"}  # worker 3 names one class alone
    np.testing.assert_array_equal(each["2"].values, [[0, 1, 0], [0, 1, 0], [0, 0, 1]])


# Tables with a row for each label


def read_long(path: Path, **given: Any) -> LabelTable:
    return read_label_table(path, id_column="id", worker="who", **given)


@pytest.mark.parametrize("ending", ["csv", "csv.gz", "parquet"])
def test_the_labels_of_workers_are_combined(tmp_path: Path, ending: str) -> None:
    frame = pd.read_csv(written(tmp_path, LONG), dtype={"id": str, "who": str}, keep_default_na=False)
    frame["y"] = pd.to_numeric(frame["y"])
    path = tmp_path / f"v.{ending}"
    frame.to_parquet(path) if ending == "parquet" else frame.to_csv(path, index=False)
    table = read_long(path)
    [(name, found)] = table.supervisors.items()
    assert name == "y"
    assert table.ids.tolist() == ["007", "NA", "x"]
    np.testing.assert_array_equal(found.values, [0.75, 2.0, 2.0])
    assert found.counts.tolist() == [2, 2, 1]
    assert found.noise == pytest.approx((0.125 + 0.5) / 2)
    assert table.frame is None
    assert table.notes == (
        f"{path}: 5 labels of 3 workers on 3 ids, 1.7 each; the mean is supervisor 'y'; one worker's label "
        "varies by 0.31 (variance) about its id's mean",
    )


def test_the_majority_is_that_of_the_votes(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame([(f"{i:03d}", f"w{w}") for i in range(50) for w in range(7)], columns=["id", "who"])
    frame["y"] = rng.choice([0.25, 0.5, 1.5], len(frame))
    frame = frame.sample(frac=0.6, random_state=0)
    frame.to_csv(tmp_path / "v.csv", index=False)
    table = read_long(tmp_path / "v.csv", vote="majority")
    expected = [slowly(frame["y"][frame["id"] == i].tolist(), "majority") for i in table.ids]
    np.testing.assert_allclose(table.supervisors["y"].values, expected, rtol=1e-15)
    assert "the majority is supervisor 'y'" in table.notes[0]
    assert table.ids.tolist() == frame["id"].drop_duplicates().tolist()


def test_each_worker_is_a_supervisor_but_those_that_say_one_thing(tmp_path: Path) -> None:
    path = written(tmp_path, LONG + "x,e\x1bve,\nx,dan,0.5\n007,dan,0.5\n")
    table = read_long(path, each_worker=True)
    assert list(table.supervisors) == ["y", "ann", "bob"]
    np.testing.assert_array_equal(table.supervisors["ann"].values, [0.5, np.nan, 2.0])
    np.testing.assert_array_equal(table.supervisors["bob"].values, [1.0, 1.5, np.nan])
    assert table.supervisors["ann"].counts is None
    assert table.notes[1:] == (
        f"{path}: workers without two different labels, so no supervisors of their own: NA, e\\x1bve, dan",
    )
    assert read_long(path).supervisors.keys() == {"y"}


def test_an_id_without_a_label_is_left_out_and_a_single_label_has_no_noise(tmp_path: Path) -> None:
    table = read_long(written(tmp_path, "id,who,y\na,1,\nb,1,0.5\nc,2,1.5\nb,1,\n"))
    assert table.ids.tolist() == ["b", "c"]
    assert table.supervisors["y"].noise is None
    assert "2 labels of 2 workers on 2 ids, 1.0 each" in table.notes[0]
    assert "no id has two labels, so their noise is unknown" in table.notes[0]


LONG_FAULTS = {
    "no worker": ("id,who,y\na,1,0.5\nb,,\n", {}, "column 'who', row 1 (counted from 0): no worker"),
    "no id": ("id,who,y\na,1,0.5\n,2,1.5\n", {}, "column 'id', row 1 (counted from 0): no id"),
    "twice": (
        "id,who,y\na,1,0.5\nb,1,\nb,1,1.5\na,2,1.5\na,1,2.5\n",
        {},
        "worker '1' labels id 'a' in rows 0 and 4 (counted from 0); a worker labels an id once: remove one",
    ),
    "two columns": ("id,who,y,z\na,1,1,2\n", {}, "name one column of labels; columns: y, z"),
    "no column": ("id,who,y\na,1,1\n", {"names": ["y"]}, "no column of labels is left; columns: id, who, y"),
    "labels nothing": ("id,who,y\na,1,\nb,1,\n", {}, "column 'y' labels nothing: give labels"),
    "one mean": (
        "id,who,y\na,1,0.1\na,2,0.3\nb,1,0.2\nb,2,0.2\n",
        {},
        "column 'y': every id's mean is 0.2; a student can learn nothing from them: give labels that differ",
    ),
    "one majority": (
        "id,who,y\na,1,0.5\na,2,0.5\na,3,2\nb,1,0.5\n",
        {"vote": "majority"},
        "every id's majority is 0.5; a student can learn nothing",
    ),
    "a name twice": (LONG.replace("ann", "y"), {"each_worker": True}, "worker 'y' is named as the column of"),
    "no two labels": (
        "id,who,y\na,1,0.5\nb,2,1.5\n",
        {"each_worker": True},
        "no worker gives two different labels",
    ),
    "classes": (
        "id,who,y\na,1,yes\nb,2,no\n",
        {"task": "regression"},
        "is not a number, as a label is",
    ),
}


@pytest.mark.parametrize("kind", LONG_FAULTS)
def test_votes_that_are_none(tmp_path: Path, kind: str) -> None:
    content, given, said = LONG_FAULTS[kind]
    assert said in refused(written(tmp_path, content), id_column="id", worker="who", **given)[0]


@pytest.mark.parametrize(
    ("given", "said", "named"),
    [
        ({"worker": "who"}, "name the column of ids", ("id",)),
        ({"each_worker": True}, "name the column of workers", ("worker",)),
        ({"worker": "id", "id_column": "id"}, "column 'id' cannot be ids and workers too", ("id", "worker")),
        ({"worker": "by", "id_column": "id"}, "no column 'by' to use as worker; columns: id", ("worker",)),
    ],
)
def test_columns_that_do_not_go_together(tmp_path: Path, given: dict, said: str, named: tuple) -> None:
    message, settings_named = refused(written(tmp_path, LONG), **given)
    assert said in message
    assert settings_named == named


def test_an_index_of_pandas_is_no_label(tmp_path: Path) -> None:
    frame = pd.DataFrame({"id": ["a", "b"], "y": [0.5, 1.5]}, index=pd.Index([2.5, 1.0], name="k"))
    frame.to_parquet(tmp_path / "f.parquet")
    assert "column 'k' is a saved row index" in refused(tmp_path / "f.parquet", id_column="id")[0]


def test_the_memory_that_each_worker_takes_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many workers on many ids, few each, would take far more than their table."""
    path, asked = written(tmp_path, LONG), []
    monkeypatch.setattr(label_tables, "refuse_too_large", lambda *claim: asked.append(claim))
    read_long(path, each_worker=True)
    assert asked == [(8 * 3 * 3, f"{path}: the labels of 3 workers, a row of every id for each,")]
