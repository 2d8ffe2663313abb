"""How far a prediction is from a label: error, misfit and cross term, row by row."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Divergence(ABC):
    """A loss for which the gain splits into misfit and cross term, row by row.

    With w, s, y the supervisor's label, the student's prediction and the truth of a row,
    ``error(w, y) − error(s, y) = misfit(s, w) + cross_term(w, s, y)``.
    """

    @abstractmethod
    def error(self, prediction: Array, label: Array) -> Array:
        """Return how far each prediction is from its label."""

    @abstractmethod
    def misfit(self, student: Array, weak: Array) -> Array:
        """Return how far each of the student's predictions is from the weak label."""

    @abstractmethod
    def cross_term(self, weak: Array, student: Array, truth: Array) -> Array:
        """Return the excess of the gain over the misfit, by its own formula, never as a difference."""

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
    """Squared error ``(prediction − label)²``, in squared units of the label.

    Targets are apart: every array may have a last axis of independent targets, which is kept.
    """

    def error(self, prediction: Array, label: Array) -> Array:
        """Return ``(prediction − label)²``."""
        return np.asarray((prediction - label) ** 2)

    def misfit(self, student: Array, weak: Array) -> Array:
        """Return ``(weak − student)²``."""
        return np.asarray((weak - student) ** 2)

    def cross_term(self, weak: Array, student: Array, truth: Array) -> Array:
        """Return ``2 (weak − student)(student − truth)``."""
        return np.asarray(2 * (weak - student) * (student - truth))


SQUARED_ERROR = SquaredError()
