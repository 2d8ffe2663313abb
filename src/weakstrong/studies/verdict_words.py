"""A verdict on an estimate, in words."""

from __future__ import annotations

from weakstrong.estimate import HOLDS_ZERO, Estimate


def worded_verdict(estimate: Estimate, positive: str, negative: str, question: str) -> str:
    """The claim that the estimate supports; an open question, and why, where it supports none."""
    low, high = (float(v) for v in estimate.interval())
    shown = f"({float(estimate.value):+.4g}, 95% interval {low:+.4g} to {high:+.4g})"
    sign, reason = estimate.verdict()
    if sign:
        return f"{positive if sign > 0 else negative}, for these fitted models {shown}"
    said = "no verdict" if estimate.too_few() else "undecided"
    return f"{said} {question} {shown}" + (f": {reason}" if reason != HOLDS_ZERO else "")
