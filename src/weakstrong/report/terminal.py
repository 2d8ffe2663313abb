"""Tables and notes that the commands print."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import copy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.markup import escape
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from weakstrong.class_laws import conditions
from weakstrong.errors import counted, printable
from weakstrong.estimate import Estimate
from weakstrong.record import Record, Result
from weakstrong.saved_model import Student

ERRORS = {
    "weak error": "weak_error",
    "student": "strong_error",
    "misfit": "misfit",
    "weak − misfit": "weak_error_minus_misfit",
    "gain": "gain",
    "cross term": "cross_term",
    "logconf": "logconf_error",
    "bootstrapping": "bootstrapping_error",
    "ceiling": "ceiling_error",
    "direct": "direct_error",
    "null": "null_error",
    "mean": "mean_error",
}
ACCURACIES = {
    "weak": "weak_accuracy",
    "student": "strong_accuracy",
    "differ": "disagreement",
    "gain": "gain_in_accuracy",
    "corrected": "corrected_accuracy",
    "logconf": "logconf_accuracy",
    "bootstrapping": "bootstrapping_accuracy",
    "ceiling": "ceiling_accuracy",
    "direct": "direct_accuracy",
    "null": "null_accuracy",
    "mean": "mean_accuracy",
}
_ASKED_FOR = ("logconf", "bootstrapping")
_SIGNED = ("gain", "cross_term", "slope")
_OF_CLASSES = (
    "\ndiffer: rows of which supervisor and student name another class; corrected: the student with the prior"
    "\nof the true labels that teach. A Brier score is summed over the classes: 0 to 2."
)
_NOTHING = 1e-12  # relative to the error of predicting the mean: rounding
_ENDLESS = 10_000  # columns: files and pipes have no right margin


def show(renderable: RenderableType) -> None:
    """Print to standard output; lines are broken on a terminal only, and control characters are escaped."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=_ENDLESS)
    console.print(_Escaped(renderable))


@dataclass(frozen=True)
class _Escaped:
    """What is to be shown, with the control characters of its texts as escapes."""

    renderable: RenderableType

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for segment in console.render(self.renderable, options):
            shown = printable(segment.text, keep="\n")
            yield segment if segment.control else Segment(shown, segment.style)


@dataclass(frozen=True)
class Fitted:
    """A table whose columns stand closer, and names fold before numbers, on a terminal too narrow for it."""

    table: Table

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        table = copy(self.table)
        if table.__rich_measure__(console, options).minimum > options.max_width:
            table.padding = 0
            names, *numbers = self.table.columns
            headings = ["\n".join(str(column.header).rsplit(" ", 1)) for column in numbers]
            pairs = zip(numbers, headings, strict=True)
            table.columns = [names, *(replace(c, header=heading, no_wrap=True) for c, heading in pairs)]
        yield table


def new_table(title: str, first: str, others: Iterable[str]) -> Table:
    """A table whose names fold and whose numbers are never cut."""
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    table.add_column(first, overflow="fold")
    for heading in others:
        table.add_column(heading, justify="right", overflow="fold", min_width=6)
    return table


def study_table(record: Record) -> RenderableType:
    """Errors of every supervisor's student beside the baselines, then conclusions in words."""
    of_classes = "classes" in record.facts
    errors = "Brier scores" if of_classes else "mean squared errors"
    tables = [_study_part(record, errors, ERRORS)]
    if of_classes:
        tables.insert(0, _study_part(record, "accuracies", ACCURACIES))
    labels = pair_labels([result.about for result in record.results])
    lines = [Text(f"note: {note}") for note in record.notes]
    for label, result in zip(labels, record.results, strict=True):
        facts = result.facts
        lines.append(
            Text(
                f"\n{label} ({counted(facts['divisions'], 'division')}, "
                f"{counted(facts['held_out_rows'], 'held-out row')})"
            )
        )
        lines += [Text(f"  {finding}") for finding in result.findings]
        lines.append(Text(f"  {_spread(facts)}"))
        lines += [Text(f"  {line}") for line in gaps_recovered(result)]
        lines += [Text(f"  {line}") for line in evidence_lines(result.estimates)]
    lines.append(
        Text(
            "\nstudent: trained on its supervisor's labels alone; ceiling: its class on the truth there;"
            "\ndirect: its class on the true labels that teach; null: its class on its supervisor's features,"
            "\nor the mean of labels given; mean: that of the true labels. Intervals are from clusters of"
            "\nheld-out rows and hold for these fitted models, not for a procedure that fits others."
            + _OF_CLASSES
            * of_classes
        )
    )
    return Group(*tables, *_budget_table(record), *lines)


def _study_part(record: Record, what: str, columns: Mapping[str, str]) -> Fitted:
    """One table of a study: a row for each pair. Baselines to be asked for have a column if there."""
    known = {name for result in record.results for name in result.estimates}
    columns = {h: of for h, of in columns.items() if h not in _ASKED_FOR or of in known}
    table = new_table(f"{escape(printable(record.title))}: {what} on held-out rows", "supervisor", columns)
    for label, result in zip(pair_labels([r.about for r in record.results]), record.results, strict=True):
        spread = result.estimates["mean_error"].value
        table.add_row(escape(label), *(cell(result.estimates, key, spread) for key in columns.values()))
    return Fitted(table)


def _budget_table(record: Record) -> list[RenderableType]:
    """The error of direct training on each number of true labels, if that was asked for."""
    curves = {(of.about["student"], of.about["heads"]): of.facts.get("budget") for of in record.results}
    known = {about: curve for about, curve in curves.items() if curve}
    if not known:
        return []
    counts = [str(point["true_labels"]) for point in next(iter(known.values()))]
    table = new_table(
        "direct training on so many true labels (95% interval, of rows and draws)", "student", counts
    )
    several = len({heads for _, heads in known}) > 1
    for (student, heads), curve in known.items():
        name = escape(printable(f"{student}, {heads} heads" if several else student))
        table.add_row(name, *(with_ends(point["direct_error"]) for point in curve))
    return [Fitted(table)]


def with_ends(estimate: Estimate) -> str:
    """Return a number with its interval on a line below, if it has one."""
    if np.isnan(estimate.low):
        return f"{float(estimate.value):.4g}\nno interval"
    return f"{float(estimate.value):.4g}\n{float(estimate.low):.3g} to {float(estimate.high):.3g}"


def pair_labels(about: list[Mapping[str, str]]) -> list[str]:
    """The supervisor of each pair, with its student, class of heads and columns where there are several."""
    keys = ("student", "heads", "weak", "strong")
    several = {key for key in keys if len({of.get(key) for of in about}) > 1}
    labels = []
    for of in about:
        student = f" → {of['student']}" if "student" in several else ""
        heads = f", {of['heads']} heads" if "heads" in several else ""
        columns = "".join(f", {of[key]}" for key in ("weak", "strong") if key in several)
        labels.append(printable(f"{of['supervisor']}{student}{heads}{columns}"))
    return labels


def student_table(student: Student, notes: tuple[str, ...]) -> RenderableType:
    """Return a table of how each target was fitted, with what the fit does not show."""
    title = f"student on {student.head.n_features} features, heads: {student.heads}"
    loss = {"logistic": "cross entropy", "brier": "Brier score"}.get(student.heads)
    errors = ("label variance", "misfit", "held-out misfit")
    if loss is not None:
        errors = (f"{loss} of the frequencies", loss, f"held-out {loss}")
    headings = ("rows fitted", *errors, "radius", "rank", "gap")
    table = new_table(title, "target", headings)
    for r in student.reports:
        radius = "–" if r.radius is None else f"{r.radius:.4g}"
        numbers = (f"{v:.4g}" for v in (r.label_variance, r.misfit, r.heldout_misfit))
        table.add_row(
            escape(printable(r.target)),
            str(r.rows_fitted),
            *numbers,
            radius,
            str(r.rank),
            f"{r.optimality_gap:.1e}",
        )
    lines = [Text(f"note: {note}") for note in notes]
    ignored = max((r.n_ignored for r in student.reports), default=0)
    if ignored:
        lines.append(
            Text(f"note: {counted(ignored, 'feature')} without effect, for varying by rounding alone")
        )
    lines += [Text(f"note: {line}") for line in conditions([student.heads])]
    lines.append(
        Text(
            "rank: of the features; gap: bound on the distance from the optimum"
            f"{', relative to the variance' if loss is None else ''}.\n"
            "Misfit is what the student does not reproduce of the weak labels. It is not evidence of gain:\n"
            "whether the student is better takes true labels on some rows (weakstrong study, or measure)."
        )
    )
    return Group(table, *lines)


def targets_table(targets: list[tuple[str, bool, str, str, str]]) -> RenderableType:
    """The targets: name, whether it is run by default, extra needed, title and the paper's claim."""
    table = Table(
        title="targets of weakstrong reproduce", title_justify="left", box=SIMPLE_HEAD, pad_edge=False
    )
    for heading in ("target", "extra needed", "what it is", "the paper's claim"):
        table.add_column(heading, overflow="fold")
    for name, default, *rest in targets:
        table.add_row(name + (" *" if default else ""), *rest)
    return Group(table, Text("*: run if none is named"))


def reproduced_table(rows: list[tuple[str, str, str, str, bool]]) -> RenderableType:
    """The paper's claims beside our results: name, claim, ours, agreement and whether computed now."""
    table = Table(title="reproduced", title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for heading in ("target", "the paper's claim", "ours", "agrees?"):
        table.add_column(heading, overflow="fold")
    for name, claim, ours, agrees, recomputed in rows:
        shown = name if recomputed else f"{name} (there already)"
        table.add_row(shown, escape(claim), escape(ours), escape(agrees))
    return table


def cell(estimates: Mapping[str, Estimate], key: str, spread: float) -> str:
    """An estimate in four digits; what is rounding beside the error of predicting the mean is 0."""
    if key not in estimates:
        return "–"  # of a record that an earlier version made
    value = estimates[key].value
    if abs(value) <= _NOTHING * spread:
        return "0"
    return f"{value:+.4g}" if key.startswith(_SIGNED) else f"{value:.4g}"


def _spread(facts: Mapping[str, Any]) -> str:
    """What refitting on other divisions changes; not a standard error, for they share rows."""
    gain = facts["spread_over_divisions"]["gain"]
    if facts["divisions"] == 1:
        return "for the procedure: a single division, so what refitting changes is not seen"
    extremes = f"from {gain['min']:+.4g} to {gain['max']:+.4g}"
    return f"for the procedure: from division to division gain ranges {extremes}"


def evidence_lines(estimates: Mapping[str, Estimate]) -> list[str]:
    """Say what the intervals shown were made from, in one line if all were from the same."""
    shown = ("gain", "cross_term", "gain_over_direct", "performance_gap_recovered")
    found = {name: estimates[name].evidence() for name in shown if name in estimates}
    if len(set(found.values())) == 1:
        return [f"intervals from {found['gain']}"]
    return [f"interval of {name.replace('_', ' ')} from {evidence}" for name, evidence in found.items()]


def gaps_recovered(result: Result) -> list[str]:
    """The share of the gap to the ceiling that is recovered, or why it is not known; in every loss."""
    lines = [f"gap recovered: {_recovered(result)}"]
    for loss in ("accuracy", "log_loss"):
        found = result.estimates.get(f"performance_gap_recovered_in_{loss}")
        if found is not None:
            lines.append(f"gap recovered in {loss.replace('_', ' ')}: {_with_interval(found)}")
    return lines


def _with_interval(estimate: Estimate) -> str:
    return f"{estimate.value:.2f} (95% interval {estimate.low:.2f} to {estimate.high:.2f})"


def _recovered(result: Result) -> str:
    if "performance_gap_recovered" not in result.estimates:
        return f"none: {result.facts['gap_not_recovered_because']}"
    return _with_interval(result.estimates["performance_gap_recovered"])
