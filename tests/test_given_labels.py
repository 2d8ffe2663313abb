"""Studies of weak labels that exist already: against loops written out by hand, and what must not leak."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression

from weakstrong import Estimate, InputError, Record, study
from weakstrong.errors import RenamedWarning
from weakstrong.predictions import Predictions
from weakstrong.studies.class_heads import exact_fitters
from weakstrong.studies.divisions import Division, divisions
from weakstrong.studies.fitting import fit_division
from weakstrong.studies.inputs import Split, StudyInputs
from weakstrong.studies.settings import StudyOptions
from weakstrong.studies.worth import BudgetPoint, worth_in_true_labels, worth_in_words
from weakstrong.votes import GivenLabels

LINEAR = StudyOptions(heads=("linear",), seeds=10, clip=False, budget=(12, 30))


@pytest.fixture
def world() -> StudyInputs:
    """60 of 240 rows with a true label; one supervisor labels all rows, one a half, one has features."""
    rng = np.random.default_rng(5)
    strong = rng.normal(size=(240, 4))
    y = strong @ [1.0, -1.0, 0.5, 2.0] + 0.3 * rng.normal(size=240)
    rule = y + np.sign(strong[:, 0]) + 0.5 * rng.normal(size=240)
    half = np.where(rng.random(240) < 0.5, rule + 1, np.nan)
    y[rng.permutation(240)[60:]] = np.nan
    return StudyInputs(
        {"few": strong[:, :2]},
        {"s": strong},
        y,
        weak_labels={"rule": GivenLabels(rule), "half": GivenLabels(half)},
        weights=rng.uniform(0.5, 2, size=240),
        label_probability=np.where(np.isnan(y), np.nan, rng.uniform(0.2, 1, size=240)),
    )


def fitted(division: Division, inputs: StudyInputs, options: StudyOptions = LINEAR) -> pd.DataFrame:
    predictions, _ = fit_division(division, inputs, exact_fitters(options), nulls=True)
    return predictions.table


def by_hand(inputs: StudyInputs, division: Division, supervisor: str) -> dict[str, np.ndarray]:
    """What everything says of the judged rows, with scikit-learn's least squares."""
    x, few, y = inputs.students["s"], inputs.supervisors["few"], inputs.y
    of_truth = inputs.weights / inputs.label_probability
    judged, supervised = division.judged, division.supervised

    def least_squares(
        features: np.ndarray, rows: np.ndarray, labels: np.ndarray, weights: np.ndarray
    ) -> np.ndarray:
        return LinearRegression().fit(features[rows], labels[rows], weights[rows]).predict(features)

    taught = least_squares(few, supervised, y, of_truth)
    weak = taught if supervisor == "few" else inputs.weak_labels[supervisor].values
    own = division.student[~np.isnan(weak[division.student])]
    said = {
        "weak": weak,
        "strong": least_squares(x, own, weak, inputs.weights),
        "direct": least_squares(x, supervised, y, of_truth),
        "mean": np.full(len(y), np.average(y[supervised], weights=of_truth[supervised])),
    }
    said |= {f"direct_{n}": least_squares(x, rows, y, of_truth) for n, rows in division.budgets.items()}
    on_few = least_squares(few, own, weak, inputs.weights)
    if supervisor == "few":
        said["null"] = on_few
    else:
        said["null"] = np.full(len(y), np.average(weak[own], weights=inputs.weights[own]))
        said["null_of_few"] = on_few
    return {name: values[judged] for name, values in said.items()}


def test_predictions_are_those_of_the_procedure_written_out_with_scikit_learn(world: StudyInputs) -> None:
    for division in divisions(world, LINEAR):
        table = fitted(division, world)
        assert list(dict.fromkeys(table["supervisor"])) == ["few", "rule", "half"]
        for supervisor, mine in table.groupby("supervisor"):
            expected = by_hand(world, division, str(supervisor))
            there = ~(np.isnan(world.y[division.judged]) & np.isnan(expected["weak"]))
            np.testing.assert_array_equal(mine["row"], division.judged[there])
            for name, values in expected.items():
                np.testing.assert_allclose(mine[f"y_{name}"], values[there], rtol=1e-8, atol=1e-10)
            assert "y_ceiling" not in mine


def test_held_out_parts_take_turns_and_hold_every_row_once(world: StudyInputs) -> None:
    divided = divisions(world, LINEAR)
    known = ~np.isnan(world.y)
    for around in (divided[:5], divided[5:]):
        np.testing.assert_array_equal(np.sort(np.concatenate([d.judged for d in around])), np.arange(240))
        assert {int(known[d.judged].sum()) for d in around} == {12}  # true labels are spread evenly
    assert not np.array_equal(divided[0].judged, divided[5].judged)
    for d in divided:
        parts = np.concatenate([d.supervised, d.student, d.judged])
        np.testing.assert_array_equal(np.sort(parts), np.arange(240))
        assert known[d.supervised].all()
        assert not known[d.student].any()  # as few true labels as there are all teach
        for count, rows in d.budgets.items():
            assert len(set(rows) & set(d.supervised)) == len(rows) == count


def test_turns_keep_groups_whole(world: StudyInputs) -> None:
    groups = np.random.default_rng(2).integers(0, 40, size=240)
    for d in divisions(replace(world, groups=groups), replace_options(seeds=5)):
        assert not set(groups[d.judged]) & (set(groups[d.supervised]) | set(groups[d.student]))


def replace_options(**changes: object) -> StudyOptions:
    return LINEAR.model_copy(update=changes)


@pytest.mark.parametrize("heads", ["linear", "l2"])
def test_no_prediction_depends_on_the_labels_of_its_own_row(world: StudyInputs, heads: str) -> None:
    """Labels of the judged rows are changed, weak and true: nothing that is said of these rows moves."""
    options = replace_options(heads=(heads,), n_folds=3)
    division = divisions(world, options)[3]
    judged = division.judged

    def spoilt(values: np.ndarray) -> np.ndarray:
        other = values.copy()
        other[judged] = 100 + 50 * np.sin(np.arange(len(judged))) + 0 * values[judged]
        return other

    weak = {name: GivenLabels(spoilt(given.values)) for name, given in world.weak_labels.items()}
    before, after = (
        fitted(division, w, options) for w in (world, replace(world, y=spoilt(world.y), weak_labels=weak))
    )
    said = [name for name in before if name.startswith("y_") and name not in ("y_true", "y_weak")]
    pd.testing.assert_frame_equal(before[said], after[said])
    of_rule = before["supervisor"] == "rule"
    assert not np.allclose(before.loc[of_rule, "y_weak"], after.loc[of_rule, "y_weak"])


def test_estimates_are_of_the_rows_that_they_say(world: StudyInputs) -> None:
    """Gain on the rows with truth that a supervisor labels and on all with truth; misfit on all it labels."""
    arrays = {name: given.values for name, given in world.weak_labels.items()}
    found = study(
        world.supervisors, world.students, world.y, weak_labels=arrays, weights=world.weights,
        label_probability=world.label_probability, heads="linear", clip=False,
    )  # fmt: skip
    assert found.predictions is not None
    table = found.predictions.table
    table = table[table["supervisor"] == "half"]
    e = found.result(supervisor="half").estimates
    omega = (table["weight"] / table["probability"]).to_numpy()
    y, w, s, null = (table[f"y_{name}"].to_numpy() for name in ("true", "weak", "strong", "null"))
    known, labelled = ~np.isnan(y), ~np.isnan(w)
    both, filled = known & labelled, np.where(labelled, w, null)

    def mean(values: np.ndarray, rows: np.ndarray, weights: np.ndarray = omega) -> float:
        return float(np.average(values[rows], weights=weights[rows]))

    gains = (w - y) ** 2 - (s - y) ** 2
    assert float(e["gain"].value) == pytest.approx(mean(gains, both))
    assert float(e["misfit"].value) == pytest.approx(mean((w - s) ** 2, both))
    assert float(e["gain_over_direct"].value) == pytest.approx(
        mean((table["y_direct"] - y) ** 2 - (s - y) ** 2, both)
    )
    assert float(e["gain_over_null"].value) == pytest.approx(mean((null - y) ** 2 - (s - y) ** 2, both))
    everywhere = (filled - y) ** 2 - (s - y) ** 2
    assert float(e["gain_on_all_rows"].value) == pytest.approx(mean(everywhere, known))
    plain = table["weight"].to_numpy()
    assert float(e["misfit_on_all_rows"].value) == pytest.approx(mean((w - s) ** 2, labelled, plain))
    assert float(e["misfit_without_truth"].value) == pytest.approx(
        mean((w - s) ** 2, labelled & ~known, plain)
    )
    assert e["gain"].clusters == len(set(table["row"][both]))
    assert both.sum() == 2 * len(set(table["row"][both]))  # ten divisions are two rounds
    facts = found.result(supervisor="half").facts
    assert facts["labelled_share"] == pytest.approx(np.isfinite(arrays["half"]).mean())
    assert facts["held_out_rows_without_truth"] == len(set(table["row"][labelled & ~known]))
    whole = found.result(supervisor="rule").estimates
    assert "gain_on_all_rows" not in whole  # it labels all rows
    share = f"{facts['labelled_share']:.0%}"
    findings = found.result(supervisor="half").findings
    assert any(f"it labels {share} of the rows" in said for said in findings)


def test_labels_given_are_judged_as_they_are(world: StudyInputs) -> None:
    found = study(
        world.supervisors,
        world.students,
        world.y,
        weak_labels={"rule": world.weak_labels["rule"].values},
        heads="linear",
    )
    assert found.predictions is not None
    table = found.predictions.table
    table = table[table["supervisor"] == "rule"]
    np.testing.assert_array_equal(table["y_weak"], world.weak_labels["rule"].values[table["row"]])


@pytest.mark.parametrize("weighted", [False, True])
def test_the_null_of_linear_heads_on_own_features_reproduces_the_supervisor(
    world: StudyInputs, weighted: bool
) -> None:
    inputs = world if weighted else replace(world, weights=None, label_probability=None)
    table = fitted(divisions(inputs, LINEAR)[0], inputs)
    mine = table[table["supervisor"] == "few"]
    np.testing.assert_allclose(mine["y_null"], mine["y_weak"], atol=1e-10)
    of_rule = table[table["supervisor"] == "rule"]  # labels that these features cannot say
    assert not np.allclose(of_rule["y_null_of_few"], of_rule["y_weak"], atol=0.1)


def test_true_labels_drawn_with_known_probabilities_judge_as_random_ones_would() -> None:
    """Rows on which the rule errs most are labelled most: weighing by the inverse probability undoes it."""
    rng = np.random.default_rng(8)
    n = 4000
    x = rng.normal(size=(n, 3))
    y = x.sum(1) + 0.2 * rng.normal(size=n)
    rule = y + np.where(x[:, 0] > 1, 2.0, 0.3) * rng.normal(size=n)
    p = np.where(x[:, 0] > 1, 0.6, 0.1)
    truth = np.where(rng.random(n) < p, y, np.nan)
    given = {"weak_labels": {"rule": rule}, "heads": "linear", "seeds": 5}
    all_known = study(None, x, y, **given).results[0].estimates["weak_error"]
    weighed = study(None, x, truth, label_probability=np.where(np.isnan(truth), np.nan, p), **given)
    plain = study(None, x, truth, **given).results[0].estimates["weak_error"]
    estimate = weighed.results[0].estimates["weak_error"]
    assert estimate.low < all_known.value < estimate.high
    assert plain.low > all_known.value * 1.5
    assert any("inverse of the probability" in note for note in weighed.notes)


def test_rows_with_truth_that_are_unlike_the_others_are_told_of() -> None:
    rng = np.random.default_rng(8)
    x = rng.normal(size=(2000, 3))
    y = x.sum(1)
    rule = y + np.where(x[:, 0] > 0, 1.5, 0.1) * rng.normal(size=2000)
    for chosen, told in ((x[:, 0] > 0.5, True), (rng.random(2000) < 0.2, False)):
        found = study(None, x, np.where(chosen, y, np.nan), weak_labels={"rule": rule}, seeds=5)
        said = [line for line in found.results[0].findings if "unlike those without" in line]
        assert bool(said) == told


def test_a_misfit_of_rounding_alone_is_not_spoken_of(world: StudyInputs) -> None:
    """The student sees the supervisor's features too, and reproduces it, on larger values less exactly."""
    x = world.students["s"]
    far = np.abs(x[:, 0]) > 1
    y = np.where(far, x.sum(1), np.nan)
    found = study({"few": x[:, :2]}, x, y, heads="linear", seeds=5, clip=False).results[0]
    assert "misfit_on_all_rows" in found.estimates
    assert any("reproduces its supervisor" in line for line in found.findings)
    assert not any("misfit on all" in line or "unlike" in line for line in found.findings)


@pytest.mark.parametrize("right", [True, False])
def test_rows_drawn_with_known_probabilities_stand_for_all_rows(right: bool) -> None:
    rng = np.random.default_rng(8)
    x = rng.normal(size=(3000, 3))
    y = x.sum(1)
    rule = y + np.where(x[:, 0] > 0, 1.5, 0.3) * rng.normal(size=3000)
    p = np.where(x[:, 0] > 0, 0.9, 0.1)
    truth = np.where(rng.random(3000) < p, y, np.nan)
    found = study(
        None, x, truth, weak_labels={"rule": rule}, label_probability=p if right else 1 - p, seeds=5
    )
    said = found.results[0].findings
    assert not any("unlike those without" in line for line in said)
    assert any("check the probabilities" in line for line in said) != right


def test_several_labels_a_row_are_combined_and_their_noise_is_told() -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(900, 3))
    y = x.sum(1)
    votes = y[:, None] + rng.normal(size=(900, 5))
    votes[rng.random((900, 5)) < 0.4] = np.nan
    votes[:, 0] = y + rng.normal(size=900)
    truth = np.where(np.arange(900) < 200, y, np.nan)
    found = study(None, x, truth, weak_labels={"crowd": votes}, heads="linear")
    facts = found.results[0].facts
    assert facts["noise_of_one_label"] == pytest.approx(1, rel=0.1)
    error = float(found.results[0].estimates["weak_error"].value)
    assert facts["noise_of_labels"] == pytest.approx(error, rel=0.25)  # the crowd errs by its noise alone
    assert any("labels of one row disagree" in said for said in found.results[0].findings)
    assert found.predictions is not None
    table = found.predictions.table
    np.testing.assert_allclose(table["y_weak"], np.nanmean(votes, axis=1)[table["row"]])


def test_the_noise_of_a_majority_is_not_said_to_be_that_of_a_mean() -> None:
    """Seven labels leave a majority that is off three times as much as one seventh of their variance."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2000, 3))
    y = np.round(x.sum(1))
    votes = y[:, None] + rng.choice([-1, 0, 1], p=[0.2, 0.6, 0.2], size=(2000, 7))
    given = {"weak_labels": {"crowd": votes}, "heads": "linear", "seeds": 5, "task": "regression"}
    mean, majority = (study(None, x, y, vote=vote, **given).results[0] for vote in ("mean", "majority"))
    assert mean.facts["noise_of_labels"] == pytest.approx(mean.estimates["weak_error"].value, rel=0.1)
    assert majority.estimates["weak_error"].value > 2 * mean.facts["noise_of_labels"]
    assert majority.facts["noise_of_labels"] is None
    assert any(line.endswith("the noise of one has a variance of 0.395") for line in majority.findings)


def test_workers_who_differ_may_be_right_together() -> None:
    x = np.random.default_rng(3).normal(size=(300, 3))
    y = np.round(4 * x.sum(1)) / 4
    found = study(None, x, y, weak_labels={"pair": np.column_stack([y + 1, y - 1])}, heads="linear")
    assert found.results[0].estimates["weak_error"].value == 0
    [said] = [line for line in found.results[0].findings if "labels of one row disagree" in line]
    assert said.endswith("that of their mean 1")


def test_the_best_student_is_that_of_the_least_error_on_the_same_rows() -> None:
    """One supervisor labels the easy rows alone: on these its student errs less than the other's on all."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(1500, 3))
    hard = x[:, 0] > 0
    y = x.sum(1) + np.where(hard, 2.0, 0.1) * rng.normal(size=1500)
    easy = np.where(hard, np.nan, y + 1 + 0.3 * rng.normal(size=1500))
    every = y + 0.5 * rng.normal(size=1500)
    truth = np.where(np.arange(1500) < 600, y, np.nan)
    found = study(None, x, truth, weak_labels={"easy": easy, "every": every}, heads="linear", seeds=5)
    of = {result.about["supervisor"]: result.estimates for result in found.results}
    assert of["easy"]["strong_error"].value < of["every"]["strong_error"].value
    assert of["easy"]["strong_error_on_all_rows"].value > of["every"]["strong_error"].value
    [choice] = found.facts["choices"]
    assert choice["best"] == "every"
    assert float(choice["excess_error"].value) < 0


def test_the_former_meaning_of_weak_labels_still_counts_rows(world: StudyInputs) -> None:
    x, y = world.students["s"], np.nan_to_num(world.y)
    weak = {"few": world.supervisors["few"]}
    now = study(weak, x, y, heads="linear", seeds=1, student_rows=30)
    with pytest.warns(RenamedWarning, match="weak_labels is now called student_rows"):
        before = study(weak, x, y, heads="linear", seeds=1, weak_labels=30)
    pd.testing.assert_frame_equal(now.tables["divisions"], before.tables["divisions"])


BAD = {
    "no label": ({"a": np.full(240, np.nan)}, "weak labels 'a': no row has one"),
    "one label": ({"a": np.full(240, 0.5)}, "weak labels 'a': every label is 0.5"),
    "classes": ({"a": ["yes", "no"] * 120}, "weak labels 'a': real numbers are needed"),
    "length": ({"a": np.linspace(0, 1, 9)}, r"weak labels 'a': shape \(9,\)"),
    "infinite": ({"a": np.r_[np.inf, np.linspace(0, 1, 239)]}, "weak labels 'a': row 0 .* is infinite"),
    "text": ({"a": np.array(["b"] * 240)}, "weak labels 'a': real numbers are needed"),
    "name": ({"few": np.linspace(0, 1, 240)}, "'few' has features and weak labels"),
    "few": ({"a": np.r_[[0.1, 0.7], np.full(238, np.nan)]}, "student of 'a' that it labels"),
}


@pytest.mark.parametrize("fault", BAD)
def test_weak_labels_that_cannot_be_used(world: StudyInputs, fault: str) -> None:
    weak_labels, said = BAD[fault]
    with pytest.raises(InputError, match=said):
        study(world.supervisors, world.students, world.y, weak_labels=weak_labels)


def test_labels_that_hardly_any_judged_row_has_are_refused(world: StudyInputs) -> None:
    unknown = np.isnan(world.y)
    labels = np.where(unknown, np.linspace(0, 1, 240), np.nan)
    with pytest.raises(InputError, match=r"weak labels 'a': 0 held-out rows with a true label have one"):
        study(None, world.students, world.y, weak_labels={"a": labels})


@pytest.mark.parametrize(
    ("weighty", "said"),
    [
        (lambda known: ~known, "0 rows with weight for training directly"),
        (lambda known: known, "0 rows with weight for the student"),
        (lambda known: known | (np.arange(240) < 4), "rows with weight for the student, fewer than the 5"),
        (lambda known: ~known | (np.cumsum(known) > 12), None),
    ],
)
def test_rows_without_weight_neither_teach_nor_judge(world: StudyInputs, weighty, said) -> None:
    weights = weighty(~np.isnan(world.y)).astype(float)
    given = {"weak_labels": {"rule": world.weak_labels["rule"].values}, "weights": weights, "seeds": 2}
    if said is None:
        assert study(None, world.students, world.y, **given).results[0].facts["held_out_rows"] < 24
        return
    with pytest.raises(InputError, match=said):
        study(None, world.students, world.y, **given)


def test_other_faults_of_inputs(world: StudyInputs) -> None:
    given = {"strong": world.students, "y": world.y, "weak_labels": {"a": np.linspace(0, 1, 240)}}
    with pytest.raises(InputError, match="needs strong"):
        study(y=world.y, weak_labels=given["weak_labels"])
    with pytest.raises(InputError, match="needs a supervisor"):
        study(strong=world.students, y=world.y)
    for probability in (np.nan, 0.0, 1e-320, 1.5):
        p = np.where(np.isnan(world.y), np.nan, 0.5)
        p[np.flatnonzero(~np.isnan(world.y))[3]] = probability
        with pytest.raises(InputError, match="label_probability: row"):
            study(**given, label_probability=p)
    with pytest.raises(InputError, match=r"vote=.*median.*: give 'mean' or 'majority'"):
        study(**given, vote="median")
    with pytest.raises(InputError, match="weights: row 2"):
        study(**given, weights=np.where(np.arange(240) == 2, -1.0, 1.0))
    with pytest.raises(InputError, match="a budget of 60 true labels, and 48 training rows have one"):
        study(**given, budget=[60])
    with pytest.raises(InputError, match="3 true labels are fewer than the 5 folds"):
        study(**given, budget=[3])
    with pytest.raises(InputError, match="48 of 192 training rows have a true label, fewer than the 100"):
        study(**given, true_labels=100)
    split = (np.arange(10), np.arange(10, 150), np.arange(150, 240))
    with pytest.raises(InputError, match=r"supervised row .* has no true label"):
        study(**given, splits={"s": split})


def test_no_budget_has_a_held_out_row(world: StudyInputs) -> None:
    """Of a split whose parts share a row that, of all that is fitted, only a budget would take."""
    known = replace(world, y=np.nan_to_num(world.y), label_probability=None)
    split = Split("s", np.arange(200), np.r_[np.arange(200, 240), 5])
    for seed in range(10):
        options = StudyOptions(
            heads=("linear",), true_labels=10, student_rows=20, budget=(200,), seed=seed, seeds=1
        )
        with pytest.raises(InputError, match=r"held-out row 5 .* is also trained on"):
            divisions(replace(known, splits=(split,)), options)


def test_a_budget_of_fewer_groups_than_folds_is_refused_before_anything_is_fitted(world: StudyInputs) -> None:
    known = replace(world, y=np.nan_to_num(world.y), groups=np.arange(240) // 10, label_probability=None)
    with pytest.raises(InputError, match=r"[1-4] groups.* for the budget of 5 true labels, fewer than the 5"):
        divisions(known, StudyOptions(budget=(5,)))


def estimate(value: float, half: float = 0.5) -> Estimate:
    return Estimate(value, value - half, value + half, "Student t over clusters")


def curve(*excess: float) -> list[BudgetPoint]:
    return [BudgetPoint(10 * 4**i, estimate(1 + d), estimate(d)) for i, d in enumerate(excess)]


def test_worth_is_where_direct_training_errs_as_much_as_the_student() -> None:
    worth = worth_in_true_labels(curve(2, 1, -1, -2))
    assert worth is not None
    assert worth.value == pytest.approx(80)  # half way between 40 and 160, in logarithms
    assert worth.low == pytest.approx(40 * 4**0.25)
    assert worth.high == pytest.approx(40 * 4**0.75)
    assert worth_in_words(worth, curve(2, 1, -1, -2)) == [
        "its weak labels are worth about 80 true ones (95% interval 57 to 110)"
    ]
    assert worth_in_true_labels([]) is None


@pytest.mark.parametrize(
    ("excess", "said"),
    [
        ((-1, -2, -3), "worth fewer than 10 true ones (at 95% too)"),
        ((3, 2, 1), "worth more than 160 true ones (at 95% too)"),
        ((-0.2, -0.3, -1), "worth fewer than 10 true ones (95% interval fewer than 10 to 59)"),
        ((2, 1, 0.2), "worth more than 160 true ones (95% interval 95 to more than 160)"),
    ],
)
def test_worth_beyond_the_numbers_tried_is_said_as_a_bound(excess: tuple, said: str) -> None:
    worth = worth_in_true_labels(curve(*excess))
    assert said in worth_in_words(worth, curve(*excess))[0]


def test_a_curve_that_rises_by_chance_crosses_once() -> None:
    worth = worth_in_true_labels(curve(3, -0.1, 0.1, -3))
    assert worth is not None
    assert worth.value == pytest.approx(40)
    assert worth.low < 40 < worth.high


def test_the_budget_of_a_study_says_what_labels_are_worth_in_a_world_where_it_is_known() -> None:
    """A rule errs by independent noise of variance v: its n labels are as good as n / (1 + v) true ones."""
    rng = np.random.default_rng(12)
    n, d, noise = 1500, 10, 15.0
    x = rng.normal(size=(n, d))
    y = x @ np.ones(d) + rng.normal(size=n)
    rule = y + np.sqrt(noise) * rng.normal(size=n)
    found = study(
        None, x, np.where(np.arange(n) < 500, y, np.nan), weak_labels={"rule": rule}, heads="linear",
        seeds=20, budget=[20, 40, 60, 100, 200, 400],
    )  # fmt: skip
    worth = found.results[0].estimates["worth_in_true_labels"]
    expected = 0.8 * 1000 / (1 + noise)  # 800 rows without truth are the student's
    assert worth.low < expected < worth.high
    assert worth.high < 4 * expected
    table = found.tables["budget"]
    assert list(table["true_labels"]) == [20, 40, 60, 100, 200, 400]
    assert (table["direct_error_low"] < table["direct_error"]).all()


def test_a_mean_over_two_kinds_of_clusters_is_the_formula() -> None:
    rng = np.random.default_rng(0)
    rows, divided = np.tile(np.arange(30), 4), np.repeat(np.arange(4), 30)
    values = rng.normal(size=30)[rows] + rng.normal(size=4)[divided] + rng.normal(size=120)
    both = Estimate.of_mean_over_two(values, rows, divided)
    parts = [Estimate.of_mean(values, of).standard_error ** 2 for of in (rows, divided, np.arange(120))]
    assert both.standard_error**2 == pytest.approx(max(parts[0], parts[0] + parts[1] - parts[2]))
    assert both.degrees_of_freedom == 3
    alone = Estimate.of_mean_over_two(values, rows, np.zeros(120, dtype=np.int64))
    assert (
        alone == Estimate.of_mean(values, rows)
        or alone.standard_error == Estimate.of_mean(values, rows).standard_error
    )


def test_a_mean_over_two_kinds_of_clusters_covers_where_one_kind_does_not() -> None:
    rng = np.random.default_rng(1)
    rows, divided = np.tile(np.arange(40), 10), np.repeat(np.arange(10), 40)
    covers = {"one": 0, "two": 0}
    for _ in range(400):
        values = rng.normal(size=40)[rows] + rng.normal(size=10)[divided] + rng.normal(size=400)
        for name, found in (
            ("one", Estimate.of_mean(values, rows)),
            ("two", Estimate.of_mean_over_two(values, rows, divided)),
        ):
            covers[name] += bool(found.low <= 0 <= found.high)
    assert covers["one"] < 0.8 * 400
    assert covers["two"] > 0.92 * 400


def test_a_record_of_given_labels_is_read_back(world: StudyInputs, tmp_path) -> None:
    from weakstrong.studies.run import run

    options = StudyOptions(seeds=5, budget=(12, 30))
    written = run(world, options, out=tmp_path / "record")
    back = Record.read(tmp_path / "record")
    for one, other in zip(written.results, back.results, strict=True):
        assert one.findings == other.findings
        assert one.estimates.keys() == other.estimates.keys()
        assert one.facts["budget"][0]["direct_error"].value == other.facts["budget"][0]["direct_error"].value
    assert back.tables["budget"].shape == (6, 10)
    assert isinstance(back.predictions, Predictions)
    assert back.predictions.table["y_true"].isna().any()


def test_worth_beyond_the_numbers_tried_is_read_back(tmp_path) -> None:
    from weakstrong.studies.run import run

    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 4))
    y = x.sum(1) + 0.5 * rng.normal(size=300)
    truth = np.where(np.arange(300) < 60, y, np.nan)
    weak = {"good": GivenLabels(y + 0.01 * rng.normal(size=300))}
    options = StudyOptions(heads=("linear",), seeds=5, budget=(5, 10))
    run(StudyInputs({}, {"s": x}, truth, weak_labels=weak), options, out=tmp_path / "record")
    worth = Record.read(tmp_path / "record").results[0].estimates["worth_in_true_labels"]
    assert (worth.value, worth.high) == (np.inf, np.inf)
    assert np.isfinite(worth.low)


def test_measuring_the_predictions_of_a_study_gives_its_estimates(
    world: StudyInputs, tmp_path, command
) -> None:
    from weakstrong.studies.run import run

    found = run(world, StudyOptions(seeds=5), out=tmp_path / "record")
    done = command("measure", tmp_path / "record" / "predictions.csv", "--out", tmp_path / "measured.csv")
    assert done.code == 0, done.err
    table = pd.read_csv(tmp_path / "measured.csv").set_index(["supervisor", "estimate"])
    for result in found.results:
        for name in ("weak_error", "misfit", "gain", "cross_term", "misfit_on_all_rows"):
            row, mine = table.loc[(result.about["supervisor"], name)], result.estimates[name]
            assert row["value"] == pytest.approx(float(mine.value), rel=1e-9)
            assert row["low"] == pytest.approx(float(mine.low), rel=1e-9)


def test_a_table_is_a_supervisor_in_each_column(world: StudyInputs) -> None:
    table = pd.DataFrame({name: given.values for name, given in world.weak_labels.items()})
    one, two = (
        study(None, world.students, world.y, weak_labels=given, heads="linear", seeds=5)
        for given in (table, {name: table[name].to_numpy() for name in table})
    )
    pd.testing.assert_frame_equal(one.tables["divisions"], two.tables["divisions"])


def test_rows_without_any_label_are_not_counted(world: StudyInputs) -> None:
    half = np.where(np.arange(240) < 120, world.weak_labels["rule"].values, np.nan)
    found = study(None, world.students, world.y, weak_labels={"half": half}, heads="linear")
    useful = int((np.isfinite(half) | np.isfinite(world.y)).sum())
    assert any(f"60 of {useful} rows have a true label" in note for note in found.notes)
    assert any(f"{240 - useful} rows with neither a true nor a weak label left out" in n for n in found.notes)
    assert found.results[0].facts["labelled_share"] == pytest.approx(120 / useful)
    assert found.predictions is not None
    table = found.predictions.table
    assert table["row"].nunique() == useful


@pytest.mark.parametrize(("shift", "told"), [(0.0, False), (100.0, True)])
def test_labels_in_other_units_than_the_truth_are_noted(world: StudyInputs, shift: float, told: bool) -> None:
    labels = {"rule": world.weak_labels["rule"].values + shift}
    found = study(None, world.students, world.y, weak_labels=labels, heads="linear", seeds=5)
    assert any("are they in the units of the truth" in note for note in found.notes) == told
