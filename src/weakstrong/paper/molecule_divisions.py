"""Encoders of molecules supervise one another (Section 5.2): predictions for one division of the labels."""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from weakstrong.errors import InputError
from weakstrong.paper.molecule_settings import MoleculeSettings
from weakstrong.paper.worlds import stream
from weakstrong.predictions import Pair, Predictions
from weakstrong.studies.divisions import Division
from weakstrong.studies.inputs import StudyInputs
from weakstrong.whole_files import keep, opened

Array = NDArray[np.float64]

FIT_COLUMNS = ("supervised_rows", "student_rows", "fitting_misfit", "strong_optimality_gap")


@dataclass(frozen=True)
class MoleculeInputs:
    """A data set with the features and labels that heads are fitted to.

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
        By name in the settings.
    untrained : dict of str to array of shape (draws, n, d)
        By the students' encoders at random initialisations.
    smiles : array of str, shape (n,)
    """

    y: Array
    roles: NDArray[np.str_]
    splits: tuple[str, ...]
    clusters: NDArray[np.uint64]
    features: dict[str, NDArray[Any]]
    untrained: dict[str, NDArray[Any]]
    smiles: NDArray[np.str_]

    def study(self, config: MoleculeSettings) -> StudyInputs:
        """Return the inputs of a study in which the weak models supervise the strong one, or the reverse."""
        weak = {name: self.features[name] for name in config.weak}
        strong = {config.strong: self.features[config.strong]}
        supervisors, students = (strong, weak) if config.swap_roles else (weak, strong)
        none = np.empty((0, len(self.y), 0))  # a student without an encoder has no untrained control
        return StudyInputs(
            supervisors,
            students,
            self.y,
            config.dataset,
            groups=self.clusters,
            untrained={name: self.untrained.get(name, none) for name in students},
            display={"smiles": self.smiles},
        )

    def save(self, path: Path) -> None:
        """Write to an .npz file."""
        buffer = io.BytesIO()
        parts = {"y": self.y, "roles": self.roles, "splits": np.array(self.splits), "clusters": self.clusters}
        parts["smiles"] = self.smiles
        for kind, arrays in (("features", self.features), ("untrained", self.untrained)):
            parts |= {f"{kind}:{name}": values for name, values in arrays.items()}
        np.savez(buffer, **parts, allow_pickle=False)
        path.parent.mkdir(parents=True, exist_ok=True)
        keep(path, buffer.getvalue())

    @classmethod
    def load(cls, path: Path) -> MoleculeInputs:
        """Read a file written by `save`."""
        with np.load(opened(path), allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        by_kind = [
            {name.partition(":")[2]: values for name, values in arrays.items() if name.startswith(f"{kind}:")}
            for kind in ("features", "untrained")
        ]
        splits = tuple(arrays["splits"].tolist())
        features, untrained = by_kind
        return cls(
            arrays["y"], arrays["roles"], splits, arrays["clusters"], features, untrained, arrays["smiles"]
        )


def label_counts(config: MoleculeSettings, train: int, split: str) -> tuple[int, int]:
    """Return how many of the training rows get true labels, and how many weak ones.

    Raises
    ------
    InputError
        If there are not so many.
    """
    if config.student_rows == "same":
        true = train if config.true_labels is None else config.true_labels
        if true > train:
            raise InputError(
                f"{config.dataset}, split {split}: {train} training rows are not enough for {true} true "
                "labels; set fewer true_labels"
            )
        return _filling_folds(config, true, true, split)
    true = train // 2 if config.true_labels is None else config.true_labels
    weak = train - true if config.weak_labels is None else config.weak_labels
    if true + weak > train or weak < 1:
        raise InputError(
            f"{config.dataset}, split {split}: {train} training rows are not enough for {true} true and "
            f"{max(weak, 1)} weak labels; set fewer true_labels or weak_labels"
        )
    return _filling_folds(config, true, weak, split)


def _filling_folds(config: MoleculeSettings, true: int, weak: int, split: str) -> tuple[int, int]:
    """Refuse numbers of labels that are too few for the folds."""
    if "l2" in config.heads and min(true, weak) < config.n_folds:
        raise InputError(
            f"{config.dataset}, split {split}: {true} true and {weak} weak labels do not fill "
            f"{config.n_folds} folds; set more true_labels or weak_labels, or fewer folds (n_folds)"
        )
    return true, weak


def roles_in_division(
    config: MoleculeSettings, inputs: MoleculeInputs, seed: int, split: int
) -> NDArray[np.str_]:
    """Return the role of each molecule: as published, or permuted where splits are redrawn."""
    roles = inputs.roles[:, split]
    is_published = config.splits == "published" or seed == 0
    return roles if is_published else stream(seed, "redrawn split", split).permutation(roles)


def true_labels(config: MoleculeSettings, inputs: MoleculeInputs, seed: int) -> Array:
    """Return the labels that count as the truth: those measured, or a head of the student's features."""
    if config.truth == "measured":
        return inputs.y
    from weakstrong.estimator import HeadProjection

    features = inputs.features[config.strong]
    head = HeadProjection("l2", n_folds=config.n_folds).fit(features, inputs.y, groups=inputs.clusters)
    noise = config.noise * stream(seed, "noise of the labels").standard_normal(len(features))
    return np.asarray(head.predict(features) + noise)


def division(config: MoleculeSettings, inputs: MoleculeInputs, seed: int, split: int) -> Division:
    """Divide a split's training rows at random, keeping twins together; valid and test rows evaluate.

    Raises
    ------
    InputError
        If there are not rows enough.
    """
    roles = roles_in_division(config, inputs, seed, split)
    judged, train = np.flatnonzero(roles != "train"), np.flatnonzero(roles == "train")
    names, cluster_index = np.unique(inputs.clusters[train], return_inverse=True)
    rank = stream(seed, "division", split).permutation(len(names))
    order = train[np.lexsort((train, rank[cluster_index]))]
    if config.twins == "removed":  # from the same order, so that kept and removed compare
        order = order[~np.isin(inputs.clusters[order], inputs.clusters[judged])]
    true, weak = label_counts(config, len(order), inputs.splits[split])
    ordered_clusters = inputs.clusters[order]
    cut = true
    while 0 < cut < len(order) and ordered_clusters[cut] == ordered_clusters[cut - 1]:
        cut -= 1  # keep clusters whole
    supervised, student = order[:cut], order[cut:][: None if config.weak_labels is None else weak]
    if config.student_rows == "same":
        student = supervised
    if "l2" in config.heads:
        fewest = min(len(np.unique(inputs.clusters[rows])) for rows in (supervised, student))
        if fewest < config.n_folds:
            raise InputError(
                f"{config.dataset}, split {inputs.splits[split]}: {fewest} different molecules are too few "
                f"for {config.n_folds} folds; set more true_labels and weak_labels, or fewer folds (n_folds)"
            )
    return Division(
        inputs.splits[split],
        seed,
        supervised,
        student,
        judged,
        roles[judged],
        untrained_draw=seed + split,
        validation=np.flatnonzero(roles == "valid"),
    )


def run_division(config: MoleculeSettings, inputs: MoleculeInputs, seed: int) -> pd.DataFrame:
    """Predict every evaluated molecule, for one division of each split.

    Parameters
    ----------
    config : MoleculeSettings
    inputs : MoleculeInputs
    seed : int
        Seed of the division of each split.

    Returns
    -------
    DataFrame
        The table of `Predictions`, with `FIT_COLUMNS` of each division, class of heads and pair:
        ``fitting_misfit`` is the misfit on the student's own rows.
    """
    from weakstrong.paper.molecule_heads import molecule_fitters  # scikit-learn takes a second
    from weakstrong.studies.fitting import fit_division

    study = replace(inputs.study(config), y=true_labels(config, inputs, seed))
    parts = [
        fit_division(division(config, inputs, seed, split), study, molecule_fitters(config, seed, split))
        for split in range(len(inputs.splits))
    ]
    fits = pd.concat([fits for _, fits in parts])
    keys = ["split", "division", *Pair._fields]
    return Predictions.concatenated(p for p, _ in parts).table.merge(fits[[*keys, *FIT_COLUMNS]], on=keys)
