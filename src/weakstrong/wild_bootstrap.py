"""The wild cluster bootstrap of a mean: how often flipped signs of its clusters take it as far from zero."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from weakstrong.arrays import row_blocks

Array = NDArray[np.float64]

_ALL_PATTERNS = 12  # clusters: 2,048 patterns of signs; with more of them random ones
_DRAWS, _SEED = 1999, 0
_TIE = 1e-10  # relative


def p_value(parts: Array, shares: Array, others: Array) -> Array:
    """Return how often flipped signs give a t statistic as large as the one there is.

    Under the null hypothesis that every cluster's mean is as likely to be ``−D̄_g`` as ``D̄_g``,
    ``P(|t*| ≥ |t|)`` over random signs η, with ``t* = μ* / √V*``, ``μ* = Σ η_g s_g`` and CR2's variance
    ``V* = Σ (η_g s_g − p_g μ*)² / (1 − p_g)``: the wild cluster bootstrap with Rademacher weights and the
    null imposed (Cameron, Gelbach and Miller 2008). All 2^G patterns of signs are counted up to G = 12, the
    observed one and ties among them; beyond, the observed one and 1,999 random ones of a fixed seed. The
    least p-value is 2^(1−G), so that five clusters never reject at 5%.

    Parameters
    ----------
    parts : array of shape (G,) or (G, k)
        ``s_g = p_g D̄_g``, whose sum is the estimate, for each of k targets.
    shares, others : array of shape (G,)
        p_g and ``1 − p_g``.

    Returns
    -------
    array of shape () or (k,)
        NaN for a cluster alone.
    """
    table = parts.reshape(len(parts), -1)
    if len(table) == 1:
        return np.full(parts.shape[1:], np.nan)
    leaning = table * (shares / others)[:, None]
    squares, q = (table**2 / others[:, None]).sum(0), float((shares**2 / others).sum())

    def statistics(signs: Array) -> tuple[Array, Array]:
        """μ* and V*, its square multiplied out, of shape (patterns, k)."""
        means = signs @ table
        return means, squares - 2 * means * (signs @ leaning) + q * means**2

    [mean], [variance] = statistics(np.ones((1, len(table))))
    as_large, count = np.zeros(table.shape[1]), 0
    for signs in _patterns(len(table), table.shape[1]):
        means, variances = statistics(signs)
        # |t*| ≥ |t| multiplied out, so that a variance of zero is an infinite t.
        excess = means**2 * variance - mean**2 * variances
        as_large += (excess >= -_TIE * squares * mean**2).sum(0)
        count += len(signs)
    return np.asarray(as_large / count).reshape(parts.shape[1:])


def _patterns(clusters: int, targets: int) -> Iterator[Array]:
    """Patterns of signs in blocks, the observed one first; of a pattern and its opposite, one will do."""
    if clusters <= _ALL_PATTERNS:
        bits = np.arange(2 ** (clusters - 1))[:, None] >> np.arange(clusters) & 1
        yield _signs(bits)
        return
    rng = np.random.default_rng(_SEED)
    yield np.ones((1, clusters))
    for block in row_blocks(_DRAWS, max(clusters, targets)):
        rows = block.stop - block.start
        random = np.frombuffer(rng.bytes(rows * -(-clusters // 8)), dtype=np.uint8).reshape(rows, -1)
        yield _signs(np.unpackbits(random, axis=1, count=clusters))


def _signs(bits: NDArray[Any]) -> Array:
    return 1.0 - 2.0 * bits.astype(np.float64)
