"""What README and the pages of docs show runs as it stands, and says what the records say."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from collections.abc import Callable
from functools import cache, reduce
from operator import getitem
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd
import pytest

from weakstrong.paper.pages import write_page

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
PAGES = {"README.md": README} | {
    f"docs/{p.name}": p.read_text() for p in sorted((ROOT / "docs").glob("*.md"))
}
MARKED = r"(-?[\d.,]*\d)<!-- ([^>]+?) -->"


def _blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGES[page], flags=re.DOTALL)


def _commands(page: str) -> list[str]:
    """Commands of a page: of its shell blocks, and those named with flags in its text."""
    shell = "\n".join(_blocks(page, "sh")).replace("\\\n", " ").splitlines()
    inline = re.findall(r"`([^`]*--[^`]*)`", re.sub(r"```.*?```", "", PAGES[page], flags=re.DOTALL))
    parts = [" ".join(part.split()) for line in (*shell, *inline) for part in line.split("&&")]
    return [part for part in parts if part.startswith(("weakstrong ", "python "))]


SHOWN = [(page, line) for page in PAGES for line in _commands(page)]


def test_the_front_page_is_short() -> None:
    assert len(README.splitlines()) <= 150


def test_the_quickstart_is_ten_lines() -> None:
    [quickstart] = _blocks("README.md", "python")
    assert len([line for line in quickstart.splitlines() if line.strip()]) <= 10


@pytest.mark.parametrize("page", [page for page in PAGES if _blocks(page, "python")])
def test_code_shown_prints_what_is_shown_below_it(page: str) -> None:
    shown = re.findall(r"```python\n(.*?)```(?:(?!```).)*```text\n(.*?)```", PAGES[page], flags=re.DOTALL)
    assert len(shown) == len(_blocks(page, "python"))
    for code, printed in shown:
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout == printed


def test_the_command_shown_prints_the_lines_that_are_shown(command) -> None:
    """The lines of the front page are among those printed, in their order: some are left out there."""
    example = "weakstrong study --example diabetes"
    assert ("README.md", example) in SHOWN
    [shown] = [block for block in _blocks("README.md", "text") if "held-out rows" in block]
    ran = command(*example.split()[1:])
    assert ran.code == 0, ran.err
    printed = iter([line.rstrip() for line in ran.out.splitlines()])
    for line in shown.splitlines():
        assert line in printed, line  # goes on where the last was found


def test_the_two_commands_are_there() -> None:
    shell = "\n".join(_blocks("README.md", "sh"))
    assert 'pip install -c constraints.txt -e ".[nn]" && weakstrong reproduce' in shell
    assert 'pip install -c constraints.txt -e ".[test]" && pytest' in shell


@pytest.mark.parametrize(("page", "line"), SHOWN)
def test_commands_shown_are_commands_there_are(command, page: str, line: str) -> None:
    program, name, *_ = line.split()
    if program == "weakstrong":
        ran = command(name, "--help")
        assert ran.code == 0, ran.err
        known = ran.out
    else:
        known = (ROOT / name).read_text()
    assert set(re.findall(r"--[a-z][a-z-]*", line)) <= set(re.findall(r"--[a-z][a-z-]*", known))


def _anchors(text: str) -> set[str]:
    """What headings of a page are linked by."""
    headings = re.findall(r"(?m)^#+ (.+)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES)
def test_links_and_images_lead_somewhere(page: str) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", PAGES[page])
    assert links
    for link in links:
        if link.startswith(("https://", "http://")):
            continue
        path, _, anchor = link.partition("#")
        there = ROOT / page if not path else (ROOT / page).parent / path
        assert there.exists(), link
        assert not anchor or anchor in _anchors(there.read_text()), link


def test_the_front_page_leads_to_every_page() -> None:
    for page in (*PAGES, "models/README.md", "CHANGELOG.md", "CITATION.cff"):
        assert page == "README.md" or f"]({page})" in README


def _rounded(quoted: str, value: float) -> bool:
    """Whether a number as shown is the value rounded to the digits shown."""
    digits = len(quoted.partition(".")[2])
    return abs(float(quoted.replace(",", "")) - value) <= 0.51 * 10**-digits


@cache
def script(path: str) -> ModuleType:
    """A script outside the package, as a module."""
    spec = importlib.util.spec_from_file_location(Path(path).stem, ROOT / path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look there
    spec.loader.exec_module(module)
    return module


def _block(page: str, name: str) -> list[str]:
    """Lines of a page between the marks of a name, but empty ones."""
    [text] = re.findall(rf"<!-- {name}: begin -->\n(.*?)<!-- {name}: end -->", PAGES[page], flags=re.DOTALL)
    return [line for line in text.splitlines() if line]


def _record(*path: str) -> Any:
    return json.loads(ROOT.joinpath(*path).read_text())


EXAMPLES = ("study_real_features", "study_given_labels", "reproduce_synthetic", "reproduce_molecules")
PLACE = ("layout", "distribution", "correlation")
BENCHMARK = _record("benchmarks", "results", "heads.json")


def test_tables_are_those_of_the_records() -> None:
    found = [script(f"examples/{name}.py").page_tables() for name in EXAMPLES]
    found.append(script("examples/pretrain_models.py").page_tables(_record("models", "probes.json")))
    heads = script("benchmarks/heads.py")
    benchmarks = {"benchmark": heads.table(BENCHMARK), "benchmark shapes": heads.table_of_shapes(BENCHMARK)}
    for name in (
        "classes",
        "clusters",
        "worth",
        "scores",
        "scaling",
        "synthetic",
        "molecules",
        "supervision",
    ):
        record = _record("benchmarks", "results", f"{name}.json")
        benchmarks[f"benchmark {name}"] = script(f"benchmarks/{name}.py").table(record)
    found.append({"docs/benchmarks.md": benchmarks})
    shown = {
        (page, name): lines for tables in found for page, at in tables.items() for name, lines in at.items()
    }
    marks = [(page, name) for page in PAGES for name in re.findall(r"<!-- ([\w ]+): begin -->", PAGES[page])]
    assert sorted(marks) == sorted(shown)
    for (page, name), lines in shown.items():
        assert len(lines) > 5
        assert _block(page, name) == [line for line in lines if line], (page, name)


def test_tables_of_classes_are_those_of_the_records() -> None:
    page = (ROOT / "results" / "classes" / "README.md").read_text()
    for name, lines in script("examples/study_classes.py").tables().items():
        [shown] = re.findall(rf"<!-- {name}: begin -->\n(.*?)<!-- {name}: end -->", page, flags=re.DOTALL)
        assert len(lines) > 5
        assert [line for line in shown.splitlines() if line] == lines, name


def test_intervals_over_clusters_cover_as_the_pages_say() -> None:
    """Gaussian effects: 93% or no verdict; where skew covers less, readers are warned, and pages say it."""
    record = _record("benchmarks", "results", "clusters.json")
    chance = 1.96 * (0.95 * 0.05 / record["settings"]["draws"]) ** 0.5
    shown = [c for c in record["cells"] if c["verdicts_given"]]
    for c in record["cells"]:
        covered = c["coverage"]["cr2"]
        if c["distribution"] == "Gaussian":
            assert covered >= 0.93 - chance
            assert c["wrong_verdict"] <= 0.05 + chance
            assert c["warned"] < 0.15 or c["effective_clusters"] < 12
        if c["verdicts_given"] and covered < 0.93:
            assert c["warned"] >= 0.69
            assert c["missed_below"] < 0.01 < c["missed_above"]
        assert c["verdicts_given"] or c["wrong_verdict"] == c["right_verdict_away"] == 0
    worst = {many: [c for c in shown if (c["effective_clusters"] >= 12) == many] for many in (False, True)}
    assert f"{min(c['coverage']['cr2'] for c in worst[False]):.0%}" == "83%"  # as notes and findings say
    assert f"{min(c['coverage']['cr2'] for c in worst[True]):.0%}" == "87%"
    again = script("benchmarks/clusters.py").cell("9 equal", "exponential", 1.0)
    [kept] = [c for c in shown if {k: c[k] for k in PLACE} == {k: again[k] for k in PLACE}]
    assert again["coverage"] == pytest.approx(kept["coverage"], abs=0.002)


def test_rows_drawn_in_are_nowhere_surely_worse_and_nothing_explodes_in_a_ball() -> None:
    """On real features, beside scaling by the spread alone, as the page says."""
    cells = [c for at in _record("benchmarks", "results", "scaling.json")["sets"].values() for c in at]
    assert all(c["ours_less_before"]["low"] <= 0 for c in cells)
    balls = [c for c in cells if c["heads"] == "l2"]
    assert (len(balls), len(cells)) == (34, 44)
    deviations = [c["largest_error"]["ours"] / c["label_variance"] ** 0.5 for c in balls]
    exploded = [c["largest_error"]["by spread"] / c["label_variance"] ** 0.5 for c in balls]
    assert max(deviations) < 6
    assert max(exploded) > 10
    linear = [c for c in cells if c["heads"] == "linear"]
    [one] = [c for c in linear if c["error"]["each clipped"] > 10 * c["error"]["ours"]]
    assert one["error"]["ours"] < 1.01 * one["error"]["as they are"]


def test_products_are_as_fast_and_as_exact_as_the_page_says() -> None:
    for cell in BENCHMARK["shapes"]:
        assert cell["excess_loss"]["exact"] < 1e-9
        if cell["condition"] > 1:
            assert cell["excess_loss"]["gram"] > 1e-6


@pytest.mark.parametrize("folder", ["results/synthetic", "results/molecules/records", "results/paper"])
def test_the_pages_beside_the_records_are_those_that_are_written(tmp_path: Path, folder: str) -> None:
    for record in (ROOT / folder).iterdir():
        if record.is_dir():
            (tmp_path / record.name).symlink_to(record)
    write_page(tmp_path)
    assert (tmp_path / "README.md").read_text() == (ROOT / folder / "README.md").read_text()


@cache
def _variants() -> pd.DataFrame:
    return pd.read_csv(ROOT / "results" / "synthetic" / "sensitivity.csv").set_index(["variant", "target"])


def _of_benchmark(place: str) -> float:
    return float(reduce(getitem, place.split("/"), BENCHMARK))


def _of_variant(variant: str, target: str, statistic: str) -> float:
    return float(_variants().loc[(variant, target), statistic])


def _of_synthetic(target: str, place: str, percent: str | None) -> float:
    [result] = _record("results", "synthetic", target, "summary.json")["results"]
    return float(reduce(getitem, place.split("/"), result)) * (100 if percent else 1)


@cache
def _text_numbers() -> dict[str, float]:
    return dict(script("examples/study_text.py").numbers())


def _of_text(name: str) -> float:
    number = _text_numbers()[name.removesuffix(" abs")]
    return abs(number) if name.endswith(" abs") else number


@cache
def _class_numbers() -> dict[str, float]:
    return dict(script("examples/study_classes.py").numbers())


def _of_classes(name: str, size: str | None) -> float:
    number = _class_numbers()[name]
    return abs(number) if size else number


def _of_given(supervisor: str, student: str, estimate: str, end: str | None) -> float:
    about = {"supervisor": supervisor, "student": student}
    if end == " abs":
        return abs(_of_pair(("given_labels", "text"), about, estimate))
    return _of_pair(("given_labels", "text"), about, estimate, end)


def _of_study(study: str, supervisor: str, estimate: str) -> float:
    return _of_pair(("study", study), {"supervisor": supervisor}, estimate)


def _of_pair(place: tuple[str, str], about: dict[str, str], estimate: str, end: str | None = None) -> float:
    record = _record("results", *place, "summary.json")
    [result] = [r for r in record["results"] if about.items() <= r["about"].items()]
    return float(result["estimates"][estimate][(end or " value").strip()])


_READERS: dict[str, Callable[..., float]] = {
    r"(\w+(?:/\w+)+)": _of_benchmark,
    r"variant: (.+?) / ([\w-]+) / (\w+)": _of_variant,
    r"synthetic ([\w-]+) (\w+(?:/\w+)+)( percent)?": _of_synthetic,
    r"classes: (.+?)( abs)?": _of_classes,
    r"text: (.+)": _of_text,
    r"given text: (.+) / (\w+) / (\w+)( low| high| abs)?": _of_given,
    r"([\w-]+) (\w+) (\w+)": _of_study,
}


def _value(mark: str) -> float | None:
    """What the records have for a mark; None if it is of the records on molecules."""
    for pattern, read in _READERS.items():
        if found := re.fullmatch(pattern, mark):
            return read(*found.groups())
    on_molecules = r"(fig2\w|table\d) \w+ [\w/-]+( abs)?|procedure: [^/]+( / \w+){4}( abs)?"
    assert re.fullmatch(on_molecules, mark), f"a mark of no record: {mark}"
    return None


@pytest.mark.parametrize("page", PAGES)
def test_numbers_in_the_text_are_those_of_the_records(page: str) -> None:
    for number, mark in re.findall(MARKED, PAGES[page]):
        value = _value(mark)
        assert value is None or _rounded(number, value), mark
    assert script("examples/reproduce_molecules.py").filled(PAGES[page]) == PAGES[page]


def test_no_marked_number_is_missed() -> None:
    """As many of each kind as the pages had when they were written, or more; and no mark without a number."""
    marks = [mark for page in PAGES.values() for _, mark in re.findall(MARKED, page)]
    every = [m for page in PAGES.values() for m in re.findall(r"<!-- (.*?) -->", page, flags=re.DOTALL)]
    assert len(every) - len(marks) == 2 * sum(mark.endswith(": begin") for mark in every)
    assert sum(mark.startswith("synthetic ") for mark in marks) >= 6
    assert sum(mark.startswith("variant: ") for mark in marks) >= 8
    assert sum(mark.endswith(" gain_over_direct") for mark in marks) >= 4
    assert sum(mark.startswith(("fig2", "table")) for mark in marks) >= 5
    assert sum("/" in mark and " " not in mark for mark in marks) >= 2
    assert sum(mark.startswith("text: ") for mark in marks) >= 8
    assert sum(mark.startswith("given text: ") for mark in marks) >= 6
    assert sum(mark.startswith("classes: ") for mark in marks) >= 30
