"""Scaled, rotated coordinates in which heads of any features are well conditioned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from weakstrong.arrays import broadcast, refuse_infinite, row_blocks
from weakstrong.errors import InputError

Array = NDArray[np.float64]

_CONSTANT_TOLERANCE, _RANK_TOLERANCE = 4.0, 10.0  # in roundings of the features, as for least squares
_SQUARED = 1e-7  # singular values below this share of the largest are lost in a Gram matrix of float64
_PER_FEATURE = 32  # rows for each feature that give the directions well enough to start from
_FEW_ROWS, _SMALL = 2, 1 << 22  # for each feature, and values in all: rows that are best rotated once
_IN_CACHE = 16  # by which blocks of rows are smaller where each is gone over several times
_FAR = 1e3  # a mean of so many spreads costs digits in products, and is taken away first


@dataclass(frozen=True, eq=False)
class Spread:
    """Means and spreads of columns, and which of them vary beyond rounding.

    Parameters
    ----------
    mean : array of shape (d,)
        μ: weighted mean, or zero without an intercept.
    centre : array of shape (d,)
        Weighted mean in any case.
    scale : array of shape (d,)
        σ: weighted standard deviations about that mean, or what was given; 1 where the column is unusable.
    usable : bool array of shape (d,)
    total : float
        Mean squared length of the scaled rows.
    """

    mean: Array
    centre: Array
    scale: Array
    usable: NDArray[np.bool_]
    total: float

    @classmethod
    def of(
        cls, features: NDArray[Any], weights: Array, *, fit_intercept: bool, scale: Array | None
    ) -> Spread:
        """Look at all rows once, in blocks."""
        n, d = features.shape
        origin = np.asarray(features[int(weights.argmax())], dtype=np.float64)
        refuse_infinite(origin[None], "features", int(weights.argmax()))
        total, first, second = weights.sum(), np.zeros(d), np.zeros(d)
        with np.errstate(over="ignore", invalid="ignore"):
            for rows in row_blocks(n, _IN_CACHE * d):
                x, w = np.subtract(features[rows], origin, dtype=np.float64), weights[rows]
                if not w.all():
                    refuse_infinite(features[rows], "features", rows.start)
                    x, w = x[w > 0], w[w > 0]
                first += w @ x
                np.square(x, out=x)
                second += w @ x
        shift = first / total
        if not np.isfinite(second).all():
            refuse_infinite(features, "features")
            column = int((~np.isfinite(second)).argmax())
            raise InputError(
                f"features: column {column} (counted from 0) is too large to be squared: rescale it"
            )
        centre = origin + shift
        variance = np.maximum(second / total - shift**2, 0.0)
        size = np.sqrt(variance + centre**2)
        single = features.dtype.kind == "f" and features.dtype.itemsize <= 4
        resolution = float(np.finfo(np.float32 if single else np.float64).eps)
        spread = np.sqrt(variance) if fit_intercept else size
        usable = spread > (_CONSTANT_TOLERANCE * resolution * size if fit_intercept else 0.0)
        mean = centre if fit_intercept else np.zeros(d)
        if scale is None:
            typical = np.median(spread[usable]) if usable.any() else 0.0
            usable &= spread > _RANK_TOLERANCE * resolution * typical
            sigma = spread
        else:
            sigma = broadcast(np.asarray(scale, dtype=np.float64), spread.shape, "scale")
            usable &= sigma > 0
        sigma = np.where(usable, sigma, 1.0)
        return cls(mean, centre, sigma, usable, float(((spread / sigma)[usable] ** 2).sum()))

    @property
    def is_far(self) -> bool:
        """Whether some mean is so many spreads away that products of the rows as they are lose digits."""
        return bool((np.abs(self.mean) > _FAR * self.scale)[self.usable].any())

    def scaled(self, rows: NDArray[Any]) -> Array:
        """Return rows less the mean, each column over its σ, zero where unusable."""
        x = np.subtract(rows, self.mean, dtype=np.float64)
        x *= np.where(self.usable, 1 / self.scale, 0.0)
        return x


@dataclass(frozen=True, eq=False)
class Basis:
    """Orthonormal directions of scaled features, strongest first, with their mean squares.

    In coordinates u along them, coefficients are ``W = σ⁻¹ ∘ V u``, so that ``‖σ ∘ W‖ = ‖u‖``, and a row
    is ``Vᵀ ((φ − μ) / σ)``. They need be no exact eigenvectors of all rows: a solver only starts from them.

    Parameters
    ----------
    spread : Spread
    outward : array of shape (d, r)
        ``σ⁻¹ ∘ V``: what takes coordinates to coefficients.
    curvature : array of shape (r,)
        Mean squares of the rows looked at, along each direction.
    rotated : array of shape (n, r), or None
        All rows in these coordinates, where there are few of them.
    is_exact : bool
        Whether the directions are eigenvectors of all rows.
    """

    spread: Spread
    outward: Array
    curvature: Array
    rotated: Array | None
    is_exact: bool

    @property
    def rank(self) -> int:
        """Number of directions that are resolved."""
        return len(self.curvature)

    @classmethod
    def of(cls, features: NDArray[Any], weights: Array, spread: Spread, *, whole: bool) -> Basis:
        """Find the directions from a part of the rows where these are many, or from all of them."""
        n, d = features.shape
        counted = np.flatnonzero(weights)
        enough = _PER_FEATURE * max(d, 32)
        if not whole and len(counted) > 2 * enough:
            chosen = sample_of(counted, enough)
            found = cls._of_gram(features, weights, spread, chosen)
            if found.rank == int(spread.usable.sum()):  # other rows cannot add a direction
                return found
        if n <= d:
            return cls._of_rows(features, weights, spread)
        return cls._of_gram(features, weights, spread, None)

    @classmethod
    def _of_rows(cls, features: NDArray[Any], weights: Array, spread: Spread) -> Basis:
        """Few rows: the directions are combinations of them."""
        x = spread.scaled(features)
        weighted = x * np.sqrt(weights / weights.sum())[:, None]
        values, vectors = np.linalg.eigh(weighted @ weighted.T)
        values, vectors = _resolved(values, vectors, features.dtype)
        directions = (weighted.T @ vectors) / np.sqrt(values)
        outward = np.where(spread.usable, 1 / spread.scale, 0.0)[:, None] * directions
        return cls(spread, outward, values, x @ directions, is_exact=True)

    @classmethod
    def _of_gram(
        cls, features: NDArray[Any], weights: Array, spread: Spread, chosen: NDArray[np.int64] | None
    ) -> Basis:
        """Many rows: eigenvectors of the products of scaled columns."""
        n, d = (len(features) if chosen is None else len(chosen)), features.shape[1]
        gram, total = np.zeros((d, d)), 0.0
        for rows in row_blocks(n, d):
            at = rows if chosen is None else chosen[rows]
            x, w = spread.scaled(features[at]), weights[at]
            x *= np.sqrt(w)[:, None]
            gram += x.T @ x
            total += w.sum()
        values, vectors = np.linalg.eigh(gram / total)
        values, vectors = _resolved(values, vectors, features.dtype)
        outward = np.where(spread.usable, 1 / spread.scale, 0.0)[:, None] * vectors
        is_small = chosen is None and n <= _FEW_ROWS * d and n * d <= _SMALL
        rotated = spread.scaled(features) @ vectors if is_small else None
        return cls(spread, outward, values, rotated, is_exact=chosen is None)


def sample_of(rows: NDArray[np.int64], number: int) -> NDArray[np.int64]:
    """Return some of the rows, spread evenly over all of them at random, in order."""
    edges = np.linspace(0, len(rows), number + 1)
    place = edges[:-1] + np.random.default_rng(0).random(number) * np.diff(edges)
    return np.unique(rows[np.minimum(place.astype(np.int64), len(rows) - 1)])


def _resolved(values: Array, vectors: Array, dtype: np.dtype[Any]) -> tuple[Array, Array]:
    """Keep the directions that rounding does not hide, strongest first."""
    single = dtype.kind == "f" and dtype.itemsize <= 4
    least = max(_RANK_TOLERANCE * float(np.finfo(np.float32).eps) if single else 0.0, _SQUARED)
    kept = values > least**2 * max(float(values.max(initial=0.0)), 0.0)
    return values[kept][::-1], vectors[:, kept][:, ::-1]
