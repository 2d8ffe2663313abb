"""What a mixture of distributions is fitted by: losses of probabilities, with their derivatives."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray
from scipy.special import rel_entr

from weakstrong.divergence import Brier, LogLoss

Array = NDArray[np.float64]

STEEPEST = 1e100  # of slopes and curvatures, so that sums of them are finite


class MixtureLoss(ABC):
    """A convex function of the student's probabilities s, class by class, with its derivatives.

    `least` is a probability below which a loss may be replaced by its tangent there: else its slope would be
    infinite, and the certificate with it, where a member alone gives a class what is too small for float64.
    """

    remedy = ""

    def infinite(self, w: Array, members: Array) -> NDArray[np.bool_]:
        """Return the labels, by row and class, that leave the loss of mixtures infinite."""
        return np.zeros(w.shape, dtype=bool)

    @abstractmethod
    def value(self, s: Array, w: Array) -> Array:
        """Return the loss of each row."""

    @abstractmethod
    def slope(self, s: Array, w: Array, least: float) -> Array:
        """Return the derivative by s, but for a constant."""

    @abstractmethod
    def curvature(self, s: Array, w: Array, least: float) -> Array:
        """Return the second derivative by s."""

    def above_tangent(self, s: Array, least: float) -> Array:
        """Return how far the loss is above what its slope belongs to, for each row."""
        return np.zeros(len(s))


class StudentFirst(MixtureLoss):
    """``s log(s / w)``, below a least probability its tangent there."""

    remedy = (
        "has probability 0, so the misfit of a student who gives that class any is infinite; smooth the "
        "labels: mix them with the uniform distribution"
    )

    def infinite(self, w: Array, members: Array) -> NDArray[np.bool_]:
        """Return where a label is zero."""
        return np.asarray(w == 0)

    def value(self, s: Array, w: Array) -> Array:
        """Return ``KL(s ‖ w)`` of each row."""
        return LogLoss().misfit(s, w)

    def slope(self, s: Array, w: Array, least: float) -> Array:
        """Return ``log(s / w)``."""
        return np.log(np.maximum(s, least)) - np.log(w)

    def curvature(self, s: Array, w: Array, least: float) -> Array:
        """Return ``1 / s``."""
        return 1 / np.maximum(s, least)

    def above_tangent(self, s: Array, least: float) -> Array:
        """Return ``Σ_c s log(s / l) − s + l`` over the probabilities s below l, the least."""
        low = np.minimum(s, least)
        return np.asarray((rel_entr(low, least) - low + least).sum(-1))


class LabelFirst(MixtureLoss):
    """``w log(w / s)``."""

    remedy = "has a probability above 0, and no member gives that class any; add a member that does"

    def infinite(self, w: Array, members: Array) -> NDArray[np.bool_]:
        """Return where a label is above zero and no member is."""
        return np.asarray((w > 0) & (members == 0).all(0))

    def value(self, s: Array, w: Array) -> Array:
        """Return ``KL(w ‖ s)`` of each row."""
        return LogLoss().error(s, w)

    def slope(self, s: Array, w: Array, least: float) -> Array:
        """Return ``−w / s``."""
        with np.errstate(divide="ignore", over="ignore"):
            return -np.divide(w, s, out=np.zeros_like(s), where=w > 0)

    def curvature(self, s: Array, w: Array, least: float) -> Array:
        """Return ``w / s²``."""
        with np.errstate(divide="ignore", over="ignore"):
            return np.minimum(
                np.divide(-self.slope(s, w, least), s, out=np.zeros_like(s), where=w > 0), STEEPEST
            )


class Squared(MixtureLoss):
    """``(s − w)²``."""

    def value(self, s: Array, w: Array) -> Array:
        """Return ``‖s − w‖²`` of each row."""
        return Brier().misfit(s, w)

    def slope(self, s: Array, w: Array, least: float) -> Array:
        """Return ``2 (s − w)``."""
        return 2 * (s - w)

    def curvature(self, s: Array, w: Array, least: float) -> Array:
        """Return 2."""
        return np.full_like(s, 2.0)


MIXTURE_LOSSES: dict[str, MixtureLoss] = {
    "log": StudentFirst(),
    "cross-entropy": LabelFirst(),
    "brier": Squared(),
}
