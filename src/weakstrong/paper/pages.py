"""The page that shows all records of a folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from weakstrong.errors import InputError
from weakstrong.paper.claims import RULES
from weakstrong.paper.molecule_claims import MOLECULE_RULES
from weakstrong.paper.molecule_tables import molecule_page
from weakstrong.paper.targets import TARGETS
from weakstrong.storage import DONE, write_atomically

FILES = ("config.toml", "tasks.csv", "summary.json", "figure.png")
_FIRST_LINE = "# Reproduced with weakstrong"
_COMMITTED = ("results/synthetic", "results/molecules/records")  # of the repository


def check_page(out: Path) -> None:
    """Refuse to replace a README.md that is not one of these pages.

    Raises
    ------
    InputError
    """
    page = out / "README.md"
    if page.exists() and not (page.is_file() and page.read_text(errors="replace").startswith(_FIRST_LINE)):
        raise InputError(f"{page}: is not a page of this command and would be replaced; choose another --out")


def write_page(out: Path) -> None:
    """Write ``out/README.md``: claims beside what came out, then every figure."""
    found = summaries(out)
    lines = [_FIRST_LINE, "", *claims_table(found), "", *_rules(found)]
    for name, summary in found.items():
        lines += [f"## {summary['title']}", "", *_remarks(summary)]
        lines += [f"![{summary['title']}]({name}/figure.png)", ""]
        if "by_heads" in summary:
            lines += molecule_page(summary, ranking=TARGETS[name].expects == "ranking")
        tables = f", [table]({name}/table.csv)" if "by_heads" in summary else ""
        lines.append(
            f"[Settings]({name}/config.toml), [rows]({name}/tasks.csv){tables}, "
            f"[statistics]({name}/summary.json)."
        )
        lines.append("")
    write_atomically(out / "README.md", "\n".join(lines).encode())


def _rules(found: dict[str, dict[str, Any]]) -> list[str]:
    """The rules behind the verdicts that are there."""
    of_molecules = ["by_heads" in summary for summary in found.values()]
    rules = ([] if all(of_molecules) else [RULES]) + ([MOLECULE_RULES] if any(of_molecules) else [])
    return [line for rule in rules for line in (rule, "")]


def _remarks(summary: dict[str, Any]) -> list[str]:
    """What a reader of a figure must know."""
    said = [summary["note"][0].upper() + summary["note"][1:] + "."] if summary["note"] else []
    if summary["changed"]:
        said.append(f"Settings that are not the target's own: {_changes(summary)}.")
    if "law_3" in summary:
        law = summary["law_3"]
        said.append(
            f"Law 3, gain ≥ misfit − 2√(ceiling error · misfit): {law['below']} of {law['tasks']} tasks are "
            f"below it, {law['clearly_below']} by more than 1.96 standard errors (of tasks at the bound, one "
            "in forty by chance; the law is of the population's projection, and a sample's student falls "
            "short a little more)."
        )
    return [" ".join(said), ""] if said else []


def summary_of_record(folder: Path) -> dict[str, Any] | None:
    """The summary of a whole record; None if a file is missing or it cannot be read."""
    if not all((folder / name).is_file() for name in (*FILES, DONE)):
        return None
    if not all((folder / name).is_file() for name in (folder / DONE).read_text().splitlines()):
        return None
    try:
        summary = json.loads((folder / "summary.json").read_text())
    except (OSError, ValueError):
        return None
    needed = {"key", "title", "note", "claim", "ours", "agrees", "seeds", "changed"}
    return summary if isinstance(summary, dict) and needed <= set(summary) else None


def summaries(out: Path) -> dict[str, dict[str, Any]]:
    """Summaries of the whole records of a folder, in the catalogue's order."""
    found = {name: summary_of_record(out / name) for name in TARGETS}
    return {name: summary for name, summary in found.items() if summary is not None}


def claims_table(found: dict[str, dict[str, Any]]) -> list[str]:
    """Markdown lines: paper's claim, ours, whether they agree."""
    lines = ["| target | the paper's claim | seeds | ours | agrees? |", "|---|---|---:|---|---|"]
    for name, summary in found.items():
        for target, said, agrees in _verdicts(name, summary):
            cells = (target, summary["claim"], str(summary["seeds"]), said, agrees)
            lines.append(f"| {' | '.join(cells)} |")
    return lines


def agreement_table(repository: Path) -> list[str]:
    """Markdown lines, short enough for a front page: the paper's claims, whether ours agrees, and where.

    Targets of one claim and one verdict share a line.
    """
    together: dict[tuple[str, str, str], list[str]] = {}
    for folder in _COMMITTED:
        for name, summary in summaries(repository / folder).items():
            agrees = summary["agrees"]
            if "verdicts" in summary:
                agrees += f"; {_whose(summary)}"
            together.setdefault((summary["claim"], agrees, folder), []).append(name)
    lines = ["| target | the paper's claim | agrees? | where |", "|---|---|---|---|"]
    for (claim, agrees, folder), names in together.items():
        lines.append(f"| {', '.join(names)} | {claim} | {agrees} | [{folder}]({folder}/README.md) |")
    return lines


def with_blocks(text: str, blocks: Mapping[str, list[str]]) -> str:
    """A page with the lines between the marks of each name replaced."""
    for name, lines in blocks.items():
        begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
        before, found, rest = text.partition(begin)
        _, closed, after = rest.partition(end)
        assert found, f"the page has no {begin}"
        assert closed, f"the page has no {end}"
        text = "\n".join([before + begin, "", *lines, "", end + after])
    return text


def _verdicts(name: str, summary: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Target, ours and agreement: one, or one for each class of heads."""
    if "verdicts" not in summary:
        return [(name, ours(summary), summary["agrees"])]
    whose = _whose(summary)
    return [
        (f"{name}, {heads} heads", _with_changes(summary, found["ours"]), f"{found['agrees']}; {whose}")
        for heads, found in summary["verdicts"].items()
    ]


def _whose(summary: dict[str, Any]) -> str:
    """Whether a record on molecules has the paper's student, from its note."""
    return str(summary["note"]).partition(" (")[0]


def ours(summary: dict[str, Any]) -> str:
    """What came out, with the settings that are not the target's own."""
    said = _with_changes(summary, summary["ours"])
    return f"{_whose(summary)}: {said}" if "by_heads" in summary else said


def _with_changes(summary: dict[str, Any], said: str) -> str:
    return f"with {_changes(summary)}: {said}" if summary["changed"] else said


def _changes(summary: dict[str, Any]) -> str:
    return ", ".join(f"{key} = {value}" for key, value in summary["changed"].items())
