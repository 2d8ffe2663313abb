"""What a verdict is, and the rule by which gain is the misfit."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import NamedTuple

CLOSE, FIT = 0.1, 0.9
ROUGH_SLOPE, ROUGH_FIT = 0.5, 0.5


class Verdict(NamedTuple):
    """What came out, in words, and whether that agrees with the claim: yes, partly or no."""

    ours: str
    agrees: str
    of_heads: Mapping[str, Verdict] | None = None  # those of its head classes, where it is made of several


def gain_is_misfit(slope: float, fit: float) -> str:
    """Yes, partly or no, from the slope of gain on misfit and R² of gain = misfit (or both mirrored)."""
    if abs(slope - 1) <= CLOSE and fit >= FIT:
        return "yes"
    return "partly" if slope > ROUGH_SLOPE and fit >= ROUGH_FIT else "no"


def interval(found: dict[str, float]) -> str:
    """Median or value with its interval, if there is one."""
    middle = found["median"] if "median" in found else found["value"]
    if not isfinite(middle):
        return "undefined"
    bounds = f" [{found['low']:.2f}, {found['high']:.2f}]" if isfinite(found["low"]) else ""
    return f"{middle:.2f}{bounds}"
