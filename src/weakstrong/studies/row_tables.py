"""The rows of a study and the tables that they are in, in which their columns are looked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from weakstrong.data.columns import row_weights
from weakstrong.data.ids import some, texts_of
from weakstrong.errors import InputError, quoted


@dataclass(frozen=True)
class StudyRows:
    """The rows of a study: those of the table of true labels, then those that only the features have.

    Parameters
    ----------
    n : int
    ids : array of str of shape (n,), or None
    tables : list of (path, table, row of the study for each of its rows)
        Where columns of rows are found, in this order: true labels, then weak labels.
    """

    n: int
    ids: NDArray[np.str_] | None
    tables: list[tuple[Path, pd.DataFrame, NDArray[np.int64]]]

    def called(self, row: int) -> str:
        """Name a row for a message: by its id, if there are ids."""
        return f"row {row} (counted from 0)" if self.ids is None else f"id {quoted(str(self.ids[row]))}"

    @property
    def in_a_table(self) -> NDArray[np.bool_]:
        """Which rows are in one of the tables, shape (n,)."""
        there = np.zeros(self.n, dtype=bool)
        for _, _, places in self.tables:
            there[places] = True
        return there

    def keep(self, rows: NDArray[np.bool_]) -> StudyRows:
        """Leave out rows that are in no table."""
        numbers = np.cumsum(rows) - 1
        tables = [(path, frame, numbers[places]) for path, frame, places in self.tables]
        return StudyRows(int(rows.sum()), None if self.ids is None else self.ids[rows], tables)

    def groups(self, name: str) -> NDArray[np.str_]:
        """Return a column of names of groups, which must be one in all tables that have a row."""
        return self._column(name, "group", _texts, "")

    def weights(self, name: str) -> NDArray[np.float64]:
        """Return a column of weights, of each row from the first table that has it."""
        return self._column(name, "weight", row_weights, np.nan)

    def _column(
        self,
        name: str,
        kind: str,
        parse: Callable[[pd.Series, Path], NDArray[Any]],
        empty: str | float,
    ) -> NDArray[Any]:
        """A column of all rows of a study, from the first table that has it of each row; names must agree."""
        found = [(path, parse(f[name], path), places) for path, f, places in self.tables if name in f]
        if not found:
            path, frame, _ = self.tables[0]
            raise InputError(f"{path}: no column {name!r}; columns: {some(frame.columns)}")
        values = np.full(self.n, empty, dtype=np.result_type(*(v.dtype for _, v, _ in found)))
        filled = np.zeros(self.n, dtype=bool)
        for path, some_values, places in found:
            new = ~filled[places]
            differs = ~new & (values[places] != some_values)
            if isinstance(empty, str) and differs.any():  # one group under two names may be judged and fitted
                at = int(differs.argmax())
                raise InputError(
                    f"{path}: column {name!r}, {self.called(int(places[at]))}: {kind} "
                    f"{quoted(str(some_values[at]))}, and {quoted(str(values[places[at]]))} in another "
                    "table; write it in one way"
                )
            values[places[new]] = some_values[new]
            filled[places] = True
        missing = ~filled | (values == empty if isinstance(empty, str) else np.isnan(values))
        if missing.any():
            where = ", ".join(str(path) for path, _, _ in found)
            raise InputError(
                f"{where}: column {name!r}, {self.called(int(missing.argmax()))}: no {kind}; give every row "
                "one, those without a true label too (in a table of weak labels, or as a row with an empty "
                "target), or leave its features out"
            )
        return values


def _texts(column: pd.Series, path: Path) -> NDArray[np.str_]:
    return texts_of(column, path).to_numpy(dtype=np.str_)
