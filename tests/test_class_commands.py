"""The commands on tables of classes: hard ones, probabilities, workers, abstentions, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from weakstrong import Record
from weakstrong.saved_model import Student

N, NAMES = 160, np.array(["bad", "good", "mixed"])


class Tables(NamedTuple):
    folder: Path
    x: np.ndarray
    kind: np.ndarray
    rules: pd.DataFrame


@pytest.fixture
def tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tables:
    """Files of a study of three classes: a rule that abstains, probabilities, and labels of workers."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(3)
    x = rng.normal(size=(N, 5))
    logits = 1.5 * x @ rng.normal(size=(5, 3))
    kind = NAMES[(logits + rng.gumbel(size=(N, 3))).argmax(1)]
    ids = np.array([f"r{i:03d}" for i in range(N)])
    said = np.exp(logits + rng.normal(size=(N, 3)))
    said /= said.sum(1, keepdims=True)
    rule = np.where(rng.random(N) < 0.2, "", NAMES[(logits + 2 * rng.gumbel(size=(N, 3))).argmax(1)])
    rules = pd.DataFrame({"id": ids, "rule": rule})
    for place, name in enumerate(NAMES):
        rules[f"model[{name}]"] = said[:, place].round(4)
    np.savez("strong.npz", features=x, ids=ids)
    np.savez("weak.npz", features=x[:, :2], ids=ids)
    rules.to_csv("rules.csv", index=False)
    pd.DataFrame({"id": ids, "kind": kind}).to_csv("labels.csv", index=False)
    votes = [
        (i, w, NAMES[(logits[r] + 3 * rng.gumbel(size=3)).argmax()]) for r, i in enumerate(ids) for w in "xyz"
    ]
    pd.DataFrame(votes, columns=["id", "who", "vote"]).to_csv("votes.csv", index=False)
    return Tables(tmp_path, x, kind, rules)


STUDY = (
    "study",
    "--strong",
    "strong.npz",
    "--labels",
    "labels.csv",
    "--id",
    "id",
    "--seeds",
    5,
    "--n-folds",
    3,
)


def test_a_study_of_classes_from_files(tables: Tables, command: Callable[..., Any]) -> None:
    ran = command(
        *STUDY, "--weak", "weak.npz", "--weak-labels", "rules.csv", "--target", "kind", "--out", "record"
    )
    assert ran.code == 0, ran.err
    for said in ("accuracies on held-out rows", "Brier scores on held-out rows", "log loss", "it labels 7"):
        assert said in ran.out
    record = Record.read(tables.folder / "record")
    assert record.facts["classes"] == list(NAMES)
    assert [r.about["supervisor"] for r in record.results] == ["weak", "rule", "model"]
    e = record.results[2].estimates
    said = tables.rules[[f"model[{name}]" for name in NAMES]].to_numpy()
    assert e["weak_accuracy"].value == pytest.approx((NAMES[said.argmax(1)] == tables.kind).mean())
    again = command("study", "--config", "record/config.toml", "--out", "again")
    assert again.code == 0, again.err
    for name in ("divisions.csv", "predictions.csv"):
        assert (tables.folder / "again" / name).read_bytes() == (tables.folder / "record" / name).read_bytes()


def test_a_fit_to_probabilities_is_compared_with_their_frequencies(
    tables: Tables, command: Callable[..., Any]
) -> None:
    ran = command(
        "fit", "--features", "strong.npz", "--weak-labels", "rules.csv", "--id", "id", "--target", "model",
        "--out", "student",
    )  # fmt: skip
    assert ran.code == 0, ran.err
    said = tables.rules[[f"model[{name}]" for name in NAMES]].to_numpy()
    mean = said.mean(0)
    [report] = Student.load(tables.folder / "student").reports
    assert report.label_variance == pytest.approx(-(mean * np.log(mean)).sum(), rel=1e-3)
    assert report.misfit < report.label_variance


def test_a_column_for_one_class_alone_is_of_that_class(tables: Tables, command: Callable[..., Any]) -> None:
    two = tables.rules.assign(kind=np.where(tables.kind == "bad", "bad", "good"))
    two["said[bad]"], two["said[good]"] = two["model[bad]"], 1 - two["model[bad]"]
    flags = ("study", "--strong", "strong.npz", "--labels", "two.csv", "--target", "kind", "--id", "id")
    found = []
    for place, columns in enumerate((["said[bad]", "said[good]"], ["said[bad]"])):
        two[["id", "kind"]].to_csv("two.csv", index=False)
        two[["id", *columns]].to_csv("said.csv", index=False)
        ran = command(*flags, "--weak-labels", "said.csv", "--seeds", 2, "--out", f"r{place}")
        assert ran.code == 0, ran.err
        [result] = Record.read(tables.folder / f"r{place}").results
        found.append(float(result.estimates["weak_accuracy"].value))
    assert found[0] == found[1]
    assert "'said[bad]': taken as the probability of 'bad'" in ran.out
    ran = command("fit", "--features", "strong.npz", "--weak-labels", "said.csv", "--id", "id", "--out", "s")
    assert "'said[bad]' is taken as numbers; if it is the probability of a class" in ran.out
    refused = command("study", "--example", "digits", "--task", "regression")
    assert refused.code == 2
    assert "the example 'digits' is of another task" in refused.err


def test_baselines_that_are_asked_for_stand_in_the_tables(
    tables: Tables, command: Callable[..., Any]
) -> None:
    flags = (*STUDY, "--weak", "weak.npz", "--target", "kind")
    assert "logconf" not in command(*flags).out
    ran = command(*flags, "--confidence", "logconf", "bootstrapping", "--out", "record")
    assert ran.code == 0, ran.err
    [result] = Record.read(tables.folder / "record").results
    for kind in ("logconf", "bootstrapping"):
        assert ran.out.count(kind) == 2
        assert f"{float(result.estimates[f'{kind}_accuracy'].value):.4g}" in ran.out


def test_labels_of_workers_that_are_classes(tables: Tables, command: Callable[..., Any]) -> None:
    flags = ("--weak-labels", "votes.csv", "--worker", "who", "--heads", "brier")
    ran = command(*STUDY, *flags, "--vote", "majority", "--each-worker", "--out", "record")
    assert ran.code == 0, ran.err
    votes = pd.read_csv("votes.csv").pivot(index="id", columns="who", values="vote")
    record = Record.read(tables.folder / "record")
    assert [r.about["supervisor"] for r in record.results] == ["vote", "x", "y", "z"]
    found = {r.about["supervisor"]: float(r.estimates["weak_accuracy"].value) for r in record.results}
    for worker in "xyz":
        assert found[worker] == pytest.approx((votes[worker].to_numpy() == tables.kind).mean())
    shares = np.stack([(votes == name).mean(axis=1).to_numpy() for name in NAMES], axis=1)
    best = shares == shares.max(1, keepdims=True)
    right = (best / best.sum(1, keepdims=True))[np.arange(N), np.searchsorted(NAMES, tables.kind)]
    assert found["vote"] == pytest.approx(right.mean())  # a tie is right as often as a draw from it


@pytest.mark.parametrize("heads", ["logistic", "brier"])
def test_fit_and_predict_probabilities(tables: Tables, command: Callable[..., Any], heads: str) -> None:
    ran = command(
        "fit", "--features", "strong.npz", "--weak-labels", "rules.csv", "--id", "id", "--target", "rule",
        "--heads", heads, "--out", "student",
    )  # fmt: skip
    assert ran.code == 0, ran.err
    assert f"heads: {heads}" in ran.out
    fitted = pd.read_csv("student/predictions.csv")
    assert list(fitted) == ["id", "rule", *(f"rule[{name}]" for name in NAMES), "rule_fitted"]
    assert list(fitted["rule_fitted"]) == list(tables.rules["rule"] != "")
    np.savez("new.npz", features=tables.x[:7] + 0.1, ids=[f"n{i}" for i in range(7)])
    done = command("predict", "--model", "student", "--features", "new.npz", "--out", "p.csv")
    assert done.code == 0, done.err
    said = pd.read_csv("p.csv")
    values = said[[f"rule[{name}]" for name in NAMES]].to_numpy()
    np.testing.assert_allclose(values.sum(1), 1, atol=1e-9)
    assert (values >= 0).all()
    assert list(said["rule"]) == list(NAMES[values.argmax(1)])
    student = Student.load(tables.folder / "student")
    assert (student.classes, student.heads) == (tuple(NAMES), heads)


def test_logistic_heads_are_those_of_scikit_learn_at_the_same_radius(
    tables: Tables, command: Callable[..., Any]
) -> None:
    flags = ("--features", "strong.npz", "--weak-labels", "rules.csv", "--id", "id", "--target", "rule")
    ran = command("fit", *flags, "--out", "student")
    assert ran.code == 0, ran.err
    student = Student.load(tables.folder / "student")
    known = tables.rules["rule"] != ""
    x, y = tables.x[known], tables.rules["rule"][known]
    scaled = (x - x.mean(0)) / x.std(0)
    spread = student.head.coef * x.std(0)[:, None]
    gradient = -scaled.T @ (np.eye(3)[np.searchsorted(NAMES, y)] - _softmax(student.head(x))) / len(x)
    strength = -(gradient * spread).sum() / (spread**2).sum()  # λ of the ball, by its first-order condition
    oracle = LogisticRegression(C=1 / (strength * len(x)), tol=1e-10, max_iter=10_000).fit(scaled, y)
    np.testing.assert_allclose(spread, oracle.coef_.T, atol=1e-4)
    assert np.linalg.norm(spread) == pytest.approx(student.reports[0].radius, rel=1e-6)


def _softmax(z: np.ndarray) -> np.ndarray:
    e = np.exp(z - z.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def change(name: str, of: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    of(pd.read_csv(name)).to_csv(name, index=False)


def spoil(table: pd.DataFrame, column: str, row: int, value: Any) -> pd.DataFrame:
    table = table.astype({column: object})
    table.loc[row, column] = value
    return table


RULES = ("--weak-labels", "rules.csv", "--target", "kind")
FAULTS: dict[str, tuple[Callable[[], Any], tuple[str, ...], str]] = {
    "sums": (
        lambda: change("rules.csv", lambda t: spoil(t, "model[bad]", 5, 0.99)), RULES,
        "rules.csv: columns model[...]: the probabilities of row 5 (counted from 0) sum to",
    ),
    "a missing probability": (
        lambda: change("rules.csv", lambda t: spoil(t, "model[bad]", 5, np.nan)), RULES,
        "row 5 (counted from 0) has the probabilities",
    ),
    "text among probabilities": (
        lambda: change("rules.csv", lambda t: spoil(t, "model[bad]", 5, "high")), RULES,
        "column 'model[bad]', row 5 (counted from 0): 'high' is not a number",
    ),
    "one true class": (
        lambda: change("labels.csv", lambda t: t.assign(kind="good")), RULES,
        "column 'kind': every label is 'good'",
    ),
    "one weak class": (
        lambda: change("rules.csv", lambda t: t.assign(rule="good")), RULES,
        "column 'rule': every label is 'good'",
    ),
    "no common class": (
        lambda: change("rules.csv", lambda t: t.assign(rule=["yes", "no"] * (N // 2))), RULES,
        "'rule' names the classes no, yes, the truth bad, good, mixed: none is common",
    ),
    "scores": (
        lambda: change("rules.csv", lambda t: t.assign(rule=np.linspace(-1, 1, N))), RULES,
        "column 'rule', row 1 (counted from 0): -0.98",
    ),
    "heads": (lambda: None, (*RULES, "--heads", "l2"), "labels are classes, and their heads are logistic"),
    "task": (lambda: None, (*RULES, "--task", "regression"), "'mixed' is not a number; set the task to"),
    "smoothing": (lambda: None, (*RULES, "--smoothing", "1.5"), "smoothing"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_bad_classes_are_one_line_and_leave_nothing(
    tables: Tables, command: Callable[..., Any], fault: str
) -> None:
    prepare, flags, said = FAULTS[fault]
    prepare()
    before = sorted(p.name for p in tables.folder.iterdir())
    ran = command(*STUDY, *flags, "--out", "record")
    assert ran.code == 2, ran.out
    assert ran.err.count("\n") == 1
    assert said in ran.err
    assert sorted(p.name for p in tables.folder.iterdir()) == before


def test_ratings_are_classes_with_a_note_or_numbers(tables: Tables, command: Callable[..., Any]) -> None:
    rating = np.searchsorted(NAMES, tables.kind) + 1
    change("labels.csv", lambda t: t.drop(columns="kind").assign(rating=rating))
    flags = (*STUDY, "--weak", "weak.npz", "--target", "rating")
    ran = command(*flags)
    assert ran.code == 0, ran.err
    assert "'rating' holds 3 distinct whole numbers, which are taken as classes" in ran.out
    assert "accuracies on held-out rows" in ran.out
    ran = command(*flags, "--task", "regression")
    assert ran.code == 0, ran.err
    assert "mean squared errors on held-out rows" in ran.out


def test_digits_is_an_example(command: Callable[..., Any]) -> None:
    ran = command("study", "--example", "digits", "--seeds", 1, "--heads", "brier")
    assert ran.code == 0, ran.err
    assert "digit: accuracies on held-out rows" in ran.out
