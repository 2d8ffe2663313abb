"""Measuring classes: one identity in every loss, scikit-learn's numbers, exact intervals of accuracy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    brier_score_loss,
    log_loss,
    roc_auc_score,
)

from weakstrong import InputError, measure
from weakstrong.class_gains import in_scores
from weakstrong.class_labels import in_simplex, smoothed
from weakstrong.class_scores import class_scores, scores_by_row
from weakstrong.divergence import BRIER, DIVERGENCES, ZERO_ONE, hardened

OF_CLASSES = ("brier", "log", "zero-one")
NAMES = np.array(["bad", "good", "mixed"])


def world(seed: int, n: int = 80, c: int = 3) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Classes, and probabilities of supervisor and student."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(n, c))
    y = (logits + rng.gumbel(size=(n, c))).argmax(1)
    w, s = (np.exp(logits + of * rng.normal(size=(n, c))) for of in (1.5, 0.5))
    return y, w / w.sum(1, keepdims=True), s / s.sum(1, keepdims=True)


@given(st.integers(0, 2**32 - 1), st.integers(2, 5), st.sampled_from(OF_CLASSES), st.booleans())
@settings(deadline=None)
def test_gain_is_misfit_plus_cross_term_in_every_loss(seed: int, c: int, name: str, hard: bool) -> None:
    rng = np.random.default_rng(seed)
    y, w, s = (rng.dirichlet(np.ones(c), 12) for _ in range(3))
    w[0], s[1] = 1 / c, np.r_[0.4, 0.4, np.full(c - 2, 0.2 / max(c - 2, 1))][:c] / (0.8 if c == 2 else 1)
    y = np.eye(c)[y.argmax(1)] if hard else y
    rows = DIVERGENCES[name].of_rows(y, w, s)
    size = 1e-12 * (1 + np.abs(rows["weak_error"]) + np.abs(rows["strong_error"]))
    assert (np.abs(rows["gain"] - rows["misfit"] - rows["cross_term"]) <= size).all()
    assert (rows["misfit"] >= 0).all()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", OF_CLASSES)
def test_the_slope_says_all_of_the_gain(seed: int, name: str) -> None:
    """G = (1 − θ) B − θ B', with an interval by the delta method."""
    y, w, s = world(seed)
    found = measure(NAMES[y], w, s, divergence=name, classes=NAMES, sample_weight=np.linspace(0.5, 2, 80))
    loss = DIVERGENCES[name]
    reverse = np.average(loss.misfit(w, s), weights=np.linspace(0.5, 2, 80))
    assert found.slope is not None
    theta = float(found.slope.value)
    assert found.gain.value == pytest.approx((1 - theta) * found.misfit.value - theta * reverse)
    better = theta < found.misfit.value / (found.misfit.value + reverse)
    assert better == (found.gain.value > 0)
    draws = np.random.default_rng(0).integers(0, 80, size=(400, 80))
    rows = loss.of_rows(np.eye(3)[y], w, s)
    both = rows["misfit"] + loss.misfit(w, s)
    spread = (-rows["cross_term"][draws].sum(1) / both[draws].sum(1)).std()
    plain = measure(NAMES[y], w, s, divergence=name, classes=NAMES).slope
    assert plain is not None
    assert plain.standard_error == pytest.approx(spread, rel=0.35)


@pytest.mark.parametrize("c", [2, 3])
def test_the_numbers_are_those_of_scikit_learn(c: int) -> None:
    y, w, s = world(1, c=c)
    names = NAMES[:c]
    log = measure(names[y], w, s, divergence="log", classes=names)
    assert log.gain.value == pytest.approx(log_loss(y, w) - log_loss(y, s), rel=1e-12)
    assert (log.smoothed, dict(log.sensitivity)) == ((), {})
    right = measure(names[y], w, s, divergence="zero-one", classes=names)
    assert right.gain.value == pytest.approx(accuracy_score(y, s.argmax(1)) - accuracy_score(y, w.argmax(1)))
    brier = measure(names[y], w, s, classes=names)
    twice = 2.0 if c == 2 else 1.0  # scikit-learn halves the score of two classes
    expected = brier_score_loss(
        names[y], s if c > 2 else s[:, 1], labels=names, pos_label=None if c > 2 else names[1]
    )
    assert brier.divergence == "brier"
    assert brier.strong_error.value == pytest.approx(twice * expected)
    scores = class_scores(np.eye(c)[y], s)
    area = roc_auc_score(y, s[:, 1]) if c == 2 else roc_auc_score(y, s, multi_class="ovr")
    assert scores["auroc"] == pytest.approx(area)
    assert scores["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(y, s.argmax(1)))
    assert scores["log_loss"] == pytest.approx(log_loss(y, s))
    parts = scores["miscalibration"] - scores["discrimination"] + scores["uncertainty"]
    assert scores["brier"] == pytest.approx(parts)
    assert scores["miscalibration"] >= -1e-12


def test_a_recalibrated_supervisor_ranks_as_before() -> None:
    """It gains in log loss and in calibration, and not in AUROC or discrimination."""
    y, w, _ = world(2, n=400, c=2)
    sharp = w**3 / (w**3).sum(1, keepdims=True)
    one, two = class_scores(np.eye(2)[y], w), class_scores(np.eye(2)[y], sharp)
    assert one["auroc"] == pytest.approx(two["auroc"])
    assert one["discrimination"] == pytest.approx(two["discrimination"])
    assert measure(y, sharp, w, divergence="log").gain.value > 0.1


def judged(seed: int, n: int = 200, *, hard: bool = False) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Two classes, one-hot, and what supervisor and student say."""
    y, w, s = world(seed, n=n, c=2)
    return np.eye(2)[y], {"weak": hardened(w) if hard else w, "strong": s}


@pytest.mark.parametrize("c", [2, 3])
def test_rows_of_a_score_spread_as_the_score_does(c: int) -> None:
    """Their mean is the score, and their standard error that of a bootstrap which computes it anew."""
    y, _, s = world(11, n=300, c=c)
    truth, omega = np.eye(c)[y], np.random.default_rng(0).uniform(0.5, 2, 300)
    rows = scores_by_row(truth, s.round(1), omega)  # with ties
    draws = np.random.default_rng(1).integers(0, 300, size=(300, 300))
    anew = [class_scores(truth[d], s.round(1)[d], omega[d]) for d in draws]
    for name in ("accuracy", "balanced_accuracy", "auroc", "brier"):
        mean = np.average(rows[name], weights=omega)
        error = np.sqrt((omega**2 * (rows[name] - mean) ** 2).sum()) / omega.sum()
        assert error == pytest.approx(np.std([of[name] for of in anew]), rel=0.15), name


@pytest.mark.parametrize("hard", [False, True])
def test_a_gain_in_brier_score_is_calibration_and_discrimination(hard: bool) -> None:
    y, said = judged(12, hard=hard)
    known = {"groups": np.arange(200), "sample_weight": np.linspace(1, 2, 200)}
    found = in_scores(y, said, **known)
    gain = measure(y, *said.values(), divergence="brier", classes=[0, 1], **known).gain
    both = found["gain_in_calibration"].value + found["gain_in_discrimination"].value
    assert both == pytest.approx(gain.value)


@pytest.mark.parametrize("hard", [False, True])
def test_the_order_of_rows_and_of_classes_changes_no_score(hard: bool) -> None:
    y, said = judged(16, hard=hard)
    clusters, weights = np.arange(200) // 2, np.linspace(1, 2, 200)
    first = in_scores(y, said, groups=clusters, sample_weight=weights)
    order = np.random.default_rng(0).permutation(200)
    there = {name: values[order][:, ::-1] for name, values in said.items()}
    second = in_scores(y[order][:, ::-1], there, groups=clusters[order], sample_weight=weights[order])
    for name, estimate in first.items():
        for of in ("value", "low", "high"):
            assert getattr(second[name], of) == pytest.approx(getattr(estimate, of), abs=1e-12), name


def test_what_isotonic_fits_of_noise_is_no_discrimination() -> None:
    """Of a hard supervisor two levels are fitted, of its student many, and more of its noise."""
    y, said = judged(13, 40_000, hard=True)
    many = {"groups": np.arange(40_000), "sample_weight": np.ones(40_000)}
    truth = float(in_scores(y, said, **many)["gain_in_discrimination"].value)
    few = {"groups": np.arange(200), "sample_weight": np.ones(200)}
    held, bias, naive = 0, 0.0, 0.0
    for part in range(200):
        rows = slice(200 * part, 200 * part + 200)
        here = {name: values[rows] for name, values in said.items()}
        found = in_scores(y[rows], here, **few)["gain_in_discrimination"]
        held += found.low <= truth <= found.high
        bias += (float(found.value) - truth) / 200
        scores = {name: class_scores(y[rows], values) for name, values in here.items()}
        naive += (scores["strong"]["discrimination"] - scores["weak"]["discrimination"] - truth) / 200
    assert held >= 180
    assert abs(bias) < naive / 2


def test_scores_that_are_undefined_are_left_out() -> None:
    y = np.eye(2)[np.zeros(5, dtype=int)]
    p = np.tile([0.7, 0.3], (5, 1))
    found = in_scores(y, {"weak": p, "strong": p}, groups=np.zeros(5, dtype=int), sample_weight=np.ones(5))
    assert not [name for name in found if name.endswith("auroc")]
    assert float(found["gain_in_balanced_accuracy"].value) == 0
    assert np.isnan(class_scores(y, p)["auroc"])


@pytest.mark.parametrize("name", OF_CLASSES)
def test_classes_renamed_and_permuted_have_the_same_numbers(name: str) -> None:
    y, w, s = world(3)
    order = np.array([2, 0, 1])
    first = measure(NAMES[y], w, s, divergence=name, classes=NAMES)
    other = np.array(["x", "y", "z"])
    second = measure(other[np.argsort(order)][y], w[:, order], s[:, order], divergence=name, classes=other)
    for key, estimate in first.estimates().items():
        for part in ("value", "low", "high"):
            one, two = getattr(estimate, part), getattr(second.estimates()[key], part)
            assert one == pytest.approx(two, rel=1e-9, abs=1e-12), key


FORMS: dict[str, Any] = {
    "hard": lambda w: NAMES[w.argmax(1)],
    "list": lambda w: [str(v) for v in NAMES[w.argmax(1)]],
    "category": lambda w: pd.Series(pd.Categorical(NAMES[w.argmax(1)], categories=list(NAMES[::-1]))),
    "table": lambda w: pd.DataFrame(hardened(w), columns=NAMES)[list(NAMES[::-1])],
    "array": hardened,
}


@pytest.mark.parametrize("form", FORMS)
def test_weak_labels_in_any_form(form: str) -> None:
    y, w, s = world(4)
    found = measure(NAMES[y], FORMS[form](w), pd.DataFrame(s, columns=NAMES), divergence="zero-one")
    assert found.classes == tuple(NAMES)
    assert found.weak_error.value == pytest.approx((w.argmax(1) != y).mean())
    assert found.divergence == "zero-one"


def test_of_two_classes_one_number_is_the_probability_of_the_second() -> None:
    y, w, s = world(5, c=2)
    both = measure(y == 1, w, s, classes=[False, True])
    one = measure(y == 1, w[:, 1], s[:, 1])
    numbers = measure(y.astype(float), w[:, 1], s[:, 1])
    assert both.gain.value == pytest.approx(one.gain.value)
    assert both.gain.value == pytest.approx(2 * numbers.gain.value)
    assert (one.divergence, numbers.divergence) == ("brier", "squared")
    assert measure(y, w[:, 1], s[:, 1], divergence="brier").gain.value == pytest.approx(one.gain.value)


def test_hard_weak_labels_are_smoothed_and_say_what_their_log_loss_depends_on() -> None:
    y, w, s = world(6)
    found = measure(NAMES[y], NAMES[w.argmax(1)], s, divergence="log", classes=NAMES, smoothing=0.1)
    assert found.smoothed == ("y_weak",)
    mixed = 0.9 * np.eye(3)[w.argmax(1)] + 0.1 / 3
    assert found.gain.value == pytest.approx(log_loss(y, mixed) - log_loss(y, s))
    assert set(found.sensitivity) == {0.02, 0.5}
    other = 0.98 * np.eye(3)[w.argmax(1)] + 0.02 / 3
    assert found.sensitivity[0.02]["gain"].value == pytest.approx(log_loss(y, other) - log_loss(y, s))
    assert "gain, smoothing 0.02" in str(found)
    np.testing.assert_array_equal(smoothed(w, 0.1), w)


def test_who_was_smoothed_is_said() -> None:
    """One zero, and all rows are: also of a student."""
    y, w, s = world(6)
    s[3] = np.eye(3)[y[3]]
    found = measure(NAMES[y], w, s, divergence="log", classes=NAMES)
    assert found.smoothed == ("y_strong",)
    assert set(found.sensitivity) == {0.01, 0.25}
    assert "smoothed" in str(found)
    zero_one = str(measure(NAMES[y], w, s, divergence="zero-one", classes=NAMES))
    assert "accuracy_where_they_differ " in zero_one  # a name does not run into its number
    wide = measure(NAMES[y], NAMES[w.argmax(1)], s, divergence="log", classes=NAMES, smoothing=0.6)
    assert [float(f"{of:g}") for of in wide.sensitivity] == [0.12, 0.8]


@pytest.mark.parametrize("c", [2, 3])
def test_a_truth_of_probabilities_has_the_errors_to_expect(c: int) -> None:
    """Means over classes drawn from it; scores that need a class are left out."""
    rng = np.random.default_rng(0)
    _, w, s = world(14, n=60, c=c)
    soft = rng.dirichlet(np.ones(c), 60)
    found = measure(soft, w, s, divergence="zero-one", classes=range(c))
    assert found.strong_error.value == pytest.approx(np.mean(1 - soft[np.arange(60), s.argmax(1)]))
    differ = (w.argmax(1) != s.argmax(1)).nonzero()[0]
    assert found.accuracy_where_they_differ is not None
    expected = soft[differ, s.argmax(1)[differ]].mean()
    assert found.accuracy_where_they_differ.value == pytest.approx(expected)
    assert in_scores(soft, {"weak": w, "strong": s}, groups=np.arange(60), sample_weight=np.ones(60)) == {}
    scores = class_scores(soft, s)
    assert scores["log_loss"] == pytest.approx(-(soft * np.log(s)).sum(1).mean())
    assert np.isnan(scores["auroc"])


@pytest.mark.parametrize("accuracy", [0.98, 0.8])
def test_intervals_of_shares_hold_near_their_ends(accuracy: float) -> None:
    """Student's t holds 69% of an accuracy of 98% in 60 rows."""
    rng, held = np.random.default_rng(15), {"strong_error": 0, "misfit": 0, "weak_error": 0}
    wrong = (1 - accuracy) * 0.97 + accuracy * 0.03
    truth = {"strong_error": 1 - accuracy, "misfit": 0.03, "weak_error": wrong}
    for _ in range(300):
        y = rng.integers(0, 2, 60)
        s = np.where(rng.random(60) < accuracy, y, 1 - y)
        w = np.where(rng.random(60) < 0.03, 1 - s, s)
        found = measure(y, w, s, divergence="zero-one", classes=[0, 1])
        for name, value in truth.items():
            estimate = getattr(found, name)
            held[name] += estimate.low <= value <= estimate.high
    assert min(held.values()) >= 0.94 * 300, held
    perfect = measure(["a", "b"] * 9, ["a", "b"] * 9, ["a", "b"] * 9, divergence="zero-one").strong_error
    assert (perfect.value, perfect.low) == (0, 0)
    assert perfect.high > 0.1
    y, said = np.eye(2)[[0, 1] * 9], np.tile([[0.9, 0.1], [0.1, 0.9]], (9, 1))
    of = in_scores(y, {"weak": said, "strong": said}, groups=np.arange(18), sample_weight=np.ones(18))
    assert float(of["strong_auroc"].value) == 1
    assert np.isnan(of["strong_auroc"].low)


def test_ties_are_shared() -> None:
    y, w, s = np.eye(2)[[0, 1]], np.array([[0.5, 0.5], [0.5, 0.5]]), np.array([[0.9, 0.1], [0.9, 0.1]])
    np.testing.assert_array_equal(ZERO_ONE.error(w, y), 0.5)
    np.testing.assert_array_equal(ZERO_ONE.of_rows(y, w, s)["gain"], [0.5, -0.5])
    found = measure(
        ["a", "b"] * 9, np.tile(w, (9, 1)), np.tile(s, (9, 1)), divergence="zero-one", classes="ab"
    )
    assert found.gain.method == "Student t over clusters"


def test_the_gain_in_accuracy_is_that_where_they_differ() -> None:
    y, w, s = world(7, c=2)
    found = measure(y, w, s, divergence="zero-one")
    differ = w.argmax(1) != s.argmax(1)
    right = (s.argmax(1) == y)[differ].mean()
    assert found.accuracy_where_they_differ is not None
    assert found.accuracy_where_they_differ.value == pytest.approx(right)
    assert found.gain.value == pytest.approx(differ.mean() * (2 * right - 1))
    assert found.misfit.value == pytest.approx(differ.mean())
    same = measure(y, w, w, divergence="zero-one")
    assert same.accuracy_where_they_differ is None
    assert same.slope is None
    assert same.gain.low < 0 < same.gain.high  # of new rows some may differ
    assert same.gain.verdict().sign == 0


@pytest.mark.parametrize(
    ("c", "n", "differing"), [(2, 30, 0.08), (3, 30, 0.08), (2, 100, 0.03), (4, 60, 0.3)]
)
def test_intervals_of_accuracy_hold_for_new_rows_where_few_differ(c: int, n: int, differing: float) -> None:
    """Of a world where the student is right in 80% of the rows that differ, Student's t falls short."""
    rng = np.random.default_rng(8)
    ours, theirs = 0.8, 0.2 if c == 2 else 0.1
    true_gain, held, of_t = differing * (ours - theirs), 0, 0
    for _ in range(400):
        y = rng.integers(0, c, n)
        differ = rng.random(n) < differing
        student_right = rng.random(n) < ours
        weak_right = ~student_right & ((c == 2) | (rng.random(n) < theirs / (1 - ours)))
        s = np.where(~differ | student_right, y, (y + 1) % c)
        w = np.where(differ, np.where(weak_right, y, (y + (1 if c == 2 else 2)) % c), s)
        w = np.where(differ & (w == s), (w + 1) % c, w)
        one_hot = np.eye(c)
        found = measure(y, one_hot[w], one_hot[s], divergence="zero-one", classes=range(c)).gain
        held += found.low <= true_gain <= found.high
        values = (s == y).astype(float) - (w == y)
        half = 2.05 * values.std(ddof=1) / n**0.5
        of_t += abs(values.mean() - true_gain) <= half
    assert held >= 0.93 * 400
    assert differing > 0.1 or of_t < 0.93 * 400


def test_rows_in_groups_or_with_weights_have_intervals_of_clusters() -> None:
    y, w, s = world(9)
    plain = measure(y, w, s, divergence="zero-one").gain
    for more in ({"groups": np.arange(80) // 2}, {"sample_weight": np.linspace(1, 2, 80)}):
        assert measure(y, w, s, divergence="zero-one", **more).gain.method == "Student t over clusters"
    assert plain.method.startswith("exact binomial")
    assert plain.standard_error > 0


def test_a_class_that_the_truth_never_has_is_wrong() -> None:
    found = measure(["a", "b", "a", "b"], ["a", "c", "a", "c"], ["a", "b", "b", "b"], divergence="zero-one")
    assert found.classes == ("a", "b", "c")
    assert (found.weak_error.value, found.strong_error.value) == (0.5, 0.25)


@pytest.mark.parametrize("seed", range(5))
def test_the_simplex_point_is_the_nearest(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = 2 * rng.normal(size=(20, 4))
    put = in_simplex(values)
    np.testing.assert_allclose(put.sum(1), 1)
    assert (put >= 0).all()
    others = rng.dirichlet(np.ones(4), size=(500, 1))
    assert (((values - put) ** 2).sum(-1) <= ((values - others) ** 2).sum(-1) + 1e-12).all()
    y = np.eye(4)[rng.integers(0, 4, 20)]
    assert (BRIER.error(put, y) <= BRIER.error(values, y)).all()


FAULTS: dict[str, tuple[tuple[Any, Any, Any], dict[str, Any], str]] = {
    "name of the loss": ((["a"], ["a"], ["a"]), {"divergence": "hinge"}, "divergence='hinge': give one of"),
    "sums": ((["a", "b"], [[0.5, 0.2]] * 2, ["a", "b"]), {"classes": "ab"}, "y_weak: the probabilities of"),
    "negative": ((["a", "b"], [[-0.5, 1.5]] * 2, ["a", "b"]), {"classes": "ab"}, "y_weak: row 0 .* has the"),
    "columns": ((["a", "b"], [[0.5, 0.2, 0.3]] * 2, ["a", "b"]), {}, "y_weak has 3 columns, and the truth 2"),
    "rows": ((["a", "b"], ["a"], ["a", "b"]), {}, "y_weak has 1 rows; y_true has 2"),
    "missing": ((["a", "b"], ["a", None], ["a", "b"]), {}, "y_weak: row 1 .* missing"),
    "no common class": ((["a", "b"], ["x", "y"], ["a", "b"]), {}, "names the classes x, y, the truth a, b"),
    "another class": ((["a", "b"], ["a", "b"], ["a", "b"]), {"classes": "ac"}, "row 1 .* is 'b', none of"),
    "numbers": ((["a", "b"], [0.1, 7.5], ["a", "b"]), {}, "y_weak holds numbers that are no classes"),
    "squared": ((["a", "b"], ["a", "b"], ["a", "b"]), {"divergence": "squared"}, "y_true: real numbers"),
    "smoothing": (
        (["a", "b"], ["a", "b"], ["a", "b"]), {"divergence": "log", "smoothing": 0}, "smoothing=0: give a"
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_classes_that_cannot_be_measured(fault: str) -> None:
    arrays, more, said = FAULTS[fault]
    with pytest.raises(InputError, match=said):
        measure(*arrays, **more)
