"""The page that shows all records of a folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from weakstrong.errors import InputError
from weakstrong.paper.catalogue import catalogue
from weakstrong.paper.composite_figures import PANELS, composites, write_composites
from weakstrong.record import Record, Result
from weakstrong.whole_files import write_atomically

_FIRST_LINE = "# Reproduced with weakstrong"
_RECORD_FOLDERS = ("results/synthetic", "results/molecules/records")  # in the repository
_AS_THE_PAPER = "results/paper"  # the same in the paper's own procedure


def check_page(out: Path) -> None:
    """Refuse to replace a README.md that is not one of these pages, or figures without such a page.

    Raises
    ------
    InputError
    """
    page = out / "README.md"
    if page.exists() and not (
        page.is_file() and page.read_text(encoding="utf-8", errors="replace").startswith(_FIRST_LINE)
    ):
        raise InputError(
            f"{page}: is not a page of this command and would be replaced; choose another folder", "out"
        )
    for figure in [out / f"{name}.png" for name in PANELS]:
        if figure.exists() and not page.exists():
            raise InputError(
                f"{figure}: is not of this command, whose page is not here, and would be replaced; choose "
                "another folder",
                "out",
            )


def write_page(out: Path) -> None:
    """Write ``out/README.md``: claims and findings, Figures 2 and 3 in the paper's layout, every figure."""
    kept, experiments = records(out), catalogue()
    lines = [_FIRST_LINE, "", *claims_table(kept), ""]
    for rule in dict.fromkeys(experiments[name].rule for name in kept if experiments[name].rule):
        lines += [rule, ""]
    lines += _composites(kept)
    for name, record in kept.items():
        lines += [f"## {record.title}", "", *_remarks(record)]
        lines += [f"![{record.title}]({name}/figure.png)", "", *experiments[name].page(record)]
        links = "".join(f", [{t.stem}]({name}/{t.name})" for t in _tables(out / name) if t.stem != "tasks")
        lines += [
            f"[Settings]({name}/config.toml), [rows]({name}/tasks.csv){links}, "
            f"[statistics]({name}/summary.json).",
            "",
        ]
    write_atomically(out / "README.md", "\n".join(lines).encode())
    write_composites(out, kept)  # last: where there is no page yet, files of these names are another's


def _composites(kept: Mapping[str, Record]) -> list[str]:
    """Return the section with Figures 2 and 3 laid out as in the paper, of the panels that are there."""
    names = composites(kept)
    if not names:
        return []
    drawn = [kept[target] for name in names for row in PANELS[name] for target in row if target in kept]
    parts = []
    if any("weak" not in record.settings for record in drawn):
        parts.append("one seed, a point for each task")
    if any("weak" in record.settings for record in drawn):
        parts.append("on molecules one division of each split, and the first class of heads")
    what = "Its Figures 2 and 3, in the procedure of these records"
    lines = ["## In the paper's layout", "", f"{what}: {'; '.join(parts)}.", ""]
    for name in names:
        lines += [f"![Figure {name[-1]}]({name}.png)", ""]
    return lines


def _tables(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.glob("*.csv")) if path.stem != "predictions"]


def _remarks(record: Record) -> list[str]:
    """Return the remarks that a reader of a figure needs."""
    sentences = [f"{note[0].upper()}{note[1:]}." for note in record.notes]
    if _changes(record):
        sentences.append(f"Settings that are not the target's own: {_changes(record)}.")
    return [" ".join(sentences), ""] if sentences else []


def read_record(folder: Path) -> Record | None:
    """Return the record in a folder, without its tables; None if it is missing or cannot be read."""
    try:
        return Record.read(folder, tables=False)
    except InputError:
        return None


def records(out: Path) -> dict[str, Record]:
    """Return the complete records in a folder by name, in the catalogue's order."""
    by_name = {name: read_record(out / name) for name in catalogue()}
    return {name: record for name, record in by_name.items() if record is not None}


def claims_table(kept: Mapping[str, Record]) -> list[str]:
    """Return a Markdown table of the paper's claims and our findings."""
    lines = ["| target | the paper's claim | seeds | ours | agrees? |", "|---|---|---:|---|---|"]
    for name, record in kept.items():
        facts = record.facts
        for result in record.results:
            heads = "".join(f", {value} {key}" for key, value in result.about.items())
            agrees = _qualified(record, result.facts["agrees"])
            cells = (name + heads, facts["claim"], str(facts["seeds"]), _finding(record, result), agrees)
            lines.append(f"| {' | '.join(cells)} |")
    return lines


def agreement_table(repository: Path) -> list[str]:
    """Return a short Markdown table for the front page: the paper's claims, and whether our results agree.

    Targets of one claim share a line.
    """
    as_the_paper = records(repository / _AS_THE_PAPER)
    its_own = f"[in its own procedure]({_AS_THE_PAPER}/README.md)"
    lines = [f"| target | the paper's claim | agrees? | {its_own} | where |", "|---|---|---|---|---|"]
    for folder in _RECORD_FOLDERS:
        by_claim: dict[str, dict[str, Record]] = {}
        for name, record in records(repository / folder).items():
            by_claim.setdefault(record.facts["claim"], {})[name] = record
        for claim, ours in by_claim.items():
            theirs = {name: as_the_paper[name] for name in ours if name in as_the_paper}
            cells = (", ".join(ours), claim, _verdicts(ours), _verdicts(theirs))
            lines.append(f"| {' | '.join(cells)} | [{folder}]({folder}/README.md) |")
    return lines


def _verdicts(of_claim: Mapping[str, Record]) -> str:
    """Return the verdicts of the targets of one claim, said once where they are the same, and a caveat."""
    names: dict[str, list[str]] = {}
    for name, record in of_claim.items():
        names.setdefault(agreement(record), []).append(name)
    parts = [f"{', '.join(of)}: {verdict}" for verdict, of in names.items()] if len(names) > 1 else [*names]
    caveats = dict.fromkeys(record.facts.get("caveat") for record in of_claim.values())
    return "; ".join([*parts, *filter(None, caveats)])


def with_blocks(text: str, blocks: Mapping[str, list[str]]) -> str:
    """Replace the lines between the marks of each name in a page."""
    for name, lines in blocks.items():
        begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
        before, opening, rest = text.partition(begin)
        _, closing, after = rest.partition(end)
        assert opening, f"the page has no {begin}"
        assert closing, f"the page has no {end}"
        text = "\n".join([before + begin, "", *lines, "", end + after])
    return text


def agreement(record: Record) -> str:
    """Return whether a record agrees with its claim, for each of its results where they differ."""
    answers = {", ".join(result.about.values()): result.facts["agrees"] for result in record.results}
    if len(set(answers.values())) == 1:
        return str(next(iter(answers.values())))
    return ", ".join(f"{agrees} ({about} heads)" for about, agrees in answers.items())


def findings(record: Record) -> str:
    """Return the findings of a record in words, with the settings that differ from the defaults."""
    if not record.results[0].about:
        return _finding(record, record.results[0])
    parts = [f"{', '.join(result.about.values())}: {result.findings[0]}" for result in record.results]
    return f"{record.facts.get('caveat') or 'all'}: {_with_changes(record, '; '.join(parts))}"


def _finding(record: Record, result: Result) -> str:
    return _with_changes(record, result.findings[0])


def _qualified(record: Record, agrees: str) -> str:
    """Add to an answer what qualifies it."""
    caveat = record.facts.get("caveat")
    return f"{agrees}; {caveat}" if caveat else agrees


def _with_changes(record: Record, finding: str) -> str:
    return f"with {_changes(record)}: {finding}" if _changes(record) else finding


def _changes(record: Record) -> str:
    """List the settings that are not the target's own; those of a preset by its name."""
    changed: Mapping[str, Any] = record.facts["changed"]
    preset = record.facts.get("preset")
    named = [f"preset {preset}"] if preset else []
    return ", ".join([*named, *(f"{key} = {value}" for key, value in changed.items())])
