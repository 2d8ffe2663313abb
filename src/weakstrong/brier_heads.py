"""Heads that give probabilities by least squares, with the Brier score as their loss."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from weakstrong.class_labels import in_simplex
from weakstrong.heads import Head

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class BrierHead:
    """A linear head with an output for each class, drawn onto the probabilities nearest to it.

    To draw predictions onto the simplex, which is convex and holds every label, lowers the Brier score of
    each row, or keeps it. The identity, and laws that rest on an exact projection, hold for what is kept;
    with gain and misfit of the linear outputs, ``C >= A + B``, drawing them in lowers A and B only, so that
    the gain stays above the misfit.

    Parameters
    ----------
    linear : Head
        Outputs (n, c), before they are drawn in.
    in_simplex : bool
        Whether they are.
    """

    linear: Head
    in_simplex: bool = True

    def probabilities(self, scores: Array) -> Array:
        """Return the probabilities (n, c) of linear outputs (n, c), or the outputs themselves."""
        return in_simplex(scores) if self.in_simplex else scores

    def __call__(self, features: ArrayLike) -> Array:
        """Return probabilities (n, c) for dense features (n, d)."""
        return self.probabilities(self.linear(features))
