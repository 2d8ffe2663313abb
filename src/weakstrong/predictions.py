"""The long table of predictions on judged rows, from which every statistic is computed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, NoReturn

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from weakstrong.class_labels import one_hot
from weakstrong.divergence import BRIER, SQUARED_ERROR, Divergence
from weakstrong.errors import InputError

# Parts of a table that need not be in memory at once: each is called to have it.
Parts = Sequence[Callable[[], "Predictions"]]
BASELINES = ("ceiling", "class", "direct", "mean", "untrained", "null")
_NO_BASELINES = {"true", "weak", "strong"}
_OF_CLASS = "y_strong["
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

        Where labels are classes, each of these has a column of probabilities for every class, such as
        ``y_strong[positive]``, and ``y_true`` is the class itself.

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

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, if labels are classes."""
        names = [str(name) for name in self.table if str(name).startswith(_OF_CLASS) and str(name)[-1] == "]"]
        return tuple(name.removeprefix(_OF_CLASS)[:-1] for name in names)

    @property
    def divergence(self) -> Divergence:
        """The loss in which errors are first told: the Brier score for classes, else squared error."""
        return BRIER if self.classes else SQUARED_ERROR

    def values(self, name: str) -> NDArray[np.float64]:
        """Return what is said under a name, such as ``strong``: (n,) numbers, or probabilities (n, c)."""
        self._refuse_without(name)
        if not self.classes:
            return self.table[f"y_{name}"].to_numpy(dtype=np.float64)
        if f"y_{name}" in self.table:
            return one_hot(self.table[f"y_{name}"], self.classes)
        return self.table[list(columns_of(name, self.classes))].to_numpy(dtype=np.float64)

    def known(self, name: str) -> NDArray[np.bool_]:
        """Return the rows where something is said under a name."""
        self._refuse_without(name)
        column = f"y_{name}" if f"y_{name}" in self.table else columns_of(name, self.classes)[0]
        return self.table[column].notna().to_numpy()

    @property
    def with_truth(self) -> Predictions:
        """The rows whose true label is known."""
        return self._where("true")

    @property
    def judging(self) -> Predictions:
        """The rows whose true label is known and that their supervisor labels."""
        return self._where("true", "weak")

    @property
    def weak_labelled(self) -> Predictions:
        """The rows that their supervisor labels, with or without a true label."""
        return self._where("weak")

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
        if "row" not in self.table:
            self._refuse("row")
        return self.table["row"]

    @property
    def baselines(self) -> tuple[str, ...]:
        """Names of the baselines that were predicted."""
        said = [str(name)[2:] for name in self.table if str(name).startswith("y_")]
        if self.classes:
            ending = f"[{self.classes[0]}]"
            said = [name.removesuffix(ending) for name in said if name.endswith(ending)]
        named = [name for name in said if name not in _NO_BASELINES]
        return (*(b for b in BASELINES if b in named), *(b for b in named if b not in BASELINES))

    def losses(self, divergence: Divergence | None = None) -> pd.DataFrame:
        """Return the table with the losses of every row in place of its predictions.

        Columns are those of `Divergence.of_rows`, and ``ceiling_error`` and so on for every baseline. The
        divergence is that of `divergence` unless one is given.
        """
        loss = divergence or self.divergence
        y = self.values("true")
        rows = loss.of_rows(y, self.values("weak"), self.values("strong"))
        rows |= {f"{b}_error": loss.error(self.values(b), y) for b in self.baselines}
        said = [name for name in self.table if str(name).startswith("y_")]
        return self.table.drop(columns=said).assign(**rows)

    def _where(self, *names: str) -> Predictions:
        known = np.all([self.known(name) for name in names], axis=0)
        if "weight" in self.table:  # a row without weight is no evidence
            known &= (self.table["weight"] > 0).to_numpy()
        return self if known.all() else Predictions(self.table[known])

    def _refuse_without(self, name: str) -> None:
        columns = columns_of(name, self.classes)
        if f"y_{name}" not in self.table and not (self.classes and set(columns) <= set(self.table)):
            self._refuse(f"y_{name}")

    def _refuse(self, column: str) -> NoReturn:
        raise InputError(f"table: no column {column!r}; columns: {', '.join(map(str, self.table))}")


def columns_of(name: str, classes: Sequence[str]) -> list[str]:
    """Name the columns of what is said under a name: one, or one for each class."""
    return [f"y_{name}[{c}]" for c in classes] if classes else [f"y_{name}"]
