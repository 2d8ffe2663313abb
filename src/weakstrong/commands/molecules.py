"""The commands `pretrain`, `convert`, `embed` and `leakage`, for representations of molecules."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import Literal

from weakstrong.commands.options import Count, Switch, refuse_inputs, require, say
from weakstrong.errors import InputError


def pretrain(
    *,
    corpus: str,
    hidden: Count,
    layers: Count,
    heads: Count,
    epochs: Count,
    out: Path,
    limit: Count | None = None,
    column: str | None = None,
    drop_invalid: Switch = False,
    max_tokens: Count = 126,
    batch: Count = 64,
    rate: float = 1e-3,
    weight_decay: float = 0.01,
    descriptor_weight: float = 10.0,
    dropout: float = 0.0,
    bf16: Switch = False,
    half: Switch = False,
    seed: Count = 0,
    overwrite: Switch = False,
) -> None:
    """Pretrain a BERT encoder of SMILES on masked symbols and RDKit descriptors, as MolBERT was.

    OUT gets model.safetensors, config.json, losses.csv, README.md (its card) and, last, DONE. A killed
    run resumes when the same command is given again; on a CPU it ends with the same weights. It runs on
    a GPU if there is one, and under torchrun. A checkpoint is written after every twentieth of the steps,
    at least 200 steps apart, and every ten minutes. The cache (WEAKSTRONG_CACHE) takes 0.8 kB per
    molecule, and max_tokens bytes per molecule and epoch. Needs the optional dependencies "molecules".

    Example: weakstrong pretrain --corpus chembl.smi.gz --drop-invalid --hidden 32 --layers 2 --heads 2
    --epochs 2 --out weak

    Example: torchrun --nproc-per-node 2 -m weakstrong pretrain --corpus guacamol --drop-invalid --hidden 768
    --layers 12 --heads 12 --epochs 20 --batch 128 --rate 3e-5 --descriptor-weight 1 --dropout 0.1 --bf16
    --out molbert

    Parameters
    ----------
    corpus
        SMILES: .smi, .txt or .csv, plain or .gz, or .parquet; or guacamol, which is downloaded.
    hidden
        Width of the encoder.
    layers
        Number of layers of the encoder.
    heads
        Number of attention heads.
    epochs
        Passes over the corpus, each with a new random SMILES of every molecule.
    out
        Folder to make.
    limit
        Number of rows to read, from the start of the corpus. [default: all]
    column
        Column of SMILES in a table, if several columns or none have smiles in the name.
    drop_invalid
        Leave out SMILES that are invalid, too long or of elements outside the vocabulary (H, B, C, N, O,
        F, Si, P, S, Cl, Se, Br, I), and count them, instead of refusing them.
    max_tokens
        Longest molecule accepted, in symbols.
    batch
        Molecules per step, over all processes together.
    rate
        Largest learning rate; it rises over a tenth of the steps, then falls to zero.
    weight_decay
        Weight decay of AdamW; biases and LayerNorm have none.
    descriptor_weight
        Weight of the descriptors' loss relative to that of the symbols; MolBERT's is 1.
    dropout
        Share of activations dropped in training; MolBERT's is 0.1.
    bf16
        Compute in bfloat16 where that is safe.
    half
        Store the weights as float16.
    seed
        Seed of initial weights, order of molecules, random SMILES, masks and dropout.
    overwrite
        Replace a finished model in OUT.
    """
    require("molecules", "torch", "transformers", "accelerate", "safetensors", "rdkit", "pooch")
    from weakstrong.molecules.corpora import read_corpus
    from weakstrong.molecules.masked_lm import MaskedLM
    from weakstrong.molecules.pretraining import pretrain as run
    from weakstrong.molecules.smiles_bert import EncoderConfig
    from weakstrong.progress import meter

    encoder = EncoderConfig(hidden, layers, heads, 4 * hidden, dropout)
    settings = MaskedLM(epochs, batch, rate, weight_decay, descriptor_weight, seed, bf16)
    details = run(
        lambda meter: read_corpus(
            corpus, column=column, limit=limit, max_tokens=max_tokens, drop_invalid=drop_invalid, meter=meter
        ),
        encoder, settings, out, max_tokens=max_tokens, half=half, overwrite=overwrite,
        command=_command(), meter=meter,
    )  # fmt: skip
    if details:  # the first of several processes
        losses = details["final_losses"]
        say(f"masked symbols {losses['masked_lm']:.3f}, descriptors {losses['descriptors']:.4f}")
        say(f"written: {out} ({details['steps']} steps, {details['corpus']['molecules']} molecules)")


def _command() -> str:
    """Return the command line that started this process, for the model card."""
    from weakstrong.molecules.torchrun import from_torchrun

    here, all_ = (from_torchrun(name, 1) for name in ("LOCAL_WORLD_SIZE", "WORLD_SIZE"))
    nodes = ["--nnodes", str(all_ // here)] if all_ > here else []
    start = ["torchrun", *nodes, "--nproc-per-node", str(here), "-m"] if "WORLD_SIZE" in os.environ else []
    return shlex.join([*start, "weakstrong", *sys.argv[1:]])


def convert(checkpoint: Path, out: Path, *, heads: Count | None = None, overwrite: Switch = False) -> None:
    """Convert the public MolBERT release's checkpoint to safetensors and JSON.

    Nothing in the file is run: only tensors and plain values are read. Needs the optional
    dependencies "molecules".

    Example: weakstrong convert molbert_100epochs/checkpoints/last.ckpt molbert

    Parameters
    ----------
    checkpoint
        The .ckpt file; hparams.yaml is read from two folders above, if it is there.
    out
        Folder to make, for embed --model.
    heads
        Number of attention heads, if neither the hyper-parameters nor the width (12 for 768) tell it.
    overwrite
        Replace what an earlier conversion made.
    """
    require("molecules", "torch", "transformers", "safetensors", "rdkit")
    from weakstrong.molecules.molbert_checkpoint import convert as run
    from weakstrong.storage import check_output

    check_output(out, overwrite)
    config = run(checkpoint, out, heads=heads, overwrite=overwrite)
    say(f"written: {out} ({config.layers} layers, {config.heads} heads, hidden {config.hidden})")


def embed(
    *,
    model: Path,
    smiles: Path,
    out: Path,
    column: str | None = None,
    pooling: Literal["cls", "mean", "mean+cls"] = "cls",
    bf16: Switch = False,
    random_init: Switch = False,
    seed: Count | None = None,
    drop_invalid: Switch = False,
    overwrite: Switch = False,
) -> None:
    """Compute features of molecules with a pretrained encoder, one row for each molecule of a file.

    Rows are in the order of the file. Computed features are kept in the cache (WEAKSTRONG_CACHE) in blocks
    of 2,048 molecules, from which a killed run resumes. It runs on a GPU if there is one.
    Needs the optional dependencies "molecules".

    Example: weakstrong embed --model models/weak-32 --smiles molecules.csv --out features.npy

    Parameters
    ----------
    model
        Folder that pretrain or convert made.
    smiles
        Molecules: .smi, .txt or .csv, plain or .gz, or .parquet. They have at most 2,046 symbols; those
        longer than any that the model was pretrained on are counted.
    out
        Features to write: .npy, float32.
    column
        Column of SMILES in a table, if several columns or none have smiles in the name.
    pooling
        cls, the pooled state; mean, the mean over a molecule's tokens; or both.
    bf16
        Compute in bfloat16 where that is safe: faster, and features differ in the third digit.
    random_init
        Use random weights of the same shape instead: the untrained control.
    seed
        Seed of the random weights. [default: the one that pretraining started from]
    drop_invalid
        Leave out SMILES that the encoder cannot read, and count them, instead of refusing them; a table
        beside OUT, .rows.csv, then lists the rows that are kept.
    overwrite
        Replace OUT if it is there.
    """
    require("molecules", "torch", "transformers", "safetensors", "rdkit")
    import numpy as np
    import pandas as pd

    from weakstrong.data.tables import write_table
    from weakstrong.molecules.corpora import read_smiles, usable_rows
    from weakstrong.molecules.encoder_folder import read_config
    from weakstrong.molecules.smiles_bert import MAX_LENGTH
    from weakstrong.molecules.smiles_encoder import SmilesEncoder, longer_than_trained
    from weakstrong.progress import meter
    from weakstrong.storage import check_output_file, output_files

    check_output_file(out, overwrite, ".npy")
    table = out.with_suffix(".rows.csv")
    for output in (out, table):
        refuse_inputs(output, smiles)
    if seed is not None and not random_init:
        raise InputError(f"--seed {seed}: is of the random weights, so it needs --random-init")
    with output_files(out, table, overwrite=overwrite) as [features_file, table_file]:
        read_config(model)
        encoder = SmilesEncoder(model, pooling, bf16, random_init, seed).fit([])
        given = read_smiles(smiles, column)
        rows, dropped = usable_rows(given, MAX_LENGTH - 2, drop_invalid=drop_invalid, meter=meter)
        kept = [given.smiles[i] for i in rows]
        features = encoder.features(kept, meter=meter)
        np.save(features_file, features, allow_pickle=False)
        if dropped:
            write_table(pd.DataFrame({"row": rows, "smiles": kept}), table_file)
    if dropped:
        reasons = ", ".join(f"{n} {reason}" for reason, n in dropped.items())
        say(f"left out: {reasons}; {table} says which rows of {smiles} are there")
    longer, longest = longer_than_trained(model, kept)
    if longer:
        say(f"{longer} of {len(kept)} are longer than any the model was pretrained on ({longest} symbols)")
    say(f"written: {out} ({features.shape[0]} x {features.shape[1]})")


def leakage(
    *,
    smiles: Path,
    reference: str,
    out: Path,
    column: str | None = None,
    reference_column: str | None = None,
    drop_invalid: Switch = False,
    overwrite: Switch = False,
) -> None:
    """Report which molecules of a file also occur in a corpus, or in another file.

    They are compared at three levels: exact (the same canonical SMILES), stereo_free (the same apart from
    stereo and isotopes) and inchikey14 (the same connectivity: apart from protonation too).
    Needs the optional dependencies "molecules".

    Example: weakstrong leakage --smiles test.csv --reference chembl.smi.gz --out leakage.csv

    Parameters
    ----------
    smiles
        Molecules to evaluate on: .smi, .txt or .csv, plain or .gz, or .parquet.
    reference
        Molecules that they may occur among: such a file, or guacamol, which is downloaded.
    out
        Table to write, one row per molecule: .csv, .csv.gz or .parquet.
    column
        Column of SMILES, if several columns or none have smiles in the name.
    reference_column
        Column of SMILES in the reference, likewise.
    drop_invalid
        Leave invalid SMILES of both files out, and count them, instead of refusing them.
    overwrite
        Replace OUT if it is there.
    """
    require("molecules", "rdkit", "pooch")
    from weakstrong.data.tables import TABLES, write_table
    from weakstrong.molecules.corpora import read_corpus
    from weakstrong.molecules.leakage import LEVELS
    from weakstrong.molecules.leakage import leakage as report
    from weakstrong.progress import meter
    from weakstrong.storage import check_output_file, output_files

    check_output_file(out, overwrite, *TABLES)
    refuse_inputs(out, smiles, Path(reference))
    with output_files(out, overwrite=overwrite) as [file]:
        molecules, corpus = (
            read_corpus(source, column=column_of, max_tokens=0, drop_invalid=drop_invalid, meter=meter)
            for source, column_of in ((str(smiles), column), (reference, reference_column))
        )
        table = report(molecules.smiles, corpus.smiles, meter=meter)
        write_table(table, file)
    counts = ", ".join(f"{level} {int(table[level].sum())}" for level in LEVELS)
    for read in (molecules, corpus):
        for reason, n in read.dropped.items():
            say(f"left out of {read.name}: {n} {reason}")
    say(f"of {len(table)} molecules occur in {corpus.name}: {counts}")
    say(f"written: {out}")
