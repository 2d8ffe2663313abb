"""Inputs of the experiments on molecules: a ChemBench set and the frozen features of its molecules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from weakstrong.data.index_files import SHA256
from weakstrong.data.row_cache import Meter
from weakstrong.data.tables import read_features
from weakstrong.data.user_files import data_folder
from weakstrong.errors import InputError
from weakstrong.identity import code_hash, file_hash, fingerprint
from weakstrong.molecules.chembench import load_chembench
from weakstrong.paper.molecule_divisions import MoleculeInputs, label_counts
from weakstrong.paper.molecule_settings import MoleculeSettings
from weakstrong.paper.sources import Places, Source

if TYPE_CHECKING:
    from weakstrong.parallel import Workers

MODELS = "models"
# Libraries that the inputs depend on, beside files and code.
_LIBRARIES = ("rdkit", "scikit-learn", "transformers")


@dataclass(frozen=True)
class Representation:
    """A source of features: an encoder's folder or a file of features.

    Parameters
    ----------
    name : str
        As in the settings.
    path : Path
    is_file : bool
    """

    name: str
    path: Path
    is_file: bool

    @property
    def label(self) -> str:
        """Short name for tables and figures."""
        return self.path.stem if self.is_file else self.path.name

    def content(self) -> dict[str, Any]:
        """Return its hash and a short description.

        Raises
        ------
        InputError
            If it holds no model.
        """
        if self.is_file:
            return {"kind": "features", "sha256": file_hash(self.path)}
        from weakstrong.molecules.encoder_folder import WEIGHTS, read_config, read_entries

        shape = read_config(self.path)
        weights = self.path / WEIGHTS
        if not weights.is_file():
            raise InputError(f"{weights}: is not there; name a model made by pretrain or convert")
        converted: Any = read_entries(self.path).get("converted_from")
        is_checkpoint = isinstance(converted, dict) and "sha256" in converted
        return {
            "kind": "converted checkpoint" if is_checkpoint else "encoder",
            "layers": shape.layers,
            "hidden": shape.hidden,
            "heads": shape.heads,
            "sha256": file_hash(weights),
            **({"checkpoint_sha256": converted["sha256"]} if is_checkpoint else {}),
        }


def representation(name: str, config: MoleculeSettings, places: Places) -> Representation:
    """Return the representation that a name in the settings stands for.

    Raises
    ------
    InputError
        If there is none.
    """
    text = name.replace("{dataset}", config.dataset)
    data = data_folder(places.data)
    candidates = [folder / text for folder in _model_folders(places)] if Path(text).name == text else []
    candidates += [Path(text), *([] if data is None else [data / text])]
    for path in candidates:
        if path.exists():
            return Representation(name, path, path.is_file())
    raise InputError(
        f"{text}: no such model or file of features (looked for {', '.join(map(str, candidates))}); name the "
        "folder of models, or that of the data"
    )


def _model_folders(places: Places) -> list[Path]:
    """Return the folders in which to look for a model by its name."""
    if places.models is None:
        return [Path(MODELS), Path(__file__).parents[3] / MODELS]
    if not places.models.is_dir():
        raise InputError(f"{places.models}: no such folder of models")
    return [places.models]


def contents(config: MoleculeSettings, places: Places) -> dict[str, Any]:
    """Describe everything that the inputs of a run depend on, files by their content.

    Raises
    ------
    InputError
        If a model, a feature file or the set is missing or not what it should be.
    """
    import torch

    molecules = load_chembench(config.dataset, places.data)
    for split, roles in molecules.splits.items():
        label_counts(config, int((roles == "train").sum()), str(split))
    representations = {name: representation(name, config, places) for name in (config.strong, *config.weak)}
    for source in (s for s in representations.values() if s.is_file):
        _read(source, config, len(molecules.y))
    return {
        "device": "cuda" if torch.cuda.is_available() else "cpu",
        "code": code_hash(__name__),
        "versions": {name: version(name) for name in _LIBRARIES},
        "data": {name: sha for name, sha in SHA256.items() if name.startswith(f"{config.dataset}.")},
        "strong": representations[config.strong].content(),
        "weak": {name: representations[name].content() for name in config.weak},
    }


@dataclass(frozen=True)
class MoleculeFeatures(Source):
    """The features of a set, in one file.

    Parameters
    ----------
    settings : MoleculeSettings
    places : Places
    content : mapping
        From `contents`.
    """

    settings: MoleculeSettings
    places: Places
    content: Mapping[str, Any]

    kind = "inputs"
    module = __name__

    @property
    def file_name(self) -> str:
        """Name of the file, a hash of everything that the features depend on."""
        return f"{fingerprint(self.settings.of_inputs(), self.content)[:16]}.npz"

    @classmethod
    def make(cls, missing: Sequence[MoleculeFeatures], folder: Path, pool: Workers, meter: Meter) -> None:
        """Embed the molecules of each missing set."""
        for features in missing:
            prepare(features.settings, features.places, meter).save(folder / features.file_name)


def prepare(config: MoleculeSettings, places: Places, meter: Meter | None = None) -> MoleculeInputs:
    """Load the set and embed its molecules with every representation.

    Raises
    ------
    InputError
        If something is missing, or features have not a row for each molecule.
    """
    from weakstrong.molecules.smiles_encoder import usable_smiles

    molecules = load_chembench(config.dataset, places.data)
    smiles = usable_smiles(molecules.smiles)
    representations = [representation(name, config, places) for name in (config.strong, *config.weak)]
    features = {r.name: _features(r, config, smiles, meter) for r in representations}
    students = representations[1:] if config.swap_roles else representations[:1]
    untrained = {r.name: _embed_untrained(r, config, smiles, meter) for r in students if not r.is_file}
    return MoleculeInputs(
        molecules.y.to_numpy(),
        molecules.splits.to_numpy(dtype=np.str_),
        tuple(map(str, molecules.splits.columns)),
        clusters(smiles, meter),
        features,
        untrained,
        np.array(smiles),
    )


def clusters(smiles: Sequence[str], meter: Meter | None = None) -> NDArray[np.uint64]:
    """Return a number for each molecule's connectivity; each molecule without an InChI gets its own."""
    from weakstrong.molecules.leakage import LEVELS, identities_of

    keys = identities_of(smiles, meter, "connectivities")[:, LEVELS.index("inchikey14")]
    return np.where(keys == 0, np.arange(len(keys), dtype=np.uint64) + np.uint64(1), keys)


def _features(
    source: Representation, config: MoleculeSettings, smiles: list[str], meter: Meter | None
) -> NDArray[Any]:
    return _read(source, config, len(smiles)) if source.is_file else _embed(source, config, smiles, meter)


def _read(source: Representation, config: MoleculeSettings, rows: int) -> NDArray[Any]:
    """Read features from a file whose rows are in the order of the set."""
    features = read_features(source.path)
    if features.ids is not None:
        raise InputError(
            f"{source.path}: has ids, and {config.dataset} has none to join them by; give features alone, a "
            "row a molecule in the order of its file"
        )
    if len(features.values) != rows:
        raise InputError(
            f"{source.path}: {len(features.values)} rows, but {config.dataset} has {rows} molecules; give a "
            "row for each, in the order of its file"
        )
    return np.asarray(features.values)


def _embed_untrained(
    source: Representation, config: MoleculeSettings, smiles: list[str], meter: Meter | None
) -> NDArray[Any]:
    draws = [_embed(source, config, smiles, meter, draw) for draw in range(config.untrained)]
    return np.stack(draws) if draws else np.empty((0, len(smiles), 0))


def _embed(
    source: Representation,
    config: MoleculeSettings,
    smiles: list[str],
    meter: Meter | None,
    draw: int | None = None,
) -> NDArray[Any]:
    """Compute features with an encoder, or with a random initialisation of its architecture."""
    from weakstrong.molecules.smiles_encoder import SmilesEncoder

    encoder_name = source.label if draw is None else f"{source.label}, untrained {draw + 1}"
    label = f"embedding {config.dataset} with {encoder_name}"
    encoder = SmilesEncoder(source.path, config.pooling, random_init=draw is not None, seed=draw)
    row_meter = None if meter is None else lambda total, _: meter(total, label)
    return encoder.features(smiles, meter=row_meter)
