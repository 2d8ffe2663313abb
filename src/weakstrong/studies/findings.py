"""Findings of a study: estimates with intervals, and conclusions in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from weakstrong.arrays import power_of_two
from weakstrong.class_labels import SMOOTHING
from weakstrong.divergence import ZERO_ONE
from weakstrong.errors import counted, quoted
from weakstrong.estimate import Estimate
from weakstrong.predictions import NO_MISFIT, Pair, Parts, Predictions
from weakstrong.record import Result
from weakstrong.studies.class_findings import on_classes
from weakstrong.studies.influence import exploded_divisions, influences
from weakstrong.studies.measures import measure_pair
from weakstrong.studies.remarks import label_remarks, remarks
from weakstrong.studies.verdict_words import worded_verdict
from weakstrong.studies.worth import budget_curve, worth_in_true_labels, worth_in_words
from weakstrong.votes import GivenLabels

_ON_GAIN = ("gain", "cross_term")
_JUDGED = (*_ON_GAIN, "gain_over_direct")  # what verdicts are on
_TOO_GOOD = 1e-6  # of the error of the mean: less error than features have that were not made from the target


def summarize(
    parts: Parts,
    rows: pd.DataFrame,
    given: Mapping[str, GivenLabels] | None = None,
    *,
    smoothing: float = SMOOTHING,
) -> tuple[Result, ...]:
    """Pooled estimates, their spread over divisions, and conclusions, for each pair.

    Parameters
    ----------
    parts : sequence of callable
        Each returns the predictions of a division; those of one pair are in memory at a time.
    rows : DataFrame
        Their measures by division, as `by_division` returns them, with what exploded (`with_explosions`).
    given : mapping of name to GivenLabels, optional
        Supervisors whose labels existed already.
    smoothing : float
        Share of the uniform distribution that labels without full support are mixed with in log loss.
    """
    results = []
    pairs = rows[list(Pair._fields)].drop_duplicates().itertuples(index=False, name=None)
    for pair in map(Pair._make, pairs):
        part = Predictions.concatenated(load().of(pair) for load in parts)
        mine = rows[(rows[list(Pair._fields)] == list(pair)).all(axis=1)]
        results.append(_result(pair, part, mine, (given or {}).get(pair.supervisor), smoothing))
    return tuple(results)


def _result(
    pair: Pair, part: Predictions, rows: pd.DataFrame, labels: GivenLabels | None, smoothing: float
) -> Result:
    """The result of one pair, from its predictions, its measures by division, and its labels if given."""
    estimates, measured = measure_pair(part, tested=True, smoothing=smoothing)
    deciding, curve = influences(part.judging), budget_curve(part)
    worth = worth_in_true_labels(curve)
    if worth is not None:
        estimates["worth_in_true_labels"] = worth
    accuracies = budget_curve(part, ZERO_ONE) if part.classes else []
    worth_in_accuracy = worth_in_true_labels(accuracies)
    if worth_in_accuracy is not None:
        estimates["worth_in_true_labels_in_accuracy"] = worth_in_accuracy
    if "ceiling_error" not in estimates:
        reason = "there is no ceiling, as rows of the student have no true label"
        measured = {**measured, "gap_not_recovered_because": reason}
    facts = {
        **_counts(part, rows),
        **_facts_of_labels(part, labels),
        **measured,
        **_facts_of_divisions(rows),
        "budget": [point._asdict() for point in curve],
        **({"budget_in_accuracy": [point._asdict() for point in accuracies]} if accuracies else {}),
        "influence": {
            quantity: {unit: one.facts() for unit, one in units.items()}
            for quantity, units in deciding.items()
        },
    }
    taught = None if labels is None else int(rows["supervised_rows"].median())
    said = (
        *(on_classes(estimates, measured) if part.classes else ()),
        *conclusions(estimates, taught),
        *worth_in_words(worth, curve),
        *worth_in_words(worth_in_accuracy, accuracies, "in accuracy "),
        *label_remarks(estimates, facts, given=labels is not None, drawn="probability" in part.table),
        *remarks(deciding, rows),
    )
    return Result(pair._asdict(), estimates, facts, said)


def _counts(part: Predictions, rows: pd.DataFrame) -> dict[str, Any]:
    """How many divisions there are, and how many rows judge and are fitted to."""
    return {
        "divisions": len(rows),
        "held_out_rows": int(part.judging.table["row"].nunique()),
        "held_out_rows_without_truth": int(part.table["row"][~part.known("true")].nunique()),
        "supervised_rows": _from_to(rows["supervised_rows"]),
        "student_rows": _from_to(rows["student_rows"]),
    }


def _facts_of_labels(part: Predictions, labels: GivenLabels | None) -> dict[str, Any]:
    """The share of rows that the supervisor labels, the noise of its labels, and what the null is."""
    share = float(part.known("weak").mean()) if labels is None else labels.share
    return {
        "labelled_share": share,
        "noise_of_one_label": None if labels is None else labels.noise,
        "noise_of_labels": None if labels is None else labels.noise_of_value,
        "null": "its supervisor's own features" if labels is None else "the mean of its labels",
    }


def _facts_of_divisions(rows: pd.DataFrame) -> dict[str, Any]:
    """What changes from division to division, and how many of them exploded."""
    return {
        "spread_over_divisions": {
            k: {"std": _deviation(rows[k]), "min": float(rows[k].min()), "max": float(rows[k].max())}
            for k in ("weak_error", "strong_error", "misfit", "gain", "cross_term", "direct_error")
        },
        "correlation_of_gain_and_misfit": _correlation(rows["misfit"], rows["gain"]),
        "exploded_divisions": exploded_divisions(rows),
    }


def conclusions(estimates: Mapping[str, Estimate], taught: int | None = None) -> list[str]:
    """Conclusions from the estimates, in words, by the rules of `Estimate.verdict`.

    Parameters
    ----------
    estimates : mapping
        As `measure_pair` returns them.
    taught : int, optional
        Where the weak labels were given, how many true labels the direct baseline had.
    """
    its_own = "the true labels its supervisor had" if taught is None else counted(taught, "true label")
    over_direct = _over_direct(estimates, f"training directly on {its_own}")
    spread = float(estimates["mean_error"].value)
    judged = _JUDGED if _has_misfit(estimates, spread) else ("gain_over_direct",)
    in_brier = "Brier score: " if "gain_in_accuracy" in estimates else ""
    is_given = taught is not None
    nulls = _over_nulls(estimates, given=is_given) if "gain" in judged else []
    return [
        *(f"{in_brier}{line}" for line in _on_gain(estimates, spread)),
        f"{in_brier}{over_direct}",
        *nulls,
        *_leakage(estimates, given=is_given),
        *_skewed(estimates, *judged),
    ]


def with_verdicts(result: Result) -> Result:
    """Add conclusions in words to what was measured of a pair: on gain, misfit and direct training."""
    estimates, spread = result.estimates, result.facts["variance_of_truth"]
    judged = _ON_GAIN if _has_misfit(estimates, spread) else ()
    of_classes = "classes" in result.facts
    said = (
        *(on_classes(estimates, result.facts) if of_classes else ()),
        *(f"{'Brier score: ' * of_classes}{line}" for line in _on_gain(estimates, spread)),
        *(
            f"{prefix}{_over_direct(estimates, 'direct training', ending)}"
            for prefix, ending in (("accuracy: ", "_in_accuracy"), ("Brier score: " * of_classes, ""))
            if f"gain_over_direct{ending}" in estimates
        ),
        *_skewed(estimates, *judged),
    )
    return replace(result, findings=said)


def _over_direct(estimates: Mapping[str, Estimate], direct: str, ending: str = "") -> str:
    """Whether the student is better than training on true labels."""
    return worded_verdict(
        estimates[f"gain_over_direct{ending}"],
        f"the student beats {direct}",
        f"{direct} beats the student",
        f"whether the student beats {direct}",
    )


def _has_misfit(estimates: Mapping[str, Estimate], spread: float) -> bool:
    """Whether the misfit is more than rounding, beside the error of predicting the mean."""
    return float(estimates["misfit"].value) > NO_MISFIT * spread


def _on_gain(estimates: Mapping[str, Estimate], spread: float) -> list[str]:
    """Whether the student is better than its supervisor, and whether by more than the misfit."""
    if not _has_misfit(estimates, spread):
        return ["the student reproduces its supervisor (no misfit): nothing gained or lost"]
    gain = worded_verdict(
        estimates["gain"],
        "the student is better than its supervisor",
        "the student is worse than its supervisor",
        "whether the student is better than its supervisor",
    )
    cross = worded_verdict(
        estimates["cross_term"],
        "gain exceeds misfit, as in Theorem 1",
        "gain falls short of misfit",
        "whether gain exceeds misfit",
    )
    ratio = float(estimates["cross_term"].value) / float(estimates["misfit"].value)
    return [gain, f"{cross}; a cross term {ratio:+.2f} times the misfit"]


def cluster_notes(results: Iterable[Result]) -> tuple[str, ...]:
    """Note where intervals rest on few clusters, once for all pairs whose do."""
    notes: dict[str, None] = {}
    for estimate in (result.estimates["gain"] for result in results):
        if few := estimate.too_few():
            notes[f"{few}: too few for a verdict, and for intervals to hold if their means are skewed"] = None
        elif estimate.skew_is_unseen():
            notes[
                f"only {estimate.effective_clusters:.3g} effective clusters: too few to show whether their "
                "means are skewed; where they are, intervals of 95% cover less, 83% in simulations"
            ] = None
    return tuple(notes)


def _skewed(estimates: Mapping[str, Estimate], *names: str) -> list[str]:
    """Of which estimates the clusters are too skewed for their intervals."""
    found = {name: estimates[name].skew() for name in names}
    said = [f"{name.replace('_', ' ')}: {skew}" for name, skew in found.items() if skew]
    if not said:
        return []
    return [
        f"the clusters of held-out rows are skewed ({'; '.join(said)}): such intervals of 95% cover less, 87 "
        "to 94% in simulations, and miss on the side of the long tail"
    ]


def _over_nulls(estimates: Mapping[str, Estimate], *, given: bool) -> list[str]:
    """What the student's representation adds to what its class gains without it."""
    said = []
    for name in (key for key in estimates if key.startswith("gain_over_null")):
        if given and name == "gain_over_null":
            beats = "the student beats a constant, the mean of the weak labels"
            beaten = "a constant, the mean of the weak labels, beats the student"
            said.append(worded_verdict(estimates[name], beats, beaten, f"whether {beats}"))
            continue
        other = name.removeprefix("gain_over_null_of_")
        owner = "its supervisor's own features" if other == name else f"the features of {quoted(other)}"
        null_gain = abs(float(estimates[name.replace("over", "of", 1)].value))
        if null_gain <= NO_MISFIT * float(estimates["mean_error"].value):
            said.append(f"the same heads on {owner} reproduce it: all gain or loss is its representation's")
            continue
        adds = f"its representation adds to what the same heads gain on {owner}"
        lacks = f"the same heads on {owner} are better than the student"
        said.append(worded_verdict(estimates[name], adds, lacks, f"whether {adds}"))
    return said


def _leakage(estimates: Mapping[str, Estimate], *, given: bool) -> list[str]:
    """Whose features predict the truth of held-out rows almost exactly, as those do that contain it."""
    errors = {name: float(estimate.value) for name, estimate in estimates.items() if name.endswith("_error")}
    spread, said = errors["mean_error"], []
    for owner, fits in (("supervisor", ("weak",)), ("student", ("strong", "ceiling", "direct"))):
        known = [f"{fit}_error" for fit in fits if f"{fit}_error" in errors]
        least = min(known, key=errors.__getitem__, default=None)
        if least is not None and spread > 0 and errors[least] <= _TOO_GOOD * spread:
            what, asked = f"{owner}'s features predict", "do they contain the target"
            if given and owner == "supervisor":
                what, asked = "weak labels are", "were they made from it"
            said.append(
                f"the {what} the truth almost exactly ({least.replace('_', ' ')} "
                f"{errors[least] / spread:.1g} of the error of the mean): {asked}?"
            )
    return said


def _deviation(values: pd.Series) -> float | None:
    """Standard deviation of numbers that are squares already, so that they are not squared as they are."""
    unit = power_of_two(values)
    return float((values / unit).std() * unit) if len(values) > 1 else None


def _from_to(counts: pd.Series) -> list[int]:
    """The least and the largest of counts."""
    return [int(counts.min()), int(counts.max())]


def _correlation(a: pd.Series, b: pd.Series) -> float | None:
    both = a.notna() & b.notna()
    a, b = a[both], b[both]
    a, b = a / power_of_two(a), b / power_of_two(b)
    enough = len(a) > 2 and a.std() > 0 and b.std() > 0
    return float(np.corrcoef(a, b)[0, 1]) if enough else None
