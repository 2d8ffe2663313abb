"""Tables of weak-to-strong supervision on molecules, in Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from math import isnan
from typing import Any

from weakstrong.estimate import Estimate
from weakstrong.paper.molecule_claims import BESIDE, PAPER_TABLE_1, ROWS
from weakstrong.paper.molecule_settings import JudgedOn
from weakstrong.paper.molecule_statistics import CROSSED, RULES, WEAK_ALONE
from weakstrong.record import Record

_HEADS = {
    "linear": "Plain linear heads.",
    "l2": "Heads in an L2 ball, radius by cross-validation on the labels being fitted: the theory holds "
    "given the radius.",
    "stopped": "Plain linear heads by gradient descent from zero, stopped where the error on the valid rows "
    "is least, on the labels being fitted: a student never sees the truth.",
    "steps": "Plain linear heads by gradient descent from zero, at the largest rate that is safe in every "
    "direction (1/λ₁), after a fixed number of steps.",
    "adam": "Plain linear heads by Adam on minibatches from zero, of the epoch whose error on the valid rows "
    "is least, on the labels being fitted: a student never sees the truth.",
}
_OF_ONE_DIVISION = (
    "One division a split, the first, on {rows} unless said: mean ± standard deviation over the "
    "splits; the least of each column in bold. All divisions: means with 95% intervals. Baselines: means "
    "over the splits."
)
_OF_ALL = (
    "Means over splits and divisions, on {rows}; the last column has the gain's standard "
    "deviation over splits (of means over divisions) and over divisions (of means over splits)."
)
_SIGNED = {"gain", "cross_term", "gain_over_direct"}
_ERRORS = {
    "supervisor": "weak_error",
    "student": "strong_error",
    "misfit": "misfit",
    "gain": "gain",
    "cross term": "cross_term",
    "ceiling": "ceiling_error",
    "direct": "direct_error",
    "mean": "mean_error",
    "untrained student": "untrained_error",
}
_RULE = "weak_error_minus_misfit"
_PAPER_COLUMNS = {"weak error − misfit": _RULE, "true error of the student": "strong_error"}
_ALL_DIVISIONS = {f"{title}, all divisions": name for title, name in _PAPER_COLUMNS.items()}
_BASELINES = {
    "ceiling": "ceiling_error",
    "direct": "direct_error",
    "mean": "mean_error",
    "untrained student": "untrained_error",
}


def molecule_page(record: Record, *, ranking: bool) -> list[str]:
    """Return the Markdown lines that a page shows below the figure of a record."""
    lines: list[str] = []
    swapped, dataset = record.settings["swap_roles"], record.settings["dataset"]
    judge_on = record.settings.get("judge_on", "valid+test")  # older records have no such setting
    rows = ROWS[judge_on]
    weak = "student" if swapped else "weak model"
    for result in record.results:
        heads, evaluations = result.about["heads"], result.estimates
        if ranking:
            is_table_1 = dataset == "Lipop" and not swapped
            lines += [f"**{_HEADS[heads]}** {_OF_ONE_DIVISION.format(rows=rows)}", ""]
            lines += [*paper_table(evaluations, PAPER_TABLE_1 if is_table_1 else {}, weak, judge_on), ""]
            lines += [f"{spearman_sentence(evaluations, judge_on)}.", ""]
            lines += [*regret_table(evaluations, judge_on), ""]
        else:
            table = errors_table(evaluations[judge_on]["table"], weak)
            lines += [f"**{_HEADS[heads]}** {_OF_ALL.format(rows=rows)}", "", *table, ""]
            lines += [f"{misfit_sentence(evaluations[judge_on])}.", ""]
    return lines


def paper_table(
    evaluations: Mapping[str, Any],
    paper: dict[str, Any] | None = None,
    weak: str = "weak model",
    judge_on: JudgedOn = "valid+test",
) -> list[str]:
    """Return the paper's Table 1: mean ± std over the splits, the least of each column in bold.

    Parameters
    ----------
    evaluations : dict
        Statistics of one head class, by evaluation.
    paper : dict, optional
        The paper's two columns, for the weak models of its names.
    """
    rows = sorted(evaluations[judge_on]["table"], key=lambda row: row[_RULE]["first"]["mean"])
    columns: dict[str, dict[str, dict[str, float]]] = {}
    beside = BESIDE[judge_on]
    for suffix, table in (("", rows), (f", {ROWS[beside]}", evaluations[beside]["table"])):
        for index, title in enumerate(_PAPER_COLUMNS):
            columns[title + suffix] = {row["weak"]: row[_PAPER_COLUMNS[title]]["first"] for row in table}
            if paper and not suffix:
                paper_column = {
                    name: dict(zip(("mean", "std"), pair[index], strict=True)) for name, pair in paper.items()
                }
                columns[f"{title}, paper"] = paper_column
    lines = [
        f"| {weak} | {' | '.join((*columns, *_ALL_DIVISIONS, *_BASELINES))} |",
        "|---|" + "---:|" * (len(columns) + len(_ALL_DIVISIONS) + len(_BASELINES)),
    ]
    for row in rows:
        cells = [_spread_cell(column, row["weak"]) for column in columns.values()]
        cells += [_bracketed(row[name]["all"]) for name in _ALL_DIVISIONS.values()]
        cells += [_number(row[name]["first"]["mean"]) for name in _BASELINES.values()]
        lines.append(f"| {_cell(row['weak'])} | {' | '.join(cells)} |")
    return lines


def errors_table(rows: list[dict[str, Any]], weak: str = "weak model") -> list[str]:
    """Return a table of means over splits and divisions, with intervals and the spread of divisions."""
    lines = [
        f"| {weak} | {' | '.join(_ERRORS)} | gain over direct | std of gain: splits, divisions |",
        "|---|" + "---:|" * (len(_ERRORS) + 2),
    ]
    for row in rows:
        cells = [
            _interval_cell(row[c], signed=c in _SIGNED, full=c in ("gain", "cross_term"))
            for c in _ERRORS.values()
        ]
        cells.append(_interval_cell(row["gain_over_direct"], signed=True, full=True))
        cells.append(
            f"{_number(row['gain']['std_over_splits'])}, {_number(row['gain']['std_over_divisions'])}"
        )
        lines.append(f"| {_cell(row['weak'])} | {' | '.join(cells)} |")
    return lines


def regret_table(evaluations: Mapping[str, Any], judge_on: JudgedOn = "valid+test") -> list[str]:
    """Return a table of each rule's regret, chosen and judged on the same rows and on different rows."""
    titles = {
        judge_on: "scored and judged on the same rows, means over splits",
        CROSSED: "chosen on valid rows, judged on test rows, split by split",
    }
    headings = [f"regret, {title} | the same minus weak error alone" for title in titles.values()]
    lines = [f"| picked by | {' | '.join(headings)} |", "|---|" + "---:|" * (2 * len(titles))]
    for rule in RULES:
        cells = []
        for name in titles:
            regrets = evaluations[name]["regret"][rule]
            difference = "" if rule == WEAK_ALONE else _bracketed(regrets["over_weak_alone"], signed=True)
            cells += [_bracketed(regrets["regret"]), difference]
        lines.append(f"| {rule} | {' | '.join(cells)} |")
    return lines


def spearman_sentence(evaluations: Mapping[str, Any], judge_on: JudgedOn = "valid+test") -> str:
    """Report Spearman's correlation of the table's two columns in a sentence."""
    beside = BESIDE[judge_on]
    ranking, spread = evaluations[judge_on]["ranking"], evaluations[judge_on]["ranking"]["over_divisions"]
    others = f"{ROWS[beside]} {_bracketed(evaluations[beside]['ranking']['all'])}"
    return (
        f"Spearman's correlation of the two columns: {_bracketed(ranking['first'])} in this division, "
        f"{_bracketed(ranking['all'])} over all ({others}); over single "
        f"divisions {_number(spread['min'])} to {_number(spread['max'])}, median {_number(spread['median'])}"
    )


def misfit_sentence(evaluation: dict[str, Any]) -> str:
    """Report gain against misfit, and the bound of law 3, in words."""
    line, law = evaluation["line"], evaluation["law_3"]
    ratio = law["class_over_quarter_misfit"]
    return (
        f"Gain is {_bracketed(line['gain_over_misfit'])} of the misfit, the cross term "
        f"{_bracketed(line['cross_over_misfit'])} of it; slope {_bracketed(line['slope'])} over "
        f"{line['points']} points, {_bracketed(line['slope_of_means'])} over the means of the weak models. "
        "Law 3, gain ≥ misfit − 2√(class error · misfit), promises a gain where the class error (of the "
        "student's own class on the truth of its rows) is below a quarter of the misfit: in the means it "
        f"is {ratio['least'].value:.1f} to {ratio['most'].value:.1f} times that. Points with a promise: "
        f"{law['points_with_a_promise']}, of which {law['points_with_a_broken_promise']} break it; points "
        f"below the bound, which is of a student of the whole population: {law['points_below']}"
    )


def _spread_cell(column: dict[str, dict[str, float]], name: str) -> str:
    """Format mean ± std, in bold if it is the least of its column."""
    if name not in column:
        return "–"
    text = f"{_number(column[name]['mean'])} ± {_number(column[name]['std'])}"
    return f"**{text}**" if column[name]["mean"] == min(c["mean"] for c in column.values()) else text


def _interval_cell(estimates: Mapping[str, Any], *, signed: bool, full: bool) -> str:
    estimate: Estimate = estimates["all"]
    if isnan(estimate.value):
        return "–"
    return _bracketed(estimate, signed=signed) if full else _number(estimate.value, signed=signed)


def _bracketed(estimate: Estimate, *, signed: bool = False) -> str:
    value, low, high = (_number(v, signed=signed) for v in (estimate.value, estimate.low, estimate.high))
    return f"{value} [{low}, {high}]"


def _number(value: float | None, *, signed: bool = False) -> str:
    """Format with four decimals as in the paper's table, fewer for large numbers."""
    if value is None or isnan(value):
        return "–"
    digits = 4 if abs(value) < 10 else 2 if abs(value) < 1000 else 0
    return f"{value:{'+' if signed else ''}.{digits}f}"


def _cell(name: str) -> str:
    return name.replace("|", r"\|")
