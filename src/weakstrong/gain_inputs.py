"""Truth, weak labels and predictions from what callers give, in the form that a loss takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from weakstrong.arrays import SMALLEST, label_array
from weakstrong.class_kinds import is_of_classes, may_be_classes, plain_array, whole_as_classes
from weakstrong.class_labels import class_labels, class_name, is_labelled
from weakstrong.class_predictions import all_classes, class_predictions
from weakstrong.errors import InputError, quoted

Array = NDArray[np.float64]


def usual_loss(named: Mapping[str, Any], classes: Sequence[Any] | None) -> str:
    """Return the name of the divergence of what the truth is: classes, or numbers."""
    truth = named["y_true"]
    if classes is not None or is_of_classes(truth):
        return "brier"
    whole, *others = (plain_array(values) for values in named.values())
    if whole is None or whole.dtype.kind not in "iu" or whole.ndim != 1:
        return "squared"
    numbers = [of.astype(np.float64) for of in others if of is not None and of.dtype.kind in "fiu"]
    return "brier" if len(numbers) < len(others) or may_be_classes(whole, numbers) else "squared"


def distributions(
    named: dict[str, ArrayLike], classes: Sequence[Any] | None
) -> tuple[tuple[str, ...], dict[str, Array]]:
    """Return the classes that any of the arguments names, and the probabilities of each over them."""
    truth = class_labels(whole_as_classes(named["y_true"]), "y_true", classes)
    if classes is None:
        _refuse_other_order(named, truth.classes)
    read = {"y_true": truth}
    for name, values in named.items():
        if name != "y_true":
            read[name] = class_predictions(values, name, truth.classes, named=classes is not None)
    every = all_classes(truth.classes, {n: of.classes for n, of in read.items() if n != "y_true"})
    arrays = {name: labels.over(every).values for name, labels in read.items()}
    for name, values in arrays.items():
        if len(values) != len(arrays["y_true"]):
            raise InputError(f"{name} has {len(values)} rows; y_true has {len(arrays['y_true'])}")
        if not is_labelled(values).all():
            row = int((~is_labelled(values)).argmax())
            raise InputError(
                f"{name}: row {row} (counted from 0) is missing, and so has no label: leave the row out"
            )
    return every, arrays


def _refuse_other_order(named: Mapping[str, Any], classes: tuple[str, ...]) -> None:
    """Refuse probabilities without names beside categories whose order is not that of their names."""
    dtype: Any = getattr(named["y_true"], "dtype", None)
    if not getattr(dtype, "ordered", False):
        return
    order = [class_name(value) for value in dtype.categories if class_name(value) in classes]
    for name, values in named.items():
        array = plain_array(values)
        without = array is not None and array.dtype.kind == "f" and not hasattr(values, "columns")
        if order != list(classes) and without:
            raise InputError(
                f"y_true is of categories in the order {quoted(order)}, and {name} has probabilities without "
                "names: say by classes= which class each column is, in order"
            )


def numbers(named: dict[str, ArrayLike]) -> list[Array]:
    """Return finite arrays of one shape, (n,) or (n, k), that can be squared; errors name the argument."""
    arrays = {name: label_array(value, name, column=True) for name, value in named.items()}
    tables = {name: list(value.columns) for name, value in named.items() if hasattr(value, "columns")}
    for name, columns in tables.items():
        first, expected = next(iter(tables.items()))
        if columns != expected and sorted(map(str, columns)) == sorted(map(str, expected)):
            raise InputError(f"{name} has the columns of {first} in another order; put them in one order")
    shape = next(iter(arrays.values())).shape
    if len(shape) not in (1, 2) or 0 in shape:
        raise InputError(f"y_true has shape {shape}; expected (n,) or (n, k) with at least one row")
    for name, array in arrays.items():
        if array.shape != shape:
            hint = "; for classes and their probabilities name classes= or divergence="
            said = hint if len(shape) == 1 and array.ndim == 2 else ""
            raise InputError(f"{name} has shape {array.shape}; y_true has {shape}{said}")
    largest = np.max([np.abs(array).max(0) for array in arrays.values()], axis=0)
    if ((largest > 0) & (largest < SMALLEST)).any():
        raise InputError(
            f"{', '.join(arrays)} are all below {SMALLEST:g} in size, so that their squares underflow: "
            "rescale the labels"
        )
    return list(arrays.values())
