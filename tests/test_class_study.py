"""Studies of labels that are classes: one procedure with that of numbers, whatever the classes are called."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from weakstrong import InputError, Record, measure, study
from weakstrong.divergence import BRIER, LOG_LOSS, ZERO_ONE
from weakstrong.predictions import Predictions
from weakstrong.studies.class_heads import exact_fitters
from weakstrong.studies.divisions import divisions
from weakstrong.studies.fitting import fit_division
from weakstrong.studies.inputs import StudyInputs
from weakstrong.studies.run import run
from weakstrong.studies.settings import StudyOptions
from weakstrong.votes import GivenLabels

N, CLASSES = 300, ("a", "b", "c")
HEADS = ("logistic", "brier")


def make_world(seed: int = 0) -> StudyInputs:
    """Three classes, a supervisor with few features, a rule that abstains, and probabilities that err."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(N, 6))
    logits = x @ rng.normal(size=(6, 3)) * 1.5
    truth = (logits + rng.gumbel(size=(N, 3))).argmax(1)
    y = np.eye(3)[truth]
    rule = np.eye(3)[(logits + 2 * rng.gumbel(size=(N, 3))).argmax(1)]
    rule[rng.random(N) < 0.2] = np.nan
    soft = np.exp(logits / 2 + rng.normal(size=(N, 3)))
    soft /= soft.sum(1, keepdims=True)
    return StudyInputs(
        {"few": x[:, :2]},
        {"all": x},
        y,
        "kind",
        classes=CLASSES,
        weak_labels={
            "rule": GivenLabels(rule, classes=CLASSES), "model": GivenLabels(soft, classes=CLASSES)
        },
    )  # fmt: skip


def options(**given: Any) -> StudyOptions:
    return StudyOptions(**{"heads": "brier", "seeds": 5, "n_folds": 3, "true_labels": 60, **given})


@pytest.fixture(scope="module")
def world() -> StudyInputs:
    return make_world()


@pytest.mark.parametrize("heads", HEADS)
def test_estimates_are_means_of_losses_of_the_predictions(world: StudyInputs, heads: str) -> None:
    record = run(world, options(heads=heads, budget=(20, 60)))
    assert record.predictions is not None
    for result in record.results:
        mine = record.predictions.table.query("supervisor == @result.about['supervisor']")
        mine = mine[mine["y_true"].notna() & mine["y_weak[a]"].notna()]
        w, s, direct = (
            mine[[f"y_{of}[{c}]" for c in CLASSES]].to_numpy() for of in ("weak", "strong", "direct")
        )
        y = np.eye(3)[[CLASSES.index(c) for c in mine["y_true"]]]
        e = {name: float(np.ravel(of.value)[0]) for name, of in result.estimates.items()}
        for values in (w, s, direct):
            np.testing.assert_allclose(values.sum(1), 1, atol=1e-9)
            assert (values >= 0).all()
        assert e["weak_error"] == pytest.approx(((w - y) ** 2).sum(1).mean())
        assert e["direct_error"] == pytest.approx(((direct - y) ** 2).sum(1).mean())
        assert e["gain"] == pytest.approx(e["misfit"] + e["cross_term"])
        assert e["gain_in_log_loss"] == pytest.approx(e["misfit_in_log_loss"] + e["cross_term_in_log_loss"])
        if result.about["supervisor"] != "rule":  # whose ties there are none
            right = (s.argmax(1) == y.argmax(1)).mean()
            assert e["strong_accuracy"] == pytest.approx(right)
            assert e["gain_in_accuracy"] == pytest.approx(right - (w.argmax(1) == y.argmax(1)).mean())
        if heads == "logistic" and result.about["supervisor"] != "rule":
            log = -np.log(s[np.arange(len(s)), y.argmax(1)]).mean()
            assert e["strong_log_loss"] == pytest.approx(log)
        assert {"budget", "budget_in_accuracy", "class_frequencies", "scores"} <= set(result.facts)
    assert any("accuracy" in line for line in record.results[0].findings)


@pytest.mark.parametrize("heads", HEADS)
def test_classes_renamed_and_permuted_have_the_same_numbers(world: StudyInputs, heads: str) -> None:
    order = [2, 0, 1]
    other = replace(
        world,
        y=world.y[:, order],
        classes=("zero", "one", "two"),
        weak_labels={
            name: replace(given, values=given.values[:, order], classes=("zero", "one", "two"))
            for name, given in world.weak_labels.items()
        },
    )
    first, second = (run(of, options(heads=heads, seeds=2)) for of in (world, other))
    for one, two in zip(first.results, second.results, strict=True):
        assert one.estimates.keys() == two.estimates.keys()
        for name, estimate in one.estimates.items():
            np.testing.assert_allclose(
                np.array([estimate.value, estimate.low, estimate.high], dtype=float),
                np.array([two.estimates[name].value, two.estimates[name].low, two.estimates[name].high]),
                rtol=1e-4 if heads == "logistic" else 1e-7, atol=1e-5 if heads == "logistic" else 1e-9,
            )  # fmt: skip


def test_two_classes_by_least_squares_are_numbers_with_twice_the_error(world: StudyInputs) -> None:
    """One-hot columns of two classes mirror each other: a Brier score is twice a squared error."""
    two = (world.y[:, 0] > 0).astype(float)
    bare = replace(world, weak_labels={}, classes=("no", "yes"), y=np.column_stack([1 - two, two]))
    numbers = replace(bare, y=two, classes=())
    first = Predictions.concatenated(_fitted(bare, "brier"))
    second = Predictions.concatenated(_fitted(numbers, "l2"))
    w, s = (first.values(of)[:, 1] for of in ("direct", "mean"))
    direct = np.clip(second.values("direct"), 0, 1)  # the simplex of two classes
    np.testing.assert_allclose(w, direct, atol=1e-9)
    np.testing.assert_allclose(s, second.values("mean"), atol=1e-12)
    np.testing.assert_allclose(
        BRIER.error(first.values("direct"), first.values("true")), 2 * (direct - second.values("true")) ** 2,
        atol=1e-9,
    )  # fmt: skip


def _fitted(inputs: StudyInputs, heads: Any) -> list[Predictions]:
    chosen = options(heads=heads, seeds=2)
    return [fit_division(d, inputs, exact_fitters(chosen))[0] for d in divisions(inputs, chosen)]


@pytest.mark.parametrize("seed", range(5))
def test_predictions_put_in_the_simplex_err_no_more(seed: int) -> None:
    """A' ≤ A and B' ≤ B: so weak error ≥ student's + misfit, where it held, holds."""
    world = make_world(seed)
    [predictions] = _fitted(world, "brier")[:1]
    y, w, s = (predictions.judging.values(of) for of in ("true", "weak", "strong"))
    rng = np.random.default_rng(seed)
    kept = s + 0.3 * rng.normal(size=s.shape)
    from weakstrong.class_labels import in_simplex

    put = in_simplex(kept)
    assert (BRIER.error(put, y) <= BRIER.error(kept, y) + 1e-12).all()
    assert (BRIER.misfit(put, w) <= BRIER.misfit(kept, w) + 1e-12).all()


def test_a_biased_prior_is_inherited_and_can_be_corrected() -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(2000, 3))
    truth = (x[:, 0] + 0.5 * rng.normal(size=2000) > 0).astype(int)
    said = np.where(rng.random(2000) < 0.4, 1, truth)  # every second "no" is called "yes"
    record = study(
        None, x, np.array(["no", "yes"])[truth], weak_labels={"rule": np.array(["no", "yes"])[said]},
        heads="logistic", seeds=5, true_labels=100,
    )  # fmt: skip
    [result] = record.results
    shares = {of: values[1] for of, values in result.facts["class_frequencies"].items()}
    assert shares["strong"] == pytest.approx(shares["weak"], abs=0.03)
    assert shares["weak"] > shares["truth"] + 0.15
    assert result.estimates["corrected_accuracy"].value > result.estimates["strong_accuracy"].value + 0.03
    assert any("inherits that" in line for line in result.findings)


@pytest.mark.parametrize("heads", HEADS)
def test_a_class_that_teaching_rows_lack_gets_no_probability(heads: str) -> None:
    rng = np.random.default_rng(2)
    x, kind = rng.normal(size=(200, 3)), np.array(["a", "b", "rare"])[rng.integers(0, 2, 200)]
    kind[0] = "rare"
    record = study({"few": x[:, :1]}, x, kind, heads=heads, seeds=12, n_folds=3)
    assert record.predictions is not None
    table = record.predictions.table
    judged = table[table["y_true"] == "rare"]["division"].unique()
    assert len(judged) > 0
    assert (table[table["division"].isin(judged)]["y_direct[rare]"] < 1e-12).all()
    assert any("'rare'" in note for note in record.notes)
    assert np.isfinite(float(record.results[0].estimates["strong_log_loss"].value))


ARRAYS = {
    "text": np.array(["no", "yes"]),
    "booleans": np.array([False, True]),
    "whole numbers": np.array([3, 7]),
    "objects": np.array(["no", "yes"], dtype=object),
}


@pytest.mark.parametrize("kind", [*ARRAYS, "categories", "probabilities", "missing"])
def test_what_is_of_classes(kind: str) -> None:
    rng = np.random.default_rng(3)
    x, code = rng.normal(size=(90, 4)), rng.integers(0, 2, 90)
    reference = study({"w": x[:, :2]}, x, ARRAYS["text"][code], seeds=2, heads="brier")
    if kind == "categories":
        y: Any = pd.Series(pd.Categorical.from_codes(code, ["no", "yes"]))
    elif kind == "probabilities":
        y = pd.DataFrame({"no": 1.0 - code, "yes": 1.0 * code})
    elif kind == "missing":
        y = [*ARRAYS["objects"][code], None]
        x = np.concatenate([x, x[:1]])
    else:
        y = ARRAYS[kind][code]
    found = study({"w": x[:, :2]}, x, y, seeds=2, heads="brier")
    assert found.facts["classes"] == (["3", "7"] if kind == "whole numbers" else ["False", "True"]
        if kind == "booleans" else ["no", "yes"])  # fmt: skip
    if kind != "missing":
        for name in ("gain", "strong_accuracy"):
            assert found.results[0].estimates[name].value == pytest.approx(
                reference.results[0].estimates[name].value, abs=1e-12
            )


FAULTS: dict[str, tuple[Any, dict[str, Any], str]] = {
    "one class": (["a"] * 90, {}, "every true label is 'a'; with one class there is nothing to learn"),
    "floats": ([0.0, 1.0] * 45, {}, "a few distinct whole numbers as floats"),
    "heads of numbers": (["a", "b"] * 45, {"heads": "l2"}, "labels are classes, and their heads are"),
    "heads of classes": (np.linspace(0, 1, 90), {"heads": "brier"}, "labels are numbers, and their heads"),
    "sums": (
        pd.DataFrame({"a": [0.5] * 90, "b": [0.4] * 90}), {}, "probabilities of row 0 .* sum to 0.9, not to 1"
    ),
    "negative": (pd.DataFrame({"a": [-0.5] * 90, "b": [1.5] * 90}), {}, "row 0 .* has the probabilities"),
    "no common class": (
        ["a", "b"] * 45, {"weak_labels": {"r": ["x", "y"] * 45}}, "'r' names the classes x, y, the truth"
    ),
    "one weak class": (
        ["a", "b"] * 45, {"weak_labels": {"r": ["a"] * 90}}, "weak labels 'r': every label is 'a'"
    ),
    "numbers as weak labels": (
        ["a", "b"] * 45, {"weak_labels": {"r": np.linspace(-2, 3, 90)}},
        "'r' holds numbers that are no classes"
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_labels_that_cannot_be_studied(fault: str) -> None:
    y, more, said = FAULTS[fault]
    x = np.random.default_rng(0).normal(size=(90, 3))
    weak = None if "weak_labels" in more else {"w": x[:, :1]}
    with pytest.raises(InputError, match=said):
        study(weak, x, y, **more)


def test_whole_floats_are_what_the_task_says() -> None:
    rng = np.random.default_rng(4)
    x, y = rng.normal(size=(90, 3)), rng.integers(0, 2, 90).astype(float)
    y[:5] = np.nan
    classes = study({"w": x[:, :1]}, x, y, task="classification", seeds=2, heads="brier")
    assert classes.facts["classes"] == ["0", "1"]
    assert "classes" not in study({"w": x[:, :1]}, x, y, task="regression", seeds=2).facts


def test_a_supervisor_may_name_classes_that_the_truth_never_has() -> None:
    rng = np.random.default_rng(5)
    x, y = rng.normal(size=(120, 3)), np.array(["a", "b"])[rng.integers(0, 2, 120)]
    rule = np.where(rng.random(120) < 0.3, "other", y)
    record = study(None, x, y, weak_labels={"rule": rule}, seeds=5, heads="brier", true_labels=30)
    assert record.facts["classes"] == ["a", "b", "other"]
    assert any("'other'" in note and "count as wrong" in note for note in record.notes)
    right = float(record.results[0].estimates["weak_accuracy"].value)
    assert right == pytest.approx((rule == y).mean())


@pytest.mark.parametrize("form", ["floats", "objects", "masked", "numbered table", "named table", "integers"])
def test_a_crowd_that_abstains_in_any_form(form: str) -> None:
    rng = np.random.default_rng(7)
    x = rng.normal(size=(90, 3))
    y = (x[:, 0] > 0).astype(int)
    crowd = np.where(rng.random((90, 3)) < 0.25, 1 - y[:, None], y[:, None]).astype(float)
    if form != "integers":
        crowd[rng.random((90, 3)) < 0.2] = np.nan
        crowd[:, 0] = np.where(np.isnan(crowd).all(1), y, crowd[:, 0])
    empty = np.isnan(crowd)
    forms: dict[str, Any] = {
        "floats": crowd,
        "objects": np.where(empty, None, np.nan_to_num(crowd).astype(int).astype(object)),
        "masked": np.ma.array(np.nan_to_num(crowd).astype(int), mask=empty),
        "numbered table": pd.DataFrame(crowd),
        "named table": pd.DataFrame(crowd, columns=list("xyz")),
        "integers": np.nan_to_num(crowd).astype(int),
    }
    expected = np.where(empty, 0, crowd).sum(1) / (~empty).sum(1)
    record = study(None, x, y, weak_labels={"crowd": forms[form]}, seeds=2, heads="brier")
    assert record.predictions is not None
    table = record.predictions.table
    np.testing.assert_allclose(table["y_weak[1]"], expected[table["row"]])


@pytest.mark.parametrize("kind", [int, float, bool])
def test_a_matrix_with_a_column_for_each_class_is_of_probabilities(kind: type) -> None:
    rng = np.random.default_rng(8)
    x = rng.normal(size=(90, 3))
    y = np.array(["no", "yes"])[(x[:, 0] > 0).astype(int)]
    rule = (x[:, 0] + 0.5 * rng.normal(size=90) > 0).astype(int)
    one_hot = np.eye(2)[rule].astype(kind)
    hard = np.array(["no", "yes"])[rule]
    given = {"matrix": one_hot, "table": pd.DataFrame(one_hot, columns=["no", "yes"]), "hard": hard}
    record = study(None, x, y, weak_labels=given, seeds=2, heads="brier")
    gains = [float(result.estimates["gain"].value) for result in record.results]
    assert gains == pytest.approx([gains[-1]] * 3)
    found = [float(measure(y, labels, y).weak_error.value) for labels in given.values()]
    assert found == pytest.approx([found[-1]] * 3)


def test_workers_labels_and_probabilities_of_a_supervisor() -> None:
    rng = np.random.default_rng(6)
    x, y = rng.normal(size=(100, 3)), rng.integers(0, 2, 100)
    names = np.array(["no", "yes"])
    workers = names[np.where(rng.random((100, 3)) < 0.3, 1 - y[:, None], y[:, None])].astype(object)
    workers[0] = None
    shares = (workers == "yes").mean(1)
    table = pd.DataFrame({"no": 1 - shares, "yes": shares})
    table.iloc[0] = np.nan
    given = {"workers": workers, "shares": table, "of the second": np.where(np.arange(100), shares, np.nan)}
    record = study(None, x, names[y], weak_labels=given, seeds=5, heads="brier", true_labels=30)
    errors = [r.estimates["weak_error"].value for r in record.results]
    np.testing.assert_allclose(errors, errors[0])
    assert record.results[0].facts["noise_of_one_label"] > 0
    majority = study(None, x, names[y], weak_labels={"w": workers}, vote="majority", seeds=5, heads="brier",
        true_labels=30)  # fmt: skip
    right = ((shares > 0.5) == y)[1:].mean()
    assert majority.results[0].estimates["weak_accuracy"].value == pytest.approx(right)


def test_names_of_classes_are_text_whatever_they_look_like(tmp_path: Path, world: StudyInputs) -> None:
    names = ("01", "1", "nan")
    odd = replace(
        world,
        classes=names,
        weak_labels={name: replace(g, classes=names) for name, g in world.weak_labels.items()},
    )
    made = run(odd, options(), out=tmp_path / "record")
    back = Record.read(tmp_path / "record").predictions
    assert back is not None
    assert back.classes == names
    mine = Predictions(back.table.query("supervisor == 'model'"))
    np.testing.assert_allclose(
        mine.losses()["strong_error"].mean(), float(made.results[2].estimates["strong_error"].value)
    )


def test_a_record_of_classes_reads_back(tmp_path: Path, world: StudyInputs) -> None:
    made = run(world, options(seeds=5), out=tmp_path / "record")
    back = Record.read(tmp_path / "record")
    assert back.predictions is not None
    assert back.predictions.classes == CLASSES
    assert [r.findings for r in back.results] == [r.findings for r in made.results]
    for loss in (BRIER, LOG_LOSS, ZERO_ONE):
        losses = Predictions(back.predictions.table.query("supervisor == 'model'")).losses(loss)
        gain = losses["gain"] - losses["misfit"] - losses["cross_term"]
        if loss is not LOG_LOSS:
            assert np.abs(gain).max() < 1e-9
    assert (tmp_path / "record" / "figure.png").stat().st_size > 10_000
