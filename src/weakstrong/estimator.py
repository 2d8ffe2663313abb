"""A scikit-learn regressor that projects labels onto a class of heads, and weak-to-strong training."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin, clone
from sklearn.utils.validation import (
    _check_sample_weight,
    check_consistent_length,
    check_is_fitted,
    validate_data,
)

from weakstrong.cross_validation import FoldAssigner, cross_validate
from weakstrong.heads import HeadClass, L2Ball, head_class
from weakstrong.moments import Moments
from weakstrong.projection import project

Array = NDArray[np.float64]

_READ_ROWS = 1 << 16  # rows dealt to folds at a time, which bounds the memory for copies


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
        Number of folds for an open radius and for `cv_error_`. None means 5 where a radius is
        open, and otherwise 0 (no folds).
    random_state : int
        Seed of the folds, by the name that it has in scikit-learn; elsewhere it is ``seed``. Given it,
        a row's fold depends on its position (or group) alone, so any sequence of `partial_fit` gives the
        same result as one `fit`.

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

    _folds: dict[int, Moments]
    _groups: dict[Hashable, int]
    _n_seen: int
    _n_folds: int
    _label_shape: tuple[int, ...]

    def __init__(
        self, heads: str | HeadClass = "l2", *, n_folds: int | None = None, random_state: int = 0
    ) -> None:
        self.heads = heads
        self.n_folds = n_folds
        self.random_state = random_state

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
            Features: rows of a frozen representation.
        y : array of shape (n,) or (n, k)
            Labels.
        sample_weight : array of shape (n,), optional
        groups : array of shape (n,), optional
            Rows of one group are kept in one fold.

        Raises
        ------
        ValueError
            On input that cannot be used, or with fewer rows (groups) than folds for an open radius.
        """
        heads = head_class(self.heads)
        self._forget()
        n_folds = self._accumulate(heads, X, y, sample_weight, groups)
        if not self._folds_filled(n_folds):
            noun = "groups" if self._groups else "rows"
            count = len(self._groups) if self._groups else self._n_seen
            raise ValueError(
                f"n_samples={self._n_seen} with {count} {noun} do not fill n_folds={n_folds} folds "
                f"(2 at least): give more {noun}, fewer folds or a fixed radius"
            )
        return self._project(heads, n_folds)

    def partial_fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        groups: ArrayLike | None = None,
    ) -> Self:
        """Add rows to those seen before and fit the head to all of them; parameters are those of `fit`.

        Until every fold has a row, the model stays unfitted. Each call solves anew, so to stream many
        small batches, add up their `Moments` and `project` once.
        """
        heads = head_class(self.heads)
        n_folds = self._accumulate(heads, X, y, sample_weight, groups)
        return self._project(heads, n_folds) if self._folds_filled(n_folds) else self

    def predict(self, X: ArrayLike) -> Array:
        """Return the predictions of the fitted head, of shape (n,) or (n, k) as the labels were."""
        check_is_fitted(self, "head_")
        X = validate_data(self, X, dtype=[np.float64, np.float32], reset=False)
        out = self.head_(X)
        return out if self._label_shape else out[:, 0]

    def _resolved_folds(self, heads: HeadClass) -> int:
        is_open = isinstance(heads, L2Ball) and heads.radius is None
        if self.n_folds is None:
            return 5 if is_open else 0
        if self.n_folds < 0 or self.n_folds == 1 or (is_open and self.n_folds == 0):
            least = "at least 2 (the radius is open)" if is_open else "0 (none) or at least 2"
            raise ValueError(f"n_folds={self.n_folds}: give {least}")
        return self.n_folds

    def _accumulate(
        self,
        heads: HeadClass,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None,
        groups: ArrayLike | None,
    ) -> int:
        """Check a batch, merge it into the moments of its folds and return the number of folds."""
        n_folds = self._resolved_folds(heads)
        first = not hasattr(self, "_folds") or not self._folds
        X, y = validate_data(
            self, X, y, multi_output=True, y_numeric=True, dtype=[np.float64, np.float32], reset=first
        )
        features, labels = np.asarray(X), np.asarray(y)
        weight = None
        if sample_weight is not None:
            weight = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
        if first:
            self._forget()
        elif (labels.shape[1:], n_folds) != (self._label_shape, self._n_folds):
            raise ValueError(
                f"y has shape {labels.shape} and n_folds={n_folds}, but the labels seen before had shape (n, "
                f"*{self._label_shape}) and n_folds={self._n_folds}: go on as before, or fit anew"
            )
        positions, numbers = self._positions(len(features), groups)
        fold_of = FoldAssigner(n_folds, self.random_state)(positions) if n_folds else np.zeros_like(positions)
        folds = dict(self._folds)
        for start in range(0, len(features), _READ_ROWS):
            rows = slice(start, start + _READ_ROWS)
            w = None if weight is None else weight[rows]
            _add(folds, features[rows], labels[rows], w, fold_of[rows])
        # Stored last, so that nothing is kept of a batch that was refused above.
        self._folds, self._groups, self._n_seen = folds, numbers, self._n_seen + len(features)
        self._label_shape, self._n_folds = labels.shape[1:], n_folds
        return n_folds

    def _folds_filled(self, n_folds: int) -> bool:
        return len(self._folds) == max(n_folds, 1)

    def _forget(self) -> None:
        self._folds, self._groups = {}, {}
        self._n_seen = 0

    def _positions(self, n: int, groups: ArrayLike | None) -> tuple[NDArray[np.int64], dict[Hashable, int]]:
        """Number rows, or their groups, in order of appearance; also return the number of each group."""
        if groups is None:
            if self._groups:
                raise ValueError("groups were given before: give them for every batch")
            return np.arange(self._n_seen, self._n_seen + n), {}
        if self._n_seen and not self._groups:
            raise ValueError("groups were not given before: give them for every batch or none")
        names = np.asarray(groups)
        check_consistent_length(names, np.empty(n))
        nameless = np.array([g is None or g != g for g in names.tolist()])  # noqa: PLR0124  NaN
        if nameless.any():
            raise ValueError(f"groups: row {nameless.argmax()} (counted from 0) has none; name its group")
        numbers = dict(self._groups)
        return np.array([numbers.setdefault(g, len(numbers)) for g in names.tolist()]), numbers

    def _project(self, heads: HeadClass, n_folds: int) -> Self:
        """Cross-validate over the folds, if there are any, then fit the head to all rows."""
        folds = [self._folds[f] for f in sorted(self._folds)]
        self.cv_error_ = None
        if n_folds:
            chosen = cross_validate(folds, heads)
            heads, self.moments_, self.cv_error_ = chosen.heads, chosen.moments, chosen.error
        else:
            [self.moments_] = folds
        solution = project(self.moments_, heads)
        self.head_, self.heads_ = solution.head, solution.heads
        self.optimality_gap_, self.fit_error_ = solution.optimality_gap, solution.error
        self.rank_ = int(solution.rank)
        return self


def _add(
    folds: dict[int, Moments], X: Array, y: Array, weight: Array | None, fold_of: NDArray[np.int64]
) -> None:
    """Merge rows into the moments of their folds."""
    for fold in np.unique(fold_of).tolist():
        rows: Any = slice(None) if (fold_of == fold).all() else fold_of == fold
        w = None if weight is None else weight[rows]
        if w is None or w.any():
            part = Moments.of(X[rows], y[rows], sample_weight=w)
            folds[fold] = folds[fold] + part if fold in folds else part


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
        Unlabelled inputs that both models take.
    **fit_params
        Passed to the student's `fit`, such as ``groups`` or ``sample_weight``; a pipeline takes
        them with the name of the step in front, such as ``headprojection__groups``.

    Returns
    -------
    regressor
        The fitted student.
    """
    label = supervisor.predict if hasattr(supervisor, "predict") else supervisor
    return clone(student).fit(X, label(X), **fit_params)
