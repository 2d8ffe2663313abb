"""Projection onto the mixtures of probability heads: oracles, symmetries and faults of input."""

from __future__ import annotations

from itertools import product
from typing import NamedTuple

import cvxpy as cp
import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.svm import SVC

from weakstrong import InputError, mixture_projection
from weakstrong.mixture_projection import project_mixture
from weakstrong.mixtures import MixtureHead, Mixtures, fit_mixture

SEEDS = range(12)
DIVERGENCES = ("log", "cross-entropy", "brier")
CERTIFIED = 1e-10  # nats


class World(NamedTuple):
    members: np.ndarray
    weak: np.ndarray
    weights: np.ndarray
    rng: np.random.Generator


def make_world(seed: int, m: int | None = None) -> World:
    rng = np.random.default_rng(seed)
    n, c = int(rng.integers(5, 40)), int(rng.integers(2, 5))
    members = rng.dirichlet(np.full(c, 0.7), size=(m or int(rng.integers(2, 7)), n))
    weak = rng.dirichlet(np.ones(c), size=n) + 0.05
    return World(members, weak / weak.sum(1, keepdims=True), rng.uniform(0.2, 2.0, size=n), rng)


def objective(world: World, alpha: np.ndarray, divergence: str) -> float:
    """What is minimized, from its formula."""
    s, w = np.einsum("j,jnc->nc", alpha, world.members), world.weak
    with np.errstate(divide="ignore", invalid="ignore"):
        if divergence == "log":
            terms = np.where(s > 0, s * np.log(s / w), 0.0)
        elif divergence == "cross-entropy":
            terms = np.where(w > 0, w * np.log(w / s), 0.0)
        else:
            terms = (s - w) ** 2
    return float(np.average(terms.sum(1), weights=world.weights))


def optimum(world: World, divergence: str) -> tuple[float, np.ndarray]:
    """The minimum by an interior-point solver."""
    m, _, c = world.members.shape
    alpha = cp.Variable(m)
    s = world.members.reshape(m, -1).T @ alpha
    w, omega = world.weak.ravel(), np.repeat(world.weights / world.weights.sum(), c)
    terms = {
        "log": cp.rel_entr(s, w),
        "cross-entropy": cp.rel_entr(w, s),
        "brier": cp.square(s - w),
    }[divergence]
    problem = cp.Problem(cp.Minimize(omega @ terms), [alpha >= 0, cp.sum(alpha) == 1])
    problem.solve(solver="CLARABEL")
    found = np.maximum(alpha.value, 0)
    return problem.value, found / found.sum()


@pytest.mark.parametrize("divergence", DIVERGENCES)
@pytest.mark.parametrize("seed", SEEDS)
def test_no_solver_finds_less_and_the_gap_bounds_what_others_lack(seed: int, divergence: str) -> None:
    world = make_world(seed)
    found = project_mixture(world.members, world.weak, world.weights, divergence=divergence)
    least, alpha = optimum(world, divergence)
    assert found.optimality_gap <= CERTIFIED
    assert found.objective == pytest.approx(objective(world, found.alpha, divergence), rel=1e-12)
    assert found.objective <= objective(world, alpha, divergence) + found.optimality_gap
    assert found.objective == pytest.approx(least, abs=1e-6)
    assert (found.alpha >= 0).all()
    assert found.alpha.sum() == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("divergence", DIVERGENCES)
@pytest.mark.parametrize("seed", SEEDS)
def test_the_gap_at_any_mixture_bounds_its_excess(seed: int, divergence: str) -> None:
    world = make_world(seed)
    problem = mixture_projection._problem(world.members, world.weak, world.weights, divergence)
    least = project_mixture(world.members, world.weak, world.weights, divergence=divergence).objective
    for size in (1.0, 0.1, 1e-3):
        alpha = world.rng.dirichlet(np.full(len(world.members), size)) + 1e-9
        alpha /= alpha.sum()
        excess = objective(world, alpha, divergence) - least
        assert -CERTIFIED <= excess <= mixture_projection._at(problem, alpha).gap + 1e-12


@pytest.mark.parametrize("divergence", DIVERGENCES)
@pytest.mark.parametrize("m", [2, 3])
@pytest.mark.parametrize("seed", SEEDS[:4])
def test_no_point_of_a_grid_is_better(seed: int, m: int, divergence: str) -> None:
    world = make_world(seed, m)
    found = project_mixture(world.members, world.weak, world.weights, divergence=divergence)
    parts = np.linspace(0, 1, 101)
    grid = [np.array([*a, 1 - sum(a)]) for a in product(parts, repeat=m - 1) if sum(a) <= 1]
    values = [objective(world, a, divergence) for a in grid]
    assert found.objective <= min(values) + CERTIFIED
    assert found.objective >= min(values) - 0.05
    assert np.abs(grid[int(np.argmin(values))] - found.alpha).max() <= 0.05


@pytest.mark.parametrize("divergence", DIVERGENCES)
def test_hard_cases_are_certified(divergence: str) -> None:
    """Probabilities from 1e-150 to 1, members that are alike or nearly, weights of 1e-8 to 1e8."""
    solved = 0
    for seed in range(150):
        rng = np.random.default_rng(seed)
        m, n, c = int(rng.integers(1, 12)), int(rng.integers(1, 200)), int(rng.integers(2, 6))
        members = rng.dirichlet(np.full(c, 10 ** rng.uniform(-2.5, 1.5)), size=(m, n))
        if seed % 3 == 1:
            members[-1] = members[0]
        elif seed % 3 == 2:
            members = 0.999999 * members[:1] + 1e-6 * members
        weak = np.maximum(rng.dirichlet(np.full(c, 10 ** rng.uniform(-2, 1)), size=n), 1e-150)
        weights = 10.0 ** rng.uniform(-8, 8, size=n) if seed % 2 else None
        if divergence == "cross-entropy" and (members.max(0) == 0).any():
            continue
        solved += 1
        found = project_mixture(members, weak, weights, divergence=divergence)
        assert found.optimality_gap <= CERTIFIED, seed
    assert solved > 70


@pytest.mark.parametrize("divergence", DIVERGENCES)
@pytest.mark.parametrize("seed", SEEDS[:4])
def test_more_members_than_probabilities_are_certified(seed: int, divergence: str) -> None:
    """175 members of 40 rows and two classes: mixtures that predict the same are many."""
    rng = np.random.default_rng(seed)
    members = rng.dirichlet([3.0, 3.0], size=(175, 40)).astype(np.float32)
    weak = rng.dirichlet([1.0, 1.0], size=40) * 0.98 + 0.01
    found = project_mixture(members, weak, divergence=divergence)
    assert found.optimality_gap <= CERTIFIED


@pytest.mark.parametrize("divergence", DIVERGENCES)
@pytest.mark.parametrize("seed", SEEDS)
def test_order_of_members_classes_and_rows_changes_nothing(seed: int, divergence: str) -> None:
    world = make_world(seed)
    m, n, c = world.members.shape
    members, rows, columns = (world.rng.permutation(k) for k in (m, n, c))
    found = project_mixture(world.members, world.weak, world.weights, divergence=divergence)
    other = project_mixture(
        world.members[members][:, rows][:, :, columns],
        world.weak[rows][:, columns],
        world.weights[rows],
        divergence=divergence,
    )
    np.testing.assert_allclose(other.alpha, found.alpha[members], atol=1e-5)
    assert other.objective == pytest.approx(found.objective, abs=CERTIFIED)


@pytest.mark.parametrize("divergence", DIVERGENCES)
@pytest.mark.parametrize("seed", SEEDS)
def test_weights_are_repeated_rows_and_a_row_of_weight_zero_is_none(seed: int, divergence: str) -> None:
    world = make_world(seed)
    times = world.rng.integers(0, 4, size=len(world.weak))
    times[0] = 2
    members, weak = np.repeat(world.members, times, axis=1), np.repeat(world.weak, times, axis=0)
    repeated = project_mixture(members, weak, divergence=divergence)
    hidden = world.weak.copy()
    hidden[times == 0] = np.eye(weak.shape[1])[0]  # a zero, which only rows with weight must not have
    weighted = project_mixture(world.members, hidden, times, divergence=divergence)
    np.testing.assert_allclose(weighted.alpha, repeated.alpha, atol=1e-5)
    assert weighted.objective == pytest.approx(repeated.objective, abs=CERTIFIED)


@pytest.mark.parametrize("divergence", DIVERGENCES)
def test_labels_of_a_member_or_a_mixture_are_found_with_no_misfit(divergence: str) -> None:
    for seed in SEEDS:
        world = make_world(seed, m=3)
        for alpha in (np.array([0.0, 1.0, 0.0]), world.rng.dirichlet(np.ones(3))):
            weak = np.tensordot(alpha, world.members, axes=1)
            found = project_mixture(world.members, weak, world.weights, divergence=divergence)
            assert abs(found.objective) <= CERTIFIED
            np.testing.assert_allclose(found.alpha, alpha, atol=1e-4)


@pytest.mark.parametrize("divergence", DIVERGENCES)
def test_a_vertex_is_the_optimum_where_the_others_are_worse_in_every_row(divergence: str) -> None:
    """Labels beyond the member nearest to them: with one class more sure of, p_0 > p_1 > p_2."""
    p = np.linspace(0.3, 0.6, 20)
    members = np.stack([np.stack([p * k, 1 - p * k], axis=1) for k in (1.0, 0.7, 0.4)])
    weak = np.stack([p * 1.3, 1 - p * 1.3], axis=1)
    found = project_mixture(members, weak, divergence=divergence)
    np.testing.assert_allclose(found.alpha, [1, 0, 0], atol=1e-12)
    assert found.optimality_gap <= CERTIFIED


@pytest.mark.parametrize("divergence", DIVERGENCES)
@pytest.mark.parametrize("seed", SEEDS)
def test_a_member_given_twice_changes_no_prediction(seed: int, divergence: str) -> None:
    world = make_world(seed)
    found = project_mixture(world.members, world.weak, world.weights, divergence=divergence)
    twice = np.concatenate([world.members, world.members[:2]])
    other = project_mixture(twice, world.weak, world.weights, divergence=divergence)
    assert other.optimality_gap <= CERTIFIED
    assert other.objective == pytest.approx(found.objective, abs=CERTIFIED)
    predictions = (np.tensordot(found.alpha, world.members, 1), np.tensordot(other.alpha, twice, 1))
    np.testing.assert_allclose(*predictions, atol=1e-4)


@pytest.mark.parametrize("divergence", DIVERGENCES)
def test_blocks_of_rows_say_what_all_rows_at_once_say(
    divergence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = make_world(3)
    whole = project_mixture(world.members, world.weak, world.weights, divergence=divergence)
    monkeypatch.setattr("weakstrong.arrays._BLOCK_BYTES", 8 * world.members[:, 0].size * 4)
    problem = mixture_projection._problem(world.members, world.weak, world.weights, divergence)
    assert len(problem.blocks()) > 1
    blocks = project_mixture(world.members, world.weak, world.weights, divergence=divergence)
    np.testing.assert_allclose(blocks.alpha, whole.alpha, atol=1e-6)
    assert blocks.objective == pytest.approx(whole.objective, abs=1e-12)


def test_members_may_be_sure_where_labels_are_not() -> None:
    """Exact zeros of members: 0 log 0 = 0, and the optimum has no zero that a member could fill."""
    rng = np.random.default_rng(0)
    members = np.eye(3)[rng.integers(3, size=(4, 30))]
    weak = rng.dirichlet(np.full(3, 5.0), size=30)
    found = project_mixture(members, weak)
    assert found.optimality_gap <= CERTIFIED
    assert (np.tensordot(found.alpha, members, 1)[members.max(0) > 0] > 0).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weak": [[1.0, 0.0], [0.5, 0.5]]}, "weak: row 0, column 1 .* probability 0.* smooth"),
        ({"weak": [[0.9, 0.3], [0.5, 0.5]]}, "weak: the probabilities of row 0 .* sum to 1.2"),
        ({"weak": [[0.5, 0.5], [np.nan, np.nan]]}, "weak: row 1 .* is empty"),
        ({"weak": [0.5, 0.5]}, r"weak has shape \(2,\)"),
        ({"members": []}, "members: there is none"),
        ({"members": [np.full((2, 2), 0.5), np.full((3, 2), 0.5)]}, r"members\[1\] has shape \(3, 2\)"),
        ({"members": [[[0.5, 0.5], [-0.5, 1.5]]]}, r"members\[0\]: row 1"),
        ({"weights": [1.0, -1.0]}, "weights: row 1"),
        ({"weights": [0.0, 0.0]}, "weights is not to be all zero"),
        ({"divergence": "zero-one"}, "divergence='zero-one': give one of log, cross-entropy, brier"),
        (
            {"members": [[[0.5, 0.5], [1.0, 0.0]]], "divergence": "cross-entropy"},
            "weak: row 1, column 1 .* no member gives",
        ),
    ],
)
def test_faults_are_named_in_one_line(change: dict, message: str) -> None:
    given = {"members": [np.full((2, 2), 0.5)], "weak": np.full((2, 2), 0.5)} | change
    with pytest.raises(InputError, match=message) as raised:
        project_mixture(given.pop("members"), given.pop("weak"), **given)
    assert "\n" not in str(raised.value)


def classifiers(rng: np.random.Generator) -> tuple[pd.DataFrame, list[LogisticRegression]]:
    """Features of new rows, and classifiers of other rows that know their classes in unlike order."""
    x = pd.DataFrame(rng.normal(size=(60, 3)), columns=list("abc"))
    names = np.array(["no", "maybe", "yes"])
    members = []
    for known in (names, names[:2], names[::2]):
        other = pd.DataFrame(rng.normal(size=(80, 3)), columns=list("abc"))
        members.append(LogisticRegression().fit(other, known[rng.integers(len(known), size=80)]))
    return x, members


def test_classes_of_classifiers_are_matched_by_name() -> None:
    rng = np.random.default_rng(1)
    x, members = classifiers(rng)
    classes = ("yes", "no", "maybe")
    labels = rng.dirichlet(np.full(3, 4.0), size=len(x))
    alpha, gap, error = fit_mixture(Mixtures(members), x, labels, None, classes)
    table = [pd.DataFrame(m.predict_proba(x), columns=m.classes_) for m in members]
    by_name = [t.reindex(columns=list(classes), fill_value=0.0).to_numpy() for t in table]
    expected = project_mixture(by_name, labels)
    np.testing.assert_allclose(alpha, expected.alpha, atol=1e-12)
    assert max(gap, expected.optimality_gap) <= CERTIFIED
    assert error == pytest.approx(expected.objective, abs=1e-12)
    head = MixtureHead(Mixtures(members), alpha, classes)
    np.testing.assert_allclose(head(x), np.tensordot(alpha, by_name, 1), atol=1e-12)
    functions = Mixtures([lambda _, p=p: p for p in by_name])
    np.testing.assert_allclose(fit_mixture(functions, x, labels, None, classes)[0], alpha, atol=1e-12)


def test_whole_numbers_are_matched_by_name_as_well() -> None:
    rng = np.random.default_rng(2)
    x = rng.normal(size=(40, 2))
    member = LogisticRegression().fit(rng.normal(size=(50, 2)), rng.integers(2, size=50).astype(float))
    labels = rng.dirichlet(np.ones(2), size=40)
    for classes in ([0, 1], ["0", "1"], np.array([0.0, 1.0])):
        assert fit_mixture(Mixtures([member]), x, labels, None, classes)[0].tolist() == [1.0]


def test_faults_of_members_are_named() -> None:
    x, members = classifiers(np.random.default_rng(3))
    labels = np.full((len(x), 2), 0.5)
    with pytest.raises(InputError, match=r"members\[0\] predicts class 'yes', none of"):
        fit_mixture(Mixtures(members), x, labels, None, ["no", "maybe"])
    with pytest.raises(InputError, match=r"members\[0\] gives 3 columns .* 2 classes"):
        fit_mixture(Mixtures([members[0].predict_proba]), x, labels, None, ["no", "maybe"])
    for given, message in (
        ([], "at least one"),
        (members[0], "needs a list"),
        ([members[0], LogisticRegression()], r"members\[1\]: 'LogisticRegression' is not fitted"),
        ([SVC()], r"members\[0\]: 'SVC' has no predict_proba"),
        ([LogisticRegression], "no predict_proba"),
        ([3.0], "no predict_proba"),
    ):
        with pytest.raises(InputError, match=message):
            Mixtures(given)
