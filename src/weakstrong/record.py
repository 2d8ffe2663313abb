"""Records: the results of a procedure, as one folder that is written whole and read back with one call."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, Self

import pandas as pd

from weakstrong.errors import InputError, printable
from weakstrong.estimate import revived
from weakstrong.predictions import Parts, Predictions
from weakstrong.serialization import to_json, to_toml, write_csv
from weakstrong.whole_files import fault_of, write_atomically

SCHEMA = 1
_SETTINGS, _SUMMARY = "config.toml", "summary.json"
_PREDICTIONS = ("predictions.csv", "predictions.parquet")
_NAMES = {"split", "heads", "student", "supervisor", "id", "cluster", "role", "exploded"}  # of text
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
    table and figure is a file of its own, and ``DONE``, written last, lists them with
    their checksums.

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

    def __str__(self) -> str:
        """Say what was found: the findings of every result, then the notes."""
        lines = [f"{self.kind}: {self.title}"]
        for result in self.results:
            lines += [", ".join(f"{name} {value}" for name, value in result.about.items())] * bool(
                result.about
            )
            lines += [f"  {finding}" for finding in result.findings]
        return printable("\n".join([*lines, *(f"note: {note}" for note in self.notes)]), keep="\n")

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

    def write(self, folder: Path, *, float_format: str | None = None, parts: Parts = ()) -> None:
        """Write the files of the record, except `DONE`, to an existing folder.

        Parameters
        ----------
        folder : Path
        float_format : str, optional
            Of the numbers in tables, such as ``%.6g``; all digits unless given.
        parts : sequence of callable
            Predictions that are not in memory: each call returns some of them.
        """
        write_atomically(folder / _SETTINGS, to_toml(dict(self.settings)).encode())
        for name, table in self.tables.items():
            write = partial(write_csv, table, float_format=float_format)
            write_atomically(folder / f"{name}.csv", write)
        mine = self.predictions
        _write_predictions(folder, parts if mine is None else [lambda: mine])
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
            If it is no whole record, was changed since it was written, or is of another schema.
        """
        folder = Path(folder)
        fault = fault_of(folder, optional=_PREDICTIONS)
        if fault:
            raise InputError(f"{folder}: holds no whole record ({fault}); make the record again")
        try:
            summary = json.loads((folder / _SUMMARY).read_text(encoding="utf-8"))
            settings = tomllib.loads((folder / _SETTINGS).read_text(encoding="utf-8"))
            if not isinstance(summary, dict) or summary.get("schema") != SCHEMA:
                raise InputError(
                    f"{folder}: is not a record of this version (schema {SCHEMA}); make the record again"
                )
            known = {name: summary[name] for name in ("kind", "title", "facts", "provenance", "key")}
            results = tuple(
                Result(r["about"], revived(r["estimates"]), revived(r["facts"]), tuple(r["findings"]))
                for r in summary["results"]
            )
            known["facts"] = revived(known["facts"])
            more = _read_files(folder) if tables else {}
            return cls(**known, notes=tuple(summary["notes"]), settings=settings, results=results, **more)
        except InputError:
            raise
        except Exception as error:  # what no run has written can fail in any way
            reason = f"{type(error).__name__}: {error}"
            raise InputError(f"{folder}: is damaged ({reason}); make the record again") from error


def _write_predictions(folder: Path, parts: Parts) -> None:
    """Write predictions part by part, as CSV, or as Parquet where they are many."""
    rows = sum(len(load().table) for load in parts)
    if rows:
        write, name = (_csv, _PREDICTIONS[0]) if rows <= _MANY_ROWS else (_parquet, _PREDICTIONS[1])
        write_atomically(folder / name, partial(write, parts))


def _csv(parts: Parts, path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        for place, load in enumerate(parts):
            write_csv(load().table, file, header=not place)


def _parquet(parts: Parts, path: Path) -> None:
    """Write a row group for each part."""
    import pyarrow as pa
    from pyarrow import parquet

    tables = (pa.Table.from_pandas(load().table, preserve_index=False) for load in parts)
    first = next(tables)
    with parquet.ParquetWriter(path, first.schema) as writer:
        for table in chain([first], tables):
            writer.write_table(table)


def _read_table(path: Path) -> pd.DataFrame:
    """Read a table as it was written: names are text, even 007 and NA."""
    names = pd.read_csv(path, nrows=0).columns
    missing = {name: ["", "nan", "NaN"] for name in names if name not in _NAMES}
    texts = set(names) & _NAMES
    if "y_true" in names and any(name.startswith("y_strong[") for name in names):  # it names classes
        texts, missing = texts | {"y_true"}, missing | {"y_true": [""]}
    return pd.read_csv(path, dtype=dict.fromkeys(texts, str), na_values=missing, keep_default_na=False)


def _read_files(folder: Path) -> dict[str, Any]:
    """Tables, predictions and figures of a record."""
    as_csv, as_parquet = (folder / name for name in _PREDICTIONS)
    predictions = None
    if as_csv.is_file():
        predictions = Predictions(_read_table(as_csv))
    elif as_parquet.is_file():
        predictions = Predictions(pd.read_parquet(as_parquet))
    return {
        "tables": {p.stem: _read_table(p) for p in sorted(folder.glob("*.csv")) if p != as_csv},
        "predictions": predictions,
        "figures": {p.name: p.read_bytes() for p in sorted(folder.glob("*.png"))},
    }
