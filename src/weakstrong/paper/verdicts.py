"""The rule that judges whether gain equals misfit, and the format of estimates in verdicts."""

from __future__ import annotations

from math import isfinite

from weakstrong.estimate import Estimate

CLOSE, FIT = 0.1, 0.9
ROUGH_SLOPE, ROUGH_FIT = 0.5, 0.5

LINE_RULE = (
    f"*yes* where the slope of gain on misfit is within {CLOSE} of 1 and R² of gain = misfit, nothing "
    f"fitted, is at least {FIT}; *partly* where the slope is more than {ROUGH_SLOPE} and R² at least "
    f"{ROUGH_FIT}; else *no*. Where the answer is not the same all over the intervals of both it is "
    "*undecided*, between the answers named; without intervals (fewer than six seeds) it is undecided too"
)
TOO_FEW = "undecided (no interval: six seeds at least)"


def gain_is_misfit(slope: Estimate, fit: Estimate) -> str:
    """Judge by the slope of gain on misfit and R² of gain = misfit, and by their intervals.

    Returns
    -------
    str
        yes, partly or no, where that is the answer all over the intervals; else undecided, with the
        answers at the worst and at the best corner.
    """
    if not all(isfinite(end) for estimate in (slope, fit) for end in (estimate.low, estimate.high)):
        return TOO_FEW
    nearest = min(max(1.0, slope.low), slope.high)
    furthest = max((slope.low, slope.high), key=lambda end: abs(end - 1))
    worst = min((_answer(end, fit.low) for end in (furthest, slope.low)), key=_ORDER.index)
    return between(worst, _answer(nearest, fit.high))


_ORDER = ("no", "partly", "yes")


def _answer(slope: float, fit: float) -> str:
    if abs(slope - 1) <= CLOSE and fit >= FIT:
        return "yes"
    return "partly" if slope > ROUGH_SLOPE and fit >= ROUGH_FIT else "no"


def between(worst: str, best: str) -> str:
    """Return the answer that two ends of an interval share, or undecided with both."""
    return worst if worst == best else f"undecided ({worst} or {best})"


def bracketed(estimate: Estimate) -> str:
    """Format a value with its interval in brackets, if there is one."""
    if not isfinite(estimate.value):
        return "undefined"
    bounds = f" [{estimate.low:.2f}, {estimate.high:.2f}]" if isfinite(estimate.low) else ""
    return f"{estimate.value:.2f}{bounds}"
