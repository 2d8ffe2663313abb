"""The record of a target: settings, rows, statistics, verdict and figure."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from weakstrong.experiments.claims import verdict
from weakstrong.experiments.config import Figure1Config, TargetConfig, Theorem2Config, WeakToStrongConfig
from weakstrong.experiments.figure1 import slices
from weakstrong.experiments.rows import kept_rows
from weakstrong.experiments.statistics import allowance, of_figure_1, of_theorem_2, over_seeds, shortfall
from weakstrong.experiments.tables import summary_of_record
from weakstrong.experiments.targets import TARGETS, Target
from weakstrong.records import output_folder, provenance, to_json, to_toml, write_atomically
from weakstrong.report.figures import png
from weakstrong.report.paper_figures import figure1_figure, tasks_figure, theorem2_figure
from weakstrong.report.progress import Advance


@dataclass(frozen=True)
class Run:
    """A target with its settings.

    Parameters
    ----------
    name : str
    config : TargetConfig
    key : str
        What the record follows from: settings, code and libraries.
    """

    name: str
    config: TargetConfig
    key: str

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
        "note": run.target.note,
        "seeds": run.config.seeds,
        "changed": {key: value for key, value in used.items() if value != own[key]},
    }
    summary |= summarize(run.config, frame)
    found = verdict(run.target, summary)
    summary |= {"claim": run.target.claim, "ours": found.ours, "agrees": found.agrees}
    summary |= {"key": run.key, "provenance": {**provenance(), **libraries}}
    with output_folder(out / run.name, overwrite=True) as stage:
        settings = {"target": run.name, **run.config.model_dump()}
        write_atomically(stage / "config.toml", to_toml(settings).encode())
        write_atomically(stage / "tasks.csv", frame.to_csv(index=False).encode())
        write_atomically(stage / "figure.png", png(draw(run, frame, summary)))
        write_atomically(stage / "summary.json", to_json(summary).encode())
    advance(1)


def summarize(config: TargetConfig, frame: pd.DataFrame) -> dict[str, Any]:
    """Statistics of a target's rows."""
    if isinstance(config, WeakToStrongConfig):
        found = over_seeds(frame)
        if config.solver == "gradient":
            found["optimizer_gap"] = found["over_seeds"]["mean_excess_loss"]["median"]
        if config.heads != "linear":  # law 3 is of convex classes
            del found["law_3"]
        return found
    if isinstance(config, Theorem2Config):
        return of_theorem_2(frame, config.complexity)
    return of_figure_1(frame)


def draw(run: Run, frame: pd.DataFrame, summary: dict[str, Any]) -> Figure:
    """The target's figure."""
    config, title = run.config, run.target.title
    if isinstance(config, WeakToStrongConfig):
        convex = config.heads == "linear"
        return tasks_figure(frame, title, mirrored=run.target.expects != "misfit", law_3=convex)
    if isinstance(config, Theorem2Config):
        short, allowed = shortfall(frame), allowance(frame)
        return theorem2_figure(short, allowed, config.complexity, summary["delta_shown"], title)
    assert isinstance(config, Figure1Config)
    return figure1_figure(slices(config, config.seed), title)
