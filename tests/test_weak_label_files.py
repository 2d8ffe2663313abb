"""``weakstrong study`` of tables of weak labels: joined by id, with abstentions, of workers, and bad ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.conftest import Ran
from weakstrong import Record, study

N, KNOWN = 300, 60


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """300 rows with features, 60 with a true label, labels of two rules and of workers: ids in any order."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(N, 4))
    y = x.sum(1) + 0.2 * rng.normal(size=N)
    ids = np.array([f"{i:03d}" for i in range(N)])
    np.savez(tmp_path / "strong.npz", features=x, ids=ids)
    np.savez(tmp_path / "weak.npz", features=x[::-1, :2], ids=ids[::-1])
    known = rng.permutation(N)[:KNOWN]
    table = pd.DataFrame({"id": ids[known], "y": y[known], "p": 0.2, "w": 1.0, "g": known // 3})
    table.to_csv(tmp_path / "labels.csv", index=False)
    order = rng.permutation(N)
    rules = pd.DataFrame({"id": ids, "rule": y + np.sign(x[:, 0]), "other": y + rng.normal(size=N)}).iloc[
        order
    ]
    rules.loc[rng.random(N) < 0.3, "other"] = np.nan
    rules.assign(w=1.0, g=order // 3).to_csv(tmp_path / "rules.csv", index=False)
    votes = pd.DataFrame(
        {
            "id": np.repeat(ids, 3),
            "worker": np.tile(["a", "b", "c"], N),
            "vote": np.repeat(y, 3) + rng.normal(size=3 * N),
        }
    )
    votes[rng.random(3 * N) < 0.8].sample(frac=1, random_state=0).to_csv(tmp_path / "votes.csv", index=False)
    return tmp_path


@pytest.fixture
def ran(files: Path, command: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Ran]:
    monkeypatch.chdir(files)
    return lambda *more: command(
        "study",
        "--strong",
        "strong.npz",
        "--labels",
        "labels.csv",
        "--target",
        "y",
        "--id",
        "id",
        "--seeds",
        5,
        *more,
    )


def arrays(files: Path) -> dict:
    """The same by hand: rows with a true label first, then the others as the features have them."""
    strong, weak = np.load(files / "strong.npz"), np.load(files / "weak.npz")
    labels = pd.read_csv(files / "labels.csv", dtype={"id": str}).set_index("id")
    order = [*labels.index, *(i for i in strong["ids"] if i not in labels.index)]
    rules = pd.read_csv(files / "rules.csv", dtype={"id": str}).set_index("id").loc[order]
    of = {
        name: pd.DataFrame(f["features"], index=f["ids"]).loc[order].to_numpy()
        for name, f in (("s", strong), ("w", weak))
    }
    votes = pd.read_csv(files / "votes.csv", dtype={"id": str}).groupby("id")["vote"].mean().reindex(order)
    return {
        "order": order,
        "strong": of["s"],
        "weak": of["w"],
        "y": labels["y"].reindex(order),
        "rules": rules,
        "votes": votes,
    }


def test_tables_are_joined_by_id_and_rows_without_truth_are_the_students(files: Path, ran) -> None:
    done = ran(
        "--weak-labels",
        "rules.csv",
        "--weak-columns",
        "rule",
        "other",
        "--weak",
        "weak.npz",
        "--out",
        "record",
    )
    assert done.code == 0, done.err
    given = arrays(files)
    expected = study(
        {"weak": given["weak"]}, {"strong": given["strong"]}, given["y"].to_numpy(), seeds=5,
        weak_labels={name: given["rules"][name].to_numpy() for name in ("rule", "other")},
    )  # fmt: skip
    found = Record.read("record")
    pd.testing.assert_frame_equal(found.tables["divisions"], expected.tables["divisions"])
    assert found.predictions is not None
    table = found.predictions.table
    assert list(np.array(given["order"])[table["row"]]) == list(table["id"])
    for name in ("rule", "other"):
        shown = next(line for line in done.out.splitlines() if line.strip().startswith(name))
        assert len(shown.split()) == 11
        for word in shown.split()[1:]:
            assert word == "–" or np.isfinite(float(word)), shown
    assert "60 of 300 rows have a true label" in done.out


def test_a_record_of_weak_labels_is_made_again_from_its_config(files: Path, ran, command) -> None:
    assert (
        ran(
            "--weak-labels",
            "rules.csv",
            "--weights",
            "w",
            "--groups",
            "g",
            "--budget",
            10,
            20,
            "--out",
            "one",
        ).code
        == 0
    )
    assert command("study", "--config", "one/config.toml", "--out", "two").code == 0
    for name in ("summary.json", "divisions.csv", "predictions.csv", "budget.csv"):
        assert Path("one", name).read_bytes() == Path("two", name).read_bytes()


def test_labels_of_workers_are_combined_and_each_may_be_a_supervisor(files: Path, ran) -> None:
    done = ran("--weak-labels", "votes.csv", "--worker", "worker", "--each-worker", "--out", "record")
    assert done.code == 0, done.err
    found = Record.read("record")
    assert [result.about["supervisor"] for result in found.results] == [
        "vote",
        *sorted("abc", key=lambda w: first_place(files, w)),
    ]
    crowd = found.result(supervisor="vote")
    assert crowd.facts["noise_of_one_label"] == pytest.approx(1, rel=0.2)
    assert found.predictions is not None
    table = found.predictions.table
    mine = table[(table["supervisor"] == "vote") & table["y_weak"].notna()]
    np.testing.assert_allclose(mine["y_weak"], arrays(files)["votes"].loc[mine["id"]].to_numpy())
    assert float(crowd.estimates["weak_error"].value) < float(
        found.result(supervisor="a").estimates["weak_error"].value
    )
    assert "workers" in done.out


def first_place(files: Path, worker: str) -> int:
    return int((pd.read_csv(files / "votes.csv")["worker"] == worker).argmax())


def test_groups_and_weights_of_rows_without_truth_are_in_the_table_of_weak_labels(files: Path, ran) -> None:
    assert ran("--weak-labels", "rules.csv", "--groups", "g", "--weights", "w", "--out", "record").code == 0
    table = Record.read("record").predictions.table
    assert (table["cluster"].astype(int) == table["id"].astype(int) // 3).all()
    for division, mine in table.groupby("division"):
        others = table[table["division"] == (division + 1) % 5]
        assert not set(mine["cluster"]) & set(others["cluster"])  # turns are disjoint
    bare = pd.read_csv("rules.csv", dtype={"id": str}).drop(columns="g")
    bare.to_csv("rules.csv", index=False)
    failed = ran("--weak-labels", "rules.csv", "--weak-columns", "rule", "--groups", "g")
    assert (failed.code, failed.err.count("\n")) == (2, 1)
    assert "labels.csv: column 'g', id" in failed.err
    assert "no group; give every row one, those without a true label too" in failed.err


def test_probabilities_of_true_labels_are_read(files: Path, ran) -> None:
    done = ran(
        "--weak-labels", "rules.csv", "--weak-columns", "rule", "--label-probability", "p", "--out", "record"
    )
    assert done.code == 0, done.err
    table = Record.read("record").predictions.table
    assert (table["probability"].notna() == table["y_true"].notna()).all()
    assert "inverse of the probability" in done.out


def test_splits_need_not_name_rows_without_truth(files: Path, ran) -> None:
    labels = pd.read_csv("labels.csv", dtype={"id": str})
    role = np.where(np.arange(KNOWN) < 20, "test", "supervised")
    rest = [i for i in np.load("strong.npz")["ids"] if i not in set(labels["id"])]
    split = pd.DataFrame({"id": [*labels["id"], *rest[:100]], "s": [*role, *["student"] * 100]})
    split.to_csv("splits.csv", index=False)
    done = ran(
        "--weak-labels", "rules.csv", "--weak-columns", "rule", "--splits", "splits.csv", "--out", "record"
    )
    assert done.code == 0, done.err
    found = Record.read("record")
    assert found.tables["divisions"]["student_rows"].tolist() == [100]
    assert "140 rows without a true label are in no part of a split, and left out" in done.out
    assert set(found.predictions.table["id"]) == set(labels["id"][:20])


def test_a_column_of_the_table_of_true_labels_may_be_weak_labels(files: Path, ran) -> None:
    labels = pd.read_csv("labels.csv", dtype={"id": str})
    rules = pd.read_csv("rules.csv", dtype={"id": str})
    labels[["id", "y"]].merge(rules[["id", "rule"]], how="right").to_csv("labels.csv", index=False)
    done = ran("--weak-labels", "labels.csv", "--weak-columns", "rule")
    assert done.code == 0, done.err
    assert "60 of 300 rows" in done.out


def test_rows_are_matched_by_position_where_nothing_has_ids(files: Path, ran, command) -> None:
    given = arrays(files)
    np.save("strong.npy", given["strong"])
    given["y"].reset_index(drop=True).to_frame().to_csv("y.csv", index=False)
    given["rules"][["rule"]].to_csv("rule.csv", index=False)
    arguments = [
        "study",
        "--strong",
        "strong.npy",
        "--labels",
        "y.csv",
        "--weak-labels",
        "rule.csv",
        "--seeds",
        5,
    ]
    done = command(*arguments, "--out", "record")
    assert done.code == 0, done.err
    assert "rule.csv is matched to y.csv by position (300 rows), not by id" in done.out
    expected = study(
        None, {"strong": given["strong"]}, given["y"].to_numpy(), seeds=5,
        weak_labels={"rule": given["rules"]["rule"].to_numpy()},
    )  # fmt: skip
    pd.testing.assert_frame_equal(Record.read("record").tables["divisions"], expected.tables["divisions"])
    pd.read_csv("rule.csv")[:299].to_csv("rule.csv", index=False)
    assert "rule.csv has 299 rows and y.csv has 300" in command(*arguments).err


def changed(name: str, change: Callable[[pd.DataFrame], pd.DataFrame]) -> Callable[[], None]:
    """Write a table of weak labels again, with a fault."""
    return lambda: change(pd.read_csv(name, dtype={"id": str})).to_csv(name, index=False)


def fewer_rows(features: str, labels: str) -> None:
    """Keep 200 rows of features, and the true labels of these."""
    whole = dict(np.load(features))
    np.savez(features, features=whole["features"][:200], ids=whole["ids"][:200])
    table = pd.read_csv(labels, dtype={"id": str})
    table[table["id"].isin(whole["ids"][:200])].to_csv(labels, index=False)


RULES, VOTES = ["--weak-labels", "rules.csv"], ["--weak-labels", "votes.csv", "--worker", "worker"]
ONE = [*RULES, "--weak-columns", "rule"]
BAD = {
    "id without features": (
        changed("rules.csv", lambda t: t.assign(id=t["id"].replace({t["id"][7]: "unknown"}))), ONE,
        "rules.csv: row 7 (counted from 0): id 'unknown' does not occur in strong.npz",
    ),
    "labels nothing": (
        changed("rules.csv", lambda t: t.assign(other=np.nan)), [*RULES, "--weak-columns", "rule", "other"],
        "rules.csv: column 'other' labels nothing",
    ),
    "all equal": (
        changed("rules.csv", lambda t: t.assign(rule=0.5)), ONE, "column 'rule': every label is 0.5",
    ),
    "id twice": (
        changed("rules.csv", lambda t: t.assign(id=t["id"].replace({t["id"][7]: t["id"][3]}))), ONE,
        "occurs in rows 3 and 7 (counted from 0); remove or rename one; or, if an id has labels of several "
        "workers, name their column (--worker)",
    ),
    "worker twice": (
        changed("votes.csv", lambda t: pd.concat([t, t[:1]])), VOTES, "a worker labels an id once: remove",
    ),
    "text": (
        changed("rules.csv", lambda t: t.assign(rule="good")), ONE, "'good' is not a number",
    ),
    "classes": (
        changed("rules.csv", lambda t: t.assign(rule=["yes", "no"] * (N // 2))), ONE, "'yes' is not a number",
    ),
    "features of too few": (
        lambda: fewer_rows("weak.npz", "labels.csv"), [*ONE, "--weak", "weak.npz"],
        "does not occur in weak.npz; every id must match",
    ),
    "label among the features": (
        lambda: pd.read_csv("rules.csv", dtype=str).drop(columns="other").to_csv("more.csv", index=False),
        [*ONE, "--strong", "more.csv"],
        "more.csv: column 'rule' is also in rules.csv; remove it from the features",
    ),
    "group of another name": (
        changed("rules.csv", lambda t: t.assign(g=t["g"].astype(float))), [*ONE, "--groups", "g"],
        "in another table; write it in one way",
    ),
    "no column": (lambda: None, [*RULES, "--weak-columns", "no"], "rules.csv: no column 'no'"),
    "no table": (lambda: None, ["--weak-labels", "nothing.csv"], "nothing.csv"),
    "no supervisor": (lambda: None, [], "give weak, features of supervisors, or weak_labels"),
    "worker without table": (lambda: None, ["--weak", "weak.npz", "--worker", "w"], "worker has no effect"),
    "vote without worker": (lambda: None, [*ONE, "--vote", "mean"], "vote has no effect without worker"),
    "budget": (lambda: None, [*ONE, "--budget", 500], "a budget of 500 true labels, and 48 training rows"),
    "no probability": (lambda: None, [*ONE, "--label-probability", "no"], "labels.csv: no column 'no'"),
    "no weights": (lambda: None, [*ONE, "--weights", "no"], "labels.csv: no column 'no'"),
    "input in the way": (lambda: None, [*ONE, "--out", "rules.csv"], "rules.csv: is a file; name a folder"),
}  # fmt: skip


@pytest.mark.parametrize("fault", BAD)
def test_bad_input_is_one_line_and_leaves_nothing(files: Path, ran, fault: str) -> None:
    change, more, said = BAD[fault]
    change()
    before = sorted(path.name for path in files.iterdir())
    done = ran(*more, *([] if "--out" in more else ["--out", "record"]))
    assert (done.code, done.err.count("\n")) == (2, 1), done
    assert said in done.err
    assert "Traceback" not in done.err
    assert sorted(path.name for path in files.iterdir()) == before


def test_a_number_of_weak_labels_is_still_a_number_of_rows(files: Path, ran) -> None:
    done = ran("--weak", "weak.npz", "--weak-labels", 100, "--out", "record")
    assert done.code == 0, done.err
    assert "weak_labels is now called student_rows" in done.err
    assert Record.read("record").settings["student_rows"] == 100


def test_a_student_is_fitted_to_the_combined_labels_of_workers(files: Path, ran, command) -> None:
    votes = pd.read_csv("votes.csv", dtype={"id": str})
    votes.groupby("id", as_index=False)["vote"].mean().to_csv("means.csv", index=False)
    arguments = ["fit", "--features", "strong.npz", "--id", "id", "--target", "vote"]
    of_workers = command(*arguments, "--weak-labels", "votes.csv", "--worker", "worker", "--out", "one")
    assert of_workers.code == 0, of_workers.err
    assert command(*arguments, "--weak-labels", "means.csv", "--out", "two").code == 0
    for column in ("vote", "vote_fitted"):
        one, two = (pd.read_csv(Path(out, "predictions.csv"))[column] for out in ("one", "two"))
        np.testing.assert_allclose(one, two, rtol=1e-9)
    refused = command(
        *arguments, "--weak-labels", "votes.csv", "--worker", "worker", "--groups", "id", "--out", "no"
    )
    assert (refused.code, refused.err.count("\n")) == (2, 1)
    assert "here a row is a worker's label" in refused.err


def test_supervisors_of_one_name_in_tables_of_one_name_are_two(files: Path, ran) -> None:
    for folder, factor in (("one", 1.0), ("two", 2.0)):
        Path(folder).mkdir()
        rules = pd.read_csv("rules.csv", dtype={"id": str})[["id", "rule"]]
        rules.assign(rule=factor * rules["rule"]).to_csv(Path(folder, "t.csv"), index=False)
    assert ran("--weak-labels", "one/t.csv", "two/t.csv", "--out", "record").code == 0
    found = Record.read("record").results
    assert [result.about["supervisor"] for result in found] == ["one/t.csv:rule", "two/t.csv:rule"]
    assert found[0].estimates["weak_error"].value < found[1].estimates["weak_error"].value
    twice = ran("--weak-labels", "one/t.csv", "one/t.csv")
    assert (twice.code, twice.err.count("\n")) == (2, 1)
    assert "one/t.csv: given twice" in twice.err


def test_the_truth_is_no_supervisor_however_its_table_is_spelt(files: Path, ran) -> None:
    labels = pd.read_csv("labels.csv", dtype={"id": str})
    rules = pd.read_csv("rules.csv", dtype={"id": str})
    labels = labels[["id", "y"]].merge(rules[["id", "rule"]], how="right")
    labels.assign(y=labels["y"].fillna(labels["rule"] + 0.1)).to_csv("labels.csv", index=False)
    done = ran("--weak-labels", files / "labels.csv", "--out", "record")
    assert done.code == 0, done.err
    assert [result.about["supervisor"] for result in Record.read("record").results] == ["rule"]


def test_tables_of_both_kinds_are_read_in_one_study(files: Path, ran) -> None:
    done = ran(
        "--weak-labels",
        "rules.csv",
        "votes.csv",
        "--worker",
        "worker",
        "--weak-columns",
        "rule",
        "vote",
        "--out",
        "record",
    )
    assert done.code == 0, done.err
    assert [result.about["supervisor"] for result in Record.read("record").results] == ["rule", "vote"]
    both = ["--weak-labels", "rules.csv", "votes.csv"]
    for more, said in (
        (["--worker", "no"], "rules.csv, votes.csv: none has the column 'no' (--worker)"),
        (["--weak-columns", "no"], "rules.csv, votes.csv: none has the column 'no' (--weak-columns)"),
        (["--weak-columns", "rule"], "votes.csv: none of the columns named is in it"),
    ):
        refused = ran(*both, *more)
        assert (refused.code, refused.err.count("\n")) == (2, 1)
        assert said in refused.err


def test_rows_of_the_features_that_are_in_no_table_have_no_group_and_are_left_out(files: Path, ran) -> None:
    done = ran("--weak", "weak.npz", "--groups", "g", "--true-labels", 20, "--out", "record")
    assert done.code == 0, done.err
    assert "240 rows of the features have no group or weight, in no table; left out" in done.out
    labels = pd.read_csv("labels.csv", dtype={"id": str})
    assert set(Record.read("record").predictions.table["id"]) <= set(labels["id"])


def test_a_record_of_workers_is_made_again_from_its_config(files: Path, ran, command) -> None:
    arguments = ["--weak-labels", "votes.csv", "--worker", "worker", "--vote", "majority", "--each-worker"]
    assert ran(*arguments, "--out", "one").code == 0
    assert command("study", "--config", "one/config.toml", "--out", "two").code == 0
    for name in ("summary.json", "predictions.csv"):
        assert Path("one", name).read_bytes() == Path("two", name).read_bytes()


def test_a_column_that_nobody_named_and_both_tables_have_is_no_supervisor(files: Path, command) -> None:
    given = arrays(files)
    np.save(files / "strong.npy", given["strong"])
    pd.DataFrame({"n": range(N), "y": given["y"].to_numpy()}).to_csv(files / "y.csv", index=False)
    pd.DataFrame({"n": range(N, 0, -1), "rule": given["rules"]["rule"].to_numpy()}).to_csv(
        files / "r.csv", index=False
    )
    done = command(
        "study", "--strong", files / "strong.npy", "--labels", files / "y.csv", "--target", "y",
        "--weak-labels", files / "r.csv",
    )  # fmt: skip
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert (
        "both have a column 'n': name it as the id, or name the columns of weak labels (--id, --weak-columns)"
        in done.err
    )
