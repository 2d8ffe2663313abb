"""Where softmax heads start, and the strength of their penalty, chosen by cross-validation."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from weakstrong.arrays import group_array, group_numbers, whole_number
from weakstrong.cross_entropy import Problems, SoftmaxRows
from weakstrong.cross_validation import FoldAssigner
from weakstrong.errors import InputError
from weakstrong.quasi_newton import QuasiNewton
from weakstrong.softmax_basis import sample_of
from weakstrong.softmax_solver import minimize, model_of

Array = NDArray[np.float64]

# Strengths λ tried, relative to the largest that the curvature of a loss can be: from almost no features to
# almost no penalty. A few at a time, from the strongest on, until the held-out loss has risen.
_STRENGTHS, _HALF = np.logspace(0.5, -10.5, 12), 10**0.5
_AT_ONCE = 3
_LOOSE, _FINE = 3e-6, 1e-8  # nats a row: where losses are only compared, and where they are told
_TIE = 1e-5
_PER_FEATURE, _MANY = 32, 4  # rows for each feature to start on, where there are many times as many


def dealt(n: int, weights: Array, groups: ArrayLike | None, n_folds: int, seed: int) -> NDArray[np.int64]:
    """Deal rows, or groups of rows, to folds."""
    n_folds = whole_number(n_folds, "n_folds", "a whole number of at least 2")
    places = np.arange(n)
    if groups is not None:
        names = group_numbers(group_array(groups, n))
        _, first, inverse = np.unique(names, return_index=True, return_inverse=True)
        places = first.argsort().argsort()[inverse]  # in order of appearance
    folds = FoldAssigner(n_folds, whole_number(seed, "seed"))(places) if n_folds >= 2 else places * 0
    filled = len(np.unique(folds[weights > 0]))
    if n_folds < 2 or filled < n_folds:
        noun = "rows" if groups is None else "groups"
        raise InputError(
            f"n_samples={n} with {len(np.unique(places))} {noun} do not fill n_folds={n_folds} folds (2 at "
            f"least): give more {noun}, fewer folds or a fixed radius"
        )
    return folds


@dataclass(eq=False)
class _Path:
    """Strengths tried for k label sets in each of their folds, (g, k), with losses held out and solutions."""

    rows: SoftmaxRows
    label: NDArray[np.intp]
    fold: NDArray[np.intp]
    strengths: Array
    errors: Array
    x: Array

    @classmethod
    def of(cls, rows: SoftmaxRows, n_folds: int) -> Self:
        """Return a path on which nothing has been tried."""
        k, start = len(rows.labels), rows.start()
        label, fold = (a.ravel() for a in np.meshgrid(np.arange(k), np.arange(n_folds), indexing="ij"))
        return cls(rows, label, fold, np.empty((0, k)), np.empty((0, k)), np.empty((0, *start[label].shape)))

    def best(self) -> NDArray[np.intp]:
        """Return the place of the strongest penalty of those that are as good as the best, for each set."""
        good = self.errors <= self.errors.min(0) + _TIE
        return np.asarray(np.where(good, self.strengths, 0.0).argmax(0))

    def at(self, place: NDArray[np.intp]) -> tuple[Array, Array]:
        """Return the strengths of each label set at a place (k,), and solutions there."""
        return self.strengths[place, np.arange(len(place))], self.x[
            place[self.label], np.arange(len(self.label))
        ]

    def try_out(self, strengths: Array, start: Array, tolerance: float = _LOOSE) -> None:
        """Solve for strengths (g, k), all at once, from one start."""
        g, k = strengths.shape
        problems = _penalized(np.tile(self.label, g), np.tile(self.fold, g), strengths[:, self.label].ravel())
        minima = minimize(
            self.rows, problems, np.tile(start, (g, 1, 1)), tolerance=tolerance, certified=False
        )
        self.strengths = np.concatenate([self.strengths, strengths])
        self.errors = np.concatenate([self.errors, _by_label(self.rows, minima.held_out.reshape(g, k, -1))])
        self.x = np.concatenate([self.x, minima.x.reshape(g, *start.shape)])


def chosen_strengths(rows: SoftmaxRows, n_folds: int) -> tuple[Problems, Array, Array]:
    """Choose λ of each label set by its held-out loss; return the problems, where to start, and that loss.

    Strengths a decade apart are tried, then those half a decade from the best. Losses nearer to each other
    than they are solved to are equal; then the strongest penalty is chosen.
    """
    k, path = len(rows.labels), _Path.of(rows, n_folds)
    bound = 0.5 * rows.basis.curvature.max(initial=0.0)
    x = rows.start()[path.label]
    for some in np.split(_STRENGTHS * (bound if bound > 0 else 1.0), len(_STRENGTHS) // _AT_ONCE):
        path.try_out(np.repeat(some[:, None], k, axis=1), x)
        x = path.x[-1]
        if (path.best() < len(path.errors) - 1).all():
            break
    strength, x = path.at(path.best())
    path.try_out(strength * np.array([[_HALF], [1 / _HALF]]), x)
    strength, x = path.at(path.best())
    path.try_out(strength[None], x, _FINE)
    near = path.x[-1].reshape(k, n_folds, *x.shape[1:]).mean(1)
    return _penalized(np.arange(k), np.full(k, -1), strength), near, path.errors[-1]


def _penalized(label: NDArray[np.intp], fold: NDArray[np.intp], multiplier: Array) -> Problems:
    return Problems(label, fold, multiplier, np.full(len(label), np.inf))


def _by_label(rows: SoftmaxRows, held_out: Array) -> Array:
    """Return the mean loss of the rows held out, from its sum in each fold (the last axis)."""
    return np.asarray(held_out.sum(-1) / rows.weights.sum())


def held_out_loss(rows: SoftmaxRows, radius: Array, n_folds: int) -> Array:
    """Return the held-out loss of a class that is given, for each label set."""
    k = len(rows.labels)
    label, fold = (a.ravel() for a in np.meshgrid(np.arange(k), np.arange(n_folds), indexing="ij"))
    problems = Problems(label, fold, np.zeros(len(label)), radius[label])
    found = minimize(rows, problems, rows.start()[label], tolerance=_FINE, certified=False)
    return _by_label(rows, found.held_out.reshape(k, n_folds))


def first_guess(rows: SoftmaxRows, problems: Problems) -> tuple[Array, QuasiNewton]:
    """Return where to start, and what is known of the curvature there.

    Where there are many times as many rows as features, that is the solution on some of the rows.
    """
    model = model_of(rows)
    counted = np.flatnonzero(rows.weights)
    number = _PER_FEATURE * max(rows.features.shape[1], 32)
    if len(counted) < _MANY * number:
        return rows.start(), model
    at = sample_of(counted, number)
    some = replace(
        rows, features=rows.features[at], labels=rows.labels[:, at], weights=rows.weights[at], folds=None
    )
    start = some.start()
    found = minimize(some, problems, start, tolerance=_LOOSE, certified=False, model=model, together=True)
    return found.x, model


def drawn_in(x: Array, radius: Array) -> Array:
    """Return heads drawn into their balls, where they are outside."""
    norm = np.linalg.norm(x[..., 1:], axis=(1, 2))
    out = x.copy()
    out[..., 1:] *= np.where(norm > radius, radius / np.where(norm > 0, norm, 1.0), 1.0)[:, None, None]
    return out
