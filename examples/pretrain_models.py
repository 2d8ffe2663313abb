"""Pretrain the encoders of ``models/``, probe them, and write their cards.

Run ``python examples/pretrain_models.py --corpus chembl.smi.gz --data DIR``: it pretrains what is missing
(each resumes where it stopped), then probes every model, its random initialisation, ECFP counts and RDKit's
descriptors on ESOL, FreeSolv and Lipop, and writes ``probes.json``, ``README.md`` and each model's card
there, and the table of ``docs/molecules.md``. ``--report`` writes all but the first from what is there. About
two and a half hours on two cores, three quarters of it for the strong model.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from shared import ROOT, add_data, parser, write_pages
from weakstrong.molecules.chembench import SETS, MoleculeSet, load_chembench
from weakstrong.molecules.corpora import read_corpus
from weakstrong.molecules.encoder_folder import read_config
from weakstrong.molecules.leakage import identities
from weakstrong.molecules.masked_lm import MaskedLM
from weakstrong.molecules.model_card import model_card
from weakstrong.molecules.pretraining import pretrain
from weakstrong.molecules.probe import Probe, difference, probe
from weakstrong.molecules.smiles_bert import EncoderConfig
from weakstrong.molecules.smiles_encoder import SmilesEncoder
from weakstrong.molecules.smiles_transformer import ECFPCounts, RDKitDescriptors
from weakstrong.progress import meter
from weakstrong.serialization import to_json
from weakstrong.whole_files import DONE

MODELS = ROOT / "models"
CORPUS = "chembl.smi.gz"  # as cards name it
WEAK_SIZES = (8, 12, 16, 24, 32, 48, 64, 96)
POOLINGS = ("cls", "mean+cls")


@dataclass(frozen=True)
class Recipe:
    """Settings that a model is pretrained with."""

    hidden: int
    layers: int
    heads: int
    epochs: int
    limit: int
    rate: float = 1e-3

    def command(self, name: str) -> str:
        """Return the command that pretrains it."""
        options = {
            "corpus": CORPUS, "limit": self.limit, "hidden": self.hidden, "layers": self.layers,
            "heads": self.heads, "epochs": self.epochs, "rate": f"{self.rate:g}", "out": f"models/{name}",
        }  # fmt: skip
        words = [w for key, value in options.items() for w in (f"--{key}", str(value))]
        return shlex.join(["weakstrong", "pretrain", *words, "--drop-invalid", "--bf16", "--half"])


RECIPES = {f"weak-{size}": Recipe(size, 2, 2, 2, 203_000) for size in WEAK_SIZES} | {
    "strong": Recipe(256, 4, 4, 3, 300_000, rate=7e-4)
}


def pretrain_missing(name: str, corpus: str) -> None:
    """Pretrain a model unless it is there."""
    recipe = RECIPES[name]
    if (MODELS / name / DONE).exists():
        return
    print(f"{name}: {recipe.command(name)}", flush=True)
    pretrain(
        lambda corpus_meter: read_corpus(corpus, limit=recipe.limit, drop_invalid=True, meter=corpus_meter),
        EncoderConfig(recipe.hidden, recipe.layers, recipe.heads, 4 * recipe.hidden),
        MaskedLM(recipe.epochs, rate=recipe.rate, bf16=True),
        MODELS / name, half=True, command=recipe.command(name), meter=meter,
    )  # fmt: skip


def features_of(molecules: MoleculeSet) -> dict[str, dict[str, np.ndarray]]:
    """Compute features by every model, its untrained copies, and the two descriptors without a model."""
    smiles = molecules.smiles.tolist()
    arrays = {}
    for name in RECIPES:
        controls: dict[str, dict[str, Any]] = {name: {}, f"{name}, untrained": {"random_init": True}}
        if name == "strong":  # the first is what its training started from; others show what is chance
            controls |= {f"{name}, untrained, seed {s}": {"random_init": True, "seed": s} for s in (1, 2)}
        for kind, options in controls.items():
            arrays[kind] = {p: SmilesEncoder(MODELS / name, p, **options).transform(smiles) for p in POOLINGS}
    rdkit_descriptors = RDKitDescriptors().transform(smiles)
    finite = np.isfinite(rdkit_descriptors).all(axis=0)
    arrays["RDKit descriptors"] = {f"{int(finite.sum())} of 200": rdkit_descriptors[:, finite]}
    arrays["ECFP counts"] = {"radius 2, 2048": ECFPCounts().transform(smiles)}
    return arrays


def probes(data: Path | None) -> dict[str, Any]:
    """Compute test RMSE of every representation by set, and the strong model's differences."""
    record: dict[str, Any] = {}
    for name in SETS:
        molecules = load_chembench(name, data)
        clusters = identities(molecules.smiles.tolist())[:, 2]
        chosen: dict[str, Probe] = {}
        record[name] = {}
        for kind, features in features_of(molecules).items():
            chosen[kind] = probe(features, molecules)
            single = {p: probe({p: x}, molecules).rmse for p, x in features.items() if p in POOLINGS}
            record[name][kind] = {"rmse": chosen[kind].rmse, **single, "choices": chosen[kind].choices}
        for kind, other in chosen.items():
            if kind != "strong":
                gap = difference(chosen["strong"], other, clusters)
                record[name][kind]["strong_minus_this"] = gap.to_dict()
        print(name, {kind: round(p.rmse, 3) for kind, p in chosen.items()}, flush=True)
    return record


def rows(record: Mapping[str, Any]) -> list[str]:
    """Return a table of test RMSE, with the strong model's differences."""
    lines = [
        "| features | " + " | ".join(SETS) + " | strong minus this, " + ", ".join(SETS) + " |",
        "|---|" + "---:|" * len(SETS) + "---|",
    ]
    for kind in record[SETS[0]]:
        values = [f"{record[s][kind]['rmse']:.2f}" for s in SETS]
        gaps = [record[s][kind].get("strong_minus_this") for s in SETS]
        gap_texts = ", ".join(f"{g['value']:+.2f} [{g['low']:+.2f}, {g['high']:+.2f}]" for g in gaps if g)
        lines.append(f"| {kind} | " + " | ".join(values) + f" | {gap_texts} |")
    return lines


def probe_section(name: str, record: Mapping[str, Any]) -> str:
    """Return a card's section on the probes."""
    lines = [
        "| test RMSE | chosen | cls | mean+cls | untrained |",
        "|---|---:|---:|---:|---:|",
    ]
    for dataset in SETS:
        probed, untrained = record[dataset][name], record[dataset][f"{name}, untrained"]
        lines.append(
            f"| {dataset} | {probed['rmse']:.3f} | {probed['cls']:.3f} | {probed['mean+cls']:.3f} "
            f"| {untrained['rmse']:.3f} |"
        )
    return (
        "\n## Probes\n\nRidge on frozen features, strength and, in the first column, pooling chosen by "
        "leave-one-out error on train and valid rows; mean over the splits 122, 123, 124.\n\n"
        + "\n".join(lines)
        + "\n"
    )


def page_tables(record: Mapping[str, Any]) -> dict[str, dict[str, list[str]]]:
    """Return the block of the page on molecules."""
    shown = (
        "strong",
        "strong, untrained",
        "weak-96",
        "weak-32",
        "weak-8",
        "RDKit descriptors",
        "ECFP counts",
    )
    chosen = {s: {kind: record[s][kind] for kind in shown} for s in SETS}
    return {"docs/molecules.md": {"models": rows(chosen)}}


def card(name: str, record: Mapping[str, Any]) -> str:
    """Return a model's card with its probes."""
    details = json.loads((MODELS / name / "config.json").read_text(encoding="utf-8"))["pretraining"]
    return model_card(name, vars(read_config(MODELS / name)), details) + probe_section(name, record)


def overview(record: Mapping[str, Any]) -> str:
    """Return the README of models/."""
    return (
        "# Models\n\nEncoders of SMILES, pretrained by `python examples/pretrain_models.py`: `weak-8` to "
        "`weak-96` (2 layers, the number is the width) and `strong`. Weights are float16 safetensors; each "
        "folder's README is its card. The weak ones were trained two at a time, a thread each.\n\n"
        "The corpus is 837,711 molecules of ChEMBL, ordered by the MD5 of their SMILES and made without "
        "those of the three sets: `weakstrong leakage` finds none of their 1,128, 642 and 4,200 in it, at "
        "any of its levels. It is not in this repository; another (`guacamol`) makes other weights.\n\n"
        "Test RMSE of ridge probes on frozen features, mean over the splits 122, 123, 124; pooling (cls or "
        "mean+cls) and strength chosen on train and valid rows. Differences have 95% intervals from a paired "
        "bootstrap over molecules (stereo twins together): below zero the strong model is better.\n\n"
        + "\n".join(rows(record)) + "\n"
    )  # fmt: skip


def report(record: Mapping[str, Any]) -> None:
    """Write the cards and the tables."""
    for name in RECIPES:
        (MODELS / name / "README.md").write_text(card(name, record), encoding="utf-8")
    (MODELS / "README.md").write_text(overview(record), encoding="utf-8")
    write_pages(page_tables(record))


def main() -> None:
    """Parse, pretrain what is missing, and if all are asked for probe them and write the pages."""
    arguments = parser(__doc__)
    add_data(arguments)
    arguments.add_argument("--corpus", default=CORPUS, help="SMILES file [default: %(default)s]")
    arguments.add_argument(
        "--only", nargs="*", default=list(RECIPES), choices=list(RECIPES), help="pretrain these alone"
    )
    options = arguments.parse_args()
    if not options.report:
        for name in options.only:
            pretrain_missing(name, options.corpus)
        if set(options.only) != set(RECIPES):
            return
        (MODELS / "probes.json").write_text(to_json(probes(options.data)), encoding="utf-8")
    report(json.loads((MODELS / "probes.json").read_text(encoding="utf-8")))


if __name__ == "__main__":
    main()
