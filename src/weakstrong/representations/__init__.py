"""Representations h: frozen maps from inputs to features."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

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


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
