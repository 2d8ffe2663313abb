"""The M finetuning tasks of a world (Section 5.1): fit supervisors, train students, measure both."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from weakstrong.divergence import SQUARED_ERROR
from weakstrong.gain import Gain, measure
from weakstrong.heads import LinearHeads
from weakstrong.moments import Moments
from weakstrong.neural.mlp import MLP
from weakstrong.paper.task_settings import TaskSettings
from weakstrong.paper.worlds import inputs, random_tasks, stream, truth
from weakstrong.projection import project

Array = NDArray[np.float64]
Predict = Callable[[Array], Array]


class Fit(NamedTuple):
    """The fitted heads of all tasks; ``gap`` (M,) is the certified excess loss, if the solver gives one."""

    predict: Predict
    gap: Array | None


_REFERENCE_LENGTH, _REFERENCE_STARTS, _REFERENCE_TASKS = 4, 6, 10  # of reference descents


def representations_of(config: TaskSettings, seed: int, pretrained: dict[str, MLP]) -> tuple[MLP, MLP]:
    """Return the representations of the supervisor and of the student."""
    h = truth(config, seed)
    if config.representations == "perturbation":
        weak = h.perturbed(config.weak_sigma, stream(seed, "weak noise"))
        strong = h.perturbed(config.strong_sigma, stream(seed, "strong noise"))
    else:
        weak, strong = pretrained["weak"], pretrained.get("strong", h)
    return (strong, weak) if config.swap_roles else (weak, strong)


def run_tasks(config: TaskSettings, seed: int, pretrained: dict[str, MLP]) -> pd.DataFrame:
    """Run all tasks of a seed, and return one row for each task.

    Equations (10) and (11) and the evaluation each use N_f fresh rows. Errors are in squared units of
    the labels. ``ceiling_error`` is the error of the student's class fitted to the truth on the
    student's rows. ``law_3_slack`` is ``gain − (misfit − 2√(ceiling_error · misfit))``, with its
    standard error; ``excess_loss`` is how far the student's training loss is from the least known
    (`excess_loss`). Linear heads fitted by gradient descent come with the misfit and gain of exact ones on
    the very same samples.
    """
    h, (h_weak, h_strong) = truth(config, seed), representations_of(config, seed, pretrained)
    tasks = random_tasks(config, seed, "finetuning tasks", config.tasks)
    x = np.stack(
        [inputs(config, (3, config.rows), stream(seed, "samples", t)) for t in range(config.tasks)], 1
    )
    supervised, unlabelled, fresh = x
    supervised_features = h_weak.transform(supervised)
    weak = fit(config, supervised_features, tasks(h.transform(supervised)), stream(seed, "weak heads"))
    features, weak_labels = h_strong.transform(unlabelled), weak.predict(h_weak.transform(unlabelled))
    student = fit(config, features, weak_labels, stream(seed, "student heads"))
    ceiling = fit(config, features, tasks(h.transform(unlabelled)), stream(seed, "ceiling heads"))
    y, w = tasks(h.transform(fresh)), weak.predict(h_weak.transform(fresh))
    fresh_features = h_strong.transform(fresh)
    rows = measure_tasks(seed, y, w, student.predict(fresh_features), ceiling.predict(fresh_features)).assign(
        label_variance=y.var(axis=1),
        excess_loss=excess_loss(config, student, features, weak_labels, stream(seed, "reference heads")),
    )
    if config.heads == "linear" and config.solver == "gradient":
        exact = run_tasks(config.model_copy(update={"solver": "exact"}), seed, pretrained)
        rows = rows.assign(exact_misfit=exact["misfit"], exact_gain=exact["gain"])
    return rows


def measure_tasks(seed: int, y: Array, w: Array, s: Array, best: Array) -> pd.DataFrame:
    """Estimate gain and misfit of each task, given truth, supervisor, student and ceiling, (M, n) each."""
    gains = measure(y.T, w.T, s.T, y_ceiling=best.T)
    assert gains.ceiling_error is not None
    estimates = {
        "weak_error": gains.weak_error,
        "strong_error": gains.strong_error,
        "misfit": gains.misfit,
        "gain": gains.gain,
        "cross_term": gains.cross_term,
        "ceiling_error": gains.ceiling_error,
    }
    frame = pd.DataFrame({name: estimate.value for name, estimate in estimates.items()})
    frame.insert(0, "task", np.arange(len(y)))
    frame.insert(0, "seed", seed)
    frame["gain_se"] = gains.gain.standard_error
    frame["law_3_slack"], frame["law_3_slack_se"] = _law_3(gains, w, s, y, best)
    return frame


def _law_3(gains: Gain, w: Array, s: Array, y: Array, best: Array) -> tuple[Array, Array]:
    """Compute the slack ``X + 2√(εB)`` of law 3, and its standard error by the delta method.

    X is the cross term. The slack is not negative for the projection on a population.
    """
    assert gains.ceiling_error is not None
    misfit, epsilon = np.asarray(gains.misfit.value), np.asarray(gains.ceiling_error.value)
    ratio = np.sqrt(np.divide(epsilon, misfit, out=np.zeros_like(misfit), where=misfit > 0))
    inverse = np.divide(1.0, ratio, out=np.zeros_like(ratio), where=ratio > 0)
    influence = SQUARED_ERROR.cross_term(w, s, y)
    influence += ratio[:, None] * SQUARED_ERROR.misfit(s, w)
    influence += inverse[:, None] * SQUARED_ERROR.error(best, y)
    slack = np.asarray(gains.cross_term.value) + 2 * np.sqrt(epsilon * misfit)
    return slack, influence.std(axis=1, ddof=1) / np.sqrt(influence.shape[1])


def fit(config: TaskSettings, features: Array, labels: Array, rng: np.random.Generator) -> Fit:
    """Fit heads of M tasks to features (M, n, d) and labels (M, n), by the solver that the settings name."""
    if config.solver == "exact":
        projection = project(Moments.of(features, labels), LinearHeads(fit_intercept=config.fit_intercept))
        head = projection.head
        return Fit(lambda z: head(z)[..., 0], projection.optimality_gap[..., 0])
    from weakstrong.neural.gradient_heads import Descent, fit_heads

    descent = Descent(config.descent_steps, config.descent_batch, config.descent_rate, config.descent_starts)
    return Fit(fit_heads(config.heads, features, labels, descent, rng), None)


def excess_loss(
    config: TaskSettings, fitted: Fit, features: Array, labels: Array, rng: np.random.Generator
) -> Array:
    """Compute the training loss above the least known, relative to the variance of the labels, shape (M,).

    For linear heads the least is the exact minimum. Other heads have no certificate: it is the best of
    several longer descents, on the first few tasks (NaN for the rest), so the true gap can be larger.
    """
    if fitted.gap is not None:
        return fitted.gap
    loss = _loss(fitted.predict(features), labels)
    if config.heads == "linear":
        exact = fit(config.model_copy(update={"solver": "exact"}), features, labels, rng)
        return loss - _loss(exact.predict(features), labels)
    longer = {
        "descent_steps": _REFERENCE_LENGTH * config.descent_steps,
        "descent_starts": max(_REFERENCE_STARTS, 2 * config.descent_starts),
    }
    z, y = features[:_REFERENCE_TASKS], labels[:_REFERENCE_TASKS]
    reference = _loss(fit(config.model_copy(update=longer), z, y, rng).predict(z), y)
    out = np.full(len(loss), np.nan)
    out[: len(y)] = loss[: len(y)] - np.minimum(loss[: len(y)], reference)
    return out


def _loss(predictions: Array, labels: Array) -> Array:
    """Compute the mean squared error relative to the labels' variance, or unscaled if they do not vary."""
    variance = labels.var(-1)
    return np.asarray(((predictions - labels) ** 2).mean(-1) / np.where(variance > 0, variance, 1.0))
