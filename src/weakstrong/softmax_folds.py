"""Where softmax heads start, and the strength of their penalty, chosen by cross-validation."""

from __future__ import annotations

from dataclasses import replace

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
# almost no penalty. A few at a time, from the strongest on, until the held-out loss has risen for a while.
_STRENGTHS = np.logspace(0.5, -10.5, 23)
_AT_ONCE, _RISES = 3, 2
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


def chosen_strengths(rows: SoftmaxRows, n_folds: int) -> tuple[Problems, Array, Array]:
    """Choose λ of each label set by its held-out loss; return the problems, where to start, and that loss.

    Losses nearer to each other than they are solved to are equal; then the strongest penalty is chosen.
    """
    k, start = len(rows.labels), rows.start()
    label, fold = (a.ravel() for a in np.meshgrid(np.arange(k), np.arange(n_folds), indexing="ij"))
    bound = 0.5 * rows.basis.curvature.max(initial=0.0)
    strengths = _STRENGTHS * (bound if bound > 0 else 1.0)
    errors, found = np.zeros((0, k)), np.zeros((0, *start[label].shape))
    x, best = start[label], np.zeros(k, dtype=np.intp)
    for first in range(0, len(strengths), _AT_ONCE):
        some = np.repeat(strengths[first : first + _AT_ONCE], len(label))
        g = len(some) // len(label)
        problems = _penalized(np.tile(label, g), np.tile(fold, g), some)
        minima = minimize(rows, problems, np.tile(x, (g, 1, 1)), tolerance=_LOOSE, certified=False)
        errors = np.concatenate([errors, _by_label(rows, minima.held_out.reshape(g, k, n_folds))])
        found = np.concatenate([found, minima.x.reshape(g, *x.shape)])
        x = found[-1]
        best = (errors <= errors.min(0) + _TIE).argmax(0)  # the strongest of those that are as good
        if (best < len(errors) - _RISES).all():
            break
    problems = _penalized(label, fold, strengths[best][label])
    fine = minimize(
        rows, problems, found[best[label], np.arange(len(label))], tolerance=_FINE, certified=False
    )
    error = _by_label(rows, fine.held_out.reshape(k, n_folds))
    near = fine.x.reshape(k, n_folds, *x.shape[1:]).mean(1)
    return _penalized(np.arange(k), np.full(k, -1), strengths[best]), near, error


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
