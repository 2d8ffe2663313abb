"""The look-up tokenizer against a regular expression, and what it refuses."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from weakstrong.errors import InputError
from weakstrong.molecules.smiles import standard
from weakstrong.molecules.tokens import CLS, PAD, SEP, VOCABULARY, tokenize

SYMBOLS = VOCABULARY[4:]
PATTERN = re.compile("|".join(re.escape(s) for s in sorted(SYMBOLS, key=len, reverse=True)))


def test_the_vocabulary_is_the_releases() -> None:
    assert len(VOCABULARY) == 42
    assert VOCABULARY[:4] == ("[PAD]", "[CLS]", "[SEP]", "[MASK]")
    assert VOCABULARY[13:19] == ("Br", "Cl", "Si", "Se", "se", "@@")
    assert VOCABULARY[-1] == "]"


def expected(smiles: str) -> list[int]:
    assert "".join(PATTERN.findall(smiles)) == smiles
    return [VOCABULARY.index(symbol) for symbol in PATTERN.findall(smiles)]


no_three_at = st.lists(st.sampled_from(SYMBOLS), max_size=12).map("".join).filter(lambda s: "@@@" not in s)


@given(st.lists(no_three_at, max_size=8))
def test_any_strings_of_symbols_are_read_as_a_regular_expression_reads_them(strings: list[str]) -> None:
    tokens = tokenize(strings)
    found = [tokens.ids[a:b].tolist() for a, b in zip(tokens.starts[:-1], tokens.starts[1:], strict=True)]
    assert found == [expected(s) for s in strings]


def test_molecules_are_padded_between_cls_and_sep(molecules: list[str]) -> None:
    forms = [standard(s) for s in molecules]
    rows = np.array([3, 0, len(forms) - 1])
    padded = tokenize(forms).padded(rows)
    width = max(len(expected(forms[i])) for i in rows) + 2
    for row, ids in zip(rows, padded, strict=True):
        whole = [CLS, *expected(forms[row]), SEP]
        assert ids.tolist() == whole + [PAD] * (width - len(whole))


@pytest.mark.parametrize(
    ("smiles", "symbol"),
    [("[Na]", "Na"), ("[Fe+2]", "Fe"), ("c1ccccc1", "c"), ("C C", " "), ("C*", "*"), ("[Sn]", "Sn")],
)
def test_symbols_outside_the_vocabulary_are_refused_by_row_and_name(smiles: str, symbol: str) -> None:
    with pytest.raises(InputError) as error:
        tokenize(["CCO", smiles, "C"])
    assert "row 1" in str(error.value)
    assert repr(symbol) in str(error.value)


@pytest.mark.parametrize("smiles", ["CÖ", "C\nC"])
def test_text_that_is_no_smiles_is_refused_by_row(smiles: str) -> None:
    with pytest.raises(InputError, match="row 2"):
        tokenize(["CCO", "C", smiles])
