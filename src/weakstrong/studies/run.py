"""Fit every division of a study, judge it, and keep the record."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from weakstrong.errors import InputError
from weakstrong.estimator import HeadProjection
from weakstrong.identity import code_hash, fingerprint
from weakstrong.storage import output_folder, provenance, to_json, to_toml, write_atomically
from weakstrong.studies.findings import by_division, summarize
from weakstrong.studies.inputs import Split, StudyInputs, Unit, check_inputs, divisions
from weakstrong.studies.settings import StudyOptions, validated

Array = NDArray[np.float64]

_CONDITIONAL = "every ball's radius is chosen on the labels it is fitted to: Theorem 1 holds given the radius"


@dataclass(frozen=True)
class StudyResult:
    """What a study found.

    Parameters
    ----------
    predictions : DataFrame
        A row for each held-out row, division and supervisor: y_true, y_weak, y_strong,
        y_ceiling, y_direct, y_mean.
    splits : DataFrame
        A row for each division and supervisor: errors, misfit, gain, cross term, radii, ranks.
    summary : dict
        For each supervisor: pooled estimates with intervals from the held-out rows, spread
        over divisions, and conclusions in words.
    """

    predictions: pd.DataFrame = field(repr=False)
    splits: pd.DataFrame
    summary: dict[str, Any] = field(repr=False)


def study(
    weak: Mapping[str, ArrayLike],
    strong: ArrayLike,
    y: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    splits: Mapping[str, tuple[ArrayLike, ArrayLike]] | None = None,
    **options: Any,
) -> StudyResult:
    """Run a study on arrays.

    Parameters
    ----------
    weak : mapping of name to array of shape (n, d_w)
        Features of each supervisor.
    strong : array of shape (n, d_s)
        Features of the student.
    y : array of shape (n,)
        True labels.
    groups : array of shape (n,), optional
        Rows of a group stay on one side of every division and count as one cluster.
    splits : mapping of name to (train rows, test rows), optional
        Row numbers or boolean masks.
    **options
        Of `StudyOptions`: heads, cv, supervised_fraction, test_size, repeats, seed.

    Returns
    -------
    StudyResult

    Raises
    ------
    InputError
        If lengths differ, a value is not finite, an option is unknown or out of range, or a
        division is too small to fit.
    """
    if not isinstance(weak, Mapping):
        raise InputError("weak: give a mapping, as {'name of the supervisor': features}")
    if np.asarray(y).dtype.kind == "b":
        raise InputError("y holds true and false; a study takes real values (squared loss), no classes yet")
    try:
        truth = np.asarray(y, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"y: real numbers are needed ({error})") from error
    given = StudyInputs(
        weak={str(name): np.asarray(values) for name, values in weak.items()},
        strong=np.asarray(strong),
        y=truth,
        groups=None if groups is None else np.asarray(groups),
        splits=tuple(
            Split(str(name), _row_numbers(train), _row_numbers(test))
            for name, (train, test) in (splits or {}).items()
        ),
    )
    return run(given, validated(StudyOptions, options, "study"))


def _row_numbers(rows: ArrayLike) -> NDArray[np.int64]:
    given = np.asarray(rows)
    if given.ndim != 1 or (given.size and given.dtype.kind not in "iub"):
        raise InputError(
            f"splits: rows are one-dimensional row numbers or masks; got shape {given.shape}, {given.dtype}"
        )
    return np.flatnonzero(given) if given.dtype == np.bool_ else given.astype(np.int64)


def run(
    inputs: StudyInputs,
    options: StudyOptions,
    *,
    out: Path | None = None,
    overwrite: bool = False,
    settings: Mapping[str, Any] | None = None,
    track: Callable[[Sequence[Unit], str], Iterable[Unit]] = lambda units, _: units,
) -> StudyResult:
    """Run a study, and write its record to a folder if one is named.

    An interrupted run with a folder goes on where it stopped when run again with the same
    inputs, options and code, and ends in the same record.

    Parameters
    ----------
    inputs : StudyInputs
    options : StudyOptions
    out : Path, optional
        Folder for ``summary.json``, ``splits.csv``, ``predictions.csv``, ``figure.png``,
        ``config.toml`` and, last, ``DONE``.
    overwrite : bool
        Replace a finished run.
    settings : mapping, optional
        What to write as the configuration; the options if not given.
    track : callable, optional
        Wraps the list of divisions to show progress.
    """
    check_inputs(inputs)
    units = divisions(inputs, options)
    key = fingerprint(code_hash(__name__), inputs, options.model_dump())
    folder = nullcontext(None) if out is None else output_folder(out, key, overwrite=overwrite)
    with folder as stage:
        done = 0 if stage is None else len(list(stage.glob(".fits-*.parquet")))
        doing = f"study, going on after {done} of {len(units)} divisions" if done else "study"
        numbered = enumerate(track(units, doing))
        parts = [_kept(stage, number, unit, inputs, options) for number, unit in numbered]
        predictions = pd.concat([p for p, _ in parts], ignore_index=True)
        fits = pd.concat([f for _, f in parts], ignore_index=True)
        rows = by_division(predictions, fits)
        summary = {**_setting(inputs, options), "supervisors": summarize(predictions, rows)}
        found = StudyResult(predictions, rows, summary)
        if stage is not None:
            _write(stage, found, dict(settings or options.model_dump()))
    return found


def _kept(
    stage: Path | None, number: int, unit: Unit, inputs: StudyInputs, options: StudyOptions
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A division's predictions and fits, from an interrupted run if it got that far."""
    if stage is None:
        return fit_unit(unit, inputs, options)
    files = [stage / f".{part}-{number}.parquet" for part in ("predictions", "fits")]
    if not all(f.exists() for f in files):
        for frame, file in zip(fit_unit(unit, inputs, options), files, strict=True):
            buffer = io.BytesIO()
            frame.to_parquet(buffer, index=False)
            write_atomically(file, buffer.getvalue())
    predictions, fits = (pd.read_parquet(f) for f in files)
    return predictions, fits


def fit_unit(unit: Unit, inputs: StudyInputs, options: StudyOptions) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Fit supervisors, students, ceiling and direct baseline on one division.

    The students of all supervisors and the ceiling are targets of one fit: they share a
    factorization, and each has its own radius.
    """

    def fitted(features: NDArray[Any], rows: NDArray[np.int64], labels: Array) -> HeadProjection:
        model = HeadProjection(options.heads, n_folds=options.cv, random_state=options.seed)
        groups = None if inputs.groups is None else inputs.groups[rows]
        return model.fit(features[rows], labels, groups=groups)

    y, sup, own, test = inputs.y, unit.supervised, unit.student, unit.test
    supervisors = {name: fitted(values, sup, y[sup]) for name, values in inputs.weak.items()}
    weak_labels = {name: m.predict(inputs.weak[name][own]) for name, m in supervisors.items()}
    students = fitted(inputs.strong, own, np.column_stack([y[own], *weak_labels.values()]))
    direct = fitted(inputs.strong, sup, y[sup])
    predicted = students.predict(inputs.strong[test])
    common = {
        "split": unit.split,
        "repeat": unit.repeat,
        "row": test,
        "y_true": y[test],
        "y_ceiling": predicted[:, 0],
        "y_direct": direct.predict(inputs.strong[test]),
        "y_mean": np.full(len(test), y[sup].mean()),
    }
    frames, fits = [], []
    for place, (name, supervisor) in enumerate(supervisors.items(), start=1):
        y_weak = supervisor.predict(inputs.weak[name][test])
        frames.append(
            pd.DataFrame({**common, "supervisor": name, "y_weak": y_weak, "y_strong": predicted[:, place]})
        )
        fits.append(_fit_row(unit, name, supervisor, students, place))
    predictions = pd.concat(frames, ignore_index=True)
    if inputs.ids is not None:
        predictions.insert(3, "id", inputs.ids[predictions["row"]])
    if inputs.groups is not None:
        predictions["group"] = inputs.groups[predictions["row"]].astype(np.str_)
    return predictions, pd.DataFrame(fits)


def _fit_row(
    unit: Unit, name: str, supervisor: HeadProjection, students: HeadProjection, place: int
) -> dict[str, Any]:
    """How the fits of one supervisor and its student went."""
    radii = getattr(supervisor.heads_, "radius", [np.nan]), getattr(students.heads_, "radius", None)
    return {
        "split": unit.split,
        "repeat": unit.repeat,
        "supervisor": name,
        "supervised_rows": len(unit.supervised),
        "student_rows": len(unit.student),
        "fitting_misfit": float(students.fit_error_[place]),
        "weak_rank": supervisor.rank_,
        "strong_rank": students.rank_,
        "weak_radius": float(radii[0][0]),
        "strong_radius": np.nan if radii[1] is None else float(radii[1][place]),
        "optimality_gap": float(max(supervisor.optimality_gap_[0], students.optimality_gap_[place])),
    }


def _setting(inputs: StudyInputs, options: StudyOptions) -> dict[str, Any]:
    """What was studied, and with what."""
    return {
        "target": inputs.target,
        "rows": len(inputs.y),
        "strong_features": int(inputs.strong.shape[1]),
        "weak_features": {name: int(values.shape[1]) for name, values in inputs.weak.items()},
        "intervals": "95%, Student t over clusters of held-out rows, given the fitted heads; "
        "spread_over_divisions is what refitting changes and is no standard error",
        "options": options.model_dump(),
        "notes": [*inputs.notes, *([_CONDITIONAL] if options.heads == "l2" else [])],
        "versions": provenance(),
    }


def _write(stage: Path, found: StudyResult, settings: dict[str, Any]) -> None:
    """Write the record's files and drop what only a resumed run would need."""
    from weakstrong.report.figures import gain_against_misfit, png

    write_atomically(stage / "config.toml", to_toml(settings).encode())
    write_atomically(stage / "summary.json", to_json(found.summary).encode())
    write_atomically(stage / "splits.csv", found.splits.to_csv(index=False).encode())
    write_atomically(stage / "predictions.csv", found.predictions.to_csv(index=False).encode())
    figure = gain_against_misfit(found.splits, found.summary["target"])
    write_atomically(stage / "figure.png", png(figure))
    for kept in stage.glob(".*.parquet"):
        kept.unlink()
