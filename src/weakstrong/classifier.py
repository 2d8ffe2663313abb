"""A scikit-learn classifier that fits a head to classes or to probabilities, exactly."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Self
from warnings import warn

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _num_samples, check_is_fitted, column_or_1d, validate_data

from weakstrong.arrays import (
    group_array,
    refuse_infinite,
    refuse_no_weight,
    refuse_other_rows,
    row_blocks,
    row_weights,
)
from weakstrong.class_kinds import is_of_columns, plain_array
from weakstrong.class_labels import SMOOTHING, check_smoothing, class_labels
from weakstrong.class_solvers import ClassTask, fit_classes
from weakstrong.errors import InputError, UnlikeRowsWarning, quoted
from weakstrong.estimator import checked_features, resolved_folds
from weakstrong.feature_range import FeatureRange, predicted
from weakstrong.heads import HeadClass, head_class
from weakstrong.mixtures import Mixtures

Array = NDArray[np.float64]


class HeadClassifier(ClassifierMixin, BaseEstimator):
    """Classifier that fits a head exactly, to classes or to probabilities as labels.

    ``head_ = argmin_{f in F} Σ_i ω_i D(y_i, f(x_i))``, with D the Kullback-Leibler divergence, for which
    the head is the softmax of a linear one (logistic regression), or the Brier score, for which it is
    linear. Both are convex problems, solved with a bound on how far the solution is from the best.

    Parameters
    ----------
    heads : {"l2", "linear"} or HeadClass
        F: `L2Ball`, `LinearHeads` or `Mixtures`. ``"l2"`` is ``L2Ball()``: heads with ``‖σ ∘ W‖ <= radius``,
        the radius chosen by cross-validation on the labels being fitted. For the log loss it bounds all
        coefficients together, ‖·‖ being the Frobenius norm; for the Brier score each class has a radius of
        its own.
    divergence : {"log", "brier"}
        D.
    n_folds : int, optional
        Number of folds for an open radius and for `cv_error_`. None means 5 where a radius is open, and
        otherwise 0 (no folds).
    random_state : int
        Seed of the folds.
    clip : bool
        Whether a row to predict that is outside the range of the fitted rows, widened by half of it on either
        side, is drawn towards their mean until it is inside.
    in_simplex : bool
        Whether linear outputs of a Brier head are drawn onto the nearest probabilities, which lowers their
        score or keeps it. Otherwise they are kept as they are, for which the laws of projections hold to
        rounding; they may be negative.
    smoothing : float
        For `Mixtures` and the log loss: labels that give some class no probability are mixed with so much of
        the uniform distribution, without which no mixture is near to them.

    Attributes
    ----------
    classes_ : array of shape (c,)
        Classes, sorted; of probabilities, the names of their columns, or their numbers.
    head_ : SoftmaxHead, BrierHead or MixtureHead
        The fitted head: features to probabilities.
    heads_ : HeadClass
        F with its radius and scale.
    optimality_gap_ : float
        Bound on how far the mean loss is from its minimum, in nats or units of the Brier score.
    fit_error_, cv_error_ : float
        Mean loss on the labels fitted, and held out (None without folds). The log loss of soft labels holds
        their entropy. The Brier score is that of the linear outputs.
    rank_ : int
        Numerical rank of the features.
    n_ignored_features_ : int
        Number of features that get no coefficient, as they do not vary beyond rounding.
    n_passes_ : int
        Passes over the rows that the last fit took.
    feature_range_ : FeatureRange or None
        Range of the features on the fitted rows; None without `clip`.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> model = HeadClassifier().fit(X, y)
    >>> bool(model.optimality_gap_ < 1e-8), bool(model.score(X, y) > 0.97)
    (True, True)
    """

    def __init__(
        self,
        heads: str | HeadClass = "l2",
        *,
        divergence: str = "log",
        n_folds: int | None = None,
        random_state: int = 0,
        clip: bool = True,
        in_simplex: bool = True,
        smoothing: float = SMOOTHING,
    ) -> None:
        self.heads = heads
        self.divergence = divergence
        self.n_folds = n_folds
        self.random_state = random_state
        self.clip = clip
        self.in_simplex = in_simplex
        self.smoothing = smoothing

    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        groups: ArrayLike | None = None,
    ) -> Self:
        """Fit the head to features and labels.

        Parameters
        ----------
        X : array of shape (n, d)
            Features: rows of a frozen representation, dense. Any scale will do; it may be a memory-mapped
            file. For `Mixtures`, what its members predict from.
        y : array of shape (n,) or (n, c)
            Classes, or a column of probabilities for each of at least two classes.
        sample_weight : array of shape (n,), optional
        groups : array of shape (n,), optional
            Rows of one group are kept in one fold.

        Raises
        ------
        ValueError
            On input that cannot be used, of one class alone, with fewer rows (groups) than folds for an open
            radius, or where linear heads separate the classes, so that the log loss has no minimizer.
        """
        self._refuse_settings()
        heads = head_class(self.heads)
        n_folds = resolved_folds(self.n_folds, heads, self.random_state)
        refuse_other_rows({"X": X, "y": y, "sample_weight": sample_weight, "groups": groups})
        is_mixture = isinstance(heads, Mixtures)
        features: Any = (
            self._as_given(X, first=True) if is_mixture else checked_features(self, X, y, first=True)
        )
        classes, labels = _labels(y)
        n = _num_samples(features)
        if len(labels) != n:
            raise InputError(f"y has {len(labels)} rows and X has {n}: give one label for each row of X")
        weights = None if sample_weight is None else row_weights(sample_weight, n)
        if weights is not None:
            refuse_no_weight(weights)
        names = None if groups is None else group_array(groups, n)
        limits = None if is_mixture else _range(features, weights)
        _refuse_absent(labels, classes, weights)
        settings = (
            self.divergence, n_folds, int(self.random_state), bool(self.in_simplex), self.smoothing,
        )  # fmt: skip
        found = fit_classes(heads, ClassTask(features, labels, classes, weights, names, *settings))
        self.classes_ = classes
        self.head_, self.heads_, self.optimality_gap_ = found.head, found.heads, found.optimality_gap
        self.fit_error_, self.cv_error_, self.n_passes_ = found.error, found.cv_error, found.passes
        self.rank_, self.n_ignored_features_ = found.rank, found.n_ignored
        self.feature_range_ = None
        if self.clip and limits is not None and found.feature_mean is not None:
            self.feature_range_ = replace(limits, centre=found.feature_mean)
        return self

    def predict_proba(self, X: ArrayLike) -> Array:
        """Return the probability of each class, shape (n, c).

        Warns
        -----
        UnlikeRowsWarning
            If many values are outside the range of the fitted rows.
        """
        scores = self._scores(X)
        return np.asarray(self.head_.probabilities(scores) if hasattr(self.head_, "linear") else scores)

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Return the most probable class of each row, shape (n,)."""
        check_is_fitted(self, "head_")
        return np.asarray(self.classes_[self._scores(X).argmax(1)])

    def score(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Return the accuracy: the mean share of labels that are the predicted class.

        Parameters
        ----------
        X : array of shape (n, d)
        y : array of shape (n,) or (n, c)
            Classes, or a column of probabilities for each: then the accuracy that is to be expected.
        sample_weight : array of shape (n,), optional
        """
        if not is_of_columns(y):
            return float(super().score(X, y, sample_weight))
        names, labels = _labels(y)
        place = {name: i for i, name in enumerate(names.tolist())}
        missing = [name for name in self.classes_.tolist() if name not in place]
        if missing:
            raise InputError(
                f"y has no column for class {quoted(missing[0])}: give one for each of the classes"
            )
        predicted_at = [place[name] for name in self.predict(X).tolist()]
        weights = None if sample_weight is None else row_weights(sample_weight, len(labels))
        return float(np.average(labels[np.arange(len(labels)), predicted_at], weights=weights))

    def decision_function(self, X: ArrayLike) -> Array:
        """Return log-odds: of the second of two classes (n,), or of each class up to a constant (n, c).

        For the Brier score they are linear outputs, or the difference of those of two classes.
        """
        scores = self._scores(X)
        if not hasattr(self.head_, "linear"):
            scores = np.log(np.maximum(scores, np.finfo(float).tiny))
        return np.asarray(scores[:, 1] - scores[:, 0] if len(self.classes_) == 2 else scores)

    def _scores(self, X: ArrayLike) -> Array:
        """Return what the head gives before probabilities are made of it, or those if it has nothing else."""
        check_is_fitted(self, "head_")
        if not hasattr(self.head_, "linear"):
            return np.asarray(self.head_(self._as_given(X, first=False)))
        features = checked_features(self, X, None, first=False)
        out, clipped = predicted(self.head_.linear, features, self.feature_range_, "X")
        if clipped is not None and clipped.is_large:
            warn(
                f"X: {clipped}: predict them with care (clip=False extrapolates)",
                UnlikeRowsWarning,
                stacklevel=3,
            )
        return out

    def _as_given(self, X: Any, *, first: bool) -> Any:
        """Return what members of a mixture predict from, be it texts or a table; columns are counted."""
        if np.ndim(X) == 2:
            validate_data(self, X, skip_check_array=True, reset=first)
        return X

    def _refuse_settings(self) -> None:
        for name in ("clip", "in_simplex"):
            if not isinstance(getattr(self, name), bool | np.bool_):
                raise InputError(f"{name}={quoted(getattr(self, name))}: give True or False")
        if not isinstance(self.divergence, str) or self.divergence not in ("log", "brier"):
            raise InputError(f"divergence={quoted(self.divergence)}: give 'log' or 'brier'", "divergence")
        check_smoothing(self.smoothing)


def _range(features: NDArray[Any], weights: Array | None) -> FeatureRange:
    """Return the range of the rows that have weight; refuse values that are not finite."""
    found = FeatureRange(np.full(features.shape[1], np.inf), np.full(features.shape[1], -np.inf))
    for rows in row_blocks(*features.shape):
        part = FeatureRange.of(features[rows])
        if not part.is_finite:
            refuse_infinite(features[rows], "X", rows.start)
        if weights is not None and not weights[rows].all():
            part = FeatureRange.of(features[rows], weights[rows] > 0)
        found |= part
    return found


def _labels(y: Any) -> tuple[NDArray[Any], Array]:
    """Return the classes, and a distribution over them for each row."""
    if is_of_columns(y):
        given = class_labels(y, "y")
        if not given.labelled.all():
            row = int((~given.labelled).argmax())
            raise InputError(f"y: row {row} (counted from 0) has no label (NaN): leave the row out")
        names = np.asarray(y.columns) if hasattr(y, "columns") else np.arange(given.values.shape[1])
        return names, given.values
    labels = _of_one_kind(column_or_1d(y if plain_array(y) is None else plain_array(y), warn=True))
    try:
        check_classification_targets(labels)
        if labels.dtype.kind in "Mm":
            raise TypeError("it holds dates or times.")
        classes, place = np.unique(labels, return_inverse=True)
    except (ValueError, TypeError) as error:
        raise InputError(
            f"y: {error} Classes are text, booleans or whole numbers, of one kind; give probabilities as a "
            "column for each class"
        ) from error
    if len(classes) < 2:
        raise InputError(f"y holds one class alone, {quoted(classes[0].item())}: at least two are needed")
    return classes, np.eye(len(classes))[place]


def _of_one_kind(labels: NDArray[Any]) -> NDArray[Any]:
    """Labels without a missing one; objects that are all whole numbers, or all true and false, as these."""
    if labels.dtype.kind == "f":
        refuse_infinite(labels, "y")
    if labels.dtype.kind != "O":
        return labels
    from pandas import isna
    from pandas.api.types import infer_dtype

    if isna(labels).any():
        row = int(isna(labels).argmax())
        raise InputError(f"y: row {row} (counted from 0) has no label: leave the row out")
    kinds: dict[str, Any] = {"integer": np.int64, "boolean": np.bool_}
    return labels.astype(kinds.get(infer_dtype(labels), object))


def _refuse_absent(labels: Array, classes: NDArray[Any], weights: Array | None) -> None:
    """Refuse a class that no row with weight gives any probability."""
    there = (labels > 0).any(0) if weights is None else (labels[weights > 0] > 0).any(0)
    if not there.all():
        name = classes[~there].tolist()[0]
        raise InputError(f"y: class {quoted(name)} has no row of positive weight: leave it out of y")
