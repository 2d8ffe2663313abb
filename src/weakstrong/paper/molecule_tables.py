"""Tables of weak-to-strong supervision on molecules, in Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from math import isnan
from typing import Any

from weakstrong.estimate import Estimate
from weakstrong.paper.molecule_claims import PAPER_TABLE_1
from weakstrong.paper.molecule_statistics import CROSSED, RULES, WEAK_ALONE
from weakstrong.record import Record

_HEADS = {
    "linear": "Plain linear heads.",
    "l2": "Heads in an L2 ball, radius by cross-validation on the labels being fitted: the theory holds "
    "given the radius.",
}
_OF_ONE_DIVISION = (
    "One division a split, the first, on valid and test rows unless said: mean ± standard deviation over the "
    "splits; the least of each column in bold. All divisions: means with 95% intervals. Baselines: means "
    "over the splits."
)
_OF_ALL = (
    "Means over splits and divisions, on valid and test rows; the last column has the gain's standard "
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
_PAPERS = {"weak error − misfit": _RULE, "true error of the student": "strong_error"}
_ALL = {f"{said}, all divisions": name for said, name in _PAPERS.items()}
_BASELINES = {
    "ceiling": "ceiling_error",
    "direct": "direct_error",
    "mean": "mean_error",
    "untrained student": "untrained_error",
}


def molecule_page(record: Record, *, ranking: bool) -> list[str]:
    """What a page shows of a record beside its figure."""
    lines: list[str] = []
    swapped, dataset = record.settings["swap_roles"], record.settings["dataset"]
    weak = "student" if swapped else "weak model"
    for result in record.results:
        heads, at = result.about["heads"], result.estimates
        if ranking:
            shown = dataset == "Lipop" and not swapped
            lines += [f"**{_HEADS[heads]}** {_OF_ONE_DIVISION}", ""]
            lines += [*paper_table(at, PAPER_TABLE_1 if shown else {}, weak), ""]
            lines += [f"{spearman_said(at)}.", "", *regret_table(at), ""]
        else:
            table = errors_table(at["valid+test"]["table"], weak)
            lines += [f"**{_HEADS[heads]}** {_OF_ALL}", "", *table, ""]
            lines += [f"{line_said(at['valid+test'])}.", ""]
    return lines


def paper_table(
    at: Mapping[str, Any], paper: dict[str, Any] | None = None, weak: str = "weak model"
) -> list[str]:
    """The paper's Table 1: one division a split, ± std over the splits, the best of each column bold.

    Parameters
    ----------
    at : dict
        Of one head class, by evaluation.
    paper : dict, optional
        The paper's two columns, for the weak models of its names.
    """
    rows = sorted(at["valid+test"]["table"], key=lambda row: row[_RULE]["first"]["mean"])
    columns: dict[str, dict[str, dict[str, float]]] = {}
    for where, table in (("", rows), (", test alone", at["test"]["table"])):
        for place, said in enumerate(_PAPERS):
            columns[said + where] = {row["weak"]: row[_PAPERS[said]]["first"] for row in table}
            if paper and not where:
                known = {
                    name: dict(zip(("mean", "std"), found[place], strict=True))
                    for name, found in paper.items()
                }
                columns[f"{said}, paper"] = known
    lines = [
        f"| {weak} | {' | '.join((*columns, *_ALL, *_BASELINES))} |",
        "|---|" + "---:|" * (len(columns) + len(_ALL) + len(_BASELINES)),
    ]
    for row in rows:
        cells = [_spread_cell(column, row["weak"]) for column in columns.values()]
        cells += [_bracketed(row[name]["all"]) for name in _ALL.values()]
        cells += [_number(row[name]["first"]["mean"]) for name in _BASELINES.values()]
        lines.append(f"| {_cell(row['weak'])} | {' | '.join(cells)} |")
    return lines


def errors_table(rows: list[dict[str, Any]], weak: str = "weak model") -> list[str]:
    """Means over splits and divisions with intervals; how single divisions spread."""
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


def regret_table(at: Mapping[str, Any]) -> list[str]:
    """What each rule loses against the best pick, scored and judged on the same rows and on others."""
    shown = {
        "valid+test": "scored and judged on the same rows, means over splits",
        CROSSED: "chosen on valid rows, judged on test rows, split by split",
    }
    headings = [f"regret, {said} | the same minus weak error alone" for said in shown.values()]
    lines = [f"| picked by | {' | '.join(headings)} |", "|---|" + "---:|" * (2 * len(shown))]
    for rule in RULES:
        cells = []
        for name in shown:
            found = at[name]["regret"][rule]
            over = "" if rule == WEAK_ALONE else _bracketed(found["over_weak_alone"], signed=True)
            cells += [_bracketed(found["regret"]), over]
        lines.append(f"| {rule} | {' | '.join(cells)} |")
    return lines


def spearman_said(at: Mapping[str, Any]) -> str:
    """Spearman's correlation of the table's columns in words."""
    ranking, alone = at["valid+test"]["ranking"], at["test"]["ranking"]
    each = ranking["over_divisions"]
    return (
        f"Spearman's correlation of the two columns: {_bracketed(ranking['first'])} in this division, "
        f"{_bracketed(ranking['all'])} over all (test rows alone {_bracketed(alone['all'])}); over single "
        f"divisions {_number(each['min'])} to {_number(each['max'])}, median {_number(each['median'])}"
    )


def line_said(found: dict[str, Any]) -> str:
    """Gain against misfit, and what law 3 leaves, in words."""
    line, law = found["line"], found["law_3"]
    over = law["class_over_quarter_misfit"]
    return (
        f"Gain is {_bracketed(line['gain_over_misfit'])} of the misfit, the cross term "
        f"{_bracketed(line['cross_over_misfit'])} of it; slope {_bracketed(line['slope'])} over "
        f"{line['points']} points, {_bracketed(line['slope_of_means'])} over the means of the weak models. "
        "Law 3, gain ≥ misfit − 2√(class error · misfit), promises a gain where the class error (of the "
        "student's own class on the truth of its rows) is below a quarter of the misfit: in the means it "
        f"is {over['least'].value:.1f} to {over['most'].value:.1f} times that. Points with a promise: "
        f"{law['points_with_a_promise']}, of which {law['points_with_a_broken_promise']} break it; points "
        f"below the bound, which is of a student of the whole population: {law['points_below']}"
    )


def _spread_cell(column: dict[str, dict[str, float]], name: str) -> str:
    """Mean ± std, the least of its column in bold."""
    if name not in column:
        return "–"
    said = f"{_number(column[name]['mean'])} ± {_number(column[name]['std'])}"
    return f"**{said}**" if column[name]["mean"] == min(c["mean"] for c in column.values()) else said


def _interval_cell(found: Mapping[str, Any], *, signed: bool, full: bool) -> str:
    every: Estimate = found["all"]
    if isnan(every.value):
        return "–"
    return _bracketed(every, signed=signed) if full else _number(every.value, signed=signed)


def _bracketed(found: Estimate, *, signed: bool = False) -> str:
    value, low, high = (_number(v, signed=signed) for v in (found.value, found.low, found.high))
    return f"{value} [{low}, {high}]"


def _number(value: float | None, *, signed: bool = False) -> str:
    """Four decimals as the paper's table; fewer where numbers are large."""
    if value is None or isnan(value):
        return "–"
    digits = 4 if abs(value) < 10 else 2 if abs(value) < 1000 else 0
    return f"{value:{'+' if signed else ''}.{digits}f}"


def _cell(name: str) -> str:
    return name.replace("|", r"\|")
