"""How far a prediction is from a label: error, misfit and cross term, row by row."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from weakstrong.errors import InputError, quoted

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Divergence(ABC):
    """A loss for which the gain splits into misfit and cross term, row by row.

    With w, s, y the supervisor's label, the student's prediction and the truth of a row, and D the
    divergence, the truth first in an error and the student first in the misfit:
    ``D(y, w) − D(y, s) = D(s, w) + cross_term(w, s, y)``.

    Where it is of distributions, the last axis of every array is that of the classes, and is summed over;
    else arrays may have a last axis of independent targets, which is kept.
    """

    name: ClassVar[str]
    of_distributions: ClassVar[bool]

    @abstractmethod
    def between(self, first: Array, second: Array) -> Array:
        """Return D(first, second) of every row."""

    @abstractmethod
    def cross_term(self, weak: Array, student: Array, truth: Array) -> Array:
        """Return the excess of the gain over the misfit, by its own formula, never as a difference."""

    def error(self, prediction: Array, label: Array) -> Array:
        """Return how far each prediction is from its label: D(label, prediction)."""
        return self.between(label, prediction)

    def misfit(self, student: Array, weak: Array) -> Array:
        """Return how far each of the student's predictions is from the weak label: D(student, weak)."""
        return self.between(student, weak)

    def of_rows(self, truth: Array, weak: Array, student: Array) -> dict[str, Array]:
        """Return weak error, strong error, misfit, gain and cross term of every row, by these names."""
        weak_error, strong_error = self.error(weak, truth), self.error(student, truth)
        return {
            "weak_error": weak_error,
            "strong_error": strong_error,
            "misfit": self.misfit(student, weak),
            "gain": weak_error - strong_error,
            "cross_term": self.cross_term(weak, student, truth),
        }


@dataclass(frozen=True)
class SquaredError(Divergence):
    """Squared error ``(prediction − label)²``, in squared units of the label; targets are apart."""

    name: ClassVar[str] = "squared"
    of_distributions: ClassVar[bool] = False

    def between(self, first: Array, second: Array) -> Array:
        """Return ``(first − second)²``."""
        return np.asarray((first - second) ** 2)

    def cross_term(self, weak: Array, student: Array, truth: Array) -> Array:
        """Return ``2 (weak − student)(student − truth)``."""
        return np.asarray(2 * (weak - student) * (student - truth))


@dataclass(frozen=True)
class Brier(Divergence):
    """Brier score: squared error of the probabilities, summed over the classes, from 0 to 2."""

    name: ClassVar[str] = "brier"
    of_distributions: ClassVar[bool] = True

    def between(self, first: Array, second: Array) -> Array:
        """Return ``Σ_c (first − second)²``."""
        return np.asarray(((first - second) ** 2).sum(-1))

    def cross_term(self, weak: Array, student: Array, truth: Array) -> Array:
        """Return ``2 ⟨weak − student, student − truth⟩``."""
        return np.asarray(2 * ((weak - student) * (student - truth)).sum(-1))


@dataclass(frozen=True)
class LogLoss(Divergence):
    """Kullback-Leibler divergence, in nats: with a class as the truth, the log loss ``−log s_y``.

    It is infinite where a prediction gives no probability to what its label holds possible: smooth labels
    that are classes first (`weakstrong.class_labels.smoothed`).
    """

    name: ClassVar[str] = "log"
    of_distributions: ClassVar[bool] = True

    def between(self, first: Array, second: Array) -> Array:
        """Return ``KL(first ‖ second) = Σ_c first log(first / second)``."""
        from scipy.special import rel_entr

        return np.asarray(rel_entr(first, second).sum(-1))

    def cross_term(self, weak: Array, student: Array, truth: Array) -> Array:
        """Return ``⟨log(student / weak), truth − student⟩``."""
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.log(student) - np.log(weak)
            return np.asarray((ratio * (truth - student)).sum(-1))


@dataclass(frozen=True)
class ZeroOne(Divergence):
    """Zero-one loss of the most probable class: 1 − accuracy.

    It is no Bregman divergence of probabilities, but half the squared error of the hardened ones, h(p), which
    are one at the most probable class and zero elsewhere, and so has the same identity. A tie is shared, and
    errs as a class drawn from it does on average: then the cross term has ``½ (‖h(s)‖² − ‖h(w)‖²)`` too. The
    label of an error is not hardened: where that is a distribution, so is the class that is expected.
    """

    name: ClassVar[str] = "zero-one"
    of_distributions: ClassVar[bool] = True

    def between(self, first: Array, second: Array) -> Array:
        """Return ``½ ‖h(first) − h(second)‖²``."""
        return np.asarray(((hardened(first) - hardened(second)) ** 2).sum(-1) / 2)

    def error(self, prediction: Array, label: Array) -> Array:
        """Return ``1 − ⟨h(prediction), label⟩``."""
        return np.asarray(1 - (hardened(prediction) * label).sum(-1))

    def cross_term(self, weak: Array, student: Array, truth: Array) -> Array:
        """Return ``⟨h(weak) − h(student), h(student) − truth⟩``, and what is due to ties."""
        w, s = hardened(weak), hardened(student)
        shared = ((s**2).sum(-1) - (w**2).sum(-1)) / 2
        return np.asarray(((w - s) * (s - truth)).sum(-1) + shared)


def hardened(probabilities: Array) -> Array:
    """Return one at the most probable class of each row and zero elsewhere; a tie is shared equally."""
    largest = probabilities == probabilities.max(-1, keepdims=True)
    return np.asarray(largest / largest.sum(-1, keepdims=True))


def is_one_hot(distributions: Array) -> bool:
    """Tell whether every row is one class."""
    return bool(np.isin(distributions, (0.0, 1.0)).all())


SQUARED_ERROR, BRIER, LOG_LOSS, ZERO_ONE = SquaredError(), Brier(), LogLoss(), ZeroOne()
DIVERGENCES: dict[str, Divergence] = {d.name: d for d in (SQUARED_ERROR, BRIER, LOG_LOSS, ZERO_ONE)}


def task_of_loss(
    name: str | None, task: Literal["regression", "classification"] | None
) -> Literal["regression", "classification"] | None:
    """Return the task that a loss is of, where one is named; another task is refused."""
    if name is None:
        return task
    mine: Literal["regression", "classification"]
    mine = "classification" if divergence_named(name).of_distributions else "regression"
    if task is not None and task != mine:
        raise InputError(
            f"divergence={quoted(name)} is of {mine}, and the task is {task}: leave one of them out",
            "divergence", "task",
        )  # fmt: skip
    return mine


def divergence_named(name: str) -> Divergence:
    """Return the divergence of a name: ``squared``, ``brier``, ``log`` or ``zero-one``."""
    if isinstance(name, str) and name in DIVERGENCES:
        return DIVERGENCES[name]
    raise InputError(f"divergence={quoted(name)}: give one of {', '.join(DIVERGENCES)}", "divergence")
