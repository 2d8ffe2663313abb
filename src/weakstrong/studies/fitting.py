"""Fit and predict one division of a study: supervisors, students and baselines are made here alone."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from weakstrong.predictions import Predictions
from weakstrong.studies.divisions import Division, Rows
from weakstrong.studies.fitted_heads import FittedHeads, Fitter, Sample
from weakstrong.studies.inputs import StudyInputs

Array = NDArray[np.float64]
_Fits = dict[str, tuple[FittedHeads | None, int]]  # with the place of the target


def fit_division(
    division: Division, inputs: StudyInputs, fitters: Mapping[str, Fitter]
) -> tuple[Predictions, pd.DataFrame]:
    """Fit every supervisor, student and baseline on one division, and predict its judged rows.

    Supervisors are fitted to true labels (equation (10) of the paper), students to their labels (11). The
    students of all supervisors and the ceiling are targets of one fit: they share a factorization, and each
    has a radius of its own.

    Parameters
    ----------
    division : Division
    inputs : StudyInputs
    fitters : mapping of name to Fitter
        How heads are fitted, for each class of heads.

    Returns
    -------
    predictions : Predictions
        One row for each class of heads, pair of supervisor and student, and judged row.
    fits : DataFrame
        One row for each class of heads and pair: how many rows were fitted, and how the fits went.
    """
    y, supervised, own, judged = inputs.y[:, None], division.supervised, division.student, division.judged
    sample = partial(_sample, division=division, inputs=inputs)
    frames, fits = [], []
    for heads, fitter in fitters.items():
        weak_samples = (sample(f"weak {n}", x, supervised, y) for n, x in inputs.supervisors.items())
        supervisors = dict(zip(inputs.supervisors, fitter(weak_samples), strict=True))
        weak = np.column_stack([m.predict(inputs.supervisors[name]) for name, m in supervisors.items()])
        labels = np.column_stack([y, weak])  # the truth first: its student is the ceiling
        for student, features in inputs.students.items():
            [students] = fitter([sample(f"strong {student}", features, own, labels)])
            columns_of = {"weak": weak[judged], **_with_ceilings(students, features[judged])}
            # Fitted to the supervisor's own rows, the ceiling is the direct baseline.
            direct = students
            if not np.array_equal(supervised, own):
                [direct] = fitter([sample(f"direct {student}", features, supervised, y)])
            columns_of["direct"] = direct.predict(features[judged])[:, 0]
            columns_of["mean"] = np.full(len(judged), inputs.y[supervised].mean())
            fitted: _Fits = {"direct": (direct, 0), "ceiling": (students, 0)}
            if inputs.untrained:
                control = _untrained(inputs, student, division)
                columns_of["untrained"] = np.full_like(columns_of["strong"], np.nan)
                untrained = None
                if control is not None:
                    [untrained] = fitter([sample(f"untrained {student}", control, own, labels)])
                    columns_of["untrained"] = untrained.predict(control[judged])[:, 1:]
            for place, (supervisor, model) in enumerate(supervisors.items()):
                pair = {"heads": heads, "student": student, "supervisor": supervisor}
                columns = {f"y_{k}": v[:, place] if v.ndim == 2 else v for k, v in columns_of.items()}
                truth = inputs.y[judged]
                frames.append(_judged(division, inputs).assign(**pair, y_true=truth, **columns))
                mine: _Fits = {"weak": (model, 0), "strong": (students, place + 1), **fitted}
                if inputs.untrained:
                    mine["untrained"] = (untrained, place + 1)
                seen = {
                    **_unlike("weak", model, inputs.supervisors[supervisor][judged]),
                    **_unlike("strong", students, features[judged]),
                }
                fits.append({**pair, **_quality(division, mine), **seen})
    whole = pd.concat(frames, ignore_index=True)
    for name, values in inputs.display.items():
        whole[name] = values[whole["row"]]
    return Predictions(whole), pd.DataFrame(fits).assign(split=division.split, division=division.number)


def _sample(
    purpose: str,
    features: NDArray[Any],
    rows: Rows,
    labels: Array,
    *,
    division: Division,
    inputs: StudyInputs,
) -> Sample:
    """Take the rows that heads are fitted to; features and labels are those of all rows."""
    groups = None if inputs.groups is None else inputs.groups[rows]
    held_out = division.validation
    validation = None if held_out is None else (features[held_out], labels[held_out])
    return Sample(purpose, features[rows], labels[rows], groups, validation)


def _unlike(fit: str, model: FittedHeads, features: NDArray[Any]) -> dict[str, Any]:
    """The share of the values of judged rows that is outside the range, and whether it is large."""
    clipped = model.outside(features)
    unlike = clipped is not None and clipped.is_large
    return {f"{fit}_clipped": 0.0 if clipped is None else clipped.share, f"{fit}_unlike": unlike}


def _with_ceilings(students: FittedHeads, features: NDArray[Any]) -> dict[str, Array]:
    """Predictions of the students, of the ceiling, and of the ceiling in each student's own class."""
    predictions = students.predict(features)
    of_class = students.predict(features, students.of_first_target())
    return {"strong": predictions[:, 1:], "ceiling": predictions[:, 0], "class": of_class[:, 1:]}


def _untrained(inputs: StudyInputs, student: str, division: Division) -> NDArray[Any] | None:
    """Features of a student's untrained control for one division, if it has one."""
    draws = inputs.untrained.get(student, ())
    return draws[division.untrained_draw % len(draws)] if len(draws) else None


def _judged(division: Division, inputs: StudyInputs) -> pd.DataFrame:
    """The judged rows of a division, with their ids, clusters and roles."""
    rows = division.judged
    known = pd.DataFrame({"split": division.split, "division": division.number, "row": rows})
    if inputs.ids is not None:
        known["id"] = inputs.ids[rows]
    if inputs.groups is not None:
        known["cluster"] = inputs.groups[rows]
    if division.roles is not None:
        known["role"] = division.roles
    return known


def _quality(division: Division, made: _Fits) -> dict[str, Any]:
    """Sizes, misfit, ranks, radii and optimality gaps of the fits of one pair.

    Each fit is a target of a model; a control that a student lacks is none. The ceiling is fitted to the
    student's features, whose rank it shares.
    """
    students, place = made["strong"]
    assert students is not None
    quality: dict[str, Any] = {
        "supervised_rows": len(division.supervised),
        "student_rows": len(division.student),
        "fitting_misfit": float(students.error[place]),
    }
    ranks = {fit: np.nan if model is None else model.rank for fit, (model, _) in made.items()}
    quality |= {f"{fit}_rank": rank for fit, rank in ranks.items() if fit != "ceiling"}
    for fit in ("weak", "strong"):
        model = made[fit][0]
        assert model is not None
        quality[f"{fit}_ignored"] = model.n_ignored
    for name in ("radius", "optimality_gap"):
        for fit, (model, target) in made.items():
            quality[f"{fit}_{name}"] = np.nan if model is None else float(getattr(model, name)[target])
    return quality
