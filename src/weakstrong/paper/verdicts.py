"""The rule that judges whether gain equals misfit, and the format of estimates in verdicts."""

from __future__ import annotations

from math import isfinite

from weakstrong.estimate import Estimate

CLOSE, FIT = 0.1, 0.9
ROUGH_SLOPE, ROUGH_FIT = 0.5, 0.5


def gain_is_misfit(slope: float, fit: float) -> str:
    """Judge yes, partly or no by the slope of gain on misfit and R² of gain = misfit (or both mirrored)."""
    if abs(slope - 1) <= CLOSE and fit >= FIT:
        return "yes"
    return "partly" if slope > ROUGH_SLOPE and fit >= ROUGH_FIT else "no"


def bracketed(estimate: Estimate) -> str:
    """Format a value with its interval in brackets, if there is one."""
    if not isfinite(estimate.value):
        return "undefined"
    bounds = f" [{estimate.low:.2f}, {estimate.high:.2f}]" if isfinite(estimate.low) else ""
    return f"{estimate.value:.2f}{bounds}"
