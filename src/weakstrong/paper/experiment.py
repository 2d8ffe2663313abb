"""An experiment of the paper as one object: settings, rows, estimates, verdict and figure."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import pandas as pd

from weakstrong.paper.run_settings import Settings
from weakstrong.paper.sources import Places, Source
from weakstrong.predictions import Predictions
from weakstrong.record import Record, Result

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Experiment(ABC):
    """An experiment that can be named, run and compared with the paper's claim.

    A module of `weakstrong.paper.experiments` registers one by listing it in ``EXPERIMENTS``.

    Parameters
    ----------
    name : str
        Name on the command line.
    title : str
        Title of the figure.
    claim : str
        The paper's claim.
    settings : Settings
        Default settings; a run may change them.
    default : bool
        Whether it is run when none is named.
    preset : str
        Preset that the settings start from; none if empty.
    note : str
        Remark that a reader needs.
    places : Places
        Folders of the inputs.
    content : mapping
        Description of the inputs, files by their content, filled in by `with_places`.
    """

    name: str
    title: str
    claim: str
    settings: Any
    default: bool = field(default=False, kw_only=True)
    preset: str = field(default="", kw_only=True)
    note: str = field(default="", kw_only=True)
    places: Places = field(default=Places(), kw_only=True)
    content: Mapping[str, Any] = field(default_factory=dict, kw_only=True)

    rule: ClassVar[str] = ""  # that the claim is judged by, as pages print it
    float_format: ClassVar[str | None] = None  # of the record's tables

    @property
    def caveat(self) -> str:
        """Say in a few words what qualifies an agreement with the claim; empty if nothing does."""
        return ""

    @property
    def rows_module(self) -> str:
        """Name of the module whose code the rows depend on."""
        return type(self).__module__

    def with_places(self, places: Places) -> Self:
        """Return the experiment with its inputs located; raise an error if one is missing."""
        return self

    def sources(self, seed: int) -> Mapping[str, Source]:
        """Return the sources that the rows of a seed are computed from, by name."""
        return {}

    @abstractmethod
    def rows(self, seed: int, sources: Mapping[str, Path]) -> pd.DataFrame:
        """Compute the rows of one seed from the files of its sources."""

    @abstractmethod
    def results(self, rows: pd.DataFrame) -> tuple[Result, ...]:
        """Compute the estimates from the rows of all seeds, and judge the claim.

        Every result has one finding, a sentence, and ``facts["agrees"]``: yes, partly, no or another word.
        """

    @abstractmethod
    def figure(self, tables: Mapping[str, pd.DataFrame], results: Sequence[Result]) -> Figure:
        """Draw the figure."""

    def tables(self, rows: pd.DataFrame, results: Sequence[Result]) -> dict[str, pd.DataFrame]:
        """Return the record's tables, by name."""
        return {"tasks": rows}

    def predictions(self, rows: pd.DataFrame) -> Predictions | None:
        """Return the predictions on rows of data, if the experiment makes some."""
        return None

    def page(self, record: Record) -> list[str]:
        """Return the Markdown lines that a page shows below the figure of a record."""
        return []

    def notes(self) -> tuple[str, ...]:
        """Return remarks that a reader of the record needs."""
        return (self.note,) if self.note else ()

    def check(self, source: str) -> None:  # noqa: B027  most experiments have nothing to refuse
        """Refuse settings that contradict each other; `source` says where they come from."""

    def with_settings(self, settings: Settings) -> Self:
        """Return the experiment with other settings."""
        return replace(self, settings=settings)
