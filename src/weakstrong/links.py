"""Links, which make predictions of the outputs of linear heads, by the class of heads."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from weakstrong.class_labels import in_simplex

Array = NDArray[np.float64]
Link = Callable[[Array], Array]


def identity(outputs: Array) -> Array:
    """Return the outputs, which are the predictions."""
    return outputs


def softmax(outputs: Array) -> Array:
    """Return probabilities ``exp z_c / Σ exp z``, along the last axis."""
    out = np.exp(outputs - outputs.max(-1, keepdims=True))
    out /= out.sum(-1, keepdims=True)
    return np.asarray(out)


LINKS: Mapping[str, Link] = {
    "linear": identity, "l2": identity, "logistic": softmax, "brier": in_simplex,
}  # fmt: skip
