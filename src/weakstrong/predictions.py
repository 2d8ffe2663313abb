"""The long table of predictions on judged rows, from which every statistic is computed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from weakstrong.divergence import SQUARED_ERROR, Divergence
from weakstrong.errors import InputError

# Parts of a table that need not be in memory at once: each is called to have it.
Parts = Sequence[Callable[[], "Predictions"]]
BASELINES = ("ceiling", "class", "direct", "mean", "untrained", "null")
_NO_BASELINES = {"y_true", "y_weak", "y_strong"}
NO_MISFIT = 1e-9  # of the error of predicting the mean: less is rounding


class Pair(NamedTuple):
    """A supervisor and its student, with the class of their heads."""

    heads: str
    student: str
    supervisor: str


@dataclass(frozen=True, eq=False)
class Predictions:
    """Predictions of supervisors, students and baselines on the rows that judge them.

    It holds predictions, never errors: another loss is another reading of the same table.

    Parameters
    ----------
    table : DataFrame
        One row for each division (``split``, ``division``), class of heads (``heads``), ``student``,
        ``supervisor`` and judged row (``row``, its number; ``id``, ``role`` and ``cluster`` where they are
        known). ``y_true``, ``y_weak`` and ``y_strong`` are the truth, the supervisor's label and the
        student's prediction. Baselines are the student's class fitted to the truth of the student's rows
        (``y_ceiling``; ``y_class`` with the student's own radius), to the supervisor's true labels
        (``y_direct``), the mean of those labels (``y_mean``), a student of the same weak labels on
        untrained features (``y_untrained``), and one on its supervisor's own features or, where it has none,
        the mean of the weak labels (``y_null``). Any other column that starts with ``y_`` is a baseline too;
        the rest, such as a text or a molecule, is for display.

        A row without a true label has no ``y_true``, one that its supervisor left out no ``y_weak``.
        ``weight`` is the weight of a row, ``probability`` that with which it was drawn to get its true label.
    """

    table: pd.DataFrame

    def __post_init__(self) -> None:
        if not isinstance(self.table, pd.DataFrame):
            raise TypeError(f"table: give a DataFrame; got {type(self.table).__name__}")

    @classmethod
    def concatenated(cls, parts: Iterable[Predictions]) -> Predictions:
        """Join the predictions of several divisions into one table."""
        return cls(pd.concat([part.table for part in parts], ignore_index=True))

    def of(self, pair: Pair) -> Predictions:
        """Return the predictions of one pair of supervisor and student."""
        mine = (self.table[list(Pair._fields)] == list(pair)).all(axis=1)
        return Predictions(self.table[mine])

    @property
    def with_truth(self) -> Predictions:
        """The rows whose true label is known."""
        return self._where("y_true")

    @property
    def judging(self) -> Predictions:
        """The rows whose true label is known and that their supervisor labels."""
        return self._where("y_true", "y_weak")

    @property
    def weak_labelled(self) -> Predictions:
        """The rows that their supervisor labels, with or without a true label."""
        return self._where("y_weak")

    @property
    def weights(self) -> NDArray[np.float64]:
        """What each row counts for where true labels judge: its weight over its probability of having one."""
        weights = self.row_weights
        return weights / self.table["probability"].to_numpy() if "probability" in self.table else weights

    @property
    def row_weights(self) -> NDArray[np.float64]:
        """What each row counts for where no true label is needed."""
        return self.table["weight"].to_numpy() if "weight" in self.table else np.ones(len(self.table))

    @property
    def clusters(self) -> pd.Series:
        """Names of the independent clusters: groups if there are any, else the rows themselves.

        A row that several divisions judge is one cluster.
        """
        if "cluster" in self.table:
            return self.table["cluster"]
        self._refuse_without("row")
        return self.table["row"]

    @property
    def baselines(self) -> tuple[str, ...]:
        """Names of the baselines that were predicted."""
        there = {str(name) for name in self.table if str(name).startswith("y_")} - _NO_BASELINES
        named = [str(name)[2:] for name in self.table if name in there]
        return (*(b for b in BASELINES if b in named), *(b for b in named if b not in BASELINES))

    def losses(self, divergence: Divergence = SQUARED_ERROR) -> pd.DataFrame:
        """Return the table with the losses of every row in place of its predictions.

        Columns are those of `Divergence.of_rows`, and ``ceiling_error`` and so on for every baseline.
        """
        self._refuse_without("y_true", "y_weak", "y_strong")
        y = {name: self.table[name].to_numpy() for name in self.table if str(name).startswith("y_")}
        rows = divergence.of_rows(y["y_true"], y["y_weak"], y["y_strong"])
        rows |= {f"{b}_error": divergence.error(y[f"y_{b}"], y["y_true"]) for b in self.baselines}
        return self.table.drop(columns=list(y)).assign(**rows)

    def _where(self, *columns: str) -> Predictions:
        known = self.table[list(columns)].notna().all(axis=1)
        if "weight" in self.table:  # a row without weight is no evidence
            known &= self.table["weight"] > 0
        return self if known.all() else Predictions(self.table[known])

    def _refuse_without(self, *columns: str) -> None:
        missing = [name for name in columns if name not in self.table]
        if missing:
            raise InputError(f"table: no column {missing[0]!r}; columns: {', '.join(map(str, self.table))}")
