"""``weakstrong measure``: against numbers worked out by hand, the study of a record, and bad input."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from weakstrong import Estimate, Record, measure
from weakstrong.data.prediction_files import read_predictions
from weakstrong.record import Result
from weakstrong.studies.findings import with_verdicts
from weakstrong.studies.inputs import StudyInputs
from weakstrong.studies.run import run
from weakstrong.studies.settings import StudyOptions

ROWS = 60


@pytest.fixture
def table() -> pd.DataFrame:
    """Rows of twenty sites, of different weights, some more likely than others to have a true label."""
    rng = np.random.default_rng(5)
    truth = rng.normal(size=ROWS)
    return pd.DataFrame({
        "y_true": truth,
        "y_weak": truth + 0.8 * rng.normal(size=ROWS) + np.repeat(rng.normal(size=20), 3),
        "y_strong": truth + 0.4 * rng.normal(size=ROWS),
        "site": [f"{i // 3:03d}" for i in range(ROWS)],
        "w": rng.uniform(0.5, 3, size=ROWS),
        "p": rng.uniform(0.2, 1, size=ROWS),
    })  # fmt: skip


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small study: two supervisors, two classes of heads, every row judged in several divisions."""
    rng = np.random.default_rng(2)
    strong = rng.normal(size=(70, 4))
    y = strong @ rng.normal(size=4) + rng.normal(size=70)
    weak = {"a": np.abs(strong[:, :2]), "007": strong[:, 1:3] ** 2}
    out = tmp_path_factory.mktemp("study") / "record"
    options = StudyOptions(seeds=4, heads=("linear", "l2"), test_size=0.4)
    run(StudyInputs(weak, {"strong": strong}, y), options, out=out)
    return out


def written(frame: pd.DataFrame, folder: Path) -> Path:
    path = folder / "given.csv"
    frame.to_csv(path, index=False)
    return path


def numbers(estimate: Estimate) -> dict[str, Any]:
    return {field: value for field, value in estimate.to_dict().items() if field != "method"}


def only(path: Path, **columns: Any) -> Result:
    [result] = read_predictions(path, **columns).measured()
    return result


def test_numbers_are_those_worked_out_by_hand(command, table: pd.DataFrame, tmp_path: Path) -> None:
    """Means, and the standard error and interval of clusters of one size."""
    path, out = written(table, tmp_path), tmp_path / "out.json"
    ran = command("measure", path, "--groups", "site", "--out", out)
    assert ran.code == 0, ran.err
    y, w, s = (table[f"y_{of}"].to_numpy() for of in ("true", "weak", "strong"))
    rows = {
        "weak_error": (w - y) ** 2,
        "strong_error": (s - y) ** 2,
        "misfit": (w - s) ** 2,
        "gain": (w - y) ** 2 - (s - y) ** 2,
        "cross_term": 2 * (w - s) * (s - y),
    }
    [result] = json.loads(out.read_text())["results"]
    assert list(result["estimates"]) == [*rows, "slope"]
    slope = result["estimates"]["slope"]["value"]
    assert slope == pytest.approx(-rows["cross_term"].sum() / (2 * rows["misfit"].sum()))
    for name, values in rows.items():
        means = values.reshape(20, 3).mean(axis=1)
        error, found = means.std(ddof=1) / 20**0.5, result["estimates"][name]
        assert found["value"] == pytest.approx(values.mean())
        assert found["standard_error"] == pytest.approx(error)
        assert found["high"] == pytest.approx(values.mean() + 2.093024 * error)  # t of 19 degrees, 97.5%
        assert (found["rows"], found["clusters"]) == (60, 20)
    assert f"{np.mean(rows['gain']):+.4g}" in ran.out
    assert "intervals from 20 clusters, 20 effective" in ran.out
    assert "note: clusters" not in ran.out
    assert "gap recovered" not in ran.out
    assert "ceiling" not in ran.out


@pytest.mark.parametrize("ending", ["csv", "csv.gz", "parquet"])
def test_the_estimates_are_a_table_too(command, table: pd.DataFrame, tmp_path: Path, ending: str) -> None:
    out = tmp_path / f"out.{ending}"
    given = tmp_path / f"given.{ending}"
    table.to_parquet(given) if ending == "parquet" else table.to_csv(given, index=False)
    ran = command("measure", given, "--groups", "site", "--weights", "w", "--out", out)
    assert ran.code == 0, ran.err
    found = pd.read_parquet(out) if ending == "parquet" else pd.read_csv(out)
    assert list(found) == [
        "weak", "strong", "estimate", "value", "low", "high", "standard_error", "degrees_of_freedom", "rows",
        "clusters", "effective_clusters",
    ]  # fmt: skip
    expected = measure(
        table["y_true"], table["y_weak"], table["y_strong"], groups=table["site"], sample_weight=table["w"]
    )
    row = found.set_index("estimate").loc["cross_term"]
    for field in list(found)[3:]:
        assert row[field] == pytest.approx(float(getattr(expected.cross_term, field)), rel=1e-12), field
    assert command("measure", given, "--out", out).err.endswith("(--out, --overwrite)\n")
    assert command("measure", given, "--out", out, "--overwrite").code == 0


def test_a_record_measures_as_its_study_did(command, record: Path, tmp_path: Path) -> None:
    """Estimates, intervals, p-values and verdicts, though rows were judged several times."""
    study, path = Record.read(record), record / "predictions.csv"
    results = read_predictions(path).measured()
    assert [r.about for r in results] == [
        {**r.about, "weak": "y_weak", "strong": "y_strong"} for r in study.results
    ]
    for found, known in zip(results, study.results, strict=True):
        for name, estimate in found.estimates.items():
            expected = known.estimates[name]
            assert numbers(estimate) == pytest.approx(numbers(expected), rel=1e-9), name
        assert {"gain", "misfit", "ceiling_error"} <= set(found.estimates)
        assert found.estimates["gain"].clusters == known.facts["held_out_rows"]
        assert found.facts["rows"] > known.facts["held_out_rows"]
        assert with_verdicts(found).findings[:2] == known.findings[:2]
    ran = command("measure", path, "--out", tmp_path / "out.csv")
    assert ran.code == 0, ran.err
    assert "clusters are those of column 'row'" in ran.out
    for result in study.results:
        assert f"\n{result.about['supervisor']}, {result.about['heads']} heads (" in ran.out
        assert result.findings[0] in ran.out
    assert ran.out.count("gap recovered: ") == len(results) == 4
    more = command("measure", path, "--strong", "y_strong", "y_direct")
    for strong in ("y_strong", "y_direct"):
        assert f"\n007, l2 heads, {strong} (" in more.out
    flat = pd.read_csv(tmp_path / "out.csv", dtype={"supervisor": str})
    assert list(flat)[:5] == ["heads", "student", "supervisor", "weak", "strong"]
    assert set(flat["supervisor"]) == {"a", "007"}


def test_clusters_of_a_record_go_before_its_rows(record: Path, tmp_path: Path) -> None:
    frame = pd.read_csv(record / "predictions.csv").query("supervisor == 'a' and heads == 'l2'")
    frame["cluster"] = "g" + (frame["row"] // 5).astype(str)
    path = written(frame, tmp_path)
    read = read_predictions(path)
    assert read.columns["groups"] == "cluster"
    assert read.measured()[0].estimates["gain"].clusters == frame["cluster"].nunique()
    assert only(path, groups="row").estimates["gain"].clusters == frame["row"].nunique()
    bare = frame.drop(columns=["cluster", "row"])
    read = read_predictions(written(bare, tmp_path))
    assert "every row is a cluster of its own" in read.notes[0]
    assert read.measured()[0].estimates["gain"].clusters == len(frame)


def test_a_row_counts_by_its_weight_over_the_probability_of_its_label(
    table: pd.DataFrame, tmp_path: Path
) -> None:
    path = written(table, tmp_path)
    y, w, s = table["y_true"], table["y_weak"], table["y_strong"]
    for more, weight in (
        ({"weights": "w"}, table["w"]),
        ({"label_probability": "p"}, 1 / table["p"]),
        ({"weights": "w", "label_probability": "p"}, table["w"] / table["p"]),
    ):
        expected = measure(y, w, s, groups=table["site"], sample_weight=weight, tested=True)
        found = only(path, groups="site", **more)
        for name, estimate in expected.estimates().items():
            assert numbers(found.estimates[name]) == pytest.approx(numbers(estimate), rel=1e-9)
        plain = measure(y, w, s, groups=table["site"])
        assert float(plain.gain.value) != pytest.approx(float(expected.gain.value), rel=1e-3)


def test_labels_drawn_with_known_probabilities_estimate_the_gain_of_all_rows(tmp_path: Path) -> None:
    """Where the student is worse, labels are drawn more often: the plain mean of these rows is wrong."""
    rng = np.random.default_rng(0)
    n = 20_000
    y, bad = rng.normal(size=n), np.arange(n) % 2 == 0
    frame = pd.DataFrame({"y_true": y, "y_weak": y + 1, "y_strong": y + np.where(bad, 2.0, 0.0)})
    frame["p"] = np.where(bad, 0.8, 0.1)
    frame.loc[rng.uniform(size=n) >= frame["p"], "y_true"] = np.nan
    path = written(frame, tmp_path)
    assert only(path, label_probability="p").estimates["gain"].value == pytest.approx(-1, abs=0.15)
    assert only(path).estimates["gain"].value < -2


def test_rows_without_truth_or_weak_label_are_left_out_and_counted(
    command, table: pd.DataFrame, tmp_path: Path
) -> None:
    table.loc[:9, "y_true"] = np.nan
    table.loc[7:14, "y_weak"] = np.nan
    table.loc[8:10, "y_strong"] = np.nan  # where nothing is to be compared
    table.loc[:9, "p"] = np.nan
    table.loc[20, "w"] = 0.0
    given = written(table, tmp_path)
    ran = command(
        "measure", given, "--groups", "site", "--weights", "w", "--label-probability", "p",
        "--out", tmp_path / "out.json",
    )  # fmt: skip
    assert ran.code == 0, ran.err
    said = "16 of 60 rows left out of the gain: 10 without a truth, 5 without a weak label, 1 without weight"
    assert said in ran.out
    [result] = json.loads((tmp_path / "out.json").read_text())["results"]
    kept = table.dropna(subset=["y_true", "y_weak"]).query("w > 0")
    weight = kept["w"] / kept["p"]
    expected = measure(
        kept["y_true"], kept["y_weak"], kept["y_strong"], groups=kept["site"], sample_weight=weight
    )
    assert result["estimates"]["gain"]["value"] == pytest.approx(float(expected.gain.value))
    assert result["estimates"]["gain"]["low"] == pytest.approx(float(expected.gain.low))
    assert result["facts"]["rows"] == expected.n_rows == 44
    both = table.dropna(subset=["y_weak", "y_strong"]).query("w > 0")
    zeros = np.zeros(len(both))
    everywhere = measure(
        zeros, both["y_weak"], both["y_strong"], groups=both["site"], sample_weight=both["w"]
    )
    found = result["estimates"]["misfit_on_all_rows"]
    assert found["rows"] == len(both) == 51
    for field in ("value", "low", "clusters"):
        assert found[field] == pytest.approx(float(getattr(everywhere.misfit, field)))
    assert f"misfit on all 51 rows with a weak label and a prediction: {found['value']:.4g} (" in ran.out


def test_where_every_row_with_a_weak_label_has_a_truth_there_is_one_misfit(
    command, table: pd.DataFrame, tmp_path: Path
) -> None:
    table.loc[:5, "y_weak"] = np.nan
    ran = command("measure", written(table, tmp_path))
    assert "6 of 60 rows left out of the gain: 6 without a weak label\n" in ran.out
    assert "misfit on all" not in ran.out


def test_every_pair_of_columns_is_measured(command, table: pd.DataFrame, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    frame = table.rename(columns={"y_true": "t"}).assign(
        rule=(table["y_true"] > 0).astype(int), other=table["y_strong"] + rng.normal(size=ROWS)
    )
    frame["best"] = frame["t"] + 0.1 * rng.normal(size=ROWS)
    given, out = written(frame, tmp_path), tmp_path / "out.csv"
    ran = command(
        "measure", given, "--truth", "t", "--weak", "y_weak", "rule", "--strong", "y_strong",
        "--strong", "other", "--ceiling", "best", "--out", out,
    )  # fmt: skip
    assert ran.code == 0, ran.err
    found = pd.read_csv(out).set_index(["weak", "strong", "estimate"])["value"]
    for weak in ("y_weak", "rule"):
        for strong in ("y_strong", "other"):
            expected = measure(frame["t"], frame[weak], frame[strong], y_ceiling=frame["best"])
            for name, estimate in expected.estimates().items():
                assert found[weak, strong, name] == pytest.approx(float(estimate.value))
            assert f"\n{weak} → {strong} (60 rows)\n" in ran.out
            recovered = expected.performance_gap_recovered
            assert recovered is not None
            assert f"gap recovered: {float(recovered.value):.2f} (" in ran.out
    assert ran.out.count("the student") >= 4


def test_columns_may_be_called_as_those_of_a_record(table: pd.DataFrame, tmp_path: Path) -> None:
    """Numbers in columns named student and supervisor are predictions, and empty cells are missing."""
    names = {"y_weak": "supervisor", "y_strong": "student", "w": "heads"}
    table.loc[3, "y_weak"] = np.nan
    path = written(table.rename(columns=names), tmp_path)
    result = only(path, weak=["supervisor"], strong=["student"])
    assert (result.about, result.facts["rows"]) == ({"weak": "supervisor", "strong": "student"}, 59)
    path = written(table.rename(columns={"y_strong": "row"}).assign(row=0.5), tmp_path)
    assert only(path, strong=["row"]).estimates["gain"].clusters == 59


@pytest.mark.parametrize("name", ["site", "cluster"])
def test_names_are_text_as_the_file_has_it(table: pd.DataFrame, tmp_path: Path, name: str) -> None:
    frame = table.assign(heads="l2", student="1.0", supervisor=["7", "007"] * (ROWS // 2))
    frame[name] = ["1", "1", "01", "01"] * (ROWS // 4)
    path = written(frame, tmp_path)
    results = read_predictions(path, groups=None if name == "cluster" else name).measured()
    assert [r.about["supervisor"] for r in results] == ["7", "007"]
    assert [r.about["student"] for r in results] == ["1.0", "1.0"]
    assert [r.estimates["gain"].clusters for r in results] == [2, 2]


def test_classes_as_numbers_are_measured(command, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    y = rng.integers(2, size=100)
    frame = pd.DataFrame({"y_true": y, "y_weak": rng.integers(2, size=100), "y_strong": (y + 0.5) / 2})
    ran = command("measure", written(frame, tmp_path))
    assert ran.code == 0, ran.err
    assert "the student is better than its supervisor" in ran.out


def test_a_student_that_repeats_its_supervisor_gains_nothing(
    command, table: pd.DataFrame, tmp_path: Path
) -> None:
    for nearly in (1, 1 + 1e-14):
        ran = command("measure", written(table.assign(y_strong=nearly * table["y_weak"]), tmp_path))
        assert ran.code == 0, ran.err
        assert "the student reproduces its supervisor (no misfit)" in ran.out
        assert "times the misfit" not in ran.out
        [line] = [line for line in ran.out.splitlines() if line.startswith(" y_weak ")]
        assert line.split()[3:] == ["0", "0", "0"]


def test_one_row_has_no_interval_and_no_verdict(command, table: pd.DataFrame, tmp_path: Path) -> None:
    ran = command("measure", written(table.iloc[:1], tmp_path), "--out", tmp_path / "out.json")
    assert ran.code == 0, ran.err
    assert "no verdict whether the student is better" in ran.out
    assert "note: only 1 cluster: too few for a verdict" in ran.out


def test_skewed_clusters_are_said(command, table: pd.DataFrame, tmp_path: Path) -> None:
    table.loc[0, "y_weak"] = 30.0
    assert (
        "the clusters of held-out rows are skewed (gain: " in command("measure", written(table, tmp_path)).out
    )


def spoilt(column: str, row: int, value: object) -> Any:
    def change(table: pd.DataFrame) -> pd.DataFrame:
        table = table.astype({column: object})
        table.loc[row, column] = value
        return table

    return change


def as_it_is(table: pd.DataFrame) -> pd.DataFrame:
    return table


BAD: dict[str, tuple[Any, list[str], str]] = {
    "no truth": (lambda t: t.assign(y_true=np.nan), [], "no row has a truth ('y_true'), a weak label ("),
    "no weak label": (lambda t: t.assign(y_weak=np.nan), [], "or name other columns (--truth, --weak)"),
    "no prediction": (
        spoilt("y_strong", 17, None),
        [],
        "column 'y_strong', row 17 (counted from 0): no pred",
    ),
    "no ceiling": (
        lambda t: spoilt("y_ceiling", 4, None)(t.assign(y_ceiling=t["y_true"])),
        [],
        "column 'y_ceiling', row 4 (counted from 0): no prediction",
    ),
    "text": (spoilt("y_weak", 3, "yes"), [], "row 3 (counted from 0): 'yes' is not a number; correct it, or"),
    "infinity": (spoilt("y_true", 5, "inf"), [], "column 'y_true', row 5 (counted from 0): infinity"),
    "no column": (as_it_is, ["--weak", "rule"], "no column 'rule'; columns: y_true, y_weak, "),
    "no truth column": (lambda t: t.drop(columns="y_true"), [], "no column 'y_true'; columns: y_weak"),
    "no groups": (as_it_is, ["--groups", "person"], "(--groups)"),
    "no ceiling column": (as_it_is, ["--ceiling", "best"], "no column 'best'"),
    "twice": (as_it_is, ["--weak", "y_true"], "column 'y_true' cannot be two of"),
    "no group": (
        spoilt("site", 8, ""),
        ["--groups", "site"],
        "column 'site', row 8 (counted from 0): no group",
    ),
    "negative weight": (spoilt("w", 2, -1), ["--weights", "w"], "row 2 (counted from 0): weight -1"),
    "no weight": (spoilt("w", 2, None), ["--weights", "w"], "row 2 (counted from 0): a missing value"),
    "no weight at all": (lambda t: t.assign(w=0), ["--weights", "w"], "not all zero"),
    "weight of others": (
        lambda t: spoilt("y_true", 7, None)(t.assign(w=(t.index == 7) * 1.0)),
        ["--weights", "w"],
        "and weight; give some rows all three",
    ),
    "text weight": (spoilt("w", 2, "x"), ["--weights", "w"], "encode the column as numbers\n"),
    "probability 0": (
        spoilt("p", 6, 0),
        ["--label-probability", "p"],
        "row 6 (counted from 0): 0 is no prob",
    ),
    "probability 1.5": (
        spoilt("p", 6, 1.5),
        ["--label-probability", "p"],
        "row 6 (counted from 0): 1.5 is no",
    ),
    "no probability": (spoilt("p", 6, None), ["--label-probability", "p"], "row 6 (counted from 0): no prob"),
    "no rows": (lambda t: t.iloc[:0], [], "the table is empty"),
    "an ending": (as_it_is, ["--out", "there.txt"], "must end in .json, .csv"),
    "no name": (
        lambda t: spoilt("student", 9, "")(t.assign(heads="l2", student="s", supervisor="w")),
        [],
        "column 'student', row 9 (counted from 0): no student",
    ),
}


@pytest.mark.parametrize("fault", BAD)
def test_bad_input_is_one_line_and_leaves_nothing(
    command, table: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    monkeypatch.chdir(tmp_path)
    change, flags, said = BAD[fault]
    written(change(table), tmp_path)
    out = [] if "--out" in flags else ["--out", "out.json"]
    ran = command("measure", "given.csv", *flags, *out)
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)
    assert said in ran.err
    assert "--id" not in ran.err
    assert fault == "an ending" or "given.csv" in ran.err
    assert [p.name for p in tmp_path.iterdir()] == ["given.csv"]


def test_row_numbers_in_messages_are_those_of_the_file(command, record: Path, tmp_path: Path) -> None:
    frame = pd.read_csv(record / "predictions.csv")
    row = int(np.flatnonzero(frame["supervisor"] == "007")[5])
    frame.loc[row, "y_strong"] = np.nan
    ran = command("measure", written(frame, tmp_path))
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert f"column 'y_strong', row {row} (counted from 0): no prediction" in ran.err
    frame.loc[row, "y_strong"] = 0.0
    frame.loc[(frame["supervisor"] == "007") & (frame["heads"] == "l2"), "y_true"] = np.nan
    assert "no row of 'l2' of 'strong' of '007' has" in command("measure", written(frame, tmp_path)).err


def test_the_table_is_not_overwritten(command, table: pd.DataFrame, tmp_path: Path) -> None:
    path = written(table, tmp_path)
    before = path.read_bytes()
    ran = command("measure", path, "--out", path, "--overwrite")
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert path.read_bytes() == before
