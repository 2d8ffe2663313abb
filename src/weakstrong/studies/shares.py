"""Shares of rows: whole clusters, drawn at random, that have a number of rows between them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]

_SEARCHED = 1000  # clusters: for each a bit for each row is kept


def split_rows(
    rows: Rows,
    cluster: NDArray[np.int64],
    size: float | int,
    rng: np.random.Generator,
    *,
    at_most: bool,
    least: tuple[int, int],
) -> tuple[Rows, Rows]:
    """Split rows in two at random, clusters whole, the first part with a number or share of the *rows*.

    Clusters stand in random order, and are taken from the first on, but for those with which the number of
    rows would not be as near to that wanted as whole clusters allow.

    Parameters
    ----------
    size : float or int
        Share of the rows, or how many.
    at_most : bool
        Whether it is not to be more, rather than as near as possible.
    least : tuple of int
        How many clusters each part is to have, where there are enough small ones.
    """
    present, sizes = np.unique(cluster[rows], return_counts=True)
    order = rng.permutation(len(present))
    wanted = min(size, len(rows)) if isinstance(size, int) else round(size * len(rows))
    taken = np.zeros(len(present), dtype=bool)
    taken[order] = _taken(sizes[order].tolist(), wanted, at_most, least)
    first = np.isin(cluster[rows], present[taken])
    return rows[first], rows[~first]


def _taken(sizes: list[int], wanted: int, at_most: bool, least: tuple[int, int]) -> list[bool]:
    """Which clusters of these sizes to take, the first where there is a choice, to have the rows wanted."""
    every, spare = range(len(sizes)), sum(sizes) - wanted
    # Small ones go first, so that each part has several; lone rows are then drawn as if there were no groups.
    taken = set(_small(sizes, [*every], wanted, least[0]))
    left = set(_small(sizes, [i for i in reversed(every) if i not in taken], spare, least[1]))
    missing, free = wanted - sum(sizes[i] for i in taken), [i for i in every if i not in taken | left]
    for i in free[:-_SEARCHED]:  # the others can make up the number
        if sizes[i] <= missing:
            taken.add(i)
            missing -= sizes[i]
    rest = free[-_SEARCHED:]
    least_sum = int(wanted > 0 and not taken)  # neither part is to be empty
    spared = sum(sizes[i] for i in rest) - int(spare > 0 and least[1] > 0 and not left)
    most = min(missing, spared) if at_most else spared
    found = _nearest([sizes[i] for i in rest], missing, least_sum, most)
    taken.update(i for i, is_in in zip(rest, found, strict=True) if is_in)
    return [i in taken for i in range(len(sizes))]


def _small(sizes: list[int], among: list[int], room: int, count: int) -> list[int]:
    """The first few clusters that fit into the room of a part with as many others as large, up to a count."""
    ordered = sorted(sizes[i] for i in among)[:count]
    fit = max((k for k, size in enumerate(ordered, 1) if k * size <= room), default=0)
    return [i for i in among if fit * sizes[i] <= room][:fit]


def _nearest(sizes: list[int], wanted: int, least: int, most: int) -> list[bool]:
    """Which sizes to take for the sum, from least to most, that is nearest to the one wanted.

    None if there is no such sum, and the first ones where there is a choice. It is the subset-sum problem:
    bit r of ``reach[i]`` is set if sizes from the i-th on can sum to r.
    """
    within = (1 << min(most, 2 * wanted + max(sizes, default=0)) + 1) - 1
    reach = [1]
    for size in reversed(sizes):
        reach.append(reach[-1] | reach[-1] << size & within)
    reach.reverse()
    sums = reach[0] & ~((1 << least) - 1)
    above = sums >> wanted
    sums &= (1 << wanted) - 1
    nearest = [sums.bit_length() - 1] * (sums > 0)
    nearest += [wanted + (above & -above).bit_length() - 1] * (above > 0)
    missing = min(nearest, key=lambda r: abs(r - wanted), default=0)
    taken = []
    for size, later in zip(sizes, reach[1:], strict=True):
        taken.append(size <= missing and bool(later >> missing - size & 1))
        missing -= size * taken[-1]
    return taken
