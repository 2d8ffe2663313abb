"""Pretraining as a whole: from a corpus to a folder with weights, model card and course of losses."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import accelerate
import torch
import transformers
from rdkit import rdBase

from weakstrong.data.row_cache import Meter
from weakstrong.errors import InputError
from weakstrong.identity import code_hash, fingerprint, provenance
from weakstrong.molecules.corpora import Corpus
from weakstrong.molecules.encoder_folder import CONFIG, save_model
from weakstrong.molecules.masked_lm import Diverged, MaskedLM, Trained, last_checkpoint, train
from weakstrong.molecules.model_card import LAST, model_card
from weakstrong.molecules.pretraining_corpus import PretrainingCorpus
from weakstrong.molecules.smiles_bert import MAX_LENGTH, EncoderConfig
from weakstrong.molecules.torchrun import from_torchrun
from weakstrong.storage import check_output, locked, output_folder, staging_folder
from weakstrong.whole_files import fault_of, write_atomically

LOSSES = "losses.csv"
_CHECKPOINTS = ".checkpoints"


def pretrain(
    read: Callable[[Meter | None], Corpus],
    encoder: EncoderConfig,
    settings: MaskedLM,
    out: Path,
    *,
    max_tokens: int = 126,
    half: bool = False,
    overwrite: bool = False,
    command: str = "",
    meter: Meter | None = None,
) -> dict[str, Any]:
    """Train an encoder on a corpus and write it to a folder.

    Under ``torchrun`` each process takes a part of every batch, and the first one writes.

    Parameters
    ----------
    read : callable
        Function that takes a meter and returns the corpus.
    encoder : EncoderConfig
    settings : MaskedLM
    out : Path
        Folder that gets model.safetensors, config.json, losses.csv, README.md (the card) and, last, DONE.
    max_tokens : int
        The limit with which the corpus was read.
    half : bool
        Store weights as float16.
    overwrite : bool
        Replace a finished model in `out`.
    command : str
        Command line of the run, for the card.
    meter : callable, optional

    Returns
    -------
    dict
        The entry of config.json about the training.

    Raises
    ------
    InputError
        If `out` cannot be written, or settings and corpus do not fit.
    """
    versions = {**provenance(), **_versions()}  # first, as the files of the code may change while it runs
    first = from_torchrun("RANK", 0) == 0
    out = Path(os.path.realpath(out))
    if not 1 <= max_tokens <= MAX_LENGTH - 2:
        raise InputError(f"max_tokens = {max_tokens}: must be from 1 to {MAX_LENGTH - 2}")
    processes = from_torchrun("WORLD_SIZE", 1)
    if settings.batch % processes:
        raise InputError(f"batch = {settings.batch}: must be a multiple of the {processes} processes")
    with ExitStack() as stack:
        if first:
            check_output(out, overwrite)
            stack.enter_context(locked(out))
        meter = meter if first else None
        corpus, prepared = _prepare(read, settings, max_tokens, meter)
        hardware = (processes, "cuda" if torch.cuda.is_available() else "cpu")
        key = fingerprint(
            code_hash(MaskedLM.__module__), asdict(encoder), asdict(settings), max_tokens, corpus.smiles,
            hardware, _versions(),
        )  # fmt: skip
        if not first:
            _train(prepared, encoder, settings, staging_folder(out, key))
            return {}
        folder = stack.enter_context(output_folder(out, key, overwrite=overwrite, held=True))
        if not fault_of(folder):  # all was done but the move
            return json.loads((folder / CONFIG).read_text(encoding="utf-8"))["pretraining"]
        on_log = partial(_write_losses, folder)
        trained = _train(prepared, encoder, settings, folder, meter=meter, on_log=on_log)
        details = _details(corpus, settings, trained, versions)
        details |= {"command": command, "max_tokens": max_tokens}
        quantiles = torch.from_numpy(prepared.quantiles)
        save_model(folder, trained.model, quantiles, {"pretraining": details}, half=half)
        _write_losses(folder, trained.losses)
        write_atomically(folder / "README.md", model_card(out.name, asdict(encoder), details).encode())
    return details


def _prepare(
    read: Callable[[Meter | None], Corpus], settings: MaskedLM, max_tokens: int, meter: Meter | None
) -> tuple[Corpus, PretrainingCorpus]:
    """Read a corpus and compute what training needs of it, which the cache keeps."""
    with _one_after_the_first():
        corpus = read(meter)
        if len(corpus.smiles) < settings.batch:
            raise InputError(
                f"{corpus.name}: its {len(corpus.smiles)} molecules are fewer than one batch of "
                f"{settings.batch}; give more, or a smaller batch",
                "batch",
            )
        prepared = PretrainingCorpus.of(corpus.smiles, settings.seed, max_tokens, meter=meter)
        for epoch in range(settings.epochs):
            prepared.tokens(epoch, meter=meter)
    return corpus, prepared


def _train(
    prepared: PretrainingCorpus,
    encoder: EncoderConfig,
    settings: MaskedLM,
    folder: Path,
    *,
    meter: Meter | None = None,
    on_log: Callable[[list[dict[str, Any]]], None] = lambda log: None,
) -> Trained:
    with _steps(meter, prepared, settings, folder) as advance, _removed_if_diverged(folder):
        return train(prepared, encoder, settings, folder / _CHECKPOINTS, on_steps=advance, on_log=on_log)


def _one_after_the_first() -> AbstractContextManager[Any]:
    """Let the first process under torchrun prepare the corpus, which the others then read from the cache."""
    if "RANK" not in os.environ:
        return nullcontext()
    from datetime import timedelta

    return accelerate.PartialState(
        cpu=not torch.cuda.is_available(), timeout=timedelta(days=1)
    ).main_process_first()


@contextmanager
def _removed_if_diverged(folder: Path) -> Iterator[None]:
    try:
        yield
    except Diverged:
        _remove(folder)
        raise


def _steps(
    meter: Meter | None, prepared: PretrainingCorpus, settings: MaskedLM, folder: Path
) -> AbstractContextManager[Any]:
    if meter is None:
        return nullcontext(lambda more: None)
    steps = len(prepared.smiles) // settings.batch * settings.epochs
    resumed = last_checkpoint(folder / _CHECKPOINTS)
    note = f" (on from step {resumed.rpartition('-')[2]})" if resumed else ""
    return meter(steps, f"training steps{note}")


def _write_losses(folder: Path, log: list[dict[str, Any]]) -> None:
    names = ("step", "masked_lm", "descriptors", "learning_rate", "grad_norm", "seconds")
    table = io.StringIO()
    writer = csv.DictWriter(table, names, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(entry for entry in log if "masked_lm" in entry)
    write_atomically(folder / LOSSES, table.getvalue().encode())


def _details(
    corpus: Corpus, settings: MaskedLM, trained: Trained, versions: dict[str, Any]
) -> dict[str, Any]:
    tail = trained.losses[-LAST:]
    means = {name: sum(e[name] for e in tail) / len(tail) for name in ("masked_lm", "descriptors")}
    return {
        "corpus": {
            "name": corpus.name,
            "sha256": corpus.sha256,
            "molecules": len(corpus.smiles),
            "dropped": corpus.dropped,
        },
        "settings": asdict(settings),
        "steps": trained.steps,
        "final_losses": means,
        "seconds": round(trained.losses[-1]["seconds"], 1),
        "device": _device(trained.device, str(versions["machine"])),
        "processes": from_torchrun("WORLD_SIZE", 1),
        "versions": versions,
    }


def _device(device: str, machine: str) -> str:
    if torch.device(device).type == "cpu":
        return machine
    return f"{torch.cuda.get_device_name(device)} ({machine})"


def _versions() -> dict[str, str]:
    return {
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "accelerate": accelerate.__version__,
        "rdkit": rdBase.rdkitVersion,
    }


def _remove(folder: Path) -> None:
    import shutil

    shutil.rmtree(folder, ignore_errors=True)
