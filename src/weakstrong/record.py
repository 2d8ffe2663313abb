"""Records: the results of a procedure, as one folder that is written whole and read back with one call."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import pandas as pd

from weakstrong.errors import InputError
from weakstrong.estimate import revived
from weakstrong.predictions import Predictions
from weakstrong.storage import DONE, to_json, to_toml, write_atomically

SCHEMA = 1
_SETTINGS, _SUMMARY = "config.toml", "summary.json"
_PREDICTIONS = ("predictions.csv", "predictions.parquet")
_MANY_ROWS = 300_000  # of predictions: CSV would be large and slow to read


@dataclass(frozen=True)
class Result:
    """The estimates and findings about one subject, such as a supervisor and its student.

    Parameters
    ----------
    about : mapping of str to str
        Its subject: class of heads, student, supervisor. Empty if the record is of one thing alone.
    estimates : mapping
        Estimates by name. They may be nested, with plain numbers that belong to them.
    facts : mapping
        Numbers without an uncertainty, such as counts, by name.
    findings : tuple of str
        Conclusions from these, in words.
    """

    about: Mapping[str, str]
    estimates: Mapping[str, Any]
    facts: Mapping[str, Any] = field(default_factory=dict)
    findings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Record:
    """The results of a procedure, with its settings and provenance.

    On disk it is a folder: ``config.toml`` has the settings, ``summary.json`` all that is not a table, every
    table and figure is a file of its own, and ``DONE``, written last, lists them.

    Parameters
    ----------
    kind : str
        The procedure: ``study``, or the name of an experiment of the paper.
    title : str
    settings : mapping
        They make the record again.
    results : tuple of Result
    facts : mapping
        What was looked at.
    notes : tuple of str
        What a reader must know.
    provenance : mapping
        Versions that the numbers can depend on.
    key : str
        Identifies everything that the record follows from.
    tables : mapping of name to DataFrame
    predictions : Predictions, optional
    figures : mapping of file name to bytes
    """

    kind: str
    title: str
    settings: Mapping[str, Any]
    results: tuple[Result, ...]
    facts: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)
    key: str = ""
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict, repr=False)
    predictions: Predictions | None = field(default=None, repr=False)
    figures: Mapping[str, bytes] = field(default_factory=dict, repr=False)

    def result(self, **about: str) -> Result:
        """Return the one result about a named subject.

        Raises
        ------
        KeyError
            If there is none, or several.
        """
        matches = [r for r in self.results if about.items() <= r.about.items()]
        if len(matches) != 1:
            there = "; ".join(str(dict(r.about)) for r in self.results)
            raise KeyError(f"{len(matches)} results are about {about}; there are: {there}")
        return matches[0]

    def summary(self) -> dict[str, Any]:
        """Return everything but tables and figures, as ``summary.json`` has it."""
        return {
            "schema": SCHEMA,
            "kind": self.kind,
            "title": self.title,
            "facts": dict(self.facts),
            "notes": list(self.notes),
            "results": [vars(r) for r in self.results],
            "settings": dict(self.settings),
            "key": self.key,
            "provenance": dict(self.provenance),
        }

    def write(self, folder: Path, *, float_format: str | None = None) -> None:
        """Write the files of the record, except `DONE`, to an existing folder.

        Parameters
        ----------
        folder : Path
        float_format : str, optional
            Of the numbers in tables, such as ``%.6g``; all digits unless given.
        """
        write_atomically(folder / _SETTINGS, to_toml(dict(self.settings)).encode())
        for name, table in self.tables.items():
            text = table.to_csv(index=False, float_format=float_format)
            write_atomically(folder / f"{name}.csv", text.encode())
        if self.predictions is not None:
            _write_predictions(folder, self.predictions.table)
        for name, content in self.figures.items():
            write_atomically(folder / name, content)
        write_atomically(folder / _SUMMARY, to_json(self.summary()).encode())

    @classmethod
    def read(cls, folder: Path | str, *, tables: bool = True) -> Self:
        """Read a record from its folder.

        Parameters
        ----------
        folder : Path
        tables : bool
            Whether to read tables, predictions and figures too. Predictions are left out where they
            were not kept.

        Raises
        ------
        InputError
            If it is no whole record, or one of another schema.
        """
        folder = Path(folder)
        if not is_whole(folder):
            raise InputError(f"{folder}: holds no whole record ({DONE}, or a file that it lists, is missing)")
        try:
            summary = json.loads((folder / _SUMMARY).read_text())
            settings = tomllib.loads((folder / _SETTINGS).read_text())
        except (OSError, ValueError) as error:
            raise InputError(f"{folder}: is damaged ({error}); make the record again") from error
        if not isinstance(summary, dict) or summary.get("schema") != SCHEMA:
            raise InputError(
                f"{folder}: is not a record of this version (schema {SCHEMA}); make the record again"
            )
        known = {name: summary[name] for name in ("kind", "title", "facts", "provenance", "key")}
        results = tuple(
            Result(r["about"], revived(r["estimates"]), revived(r["facts"]), tuple(r["findings"]))
            for r in summary["results"]
        )
        more = _read_files(folder) if tables else {}
        return cls(**known, notes=tuple(summary["notes"]), settings=settings, results=results, **more)


def is_whole(folder: Path) -> bool:
    """Return whether a folder has every file that ``DONE`` lists; a copy may leave predictions out."""
    if not (folder / DONE).is_file():
        return False
    listed = set((folder / DONE).read_text().splitlines()) | {_SETTINGS, _SUMMARY}
    return all((folder / name).is_file() for name in listed - set(_PREDICTIONS))


def _write_predictions(folder: Path, table: pd.DataFrame) -> None:
    """Write predictions as CSV, or as Parquet where they are many."""
    as_csv, as_parquet = _PREDICTIONS
    if len(table) > _MANY_ROWS:
        write_atomically(folder / as_parquet, table.to_parquet(index=False))
    else:
        write_atomically(folder / as_csv, table.to_csv(index=False).encode())


def _read_files(folder: Path) -> dict[str, Any]:
    """Tables, predictions and figures of a record."""
    as_csv, as_parquet = (folder / name for name in _PREDICTIONS)
    predictions = None
    if as_csv.is_file():
        predictions = Predictions(pd.read_csv(as_csv))
    elif as_parquet.is_file():
        predictions = Predictions(pd.read_parquet(as_parquet))
    return {
        "tables": {p.stem: pd.read_csv(p) for p in sorted(folder.glob("*.csv")) if p != as_csv},
        "predictions": predictions,
        "figures": {p.name: p.read_bytes() for p in sorted(folder.glob("*.png"))},
    }
