"""``weakstrong measure`` on tables of classes and of their probabilities."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, log_loss

from weakstrong import measure

NAMES = np.array(["bad", "good"])


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pd.DataFrame:
    """A truth, probabilities of a language model and of a student, and a rule."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(2)
    score = rng.normal(size=120)
    truth = (score + rng.logistic(size=120) > 0).astype(int)
    columns: dict[str, Any] = {
        "label": NAMES[truth],
        "rule": NAMES[(score + rng.normal(size=120) > 0).astype(int)],
    }
    for name, noise in (("llm", 1.0), ("student", 0.3)):
        p = 1 / (1 + np.exp(-score - noise * rng.normal(size=120)))
        columns |= {f"{name}[bad]": 1 - p, f"{name}[good]": p}
    frame = pd.DataFrame(columns)
    frame.to_csv("said.csv", index=False)
    return frame


def measured(command: Callable[..., Any], *flags: object) -> tuple[Any, dict[str, Any]]:
    ran = command(
        "measure", "said.csv", "--truth", "label", "--strong", "student", "--out", "gain.json", *flags
    )
    assert ran.code == 0, ran.err
    [result] = json.loads(Path("gain.json").read_text())["results"]
    return ran, result


def test_probabilities_of_a_language_model(table: pd.DataFrame, command: Callable[..., Any]) -> None:
    ran, result = measured(command, "--weak", "llm", "--figure", "picture.png")
    e, p = result["estimates"], {of: table[f"{of}[good]"].to_numpy() for of in ("llm", "student")}
    log = [log_loss(table["label"], p[of]) for of in ("llm", "student")]
    assert e["gain_in_log_loss"]["value"] == pytest.approx(log[0] - log[1])
    right = [accuracy_score(table["label"], NAMES[(p[of] > 0.5).astype(int)]) for of in ("llm", "student")]
    assert e["gain_in_accuracy"]["value"] == pytest.approx(right[1] - right[0])
    assert e["weak_accuracy"]["value"] == pytest.approx(right[0])
    y = (table["label"] == "good").to_numpy()
    assert e["gain"]["value"] == pytest.approx(2 * np.mean((p["llm"] - y) ** 2 - (p["student"] - y) ** 2))
    for said in ("said.csv: accuracies", "said.csv: Brier scores", "said.csv: scores", "AUROC", "log loss: "):
        assert said in ran.out
    assert result["facts"]["classes"] == list(NAMES)
    assert Path("picture.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_a_truth_of_one_class_has_no_ranking(table: pd.DataFrame, command: Callable[..., Any]) -> None:
    table.assign(label="good").to_csv("said.csv", index=False)
    ran, result = measured(command, "--weak", "llm")
    assert "nan" not in ran.out
    assert result["estimates"]["weak_accuracy"]["value"] == pytest.approx((table["llm[good]"] > 0.5).mean())


def test_a_rule_is_smoothed_and_says_so(table: pd.DataFrame, command: Callable[..., Any]) -> None:
    ran, result = measured(command, "--weak", "rule", "--smoothing", 0.1)
    assert "mixed with 0.1 of the uniform distribution" in ran.out
    assert set(result["facts"]["sensitivity"]) == {"0.02", "0.5"}
    right = (table["rule"] == table["label"]).mean()
    assert result["estimates"]["weak_accuracy"]["value"] == pytest.approx(right)


def test_rows_without_truth_or_label_count_for_the_misfit_alone(
    table: pd.DataFrame, command: Callable[..., Any]
) -> None:
    table.loc[:29, "label"] = None
    table.loc[100:, ["llm[bad]", "llm[good]"]] = np.nan
    table.to_csv("said.csv", index=False)
    _, result = measured(command, "--weak", "llm")
    assert result["facts"]["rows"] == 70
    assert result["facts"]["rows_left_out_without"] == {"a truth": 30, "a weak label": 20}
    assert result["estimates"]["misfit_on_all_rows"]["rows"] == 100


def test_true_and_false_and_whole_numbers_with_a_task(
    table: pd.DataFrame, command: Callable[..., Any]
) -> None:
    table.drop(columns="rule").assign(llm=table["rule"]).to_csv("said.csv", index=False)
    both = measured(command, "--weak", "llm", "--overwrite")[1]["estimates"]["gain"]["value"]  # probabilities
    good = {
        f"{n}[{new}]": table[f"{n}[{old}]"]
        for n in ("llm", "student")
        for old, new in zip(NAMES, "01", strict=True)
    }
    table.assign(label=(table["label"] == "good").astype(int), **good)[["label", *good]].to_csv(
        "said.csv", index=False
    )
    first = measured(command, "--weak", "llm", "--overwrite")[1]["estimates"]["gain"]["value"]
    assert first == pytest.approx(both)
    plain = table.assign(
        label=(table["label"] == "good").astype(int), llm=table["llm[good]"], student=table["student[good]"]
    )
    plain[["label", "llm", "student"]].to_csv("said.csv", index=False)
    _, result = measured(command, "--weak", "llm", "--overwrite")
    assert result["estimates"]["gain"]["value"] == pytest.approx(first)  # one column is that of the second
    _, result = measured(command, "--weak", "llm", "--overwrite", "--task", "regression")
    assert "classes" not in result["facts"]
    assert first == pytest.approx(2 * result["estimates"]["gain"]["value"])


def test_the_predictions_of_a_study_are_measured_as_they_are(
    command: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = command("study", "--example", "digits", "--seeds", 1, "--heads", "brier", "--out", "record")
    assert ran.code == 0, ran.err
    ran = command("measure", "record/predictions.csv", "--out", "gain.json")
    assert ran.code == 0, ran.err
    study = json.loads(Path("record/summary.json").read_text())["results"]
    for one, two in zip(study, json.loads(Path("gain.json").read_text())["results"], strict=True):
        for name in (
            "gain",
            "misfit",
            "gain_in_accuracy",
            "gain_in_log_loss",
            "weak_accuracy",
            "ceiling_error",
        ):
            assert one["estimates"][name]["value"] == pytest.approx(two["estimates"][name]["value"], rel=1e-9)


def test_a_class_that_no_truth_is_gets_a_note(table: pd.DataFrame, command: Callable[..., Any]) -> None:
    table.assign(rule=["good", "bad", "odd", "bad"] * 30).to_csv("said.csv", index=False)
    ran, _ = measured(command, "--weak", "rule")
    assert "'rule' names 'odd', which no truth is" in ran.out
    plain = table.assign(rule=["good", "bad", "odd", "bad"] * 30, student=table["student[good]"])
    plain[["label", "rule", "student"]].to_csv("said.csv", index=False)
    ran, _ = measured(command, "--weak", "rule", "--overwrite")
    assert "'student': taken as the probability of 'good'" in ran.out  # of the truth's two classes, still


def test_a_lone_column_is_of_the_class_in_its_brackets(
    table: pd.DataFrame, command: Callable[..., Any]
) -> None:
    _, both = measured(command, "--weak", "llm")
    table.drop(columns="llm[good]").to_csv("said.csv", index=False)
    ran, one = measured(command, "--weak", "llm[bad]", "--overwrite")
    assert "'llm[bad]': taken as the probability of 'bad'" in ran.out
    for name in ("weak_error", "gain_in_accuracy"):
        assert one["estimates"][name]["value"] == pytest.approx(both["estimates"][name]["value"])


def test_what_keeps_whole_numbers_from_being_classes_is_named(
    table: pd.DataFrame, command: Callable[..., Any]
) -> None:
    code = (table["label"] == "good").astype(int)
    p, q = table["llm[good]"].where(table.index != 4, 1.2), table["student[good]"]
    pd.DataFrame({"label": code, "llm": p, "student": q}).to_csv("said.csv", index=False)
    ran, _ = measured(command, "--weak", "llm")
    assert "taken as numbers" in ran.out
    assert "('llm' is neither" in ran.out
    flags = ("--strong", "student", "--weak", "llm", "--task", "classification")
    ran = command("measure", "said.csv", "--truth", "label", *flags)
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "row 4 (counted from 0): 1.2" in ran.err


LOSSES = {
    "log": ("log losses", "weak_log_loss", "cross_term_in_log_loss"),
    "zero-one": ("accuracies", "weak_accuracy", "slope_in_accuracy"),
    "brier": ("Brier scores", "weak_error", "slope"),
    "squared": ("mean squared errors", "weak_error", "slope"),
}


@pytest.mark.parametrize("loss", LOSSES)
def test_a_loss_is_shown_in_full(table: pd.DataFrame, command: Callable[..., Any], loss: str) -> None:
    title, *names = LOSSES[loss]
    of_numbers = {
        "label": (table["label"] == "good").astype(int), "llm": table["llm[good]"],
        "student": table["student[good]"],
    }  # fmt: skip
    pd.DataFrame(of_numbers).to_csv("said.csv", index=False)
    ran, result = measured(command, "--weak", "llm", "--divergence", loss)
    assert f"said.csv: {title}" in ran.out
    assert ("AUROC" in ran.out) == (loss != "squared")
    for name in names:
        found = result["estimates"][name]
        for number, digits in ((found["value"], 4), (found["low"], 3), (found["high"], 3)):
            assert f"{number:.{digits}g}" in ran.out, name
    python = measure(*of_numbers.values(), divergence=loss)
    gain = {"log": "gain_in_log_loss", "zero-one": "gain_in_accuracy"}.get(loss, "gain")
    assert result["estimates"][gain]["value"] == pytest.approx(python.gain.value)
    assert result["estimates"][gain]["low"] == pytest.approx(python.gain.low)


def test_direct_training_stands_beside_the_student(table: pd.DataFrame, command: Callable[..., Any]) -> None:
    """By the name that a study gives it, or another."""
    truth = (table["label"] == "good").astype(float)
    for name, flags in (("y_direct", ()), ("few", ("--direct", "few", "--overwrite"))):
        table.assign(**{name: 0.5 + (truth - 0.5) / 2}).to_csv("said.csv", index=False)
        ran, result = measured(command, "--weak", "llm", *flags)
        assert result["estimates"]["direct_error"]["value"] == pytest.approx(2 * 0.25**2)
        student = result["estimates"]["strong_error"]["value"]
        assert result["estimates"]["gain_over_direct"]["value"] == pytest.approx(2 * 0.25**2 - student)
        assert result["facts"]["scores"]["direct"]["auroc"] == 1
        assert "direct training beats the student" in ran.out
        assert "taken as the probability of 'good'" in ran.out


FAULTS: dict[str, tuple[Callable[[pd.DataFrame], pd.DataFrame], tuple[Any, ...], str]] = {
    "sums": (
        lambda t: t.assign(**{"llm[bad]": 0.9}), ("--weak", "llm"),
        "columns llm[...]: the probabilities of row",
    ),
    "half a row": (
        lambda t: t.assign(**{"llm[bad]": t["llm[bad]"].where(t.index != 3)}), ("--weak", "llm"),
        "row 3 (counted from 0)",
    ),
    "a column for one class alone": (
        lambda t: t.drop(columns="llm[bad]"), ("--weak", "llm"), "'llm[good]' is the only one of its classes"
    ),
    "no column": (lambda t: t, ("--weak", "gpt"), "no column 'gpt'"),
    "no common class": (lambda t: t.assign(rule=["x", "y"] * 60), ("--weak", "rule"), "none is common"),
    "scores": (lambda t: t.assign(rule=np.linspace(0, 2, 120)), ("--weak", "rule"), "has a fraction"),
    "picture of numbers": (
        lambda t: pd.DataFrame({name: np.linspace(0, 1, 120) for name in ("label", "llm", "student")}),
        ("--weak", "llm", "--figure", "p.png"), "a picture of calibration is of classes",
    ),
    "loss of numbers": (
        lambda t: t, ("--weak", "llm", "--task", "regression", "--divergence", "log"), "leave one of them out"
    ),
    "squared error of classes": (
        lambda t: t, ("--weak", "rule", "--divergence", "squared"), "column 'label', row 0"
    ),
    "smoothing": (lambda t: t, ("--weak", "llm", "--smoothing", 2), "smoothing=2"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_bad_tables_are_one_line(table: pd.DataFrame, command: Callable[..., Any], fault: str) -> None:
    change, flags, said = FAULTS[fault]
    change(table).to_csv("said.csv", index=False)
    ran = command(
        "measure", "said.csv", "--truth", "label", "--strong", "student", "--out", "gain.json", *flags
    )
    assert ran.code == 2, ran.out
    assert ran.err.count("\n") == 1
    assert said in ran.err
    assert not Path("gain.json").exists()
