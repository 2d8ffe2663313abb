"""Classes in every form that users have them, told from numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from weakstrong import InputError, measure
from weakstrong.class_kinds import may_be_classes
from weakstrong.class_labels import class_labels

TEXT = ["a", "b", "b"] * 4
CODES = [0, 1, 1] * 4
SHARES = [0.2, 0.9, 0.4] * 4
MISSING = {
    "none": [None, *TEXT[1:]],
    "integers and none": [None, *CODES[1:]],
    "floats": [np.nan, *CODES[1:]],
    "nullable": pd.Series([pd.NA, *CODES[1:]], dtype="Int64"),
    "boolean": pd.Series([pd.NA, *map(bool, CODES[1:])], dtype="boolean"),
    "string": pd.Series([pd.NA, *TEXT[1:]], dtype="string"),
    "category": pd.Series(pd.Categorical([None, *TEXT[1:]])),
    "masked": np.ma.masked_array(CODES, [True] + 11 * [False]),
    "masked text": np.ma.masked_array(TEXT, [True] + 11 * [False]),
}
ALIKE: dict[str, tuple[Any, Any]] = {
    "list": (TEXT, SHARES),
    "tuple": (tuple(TEXT), tuple(SHARES)),
    "bytes": (np.array(TEXT, dtype="S"), SHARES),
    "objects": (np.array([of.encode() for of in TEXT], dtype=object), SHARES),
    "one column": (np.array(TEXT)[:, None], np.array(SHARES)[:, None]),
    "table of one column": (pd.DataFrame({"y": TEXT}), pd.DataFrame({"p": SHARES})),
    "pandas text": (pd.Series(TEXT, dtype="string"), pd.Series(SHARES, dtype="Float64")),
    "category": (pd.Categorical(TEXT), pd.Series(SHARES, dtype="float32")),
    "masked": (np.ma.masked_array(TEXT), np.ma.masked_array(SHARES)),
    "two digits": (TEXT, [[0.8, 0.2], [0.1, 0.9], [0.6, 0.4]] * 4),
}


@pytest.mark.parametrize("form", ALIKE)
def test_every_form_says_the_same(form: str) -> None:
    y, p = ALIKE[form]
    names = {"classes": "ab"} if form == "two digits" else {}
    found = measure(y, TEXT, p, **names)
    assert (found.divergence, found.classes) == ("brier", ("a", "b"))
    expected = 2 * np.mean((np.array(SHARES) - np.array(CODES)) ** 2)
    assert found.strong_error.value == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("form", MISSING)
def test_a_missing_label_is_none_and_not_taken_for_one(form: str) -> None:
    values = MISSING[form]
    if form == "floats":  # the callers say that whole floats are classes
        values = np.array([None, *CODES[1:]], dtype=object)
    labels = class_labels(values, "weak labels")
    assert labels.labelled.tolist() == [False] + 11 * [True]
    assert len(labels.classes) == 2
    truth = MISSING["string"].fillna("a") if labels.classes == ("a", "b") else np.array(CODES)
    truth = np.array(CODES, dtype=bool) if form == "boolean" else truth
    with pytest.raises(InputError, match=r"y_weak: row 0 \(counted from 0\).* missing"):
        measure(truth, MISSING[form], truth, divergence="zero-one")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([[0.5, 0.5], [0.3]] * 6, "y_weak: rows have several lengths"),
        ([{"a": 1}] * 12, "y_weak: row 0 .* is {'a': 1}; classes are"),
        (np.array(SHARES) * 1j, "y_weak holds complex128"),
        ([0.2, "a", "b"] * 4, "y_weak: row 0 .* is 0.2"),
        ("a", "y_weak has 0 dimensions"),
        ([[0.5, 0.48]] * 12, r"y_weak: the probabilities of row 0 \(counted from 0\) sum to 0.98"),
    ],
)
def test_what_is_no_class_is_refused(values: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        measure(TEXT, values, TEXT, classes="ab")


@pytest.mark.parametrize("c", [2, 3, 10])
def test_probabilities_of_two_digits_sum_to_one_well_enough(c: int) -> None:
    """Each is off by up to half a hundredth; a class that lacks its column is noticed."""
    rng = np.random.default_rng(c)
    exact = rng.dirichlet(np.full(c, 2.0), 500)
    labels = class_labels(exact.round(2), "w", range(c))
    np.testing.assert_allclose(labels.values.sum(1), 1)
    assert np.abs(labels.values - exact).max() < 0.01
    if c > 2:
        with pytest.raises(InputError, match="give a column for every class"):
            class_labels(exact[:, :-1].round(2), "w", range(c - 1))


TREE = [0.0, 1.0, 1.0] * 4  # what a decision tree says: probabilities that are all zero or one


@pytest.mark.parametrize("names", [[-1, 1], [1, 2], ["a", "b"], [False, True], [0, 1]])
def test_probabilities_of_zero_and_one_are_probabilities(names: list[Any]) -> None:
    truth = np.array(names)[CODES]
    found = measure(truth, SHARES, TREE, divergence="zero-one")
    assert float(found.strong_error.value) == 0
    assert found.classes == tuple(map(str, names))
    table = pd.DataFrame({str(names[0]): 1 - np.array(TREE)})
    assert float(measure(truth, SHARES, table, divergence="zero-one").strong_error.value) == 0


def test_a_column_is_of_the_class_that_it_is_named_after() -> None:
    of_first, of_second = (
        pd.DataFrame({name: p}) for name, p in (("a", 1 - np.array(SHARES)), ("b", SHARES))
    )
    assert measure(TEXT, of_first, of_second).misfit.value == pytest.approx(0)
    assert measure(TEXT, of_first, SHARES).misfit.value == pytest.approx(0)


def test_an_order_of_categories_must_be_said() -> None:
    truth = pd.Series(pd.Categorical(["low", "high", "high"] * 4, categories=["low", "high"], ordered=True))
    with pytest.raises(InputError, match=r"categories in the order \['low', 'high'\], and y_weak"):
        measure(truth, SHARES, SHARES)
    found = measure(truth, SHARES, SHARES, classes=["low", "high"])
    assert found.strong_error.value == pytest.approx(measure(TEXT, SHARES, SHARES).strong_error.value)
    assert measure(truth, truth, truth).strong_error.value == 0


@pytest.mark.parametrize("c", [2, 10, 250])
def test_rows_that_sum_to_far_from_one_are_refused(c: int) -> None:
    given = np.full((12, c), 1 / c)
    for factor in (0.0, 0.5, 0.9, 1.1, 1.9):
        with pytest.raises(InputError, match="sum to"):
            class_labels(factor * given, "w", range(c))
    assert class_labels(1.01 * given, "w", range(c)).values.sum() == pytest.approx(12)


def test_roundings_of_single_precision_are_no_faults() -> None:
    found = measure(TEXT, np.float32([1.0000001, -1e-9, 0.4] * 4), SHARES)
    assert 0 <= found.weak_error.value <= 2
    said = class_labels(np.array([[-1e-17, 1.0]] * 3), "w", "ab")
    np.testing.assert_array_equal(said.values, [[0, 1]] * 3)


def test_whole_numbers_are_classes_where_they_can_be() -> None:
    codes, shares = np.array(CODES), np.array(SHARES)
    assert measure(codes, codes, shares).divergence == "brier"
    assert measure(codes, codes, 1 - codes).divergence == "brier"
    assert measure(pd.Series(codes, dtype="Int64"), codes, shares).divergence == "brier"
    assert measure(codes, np.stack([1 - shares, shares], 1), codes).divergence == "brier"
    assert measure(codes.astype(float), codes, shares).divergence == "squared"
    assert measure(codes, codes, 3 * shares).divergence == "squared"
    three = np.array([1, 2, 3] * 4)
    assert measure(three, three, 1 + 2 * shares).divergence == "squared"  # ratings
    assert measure(three, three, three[::-1]).classes == ("1", "2", "3")
    assert measure(np.arange(12), np.arange(12), np.arange(12)).divergence == "squared"
    assert not may_be_classes(np.array([0.5, 1.5] * 6), [])
