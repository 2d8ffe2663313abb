"""The Kekulé form and random forms stand for the same molecule."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from rdkit import Chem

from weakstrong.errors import InputError
from weakstrong.molecules.descriptors import descriptors
from weakstrong.molecules.leakage import identities
from weakstrong.molecules.smiles import FAULTS, MAX_SYMBOLS, problem, problems, random_form, standard, texts
from weakstrong.molecules.smiles_transformer import ECFPCounts


def canonical(smiles: str) -> str:
    return Chem.MolToSmiles(Chem.MolFromSmiles(smiles))


def test_standard_forms_are_the_same_molecule_without_aromatic_atoms(molecules: list[str]) -> None:
    for smiles in molecules:
        form = standard(smiles)
        assert canonical(form) == canonical(smiles)
        assert not {"c", "n", "o", "s"} & set(form)


def test_a_standard_form_keeps_the_order_of_its_atoms() -> None:
    assert standard("OCC") == "OCC"
    assert standard("CCO") == "CCO"


def test_nitro_groups_written_with_five_bonds_are_read() -> None:
    assert canonical(standard("CN(=O)=O")) == canonical("C[N+](=O)[O-]")


def test_random_forms_are_the_molecule_and_follow_from_seed_and_epoch_alone(molecules: list[str]) -> None:
    different = 0
    for smiles in molecules:
        first = random_form(smiles, 1, 2)
        assert first == random_form(smiles, 1, 2)
        assert canonical(first) == canonical(smiles)
        different += first != random_form(smiles, 1, 3)
        different += first != random_form(smiles, 2, 2)
    assert different > 1.5 * len(molecules)


@pytest.mark.parametrize(
    ("smiles", "fault"),
    [(" ", "empty"), ("CCO CCC", "white space"),
     ("", "empty"), ("C1CC", "no valid"), ("CC(", "no valid"), ("F(C)(C)C", "valence"), ("[Na+]", "'Na'"),
     ("C\u00e9", "a character"), ("CC\x01", "a character"), ("C\udc80", "a character"),
     ("C\0", "a character"), ("c1ccc1C(", "no valid"),
     ("hello", "no valid"), ("C" * 30, "30 tokens, more than 20"), ("CCO", "")],
)  # fmt: skip
def test_what_is_wrong_is_said(smiles: str, fault: str) -> None:
    code, found = problem(smiles, 20)
    assert problems([smiles], 20).tolist() == [code]
    assert fault in found
    assert bool(fault) == bool(found) == bool(code)
    assert "\n" not in found


def test_kinds_of_faults_are_told_apart() -> None:
    smiles = ["CCO", "C1CC", "[Na+].[Cl-]", "C" * 500]
    assert [FAULTS[i] for i in problems(smiles, 20)] == ["", "invalid", "outside the vocabulary", "too long"]
    assert problems(smiles, 0).tolist() == [0, 1, 0, 0]


TOO_LARGE = {
    "branches": "C(" * 20_000 + "C" + ")" * 20_000,
    "chain": "C" * 20_000,
    "ring": "C1" + "C" * 20_000 + "C1",
    "dots": ".".join("C" * 20_000),
    "rings": "C1CC1" * 501,
    "ladder": "C1C" + "C2C1C1C2" * 300 + "C1",
    "isotope": f"[{'1' * 20_000}C]",
}


@pytest.mark.parametrize("smiles", TOO_LARGE.values(), ids=TOO_LARGE)
def test_what_could_crash_rdkit_is_a_fault_of_its_own(smiles: str) -> None:
    for max_tokens in (0, 126):
        code, found = problem(smiles, max_tokens)
        assert FAULTS[code] == "too large to be parsed safely"
        assert "to be parsed safely: " in found
    for read in (standard, lambda s: random_form(s, 0, 0), lambda s: ECFPCounts().transform([s])):
        with pytest.raises(ValueError, match="to be parsed safely: "):
            read(smiles)
    assert identities([smiles, "C"]).all(axis=1).tolist() == [False, True]
    assert np.isnan(descriptors([smiles])).all()


@pytest.mark.parametrize(
    "smiles",
    ["N[C@@H](C)C(=O)" * 133 + "O", "C" * 2000, "C1CC1" * 400, "c1ccc(cc1)" * 200,
     "C(" * 660 + "C" + ")" * 660, "[13CH3:1]" + "[13CH2:1]" * 400],
    ids=["peptide", "chain", "rings", "aromatic", "branches", "brackets"],
)  # fmt: skip
def test_large_molecules_are_read(smiles: str) -> None:
    assert problem(smiles, 0) == (0, "")
    assert Chem.MolFromSmiles(standard(smiles)).GetNumAtoms() == Chem.MolFromSmiles(smiles).GetNumAtoms()
    assert identities([smiles])[0, 0]


def test_the_longest_molecule_needs_no_stack_of_its_caller() -> None:
    smiles, found, go = "C" * MAX_SYMBOLS, [], threading.Event()

    def read() -> None:
        go.wait()
        found.extend([standard(smiles), identities([smiles])[0, 0]])

    before = threading.stack_size(256 << 10)
    caller = threading.Thread(target=read)
    caller.start()
    threading.stack_size(before)
    go.set()
    caller.join()
    assert found[0] == smiles
    assert found[1]
    assert threading.stack_size() == before


def test_faults_of_rdkit_are_short() -> None:
    assert len(problem("c1" + "c" * 400 + "c1", 0)[1]) <= 150


@pytest.mark.parametrize(
    "given",
    [None, "CCO", b"CCO", 3, float("nan"), {"CCO"}, {"a": "CCO"}, (s for s in ["CCO"]), [["CCO", "C"]],
     [np.zeros((2, 3)), np.zeros((2, 4))]],
    ids=lambda given: type(given).__name__,
)  # fmt: skip
def test_what_is_no_sequence_of_texts_is_one_line(given: object) -> None:
    with pytest.raises(InputError, match="a sequence of strings is needed") as error:
        texts(given)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("entry", [None, b"CCO", 3, float("nan"), ["C"], np.zeros((2, 2))], ids=repr)
def test_an_entry_that_is_no_text_is_named_by_its_row(entry: object) -> None:
    with pytest.raises(InputError, match=r"row 1 \(counted from 0\): .* is no text"):
        texts(["CCO", entry, "C"][: 2 if isinstance(entry, np.ndarray) else 3])


def test_no_texts_are_no_rows() -> None:
    assert texts([]) == texts(()) == texts(np.empty((0, 1))) == []
