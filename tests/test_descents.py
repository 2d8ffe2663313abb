"""Gradient descent in closed form against its steps, and Adam against torch's."""

from __future__ import annotations

import numpy as np
import pytest

from weakstrong.errors import InputError
from weakstrong.paper.gradient_descent import DescentPath, step_counts, with_ones
from weakstrong.paper.minibatch_adam import AdamOptions, LinearTask, fit_by_adam

# Rows, features and targets: tall, square, wide.
SHAPES = [(60, 7, 3), (12, 12, 1), (10, 30, 2), (40, 1, 2)]


def sample(n: int, d: int, k: int, *, dependent: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Features of several scales and means, the last column the sum of the others if they are dependent."""
    rng = np.random.default_rng([n, d, k])
    x = rng.normal(size=(n, d)) * rng.uniform(0.1, 3.0, d) + rng.normal(size=d)
    if dependent:
        x[:, -1] = x[:, :-1].sum(axis=1)
    return x, rng.normal(size=(n, k)) + 1.0


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dependent", [False, True])
def test_the_head_after_t_steps_is_that_of_t_steps(shape: tuple[int, int, int], dependent: bool) -> None:
    x, y = sample(*shape, dependent=dependent)
    path, design = DescentPath.of(x, y), with_ones(x)
    rate = 1 / np.linalg.eigvalsh(design.T @ design / len(x))[-1]
    theta = np.zeros((design.shape[1], y.shape[1]))
    for step in range(401):
        if step in (0, 1, 2, 40, 400):
            head = path.head(step)
            np.testing.assert_allclose(head.coef, theta[1:], atol=1e-12)
            np.testing.assert_allclose(head.intercept, theta[0], atol=1e-12)
            error = ((design @ theta - y) ** 2).mean(axis=0)
            np.testing.assert_allclose(path.errors(x, y, [step])[0], error, rtol=1e-10)
        theta -= rate * design.T @ (design @ theta - y) / len(x)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dependent", [False, True])
def test_descent_without_end_is_the_least_squares_solution_of_least_norm(
    shape: tuple[int, int, int], dependent: bool
) -> None:
    x, y = sample(*shape, dependent=dependent)
    least, _, rank, _ = np.linalg.lstsq(with_ones(x), y, rcond=None)
    path = DescentPath.of(x, y)
    assert path.rank == rank
    for steps in (np.inf, 1e15):
        head = path.head(steps)
        np.testing.assert_allclose(np.vstack([head.intercept, head.coef]), least, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_training_error_falls_with_every_step(shape: tuple[int, int, int]) -> None:
    x, y = sample(*shape)
    errors = DescentPath.of(x, y).errors(x, y, step_counts(10**6))
    np.testing.assert_allclose(errors[0], (y**2).mean(axis=0))
    assert (np.diff(errors, axis=0) <= 1e-14).all()


def test_each_target_stops_where_it_errs_least_on_other_rows() -> None:
    x, y = sample(60, 40, 3)
    other, labels = sample(50, 40, 3)
    path, grid = DescentPath.of(x, y), step_counts(10**4)
    steps = path.stopped(other, labels, grid)
    stopped = ((path.head(steps)(other) - labels) ** 2).mean(axis=0)
    for t in grid:
        assert (stopped <= ((path.head(t)(other) - labels) ** 2).mean(axis=0) + 1e-12).all()
    alone = [DescentPath.of(x, y[:, [j]]).stopped(other, labels[:, [j]], grid)[0] for j in range(3)]
    assert steps.tolist() == alone


def test_numbers_of_steps_go_from_none_to_the_largest_evenly_in_their_logarithm() -> None:
    counts = step_counts(10**6)
    assert (counts[0], counts[1], counts[-1]) == (0, 1, 10**6)
    assert (np.diff(counts) > 0).all()
    late = counts[counts >= 100]
    np.testing.assert_allclose(late[1:] / late[:-1], 10 ** (1 / 20), rtol=0.01)
    assert step_counts(1).tolist() == [0, 1]


OPTIONS = AdamOptions(epochs=6, batch=8, rate=1e-2)


def task(d: int, k: int, seed: int = 0) -> LinearTask:
    x, y = sample(43, d, k)
    return LinearTask(x, y + seed, x[::2] + 0.3, y[::2] + seed)


def test_adam_is_that_of_torch_on_a_linear_layer_of_which_the_best_epoch_is_kept() -> None:
    torch = pytest.importorskip("torch")
    given = task(5, 2)
    [found] = fit_by_adam([given], OPTIONS, np.random.default_rng(3))
    layer = torch.nn.Linear(5, 2)
    torch.nn.init.zeros_(layer.weight)
    torch.nn.init.zeros_(layer.bias)
    optimizer = torch.optim.Adam(layer.parameters(), lr=OPTIONS.rate)
    x, y, held_out, held_out_labels = (
        torch.from_numpy(getattr(given, name)).float()
        for name in ("features", "labels", "held_out", "held_out_labels")
    )
    rng, best = np.random.default_rng(3), [(np.inf, None)] * 2
    for _ in range(OPTIONS.epochs):
        for rows in torch.from_numpy(rng.permutation(len(x))).split(OPTIONS.batch):
            optimizer.zero_grad()
            (layer(x[rows]) - y[rows]).square().mean(0).sum().backward()
            optimizer.step()
        with torch.no_grad():
            errors = (layer(held_out) - held_out_labels).square().mean(0)
            for j, error in enumerate(errors.tolist()):
                if error < best[j][0]:
                    best[j] = (error, (layer.weight[j].clone(), layer.bias[j].item()))
    for j, (_, (coef, bias)) in enumerate(best):
        np.testing.assert_allclose(found.coef[:, j], coef, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(found.intercept[j], bias, rtol=1e-4, atol=1e-6)


def test_adam_that_goes_to_infinity_is_refused() -> None:
    given = task(5, 2)
    huge = LinearTask(1e30 * given.features, given.labels, given.held_out, given.held_out_labels)
    with np.errstate(all="ignore"), pytest.raises(InputError, match="lower adam_rate"):
        fit_by_adam([huge], OPTIONS, np.random.default_rng(0))


def test_targets_and_tasks_trained_together_are_those_trained_alone() -> None:
    tasks = [task(5, 3), task(2, 1, 1), task(9, 2, 2)]
    together = fit_by_adam(tasks, OPTIONS, np.random.default_rng(1))
    for given, fit in zip(tasks, together, strict=True):
        assert fit.coef.shape == (given.features.shape[1], given.labels.shape[1])
        for j in range(given.labels.shape[1]):
            one = LinearTask(
                given.features, given.labels[:, [j]], given.held_out, given.held_out_labels[:, [j]]
            )
            [alone] = fit_by_adam([one], OPTIONS, np.random.default_rng(1))
            np.testing.assert_allclose(fit.coef[:, j], alone.coef[:, 0], rtol=1e-4, atol=1e-6)
            np.testing.assert_allclose(fit.intercept[j], alone.intercept[0], rtol=1e-4)
