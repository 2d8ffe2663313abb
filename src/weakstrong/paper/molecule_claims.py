"""The paper's claims on molecules, Figures 2d-f and Tables 1-3, and how results are judged by them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from weakstrong.estimate import Estimate
from weakstrong.paper.molecule_settings import JudgedOn
from weakstrong.paper.molecule_statistics import RULE
from weakstrong.paper.verdicts import (
    LINE_RULE,
    between,
    bracketed,
    gain_is_misfit,
)

# Table 1 of the paper (Lipop): weak error − misfit and true error, mean and std over the three splits.
PAPER_TABLE_1 = {
    "weak-96": ((0.8969, 0.0327), (1.0713, 0.0489)),
    "weak-48": ((0.9731, 0.0707), (1.1293, 0.0418)),
    "weak-24": ((1.0331, 0.0449), (1.1204, 0.0261)),
    "weak-64": ((1.0619, 0.0441), (1.1436, 0.0124)),
    "weak-32": ((1.0624, 0.0527), (1.1302, 0.0220)),
    "weak-16": ((1.1456, 0.0276), (1.1950, 0.0484)),
    "weak-12": ((1.1499, 0.0177), (1.1869, 0.0297)),
    "weak-8": ((1.1958, 0.0194), (1.2396, 0.0310)),
}
# Rows that are judged on, in words, and those that they are shown beside.
ROWS: dict[JudgedOn, str] = {"valid+test": "valid and test rows", "valid": "valid rows", "test": "test rows"}
BESIDE: dict[JudgedOn, JudgedOn] = {"valid+test": "test", "valid": "test", "test": "valid+test"}
_SURE = 0.975  # of the resamples

MOLECULE_RULES = (
    "Rules for molecules, judged on valid and test rows unless the setting judge_on names others. Figures: "
    f"{LINE_RULE} (slope over all points, R² in the median division). "
    "Tables: *no* where the mean regret of picking by least weak error − misfit is surely more than half of "
    "that of picking at random (the interval of the difference), *undecided (no or partly)* where it may be. "
    "Where it is surely less: *yes* if the student picked by the means over all divisions has the least true "
    f"error in at least {_SURE:.1%} of the resamples, *partly* if in at most {1 - _SURE:.1%}, else "
    "*undecided (partly or yes)*. With roles swapped the paper claims neither. In brackets 95% intervals of "
    "a bootstrap over molecules (connectivities as clusters) and divisions, given the published splits; of "
    "the slope over redrawn splits, over divisions alone; of R², of the median over divisions."
)


def molecule_verdict(
    estimates: Mapping[str, Any], expects: str, judge_on: JudgedOn = "valid+test"
) -> tuple[str, str]:
    """Return the finding for a class of heads, in words, and whether it agrees with the claim."""
    judge = _ranking_verdict if expects == "ranking" else _line_verdict
    return judge(estimates[judge_on])


def _line_verdict(evaluation: dict[str, Any]) -> tuple[str, str]:
    line = evaluation["line"]
    finding = (
        f"slope {bracketed(line['slope'])}, gain {bracketed(line['gain_over_misfit'])} of the misfit, R² of "
        f"gain = misfit {bracketed(line['r2_misfit'])}"
    )
    return finding, gain_is_misfit(line["slope"], line["r2_misfit"])


def _ranking_verdict(evaluation: dict[str, Any]) -> tuple[str, str]:
    rows, regret = evaluation["table"], evaluation["regret"]
    if len(rows) == 1:
        return f"{rows[0]['weak']} alone: nothing to choose", "no choice"
    true = [row["strong_error"]["all"].value for row in rows]
    rank = sorted(true).index(true[0]) + 1
    rule, excess = (regret[RULE][name] for name in ("regret", "over_half_of_random"))
    agrees = between("partly" if excess.high <= 0 else "no", "no" if excess.low > 0 else "partly")
    share = evaluation["ranking"]["picked_best"]
    if agrees == "partly":
        agrees = between("yes" if share >= _SURE else "partly", "partly" if share <= 1 - _SURE else "yes")
    ranked = "the least" if rank == 1 else f"number {rank} of {len(rows)}"
    margin = regret[RULE]["over_weak_alone"]
    order = "worse than" if margin.low > 0 else "better than" if margin.high < 0 else "not surely other than"
    finding = (
        f"over all divisions picks {rows[0]['weak']}, whose student's true error is {ranked} (the least in "
        f"{share:.1%} of the resamples); Spearman "
        f"{bracketed(evaluation['ranking']['all'])}; mean regret {_precise(rule)} "
        f"({_precise(regret['at random']['regret'])} at random), {order} by weak error alone: minus that "
        f"{_precise(margin)}"
    )
    return finding, agrees


def _precise(estimate: Estimate) -> str:
    """Format with three significant digits, as regrets are much smaller than errors."""
    return f"{estimate.value:.3g} [{estimate.low:.3g}, {estimate.high:.3g}]"


def strong_model(content: Mapping[str, Any], name: str) -> str:
    """Return a note on whether the student's representation is the paper's."""
    if content["kind"] == "features":
        return f"not a replication: different h_s (features of {name}; the paper's is MolBERT)"
    shape = f"{content['layers']} layers of width {content['hidden']}"
    if content["kind"] == "converted checkpoint":
        digest = f"sha256 {content['checkpoint_sha256']}"
        return f"h_s is a converted checkpoint ({shape}, {digest}): the paper's if it is MolBERT's public one"
    return f"not a replication: different h_s (here {shape}; the paper's is MolBERT, 12 layers of width 768)"


def truth_notes(truth: str, noise: float) -> tuple[str, ...]:
    """Return a note on labels that were not measured, if that is what the truth is."""
    if truth == "measured":
        return ()
    added = f", plus normal noise of standard deviation {noise:g}" if noise > 0 else ""
    return (
        "the truth is realizable: not the measured labels, but a head of the student's own features fitted "
        f"to those of all rows (l2, radius by cross-validation){added}",
    )
