"""What callers may give: every kind that holds no real numbers, and rows that are not the same rows."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from weakstrong import Head, HeadProjection, InputError, Moments, measure, study, weak_to_strong
from weakstrong.arrays import real_array

N = 60
X = np.random.default_rng(0).normal(size=(N, 3))
Y, W, S = (X.sum(1) + size * np.random.default_rng(1).normal(size=N) for size in (0.5, 1.0, 0.1))
GROUPS = np.arange(N) // 3
OTHER = np.random.default_rng(2).permutation(N)


def _spoilt(value: object) -> list[object]:
    return [*Y[:3], value, *Y[4:]]


NO_NUMBERS = {
    "dates": (pd.Series(pd.date_range("2020", periods=N)), "dates"),
    "dates with a zone": (pd.Series(pd.date_range("2020", periods=N, tz="UTC")), "row 0"),
    "periods": (pd.Series(pd.period_range("2020", periods=N)), "row 0"),
    "durations": (np.arange(N).astype("m8[s]"), "durations"),
    "bytes": (np.array([b"1"] * N), "bytes"),
    "text": (["1"] * N, "text"),
    "text in pandas": (pd.Series(["1"] * N), "row 0"),
    "categories": (pd.Series(["a", "b"] * (N // 2), dtype="category"), "row 0"),
    "complex": (Y + 0j, "Complex data not supported"),
    "records": (np.zeros(N, dtype=[("a", float)]), "records"),
    "a masked cell": (np.ma.masked_where(np.arange(N) == 3, np.where(np.arange(N) == 3, 1e6, Y)), "row 3"),
    "None": (_spoilt(None), "row 3"),
    "NA": (pd.Series(Y, dtype="Float64").where(np.arange(N) != 3), "NaN|finite|row 3"),
    "Decimal": (_spoilt(Decimal("0.1")), "row 3"),
    "true and false": (Y > 0, "true and false"),
    "nullable true and false": (pd.Series(Y > 0, dtype="boolean"), "true and false|holds true"),
    "sparse": (sparse.csr_array(Y[:, None]), "sparse data are not supported"),
    "a sparse column": (pd.Series(pd.arrays.SparseArray(Y)), "sparse data are not supported"),
    "NaN": (_spoilt(np.nan), "NaN|finite"),
    "rows of other lengths": ([[1.0, 2.0], [1.0]] * (N // 2), "rows of one length"),
    "an integer beyond float64": (_spoilt(10**400), "too large"),
}
LABELS: dict[str, Callable[[Any], Any]] = {
    "measure": lambda y: measure(Y, y, S),
    "study": lambda y: study({"a": X[:, :1]}, X, y, seeds=1, task="regression"),
    "HeadProjection": lambda y: HeadProjection("linear").fit(X, y),
    "Moments": lambda y: Moments.of(X, y),
}
FEATURES: dict[str, Callable[[Any], object]] = {
    "study": lambda x: study({"a": x}, X, Y, seeds=1),
    "fit": lambda x: HeadProjection("linear").fit(x, Y),
    "predict": lambda x: HeadProjection("linear").fit(X, Y).predict(x),
    "Moments": lambda x: Moments.of(x, Y),
}


@pytest.mark.parametrize("kind", NO_NUMBERS)
@pytest.mark.parametrize("where", LABELS)
def test_labels_that_are_no_real_numbers_are_refused_in_one_line(kind: str, where: str) -> None:
    given, said = NO_NUMBERS[kind]
    if where == "study" and kind in ("NaN", "NA"):  # rows without a true label are the student's
        assert any("have a true label" in note for note in LABELS[where](given).notes)
        return
    with pytest.raises(ValueError, match=said) as raised:
        LABELS[where](given)
    assert "\n" not in str(raised.value)


OF_CLASSES = ("text", "text in pandas", "categories", "true and false", "nullable true and false")


@pytest.mark.parametrize("kind", [k for k in NO_NUMBERS if k not in (*OF_CLASSES, "NaN", "NA")])
def test_labels_that_are_neither_numbers_nor_classes_are_refused_in_one_line(kind: str) -> None:
    with pytest.raises(ValueError, match=r".") as raised:
        study({"a": X[:, :1]}, X, NO_NUMBERS[kind][0], seeds=1)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("kind", [k for k in NO_NUMBERS if "true" not in k and "lengths" not in k])
@pytest.mark.parametrize("where", FEATURES)
def test_features_that_are_no_real_numbers_are_refused_in_one_line(kind: str, where: str) -> None:
    given, _ = NO_NUMBERS[kind]
    if kind == "sparse":
        x: Any = sparse.csr_array(X)
    elif kind == "a masked cell":
        x = np.ma.masked_where(np.arange(3 * N).reshape(N, 3) == 7, X)
    else:
        x = pd.DataFrame({"a": given, "b": Y, "c": W}).to_numpy()
        x = pd.DataFrame({"a": given, "b": Y, "c": W}) if isinstance(given, pd.Series) else x
    with pytest.raises(ValueError, match=r".") as raised:
        FEATURES[where](x)
    assert "\n" not in str(raised.value)


def test_numbers_of_any_other_type_are_the_same_numbers() -> None:
    whole = np.arange(N)
    for given, meant in (
        (pd.Series(whole, dtype="Int64"), whole),
        (pd.Series(Y, dtype="Float64"), Y),
        (Y.astype(object), Y),
        (np.ma.array(Y), Y),
        (pd.DataFrame({"y": Y}), Y),
        (Y.astype(np.longdouble), Y),
        (list(Y), Y),
    ):
        assert measure(Y, given, S).gain.value == measure(Y, meant, S).gain.value
        found = study({"a": X[:, :1]}, X, given, seeds=1, heads="linear")
        np.testing.assert_array_equal(np.isin(found.predictions.table["y_true"], meant), True)
        flat = HeadProjection("linear").fit(X, given).predict(X).ravel()
        np.testing.assert_array_equal(flat, HeadProjection("linear").fit(X, meant).predict(X))
    flags = pd.DataFrame({"flag": Y > 0, "nullable": pd.Series(W > 0, dtype="boolean"), "number": S})
    np.testing.assert_array_equal(
        HeadProjection("linear").fit(flags, Y).head_.coef,
        HeadProjection("linear").fit(flags.astype(float), Y).head_.coef,
    )


def test_numbers_are_not_copied() -> None:
    for dtype in (np.float64, np.float32, np.float16, np.int64):
        values = X.astype(dtype)
        assert np.shares_memory(real_array(values, "X"), values)


MISSING = {
    "NaN beside text": ["a", "b", float("nan")] * (N // 3),
    "None": ["a", "b", None] * (N // 3),
    "NA": pd.Series(["a", "b", pd.NA] * (N // 3)),
    "NA beside numbers": pd.Series([1, 2, pd.NA] * (N // 3), dtype="Int64"),
    "NaN": np.array([1.0, 2.0, np.nan] * (N // 3)),
    "NaT": pd.Series([pd.Timestamp("2020"), pd.Timestamp("2021"), pd.NaT] * (N // 3)),
    "masked": np.ma.array([1, 2, 3] * (N // 3), mask=[0, 0, 1] * (N // 3)),
}
GROUPED: dict[str, Callable[[Any], int]] = {
    "measure": lambda g: measure(Y, W, S, groups=g).n_clusters,
    "study": lambda g: len(
        pd.unique(
            study({"a": X[:, :1]}, X, Y, groups=g, heads="linear", splits=WHOLE).predictions.table["cluster"]
        )
    ),
    "HeadProjection": lambda g: len(HeadProjection("linear").fit(X, Y, groups=g)._seen.groups),
}
WHOLE = {"s": (np.arange(30), np.arange(30, N))}


@pytest.mark.parametrize("kind", MISSING)
@pytest.mark.parametrize("where", GROUPED)
def test_a_missing_group_is_named_by_its_row_everywhere(kind: str, where: str) -> None:
    with pytest.raises(InputError, match=r"groups: row 2 \(counted from 0\) has none; name its group"):
        GROUPED[where](MISSING[kind])


@pytest.mark.parametrize("where", GROUPED)
def test_names_of_groups_are_compared_as_they_are(where: str) -> None:
    """1, 1.0 and True are one group and "1" is another, whatever numpy would make of a list of them."""
    held = [1, "1", 1.0, True, "2", 2] * 5
    names = held if where != "study" else [100 + i // 2 for i in range(30)] + held
    groups = names * (1 if where == "study" else 2)
    assert GROUPED[where](groups) == 4
    assert GROUPED[where](pd.Series(groups, dtype=object)) == 4
    for wrong in ([[1], [2]] * 30, [[1], [2, 3]] * 30, [{1}] * N, 3, GROUPS[:5], np.ones((N, 2))):
        with pytest.raises(InputError, match="groups: "):
            GROUPED[where](wrong)


def test_groups_of_batches_are_those_of_one_batch() -> None:
    """Integers in one batch are floats in another where pandas met a missing value."""
    model = HeadProjection("l2").partial_fit(X[:30], Y[:30], groups=GROUPS[:30])
    model.partial_fit(X[30:], Y[30:], groups=GROUPS[30:].astype(float))
    np.testing.assert_allclose(model.cv_error_, HeadProjection("l2").fit(X, Y, groups=GROUPS).cv_error_)


def _pandas(index: Any = None) -> dict[str, Any]:
    return {
        "y": pd.Series(Y, index=index),
        "x": pd.DataFrame(X, index=index),
        "g": pd.Series(GROUPS, index=index),
    }


PAIRED: dict[str, Callable[[dict[str, Any], dict[str, Any]], object]] = {
    "measure labels": lambda a, b: measure(a["y"], b["y"], S),
    "measure ceiling": lambda a, b: measure(a["y"], W, S, y_ceiling=b["y"]),
    "measure groups": lambda a, b: measure(Y, a["y"], S, groups=b["g"]),
    "measure weights": lambda a, b: measure(Y, W, a["y"], sample_weight=b["y"] ** 2),
    "fit": lambda a, b: HeadProjection("l2").fit(a["x"], b["y"]),
    "fit weights": lambda a, b: HeadProjection("l2").fit(a["x"], Y, b["y"] ** 2),
    "partial_fit groups": lambda a, b: HeadProjection("l2").partial_fit(X, a["y"], groups=b["g"]),
    "fit_batches": lambda a, b: HeadProjection("l2").fit_batches([(a["x"], b["y"])]),
    "weak_to_strong": lambda a, b: weak_to_strong(lambda _: b["y"], HeadProjection(), a["x"]),
    "Moments": lambda a, b: Moments.of(a["x"], b["y"]),
    "study": lambda a, b: study({"a": b["x"]}, X, a["y"], seeds=1),
    "study groups": lambda a, b: study({"a": X}, a["x"], Y, groups=b["g"], seeds=1),
    "study display": lambda a, b: study({"a": X}, X, a["y"], display={"g": b["g"]}, seeds=1),
    "study untrained": lambda a, b: study({"a": X}, a["x"], Y, untrained={"strong": [b["x"]]}, seeds=1),
    "study masks": lambda a, b: study(
        {"a": X}, X, a["y"], splits={"s": (b["g"] < 12, b["g"] >= 12)}, seeds=1
    ),
}


@pytest.mark.parametrize("where", PAIRED)
def test_pandas_objects_with_other_indexes_are_not_matched_by_position(where: str) -> None:
    PAIRED[where](_pandas(), _pandas())
    PAIRED[where](_pandas(OTHER), _pandas(OTHER))
    for index in (OTHER, np.arange(1, N + 1), [f"r{i}" for i in range(N)]):
        with pytest.raises(InputError, match=r"different pandas indexes: row .*\.reindex\(\), or pass"):
            PAIRED[where](_pandas(), _pandas(index))


def test_arrays_are_matched_by_position() -> None:
    plain = measure(Y, W, S)
    assert measure(pd.Series(Y, index=OTHER), W, list(S)).gain.value == plain.gain.value
    assert measure(pd.DataFrame({"y": Y}), pd.Series(W), S).gain.value == plain.gain.value
    both = _pandas(), _pandas(OTHER)
    np.testing.assert_allclose(
        HeadProjection().fit(both[0]["x"], both[1]["y"].to_numpy()).predict(both[0]["x"]),
        HeadProjection().fit(X, Y).predict(X),
    )


@pytest.mark.parametrize("weight", [-1.0, np.nan, np.inf, "a", 1j, None])
def test_weights_are_checked_one_by_one(weight: object) -> None:
    weights = [1.0] * 3 + [weight] + [1.0] * (N - 4)
    for call in (
        lambda: measure(Y, W, S, sample_weight=weights),
        lambda: HeadProjection("linear").fit(X, Y, weights),
        lambda: Moments.of(X, Y, sample_weight=weights),
    ):
        with pytest.raises(InputError, match="sample_weight"):
            call()


def test_a_head_is_of_finite_numbers() -> None:
    for coef, intercept in (([[np.nan]], [0.0]), ([[1.0]], [np.inf]), ([["a"]], [0.0]), ([[1j]], [0.0])):
        with pytest.raises(ValueError, match=r"coef|intercept"):
            Head(np.array(coef), np.array(intercept))
