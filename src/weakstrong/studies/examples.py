"""Examples on real data that ship with scikit-learn: nothing is downloaded."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.datasets import load_diabetes, load_digits
from sklearn.preprocessing import PolynomialFeatures

from weakstrong.errors import InputError
from weakstrong.studies.inputs import StudyInputs


def load_example(name: str) -> StudyInputs:
    """Inputs of a study by name.

    ``diabetes`` (Efron, Hastie, Johnstone and Tibshirani, 2004): 442 patients, the target is
    disease progression after a year. Three supervisors each see one column (body mass index,
    blood pressure, a blood measurement) in five bins, so they say one of five numbers; the
    student sees all ten columns with their squares and products.

    ``digits`` (Alpaydin and Kaynak, 1998): 1,797 digits written by hand, 8 by 8 pixels, ten classes. Three
    supervisors see how dark, in four bins, each row, each column, or each of 16 squares of four pixels is;
    the student sees all pixels.
    """
    if name not in EXAMPLES:
        raise InputError(f"example {name}: no such example; there are: {', '.join(EXAMPLES)}")
    return EXAMPLES[name]()


def _diabetes() -> StudyInputs:
    table = load_diabetes(as_frame=True, scaled=False)
    x, y = table.data, table.target.to_numpy(dtype=float)
    rich = PolynomialFeatures(2, include_bias=False).fit_transform(x / x.std())
    return StudyInputs(
        supervisors={column: _in_bins(x[column]) for column in ("bmi", "bp", "s5")},
        students={"all columns": np.asarray(rich)},
        y=y,
        target="disease progression",
    )


def _digits() -> StudyInputs:
    pixels, digit = load_digits(return_X_y=True)
    images = pixels.reshape(-1, 8, 8)
    squares = images.reshape(-1, 4, 2, 4, 2).sum(axis=(2, 4)).reshape(-1, 16)
    sums = {"rows": images.sum(axis=2), "columns": images.sum(axis=1), "squares": squares}
    return StudyInputs(
        supervisors={
            name: np.hstack([_in_bins(pd.Series(column), 4) for column in table.T])
            for name, table in sums.items()
        },
        students={"pixels": pixels},
        y=np.eye(10)[digit],
        target="digit",
        classes=tuple("0123456789"),
    )


def _in_bins(column: pd.Series, bins: int = 5) -> NDArray[np.float64]:
    """An indicator of each bin of about as many rows, from the lowest values to the highest."""
    return pd.get_dummies(pd.qcut(column, bins, duplicates="drop")).to_numpy(dtype=np.float64)


EXAMPLES: dict[str, Callable[[], StudyInputs]] = {"diabetes": _diabetes, "digits": _digits}
