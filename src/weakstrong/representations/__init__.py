"""Representations h: frozen maps from inputs to features."""

from typing import TYPE_CHECKING

from weakstrong.lazy import lazy_names

if TYPE_CHECKING:
    from weakstrong.representations.smiles_encoder import SmilesEncoder as SmilesEncoder
    from weakstrong.representations.smiles_transformer import ECFPCounts as ECFPCounts
    from weakstrong.representations.smiles_transformer import RDKitDescriptors as RDKitDescriptors

_HOME = {
    "ECFPCounts": "smiles_transformer",
    "RDKitDescriptors": "smiles_transformer",
    "SmilesEncoder": "smiles_encoder",
}
__all__ = sorted(_HOME)  # noqa: PLE0605

__getattr__, __dir__ = lazy_names(__name__, _HOME)
