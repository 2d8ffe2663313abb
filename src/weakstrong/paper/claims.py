"""The paper's claims beside what came out, by rules that are stated."""

from __future__ import annotations

from math import isfinite
from typing import Any

from weakstrong.paper.molecule_claims import molecule_verdict
from weakstrong.paper.targets import Target
from weakstrong.paper.verdicts import (
    CLOSE,
    FIT,
    ROUGH_FIT,
    ROUGH_SLOPE,
    Verdict,
    gain_is_misfit,
    interval,
)

_MOST = 0.9
_RATE_OF_N = -0.25
_ROUNDING = 1e-9

RULES = (
    f"Rules: for gain = ± misfit, *yes* where over seeds the median slope is within {CLOSE} of ±1 and the "
    f"median R² of gain = ± misfit, nothing fitted, is at least {FIT}; *partly* where the slope has the "
    f"right sign and is more than {ROUGH_SLOPE}, and R² is at least {ROUGH_FIT}. A seed reverses where "
    f"mean gain and slope are negative: *yes* from {_MOST:.0%} of the seeds, *no* up to {1 - _MOST:.0%}. "
    "Theorem 2: law 4, the theorem with constants, never broken, and the shortfall falls with n at least as "
    "fast as n^-¼. Figure 1: a right angle for the subspace, no acute one for the ball, to rounding. In "
    "brackets the 95% interval of the median over seeds (from order statistics: six seeds at least)."
)


def verdict(target: Target, summary: dict[str, Any]) -> Verdict:
    """Compare a target's statistics with its claim."""
    if "by_heads" in summary:
        assert target.expects is not None
        return molecule_verdict(summary, target.expects)
    if target.expects == "reversal":
        return _reversal(summary)
    if target.expects is not None:
        return _line(summary, 1 if target.expects == "misfit" else -1)
    return _theorem_2(summary) if "exponents" in summary else _projection(summary)


def _line(summary: dict[str, Any], sign: int) -> Verdict:
    found = summary["over_seeds"]
    fit_name = "r2_misfit" if sign > 0 else "r2_minus_misfit"
    slope, fit = found["slope"]["median"] * sign, found[fit_name]["median"]
    relation = "misfit" if sign > 0 else "−misfit"
    said = f"slope {interval(found['slope'])}, R² of gain = {relation} {interval(found[fit_name])}"
    said += f"; ceiling error / misfit {interval(found['ceiling_over_misfit'])}"
    if "optimizer_gap" in summary:
        said += f"; the student's optimizer missed {summary['optimizer_gap']:.2%} of the labels' variance"
    return Verdict(said, gain_is_misfit(slope, fit))


def _reversal(summary: dict[str, Any]) -> Verdict:
    share, found = summary["reversed"], summary["over_seeds"]
    agrees = "partly"
    if share["count"] >= _MOST * share["of"]:
        agrees = "yes"
    elif share["of"] - share["count"] >= _MOST * share["of"]:
        agrees = "no"
    counted = f"{share['count']} of {share['of']} seeds reverse [{share['low']:.2f}, {share['high']:.2f}]"
    return Verdict(f"{counted}; slope {interval(found['slope'])}", agrees)


def _theorem_2(summary: dict[str, Any]) -> Verdict:
    found, law = summary["exponents"], summary["law_4"]
    said = (
        f"misfit − gain ∝ n^{found['n']:.2f} at ε = 0 and ε^{found['epsilon']:.2f} with no sample (built in)"
    )
    said += f", at most {summary['constant']:.1f} times the sum of the three rates"
    said += f"; law 4, with constants, broken in {law['below']} of {law['rows']} rows"
    if not isfinite(found["n"]):
        return Verdict(f"{said}; too few n from ten a dimension to see a rate", "not shown")
    return Verdict(said, _yes(law["below"] == 0 and found["n"] <= _RATE_OF_N))


def _projection(summary: dict[str, Any]) -> Verdict:
    slack = summary["cross_term_over_weak_error"]
    said = ", ".join(f"{name}: (C − A − B)/C = {value:.2g}" for name, value in slack.items())
    return Verdict(said, _yes(abs(slack["subspace"]) <= _ROUNDING and slack["ball"] >= -_ROUNDING))


def _yes(holds: bool) -> str:
    return "yes" if holds else "no"
