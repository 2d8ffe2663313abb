"""What the laws promise of heads whose settings are chosen on the labels they are fitted to, in words."""

from __future__ import annotations

from collections.abc import Collection

_OF_BALLS = "every ball's radius is chosen on the labels it is fitted to: Theorem 1 holds given the radius"
_OF_LOGISTIC = (
    "no law promises that log loss falls by the misfit of logistic heads, which are no convex set of "
    "distributions: go by the gain on true labels"
)
_OF_MIXTURES = (
    "the shares of mixtures are chosen on rows left out, and their members then refitted to all rows: the "
    "gap is of the former; Theorem 1 in log loss is for members fixed before the weak labels were seen"
)


def conditions(heads: Collection[str]) -> list[str]:
    """Return what to know of the laws for classes of heads, by their names in a study."""
    said = {
        _OF_BALLS: not {"l2", "brier"}.isdisjoint(heads),
        _OF_LOGISTIC: "logistic" in heads,
        _OF_MIXTURES: "mixtures" in heads,
    }
    return [line for line, holds in said.items() if holds]
