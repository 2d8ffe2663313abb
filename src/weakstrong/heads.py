"""Heads, which map features to predictions, and the closed convex classes of heads to project onto."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from weakstrong.arrays import real_array, refuse_infinite, row_blocks
from weakstrong.errors import InputError

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Head:
    """A linear head: the affine map ``x -> b + Φ(x) W`` from ``d`` features to ``k`` outputs.

    Parameters
    ----------
    coef : array of shape (..., d, k)
        W. Leading dimensions are independent problems.
    intercept : array of shape (..., k)
        b, in the units of the targets.

    Raises
    ------
    ValueError
        If shapes disagree, or a value is no finite number.
    """

    coef: Array
    intercept: Array

    def __post_init__(self) -> None:
        for name in ("coef", "intercept"):
            values = np.asarray(real_array(getattr(self, name), name), dtype=np.float64)
            refuse_infinite(values, name)
            object.__setattr__(self, name, values)
        if self.coef.ndim < 2 or self.intercept.shape != self.coef.shape[:-2] + self.coef.shape[-1:]:
            raise InputError(
                f"coef has shape {self.coef.shape} and intercept {self.intercept.shape}; "
                "expected (..., d, k) and (..., k)"
            )

    @property
    def n_features(self) -> int:
        """Width d of the representation."""
        return int(self.coef.shape[-2])

    @property
    def n_targets(self) -> int:
        """Number k of outputs."""
        return int(self.coef.shape[-1])

    def __call__(self, features: ArrayLike) -> Array:
        """Return predictions ``b + Φ W``, shape (..., n, k), for dense features of shape (..., n, d)."""
        phi = real_array(features, "features", booleans=True)
        if phi.ndim < 2 or phi.shape[-1] != self.n_features:
            raise InputError(
                f"features have shape {phi.shape}; this head takes {self.n_features} of them: "
                f"(..., n, {self.n_features})"
            )
        lead = np.broadcast_shapes(phi.shape[:-2], self.coef.shape[:-2])
        out = np.empty((*lead, phi.shape[-2], self.n_targets))
        blocks = row_blocks(phi.shape[-2], self.n_features * int(np.prod(phi.shape[:-2])))
        for rows in blocks if phi.dtype != np.float64 else [slice(None)]:  # converted, where they must be
            out[..., rows, :] = phi[..., rows, :] @ self.coef
        out += self.intercept[..., None, :]
        return out


@dataclass(frozen=True)
class HeadClass:
    """A closed convex set F of heads: the abstract base, for whose subclasses solvers are registered.

    Composed with a frozen representation h, it is the set V = {f∘h : f in F}, which is convex as well
    (Claim 3 of the paper). The theory needs F fixed before the weak labels are seen.
    """


@dataclass(frozen=True)
class LinearHeads(HeadClass):
    """The class of all linear heads, ``{x -> b + Φ(x) w : w in R^d}``: a linear subspace.

    Parameters
    ----------
    fit_intercept : bool
        Whether b is free; otherwise b = 0.
    """

    fit_intercept: bool = True

    def __post_init__(self) -> None:
        _refuse_no_switch(self.fit_intercept)


@dataclass(frozen=True, eq=False)
class L2Ball(HeadClass):
    """The class of heads in a ball, ``{x -> b + Φ(x) w : ‖σ ∘ w‖₂ <= radius}``, with b free or zero.

    Parameters
    ----------
    radius : float or array of shape (..., k), optional
        Radius in units of the target: the largest norm of the coefficients, each multiplied
        by its σ. An array gives each target its own. None leaves it open, to be chosen
        by cross-validation in :class:`~weakstrong.HeadProjection`; infinity admits all linear heads.
    fit_intercept : bool
        Whether b is free; otherwise b = 0.
    scale : array of shape (..., d), optional
        σ. None takes the column spreads of the fitting sample (standard deviations, or root
        mean squares without an intercept); these depend on features only, never on labels.
        Give it to use the very same class on another sample. A column whose σ is zero, such as a
        constant one, gets coefficient zero.

    Raises
    ------
    ValueError
        If a radius or σ is negative or NaN, or a σ is infinite.
    """

    radius: float | Array | None = None
    fit_intercept: bool = True
    scale: Array | None = None

    def __post_init__(self) -> None:
        _refuse_no_switch(self.fit_intercept)
        if self.radius is not None and not np.all(real_array(self.radius, "radius") >= 0):
            raise InputError(f"radius must be non-negative; got {self.radius}")
        if self.scale is not None:
            scale = real_array(self.scale, "scale")
            if scale.ndim == 0 or not np.all((scale >= 0) & np.isfinite(scale)):
                raise InputError(
                    f"scale must be finite, not negative and one for each feature; got {self.scale}"
                )


@dataclass(frozen=True, eq=False)
class ConvexHull(HeadClass):
    """The class of convex combinations of m given heads, ``{Σ_j α_j f_j : α >= 0, Σ_j α_j = 1}``.

    Parameters
    ----------
    heads : Head or sequence of Head
        The vertices f_j: every output of every head given is one vertex.
    """

    heads: Head | Sequence[Head]
    vertices: Head = field(init=False, repr=False)

    def __post_init__(self) -> None:
        given = [self.heads] if isinstance(self.heads, Head) else self.heads
        if (
            not isinstance(given, Sequence)
            or not given
            or any(not isinstance(h, Head) or h.coef.ndim != 2 for h in given)
        ):
            raise InputError("ConvexHull needs at least one Head, each with coef of shape (d, k)")
        if len({h.n_features for h in given}) > 1:
            raise InputError(f"heads differ in width: {sorted({h.n_features for h in given})}")
        coef = np.concatenate([h.coef for h in given], axis=1)
        intercept = np.concatenate([h.intercept for h in given])
        object.__setattr__(self, "vertices", Head(coef, intercept))


HEAD_CLASSES: dict[str, Any] = {"linear": LinearHeads, "l2": L2Ball}


def head_class(heads: str | HeadClass) -> HeadClass:
    """Return the class that a name stands for (``"linear"``, ``"l2"``), or a given class as it is."""
    if isinstance(heads, HeadClass):
        return heads
    if isinstance(heads, str) and heads in HEAD_CLASSES:
        return HEAD_CLASSES[heads]()
    raise InputError(f"heads={heads!r} is not one of {sorted(HEAD_CLASSES)} or a head class")


def _refuse_no_switch(fit_intercept: object) -> None:
    """Refuse what is neither true nor false: any text would count as true."""
    if not isinstance(fit_intercept, bool | np.bool_):
        raise InputError(f"fit_intercept={fit_intercept!r}: give True or False")
