"""A student fitted to weak labels of any origin, with functions to train, save, load and predict."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any
from warnings import warn

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from weakstrong.class_labels import ClassLabels, is_labelled
from weakstrong.class_scores import log_loss
from weakstrong.data.columns import Task
from weakstrong.data.ids import Features, widened
from weakstrong.data.tables import read_features
from weakstrong.data.user_files import refuse_no_file
from weakstrong.data.weak_labels import WeakLabels, read_weak_labels
from weakstrong.divergence import BRIER
from weakstrong.errors import InputError, UnlikeRowsWarning
from weakstrong.estimator import HeadProjection, fold_blocks
from weakstrong.feature_range import FeatureRange, predicted
from weakstrong.heads import Head
from weakstrong.identity import code_hash, file_hash, fingerprint, provenance
from weakstrong.links import LINKS
from weakstrong.serialization import to_json
from weakstrong.votes import Vote
from weakstrong.whole_files import changed, write_atomically

Array = NDArray[np.float64]

_RANGE = ("low", "high", "centre")
_FORMAT, _READ = 3, (1, 2, 3)  # the first one had no range of features, the second no classes
_LOSSES = {"logistic": "log", "brier": "brier"}  # by which heads of classes are fitted
_OF_NUMBERS, _OF_CLASSES = ("linear", "l2"), tuple(_LOSSES)
_HEAD, _CARD = "head.npz", "model.json"


@dataclass(frozen=True)
class TargetReport:
    """A report on the fit of one target, with errors in squared units of the target.

    Where labels are classes, errors are in the loss that the heads minimize: cross entropy, or Brier score.

    Parameters
    ----------
    target : str
    rows_fitted : int
        Rows with a weak label (and weight).
    label_variance : float
        Variance of the weak labels about their mean: the error of predicting the mean; of classes, that of
        predicting their frequencies, as Brier score or cross entropy.
    radius : float or None
        Radius of the L2 ball, chosen by cross-validation; None for linear heads.
    misfit : float
        Mean squared error on the weak labels fitted.
    heldout_misfit : float
        The same, cross-validated.
    optimality_gap : float
        Bound on how far the misfit is from its minimum, relative to the label variance.
    rank : int
    n_ignored : int
        Features that vary by rounding alone on the rows fitted, and count for nothing.
    """

    target: str
    rows_fitted: int
    label_variance: float
    radius: float | None
    misfit: float
    heldout_misfit: float
    optimality_gap: float
    rank: int
    n_ignored: int = 0


@dataclass(frozen=True)
class Student:
    """A head fitted to weak labels, with the information needed to use it safely later.

    Parameters
    ----------
    head : Head
        One output for each target or, where labels are classes, for each class.
    feature_names : list of str, or None
        Columns that it was fitted on, where they had names.
    heads : {"linear", "l2", "logistic", "brier"}
        Class of the head, which has its link: `weakstrong.links.LINKS`.
    reports : tuple of TargetReport
    training_hash : str
        SHA-256 of features, labels, settings and code.
    feature_range : FeatureRange, optional
        Into about which rows to predict are drawn.
    classes : tuple of str
        Names of the classes, where labels are classes.
    """

    head: Head
    feature_names: list[str] | None
    heads: str
    reports: tuple[TargetReport, ...]
    training_hash: str
    feature_range: FeatureRange | None = None
    classes: tuple[str, ...] = ()

    @property
    def targets(self) -> list[str]:
        """Names of the outputs."""
        return [r.target for r in self.reports]

    def predict(self, features: Features) -> pd.DataFrame:
        """Return a table of predictions with ids or row numbers; features of a wrong width are refused.

        Where labels are classes, the most probable one is in the target's column, and the probability of each
        in columns ``TARGET[class]``.

        Warns
        -----
        UnlikeRowsWarning
            If many values of the features are far outside the range of the fitted rows.
        """
        features = widened(features, self.feature_names, self.head.n_features, "the model")
        names = np.arange(len(features.values)) if features.ids is None else features.ids
        first = "row" if features.ids is None else "id"
        values, clipped = predicted(self.head, features.values, self.feature_range, str(features.source))
        if clipped is not None and clipped.is_large:
            warn(f"{features.source}: {clipped}: predict them with care", UnlikeRowsWarning, stacklevel=2)
        table = self._named(LINKS[self.heads](values))
        while first in table.columns:
            first += "_"
        table.insert(0, first, names)
        return table

    def _named(self, values: Array) -> pd.DataFrame:
        """Predictions under the names of their columns."""
        if not self.classes:
            return pd.DataFrame(values, columns=self.targets)
        [target] = self.targets
        table = pd.DataFrame(values, columns=[f"{target}[{name}]" for name in self.classes])
        table.insert(0, target, ClassLabels(self.classes, values).names())
        return table

    def save(self, folder: Path) -> None:
        """Write the student to a folder, as ``head.npz`` (coef, intercept, range) and ``model.json``."""
        arrays = {"coef": self.head.coef, "intercept": self.head.intercept}
        if self.feature_range is not None:
            arrays |= {name: getattr(self.feature_range, name) for name in _RANGE}
        with (folder / _HEAD).open("wb") as file:
            np.savez(file, **arrays, allow_pickle=False)
        card = {
            "format": _FORMAT,
            "n_features": self.head.n_features,
            "feature_names": self.feature_names,
            "heads": self.heads,
            "classes": list(self.classes),
            "targets": [asdict(r) for r in self.reports],
            "training_hash": self.training_hash,
            "head_sha256": file_hash(folder / _HEAD),
            "versions": provenance(),
        }
        write_atomically(folder / _CARD, to_json(card).encode())

    @classmethod
    def load(cls, folder: Path) -> Student:
        """Read a saved student without unpickling anything.

        Raises
        ------
        InputError
            If the folder holds no student, or one that is damaged.
        """
        folder = Path(folder)
        try:
            for name in (_HEAD, _CARD):
                refuse_no_file(folder / name)
            if fault := changed(folder, _HEAD, _CARD):
                raise InputError(f"{folder}: {fault}; fit the student again")
            card = json.loads((folder / _CARD).read_text(encoding="utf-8"))
            if card["head_sha256"] != file_hash(folder / _HEAD):
                raise InputError(f"{folder}: {_HEAD} does not belong to {_CARD}; fit the student again")
            with np.load(folder / _HEAD, allow_pickle=False) as arrays:
                head = Head(arrays["coef"], arrays["intercept"])
                there = {name: arrays[name] for name in _RANGE if name in arrays}
            reports = tuple(TargetReport(**r) for r in card["targets"])
            if card["format"] not in _READ:
                raise InputError(
                    f"{folder}: format {card['format']} is of another version of weakstrong; use that version"
                )
            classes = tuple(card.get("classes", ()))
            outputs = len(classes) or len(reports)
            fits = head.coef.shape == (card["n_features"], outputs) and card["heads"] in LINKS
            fits &= len(reports) == 1 if classes else True
            limits = FeatureRange(**there) if len(there) == len(_RANGE) else None
            if not fits or (there and (limits is None or not limits.suits(head))):
                raise InputError(f"{folder}: {_HEAD} does not belong to {_CARD}; fit the student again")
            names, heads, digest = card["feature_names"], card["heads"], card["training_hash"]
            student = cls(head, names, heads, reports, digest, limits, classes)
        except OSError as error:
            raise InputError(
                f"{folder}: no saved student here ({error.strerror}: {error.filename})"
            ) from error
        except InputError as error:
            message = str(error)
            raise InputError(message if str(folder) in message else f"{folder}: {message}") from error
        except Exception as error:  # a damaged file can fail in any way
            raise InputError(f"{folder}: the saved student is damaged; fit it again") from error
        return student


def train_student(
    features: Features,
    labels: WeakLabels,
    *,
    heads: str = "l2",
    n_folds: int = 5,
    seed: int = 0,
    clip: bool = True,
) -> Student:
    """Fit one head for each target; targets that are labelled on the same rows share a factorization.

    Labels that are classes have a head of their own: `HeadClassifier`. Features are read in blocks, so that
    those of a memory-mapped file need not fit into memory. The range to draw new rows into is that of all
    rows with a label, their centre that of the labels.

    Raises
    ------
    InputError
        If a target has fewer labelled rows (or groups) than folds.
    """
    if labels.classes:
        return _train_classifier(features, labels, heads=heads, n_folds=n_folds, seed=seed, clip=clip)
    k = len(labels.targets)
    known = ~np.isnan(labels.values)
    if labels.weights is not None:
        known &= (labels.weights > 0)[:, None]
    coef, intercept = np.empty((features.values.shape[1], k)), np.empty(k)
    reports: dict[int, TargetReport] = {}
    patterns: dict[bytes, list[int]] = {}
    limits: FeatureRange | None = None
    centres: list[tuple[float, Array]] = []
    for t in range(k):
        patterns.setdefault(np.packbits(known[:, t]).tobytes(), []).append(t)
    for columns in patterns.values():
        pattern = known[:, columns[0]]
        model = _fit_rows(features, labels, pattern, columns, heads=heads, n_folds=n_folds, seed=seed)
        coef[:, columns], intercept[columns] = model.head_.coef, model.head_.intercept
        if clip:
            found = model.feature_range_
            assert found is not None
            limits = found if limits is None else limits | found
            centres.append((len(columns) * float(model.moments_.weight), model.moments_.feature_mean))
        for place, t in enumerate(columns):
            reports[t] = _report(model, labels.targets[t], int(pattern.sum()), place)
    settings = {"heads": heads, "n_folds": n_folds, "seed": seed, "clip": clip}
    digest = _training_hash(HeadProjection.__module__, features, labels, settings)
    names = None if features.names is None else list(features.names)
    told = tuple(reports[t] for t in range(k))
    if limits is not None:
        weights, means = zip(*centres, strict=True)
        limits = replace(limits, centre=np.average(means, axis=0, weights=weights))
    return Student(Head(coef, intercept), names, heads, told, digest, limits)


def _training_hash(module: str, features: Features, labels: WeakLabels, settings: Mapping[str, Any]) -> str:
    """Hash what a student was fitted to, with the settings and the code that fits it."""
    arrays = [a for a in (labels.values, labels.weights) if a is not None]
    values = np.asarray(features.values)
    whole = {"targets": labels.targets, "classes": labels.classes, **settings}
    return fingerprint(code_hash(module), values, *arrays, labels.groups, whole)


def _train_classifier(
    features: Features, labels: WeakLabels, *, heads: str, n_folds: int, seed: int, clip: bool
) -> Student:
    """Fit the head of a target whose labels are classes."""
    from weakstrong.classifier import HeadClassifier  # which takes scikit-learn

    rows = is_labelled(labels.values)
    if labels.weights is not None:
        rows &= labels.weights > 0
    whole = bool(rows.all())  # then nothing is copied
    groups = None if labels.groups is None else labels.groups[rows]
    weights = None if labels.weights is None else labels.weights[rows]
    _refuse_few(labels.targets[0], int(rows.sum()), groups, n_folds)
    used = labels.values[rows]
    model = HeadClassifier(divergence=_LOSSES[heads], n_folds=n_folds, random_state=seed, clip=clip)
    model.fit(features.values if whole else features.values[rows], used, weights, groups)
    radius = getattr(model.heads_, "radius", np.nan)
    mean = np.average(used, axis=0, weights=weights)
    constant = np.broadcast_to(mean, used.shape)
    loss = BRIER.error(constant, used) if heads == "brier" else log_loss(used, constant)
    report = TargetReport(
        target=labels.targets[0],
        rows_fitted=int(rows.sum()),
        label_variance=float(np.average(loss, weights=weights)),
        radius=float(np.linalg.norm(radius)),
        misfit=float(model.fit_error_),
        heldout_misfit=np.nan if model.cv_error_ is None else model.cv_error_,
        optimality_gap=float(np.max(model.optimality_gap_)),
        rank=model.rank_,
        n_ignored=model.n_ignored_features_,
    )
    settings = {"heads": heads, "n_folds": n_folds, "seed": seed, "clip": clip}
    digest = _training_hash(HeadClassifier.__module__, features, labels, settings)
    names = None if features.names is None else list(features.names)
    linear: Head = model.head_.linear
    return Student(linear, names, heads, (report,), digest, model.feature_range_, labels.classes)


def fit_files(
    features: Path,
    weak_labels: Path,
    *,
    targets: Sequence[str] = (),
    id_column: str | None = None,
    weights: str | None = None,
    groups: str | None = None,
    heads: str | None = None,
    n_folds: int = 5,
    seed: int = 0,
    task: Task | None = None,
    clip: bool = True,
    worker: str | None = None,
    vote: Vote = "mean",
) -> tuple[Student, pd.DataFrame, WeakLabels]:
    """Read features and weak labels, train a student, and predict every row of the features."""
    matrix = read_features(features, id_column)
    labels = read_weak_labels(
        weak_labels, matrix, targets=targets, id_column=id_column, weights=weights, groups=groups, task=task,
        worker=worker, vote=vote,
    )  # fmt: skip
    heads = _heads_of(labels, heads)
    clash = [t for t in labels.targets if f"{t}_fitted" in labels.targets]
    if clash:
        raise InputError(
            f"{weak_labels}: predictions of {clash[0]!r} get a column '{clash[0]}_fitted', a target's name: "
            "rename that target"
        )
    student = train_student(matrix, labels, heads=heads, n_folds=n_folds, seed=seed, clip=clip)
    table = student.predict(matrix)
    for t, name in enumerate(labels.targets):
        fitted = is_labelled(labels.values if labels.classes else labels.values[:, t])
        table[f"{name}_fitted"] = fitted
    return student, table, labels


def _heads_of(labels: WeakLabels, heads: str | None) -> str:
    """The class of heads: the usual one of numbers or of classes unless one is named, which must fit."""
    mine = _OF_CLASSES if labels.classes else _OF_NUMBERS
    if heads is not None and heads not in mine:
        what = f"labels are {'classes' if labels.classes else 'numbers'}, and their heads {', '.join(mine)}"
        raise InputError(f"heads {heads!r}: {what}", "heads")
    return heads or ("logistic" if labels.classes else "l2")


def _refuse_few(target: str, rows: int, groups: NDArray[Any] | None, n_folds: int) -> None:
    """Refuse fewer labelled rows or groups than folds."""
    count, kind = (rows, "rows") if groups is None else (len(np.unique(groups)), "groups")
    if count < n_folds:
        raise InputError(
            f"target {target!r} has {count} labelled {kind} (with weight), fewer than the {n_folds} folds: "
            f"label more {kind} or use fewer folds",
            "n_folds",
        )


def _fit_rows(
    features: Features,
    labels: WeakLabels,
    rows: NDArray[np.bool_],
    columns: list[int],
    *,
    heads: str,
    n_folds: int,
    seed: int,
) -> HeadProjection:
    groups = None if labels.groups is None else labels.groups[rows]
    _refuse_few(labels.targets[columns[0]], int(rows.sum()), groups, n_folds)
    model = HeadProjection(heads, n_folds=n_folds, random_state=seed)
    return model.fit_batches(_batches(features, labels, np.flatnonzero(rows), columns, n_folds))


def _batches(
    features: Features, labels: WeakLabels, rows: NDArray[np.int64], columns: list[int], n_folds: int
) -> Iterator[tuple[Any, ...]]:
    """Labelled rows in blocks, as `HeadProjection.fit_batches` takes them."""
    for block in fold_blocks(len(rows), features.values.shape[1], n_folds):
        these: Any = rows[block]
        if these[-1] - these[0] == len(these) - 1:
            these = slice(these[0], these[-1] + 1)  # read in place
        yield (
            features.values[these],
            labels.values[these][:, columns],
            None if labels.weights is None else labels.weights[these],
            None if labels.groups is None else labels.groups[these],
        )


def _report(model: HeadProjection, target: str, rows: int, place: int) -> TargetReport:
    radius = getattr(model.heads_, "radius", None)
    assert model.cv_error_ is not None
    return TargetReport(
        target=target,
        rows_fitted=rows,
        label_variance=float(model.moments_.target_variance[place]),
        radius=None if radius is None else float(radius[place]),
        misfit=float(model.fit_error_[place]),
        heldout_misfit=float(model.cv_error_[place]),
        optimality_gap=float(model.optimality_gap_[place]),
        rank=model.rank_,
        n_ignored=model.n_ignored_features_,
    )
