"""Make ``results/molecules/``: Figures 2d-f and Tables 1-3, variants of them, procedures, and label budgets.

Run ``python examples/reproduce_molecules.py --data DIR`` (or set WEAKSTRONG_DATA), an hour on two cores; it
resumes if it is killed, and makes again only what settings or code changed. The records in the paper's own
procedure go to ``results/paper/``. DIR holds ``chembench/`` and, for the variants and procedures with other
encoders, ``features/{SET}.{lstm_chem_512,chemvae_zinc_196,minimol_512}.npy``. ``--report`` rewrites
the tables of the pages and the figure of the budgets alone.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from shared import ROOT, main, write_pages
from weakstrong import Estimate, Record
from weakstrong.paper.catalogue import resolve
from weakstrong.paper.experiment import Experiment
from weakstrong.paper.molecule_claims import PAPER_TABLE_1
from weakstrong.paper.molecule_inputs import MODELS
from weakstrong.paper.molecule_settings import MoleculeSettings
from weakstrong.paper.molecule_statistics import CROSSED, EVALUATIONS, RULE, RULES, summarize_molecules
from weakstrong.paper.pages import agreement_table, claims_table, records
from weakstrong.paper.reproduction import CACHE, compute_rows, read_rows, reproduce
from weakstrong.paper.sources import Places
from weakstrong.progress import meter
from weakstrong.report.figures import blank_figure, png

RESULTS = ROOT / "results" / "molecules"
RECORDS = RESULTS / "records"
AS_THE_PAPER = ROOT / "results" / "paper"
VARIANT_TABLE, TWINS_TABLE = RESULTS / "variants.csv", RESULTS / "twins.csv"
PROCEDURE_TABLE = RESULTS / "procedures.csv"
BUDGET_TABLE, BUDGET_FIGURE = RESULTS / "budget.csv", RESULTS / "budget.png"
FIGURES = {"ESOL": "fig2d", "FreeSolv": "fig2e", "Lipop": "fig2f"}
TABLES = {"ESOL": "table2", "FreeSolv": "table3", "Lipop": "table1"}
EIGHT = MoleculeSettings.model_fields["weak"].default
LSTM, CHEMVAE, MINIMOL = (
    f"features/{{dataset}}.{name}.npy" for name in ("lstm_chem_512", "chemvae_zinc_196", "minimol_512")
)

# What is changed from the defaults.
VARIANTS: dict[str, dict[str, Any]] = {
    "as the targets are": {},
    "roles swapped": {"swap_roles": True},
    "mean+cls features": {"pooling": "mean+cls"},
    "twins removed": {"twins": "removed"},
    "ChemVAE and LSTM supervise too": {"weak": (*EIGHT, CHEMVAE, LSTM)},
    "LSTM is the student": {"strong": LSTM, "weak": (*EIGHT, CHEMVAE)},
    "ChemVAE is the student": {"strong": CHEMVAE, "weak": (*EIGHT, LSTM)},
}
KEPT_FIGURES = {"roles swapped": "roles-swapped.png", "LSTM is the student": "lstm-student.png"}  # Lipop's
STATISTICS = {
    "gain_over_misfit": ("line", "gain_over_misfit"),
    "cross_over_misfit": ("line", "cross_over_misfit"),
    "slope": ("line", "slope"),
    "correlation": ("line", "correlation"),
    "r2_misfit": ("line", "r2_misfit"),
    "ceiling_error": ("law_3", "ceiling_error"),
    "least_class_over_quarter_misfit": ("law_3", "class_over_quarter_misfit", "least"),
    "spearman": ("ranking", "all"),
    "regret_rule": ("regret", RULE, "regret"),
    "regret_weak_error": ("regret", "weak error", "regret"),
    "regret_at_random": ("regret", "at random", "regret"),
    "rule_over_weak_error": ("regret", RULE, "over_weak_alone"),
}

# Who the student is, which rows it is fitted to, and how: all on redrawn splits, so that rows compare.
STUDENTS: dict[str, dict[str, Any]] = {
    "ours": {},
    "LSTM_Chem": {"strong": LSTM},
    "MiniMol": {"strong": MINIMOL},
    "realizable": {"truth": "realizable", "clip": False},  # rows drawn in are not the truth's
}
STUDENT_ROWS = ("others", "same")
PROCEDURE_HEADS = ("linear", "l2", "stopped", "steps", "adam")
PROCEDURE: dict[str, Any] = {
    "heads": PROCEDURE_HEADS, "splits": "redrawn", "untrained": 0, "judge_on": "test"
}  # fmt: skip
PROCEDURE_SEEDS = {
    "ESOL": 20,
    "FreeSolv": 20,
    "Lipop": 10,
}  # Lipop has four times as many rows, and takes as long
LINE = ("gain_over_misfit", "slope", "slope_of_means", "r2_misfit")
MEAN_ERRORS = ("weak_error", "strong_error", "ceiling_error", "direct_error")

TRUE: dict[Literal["ESOL", "FreeSolv", "Lipop"], tuple[int, ...]] = {
    "ESOL": (12, 25, 50, 100, 200, 451),
    "FreeSolv": (12, 25, 50, 100, 256),
    "Lipop": (12, 25, 50, 100, 200, 400, 1680),
}
WEAK = {"ESOL": (25, 100, 400), "FreeSolv": (25, 100, 200), "Lipop": (25, 100, 400, 1600)}  # and all others
BUDGET: dict[str, Any] = {"heads": ("l2",), "untrained": 0, "seeds": 10}
SHOWN = ("weak-8", "weak-32", "weak-64")  # in the figure


def run_all(data: Path) -> None:
    """Make the records in both procedures, the variants and the label budgets."""
    places = Places(ROOT / MODELS, data)
    cache = RESULTS / CACHE
    targets = (*FIGURES.values(), *TABLES.values())
    reproduce(resolve(targets, {}), RECORDS, places=places, cache=cache, meter=meter)
    in_its_own = resolve(targets, {}, preset="paper")
    reproduce(in_its_own, AS_THE_PAPER, places=places, cache=cache, meter=meter)
    rows = []
    for variant, changes in VARIANTS.items():
        print(variant, flush=True)
        configs = resolve(tuple(FIGURES.values()), changes)
        outcomes = reproduce(configs, folder_of(variant), places=places, cache=cache, meter=meter)
        rows += [{"variant": variant, **row} for outcome in outcomes for row in variant_rows(outcome.record)]
    pd.DataFrame(rows).to_csv(VARIANT_TABLE, index=False, float_format="%.6g")
    for variant, file_name in KEPT_FIGURES.items():
        shutil.copy(folder_of(variant) / FIGURES["Lipop"] / "figure.png", RESULTS / file_name)
    pd.DataFrame(twins_rows()).to_csv(TWINS_TABLE, index=False, float_format="%.6g")
    procedures(places)
    budget(places)


def folder_of(variant: str) -> Path:
    """Return the folder of a variant's records, which is not committed."""
    return RESULTS / ".variants" / variant.replace(" ", "-")


def twins_rows() -> Iterator[dict[str, Any]]:
    """Return the change of the students' errors when twins are removed, and the number of rows removed.

    Means over splits and weak models, whose divisions are the same but for the molecules removed; t
    intervals over divisions.
    """
    keys = ["seed", "split", "heads", "supervisor"]

    def division_rows(folder: Path) -> pd.DataFrame:
        rows = pd.read_csv(folder / "tasks.csv")
        return rows[rows["evaluation"] == "valid+test"].set_index(keys)

    for dataset, target in FIGURES.items():
        kept, removed = (division_rows(folder / target) for folder in (RECORDS, folder_of("twins removed")))
        change = (removed["strong_error"] - kept["strong_error"]).groupby(["heads", "seed"]).mean()
        label_counts = [t["supervised_rows"] + t["student_rows"] for t in (kept, removed)]
        cut = (label_counts[0] - label_counts[1]).groupby("split").first()
        for heads, values in change.groupby("heads"):
            mean = Estimate.of_mean(values, np.arange(len(values)))
            yield {
                "dataset": dataset, "heads": heads, "fewest_removed": cut.min(), "most_removed": cut.max(),
                "change": mean.value, "change_low": mean.low, "change_high": mean.high,
            }  # fmt: skip


def variant_rows(record: Record) -> Iterator[dict[str, Any]]:
    """Return one row for each head class and evaluation."""
    for result in record.results:
        evaluations = result.estimates
        for evaluation in ("valid+test", "test"):
            row: dict[str, Any] = {"dataset": record.settings["dataset"], **result.about}
            row["evaluation"] = evaluation
            lows = [student["gain_over_direct"]["all"].low for student in evaluations[evaluation]["table"]]
            row |= {"students": len(lows), "students_ahead_of_direct": sum(low > 0 for low in lows)}
            for name, path in STATISTICS.items():
                estimate = evaluations[evaluation]
                for part in path:
                    estimate = estimate[part]
                row |= {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}
            yield row


def procedures(places: Places) -> None:
    """Compute gain against misfit for every procedure; the table is written anew after each experiment."""
    table: list[dict[str, Any]] = []
    for dataset, target in FIGURES.items():
        for student, rows in product(STUDENTS, STUDENT_ROWS):
            print(f"{dataset}: {student}, {rows}", flush=True)
            settings = {**PROCEDURE, "seeds": PROCEDURE_SEEDS[dataset], "student_rows": rows}
            [experiment] = resolve((target,), {**settings, **STUDENTS[student]})
            [files] = compute_rows([experiment], RESULTS / CACHE, places=places, meter=meter)
            about = {"student": student, "rows": rows, "dataset": dataset}
            table += [{**about, **row} for row in procedure_rows(experiment, read_rows(files))]
            pd.DataFrame(table).to_csv(PROCEDURE_TABLE, index=False, float_format="%.6g")


def procedure_rows(experiment: Experiment, frame: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Return one row for each class of heads and evaluation."""
    for heads, evaluations in summarize_molecules(experiment.settings, frame).items():
        for evaluation in EVALUATIONS:
            found = evaluations[evaluation]
            row: dict[str, Any] = {"heads": heads, "evaluation": evaluation}
            for name in LINE:
                estimate = found["line"][name]
                row |= {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}
            errors = {name: [weak[name]["all"].value for weak in found["table"]] for name in MEAN_ERRORS}
            yield row | {name: float(np.mean(values)) for name, values in errors.items()}


def budget(places: Places) -> None:
    """Compute errors for every number of true and weak labels, with intervals."""
    experiments = list(budgets())
    files = compute_rows(experiments, RESULTS / CACHE, places=places, meter=meter)
    rows = [row for e, f in zip(experiments, files, strict=True) for row in budget_rows(e, read_rows(f))]
    pd.DataFrame(rows).to_csv(BUDGET_TABLE, index=False, float_format="%.6g")


def budgets() -> Iterator[Experiment]:
    """Return an experiment for every number of true labels and every possible number of weak labels."""
    rows = {"ESOL": 902, "FreeSolv": 513, "Lipop": 3360}
    for dataset, counts in TRUE.items():
        for true in counts:
            rest = rows[dataset] - true
            for weak in (*(n for n in WEAK[dataset] if n < rest), None):
                yield from resolve((FIGURES[dataset],), {"true_labels": true, "weak_labels": weak, **BUDGET})


def budget_rows(experiment: Experiment, frame: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Return one row for each weak model."""
    settings = experiment.settings
    [result] = experiment.results(frame)
    for row in result.estimates["valid+test"]["table"]:
        line = {
            "dataset": settings.dataset,
            "true_labels": settings.true_labels,
            "weak_labels": settings.weak_labels,
        }
        line["weak"] = row["weak"]
        for name in ("weak_error", "strong_error", "direct_error", "mean_error", "misfit", "gain"):
            line[name] = row[name]["all"].value
        for name in ("gain", "gain_over_direct"):
            line |= {f"{name}_low": row[name]["all"].low, f"{name}_high": row[name]["all"].high}
        line["gain_over_direct"] = row["gain_over_direct"]["all"].value
        yield line


def budget_figure(table: pd.DataFrame) -> Figure:
    """Draw errors against the number of true labels, and against the number of weak labels."""
    figure = blank_figure((14.0, 8.4))
    figure.suptitle(
        "Label budgets: l2 heads, valid and test rows, means over 3 splits and 10 divisions", fontsize=12
    )
    grid = figure.subplots(2, 3)
    for (above, below), dataset in zip(grid.T, TRUE, strict=True):
        set_rows = table[table["dataset"] == dataset]
        all_labelled = set_rows[set_rows["weak_labels"].isna()]
        for index, weak in enumerate(SHOWN):
            line = all_labelled[all_labelled["weak"] == weak]
            above.plot(line["true_labels"], line["strong_error"], "o-", color=f"C{index}", markersize=3,
                       label=f"student of {weak}")  # fmt: skip
            above.plot(line["true_labels"], line["weak_error"], ":", color=f"C{index}", linewidth=1)
        direct = all_labelled.drop_duplicates("true_labels")
        above.plot(direct["true_labels"], direct["direct_error"], "k-", linewidth=2, label="direct")
        above.plot(direct["true_labels"], direct["mean_error"], color="0.6", linestyle="--", label="mean")
        above.set_title(f"{dataset}; dotted: the supervisor", fontsize=10)
        above.set_xlabel("true labels (all other training rows weakly labelled)")
        last_student = set_rows[set_rows["weak"] == SHOWN[-1]].dropna(subset="weak_labels")
        counts = sorted({25, 100, max(TRUE[dataset])})
        for index, true in enumerate(counts):
            line = last_student[last_student["true_labels"] == true]
            below.plot(line["weak_labels"], line["strong_error"], "o-", color=f"C{index}", markersize=3,
                       label=f"{true} true labels")  # fmt: skip
            below.axhline(line["direct_error"].iloc[0], color=f"C{index}", linewidth=1, linestyle="--")
        below.set_title(f"{dataset}: student of {SHOWN[-1]}; dashed: direct", fontsize=10)
        below.set_xlabel("weakly labelled rows")
        for axes, ticks in ((above, TRUE[dataset]), (below, WEAK[dataset])):
            axes.set_xscale("log")
            axes.set_xticks(ticks, [str(n) for n in ticks])
            axes.minorticks_off()
            axes.set_ylabel("mean squared error")
            axes.legend(frameon=False, fontsize=8)
    return figure


def blocks() -> dict[str, list[str]]:
    """Return the tables of the README of results/molecules."""
    variants, labels = pd.read_csv(VARIANT_TABLE), pd.read_csv(BUDGET_TABLE)
    return {
        "claims": claims_table(records(RECORDS)),
        "regret": regret_table(),
        "variants": variants_table(variants),
        "procedures": procedures_table(pd.read_csv(PROCEDURE_TABLE)),
        "twins": twins_table(),
        "true labels": true_labels_table(labels),
        "weak labels": weak_labels_table(labels),
    }


def page_tables() -> dict[str, dict[str, list[str]]]:
    """Return the blocks of other pages: all claims, and a short table for the front page."""
    return {
        "docs/paper.md": {"molecule experiments": claims_table(records(RECORDS))},
        "README.md": {"reproduced": agreement_table(ROOT)},
    }


def variants_table(table: pd.DataFrame) -> list[str]:
    """Return a table of gain against misfit, ranking and regret for every variant."""
    lines = [
        "| variant | set | heads | gain / misfit | slope | ceiling error | students ahead of direct | "
        "Spearman | regret: the rule | weak error alone | at random |",
        "|---|---|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for _, row in table[table["evaluation"] == "valid+test"].iterrows():
        cells = [_bracketed(row, name) for name in ("gain_over_misfit", "slope")]
        cells += [f"{row['ceiling_error']:.3g}", f"{row['students_ahead_of_direct']} of {row['students']}"]
        cells += [_bracketed(row, "spearman")]
        cells += [f"{row[f'regret_{rule}']:.3g}" for rule in ("rule", "weak_error", "at_random")]
        lines.append(f"| {row['variant']} | {row['dataset']} | {row['heads']} | {' | '.join(cells)} |")
    return lines


def procedures_table(table: pd.DataFrame) -> list[str]:
    """Return a table of gain over misfit and slope, with a line for each student, rows and heads."""
    columns = {"gain / misfit": "gain_over_misfit", "slope": "slope"}
    headings = [f"{dataset}: {title}" for dataset in FIGURES for title in columns]
    lines = [
        f"| student | rows | heads | {' | '.join(headings)} |",
        "|---|---|---|" + "---:|" * len(headings),
    ]
    test = table[table["evaluation"] == "test"].set_index(_PROCEDURE_KEYS)
    for student, rows, heads in product(STUDENTS, STUDENT_ROWS, PROCEDURE_HEADS):
        keys = [(student, rows, heads, dataset) for dataset in FIGURES]
        if any(key in test.index for key in keys):
            cells = [
                _bracketed(test.loc[key], name) if key in test.index else ""
                for key in keys
                for name in columns.values()
            ]
            lines.append(f"| {student} | {rows} | {heads} | {' | '.join(cells)} |")
    return lines


_PROCEDURE_KEYS = ["student", "rows", "heads", "dataset"]


def twins_table() -> list[str]:
    """Return a table of the change when twins are removed."""
    lines = [
        "| set | heads | training rows removed, by split | change of the students' error |",
        "|---|---|---:|---:|",
    ]
    for _, row in pd.read_csv(TWINS_TABLE).iterrows():
        change = f"{row['change']:.3g} [{row['change_low']:.3g}, {row['change_high']:.3g}]"
        rows = f"{row['fewest_removed']} to {row['most_removed']}"
        lines.append(f"| {row['dataset']} | {row['heads']} | {rows} | {change} |")
    return lines


def _bracketed(row: pd.Series, name: str) -> str:
    value, low, high = (row[f"{name}{end}"] for end in ("", "_low", "_high"))
    if pd.isna(value):
        return "–"
    return f"{value:.2f} [{low:.2f}, {high:.2f}]"


def true_labels_table(table: pd.DataFrame) -> list[str]:
    """Return a table of the best student and the direct fit for each number of true labels."""
    lines = [
        "| set | true labels | direct | best student | of | its supervisor | gain over direct | mean | "
        "training directly beats it |",
        "|---|---:|---:|---:|---|---:|---:|---:|---|",
    ]
    all_labelled = table[table["weak_labels"].isna()]
    for (dataset, true), rows in all_labelled.groupby(["dataset", "true_labels"], sort=True):
        best = rows.loc[rows["strong_error"].idxmin()]
        gain = _bracketed(best, "gain_over_direct")
        errors = (best["direct_error"], best["strong_error"], best["weak_error"], best["mean_error"])
        direct, student, weak, mean = (f"{error:.3g}" for error in errors)
        lines.append(
            f"| {dataset} | {true} | {direct} | {student} | {best['weak']} | {weak} | {gain} | {mean} | "
            f"{_beaten(best, all_labelled[all_labelled['dataset'] == dataset])} |"
        )
    return lines


def _beaten(student: pd.Series, all_labelled: pd.DataFrame) -> str:
    """Return how many true labels the direct fit needs to beat the student."""
    direct = all_labelled.drop_duplicates("true_labels").sort_values("true_labels").set_index("true_labels")
    better = direct.index[direct["direct_error"] < student["strong_error"]]
    if better.empty:
        return f"with more than {direct.index.max()}"
    fewer = direct.index[direct.index < better.min()]
    return f"with at most {better.min()}" if fewer.empty else f"with between {fewer.max()} and {better.min()}"


def weak_labels_table(table: pd.DataFrame) -> list[str]:
    """Return a table of the best student's error for each number of weak labels."""
    counts = sorted({n for values in WEAK.values() for n in values})
    lines = [
        f"| set | true labels | direct | {' | '.join(f'{n} weak labels' for n in counts)} | all others |",
        "|---|---:|---:|" + "---:|" * (len(counts) + 1),
    ]
    for (dataset, true), rows in table.groupby(["dataset", "true_labels"], sort=True):
        best = rows.groupby(rows["weak_labels"].fillna(np.inf))["strong_error"].min()
        cells = [f"{best[n]:.3g}" if n in best.index else "" for n in (*counts, np.inf)]
        lines.append(f"| {dataset} | {true} | {rows['direct_error'].iloc[0]:.3g} | {' | '.join(cells)} |")
    return lines


def regret_table() -> list[str]:
    """Return a table of every rule's regret, chosen and judged on the same rows and on different rows."""
    lines = [
        f"| set | heads | judged | {' | '.join(RULES)} | the rule minus weak error alone |",
        "|---|---|---|" + "---:|" * (len(RULES) + 1),
    ]
    titles = {"valid+test": "on the same rows", CROSSED: "on other rows"}
    for dataset, target in TABLES.items():
        for result in record(target).results:
            for evaluation, rows_title in titles.items():
                regrets = result.estimates[evaluation]["regret"]
                cells = [f"{regrets[rule]['regret'].value:.3g}" for rule in RULES]
                difference = regrets[RULE]["over_weak_alone"]
                cells.append(f"{difference.value:.3g} [{difference.low:.3g}, {difference.high:.3g}]")
                lines.append(f"| {dataset} | {result.about['heads']} | {rows_title} | {' | '.join(cells)} |")
    return lines


def filled(text: str) -> str:
    """Replace every marked number of a page by that of the records, with the same number of digits."""

    def with_value(match: re.Match[str], value: float) -> str:
        digits = len(match[1].partition(".")[2])
        return f"{value:.{digits}f}{match[0][len(match[1]) :]}"

    def from_record(match: re.Match[str]) -> str:
        value: Any = record(match[2]).result(heads=match[3]).estimates["valid+test"]
        for part in match[4].split("/"):
            if isinstance(value, list):
                value = next(row for row in value if row["weak"] == part)
            else:
                value = getattr(value, part) if isinstance(value, Estimate) else value[part]
        return with_value(match, abs(value) if match[5] else value)

    variants = pd.read_csv(VARIANT_TABLE)
    variants = variants[variants["evaluation"] == "valid+test"].set_index(["variant", "dataset", "heads"])

    def from_variant(match: re.Match[str]) -> str:
        value = variants.loc[(match[2], match[3], match[4]), match[5]]
        return with_value(match, abs(value) if match[6] else value)

    procedures = pd.read_csv(PROCEDURE_TABLE)
    procedures = procedures[procedures["evaluation"] == "test"].set_index(_PROCEDURE_KEYS)

    def from_procedure(match: re.Match[str]) -> str:
        value = procedures.loc[(match[2], match[3], match[4], match[5]), match[6]]
        return with_value(match, abs(value) if match[7] else value)

    cross = [rule - true for (rule, _), (true, _) in PAPER_TABLE_1.values()]

    def from_paper(match: re.Match[str]) -> str:
        return with_value(match, min(cross) if match[2] == "most" else max(cross))

    number = r"(-?[\d.]+)"
    text = re.sub(number + r"<!-- (fig2\w|table\d) (\w+) ([^>]+?)( abs)? -->", from_record, text)
    text = re.sub(number + r"<!-- variant: ([^>]+?) / (\w+) / (\w+) / (\w+)( abs)? -->", from_variant, text)
    mark = r"<!-- procedure: ([^>]+?) / (\w+) / (\w+) / (\w+) / (\w+)( abs)? -->"
    text = re.sub(number + mark, from_procedure, text)
    return re.sub(number + r"<!-- paper (most|least) -->", from_paper, text)


def report() -> None:
    """Rewrite the blocks and numbers of the pages, and the figure of the budgets."""
    BUDGET_FIGURE.write_bytes(png(budget_figure(pd.read_csv(BUDGET_TABLE))))
    write_pages({"results/molecules/README.md": blocks(), **page_tables()}, transform=filled)


@cache
def record(target: str) -> Record:
    """Return a target's record."""
    return Record.read(RECORDS / target, tables=False)


if __name__ == "__main__":
    main(__doc__, run_all, report)
