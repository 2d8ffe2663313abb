"""Moments: the summary of a sample from which linear heads are fitted, computed in one pass over it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import reduce
from operator import add
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from weakstrong.arrays import (
    LARGEST,
    broadcast,
    real_array,
    refuse_no_weight,
    refuse_other_rows,
    row_weights,
    weight_unit,
)
from weakstrong.errors import InputError
from weakstrong.heads import Head

Array = NDArray[np.float64]

ARRAYS = ("weight", "feature_mean", "target_mean", "factor", "projected", "residual")


@dataclass(frozen=True, eq=False)
class Moments:
    """A sample of n rows, summarised by the triangular factor of ``[1 | Φ | Y]`` in centred form.

    With weights ω (1 unless given), Ω = diag(ω), means μ and ȳ, and the thin factorization
    ``Ω^½ (Φ − 1 μᵀ) = Q R``, it holds μ, ȳ, ``R``, ``Qᵀ Ω^½ (Y − 1 ȳᵀ)`` and the size
    of what is left of Y outside the span of Q. That is the factor of ``[1 | Φ | Y]`` with its first row
    written as means: the condition number is not squared, and columns whose mean dwarfs
    their spread lose no accuracy.

    ``a + b`` factorizes the two factors stacked. It is associative, so it serves as the
    streaming update, as the merge of shards and as the arithmetic of cross-validation folds.
    Leading dimensions ``...`` are independent samples of equal row count.

    Parameters
    ----------
    weight : array of shape (...)
        Σ ω, the row count where no weights are given.
        Where it is beyond 2^±64 it is itself, but `factor`, `projected` and `residual` are of weights in
        units of `unit`, a power of four near it, so that no scale of weights under- or overflows.
    n_rows : int
        Number of rows, those of weight zero included.
    feature_mean : array of shape (..., d)
        μ.
    target_mean : array of shape (..., k)
        ȳ.
    factor : array of shape (..., r, d), r <= d
        R.
    projected : array of shape (..., r, k)
        Qᵀ Ω^½ (Y − 1 ȳᵀ).
    residual : array of shape (..., k)
        Squared norm of the part of each centred, weighted target outside the span of Q.
    resolution : float
        Relative rounding of the features: eps of float64, or of float32 for features in single or half
        precision.
    """

    weight: Array
    n_rows: int
    feature_mean: Array
    target_mean: Array
    factor: Array
    projected: Array
    residual: Array
    resolution: float

    @classmethod
    def of(
        cls, features: ArrayLike, targets: ArrayLike, *, sample_weight: ArrayLike | None = None
    ) -> Moments:
        """Compute the moments of a sample, read once in blocks, so that memory does not grow with n.

        Parameters
        ----------
        features : array of shape (..., n, d)
            Φ, dense; it is converted to float64 block by block.
        targets : array of shape (..., n, k) or (..., n)
            Y.
        sample_weight : array of shape (..., n), optional
            ω >= 0, of any scale.

        Raises
        ------
        InputError
            A ValueError: if shapes disagree, there is no row, no weight is positive, a value is no finite
            real number, squares of targets overflow, or pandas objects have different indexes.
        """
        refuse_other_rows({"features": features, "targets": targets, "sample_weight": sample_weight})
        phi, y = real_array(features, "features", booleans=True), real_array(targets, "targets")
        if y.ndim == phi.ndim - 1:
            y = y[..., None]
        if phi.ndim < 2 or phi.shape[:-1] != y.shape[:-1]:
            raise InputError(
                f"features have shape {phi.shape} and targets {y.shape}; expected (..., n, d) and (..., n, k)"
            )
        if 0 in phi.shape[:-1]:
            raise InputError("there is no row to fit")
        omega = None
        if sample_weight is not None:
            given = real_array(sample_weight, "sample_weight", booleans=True, column=True)
            given = broadcast(given, phi.shape[:-1], "sample_weight")
            omega = np.empty(phi.shape[:-1])
            for i in np.ndindex(*phi.shape[:-2]):
                omega[i] = row_weights(given[i], phi.shape[-2])
                refuse_no_weight(omega[i])
        from weakstrong.accumulation import extended, of_many  # which makes moments

        moments = extended(None, phi, y, omega) if phi.ndim == 2 else of_many(phi, y, omega)
        refuse_overflow(moments)
        return moments

    @classmethod
    def merge(cls, parts: Iterable[Moments]) -> Moments:
        """Add up several moments, at least one, which gives the moments of all their samples together."""
        given = list(parts)
        if not given or not all(isinstance(part, Moments) for part in given):
            raise InputError("parts: give the Moments of one sample or more")
        return reduce(add, given)

    @property
    def n_features(self) -> int:
        """Width d of the representation."""
        return int(self.factor.shape[-1])

    @property
    def n_targets(self) -> int:
        """Number k of targets."""
        return int(self.projected.shape[-1])

    @property
    def unit(self) -> Array:
        """Unit that weights are counted in, shape (...): 1, or a power of four near an extreme `weight`."""
        return weight_unit(self.weight)

    @property
    def mass(self) -> Array:
        """Σ ω in that unit, shape (...): what squared norms of `factor` and `projected` are divided by."""
        return np.asarray(self.weight / self.unit)

    @property
    def target_variance(self) -> Array:
        """Weighted variance of each target about its mean, shape (..., k), in squared units of the target."""
        total: Array = (self.projected**2).sum(-2) + self.residual
        return total / self.mass[..., None]

    def __add__(self, other: Moments) -> Moments:
        """Return the moments of both samples together."""
        if not isinstance(other, Moments):
            return NotImplemented
        mine, theirs = (self.n_features, self.n_targets), (other.n_features, other.n_targets)
        if mine != theirs or self.weight.shape != other.weight.shape:
            raise InputError(f"moments of {mine} and {theirs} (features, targets) do not add")
        from weakstrong.accumulation import joined, merged  # which makes moments

        lead = self.weight.shape
        if not lead:
            return merged(self, other)
        return joined([merged(self[i], other[i]) for i in np.ndindex(*lead)], lead)

    def __getitem__(self, index: int | tuple[int, ...]) -> Moments:
        """Return the moments of one of the samples along the leading dimensions."""
        parts: dict[str, Any] = {name: np.asarray(getattr(self, name)[index]) for name in ARRAYS}
        return replace(self, **parts)

    def select(self, targets: ArrayLike) -> Moments:
        """Return the moments of some of the targets, named by place, each as often as it is named."""
        places = np.asarray(targets, dtype=np.intp)
        return replace(
            self,
            target_mean=self.target_mean[..., places],
            projected=self.projected[..., places],
            residual=self.residual[..., places],
        )

    def mse(self, head: Head) -> Array:
        """Compute the mean squared error ``E_ω (b + Φ w − y)²`` of a head, shape (..., k).

        This is the paper's ``d_P(f∘h, y)``, with P the sample. It is computed from the factor alone, as
        ``‖R W − QᵀY‖²/n + residual/n + (b + μᵀ W − ȳ)²``: a sum of squares, so nothing cancels.
        The head's leading dimensions broadcast against the moments'.
        """
        if head.n_features != self.n_features:
            raise InputError(f"the head takes {head.n_features} features; these are of {self.n_features}")
        inside = ((self.factor @ head.coef - self.projected) ** 2).sum(-2)
        shift = head.intercept + (self.feature_mean[..., None, :] @ head.coef)[..., 0, :]
        out: Array = (inside + self.residual) / self.mass[..., None] + (shift - self.target_mean) ** 2
        return out


def refuse_overflow(moments: Moments) -> None:
    """Refuse moments of values that are not finite, or too large."""
    with np.errstate(over="ignore", invalid="ignore"):
        squares = moments.target_variance + moments.target_mean**2
    if not (np.isfinite(moments.factor).all() and np.isfinite(moments.feature_mean).all()):
        raise InputError(
            "features must be finite, and their sums too: a NaN, an infinity or an overflow; correct or "
            "rescale them"
        )
    if not (squares <= LARGEST**2).all():
        raise InputError(
            f"targets must be finite, and at most {LARGEST:g} in size to be squared: correct or rescale them"
        )
