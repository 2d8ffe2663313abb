"""Choosing among supervisors by weak error − misfit, as the paper does, and how well that chose here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import pandas as pd

from weakstrong.arrays import group_numbers
from weakstrong.errors import quoted
from weakstrong.estimate import Estimate
from weakstrong.predictions import Pair, Parts, Predictions
from weakstrong.record import Result
from weakstrong.studies.verdict_words import worded_verdict

_ROW = ["split", "division", "row"]
_OPTIMISTIC = (
    "a supervisor chosen and judged on the same rows looks better than it is (the least of several errors is "
    "optimistic); judge it on other rows"
)


class Choice(NamedTuple):
    """The supervisor that the paper's rule chooses for a student, beside the best one.

    Parameters
    ----------
    heads, student : str
    chosen : str
        The supervisor with the least weak error − misfit.
    best : str
        The one whose student has the least true error.
    compared_with : str
        The best one; where that is the chosen one, the one whose student comes next.
    excess_error : Estimate
        True error of the chosen one's student, less that of the student it is compared with: of the same
        rows, paired.
    abstains : bool
        Whether a supervisor leaves rows out: weak error − misfit is then of other rows for each.
    """

    heads: str
    student: str
    chosen: str
    best: str
    compared_with: str
    excess_error: Estimate
    abstains: bool = False

    def __str__(self) -> str:
        """Say which supervisor the rule chooses, and whether its student is the best."""
        chosen, other = quoted(self.chosen), quoted(self.compared_with)
        rule = f"weak error − misfit is least for {chosen}"
        if self.abstains:
            rule += " (each on the rows that it labels; students on all rows with a true label)"
        if self.chosen == self.best:
            less, more = (f"{word} than that of {other}, the next" for word in ("less", "more"))
            verdict = worded_verdict(self.excess_error, more, less, f"whether {less}")
            return f"{rule}, whose student errs least too; {verdict}"
        less, more = (f"that of {chosen} errs {word}" for word in ("less", "more"))
        verdict = worded_verdict(self.excess_error, more, less, f"whether {more}")
        return f"{rule}, but the student of {other} errs least; {verdict}"


def choices(parts: Parts, results: Sequence[Result]) -> tuple[Choice, ...]:
    """Choose among the supervisors of every student and class of heads that has two or more.

    Parameters
    ----------
    parts : sequence of callable
        Each returns the predictions of a division; those of two pairs are in memory at a time.
    results : sequence of Result
        Of the pairs, as `weakstrong.studies.findings.summarize` returns them.
    """
    groups: dict[tuple[str, str], list[Result]] = {}
    for result in results:
        groups.setdefault((result.about["heads"], result.about["student"]), []).append(result)
    return tuple(_choice(parts, mine) for mine in groups.values() if len(mine) > 1)


def choice_notes(found: Sequence[Choice]) -> tuple[str, ...]:
    """Return a note on every choice, with what it is of where there are several, and one on all."""
    several = {key for key in ("heads", "student") if len({getattr(one, key) for one in found}) > 1}
    notes = []
    for one in found:
        of = [f"{one.heads} heads"] * ("heads" in several)
        of += [f"student {quoted(one.student)}"] * ("student" in several)
        notes.append(f"{', '.join(of)}: {one}" if of else str(one))
    return (*notes, _OPTIMISTIC) if notes else ()


def choice_facts(found: Sequence[Choice]) -> dict[str, list[dict[str, Any]]]:
    """Return what a record keeps of the choices, if there are any."""
    return {"choices": [one._asdict() for one in found]} if found else {}


def _choice(parts: Parts, results: Sequence[Result]) -> Choice:
    """Choose among the supervisors of one student and class of heads."""
    chosen = min(results, key=lambda result: float(result.estimates["weak_error_minus_misfit"].value))
    best, runner_up, *_ = sorted(results, key=_error_on_same_rows)
    other = runner_up if chosen is best else best
    pair, other_pair, best_pair = (Pair(**result.about) for result in (chosen, other, best))
    return Choice(
        heads=pair.heads,
        student=pair.student,
        chosen=pair.supervisor,
        best=best_pair.supervisor,
        compared_with=other_pair.supervisor,
        excess_error=_excess_error(parts, pair, other_pair),
        abstains=any("strong_error_on_all_rows" in result.estimates for result in results),
    )


def _error_on_same_rows(result: Result) -> float:
    """The student's error on all rows with a true label: supervisors may label different ones of them."""
    estimates = result.estimates
    return float(estimates.get("strong_error_on_all_rows", estimates["strong_error"]).value)


def _excess_error(parts: Parts, mine: Pair, other: Pair) -> Estimate:
    """Estimate the mean over the same rows of the one student's squared error less the other's."""
    losses = []
    for pair in (mine, other):
        part = Predictions.concatenated(load().of(pair).with_truth for load in parts)
        known = part.losses()[[*_ROW, "strong_error"]]
        losses.append(known.assign(cluster=part.clusters, weight=part.weights))
    both = pd.merge(*losses, on=_ROW, validate="one_to_one", suffixes=("", "_other"))
    assert len(both) == len(losses[0]) == len(losses[1]), "two students of a study are judged on other rows"
    excess = (both["strong_error"] - both["strong_error_other"]).to_numpy()
    clusters = group_numbers(both["cluster"].to_numpy())
    return Estimate.of_mean(excess, clusters, both["weight"].to_numpy(), tested=True)
