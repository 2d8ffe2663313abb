"""A scikit-learn regressor that projects labels onto a class of heads, and weak-to-strong training."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Self
from warnings import warn

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin, clone
from sklearn.utils.validation import check_array, check_is_fitted, validate_data

from weakstrong.accumulation import extended
from weakstrong.arrays import (
    group_array,
    label_array,
    real_array,
    refuse_infinite,
    refuse_no_weight,
    refuse_other_rows,
    row_blocks,
    row_weights,
    whole_number,
)
from weakstrong.cross_validation import FoldAssigner, cross_validate
from weakstrong.errors import InputError, UnlikeRowsWarning, quoted
from weakstrong.feature_range import FeatureRange, predicted
from weakstrong.heads import HeadClass, L2Ball, head_class
from weakstrong.moments import Moments, refuse_overflow
from weakstrong.projection import project

Array = NDArray[np.float64]

_MOST_FOLDS = 100_000


@dataclass(frozen=True)
class _Seen:
    """What was seen of a stream of rows: never changed, so a batch that is refused leaves no trace."""

    n_folds: int
    label_shape: tuple[int, ...] = ()
    n_rows: int = 0
    folds: dict[int, Moments] = field(default_factory=dict)
    groups: dict[Hashable, int] = field(default_factory=dict)  # number of each, in order of appearance
    features: FeatureRange | None = None

    @property
    def fills_folds(self) -> bool:
        return len(self.folds) == max(self.n_folds, 1)


def fold_blocks(n: int, width: int, n_folds: int) -> Iterator[slice]:
    """Cut rows into blocks to deal to folds: up to 32 MiB, or more where folds would get too few rows.

    Without folds no row is copied, and one block will do.
    """
    least = 16 * width * n_folds if n_folds else n
    return row_blocks(n, max(width, 64), times=2, least=least)


def resolved_folds(n_folds: object, heads: HeadClass, random_state: object) -> int:
    """Return the number of folds of an estimator: 5 where it is not given and a radius is open; 0 is none."""
    whole_number(random_state, "random_state", "a whole number, which the folds follow")
    is_open = isinstance(heads, L2Ball) and heads.radius is None
    if n_folds is None:
        return 5 if is_open else 0
    least = f"{'' if is_open else '0 (none) or '}a whole number of at least 2"
    least += " (the radius is open)" if is_open else ""
    number = whole_number(n_folds, "n_folds", least)
    if not 2 <= number <= _MOST_FOLDS and (is_open or number != 0):
        raise InputError(f"n_folds={number}: give {least}, and at most {_MOST_FOLDS:,}")
    return number


def checked_features(estimator: Any, X: ArrayLike, y: ArrayLike | None, *, first: bool) -> NDArray[Any]:
    """Check the kind, shape and names of an estimator's features, and leave their values where they are."""
    features = real_array(X, "X", booleans=True)
    rows = features[:1] if features.ndim else features
    check_array(rows, dtype=None, ensure_all_finite=False, estimator=estimator, input_name="X")
    whole = {"skip_check_array": True, "reset": first}
    if first or y is not None:
        validate_data(estimator, X, y, **whole)
    else:
        validate_data(estimator, X, **whole)
    return features


class HeadProjection(MultiOutputMixin, RegressorMixin, BaseEstimator):
    """Regressor that fits a head by exact L2 projection of the labels onto a class of heads.

    ``head_ = argmin_{f in F} Σ_i ω_i (f(x_i) − y_i)²``. Fitted to true labels it is the weak
    model (eq. 10 of the paper); fitted to another model's labels, the weakly supervised
    strong model (eq. 11). Both are this one operation.

    Parameters
    ----------
    heads : {"l2", "linear"} or HeadClass
        F. ``"l2"``, the default everywhere, is ``L2Ball()``: its open radius is chosen by
        cross-validation on the labels being fitted, one for each target.
    n_folds : int, optional
        Number of folds for an open radius and for `cv_error_`, up to 100,000. None means 5 where a radius
        is open, and otherwise 0 (no folds).
    random_state : int
        Seed of the folds, any whole number, by the name that it has in scikit-learn; elsewhere it is
        ``seed``. Given it, a row's fold depends on its position (or group) alone, so any sequence of
        `partial_fit` gives the same result as one `fit`.
    clip : bool
        Whether a row to predict that is outside the range of the fitted rows, widened by half of it on either
        side, is drawn towards their mean until it is inside. That is decided without labels and changes
        nothing on the fitted rows: a feature that hardly varied there, but wakes on a new row, cannot carry
        its prediction away.

    Attributes
    ----------
    head_ : Head
        The fitted head; all that `predict` needs.
    heads_ : HeadClass
        F with its radius and scale.
    optimality_gap_ : array of shape (k,)
        Bound on how far the objective is from its minimum, relative to the labels' variance.
    fit_error_, cv_error_ : array of shape (k,)
        Mean squared error on the labels fitted, and held out (None without folds).
    rank_ : int
        Numerical rank of the features.
    n_ignored_features_ : int
        Number of features that get no coefficient, as they do not vary beyond rounding.
    feature_range_ : FeatureRange or None
        Range of the features on the fitted rows; None without `clip`.
    moments_ : Moments
        Moments of all rows seen; merge them with those of another shard to continue elsewhere.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> X, y = load_diabetes(return_X_y=True)
    >>> student = HeadProjection("l2").fit(X, y)
    >>> bool(student.optimality_gap_.max() < 1e-8)
    True
    """

    _seen: _Seen

    def __init__(
        self,
        heads: str | HeadClass = "l2",
        *,
        n_folds: int | None = None,
        random_state: int = 0,
        clip: bool = True,
    ) -> None:
        self.heads = heads
        self.n_folds = n_folds
        self.random_state = random_state
        self.clip = clip

    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        groups: ArrayLike | None = None,
    ) -> Self:
        """Fit the head to features and labels.

        Memory grows with the width of the features, not with the rows: X may be a memory-mapped file.

        Parameters
        ----------
        X : array of shape (n, d)
            Features: rows of a frozen representation, dense. Any scale will do.
        y : array of shape (n,) or (n, k)
            Labels: real numbers.
        sample_weight : array of shape (n,), optional
        groups : array of shape (n,), optional
            Rows of one group are kept in one fold. Names are compared as they are: 1 and 1.0 are one group,
            1 and "1" are two.

        Raises
        ------
        ValueError
            On input that cannot be used (not finite, sparse, text, dates, a missing group, pandas objects
            with different indexes), or with fewer rows (groups) than folds for an open radius.
        """
        return self.fit_batches([(X, y, sample_weight, groups)])

    def fit_batches(self, batches: Iterable[tuple[Any, ...]]) -> Self:
        """Fit the head to rows that come in batches, read once; the same as one `fit` of all rows.

        Parameters
        ----------
        batches : iterable of tuple
            ``(X, y)``, ``(X, y, sample_weight)`` or ``(X, y, sample_weight, groups)``, with None for what is
            not given, as `fit` takes them; such as a generator that reads parts of a file.
        """
        heads = head_class(self.heads)
        self._refuse_clip()
        seen = _Seen(self._resolved_folds(heads))
        for batch in batches:
            if not isinstance(batch, tuple | list) or not 2 <= len(batch) <= 4:
                raise InputError(
                    "batches: each is (X, y), (X, y, sample_weight) or (X, y, sample_weight, groups)"
                )
            seen = self._with_batch(seen, *batch)
            del batch  # before the next one is made
        if seen.n_rows == 0:
            raise InputError("batches: there is none, and so no row to fit")
        if not seen.folds:
            refuse_no_weight(np.zeros(1))
        if not seen.fills_folds:
            noun = "groups" if seen.groups else "rows"
            raise InputError(
                f"n_samples={seen.n_rows} with {len(seen.groups) or seen.n_rows} {noun} do not fill "
                f"n_folds={seen.n_folds} folds (2 at least): give more {noun}, fewer folds or a fixed radius"
            )
        self._seen = seen
        return self._project(heads)

    def partial_fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        groups: ArrayLike | None = None,
    ) -> Self:
        """Add rows to those seen before and fit the head to all of them; parameters are those of `fit`.

        Until every fold has a row, the model stays unfitted. Each call solves anew: to stream many small
        batches, give them to `fit_batches`.
        """
        heads = head_class(self.heads)
        self._refuse_clip()
        n_folds = self._resolved_folds(heads)
        self._seen = self._with_batch(getattr(self, "_seen", _Seen(n_folds)), X, y, sample_weight, groups)
        return self._project(heads) if self._seen.fills_folds else self

    def predict(self, X: ArrayLike) -> Array:
        """Return the predictions of the fitted head, of shape (n,) or (n, k) as the labels were.

        Rows far outside the range of the fitted ones are drawn into it, unless `clip` is off.

        Warns
        -----
        UnlikeRowsWarning
            If many values are outside: more than 1%, or more than half of those of one feature.
        """
        check_is_fitted(self, "head_")
        features = self._features(X, None, first=False)
        out, clipped = predicted(self.head_, features, self.feature_range_, "X")
        if clipped is not None and clipped.is_large:
            warn(
                f"X: {clipped}: predict them with care (clip=False extrapolates)",
                UnlikeRowsWarning,
                stacklevel=2,
            )
        return out if self._seen.label_shape else out[:, 0]

    def _refuse_clip(self) -> None:
        if not isinstance(self.clip, bool | np.bool_):
            raise InputError(f"clip={quoted(self.clip)}: give True or False")

    def _resolved_folds(self, heads: HeadClass) -> int:
        return resolved_folds(self.n_folds, heads, self.random_state)

    def _features(self, X: ArrayLike, y: ArrayLike | None, *, first: bool) -> NDArray[Any]:
        return checked_features(self, X, y, first=first)

    def _with_batch(
        self,
        seen: _Seen,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        groups: ArrayLike | None = None,
    ) -> _Seen:
        """Check a batch, and merge its rows into the moments of their folds."""
        refuse_other_rows({"X": X, "y": y, "sample_weight": sample_weight, "groups": groups})
        features = self._features(X, y, first=seen.n_rows == 0)
        labels, (n, d) = label_array(y, "y"), features.shape
        if labels.ndim not in (1, 2) or len(labels) != n or labels.size == 0:
            raise InputError(f"y has shape {labels.shape}; expected ({n},) or ({n}, k), as X has {n} rows")
        weight = None if sample_weight is None else row_weights(sample_weight, n)
        names = None if groups is None else group_array(groups, n)
        n_folds = self._resolved_folds(head_class(self.heads))
        if seen.n_rows:
            self._refuse_change(seen, labels.shape, n_folds, grouped=names is not None)
        folds, numbers, columns = dict(seen.folds), dict(seen.groups), labels.reshape(n, -1)
        seen_range = seen.features
        for rows in fold_blocks(n, d, n_folds):
            block = features[rows]
            found = FeatureRange.of(block)
            if not found.is_finite:
                refuse_infinite(block, "X", rows.start)
            if weight is not None and not weight[rows].all():
                found = FeatureRange.of(block, weight[rows] > 0)
            seen_range = found if seen_range is None else seen_range | found
            positions = np.arange(seen.n_rows + rows.start, seen.n_rows + rows.stop)
            if names is not None:
                positions = np.array([numbers.setdefault(g, len(numbers)) for g in names[rows].tolist()])
            fold_of = FoldAssigner(n_folds, int(self.random_state))(positions) if n_folds else 0 * positions
            _add(folds, block, columns[rows], None if weight is None else weight[rows], fold_of)
        for moments in folds.values():
            refuse_overflow(moments)
        return _Seen(n_folds, labels.shape[1:], seen.n_rows + n, folds, numbers, seen_range)

    def _refuse_change(self, seen: _Seen, shape: tuple[int, ...], n_folds: int, *, grouped: bool) -> None:
        """Refuse a batch that is not as those before."""
        if (shape[1:], n_folds) != (seen.label_shape, seen.n_folds):
            raise InputError(
                f"y has shape {shape} and n_folds={n_folds}, but the labels seen before had shape (n, "
                f"*{seen.label_shape}) and n_folds={seen.n_folds}: go on as before, or fit anew"
            )
        if grouped != bool(seen.groups):
            before = "groups were given before" if seen.groups else "groups were not given before"
            raise InputError(f"{before}: give them for every batch or none")

    def _project(self, heads: HeadClass) -> Self:
        """Cross-validate over the folds, if there are any, then fit the head to all rows."""
        folds = [self._seen.folds[f] for f in sorted(self._seen.folds)]
        self.cv_error_ = None
        if self._seen.n_folds:
            chosen = cross_validate(folds, heads)
            heads, self.moments_, self.cv_error_ = chosen.heads, chosen.moments, chosen.error
        else:
            [self.moments_] = folds
        solution = project(self.moments_, heads)
        self.head_, self.heads_ = solution.head, solution.heads
        self.optimality_gap_, self.fit_error_ = solution.optimality_gap, solution.error
        self.rank_, self.n_ignored_features_ = int(solution.rank), int(solution.n_ignored)
        self.feature_range_ = None
        if self.clip and self._seen.features is not None:
            self.feature_range_ = replace(self._seen.features, centre=self.moments_.feature_mean)
        return self


def _add(
    folds: dict[int, Moments], X: Array, y: Array, weight: Array | None, fold_of: NDArray[np.int64]
) -> None:
    """Merge rows into the moments of their folds."""
    for fold in np.unique(fold_of).tolist():
        rows: Any = slice(None) if (fold_of == fold).all() else fold_of == fold
        w = None if weight is None else weight[rows]
        if w is None or w.any():
            folds[fold] = extended(folds.get(fold), X[rows], y[rows], w)


def weak_to_strong(
    supervisor: Any | Callable[[Any], ArrayLike], student: Any, X: Any, **fit_params: Any
) -> Any:
    """Train a student on a supervisor's labels: equation (11) of the paper.

    ``f_sw = argmin_{f in F_s} Σ_i (f∘h_s(x_i) − f_w∘h_w(x_i))²``; no true label is seen.

    Parameters
    ----------
    supervisor : object with `predict`, or callable
        The weak model, fitted; it labels X.
    student : scikit-learn regressor
        The strong model: a `HeadProjection`, or a pipeline of a representation and one. It
        is cloned, not changed.
    X : array or dataframe of n rows
        Unlabelled inputs that both models take. Labels and parameters that are pandas objects must have its
        index, if it has one.
    **fit_params
        Passed to the student's `fit`, such as ``groups`` or ``sample_weight``; a pipeline takes
        them with the name of the step in front, such as ``headprojection__groups``.

    Returns
    -------
    regressor
        The fitted student.
    """
    label = getattr(supervisor, "predict", supervisor)
    if not callable(label) or not hasattr(student, "fit"):
        wrong = student if callable(label) else supervisor
        raise TypeError(
            f"{quoted(wrong)}: give a supervisor that predicts or is called, and a student to fit"
        )
    labels = label(X)
    refuse_other_rows({"X": X, "the supervisor's labels": labels, **fit_params})
    return clone(student).fit(X, labels, **fit_params)
