"""The record of a target: settings, rows, statistics, verdict and figure."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import singledispatch
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from weakstrong.paper.claims import verdict
from weakstrong.paper.config import (
    Figure1Config,
    MoleculesConfig,
    TargetConfig,
    Theorem2Config,
    WeakToStrongConfig,
)
from weakstrong.paper.figure1 import slices
from weakstrong.paper.figures import figure1_figure, tasks_figure, theorem2_figure
from weakstrong.paper.molecule_claims import strong_model
from weakstrong.paper.molecule_figures import molecules_figure, ranking_figure
from weakstrong.paper.molecule_statistics import by_division, flat_table, summarize_molecules
from weakstrong.paper.pages import summary_of_record
from weakstrong.paper.rows import kept_rows
from weakstrong.paper.statistics import allowance, of_figure_1, of_theorem_2, over_seeds, shortfall
from weakstrong.paper.targets import TARGETS, Target
from weakstrong.progress import Advance
from weakstrong.report.figures import png
from weakstrong.storage import output_folder, provenance, to_json, to_toml, write_atomically

_DIGITS: dict[type[TargetConfig], str] = {MoleculesConfig: "%.6g"}  # of tables; all of them unless given


@dataclass(frozen=True)
class Run:
    """A target with its settings.

    Parameters
    ----------
    name : str
    config : TargetConfig
    key : str
        What the record follows from: settings, code, libraries and the content of files.
    content : dict
        That content: `weakstrong.paper.molecule_inputs.contents`.
    """

    name: str
    config: TargetConfig
    key: str
    content: dict[str, Any] = field(default_factory=dict)

    @property
    def target(self) -> Target:
        """Its entry in the catalogue."""
        return TARGETS[self.name]


def finished(run: Run, out: Path) -> dict[str, Any] | None:
    """The summary of a finished run of the very same settings and code, if there is one."""
    summary = summary_of_record(out / run.name)
    return summary if summary is not None and summary["key"] == run.key else None


def write_record(run: Run, files: list[Path], out: Path, libraries: dict[str, str], advance: Advance) -> None:
    """Write ``out/<target>/`` from the rows of all seeds."""
    frame = kept_rows(files)
    own, used = (c.model_dump(exclude={"seeds", "seed"}) for c in (run.target.settings, run.config))
    summary: dict[str, Any] = {
        "target": run.name,
        "title": run.target.title,
        "note": note(run.config, run),
        "seeds": run.config.seeds,
        "changed": {key: value for key, value in used.items() if value != own[key]},
    }
    summary |= summarize(run.config, frame)
    found = verdict(run.target, summary)
    summary |= {"claim": run.target.claim, "ours": found.ours, "agrees": found.agrees}
    if found.of_heads is not None:
        summary["verdicts"] = {
            heads: {"ours": of.ours, "agrees": of.agrees} for heads, of in found.of_heads.items()
        }
    summary |= {"key": run.key, "provenance": {**provenance(), **libraries}}
    with output_folder(out / run.name, overwrite=True) as stage:
        settings = {"target": run.name, **run.config.model_dump()}
        write_atomically(stage / "config.toml", to_toml(settings).encode())
        found_tables = tables(run.config, frame, summary)
        for name, table in found_tables.items():
            text = table.to_csv(index=False, float_format=_DIGITS.get(type(run.config)))
            write_atomically(stage / name, text.encode())
        figure = draw(run.config, run, found_tables["tasks.csv"], summary)
        write_atomically(stage / "figure.png", png(figure))
        write_atomically(stage / "summary.json", to_json(summary).encode())
    advance(1)


@singledispatch
def summarize(config: TargetConfig, frame: pd.DataFrame) -> dict[str, Any]:
    """Statistics of a target's rows."""
    raise TypeError(f"no such experiment: {type(config).__name__}")


@summarize.register
def _(config: WeakToStrongConfig, frame: pd.DataFrame) -> dict[str, Any]:
    found = over_seeds(frame)
    if config.solver == "gradient":
        found["optimizer_gap"] = found["over_seeds"]["mean_excess_loss"]["median"]
    if config.heads != "linear":  # law 3 is of convex classes
        del found["law_3"]
    return found


@summarize.register
def _(config: Theorem2Config, frame: pd.DataFrame) -> dict[str, Any]:
    return of_theorem_2(frame, config.complexity)


@summarize.register
def _(config: Figure1Config, frame: pd.DataFrame) -> dict[str, Any]:
    return of_figure_1(frame)


summarize.register(MoleculesConfig, summarize_molecules)


@singledispatch
def draw(config: TargetConfig, run: Run, frame: pd.DataFrame, summary: dict[str, Any]) -> Figure:
    """The target's figure, from the rows of tasks.csv."""
    raise TypeError(f"no such experiment: {type(config).__name__}")


@draw.register
def _(config: WeakToStrongConfig, run: Run, frame: pd.DataFrame, summary: dict[str, Any]) -> Figure:
    mirrored, convex = run.target.expects != "misfit", config.heads == "linear"
    return tasks_figure(frame, run.target.title, mirrored=mirrored, law_3=convex)


@draw.register
def _(config: Theorem2Config, run: Run, frame: pd.DataFrame, summary: dict[str, Any]) -> Figure:
    short, allowed = shortfall(frame), allowance(frame)
    return theorem2_figure(short, allowed, config.complexity, summary["delta_shown"], run.target.title)


@draw.register
def _(config: Figure1Config, run: Run, frame: pd.DataFrame, summary: dict[str, Any]) -> Figure:
    return figure1_figure(slices(config, config.seed), run.target.title)


@draw.register
def _(config: MoleculesConfig, run: Run, frame: pd.DataFrame, summary: dict[str, Any]) -> Figure:
    if run.target.expects == "ranking":
        return ranking_figure(summary["by_heads"], run.target.title)
    return molecules_figure(frame, config, run.target.title)


@singledispatch
def tables(config: TargetConfig, frame: pd.DataFrame, summary: dict[str, Any]) -> dict[str, pd.DataFrame]:
    """The record's tables, by file name: every row."""
    return {"tasks.csv": frame}


@tables.register
def _(config: MoleculesConfig, frame: pd.DataFrame, summary: dict[str, Any]) -> dict[str, pd.DataFrame]:
    """A row a division, and the statistics of every weak model."""
    return {"tasks.csv": by_division(frame), "table.csv": flat_table(summary["by_heads"])}


@singledispatch
def note(config: TargetConfig, run: Run) -> str:
    """What a reader must know."""
    return run.target.note


@note.register
def _(config: MoleculesConfig, run: Run) -> str:
    return strong_model(run.content["strong"], config.strong)
