"""The Kekulé form and random forms stand for the same molecule."""

from __future__ import annotations

import pytest
from rdkit import Chem

from weakstrong.molecules.smiles import FAULTS, problem, problems, random_form, standard


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
     ("c1ccc1C(", "no valid"), ("hello", "no valid"), ("C" * 30, "30 tokens, more than 20"), ("CCO", "")],
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
