"""What the command `measure` prints: tables of losses and scores, then conclusions in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.text import Text

from weakstrong.errors import counted, printable
from weakstrong.estimate import Estimate
from weakstrong.record import Result
from weakstrong.report.terminal import (
    ACCURACIES,
    ERRORS,
    Fitted,
    cell,
    evidence_lines,
    gaps_recovered,
    new_table,
    pair_labels,
    with_ends,
)

_LOSSES = {
    "squared": "mean squared errors",
    "brier": "Brier scores",
    "log": "log losses",
    "zero-one": "accuracies",
}
_OF_PAIR = ("weak error", "student", "misfit", "gain", "cross term")
_BASELINES = ("ceiling", "direct")
_ERRORS = {h: ERRORS[h] for h in _OF_PAIR} | {"slope": "slope"} | {h: ERRORS[h] for h in _BASELINES}
_IN_FULL = {  # headings of a loss, and the estimates under them
    "squared": _ERRORS,
    "brier": _ERRORS,
    "log": {
        "weak": "weak_log_loss", "student": "strong_log_loss", "misfit": "misfit_in_log_loss",
        "gain": "gain_in_log_loss", "cross term": "cross_term_in_log_loss", "slope": "slope_in_log_loss",
        "ceiling": "ceiling_log_loss", "direct": "direct_log_loss",
    },
    "zero-one": {
        **{h: ACCURACIES[h] for h in ("weak", "student", "differ", "gain")},
        "cross term": "cross_term_in_accuracy", "slope": "slope_in_accuracy",
        **{h: ACCURACIES[h] for h in _BASELINES},
    },
}  # fmt: skip
_SCORES = {
    "accuracy": "accuracy", "balanced": "balanced_accuracy", "AUROC": "auroc", "log loss": "log_loss",
    "Brier": "brier", "miscalibration": "miscalibration", "discrimination": "discrimination",
}  # fmt: skip


def measured_table(
    title: str, results: Sequence[Result], notes: Iterable[str], *, divergence: str | None = None
) -> RenderableType:
    """Errors, misfit and gain of every pair in a table of predictions, then conclusions in words.

    Where a divergence is named, what is measured in it is shown in full, with intervals.
    """
    labels = pair_labels([_roles(result.about) for result in results])
    lines = [Text(f"note: {note}") for note in notes]
    for label, result in zip(labels, results, strict=True):
        estimates = result.estimates
        said = [*result.findings, *_left_out(result.facts)]
        if "misfit_on_all_rows" in estimates:
            said.append(_everywhere(estimates["misfit_on_all_rows"]))
        if "ceiling_error" in estimates:
            said += gaps_recovered(result)
        lines.append(Text(f"\n{label} ({counted(result.facts['rows'], 'row')})"))
        lines += [Text(f"  {line}") for line in (*said, *evidence_lines(estimates))]
    lines.append(
        Text(
            "\nIntervals are from clusters of rows and hold for these fitted models; for new rows, only if "
            "neither was\nfitted to these rows."
        )
    )
    return Group(*_tables(escape(printable(title)), labels, results, divergence), *lines)


def _tables(
    title: str, labels: list[str], results: Sequence[Result], divergence: str | None
) -> list[RenderableType]:
    """The tables of what was measured: of squared errors, or of the losses of classes and of scores."""
    of_classes = "classes" in results[0].facts
    usual = ("zero-one", "brier") if of_classes else ("squared",)
    shown = usual if divergence is None else (divergence,)
    losses: list[RenderableType] = [
        _losses(title, labels, results, loss, with_intervals=divergence is not None) for loss in shown
    ]
    return [*losses, _scores(title, labels, results)] if of_classes else losses


def _losses(
    title: str, labels: list[str], results: Sequence[Result], loss: str, *, with_intervals: bool
) -> Fitted:
    """A table with a row for each pair; cross term in accuracy and slopes are shown in full alone."""
    columns = _IN_FULL[loss]
    if not with_intervals:
        in_full_alone = ("slope", "cross term") if loss == "zero-one" else ("slope",)
        columns = {h: of for h, of in columns.items() if h not in in_full_alone}
    columns = {
        h: of for h, of in columns.items() if h not in _BASELINES or any(of in r.estimates for r in results)
    }
    below = "\n95% intervals below" if with_intervals else ""
    table = new_table(f"{title}: {_LOSSES[loss]}{below}", "supervisor", columns)
    for label, result in zip(labels, results, strict=True):
        known, spread = result.estimates, result.facts["variance_of_truth"]
        cells = [
            with_ends(known[key]) if with_intervals and key in known else cell(known, key, spread)
            for key in columns.values()
        ]
        table.add_row(escape(label), *cells)
    return Fitted(table)


def _scores(title: str, labels: list[str], results: Sequence[Result]) -> Fitted:
    """A table with a row for each supervisor, student and baseline, and intervals where they are known."""
    table = new_table(f"{title}: scores", "of", _SCORES)
    for label, result in zip(labels, results, strict=True):
        for role, found in result.facts["scores"].items():
            name = f"{label}: {'student' if role == 'strong' else role}"
            table.add_row(escape(name), *(_score(result, role, of, found[of]) for of in _SCORES.values()))
    return Fitted(table)


def _score(result: Result, role: str, name: str, value: float) -> str:
    """A score with its interval, unless that is of another number, as of smoothed probabilities."""
    if np.isnan(value):
        return "–"
    estimate = result.estimates.get(f"{role}_{'error' if name == 'brier' else name}")
    if estimate is None or not abs(float(estimate.value) - value) <= 1e-9 * abs(value):
        return f"{value:.4g}"
    return with_ends(estimate)


def _roles(about: Mapping[str, str]) -> Mapping[str, str]:
    """Who is who in a pair: by the names of a record, else by those of the columns."""
    if "supervisor" in about:
        return about
    return {"supervisor": about["weak"], "student": about["strong"]}


def _left_out(facts: Mapping[str, Any]) -> list[str]:
    """How many rows the gain is not of, and why."""
    without: Mapping[str, int] = facts["rows_left_out_without"]
    if not without:
        return []
    total = sum(without.values())
    reasons = ", ".join(f"{count} without {what}" for what, count in without.items())
    return [f"note: {total} of {counted(facts['rows'] + total, 'row')} left out of the gain: {reasons}"]


def _everywhere(misfit: Estimate) -> str:
    """The misfit that takes no truth."""
    shown = f"{misfit.value:.4g} (95% interval {misfit.low:.4g} to {misfit.high:.4g})"
    return f"misfit on all {misfit.rows} rows with a weak label and a prediction: {shown}"
