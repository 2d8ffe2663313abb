"""Linear heads by Adam on minibatches, as a linear layer is usually trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from weakstrong.errors import InputError
from weakstrong.heads import Head

Array = NDArray[np.float64]

_FIRST, _SECOND, _SMALL = 0.9, 0.999, 1e-8  # β₁, β₂ and ε, as torch.optim.Adam has them


@dataclass(frozen=True)
class AdamOptions:
    """Settings of Adam.

    Parameters
    ----------
    epochs : int
        Passes over the rows.
    batch : int
        Rows of a step; the last step of an epoch takes those that are left.
    rate : float
        Learning rate.
    """

    epochs: int = 100
    batch: int = 32
    rate: float = 0.01


@dataclass(frozen=True, eq=False)
class LinearTask:
    """Labels that a linear layer is trained on, and rows to choose the epoch by.

    Parameters
    ----------
    features : array of shape (n, d)
        As they are: no scaling.
    labels : array of shape (n, k)
    held_out : array of shape (m, d)
        Features of the validation rows.
    held_out_labels : array of shape (m, k)
    """

    features: NDArray[Any]
    labels: Array
    held_out: NDArray[Any]
    held_out_labels: Array


def fit_by_adam(tasks: Sequence[LinearTask], options: AdamOptions, rng: np.random.Generator) -> list[Head]:
    """Descend on the mean squared error of linear layers ``b + Φ W`` from zero by Adam, in float32.

    With the gradient g of a batch, ``m ← β₁ m + (1 − β₁) g``, ``v ← β₂ v + (1 − β₂) g²`` and
    ``W ← W − rate · m/(1 − β₁^t) / (√(v/(1 − β₂^t)) + ε)``: the steps of ``torch.optim.Adam``, in numpy, as
    calls to torch take six times as long as the arithmetic. Of each target that epoch's head is kept whose
    error on the validation rows is least. Each coefficient is changed by its own gradient alone, so targets
    and tasks trained together are those trained one by one.

    Parameters
    ----------
    tasks : sequence of LinearTask
        Of the same n rows and m validation rows, with features and labels of their own.
    options : AdamOptions
    rng : Generator
        Draws the order of the rows, anew for each epoch.

    Returns
    -------
    list of Head
        Of each task, with an output for each of its targets.

    Raises
    ------
    InputError
        If coefficients or the squares of their gradients go to infinity.

    Source: Kingma and Ba 2014 (arXiv:1412.6980), Algorithm 1.
    """
    x, held_out = (_beside([getattr(t, name) for t in tasks]) for name in ("features", "held_out"))
    y, held_out_labels = (
        np.concatenate([getattr(t, name) for t in tasks], axis=1, dtype=np.float32)
        for name in ("labels", "held_out_labels")
    )
    blocks = _blocks(tasks)
    mask = np.zeros((x.shape[1], y.shape[1]), dtype=np.float32)
    mask[0] = 1
    for block in blocks:
        mask[block] = 1
    weights = np.zeros_like(mask)
    step = _steps(weights, options.rate)
    best, least = weights.copy(), np.full(y.shape[1], np.inf)
    for _ in range(options.epochs):
        order = rng.permutation(len(x))
        for start in range(0, len(x), options.batch):
            rows = order[start : start + options.batch]
            batch = x.take(rows, axis=0)
            miss = batch @ weights
            miss -= y.take(rows, axis=0)
            miss *= np.float32(2 / len(rows))
            gradient = batch.T @ miss
            if len(tasks) > 1:
                gradient *= mask
            step(gradient)
        if not (np.isfinite(gradient).all() and np.isfinite(weights).all()):
            raise InputError(
                "heads by Adam: numbers went to infinity; lower adam_rate, or scale the features"
            )
        error = ((held_out @ weights - held_out_labels) ** 2).mean(axis=0, dtype=np.float64)
        better = error < least
        best[:, better], least[better] = weights[:, better], error[better]
    coefficients = best.astype(np.float64)
    return [Head(coefficients[block], coefficients[0, block[1]]) for block in blocks]


def _blocks(tasks: Sequence[LinearTask]) -> list[tuple[slice, slice]]:
    """Return where each task's coefficients are, in rows behind the bias and columns."""
    row, column, blocks = 1, 0, []
    for task in tasks:
        width, targets = task.features.shape[1], task.labels.shape[1]
        blocks.append((slice(row, row + width), slice(column, column + targets)))
        row, column = row + width, column + targets
    return blocks


def _steps(weights: NDArray[np.float32], rate: float) -> Callable[[NDArray[np.float32]], None]:
    """Return Adam's step from a gradient, which it overwrites; it changes the weights in place.

    It keeps ``m/(1 − β₁)`` and ``v/(1 − β₂)``, which takes fewer passes over the coefficients.
    """
    mean, square, change = (np.zeros_like(weights) for _ in range(3))
    first, second = np.float32(_FIRST), np.float32(_SECOND)
    powers = [1.0, 1.0]

    def step(gradient: NDArray[np.float32]) -> None:
        powers[0] *= _FIRST
        powers[1] *= _SECOND
        root = sqrt((1 - _SECOND) / (1 - powers[1]))
        np.multiply(mean, first, out=mean)
        np.add(mean, gradient, out=mean)
        np.multiply(gradient, gradient, out=gradient)
        np.multiply(square, second, out=square)
        np.add(square, gradient, out=square)
        np.sqrt(square, out=change)
        np.add(change, np.float32(_SMALL / root), out=change)
        np.divide(mean, change, out=change)
        np.multiply(change, np.float32(rate * (1 - _FIRST) / (1 - powers[0]) / root), out=change)
        np.subtract(weights, change, out=weights)

    return step


def _beside(features: Sequence[NDArray[Any]]) -> NDArray[np.float32]:
    """Return features side by side behind a column of ones, for the bias."""
    ones = np.ones((len(features[0]), 1))
    return np.concatenate([ones, *features], axis=1, dtype=np.float32)
