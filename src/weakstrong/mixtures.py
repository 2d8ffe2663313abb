"""Mixtures of given probability heads: a class of heads that is convex as a set of distributions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from weakstrong.class_labels import class_labels
from weakstrong.errors import InputError, quoted
from weakstrong.heads import HeadClass
from weakstrong.mixture_projection import distributions, project_mixture

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Mixtures(HeadClass):
    """The class of mixtures of m given probability heads, ``{x -> Σ_j α_j p_j(x) : α >= 0, Σ_j α_j = 1}``.

    It is convex as a set of distributions, as Theorem 1 in log loss needs it to be (Mulgund and Pabbaraju,
    arXiv 2501.19105), and the softmax of linear heads is not. The theorem needs the heads fixed before the
    weak labels are seen: fitted to other rows or other labels.

    Parameters
    ----------
    members : sequence
        p_j: fitted scikit-learn classifiers with ``predict_proba``, or functions from features to
        probabilities (n, c), with a column for each class in the order of the labels' classes.

    Raises
    ------
    InputError
        If there is no member, or one is neither or not fitted.
    """

    members: Sequence[Any]

    def __post_init__(self) -> None:
        if not isinstance(self.members, Sequence) or isinstance(self.members, str) or not self.members:
            raise InputError("Mixtures needs a list of at least one fitted classifier or function")
        for j, member in enumerate(self.members):
            fault = _fault(member)
            if fault:
                raise InputError(f"members[{j}]: {quoted(type(member).__name__)} {fault}")


@dataclass(frozen=True, eq=False)
class MixtureHead:
    """A mixture of probability heads: the map ``x -> Σ_j α_j p_j(x)``.

    Parameters
    ----------
    heads : Mixtures
        The members p_j.
    alpha : array of shape (m,)
        α.
    classes : tuple of str
        Names of the classes, in the order of the columns.
    """

    heads: Mixtures
    alpha: Array
    classes: tuple[str, ...]

    def __call__(self, features: Any) -> Array:
        """Return probabilities of shape (n, c); members with α = 0 are not asked."""
        asked = np.flatnonzero(self.alpha)
        predictions = (member_probabilities(self.heads, j, features, self.classes) for j in asked.tolist())
        total = self.alpha[asked[0]] * next(predictions)
        for alpha, values in zip(self.alpha[asked[1:]], predictions, strict=True):
            total += alpha * values
        return np.asarray(total)


def fit_mixture(
    heads: Mixtures,
    features: Any,
    labels: ArrayLike,
    weights: ArrayLike | None,
    classes: Sequence[Any],
    *,
    divergence: str = "log",
) -> tuple[Array, float, float]:
    """Project labels onto the mixtures of probability heads.

    ``argmin_α E_ω D(Σ_j α_j p_j(x), w)``, as `project_mixture` has it.

    Parameters
    ----------
    heads : Mixtures
        F.
    features : array-like or DataFrame of n rows
        What members predict from, given to them as it is.
    labels : array of shape (n, c)
        w: distributions over the classes.
    weights : array of shape (n,), optional
        ω.
    classes : sequence
        Names of the columns of `labels`. Those of classifiers are matched to them by name, as text.
    divergence : str
        ``"log"``, ``"cross-entropy"`` or ``"brier"``.

    Returns
    -------
    tuple
        α of shape (m,), the bound on ``objective − minimum``, and the objective: the misfit.

    Raises
    ------
    InputError
        If a member predicts a class that is none of the classes, or other rows, or no distributions; else as
        `project_mixture`.
    """
    weak = class_labels(labels, "labels", classes)
    members = [member_probabilities(heads, j, features, weak.classes) for j in range(len(heads.members))]
    found = project_mixture(members, weak.values, weights, divergence=divergence)
    return found.alpha, found.optimality_gap, found.objective


def member_probabilities(heads: Mixtures, j: int, features: Any, classes: Sequence[str]) -> Array:
    """Return the probabilities of one member, (n, c), with a column for each of the classes.

    A class that a classifier does not know has probability zero.
    """
    member, name = heads.members[j], f"members[{j}]"
    if not hasattr(member, "predict_proba"):
        values = distributions(member(features), name)
        if values.shape[1] == len(classes):
            return values
        raise InputError(
            f"{name} gives {values.shape[1]} columns of probabilities, and there are {len(classes)} classes: "
            f"{quoted(list(classes))}"
        )
    known = list(member.classes_)
    values = np.asarray(member.predict_proba(features))
    labels = class_labels(values, name, known)
    other = sorted(set(labels.classes) - set(classes))
    if other:
        raise InputError(
            f"{name} predicts class {quoted(other[0])}, none of the classes {quoted(list(classes))}; give "
            "labels with a column for it"
        )
    return distributions(labels.over(classes).values, name)


def _fault(member: Any) -> str:
    """Say why a member predicts no probabilities, if so."""
    is_function = callable(member) and not isinstance(member, type)
    if is_function and not hasattr(member, "predict"):
        return ""
    if isinstance(member, type) or not hasattr(member, "predict_proba"):
        return "has no predict_proba; give a fitted classifier that has, or a function from features"
    if not hasattr(member, "classes_"):
        return "is not fitted; fit it first"
    return ""
