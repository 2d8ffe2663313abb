"""The paper's claims on molecules beside what came out: Figures 2d-f and Table 1."""

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
_LITTLE = 0.5  # of the regret of picking at random

MOLECULE_RULES = (
    "Rules for molecules, judged on valid and test rows. Figures: *yes* where the slope of gain on misfit "
    f"over all points is within {CLOSE} of 1 and R² of gain = misfit, nothing fitted, is at least {FIT} in "
    f"the median division; *partly* where the slope is more than {ROUGH_SLOPE} and R² at least {ROUGH_FIT}. "
    "Tables: *yes* where the student picked by least weak error − misfit, means over all divisions, has "
    f"the least true error and the interval of the rule's mean regret ends below {_LITTLE:.0%} of that of "
    "picking at random; *partly* where the mean regret alone does. With roles swapped the paper claims "
    "neither. In brackets 95% intervals of a bootstrap over molecules (connectivities as clusters) and "
    "divisions, given the splits; of R², of the median over divisions."
)


def molecule_verdict(at: Mapping[str, Any], expects: str) -> tuple[str, str]:
    """Say what came out for a class of heads, in words, and whether it agrees with the claim."""
    return _ranking(at[_SHOWN]) if expects == "ranking" else _line(at[_SHOWN])


def _line(found: dict[str, Any]) -> tuple[str, str]:
    over = found["line"]
    said = (
        f"slope {bracketed(over['slope'])}, R² of gain = misfit {bracketed(over['r2_misfit'])}, "
        f"gain {bracketed(over['gain_over_misfit'])} of the misfit"
    )
    return said, gain_is_misfit(over["slope"].value, over["r2_misfit"].value)


def _ranking(found: dict[str, Any]) -> tuple[str, str]:
    rows, regret = found["table"], found["regret"]
    if len(rows) == 1:
        return f"{rows[0]['weak']} alone: nothing to choose", "no choice"
    true = [row["strong_error"]["all"].value for row in rows]
    place = sorted(true).index(true[0]) + 1
    rule, little = regret[RULE]["regret"], _LITTLE * regret["at random"]["regret"].value
    agrees = "partly" if rule.value <= little else "no"
    if place == 1 and rule.high <= little:
        agrees = "yes"
    best = "the least" if place == 1 else f"number {place} of {len(rows)}"
    over = regret[RULE]["over_weak_alone"]
    than = "worse than" if over.low > 0 else "better than" if over.high < 0 else "not surely other than"
    said = (
        f"over all divisions picks {rows[0]['weak']}, whose student's true error is {best}; Spearman "
        f"{bracketed(found['ranking']['all'])}; mean regret {_precise(rule)} "
        f"({_precise(regret['at random']['regret'])} at random), {than} by weak error alone: minus that "
        f"{_precise(over)}"
    )
    return said, agrees


def _precise(found: Estimate) -> str:
    """Three significant digits: regrets are small beside errors."""
    return f"{found.value:.3g} [{found.low:.3g}, {found.high:.3g}]"


def strong_model(content: Mapping[str, Any], name: str) -> str:
    """Whether the student's representation is the paper's, as a note of a record."""
    if content["kind"] == "features":
        return f"not a replication: different h_s (features of {name}; the paper's is MolBERT)"
    shape = f"{content['layers']} layers of width {content['hidden']}"
    if content["kind"] == "converted checkpoint":
        named = f"sha256 {content['checkpoint_sha256']}"
        return f"h_s is a converted checkpoint ({shape}, {named}): the paper's if it is MolBERT's public one"
    return f"not a replication: different h_s (here {shape}; the paper's is MolBERT, 12 layers of width 768)"
