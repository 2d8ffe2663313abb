"""What supervisors and students say, read beside a truth of some classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from weakstrong.class_kinds import is_share, plain_array, whole_as_classes
from weakstrong.class_labels import ClassLabels, class_labels, class_name, in_order, is_whole, squeezed
from weakstrong.errors import InputError, quoted

Array = NDArray[np.float64]


def class_predictions(values: Any, name: str, classes: tuple[str, ...], *, named: bool) -> ClassLabels:
    """Read predictions or weak labels beside a truth of some classes: hard, or probabilities.

    Columns without names are those classes, in their order, which `named` says that the user gave. Floats
    from 0 to 1 beside two classes are the probability of the second, or of that which a table's only column
    is named after; they are classes where they are the truth's own.
    """
    owner = _only_column(values)
    given = squeezed(values, name)
    if np.ndim(given) == 1:
        shares = _shares(given, classes, owner)
        if shares is not None:
            return class_labels(shares, name, classes)
        return class_labels(whole_as_classes(given), name)
    has_names = hasattr(given, "columns")
    if not has_names and np.ndim(given) == 2 and np.shape(given)[1] != len(classes):
        raise InputError(
            f"{name} has {np.shape(given)[1]} columns, and the truth {len(classes)} classes, "
            f"{quoted(list(classes))}; {'give each a column' if named else 'name the columns by classes='}"
        )
    return class_labels(given, name, None if has_names else classes)


def _only_column(values: Any) -> str | None:
    """The name of the only column of a table."""
    columns = list(getattr(values, "columns", []))
    return class_name(columns[0]) if len(columns) == 1 else None


def _shares(values: Any, classes: tuple[str, ...], owner: str | None) -> Array | None:
    """Numbers as probabilities of the second of two classes, if that is what they are."""
    array = _numbers_of(values)
    if array is None or len(classes) != 2:
        return None
    known = array[~np.isnan(array)]
    if not (is_share(known) if owner in classes else are_shares(known, classes)):
        return None
    return np.asarray(1 - array if owner == classes[0] else array)


def are_shares(known: Array, classes: Sequence[str]) -> bool:
    """Tell whether numbers beside two classes are probabilities: from 0 to 1, and not these classes."""
    return is_share(known) and not {class_name(value) for value in np.unique(known)} <= set(classes)


def _numbers_of(values: Any) -> Array | None:
    """Floats, or Python's numbers of which some have a fraction; None for anything else."""
    array = plain_array(values)
    if array is None or array.dtype.kind not in "fO":
        return None
    if array.dtype.kind == "f":
        return np.asarray(array, dtype=np.float64)
    is_float = [isinstance(value, float | np.floating) for value in array]
    if not all(of or value is None for of, value in zip(is_float, array, strict=True)) or not any(is_float):
        return None
    return array.astype(np.float64)


def all_classes(truth: Sequence[str], weak: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Return the classes of true and weak labels in order; labels without a common class are refused.

    There are none where labels are numbers.
    """
    if not truth:
        return ()
    for name, classes in weak.items():
        if not set(classes) & set(truth):
            shown = ", ".join(classes[:5]), ", ".join(truth[:5])
            raise InputError(
                f"{name!r} names the classes {shown[0]}, the truth {shown[1]}: none is common"
                f"{_in_case_alone(classes, truth)}; write them in one way"
            )
    others = {name for classes in weak.values() for name in classes} - set(truth)
    if not others:
        return tuple(truth)
    every = [*truth, *others]
    by_size = all(map(is_whole, every)) and list(truth) == sorted(truth, key=int)
    return in_order(map(int, every) if by_size else every)


def _in_case_alone(names: Sequence[str], others: Sequence[str]) -> str:
    """Say that names differ in case alone, if some do."""
    same = {name.casefold() for name in names} & {name.casefold() for name in others}
    return ", but for upper and lower case" if same else ""
