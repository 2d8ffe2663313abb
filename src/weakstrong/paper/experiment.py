"""What an experiment of the paper is: settings, rows, estimates, verdict and figure as one object."""

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

    A module of `weakstrong.paper.experiments` makes one known by listing it in its ``EXPERIMENTS``.

    Parameters
    ----------
    name : str
        What `reproduce` calls it.
    title : str
        What it is, as a figure's title says it.
    claim : str
        What the paper says of it.
    settings : Settings
        Its own; a run may change them.
    default : bool
        Whether it is run when none is named.
    note : str
        What a reader must know.
    places : Places
        Where its inputs lie.
    content : mapping
        What they are, files by their content: `with_places` finds out.
    """

    name: str
    title: str
    claim: str
    settings: Any
    default: bool = field(default=False, kw_only=True)
    note: str = field(default="", kw_only=True)
    places: Places = field(default=Places(), kw_only=True)
    content: Mapping[str, Any] = field(default_factory=dict, kw_only=True)

    rule: ClassVar[str] = ""  # by which the claim is judged, as a page says it
    float_format: ClassVar[str | None] = None  # of the record's tables

    @property
    def rows_module(self) -> str:
        """The module whose code the rows follow from; figures can change without them if it is another."""
        return type(self).__module__

    def with_places(self, places: Places) -> Self:
        """Return the experiment with its inputs found; all must be there."""
        return self

    def sources(self, seed: int) -> Mapping[str, Source]:
        """Return what the rows of a seed are computed from, by name."""
        return {}

    @abstractmethod
    def rows(self, seed: int, sources: Mapping[str, Path]) -> pd.DataFrame:
        """Compute the rows of one seed from the files of its sources."""

    @abstractmethod
    def results(self, rows: pd.DataFrame) -> tuple[Result, ...]:
        """Estimate from the rows of all seeds, and judge the claim.

        Every result has one finding, what came out in words, and ``facts["agrees"]``: yes, partly, no or
        another word.
        """

    @abstractmethod
    def figure(self, tables: Mapping[str, pd.DataFrame], results: Sequence[Result]) -> Figure:
        """Draw the figure."""

    def tables(self, rows: pd.DataFrame, results: Sequence[Result]) -> dict[str, pd.DataFrame]:
        """Return the record's tables, by name."""
        return {"tasks": rows}

    def predictions(self, rows: pd.DataFrame) -> Predictions | None:
        """Return what was predicted on rows of data, if that is what the rows are."""
        return None

    def page(self, record: Record) -> list[str]:
        """Return what a page shows of a record beside its figure, in Markdown."""
        return []

    def notes(self) -> tuple[str, ...]:
        """Return what a reader must know of a run."""
        return (self.note,) if self.note else ()

    def check(self, source: str) -> None:  # noqa: B027  most experiments have nothing to refuse
        """Refuse settings that do not go together, naming where they come from."""

    def with_settings(self, settings: Settings) -> Self:
        """Return the experiment with other settings."""
        return replace(self, settings=settings)
