"""Classes of heads of a study, by name: for numbers, and for labels that are classes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from weakstrong.class_labels import in_simplex, smoothed
from weakstrong.feature_range import FeatureRange
from weakstrong.heads import Head
from weakstrong.links import softmax
from weakstrong.mixture_projection import project_mixture
from weakstrong.softmax_fits import SoftmaxFits, fit_each
from weakstrong.studies.confidence import confident_head
from weakstrong.studies.fitted_heads import FittedHeads, Fitter, Sample, projected_heads
from weakstrong.studies.settings import StudyOptions

Array = NDArray[np.float64]

_FACTORS = (1e4, 100.0, 10.0, 1.0, 0.1, 0.01)  # of the strength of the logistic student: from a constant down


def brier_heads(options: StudyOptions) -> Fitter:
    """Return least squares on a column for each class, in balls; predictions are put in the simplex.

    The point of the simplex that is nearest to a prediction is at least as near to the truth and to the weak
    label, so errors and misfit can only fall.
    """
    fit = projected_heads("l2", options)

    def fit_all(samples: list[Sample]) -> list[FittedHeads]:
        return [_of_classes(sample, fitted) for sample, fitted in zip(samples, fit(samples), strict=True)]

    return lambda samples: fit_all([*samples])


def logistic_heads(options: StudyOptions) -> Fitter:
    """Return softmax heads by plain cross entropy, in a ball whose radius is chosen by cross-validation."""

    def fit(sample: Sample) -> FittedHeads:
        _, k, c = sample.labels.shape
        fits = fit_each(
            sample.features, sample.labels.transpose(1, 0, 2), weights=sample.weights, groups=sample.groups,
            n_folds=options.n_folds, seed=options.seed,
        )  # fmt: skip
        return FittedHeads(
            fits.head,
            _limits(sample, fits, options),
            fits.minima.loss,
            fits.first_at_radius,
            fits.minima.gap,
            fits.radius,
            fits.rows.basis.rank,
            fits.n_ignored,
            link=lambda outputs: softmax(outputs.reshape(len(outputs), k, c)),
            confident=partial(confident_head, fits),
        )

    return lambda samples: list(map(fit, samples))


def mixed_heads(options: StudyOptions) -> Fitter:
    """Return mixtures of logistic heads of several strengths, by KL(student ‖ weak).

    The strengths are that of the logistic student and multiples of it. The shares are chosen on what heads
    say of rows that were not fitted to their fold; weak labels that are classes are smoothed.
    """

    def fit(sample: Sample) -> FittedHeads:
        labels = sample.labels.transpose(1, 0, 2)
        k, _, c = labels.shape
        fits = fit_each(
            sample.features, labels, weights=sample.weights, groups=sample.groups, n_folds=options.n_folds,
            seed=options.seed,
        )  # fmt: skip
        heads, said = fits.members(_FACTORS)
        found = [
            project_mixture(said[:, place], smoothed(weak, options.smoothing), sample.weights)
            for place, weak in enumerate(labels)
        ]
        shares = np.stack([one.alpha for one in found])

        def link(outputs: Array) -> Array:
            members = softmax(outputs.reshape(len(outputs), len(_FACTORS), k, c))
            return np.asarray(np.einsum("km,nmkc->nkc", shares, members))

        return FittedHeads(
            Head(np.hstack([h.coef for h in heads]), np.concatenate([h.intercept for h in heads])),
            _limits(sample, fits, options),
            np.array([one.objective for one in found]),
            None,
            np.array([one.optimality_gap for one in found]),
            np.full(k, np.nan),
            fits.rows.basis.rank,
            fits.n_ignored,
            link,
        )

    return lambda samples: list(map(fit, samples))


def _limits(sample: Sample, fits: SoftmaxFits, options: StudyOptions) -> FeatureRange | None:
    """The range that new rows are drawn into, if they are."""
    counted = None if sample.weights is None else sample.weights > 0
    limits = replace(FeatureRange.of(sample.features, counted), centre=fits.feature_mean)
    return limits if options.clip else None


def _of_classes(sample: Sample, fitted: FittedHeads) -> FittedHeads:
    """Take the columns of each target's classes together."""
    _, k, c = sample.labels.shape

    def by_target(values: Array, of: Callable[..., Array]) -> Array:
        return of(values.reshape(k, c), axis=1)

    return replace(
        fitted,
        error=by_target(fitted.error, np.sum),
        optimality_gap=by_target(fitted.optimality_gap, np.max),
        radius=by_target(fitted.radius, np.linalg.norm),
        link=lambda outputs: in_simplex(outputs.reshape(len(outputs), k, c)),
    )


_FITTERS: Mapping[str, Callable[[StudyOptions], Fitter]] = {
    "linear": lambda options: projected_heads("linear", options),
    "l2": lambda options: projected_heads("l2", options),
    "brier": brier_heads,
    "logistic": logistic_heads,
    "mixtures": mixed_heads,
}


def exact_fitters(options: StudyOptions) -> Mapping[str, Fitter]:
    """Return the fitters of a study's classes of heads, by name."""
    return {name: _FITTERS[name](options) for name in options.heads}
