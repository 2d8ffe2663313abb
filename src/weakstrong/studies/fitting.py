"""Fit and predict one division of a study: supervisors, students and baselines are made here alone."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from weakstrong.estimator import HeadProjection
from weakstrong.feature_range import Clipped, predicted
from weakstrong.heads import Head
from weakstrong.predictions import Predictions
from weakstrong.projection import project
from weakstrong.studies.divisions import Division, Rows
from weakstrong.studies.inputs import StudyInputs
from weakstrong.studies.settings import HeadName, StudyOptions

Array = NDArray[np.float64]
_Fits = dict[str, tuple[HeadProjection | None, int]]  # with the place of the target


def fit_division(
    division: Division, inputs: StudyInputs, options: StudyOptions
) -> tuple[Predictions, pd.DataFrame]:
    """Fit every supervisor, student and baseline on one division, and predict its judged rows.

    Supervisors are fitted to true labels (equation (10) of the paper), students to their labels (11). The
    students of all supervisors and the ceiling are targets of one fit: they share a factorization, and each
    has a radius of its own.

    Parameters
    ----------
    division : Division
    inputs : StudyInputs
    options : StudyOptions

    Returns
    -------
    predictions : Predictions
        One row for each class of heads, pair of supervisor and student, and judged row.
    fits : DataFrame
        One row for each class of heads and pair: how many rows were fitted, and how the fits went.
    """
    y, supervised, own, judged = inputs.y, division.supervised, division.student, division.judged
    frames, fits = [], []
    for heads in options.heads:
        fit = partial(_fit, heads=heads, inputs=inputs, options=options)
        supervisors = {name: fit(x, supervised, y[supervised]) for name, x in inputs.supervisors.items()}
        weak = np.column_stack([_predict(m, inputs.supervisors[name])[0] for name, m in supervisors.items()])
        labels = np.column_stack([y, weak])[own]  # the truth first: its student is the ceiling
        for student, features in inputs.students.items():
            students = fit(features, own, labels)
            ceilings = _with_ceilings(students, features[judged])
            columns_of = {"weak": weak[judged], **ceilings}
            direct = fit(features, supervised, y[supervised])
            columns_of["direct"] = _predict(direct, features[judged])[0][:, 0]
            columns_of["mean"] = np.full(len(judged), y[supervised].mean())
            fitted: _Fits = {"direct": (direct, 0), "ceiling": (students, 0)}
            if inputs.untrained:
                control = _untrained(inputs, student, division)
                columns_of["untrained"] = np.full_like(columns_of["strong"], np.nan)
                untrained = None if control is None else fit(control, own, labels)
                if control is not None and untrained is not None:
                    columns_of["untrained"] = _predict(untrained, control[judged])[0][:, 1:]
            for place, (supervisor, model) in enumerate(supervisors.items()):
                pair = {"heads": heads, "student": student, "supervisor": supervisor}
                columns = {f"y_{k}": v[:, place] if v.ndim == 2 else v for k, v in columns_of.items()}
                frames.append(_judged(division, inputs).assign(**pair, y_true=y[judged], **columns))
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


def _fit(
    features: NDArray[Any],
    rows: Rows,
    labels: Array,
    *,
    heads: HeadName,
    inputs: StudyInputs,
    options: StudyOptions,
) -> HeadProjection:
    """Fit heads of one class; an open radius is chosen by folds that keep groups whole."""
    n_folds = options.n_folds if heads == "l2" else None
    groups = None if inputs.groups is None else inputs.groups[rows]
    model = HeadProjection(heads, n_folds=n_folds, random_state=options.seed, clip=options.clip)
    return model.fit(features[rows], labels, groups=groups)


def _predict(
    model: HeadProjection, features: NDArray[Any], head: Head | None = None
) -> tuple[Array, Clipped | None]:
    """Predictions (n, k) of a model's head, or of another in its range of features, and what was outside."""
    return predicted(model.head_ if head is None else head, features, model.feature_range_, "features")


def _unlike(fit: str, model: HeadProjection, features: NDArray[Any]) -> dict[str, Any]:
    """The share of the values of judged rows that is outside the range, and whether it is large."""
    _, clipped = _predict(model, features)
    unlike = clipped is not None and clipped.is_large
    return {f"{fit}_clipped": 0.0 if clipped is None else clipped.share, f"{fit}_unlike": unlike}


def _with_ceilings(students: HeadProjection, features: NDArray[Any]) -> dict[str, Array]:
    """Predictions of the students, of the ceiling, and of the ceiling at each student's own radius.

    The latter is projected from the same moments, without a second pass over the rows.
    """
    predictions, _ = _predict(students, features)
    truth = students.moments_.select([0] * students.moments_.n_targets)
    of_class, _ = _predict(students, features, project(truth, students.heads_).head)
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
        "fitting_misfit": float(students.fit_error_[place]),
    }
    ranks = {fit: np.nan if model is None else model.rank_ for fit, (model, _) in made.items()}
    quality |= {f"{fit}_rank": rank for fit, rank in ranks.items() if fit != "ceiling"}
    for fit in ("weak", "strong"):
        model = made[fit][0]
        assert model is not None
        quality[f"{fit}_ignored"] = model.n_ignored_features_
    quality |= {f"{fit}_radius": _radius(*known) for fit, known in made.items()}
    for fit, (model, target) in made.items():
        quality[f"{fit}_optimality_gap"] = np.nan if model is None else float(model.optimality_gap_[target])
    return quality


def _radius(model: HeadProjection | None, target: int) -> float:
    """The radius of the ball of one target; NaN where heads have none."""
    radii = None if model is None else getattr(model.heads_, "radius", None)
    return np.nan if radii is None else float(radii[target])
