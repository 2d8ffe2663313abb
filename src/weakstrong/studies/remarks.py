"""What decides an estimate, and what exploded, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from weakstrong.errors import counted, percent, quoted
from weakstrong.estimate import Estimate
from weakstrong.predictions import NO_MISFIT
from weakstrong.studies.influence import GAINS, Influence, exploded_divisions
from weakstrong.studies.inputs import StudyInputs

_WHO = {
    "weak": "the supervisor",
    "strong": "the student",
    "ceiling": "the ceiling",
    "class": "the ceiling at the student's radius",
    "direct": "the direct baseline",
    "untrained": "the untrained control",
}
_WHAT = {"gain": "the gain", "gain_over_direct": "the gain over training directly"}
_ROOM = 0.75  # of the range of the truth, below and above it
_FEWEST_OF_A_CLASS = 10  # true labels
_UNLIKE = 4.0  # standard errors between two misfits
_UNLIKE_OTHERS = (
    "rows with a true label are unlike those without: their misfit is {}, that of the others {}; what is "
    "found on them holds for the others only if they were drawn at random, or with known probabilities"
)
_UNLIKE_ALL = (
    "rows with a true label, weighed by their probabilities, have a misfit of {}, all rows {}: check the "
    "probabilities; as they are, what is found does not hold for all rows"
)
_MOST_LINES = 2  # of errors that rest on one unit; all are in the facts


def remarks(found: Mapping[str, Mapping[str, Influence]], rows: pd.DataFrame) -> list[str]:
    """Say which gains one row, cluster or division decides, which fits exploded, and on what errors rest.

    Parameters
    ----------
    found : mapping
        From `weakstrong.studies.influence.influences`.
    rows : DataFrame
        The divisions of the same pair, with their column ``exploded``.
    """
    deciding = {quantity: _smallest(units) for quantity, units in found.items()}
    known = {quantity: one for quantity, one in deciding.items() if one is not None}
    gains = {quantity: one for quantity, one in known.items() if quantity in GAINS}
    exploded = {fit: count for fit, count in exploded_divisions(rows).items() if count}
    errors = {
        quantity.removesuffix("_error"): one
        for quantity, one in known.items()
        if quantity not in GAINS
        and not (one.unit == "division" and quantity.removesuffix("_error") in exploded)
    }
    for told in (exploded, errors):
        if "ceiling" in told:
            told.pop("class", None)  # its twin, which for linear heads is the same fit
    return [*_of_gains(gains), *_of_explosions(rows, exploded), *_of_errors(errors)]


def label_remarks(
    estimates: Mapping[str, Estimate], facts: Mapping[str, Any], *, given: bool, drawn: bool = False
) -> list[str]:
    """Say on which rows a supervisor says nothing, what is known of rows without truth, and its noise.

    Parameters
    ----------
    estimates, facts : mapping
        Of a pair, as in its `Result`.
    given : bool
        Whether the labels existed already.
    drawn : bool
        Whether true labels weigh the inverse of their probability, so that they stand for all rows.
    """
    lines = []
    if given and facts["labelled_share"] < 1:
        rest = ""
        if "gain_on_all_rows" in estimates:
            gain, over = (estimates[f"{name}_on_all_rows"] for name in ("gain", "gain_over_direct"))
            rest = (
                f"; on all rows, with its mean where it says nothing, the gain is {gain}, and over training "
                f"directly {over}"
            )
        share = percent(facts["labelled_share"])
        but = ", but for what its labels are worth" if "worth_in_true_labels" in estimates else ""
        lines.append(f"it labels {share} of the rows, and the numbers above are of those{but}{rest}")
    misfit = estimates.get("misfit_on_all_rows")
    if misfit is not None and misfit.value > NO_MISFIT * float(estimates["mean_error"].value):
        lines.append(f"misfit on all held-out rows that it labels, with or without truth: {misfit}")
        others = misfit if drawn else estimates["misfit_without_truth"]
        if _is_unlike(estimates["misfit"], others):
            lines.append((_UNLIKE_ALL if drawn else _UNLIKE_OTHERS).format(estimates["misfit"], others))
    if facts["noise_of_one_label"] is not None:
        lines.append(_noise(estimates, facts))
    return lines


def _noise(estimates: Mapping[str, Estimate], facts: Mapping[str, Any]) -> str:
    """Say how much labels of one row differ and, for their mean, how much of the weak error that makes."""
    said = f"labels of one row disagree: the noise of one has a variance of {facts['noise_of_one_label']:.3g}"
    if facts["noise_of_labels"] is None:
        return said
    error = float(estimates["weak_error"].value)
    share = f", {percent(facts['noise_of_labels'] / error)} of the weak error" if error > 0 else ""
    return f"{said}, that of their mean {facts['noise_of_labels']:.3g}{share}"


def _is_unlike(one: Estimate, other: Estimate) -> bool:
    """Whether two misfits are further apart than chance, of independent rows, would put them."""
    apart = abs(float(one.value) - float(other.value))
    return apart > _UNLIKE * float(np.hypot(one.standard_error, other.standard_error))


def _ranges(inputs: StudyInputs) -> list[str]:
    """Note weak labels that go far beyond the true ones, as other units and codes for no label do."""
    truth = inputs.y[inputs.has_truth]
    low, high = float(truth.min()), float(truth.max())
    room = _ROOM * (high - low)
    notes = []
    for name, given in inputs.weak_labels.items():
        values = given.values[given.labelled]
        if values.min() < low - room or values.max() > high + room:
            notes.append(
                f"labels of {quoted(name)} go from {values.min():.4g} to {values.max():.4g}, true ones from "
                f"{low:.4g} to {high:.4g}: are they in the units of the truth? No label is an empty cell, "
                "not a number such as −1"
            )
    return notes


def _classes(inputs: StudyInputs) -> list[str]:
    """Note classes that supervisors name and the truth never has, and classes of few true labels."""
    counts = inputs.y[inputs.has_truth].sum(0)
    notes = []
    for name, given in inputs.weak_labels.items():
        said = given.values[given.labelled].sum(0)
        never = [c for c, of, truth in zip(inputs.classes, said, counts, strict=True) if of > 0 == truth]
        if never:
            notes.append(
                f"labels of {quoted(name)} name {_quoted(never)}, which no true label does: such rows count "
                "as wrong"
            )
    rare = [c for c, of in zip(inputs.classes, counts, strict=True) if 0 < of < _FEWEST_OF_A_CLASS]
    if rare:
        notes.append(
            f"fewer than {_FEWEST_OF_A_CLASS} true labels are {_quoted(rare)}: in some divisions it teaches "
            "or judges hardly or not at all"
        )
    return notes


def _quoted(names: Sequence[str]) -> str:
    """A few names, quoted, and how many more there are."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(quoted(name) for name in names[:3]) + more


def unlabelled_notes(inputs: StudyInputs) -> tuple[str, ...]:
    """Note the rows without a true label, what they are used for, and how true labels are weighed."""
    notes = []
    rows, known = int(inputs.has_label.sum()), int(inputs.has_truth.sum())
    if known < rows:
        notes.append(
            f"{known} of {rows} rows have a true label: they judge and, where not held out, teach; the "
            "others are the student's, and enter the misfit on all rows alone. All that is said of a row is "
            "by heads that were not fitted to it"
        )
    if rows < len(inputs.y):
        notes.append(f"{counted(len(inputs.y) - rows, 'row')} with neither a true nor a weak label left out")
    notes += _classes(inputs) if inputs.classes else _ranges(inputs)
    parts = [part for split in inputs.splits for part in (split.train, split.test)]
    if parts and (outside := int((~np.isin(np.flatnonzero(~inputs.has_truth), np.concatenate(parts))).sum())):
        notes.append(
            f"{counted(outside, 'row')} without a true label {'is' if outside == 1 else 'are'} in no part of "
            "a split, and left out: give them a part in the splits to make them the student's"
        )
    if inputs.label_probability is not None:
        notes.append("true labels weigh the inverse of the probability with which their rows were drawn")
    return tuple(notes)


def feature_notes(rows: pd.DataFrame) -> tuple[str, ...]:
    """Note the features without effect, and held-out rows that are unlike the fitted ones.

    Parameters
    ----------
    rows : DataFrame
        All divisions of a study.
    """
    notes = []
    for fit, role in (("weak", "supervisor"), ("strong", "student")):
        for name, mine in rows.groupby("supervisor" if fit == "weak" else "student", sort=False):
            ignored, unlike = int(mine[f"{fit}_ignored"].max()), mine[mine[f"{fit}_unlike"].astype(bool)]
            who = f"{role} {quoted(str(name))}"
            if ignored:
                notes.append(
                    f"{who}: {counted(ignored, 'feature')} without effect, for varying by rounding alone"
                )
            if len(unlike):
                most = percent(float(unlike[f"{fit}_clipped"].max()))
                where = f"in {len(unlike)} of {len(mine)} divisions"
                notes.append(
                    f"{who}: {where} held-out rows are unlike the fitted ones: up to {most} of their values "
                    "are far outside the range of those, and were drawn into it"
                )
    return tuple(notes)


def _smallest(units: Mapping[str, Influence]) -> Influence | None:
    """The row that decides, else the cluster, else the division: the larger ones hold the smaller."""
    return next((one for one in units.values() if one.decides), None)


def _of_gains(gains: Mapping[str, Influence]) -> list[str]:
    """A line for each gain that one unit decides."""
    lines: list[str] = []
    told: list[tuple[str, Mapping[str, Any]]] = []
    for quantity, one in gains.items():
        what, named = _WHAT[quantity], _called(one)
        without = f"{one.without:+.4g}{_interval(one)}"
        if (one.unit, one.name) in told:
            lines.append(f"the same {one.unit} decides {what} ({one.value:+.4g}): without it {without}")
            continue
        told.append((one.unit, one.name))
        part = f"is {one.share:.0%} of it" if 0 < one.share <= 1 else f"makes it {one.value:+.4g}"
        lines.append(f"one {one.unit} decides {what}: {named} {part}; without it {without}{_prediction(one)}")
    return lines


def _of_explosions(rows: pd.DataFrame, exploded: Mapping[str, int]) -> list[str]:
    """One line on all fits that exploded."""
    said: list[str] = []
    for fit, count in exploded.items():
        worst = rows.loc[rows[f"{fit}_error"].idxmax()]
        divisions = f"{count} of {len(rows)} divisions" if len(rows) > 1 else "the one division"
        where = divisions if not said else f"{count}"
        errs = f"up to {worst[f'{fit}_error']:.4g}" if count > 1 else f"{worst[f'{fit}_error']:.4g}"
        said.append(
            f"{_WHO[fit]} in {where} (errs by {errs} where the mean errs by {worst['mean_error']:.4g})"
        )
    return [f"exploded: {'; '.join(said)}"] if said else []


def _of_errors(errors: Mapping[str, Influence]) -> list[str]:
    """A line for each unit that makes up most of some errors, those of the largest share first."""
    units: list[tuple[str, Mapping[str, Any]]] = []
    ordered = sorted(errors, key=lambda fit: -errors[fit].share)
    for one in (errors[fit] for fit in ordered):
        if (one.unit, one.name) not in units:
            units.append((one.unit, one.name))
    lines = []
    for unit in units[:_MOST_LINES]:
        mine = [fit for fit in ordered if (errors[fit].unit, errors[fit].name) == unit]
        one = errors[mine[0]]
        shares = _listed([f"{errors[fit].share:.0%} of {_error_of(fit)}" for fit in mine])
        lines.append(f"one {one.unit} makes up {shares}: {_called(one)}{_prediction(one)}")
    return lines


def _error_of(fit: str) -> str:
    return f"the error of {_WHO[fit]}"


def _called(one: Influence) -> str:
    """The name of a unit for a message; what came from a file is quoted."""
    name = one.name
    if one.unit == "row":
        return f"row {name['row']}" + (f" (id {quoted(name['id'])})" if "id" in name else "")
    if one.unit == "cluster":
        return f"cluster {quoted(name['cluster'])}"
    return f"division {name['division']} of split {quoted(name['split'])}"


def _interval(one: Influence) -> str:
    if one.interval is None or not np.isfinite(one.interval).all():
        return ""
    return f" (95% interval {one.interval[0]:+.4g} to {one.interval[1]:+.4g})"


def _prediction(one: Influence) -> str:
    """What was predicted there, and the truth."""
    if not one.seen:
        return ""
    seen = one.seen
    shown = [f"{v:.4g}" if isinstance(v, float) else quoted(v) for v in (seen["predicted"], seen["truth"])]
    return f"; {_WHO[seen['fit']]} predicted {shown[0]} there for {shown[1]}"


def _listed(parts: Sequence[str]) -> str:
    return " and ".join([", ".join(parts[:-1])] * (len(parts) > 1) + [parts[-1]])
