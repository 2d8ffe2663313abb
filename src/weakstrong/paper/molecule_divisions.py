"""Encoders of molecules supervising one another (Section 5.2): the rows of one division of the labels."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from weakstrong.divergence import SQUARED_ERROR
from weakstrong.errors import InputError
from weakstrong.heads import HeadClass
from weakstrong.paper.config import HeadName, MoleculesConfig
from weakstrong.paper.worlds import stream
from weakstrong.storage import write_atomically

if TYPE_CHECKING:
    from weakstrong.estimator import HeadProjection

Array = NDArray[np.float64]
Rows = NDArray[np.int64]

KEYS = ("seed", "split", "heads", "supervisor", "student")
# Of a molecule, with w, s, y the supervisor's label, the student's prediction and the truth: (w − y)²,
# (s − y)², (w − s)², 2 (w − s)(s − y); then squared errors of others: the student's class on the truth of its
# rows (for a ball, of a radius of its own; of the student's radius), on the supervisor's true labels, their
# mean, and an untrained student.
SQUARES = (
    "weak_error", "strong_error", "misfit", "cross_term", "ceiling_error", "class_error", "direct_error",
    "mean_error", "untrained_error",
)  # fmt: skip
OF_DIVISION = ("supervised_rows", "student_rows", "fitting_misfit", "optimality_gap")


@dataclass(frozen=True)
class MoleculeInputs:
    """A set with features: all that heads are fitted to.

    Parameters
    ----------
    y : array of shape (n,)
    roles : array of str, shape (n, splits)
        train, valid or test.
    splits : tuple of str
        Names of the splits.
    clusters : array of uint64, shape (n,)
        Equal for molecules of the same connectivity.
    features : dict of str to array of shape (n, d)
        By name of the settings.
    untrained : dict of str to array of shape (draws, n, d)
        Of the students' encoders at random initialisations.
    """

    y: Array
    roles: NDArray[np.str_]
    splits: tuple[str, ...]
    clusters: NDArray[np.uint64]
    features: dict[str, NDArray[Any]]
    untrained: dict[str, NDArray[Any]]

    def save(self, path: Path) -> None:
        """Write to an .npz."""
        buffer = io.BytesIO()
        parts = {"y": self.y, "roles": self.roles, "splits": np.array(self.splits), "clusters": self.clusters}
        for kind, arrays in (("features", self.features), ("untrained", self.untrained)):
            parts |= {f"{kind}:{name}": values for name, values in arrays.items()}
        np.savez(buffer, **parts, allow_pickle=False)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, buffer.getvalue())

    @classmethod
    def load(cls, path: Path) -> MoleculeInputs:
        """Read what `save` wrote."""
        with np.load(path, allow_pickle=False) as parts:
            found = {name: parts[name] for name in parts.files}
        arrays = [
            {name.partition(":")[2]: values for name, values in found.items() if name.startswith(f"{kind}:")}
            for kind in ("features", "untrained")
        ]
        return cls(found["y"], found["roles"], tuple(found["splits"].tolist()), found["clusters"], *arrays)


@dataclass(frozen=True)
class Division:
    """Rows of one split: with true labels, with weak labels, to judge on."""

    supervised: Rows
    unlabelled: Rows
    judged: Rows


def label_counts(config: MoleculesConfig, train: int, split: str) -> tuple[int, int]:
    """How many of the training rows get true labels, and how many weak ones.

    Raises
    ------
    InputError
        If there are not so many.
    """
    true = train // 2 if config.true_labels is None else config.true_labels
    weak = train - true if config.weak_labels is None else config.weak_labels
    if true + weak > train or weak < 1:
        raise InputError(
            f"{config.dataset}, split {split}: {train} training rows are not enough for {true} true and "
            f"{max(weak, 1)} weak labels; set fewer true_labels or weak_labels"
        )
    if "l2" in config.heads and min(true, weak) < config.cv:
        raise InputError(
            f"{config.dataset}, split {split}: {true} true and {weak} weak labels do not fill {config.cv} "
            "folds; set more true_labels or weak_labels, or a smaller cv"
        )
    return true, weak


def division(config: MoleculesConfig, inputs: MoleculeInputs, seed: int, split: int) -> Division:
    """A random division of a split's training rows, twins on one side; valid and test rows judge.

    Raises
    ------
    InputError
        If there are not rows enough.
    """
    roles = inputs.roles[:, split]
    judged, train = np.flatnonzero(roles != "train"), np.flatnonzero(roles == "train")
    names, of_row = np.unique(inputs.clusters[train], return_inverse=True)
    rank = stream(seed, "division", split).permutation(len(names))
    order = train[np.lexsort((train, rank[of_row]))]
    if config.twins == "removed":  # from the same order, so that both can be compared
        order = order[~np.isin(inputs.clusters[order], inputs.clusters[judged])]
    true, weak = label_counts(config, len(order), inputs.splits[split])
    of_place = inputs.clusters[order]
    cut = true
    while 0 < cut < len(order) and of_place[cut] == of_place[cut - 1]:
        cut -= 1  # a cluster is whole
    supervised, unlabelled = order[:cut], order[cut:][: None if config.weak_labels is None else weak]
    if "l2" in config.heads:
        fewest = min(len(np.unique(inputs.clusters[rows])) for rows in (supervised, unlabelled))
        if fewest < config.cv:
            raise InputError(
                f"{config.dataset}, split {inputs.splits[split]}: {fewest} different molecules are too few "
                f"for {config.cv} folds; set more true_labels and weak_labels, or a smaller cv"
            )
    return Division(supervised, unlabelled, judged)


def run_division(config: MoleculesConfig, inputs: MoleculeInputs, seed: int) -> pd.DataFrame:
    """Squared errors of every molecule judged, for every split, head class and pair of models.

    Supervisors are fitted to true labels (eq. 10), students to their labels (eq. 11).

    Parameters
    ----------
    config : MoleculesConfig
    inputs : MoleculeInputs
    seed : int
        Of the division of each split.

    Returns
    -------
    DataFrame
        A row a split, head class, pair and molecule judged. Columns are `KEYS`, ``row``, ``role``,
        ``cluster`` and `SQUARES`, in squared units of the labels, and `OF_DIVISION`, the same for all
        molecules of a division: ``fitting_misfit`` is the misfit on the student's own rows.
    """
    frames = []
    for place, split in enumerate(inputs.splits):
        rows = division(config, inputs, seed, place)
        judged = {
            "seed": seed,
            "split": split,
            "row": rows.judged,
            "cluster": inputs.clusters[rows.judged],
            "role": inputs.roles[rows.judged, place],
        }
        for heads in config.heads:
            pairs = _of_heads(config, inputs, rows, heads, seed + place)
            frames += [frame.assign(heads=heads, **judged) for frame in pairs]
    frame = pd.concat(frames, ignore_index=True)
    return frame[[*KEYS, "row", "role", "cluster", *SQUARES, *OF_DIVISION]]


def _of_heads(
    config: MoleculesConfig, inputs: MoleculeInputs, rows: Division, heads: HeadName, draw: int
) -> Iterator[pd.DataFrame]:
    """Every pair of supervisor and student with one class of heads; untrained students take turns."""

    def fit(features: NDArray, on: Rows, labels: Array, known: HeadClass | None = None) -> HeadProjection:
        return _fitted(features[on], labels, known or heads, config.cv, inputs.clusters[on])

    y, own, judged = inputs.y, rows.unlabelled, rows.judged
    teaching, taught = config.weak, (config.strong,)
    if config.swap_roles:
        teaching, taught = taught, teaching
    said: Mapping[str, Array] = {
        name: fit(inputs.features[name], rows.supervised, y[rows.supervised]).predict(inputs.features[name])
        for name in teaching
    }
    lessons = np.column_stack([y[own], *(labels[own] for labels in said.values())])
    for student in taught:
        phi = inputs.features[student]
        fitted = fit(phi, own, lessons)  # its ceiling first, then a student of every supervisor
        predicted = fitted.predict(phi[judged])
        truths = np.repeat(y[own][:, None], lessons.shape[1], axis=1)
        best = fit(phi, own, truths, fitted.heads_).predict(phi[judged])  # each in its student's class
        direct = fit(phi, rows.supervised, y[rows.supervised]).predict(phi[judged])
        control = None
        if len(draws := inputs.untrained.get(student, ())):
            z = draws[draw % len(draws)]
            control = fit(z, own, lessons).predict(z[judged])
        for place, (supervisor, labels) in enumerate(said.items(), start=1):
            w, s, truth = labels[judged], predicted[:, place], y[judged]
            baselines: dict[str, Any] = {
                "ceiling": predicted[:, 0],
                "class": best[:, place],
                "direct": direct,
                "mean": y[rows.supervised].mean(),
                "untrained": np.nan if control is None else control[:, place],
            }
            squares = SQUARED_ERROR.of_rows(truth, w, s)
            del squares["gain"]  # a difference of two of the others
            squares |= {f"{name}_error": SQUARED_ERROR.error(p, truth) for name, p in baselines.items()}
            yield pd.DataFrame(squares).assign(
                supervisor=supervisor,
                student=student,
                supervised_rows=len(rows.supervised),
                student_rows=len(own),
                fitting_misfit=float(fitted.fit_error_[place]),
                optimality_gap=float(fitted.optimality_gap_[place]),
            )


def _fitted(
    features: NDArray, labels: Array, heads: HeadName | HeadClass, folds: int, clusters: NDArray[np.uint64]
) -> HeadProjection:
    """Heads of a class; an open radius is chosen with each cluster in one fold."""
    from weakstrong.estimator import HeadProjection  # scikit-learn takes a second

    model = HeadProjection(heads, n_folds=folds if heads == "l2" else None)
    return model.fit(features, labels, groups=clusters)
