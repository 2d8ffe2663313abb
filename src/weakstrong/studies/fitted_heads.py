"""Heads fitted to the labels of one sample, however they were fitted."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from weakstrong.estimator import HeadProjection
from weakstrong.feature_range import Clipped, FeatureRange, predicted
from weakstrong.heads import Head
from weakstrong.projection import project
from weakstrong.studies.settings import HeadName, StudyOptions

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Sample:
    """The rows and labels that heads are fitted to, and rows to choose by, if there are some.

    Parameters
    ----------
    purpose : str
        Name of the fit in its division, such as ``weak`` and the supervisor's name.
    features : array of shape (n, d)
    labels : array of shape (n, k) or (n, k, c)
        Of k targets; where labels are classes, a probability for each.
    groups : array of shape (n,), optional
        Rows of one group stay in one fold.
    validation : tuple of arrays of shape (m, d) and (m, k) or (m, k, c), optional
        Features and labels of the validation rows: labels as those fitted, the truth or a supervisor's.
    weights : array of shape (n,), optional
        What each row counts for.
    """

    purpose: str
    features: NDArray[Any]
    labels: Array
    groups: NDArray[Any] | None = None
    validation: tuple[NDArray[Any], Array] | None = None
    weights: Array | None = None


@dataclass(frozen=True, eq=False)
class FittedHeads:
    """Heads for the targets of a sample, and what is known of the fit.

    Parameters
    ----------
    head : Head
        One output for each target, or what `link` makes predictions of.
    limits : FeatureRange or None
        Range of features into which new rows are drawn.
    error : array of shape (k,)
        Mean error on the labels fitted: squared, or what the class of heads minimizes.
    of_first_target : callable, optional
        Returns the heads of the first target, the truth, in the class of each target: at its radius or its
        number of steps where that is a choice. None where a class is made of a target's own heads.
    optimality_gap, radius : array of shape (k,)
        NaN where heads have none.
    rank : float
        Of the features; NaN where it is unknown.
    n_ignored : int
        Features that get no coefficient.
    link : callable
        Makes predictions, (n, k) or (n, k, c), of the outputs of the head.
    confident : callable, optional
        Returns heads of a loss that trusts itself, by its name: `weakstrong.studies.confidence`.
    """

    head: Head
    limits: FeatureRange | None
    error: Array
    of_first_target: Callable[[], Head] | None
    optimality_gap: Array
    radius: Array
    rank: float
    n_ignored: int
    link: Callable[[Array], Array] = lambda outputs: outputs
    confident: Callable[[str], Head] | None = None

    def predict(self, features: NDArray[Any], head: Head | None = None) -> Array:
        """Predict rows (n, d) with these heads, or with others in their range of features."""
        used = self.head if head is None else head
        return self.link(predicted(used, features, self.limits, "features")[0])

    def outside(self, features: NDArray[Any]) -> Clipped | None:
        """Count the values that are outside the range of features, if there is one."""
        return predicted(self.head, features, self.limits, "features")[1]


# A class of heads is known to a study by how its heads are fitted: to samples of the same rows, which some
# fits take side by side.
Fitter = Callable[[Iterable[Sample]], list[FittedHeads]]


def projected_heads(name: HeadName, options: StudyOptions) -> Fitter:
    """Return the exact L2 projection onto a class of heads; an open radius is chosen by cross-validation."""
    n_folds = options.n_folds if name == "l2" else None

    def fit(sample: Sample) -> FittedHeads:
        model = HeadProjection(name, n_folds=n_folds, random_state=options.seed, clip=options.clip)
        labels = sample.labels.reshape(len(sample.labels), -1)
        outputs = labels.shape[1] // sample.labels.shape[1]
        model.fit(sample.features, labels, sample.weights, groups=sample.groups)

        def of_truth() -> Head:  # from the same moments, without a second pass over the rows
            first = np.tile(np.arange(outputs), sample.labels.shape[1])
            return project(model.moments_.select(first.tolist()), model.heads_).head

        radius = getattr(model.heads_, "radius", None)
        return FittedHeads(
            model.head_,
            model.feature_range_,
            model.fit_error_,
            of_truth,
            model.optimality_gap_,
            np.full(model.fit_error_.shape, np.nan) if radius is None else radius,
            model.rank_,
            model.n_ignored_features_,
        )

    return lambda samples: list(map(fit, samples))  # map keeps one sample in memory
