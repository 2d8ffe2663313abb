"""Figures 2d-f and Tables 1-3: encoders of molecules supervise one another on ESOL, FreeSolv and Lipop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

import pandas as pd

from weakstrong.errors import InputError
from weakstrong.paper import molecule_inputs
from weakstrong.paper.experiment import Experiment
from weakstrong.paper.molecule_claims import MOLECULE_RULES, molecule_verdict, strong_model, truth_notes
from weakstrong.paper.molecule_divisions import FIT_COLUMNS, MoleculeInputs, run_division
from weakstrong.paper.molecule_settings import MoleculeSettings
from weakstrong.paper.molecule_statistics import by_division, flat_table, summarize_molecules
from weakstrong.paper.molecule_tables import molecule_page
from weakstrong.paper.sources import Places, Source
from weakstrong.predictions import Predictions
from weakstrong.record import Record, Result

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class MoleculeStudy(Experiment):
    """A study of a ChemBench set with its three published splits, read as a figure or as a table.

    Parameters
    ----------
    expects : {"misfit", "ranking"}
        Subject of the claim: the gain, or picking among students.
    """

    settings: MoleculeSettings
    expects: Literal["misfit", "ranking"] = "misfit"

    rule = MOLECULE_RULES
    float_format = "%.6g"

    @property
    def caveat(self) -> str:
        """Say whether the student's representation is the paper's."""
        return self.notes()[0].partition(" (")[0] if self.content else ""

    @property
    def rows_module(self) -> str:
        """Name of the module that computes divisions; rows do not depend on statistics and figures."""
        return run_division.__module__

    def with_places(self, places: Places) -> Self:
        """Return the experiment with its data set, models and feature files located."""
        return replace(self, places=places, content=molecule_inputs.contents(self.settings, places))

    def sources(self, seed: int) -> Mapping[str, Source]:
        """Return the features of the set."""
        return {"features": molecule_inputs.MoleculeFeatures(self.settings, self.places, self.content)}

    def rows(self, seed: int, sources: Mapping[str, Path]) -> pd.DataFrame:
        """Predict the evaluated molecules, for one division of each split."""
        return run_division(self.settings, MoleculeInputs.load(sources["features"]), seed)

    def results(self, rows: pd.DataFrame) -> tuple[Result, ...]:
        """Compute all estimates for the set, and judge the claim, for each class of heads."""
        results = []
        for heads, evaluations in summarize_molecules(self.settings, rows).items():
            finding, agrees = molecule_verdict(evaluations, self.expects, self.settings.judge_on)
            gap = float(rows.loc[rows["heads"] == heads, "strong_optimality_gap"].max())
            facts = {"optimality_gap": gap, "agrees": "not claimed" if self.settings.swap_roles else agrees}
            results.append(Result({"heads": heads}, evaluations, facts, (finding,)))
        return tuple(results)

    def tables(self, rows: pd.DataFrame, results: Sequence[Result]) -> dict[str, pd.DataFrame]:
        """Return a row for each division, and the statistics of every weak model."""
        return {"tasks": by_division(rows), "table": flat_table(results)}

    def predictions(self, rows: pd.DataFrame) -> Predictions:
        """Return the predictions for every evaluated molecule."""
        return Predictions(rows.drop(columns=list(FIT_COLUMNS)))

    def figure(self, tables: Mapping[str, pd.DataFrame], results: Sequence[Result]) -> Figure:
        """Draw gain against misfit, or the students' true errors against weak error − misfit."""
        from weakstrong.paper.molecule_figures import molecules_figure, ranking_figure

        if self.expects == "ranking":
            return ranking_figure(results, self.title, self.settings.judge_on)
        return molecules_figure(tables["tasks"], self.settings, self.title)

    def page(self, record: Record) -> list[str]:
        """Return the tables of every class of heads."""
        return molecule_page(record, ranking=self.expects == "ranking")

    def notes(self) -> tuple[str, ...]:
        """Return notes on whether the student's representation is the paper's, and on the truth."""
        student = strong_model(self.content["strong"], self.settings.strong)
        return (student, *truth_notes(self.settings.truth, self.settings.noise))

    def check(self, source: str) -> None:
        """Refuse a data set other than that of the figure or table."""
        dataset = _SETS[self.name]
        if self.settings.dataset != dataset:
            raise InputError(f"{source} is on {dataset}; leave dataset out")


_CHARACTERIZED = "gain is accurately characterized by the misfit"
_HEURISTIC = "of the students, that of least weak error − misfit has the least true error"
_SETS: dict[str, Literal["ESOL", "FreeSolv", "Lipop"]] = {
    "fig2d": "ESOL", "fig2e": "FreeSolv", "fig2f": "Lipop",
    "table1": "Lipop", "table2": "ESOL", "table3": "FreeSolv",
}  # fmt: skip
_PLACES = {
    "fig2d": "Figure 2d", "fig2e": "Figure 2e", "fig2f": "Figure 2f",
    "table1": "Table 1", "table2": "Table 2 (Appendix B)", "table3": "Table 3 (Appendix B)",
}  # fmt: skip


def _experiment(name: str) -> MoleculeStudy:
    """Return the experiment for one figure or table."""
    dataset, place = _SETS[name], _PLACES[name]
    settings = MoleculeSettings(dataset=dataset)
    if name.startswith("fig"):
        return MoleculeStudy(
            name, f"{place}: encoders of SMILES on {dataset}", _CHARACTERIZED, settings, "misfit"
        )
    title = f"{place}: choosing among supervisors on {dataset}"
    return MoleculeStudy(name, title, _HEURISTIC, settings, "ranking")


EXPERIMENTS = [_experiment(name) for name in _SETS]
