"""The 200 RDKit descriptors that pretraining predicts.

Their names are pinned to those of RDKit 2019.03, with which the public MolBERT release was trained. Newer
versions have more descriptors, so that a choice by position would be another one.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import numpy as np
from rdkit import Chem, rdBase
from rdkit.Chem import Descriptors
from rdkit.Chem.EState import EStateIndices

from weakstrong.errors import InputError
from weakstrong.molecules.smiles import RDKIT, parsed

NAMES = tuple(
    """
    BalabanJ BertzCT Chi0 Chi0n Chi0v Chi1 Chi1n Chi1v Chi2n Chi2v Chi3n Chi3v Chi4n Chi4v EState_VSA1
    EState_VSA10 EState_VSA11 EState_VSA2 EState_VSA3 EState_VSA4 EState_VSA5 EState_VSA6 EState_VSA7
    EState_VSA8 EState_VSA9 ExactMolWt FpDensityMorgan1 FpDensityMorgan2 FpDensityMorgan3 FractionCSP3
    HallKierAlpha HeavyAtomCount HeavyAtomMolWt Ipc Kappa1 Kappa2 Kappa3 LabuteASA MaxAbsEStateIndex
    MaxAbsPartialCharge MaxEStateIndex MaxPartialCharge MinAbsEStateIndex MinAbsPartialCharge MinEStateIndex
    MinPartialCharge MolLogP MolMR MolWt NHOHCount NOCount NumAliphaticCarbocycles NumAliphaticHeterocycles
    NumAliphaticRings NumAromaticCarbocycles NumAromaticHeterocycles NumAromaticRings NumHAcceptors
    NumHDonors NumHeteroatoms NumRadicalElectrons NumRotatableBonds NumSaturatedCarbocycles
    NumSaturatedHeterocycles NumSaturatedRings NumValenceElectrons PEOE_VSA1 PEOE_VSA10 PEOE_VSA11
    PEOE_VSA12 PEOE_VSA13 PEOE_VSA14 PEOE_VSA2 PEOE_VSA3 PEOE_VSA4 PEOE_VSA5 PEOE_VSA6 PEOE_VSA7 PEOE_VSA8
    PEOE_VSA9 RingCount SMR_VSA1 SMR_VSA10 SMR_VSA2 SMR_VSA3 SMR_VSA4 SMR_VSA5 SMR_VSA6 SMR_VSA7 SMR_VSA8
    SMR_VSA9 SlogP_VSA1 SlogP_VSA10 SlogP_VSA11 SlogP_VSA12 SlogP_VSA2 SlogP_VSA3 SlogP_VSA4 SlogP_VSA5
    SlogP_VSA6 SlogP_VSA7 SlogP_VSA8 SlogP_VSA9 TPSA VSA_EState1 VSA_EState10 VSA_EState2 VSA_EState3
    VSA_EState4 VSA_EState5 VSA_EState6 VSA_EState7 VSA_EState8 VSA_EState9 fr_Al_COO fr_Al_OH
    fr_Al_OH_noTert fr_ArN fr_Ar_COO fr_Ar_N fr_Ar_NH fr_Ar_OH fr_COO fr_COO2 fr_C_O fr_C_O_noCOO fr_C_S
    fr_HOCCN fr_Imine fr_NH0 fr_NH1 fr_NH2 fr_N_O fr_Ndealkylation1 fr_Ndealkylation2 fr_Nhpyrrole fr_SH
    fr_aldehyde fr_alkyl_carbamate fr_alkyl_halide fr_allylic_oxid fr_amide fr_amidine fr_aniline
    fr_aryl_methyl fr_azide fr_azo fr_barbitur fr_benzene fr_benzodiazepine fr_bicyclic fr_diazo
    fr_dihydropyridine fr_epoxide fr_ester fr_ether fr_furan fr_guanido fr_halogen fr_hdrzine fr_hdrzone
    fr_imidazole fr_imide fr_isocyan fr_isothiocyan fr_ketone fr_ketone_Topliss fr_lactam fr_lactone
    fr_methoxy fr_morpholine fr_nitrile fr_nitro fr_nitro_arom fr_nitro_arom_nonortho fr_nitroso fr_oxazole
    fr_oxime fr_para_hydroxylation fr_phenol fr_phenol_noOrthoHbond fr_phos_acid fr_phos_ester fr_piperdine
    fr_piperzine fr_priamide fr_prisulfonamd fr_pyridine fr_quatN fr_sulfide fr_sulfonamd fr_sulfone
    fr_term_acetylene fr_tetrazole fr_thiazole fr_thiocyan fr_thiophene fr_unbrch_alkane fr_urea qed
    """.split()
)
_BY_NAME = dict(Descriptors._descList)
_ESTATE = ("MaxEStateIndex", "MinEStateIndex", "MaxAbsEStateIndex", "MinAbsEStateIndex")
_FAILURES = (ValueError, ArithmeticError, RuntimeError, TypeError)
# Ipc takes time n^4, and overflows float32 beyond some 200 atoms in one piece. What follows from distances,
# as the EState indices do, takes n^3: 15 s at 1,000 atoms.
_DISTANCES = ("BalabanJ", "BertzCT", *(name for name in NAMES if "EState" in name))
_MOST_ATOMS = {"Ipc": 400, **dict.fromkeys(_DISTANCES, 1000)}
_OTHERS = tuple(name for name in NAMES if name not in _ESTATE)


def descriptors(smiles: Sequence[str]) -> np.ndarray:
    """Compute the 200 pinned RDKit descriptors of each molecule, in the order of `NAMES`.

    Returns
    -------
    ndarray of float32, shape (n, 200)
        NaN where a descriptor fails or overflows (``Ipc`` of large molecules) or would take minutes (those
        from distances between atoms, beyond 1,000 atoms), and in the whole row of a SMILES that is not valid.

    Raises
    ------
    InputError
        If the installed RDKit lacks one of them.
    """
    missing = [name for name in NAMES if name not in _BY_NAME]
    if missing:
        raise InputError(f"{RDKIT} has no descriptor {missing[0]}; install the version in constraints.txt")
    values = np.full((len(smiles), len(NAMES)), np.nan, dtype=np.float32)
    with rdBase.BlockLogs(), np.errstate(over="ignore", invalid="ignore"):
        for row, text in enumerate(smiles):
            molecule = parsed(text)
            if molecule is not None:
                values[row] = _describe(molecule)
    values[~np.isfinite(values)] = np.nan
    return values


def _describe(molecule: Chem.Mol) -> np.ndarray:
    """Compute the descriptors of one molecule, in the order of `NAMES`, as float64."""
    values = dict.fromkeys(NAMES, np.nan)
    atoms = molecule.GetNumAtoms()
    if atoms <= _MOST_ATOMS[_ESTATE[0]]:
        with suppress(*_FAILURES):
            indices = EStateIndices(molecule)  # serves four descriptors: RDKit would compute it for each
            sizes = np.abs(indices)
            values |= zip(_ESTATE, (indices.max(), indices.min(), sizes.max(), sizes.min()), strict=True)
    for name in _OTHERS:
        if atoms <= _MOST_ATOMS.get(name, atoms):
            with suppress(*_FAILURES):
                values[name] = _BY_NAME[name](molecule)
    return np.array(list(values.values()), dtype=np.float64)
