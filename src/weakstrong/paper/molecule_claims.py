"""The paper's claims on molecules, Figures 2d-f and Tables 1-3, and how results are judged by them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from weakstrong.estimate import Estimate
from weakstrong.paper.molecule_statistics import RULE
from weakstrong.paper.verdicts import (
    CLOSE,
    FIT,
    ROUGH_FIT,
    ROUGH_SLOPE,
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
_SHOWN = "valid+test"
_SMALL = 0.5  # of the regret of picking at random

MOLECULE_RULES = (
    "Rules for molecules, judged on valid and test rows. Figures: *yes* where the slope of gain on misfit "
    f"over all points is within {CLOSE} of 1 and R² of gain = misfit, nothing fitted, is at least {FIT} in "
    f"the median division; *partly* where the slope is more than {ROUGH_SLOPE} and R² at least {ROUGH_FIT}. "
    "Tables: *yes* where the student picked by least weak error − misfit, means over all divisions, has "
    f"the least true error and the interval of the rule's mean regret ends below {_SMALL:.0%} of that of "
    "picking at random; *partly* where the mean regret alone does. With roles swapped the paper claims "
    "neither. In brackets 95% intervals of a bootstrap over molecules (connectivities as clusters) and "
    "divisions, given the splits; of R², of the median over divisions."
)


def molecule_verdict(estimates: Mapping[str, Any], expects: str) -> tuple[str, str]:
    """Return the finding for a class of heads, in words, and whether it agrees with the claim."""
    return _ranking_verdict(estimates[_SHOWN]) if expects == "ranking" else _line_verdict(estimates[_SHOWN])


def _line_verdict(evaluation: dict[str, Any]) -> tuple[str, str]:
    line = evaluation["line"]
    finding = (
        f"slope {bracketed(line['slope'])}, R² of gain = misfit {bracketed(line['r2_misfit'])}, "
        f"gain {bracketed(line['gain_over_misfit'])} of the misfit"
    )
    return finding, gain_is_misfit(line["slope"].value, line["r2_misfit"].value)


def _ranking_verdict(evaluation: dict[str, Any]) -> tuple[str, str]:
    rows, regret = evaluation["table"], evaluation["regret"]
    if len(rows) == 1:
        return f"{rows[0]['weak']} alone: nothing to choose", "no choice"
    true = [row["strong_error"]["all"].value for row in rows]
    rank = sorted(true).index(true[0]) + 1
    rule, threshold = regret[RULE]["regret"], _SMALL * regret["at random"]["regret"].value
    agrees = "partly" if rule.value <= threshold else "no"
    if rank == 1 and rule.high <= threshold:
        agrees = "yes"
    ranked = "the least" if rank == 1 else f"number {rank} of {len(rows)}"
    margin = regret[RULE]["over_weak_alone"]
    order = "worse than" if margin.low > 0 else "better than" if margin.high < 0 else "not surely other than"
    finding = (
        f"over all divisions picks {rows[0]['weak']}, whose student's true error is {ranked}; Spearman "
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
