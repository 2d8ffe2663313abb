"""Classes of heads of the experiments on molecules: exact projections, and descents as in practice."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from weakstrong.heads import Head
from weakstrong.paper.gradient_descent import DescentPath, step_counts
from weakstrong.paper.minibatch_adam import AdamOptions, LinearTask, fit_by_adam
from weakstrong.paper.molecule_settings import MoleculeSettings
from weakstrong.paper.worlds import stream
from weakstrong.studies.fitted_heads import FittedHeads, Fitter, Sample, projected_heads
from weakstrong.studies.settings import StudyOptions

Array = NDArray[np.float64]

_STEPS = step_counts(10**6)  # among which a descent is stopped


def molecule_fitters(config: MoleculeSettings, seed: int, split: int) -> Mapping[str, Fitter]:
    """Return how heads are fitted in the division of a split, for each class of heads in the settings."""
    options = StudyOptions(n_folds=config.n_folds, clip=config.clip)
    adam = AdamOptions(config.adam_epochs, config.adam_batch, config.adam_rate)
    fitters: dict[str, Fitter] = {
        "linear": projected_heads("linear", options),
        "l2": projected_heads("l2", options),
        "stopped": lambda samples: [_stopped(sample) for sample in samples],
        "steps": lambda samples: [_after(sample, config.descent_steps) for sample in samples],
        "adam": lambda samples: _by_adam([*samples], adam, seed, split),
    }
    return {name: fitters[name] for name in config.heads}


def _stopped(sample: Sample) -> FittedHeads:
    """Stop gradient descent, for each target, where it errs least on the validation rows."""
    assert sample.validation is not None
    path = DescentPath.of(sample.features, sample.labels)
    steps = path.stopped(*sample.validation, _STEPS)

    def of_truth() -> Head:
        truth = DescentPath(path.singular, path.right, np.repeat(path.along[:, :1], len(steps), axis=1))
        return truth.head(steps)

    return _fitted(sample, path.head(steps), of_truth, path.rank)


def _after(sample: Sample, steps: int) -> FittedHeads:
    """Take a number of steps of gradient descent."""
    path = DescentPath.of(sample.features, sample.labels)
    return _fitted(sample, path.head(steps), rank=path.rank)


def _by_adam(samples: Sequence[Sample], options: AdamOptions, seed: int, split: int) -> list[FittedHeads]:
    """Train by Adam, side by side, and keep the epochs that err least on the validation rows."""
    tasks = []
    for sample in samples:
        assert sample.validation is not None
        tasks.append(LinearTask(sample.features, sample.labels, *sample.validation))
    kind = samples[0].purpose.split()[0]  # of fit: not the names, so that none depends on who is there too
    heads = fit_by_adam(tasks, options, stream(seed, f"adam, {kind}", split))
    return [_fitted(sample, head) for sample, head in zip(samples, heads, strict=True)]


def _fitted(
    sample: Sample, head: Head, of_truth: Callable[[], Head] | None = None, rank: float = np.nan
) -> FittedHeads:
    """Describe the end of a descent, which has neither a certificate nor a range of features."""
    targets = head.n_targets

    def first_target() -> Head:
        return Head(np.repeat(head.coef[:, :1], targets, axis=1), np.repeat(head.intercept[:1], targets))

    unknown = np.full(targets, np.nan)
    error = ((head(sample.features) - sample.labels) ** 2).mean(axis=0)
    return FittedHeads(head, None, error, of_truth or first_target, unknown, unknown, rank, 0)
