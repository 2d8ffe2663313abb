"""Heads, which map features to predictions, and the closed convex classes of heads to project onto."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

_PREDICT_ROWS = 65536  # bounds the float64 copy that a float32 feature matrix needs


@dataclass(frozen=True, eq=False)
class Head:
    """A linear head: the affine map ``x -> b + Φ(x) W`` from ``d`` features to ``k`` outputs.

    Parameters
    ----------
    coef : array of shape (..., d, k)
        W. Leading dimensions are independent problems.
    intercept : array of shape (..., k)
        b, in the units of the targets.
    """

    coef: Array
    intercept: Array

    def __post_init__(self) -> None:
        object.__setattr__(self, "coef", np.asarray(self.coef, dtype=np.float64))
        object.__setattr__(self, "intercept", np.asarray(self.intercept, dtype=np.float64))
        if self.coef.ndim < 2 or self.intercept.shape != self.coef.shape[:-2] + self.coef.shape[-1:]:
            raise ValueError(
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
        """Return predictions ``b + Φ W``, shape (..., n, k), for features of shape (..., n, d)."""
        phi = np.asarray(features)
        if phi.shape[-1] != self.n_features:
            raise ValueError(f"features have width {phi.shape[-1]}; this head takes {self.n_features}")
        starts = range(0, max(phi.shape[-2], 1), _PREDICT_ROWS)
        blocks = [phi[..., s : s + _PREDICT_ROWS, :] @ self.coef for s in starts]
        out: Array = blocks[0] if len(blocks) == 1 else np.concatenate(blocks, axis=-2)
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


@dataclass(frozen=True, eq=False)
class L2Ball(HeadClass):
    """The class of heads in a ball, ``{x -> b + Φ(x) w : ‖σ ∘ w‖₂ <= radius}``, with b free or zero.

    Parameters
    ----------
    radius : float or array of shape (..., k), optional
        Radius in units of the target: the largest norm of the coefficients, each multiplied
        by its σ. An array gives each target its own. None leaves it open, to be chosen
        by cross-validation in :class:`~weakstrong.HeadProjection`.
    fit_intercept : bool
        Whether b is free; otherwise b = 0.
    scale : array of shape (..., d), optional
        σ. None takes the column spreads of the fitting sample (standard deviations, or root
        mean squares without an intercept); these depend on features only, never on labels.
        Give it to use the very same class on another sample. A column whose σ is zero, such as a
        constant one, gets coefficient zero.
    """

    radius: float | Array | None = None
    fit_intercept: bool = True
    scale: Array | None = None

    def __post_init__(self) -> None:
        if self.radius is not None and not np.all(np.asarray(self.radius) >= 0):
            raise ValueError(f"radius must be non-negative; got {self.radius}")


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
        given = [self.heads] if isinstance(self.heads, Head) else list(self.heads)
        if not given or any(h.coef.ndim != 2 for h in given):
            raise ValueError("ConvexHull needs at least one head, each with coef of shape (d, k)")
        if len({h.n_features for h in given}) > 1:
            raise ValueError(f"heads differ in width: {sorted({h.n_features for h in given})}")
        coef = np.concatenate([h.coef for h in given], axis=1)
        intercept = np.concatenate([h.intercept for h in given])
        object.__setattr__(self, "vertices", Head(coef, intercept))


HEAD_CLASSES: dict[str, Any] = {"linear": LinearHeads, "l2": L2Ball}


def head_class(heads: str | HeadClass) -> HeadClass:
    """Return the class that a name stands for (``"linear"``, ``"l2"``), or a given class as it is."""
    if isinstance(heads, HeadClass):
        return heads
    if heads in HEAD_CLASSES:
        return HEAD_CLASSES[heads]()
    raise ValueError(f"heads={heads!r} is not one of {sorted(HEAD_CLASSES)} or a head class")
