"""Fit and predict one division of a study: supervisors, students and baselines are made here alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from weakstrong.class_labels import ClassLabels, is_labelled
from weakstrong.predictions import Predictions, columns_of
from weakstrong.studies.divisions import Division, Rows
from weakstrong.studies.fitted_heads import FittedHeads, Fitter, Sample
from weakstrong.studies.inputs import StudyInputs

Array = NDArray[np.float64]

_FITS = ("weak", "strong", "direct", "ceiling")  # of every pair, as far as they are there


class _Fit(NamedTuple):
    """A target of fitted heads."""

    model: FittedHeads
    place: int = 0

    def predict(self, features: NDArray[Any]) -> Array:
        """Return predictions (n,), or probabilities (n, c)."""
        return self.model.predict(features)[:, self.place]


_Fits = dict[str, _Fit]
_Columns = dict[str, Array]


class _Taught(NamedTuple):
    """Students of the supervisors that label the same rows: targets of one fit, after the ceiling if any.

    Parameters
    ----------
    names : list of str
        The supervisors.
    rows : array of int
    students : FittedHeads
    has_ceiling : bool
        Whether all of these rows have a true label.
    said : array of shape (judged, targets) or (judged, targets, c)
    of_class : array of the same shape, or None
        What the ceiling says in the class of every target.
    untrained, untrained_said : optional
        The same of the student's untrained control, if it has one.
    confident : mapping of name to array of the shape of `said`
        What heads of losses that trust themselves say.
    """

    names: list[str]
    rows: Rows
    students: FittedHeads
    has_ceiling: bool
    said: Array
    of_class: Array | None
    untrained: FittedHeads | None
    untrained_said: Array | None
    confident: Mapping[str, Array]

    def place(self, supervisor: str) -> int:
        """Which target of the fit the student of a supervisor is."""
        return self.names.index(supervisor) + self.has_ceiling


def fit_division(
    division: Division,
    inputs: StudyInputs,
    fitters: Mapping[str, Fitter],
    *,
    nulls: bool = False,
    confidence: tuple[str, ...] = (),
) -> tuple[Predictions, pd.DataFrame]:
    """Fit every supervisor, student and baseline on one division, and predict its judged rows.

    Supervisors with features are fitted to true labels (equation (10) of the paper), the labels of others are
    given, and students are fitted to them (11). The students of all supervisors that label the same rows, and
    the ceiling, are targets of one fit: they share a factorization, and each has a radius of its own.

    Parameters
    ----------
    division : Division
    inputs : StudyInputs
    fitters : mapping of name to Fitter
        How heads are fitted, for each class of heads.
    nulls : bool
        Whether to fit the same class to the weak labels on the supervisors' own features, too.
    confidence : tuple of str
        Names of losses by which students are fitted, too: `weakstrong.studies.confidence`.

    Returns
    -------
    predictions : Predictions
        One row for each class of heads, pair of supervisor and student, and judged row.
    fits : DataFrame
        One row for each class of heads and pair: how many rows were fitted, and how the fits went.
    """
    frames, fits = [], []
    for heads, fitter in fitters.items():
        fitting = _Fitting.of(division, inputs, fitter, confidence)
        null_columns = fitting.nulls() if nulls else {}
        for student in inputs.students:
            pairs = {name: (columns, made) for name, columns, made in fitting.pairs(student)}
            for supervisor in fitting.weak:
                columns, made = pairs[supervisor]
                pair = {"heads": heads, "student": student, "supervisor": supervisor}
                said = {**columns, **null_columns.get(supervisor, {})}
                frame = _judged(division, inputs).assign(**pair)
                named = pd.DataFrame(_named(said, inputs))  # at once: there may be hundreds of columns
                predictions = Predictions(pd.concat([frame, named], axis=1))
                something = predictions.known("true") | predictions.known("weak")  # others say nothing
                frames.append(predictions.table[something])
                fits.append({**pair, **fitting.quality(student, supervisor, made)})
    whole = pd.concat(frames, ignore_index=True)
    for name, values in inputs.display.items():
        whole[name] = values[whole["row"]]
    return Predictions(whole), pd.DataFrame(fits).assign(split=division.split, division=division.number)


@dataclass(frozen=True, eq=False)
class _Fitting:
    """The fits of one class of heads on one division.

    Parameters
    ----------
    division : Division
    inputs : StudyInputs
    fitter : Fitter
    supervisors : mapping of name to _Fit
        Those with features.
    weak : mapping of name to array of shape (n,) or (n, c)
        What every supervisor says of all rows; NaN where it abstains.
    confidence : tuple of str
        Losses that trust themselves, fitted as baselines.
    """

    division: Division
    inputs: StudyInputs
    fitter: Fitter
    supervisors: Mapping[str, _Fit]
    weak: Mapping[str, Array]
    confidence: tuple[str, ...] = ()

    @classmethod
    def of(
        cls, division: Division, inputs: StudyInputs, fitter: Fitter, confidence: tuple[str, ...] = ()
    ) -> _Fitting:
        """Fit the supervisors that have features, and let all of them label all rows."""
        bare = cls(division, inputs, fitter, {}, {})
        samples = (
            bare.sample(f"weak {name}", features, division.supervised, inputs.y[:, None], truth=True)
            for name, features in inputs.supervisors.items()
        )
        models = dict(zip(inputs.supervisors, map(_Fit, fitter(samples)), strict=True))
        weak = {name: fit.predict(inputs.supervisors[name]) for name, fit in models.items()}
        given = {name: labels.values for name, labels in inputs.weak_labels.items()}
        return cls(division, inputs, fitter, models, {**weak, **given}, confidence)

    def pairs(self, student: str) -> Iterator[tuple[str, _Columns, _Fits]]:
        """Yield each supervisor with what it, its student and their baselines say of the judged rows."""
        once, direct = self._once(student), None
        for taught in self._taught(student):
            direct = self._direct(student, taught, direct)
            said = {"direct": direct.predict(self.inputs.students[student][self.division.judged]), **once}
            for name in taught.names:
                yield name, self._said(name, taught) | said, self._made(name, taught) | {"direct": direct}

    def _once(self, student: str) -> _Columns:
        """What is said whoever the supervisor is: the mean, and direct training on fewer true labels."""
        y, division, weights = self.inputs.y, self.division, self.inputs.truth_weights
        columns = {"mean": self._mean(y[division.supervised], _of(weights, division.supervised))}
        for count, rows in division.budgets.items():
            fit = self._to_truth(f"direct {student} {count}", student, rows)
            columns[f"direct_{count}"] = fit.predict(self.inputs.students[student][division.judged])
        return columns

    def _taught(self, student: str) -> Iterator[_Taught]:
        """Fit a student to all supervisors that label the same rows, and its untrained control, if any."""
        features, draws = self.inputs.students[student], self.inputs.untrained.get(student, ())
        judged = self.division.judged
        for names, rows in self._labelled_alike():
            has_ceiling = bool(self.inputs.has_truth[rows].all())
            weak = [self.weak[name] for name in names]
            labels = np.stack([self.inputs.y, *weak] if has_ceiling else weak, axis=1)
            purpose = student if len(names) == len(self.weak) else f"{student} {names[0]}"
            [students] = self.fitter([self.sample(f"strong {purpose}", features, rows, labels)])
            said, of_class, untrained, untrained_said = students.predict(features[judged]), None, None, None
            if has_ceiling and students.of_first_target is not None:
                of_class = students.predict(features[judged], students.of_first_target())
            if len(draws):
                control = draws[self.division.untrained_draw % len(draws)]
                [untrained] = self.fitter([self.sample(f"untrained {purpose}", control, rows, labels)])
                untrained_said = untrained.predict(control[judged])
            confident = {
                kind: students.predict(features[judged], students.confident(kind))
                for kind in self.confidence
                if students.confident is not None
            }
            yield _Taught(
                names, rows, students, has_ceiling, said, of_class, untrained, untrained_said, confident
            )

    def _direct(self, student: str, taught: _Taught, known: _Fit | None) -> _Fit:
        """The direct baseline: the ceiling itself, where that is fitted to the same labels."""
        supervised = self.division.supervised
        is_ceiling = taught.has_ceiling and self.inputs.label_probability is None
        if is_ceiling and np.array_equal(supervised, taught.rows):
            return _Fit(taught.students)
        return known or self._to_truth(f"direct {student}", student, supervised)

    def _to_truth(self, purpose: str, student: str, rows: Rows) -> _Fit:
        """Fit the student's class to true labels."""
        features, y = self.inputs.students[student], self.inputs.y[:, None]
        [model] = self.fitter([self.sample(purpose, features, rows, y, truth=True)])
        return _Fit(model)

    def _made(self, supervisor: str, taught: _Taught) -> _Fits:
        """The fits of one pair, as far as they are there."""
        place = taught.place(supervisor)
        made: _Fits = {"strong": _Fit(taught.students, place)}
        made |= {"weak": self.supervisors[supervisor]} if supervisor in self.supervisors else {}
        made |= {"ceiling": _Fit(taught.students)} if taught.has_ceiling else {}
        made |= {"untrained": _Fit(taught.untrained, place)} if taught.untrained is not None else {}
        return made

    def _said(self, supervisor: str, taught: _Taught) -> _Columns:
        """What a supervisor, its student and their ceiling and control say of the judged rows."""
        judged, place = self.division.judged, taught.place(supervisor)
        columns = {"weak": self.weak[supervisor][judged], "strong": taught.said[:, place]}
        if self.inputs.classes:
            columns["corrected"] = self._corrected(supervisor, columns["strong"])
            columns |= {kind: values[:, place] for kind, values in taught.confident.items()}
        if taught.has_ceiling:
            none = np.full_like(columns["strong"], np.nan)
            of_class = none if taught.of_class is None else taught.of_class[:, place]
            columns |= {"ceiling": taught.said[:, 0], "class": of_class}
        if self.inputs.untrained:
            none = np.full(self.inputs.y[judged].shape, np.nan)
            columns["untrained"] = none if taught.untrained_said is None else taught.untrained_said[:, place]
        return columns

    def nulls(self) -> dict[str, _Columns]:
        """Return what the same class says that is fitted to weak labels on features of supervisors.

        ``null`` has the supervisor's own features or, where it has none, is the mean of its labels;
        ``null_of_{name}`` has the features of another supervisor, for one that has none.
        """
        columns: dict[str, _Columns] = {}
        for name, said in self.weak.items():
            rows = self._own(name)
            if name in self.supervisors:
                columns[name] = {"null": self._null(name, name, rows)}
                continue
            columns[name] = {"null": self._mean(said[rows], _of(self.inputs.weights, rows))}
            columns[name] |= {f"null_of_{other}": self._null(name, other, rows) for other in self.supervisors}
        return columns

    def quality(self, student: str, supervisor: str, made: _Fits) -> dict[str, Any]:
        """Return sizes, misfit, ranks, radii and optimality gaps of the fits of one pair.

        The ceiling is fitted to the student's features, whose rank it shares.
        """
        fits = [*_FITS, *(["untrained"] if self.inputs.untrained else [])]
        strong, judged = made["strong"], self.division.judged
        quality: dict[str, Any] = {
            "supervised_rows": len(self.division.supervised),
            "student_rows": len(self._own(supervisor)),
            "fitting_misfit": float(strong.model.error[strong.place]),
        }
        quality |= {f"{fit}_rank": _known(made, fit, "rank") for fit in fits if fit != "ceiling"}
        quality |= {f"{fit}_ignored": made[fit].model.n_ignored if fit in made else 0 for fit in _FITS[:2]}
        for name in ("radius", "optimality_gap"):
            quality |= {f"{fit}_{name}": _known(made, fit, name) for fit in fits}
        if "weak" in made:
            quality |= _unlike("weak", made["weak"].model, self.inputs.supervisors[supervisor][judged])
        else:
            quality |= {"weak_clipped": 0.0, "weak_unlike": False}
        return quality | _unlike("strong", strong.model, self.inputs.students[student][judged])

    def sample(
        self, purpose: str, features: NDArray[Any], rows: Rows, labels: Array, *, truth: bool = False
    ) -> Sample:
        """Take the rows that heads are fitted to; features and labels are those of all rows."""
        groups, held_out = self.inputs.groups, self.division.validation
        validation = None if held_out is None else (features[held_out], labels[held_out])
        weights = self.inputs.truth_weights if truth else self.inputs.weights
        return Sample(
            purpose, features[rows], labels[rows], _of(groups, rows), validation, _of(weights, rows)
        )

    def _own(self, supervisor: str) -> Rows:
        """The student's rows that a supervisor labels."""
        own = self.division.student
        return own[is_labelled(self.weak[supervisor][own])]

    def _labelled_alike(self) -> Iterator[tuple[list[str], Rows]]:
        """Supervisors that label the same rows of the student's, with those rows."""
        alike: dict[bytes, list[str]] = {}
        for name in self.weak:
            alike.setdefault(self._own(name).tobytes(), []).append(name)
        yield from ((names, self._own(names[0])) for names in alike.values())

    def _corrected(self, supervisor: str, said: Array) -> Array:
        """What a student says of the judged rows with the prior of true labels in place of its supervisor's.

        ``s_c π_c / w̄_c``, made to sum to one (Saerens, Latinne and Decaestecker 2002): π the frequencies of
        classes among the true labels that teach, one more of each counted, w̄ those of the student's labels.
        """
        truth, weights = self.inputs.y[self.division.supervised], self.inputs.truth_weights
        omega = np.ones(len(truth)) if weights is None else weights[self.division.supervised]
        counts = (omega / omega.mean()) @ truth + 1
        rows = self._own(supervisor)
        prior = np.average(self.weak[supervisor][rows], axis=0, weights=_of(self.inputs.weights, rows))
        odds = said * np.divide(counts / counts.sum(), prior, out=np.zeros_like(prior), where=prior > 0)
        return np.asarray(odds / odds.sum(-1, keepdims=True))

    def _mean(self, labels: Array, weights: Array | None) -> Array:
        """The mean of some labels, for every judged row."""
        mean = np.average(labels, axis=0, weights=weights)
        return np.broadcast_to(mean, (len(self.division.judged), *np.shape(mean)))

    def _null(self, supervisor: str, other: str, rows: Rows) -> Array:
        """What heads on the features of one supervisor say that are fitted to the labels of another."""
        features, labels = self.inputs.supervisors[other], self.weak[supervisor][:, None]
        [model] = self.fitter([self.sample(f"null {supervisor} {other}", features, rows, labels)])
        return _Fit(model).predict(features[self.division.judged])


def _of(values: NDArray[Any] | None, rows: Rows) -> NDArray[Any] | None:
    return None if values is None else values[rows]


def _known(made: _Fits, fit: str, name: str) -> float:
    """A measure of a fit; NaN where there is no such fit."""
    if fit not in made:
        return np.nan
    model, place = made[fit]
    measured = getattr(model, name)
    return float(measured if name == "rank" else measured[place])


def _unlike(fit: str, model: FittedHeads, features: NDArray[Any]) -> dict[str, Any]:
    """The share of the values of judged rows that is outside the range, and whether it is large."""
    clipped = model.outside(features)
    unlike = clipped is not None and clipped.is_large
    return {f"{fit}_clipped": 0.0 if clipped is None else clipped.share, f"{fit}_unlike": unlike}


def _named(said: _Columns, inputs: StudyInputs) -> dict[str, NDArray[Any]]:
    """What is said of the judged rows as columns of a table, one for each class if labels are classes."""
    columns: dict[str, NDArray[Any]] = {}
    for name, values in said.items():
        parts = values.T if inputs.classes else [values]
        columns |= dict(zip(columns_of(name, inputs.classes), parts, strict=True))
    return columns


def _judged(division: Division, inputs: StudyInputs) -> pd.DataFrame:
    """The judged rows of a division, with their truth, ids, clusters, roles and weights."""
    rows = division.judged
    known = pd.DataFrame({"split": division.split, "division": division.number, "row": rows})
    columns = {
        "id": inputs.ids, "cluster": inputs.groups, "weight": inputs.weights,
        "probability": inputs.label_probability,
    }  # fmt: skip
    for name, values in columns.items():
        if values is not None:
            known[name] = values[rows]
    if division.roles is not None:
        known["role"] = division.roles
    truth = inputs.y[rows]
    if not inputs.classes:
        return known.assign(y_true=truth)
    labels = ClassLabels(inputs.classes, truth)
    return known.assign(**({"y_true": labels.names()} if labels.is_hard else _named({"true": truth}, inputs)))
