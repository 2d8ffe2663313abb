"""Features of molecules written as SMILES, pretraining of encoders, and the data sets to try them on."""

from typing import TYPE_CHECKING

from weakstrong.lazy import lazy_names

if TYPE_CHECKING:
    from weakstrong.molecules.chembench import load_chembench as load_chembench
    from weakstrong.molecules.smiles_encoder import SmilesEncoder as SmilesEncoder
    from weakstrong.molecules.smiles_transformer import ECFPCounts as ECFPCounts
    from weakstrong.molecules.smiles_transformer import RDKitDescriptors as RDKitDescriptors

_HOME = {
    "ECFPCounts": "smiles_transformer",
    "RDKitDescriptors": "smiles_transformer",
    "SmilesEncoder": "smiles_encoder",
    "load_chembench": "chembench",
}
__all__ = sorted(_HOME)  # noqa: PLE0605

__getattr__, __dir__ = lazy_names(__name__, _HOME)
