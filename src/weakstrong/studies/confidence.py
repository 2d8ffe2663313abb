"""Losses that let a student trust itself, as baselines: they are fixed points, and no projections.

Each mixes the weak labels with the student's own classes, ``(1 − α) w + α h(s)``, by plain cross entropy.
Since h(s) jumps where a class changes, its gradient is that of cross entropy to the mixed labels as they are:
so the student is fitted to them, exactly, until its classes stay.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from weakstrong.divergence import hardened
from weakstrong.heads import Head
from weakstrong.softmax_fits import SoftmaxFits
from weakstrong.studies.settings import Confidence

Array = NDArray[np.float64]
_SHARES = {"logconf": 0.5, "bootstrapping": 0.2}
_WARMING, _MOST_ROUNDS = 3, 20


def confident_head(fits: SoftmaxFits, kind: Confidence) -> Head:
    """Return the heads of a loss of this kind, for the labels that softmax heads are fitted to.

    ``logconf`` is the auxiliary confidence loss of Burns et al. (2023), α = ½: h(s) is the class that s names
    where, of two classes, so many rows are named each as the weak labels have it (a threshold), and of more
    the most probable one. ``bootstrapping`` is that of Reed et al. (2015), hard, with α = 0.2 and the most
    probable class. α grows over the first three rounds. The ball is that of the student.

    Parameters
    ----------
    fits : SoftmaxFits
        Fitted to the weak labels.
    kind : {"logconf", "bootstrapping"}
    """
    weak, weights = fits.rows.labels, fits.rows.weights / fits.rows.weights.sum()
    x, before = fits.minima.x, None
    for done in range(_MOST_ROUNDS):
        said = fits.said(x)
        own = _at_prior(said, weak, weights) if kind == "logconf" else hardened(said)
        if done > _WARMING and before is not None and np.array_equal(own, before):
            break
        share = _SHARES[kind] * min((done + 1) / _WARMING, 1.0)
        x, before = fits.refitted((1 - share) * weak + share * own, x), own
    return fits.head_of(x)


def _at_prior(said: Array, weak: Array, weights: Array) -> Array:
    """The class of each row, (k, n, c): of two, named so often as the weak labels have it."""
    if said.shape[-1] > 2:
        return hardened(said)
    out = np.zeros_like(said)
    for place, (mine, labels) in enumerate(zip(said, weak, strict=True)):
        order = np.argsort(-mine[:, 1], kind="stable")
        above = np.cumsum(weights[order]) - weights[order] / 2 < weights @ labels[:, 1]
        out[place, order, 1] = above
    out[..., 0] = 1 - out[..., 1]
    return out
