"""Resamples of rows whose clusters are drawn with replacement."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def cluster_weights(clusters: ArrayLike, counted: ArrayLike, resamples: int, seed: int = 0) -> Array:
    """Draw clusters with replacement, and count how often each row is drawn, shape (resamples, n).

    Parameters
    ----------
    clusters : array of shape (n,)
        Rows that are drawn together have equal values.
    counted : bool array of shape (n,)
        Clusters with a row that counts are drawn, as many as there are; rows of others weigh nothing.
    resamples : int
    seed : int
    """
    _, of_row = np.unique(clusters, return_inverse=True)
    members = np.unique(of_row[np.asarray(counted)])
    counts = np.random.default_rng(seed).multinomial(
        len(members), np.full(len(members), 1 / len(members)), size=resamples
    )
    weights = np.zeros((resamples, of_row.max() + 1))
    weights[:, members] = counts
    return weights[:, of_row]
