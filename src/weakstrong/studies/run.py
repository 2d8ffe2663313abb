"""Fit every division of a study, judge it, and keep the record."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from threadpoolctl import threadpool_limits

from weakstrong.arrays import group_array, real_array, refuse_other_rows, row_weights
from weakstrong.class_laws import conditions
from weakstrong.errors import InputError, quoted
from weakstrong.identity import code_hash, fingerprint, provenance
from weakstrong.predictions import Parts, Predictions
from weakstrong.record import Record
from weakstrong.storage import output_folder
from weakstrong.studies.choosing import choice_facts, choice_notes, choices
from weakstrong.studies.class_heads import exact_fitters
from weakstrong.studies.divisions import Division, divisions
from weakstrong.studies.findings import cluster_notes, summarize
from weakstrong.studies.fitting import fit_division
from weakstrong.studies.influence import with_explosions
from weakstrong.studies.inputs import Split, StudyInputs, check_inputs
from weakstrong.studies.label_arrays import study_labels
from weakstrong.studies.measures import by_division
from weakstrong.studies.remarks import feature_notes, unlabelled_notes
from weakstrong.studies.settings import StudyOptions, validated
from weakstrong.studies.worth import budget_table
from weakstrong.votes import Vote
from weakstrong.whole_files import fault_of, keep, kept, opened

_FITTING = "weakstrong.studies.fitting"  # what is kept of a run follows from its code
_MANY_PRODUCTS = 1e10  # rows times features squared: below it two threads were slower than one


def study(
    weak: Mapping[str, ArrayLike] | None = None,
    strong: ArrayLike | Mapping[str, ArrayLike] | None = None,
    y: ArrayLike | None = None,
    *,
    weak_labels: Mapping[str, ArrayLike] | pd.DataFrame | None = None,
    vote: Vote = "mean",
    weights: ArrayLike | None = None,
    label_probability: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    splits: Mapping[str, tuple[ArrayLike, ...]] | None = None,
    untrained: Mapping[str, ArrayLike] | None = None,
    display: Mapping[str, ArrayLike] | None = None,
    **options: Any,
) -> Record:
    """Measure on your own arrays whether students gain over their supervisors.

    Rows are matched by position. Pandas objects say what their rows are: their indexes must agree.

    Parameters
    ----------
    weak : mapping of name to array of shape (n, d_w), optional
        Features of each supervisor whose head is to be fitted to true labels: real numbers, dense.
    strong : array of shape (n, d_s), or mapping of name to such arrays
        Features of the student, which is then called ``strong``, or of each student.
    y : array of shape (n,) or (n, c)
        True labels: real numbers, or classes (text, booleans, whole numbers, categories) or a table of their
        probabilities, whose columns name them; NaN or None where a row has none. Such rows are the students',
        and judge the misfit alone.
    weak_labels : mapping of name to array of shape (n,) or (n, workers), or DataFrame, optional
        Labels of each supervisor whose labels exist already, of any origin; NaN where it says nothing.
        Several columns are several labels a row, which are combined; where labels are classes, a DataFrame
        with the classes as its columns, or an array with a column for each, has their probabilities.
    vote : {"mean", "majority"}
        How several labels of a row are combined.
    weights : array of shape (n,), optional
        What each row counts for, in fitting and in judging.
    label_probability : array of shape (n,), optional
        Probability with which a row was drawn to get its true label, needed where it has one: true labels
        weigh the inverse.
    groups : array of shape (n,), optional
        Rows of one group stay on one side of every division and count as one cluster. Names are compared as
        they are: 1 and 1.0 are one group, 1 and "1" are two.
    splits : mapping of name to (train rows, test rows) or (supervised, student, test rows), optional
        Row numbers, or boolean masks with an entry for each of the n rows; zeros and ones are row numbers.
        No row is in two parts. Of training rows each division draws those that get true labels; three
        sets of rows are a division as it stands.
    untrained : mapping of name to array of shape (draws, n, d), optional
        For students that have one: features of the same architecture at random initialisations, as a control.
    display : mapping of name to array of shape (n,), optional
        Columns that the predictions carry along for display, such as the text of each row.
    **options
        Those of `StudyOptions`: heads, n_folds, true_labels, student_rows, budget, test_size, seeds, seed,
        clip, task, smoothing, confidence.

    Returns
    -------
    Record
        Its results are one for each class of heads, student and supervisor: pooled estimates with intervals
        from the held-out rows, the spread over divisions, and conclusions in words. Its table ``divisions``
        has one row for each of these and division; ``predictions`` has what was predicted.

    Raises
    ------
    InputError
        If lengths or pandas indexes differ, a value is no finite real number, a group is missing, an option
        is unknown or out of range, or a division is too small to fit.
    """
    if not isinstance(weak, Mapping | None):
        raise InputError("weak: give a mapping, as {'name of the supervisor': features}")
    if strong is None or y is None:
        raise InputError(f"a study needs {'strong, the features of the student' if strong is None else 'y'}")
    if vote not in get_args(Vote):
        raise InputError(f"vote={quoted(vote)}: give 'mean' or 'majority'", "vote")
    if isinstance(weak_labels, float | int):  # as its number of rows was called
        options, weak_labels = {"weak_labels": weak_labels, **options}, None
    if isinstance(weak_labels, pd.DataFrame):  # a supervisor in each column
        weak_labels = dict(weak_labels.items())
    students = strong if isinstance(strong, Mapping) else {"strong": strong}
    divided = _named(splits, "split")
    columns = {
        "y": y, "groups": groups, "weights": weights, "label_probability": label_probability,
        **_named(display, "display"), **_named(weak_labels, "weak labels"),
    }  # fmt: skip
    features = {**_named(weak, "weak features"), **_named(students, "strong features")}
    masks = {name: part for name, part in _parts(divided) if _is_mask(part)}
    draws = dict(_parts(_named(untrained, "untrained")))
    refuse_other_rows({**columns, **features, **masks, **draws})
    settled = validated(StudyOptions, options, "study")
    truth, classes, given_labels = study_labels(y, weak_labels or {}, vote, settled.task)
    given = StudyInputs(
        supervisors=_arrays(weak or {}, "weak features"),
        students=_arrays(students, "strong features"),
        y=truth,
        weak_labels=given_labels,
        classes=classes,
        weights=None if weights is None else row_weights(weights, len(truth), "weights"),
        label_probability=None
        if label_probability is None
        else np.asarray(real_array(label_probability, "label_probability", column=True), dtype=np.float64),
        groups=None if groups is None else group_array(groups, len(truth)),
        splits=tuple(_split(str(name), parts, len(truth)) for name, parts in (splits or {}).items()),
        untrained=_arrays(untrained or {}, "untrained"),
        display={str(name): np.asarray(values) for name, values in (display or {}).items()},
    )
    return run(given, settled)


def _named(given: Mapping[str, Any] | None, what: str) -> dict[str, Any]:
    """What a mapping holds, under names for messages; names that are one as text are refused."""
    if not isinstance(given, Mapping | None):
        raise InputError(f"{what}: give a mapping, as {{'name': ...}}; got {type(given).__name__}")
    named = {f"{what} {str(name)!r}": values for name, values in (given or {}).items()}
    if len(named) < len(given or {}):
        raise InputError(f"{what}: two names are one as text; give each a name of its own")
    return named


def _arrays(named: Mapping[str, ArrayLike], what: str) -> dict[str, NDArray[Any]]:
    return {
        str(name): real_array(values, f"{what} {str(name)!r}", booleans=True)
        for name, values in named.items()
    }


def _is_mask(rows: Any) -> bool:
    return str(getattr(rows, "dtype", "")).startswith("bool")


def _parts(named: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The parts of what is given in parts, each with a name for messages."""
    for name, given in named.items():
        for place, part in enumerate(given if isinstance(given, list | tuple) else [given], 1):
            yield f"part {place} of {name}", part


def _split(name: str, parts: Sequence[ArrayLike], n: int) -> Split:
    """Rows to train on and to judge on, or the three parts of a division."""
    if not isinstance(parts, Sequence | np.ndarray) or len(parts) not in (2, 3):
        raise InputError(
            f"split {name!r}: got {quoted(parts)}; give (train, test) or (supervised, student, test) rows"
        )
    *train, test = (_row_numbers(rows, f"split {name!r}", n) for rows in parts)
    if len(train) == 1:
        return Split(name, train[0], test)
    return Split(name, np.concatenate(train), test, supervised=train[0])


def _row_numbers(rows: ArrayLike, name: str, n: int) -> NDArray[np.int64]:
    """The numbers of rows that are given by them, or by a mask with an entry for each of n rows."""
    given = real_array(rows, name, booleans=True)
    if given.ndim != 1 or (given.size and given.dtype.kind not in "iub"):
        raise InputError(
            f"{name}: rows are one-dimensional row numbers or masks; got shape {given.shape}, {given.dtype}"
        )
    if given.dtype != np.bool_:
        return given.astype(np.int64)
    if len(given) != n:
        raise InputError(f"{name}: a mask of {len(given)} entries; give one for each of {n} rows")
    return np.flatnonzero(given)


def run(
    inputs: StudyInputs,
    options: StudyOptions,
    *,
    out: Path | None = None,
    overwrite: bool = False,
    settings: Mapping[str, Any] | None = None,
    track: Callable[[Sequence[Division], str], Iterable[Division]] = lambda divided, _: divided,
) -> Record:
    """Run a study, and write its record to a folder if one is named.

    An interrupted run with a folder goes on where it stopped when run again with the same
    inputs, options and code, and ends in the same record.

    Parameters
    ----------
    inputs : StudyInputs
    options : StudyOptions
    out : Path, optional
        Folder for ``summary.json``, ``divisions.csv``, ``predictions.csv``, ``figure.png``,
        ``config.toml`` and, last, ``DONE``. The record that is returned then leaves predictions on disk.
    overwrite : bool
        Replace a finished run.
    settings : mapping, optional
        What to write as the configuration; the options if not given.
    track : callable, optional
        Wraps the list of divisions to show progress.
    """
    check_inputs(inputs)
    options = options.of_task(classes=bool(inputs.classes))
    divided = divisions(inputs, options)
    key = fingerprint(code_hash(_FITTING), inputs, options.model_dump())
    folder = nullcontext(None) if out is None else output_folder(out, key, overwrite=overwrite)
    described = dict(settings or options.model_dump())
    with folder as stage:
        if stage is not None and not fault_of(stage):  # all was done but the move
            record = Record.read(stage, tables=False)
            if record.settings == described:
                return record
        done = 0 if stage is None else len(list(stage.glob(".fits-*.parquet")))
        doing = f"study, going on after {done} of {len(divided)} divisions" if done else "study"
        numbered = enumerate(track(divided, doing))
        with _threads(inputs):
            judged = [_judged(stage, place, division, inputs, options) for place, division in numbered]
        parts = [load for load, _ in judged]
        measured = pd.concat([table for _, table in judged], ignore_index=True)
        rows = with_explosions(measured.copy())  # in one piece
        given = {name: labels.take(inputs.has_label) for name, labels in inputs.weak_labels.items()}
        results = summarize(parts, rows, given, smoothing=options.smoothing)
        chosen = choices(parts, results)
        noted = (*feature_notes(rows), *cluster_notes(results))
        record = Record(
            kind="study",
            title=inputs.target,
            settings=described,
            results=results,
            facts={**_facts(inputs), **choice_facts(chosen)},
            notes=(
                *inputs.notes,
                *unlabelled_notes(inputs),
                *conditions(options.heads),
                *noted,
                *choice_notes(chosen),
            ),
            provenance=provenance(),
            key=key,
            tables={"divisions": rows, **budget_table(results)},
        )
        if stage is not None:
            return _written(record, parts, stage)
    return replace(record, predictions=Predictions.concatenated(load() for load in parts))


def _threads(inputs: StudyInputs) -> AbstractContextManager[object]:
    """One thread of BLAS where features are few enough that several would mostly wait for one another."""
    widths = [x.shape[1] for x in (*inputs.supervisors.values(), *inputs.students.values())]
    is_small = len(inputs.y) * max(widths) ** 2 < _MANY_PRODUCTS
    return threadpool_limits(limits=1, user_api="blas") if is_small else nullcontext()


def _judged(
    stage: Path | None, place: int, division: Division, inputs: StudyInputs, options: StudyOptions
) -> tuple[Callable[[], Predictions], pd.DataFrame]:
    """Fit a division, or take up what an interrupted run kept of it.

    Returns a function that has its predictions, on disk if there is a folder, and what was measured.
    """
    if stage is None:
        predictions, fits = _fitted(division, inputs, options)
        return lambda: predictions, by_division(predictions, fits, smoothing=options.smoothing)
    files = [stage / f".{part}-{place}.parquet" for part in ("predictions", "fits")]
    if any(kept(file) is None for file in files):
        predictions, fits = _fitted(division, inputs, options)
        for frame, file in zip((predictions.table, fits), files, strict=True):
            keep(file, frame.to_parquet(index=False))
    predictions, fits = Predictions(_table(files[0])), _table(files[1])
    return lambda: Predictions(_table(files[0])), by_division(predictions, fits, smoothing=options.smoothing)


def _fitted(
    division: Division, inputs: StudyInputs, options: StudyOptions
) -> tuple[Predictions, pd.DataFrame]:
    fitters = exact_fitters(options)
    return fit_division(division, inputs, fitters, nulls=True, confidence=options.confidence)


def _table(file: Path) -> pd.DataFrame:
    return pd.read_parquet(opened(file))


def _facts(inputs: StudyInputs) -> dict[str, Any]:
    """The target, rows and features of a study."""
    of_classes = {"classes": list(inputs.classes)} if inputs.classes else {}
    return {
        "target": inputs.target,
        **of_classes,
        "rows": len(inputs.y),
        "strong_features": {name: int(values.shape[1]) for name, values in inputs.students.items()},
        "weak_features": {name: int(values.shape[1]) for name, values in inputs.supervisors.items()},
        "weak_labels": {name: given.share for name, given in inputs.weak_labels.items()},
        "rows_with_truth": int(inputs.has_truth.sum()),
        "intervals": "95%, Student t over clusters of held-out rows (CR2), for these fitted models, not for "
        "the procedure; spread_over_divisions is what refitting changes and is no standard error",
    }


def _written(record: Record, parts: Parts, stage: Path) -> Record:
    """Write a record with its figure and predictions, and return it without the latter."""
    from weakstrong.report.figures import gain_against_misfit, plain_drawing, png

    with plain_drawing():
        figure = png(gain_against_misfit(record.tables["divisions"], record.title))
    drawn = replace(record, figures={"figure.png": figure})
    drawn.write(stage, parts=parts)
    return drawn
