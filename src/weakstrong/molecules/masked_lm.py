"""Pretraining of an encoder of SMILES on masked symbols and descriptors, with the Trainer of transformers."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from torch.utils.data import Dataset
from transformers import Trainer, TrainerCallback, TrainingArguments

from weakstrong.errors import InputError
from weakstrong.molecules.pretraining_corpus import PretrainingCorpus, epoch_batches, mask_symbols
from weakstrong.molecules.smiles_bert import EncoderConfig, PretrainingModel, random_model
from weakstrong.molecules.torchrun import from_torchrun
from weakstrong.whole_files import fault_of, write_list

_LOSSES = ("masked_lm", "descriptors")
_LOGS, _CHECKPOINTS, _BETWEEN_CHECKPOINTS = 200, 20, 200  # steps
_SECONDS_UNSAVED = 600.0  # after this time, a checkpoint follows at the next entry of the log


class Diverged(InputError):
    """Raised when the loss is no longer finite; resuming from a checkpoint would end the same way."""


@dataclass(frozen=True)
class MaskedLM:
    """Settings of the pretraining of an encoder of SMILES.

    Parameters
    ----------
    epochs : int
    batch : int
        Molecules per step, over all processes together.
    rate : float
        Largest learning rate of AdamW; it rises over the first tenth of the steps and falls to zero.
    weight_decay : float
        Weight decay of AdamW; biases and LayerNorm have none.
    descriptor_weight : float
        Weight of the descriptors' squared error relative to the symbols' cross entropy. MolBERT's is 1.
    seed : int
        Seed of initial weights, order of molecules, random forms, masks and dropout.
    bf16 : bool
        Compute in bfloat16 where that is safe (autocast); weights and their updates stay float32.
    """

    epochs: int
    batch: int = 64
    rate: float = 1e-3
    weight_decay: float = 0.01
    descriptor_weight: float = 10.0
    seed: int = 0
    bf16: bool = False

    def __post_init__(self) -> None:
        for name in ("epochs", "batch"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} = {getattr(self, name)}: must be at least 1")
        if not 0 <= self.seed < 2**32:
            raise InputError(f"seed = {self.seed}: must be from 0 to 2**32 - 1")
        if not 0 < self.rate < np.inf:
            raise InputError(f"rate = {self.rate}: must be positive")
        for name in ("weight_decay", "descriptor_weight"):
            if not 0 <= getattr(self, name) < np.inf:
                raise InputError(f"{name} = {getattr(self, name)}: must not be negative")


class Batches(Dataset):
    """The steps of training as a dataset, in which each process's part of a step is one item.

    Item i is part ``i % parts`` of step ``i // parts``. It is determined by the seed and its number alone.
    """

    def __init__(self, corpus: PretrainingCorpus, settings: MaskedLM, parts: int) -> None:
        self.corpus, self.settings, self.parts = corpus, settings, parts
        self.steps_per_epoch = len(corpus.smiles) // settings.batch
        self._epoch = -1

    def __len__(self) -> int:
        return self.steps_per_epoch * self.settings.epochs * self.parts

    def __getitem__(self, item: int) -> dict[str, torch.Tensor]:
        step, part = divmod(item, self.parts)
        epoch, number = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            seed, batch = self.settings.seed, self.settings.batch
            self._tokens = self.corpus.tokens(epoch)
            self._batches = epoch_batches(self._tokens.lengths, batch, seed, epoch)
            self._epoch = epoch
        rows = self._batches[number]
        ids = self._tokens.padded(rows)
        masked = mask_symbols(ids, np.random.default_rng([self.settings.seed, epoch, number]))
        targets = self.corpus.targets[rows].astype(np.float32)
        terms = np.array([len(masked.places), np.count_nonzero(~np.isnan(targets))])
        mine = np.arange(len(rows)) % self.parts == part
        of_mine = mine[masked.places // ids.shape[1]]
        place_of = np.cumsum(mine) - 1  # rows of this part, one after the other
        places = masked.places[of_mine]
        places = place_of[places // ids.shape[1]] * ids.shape[1] + places % ids.shape[1]
        arrays = {
            "ids": masked.ids[mine],
            "mask": ids[mine] != 0,
            "masked": places,
            "symbols": masked.symbols[of_mine],
            "descriptors": targets[mine],
            "scale": (self.parts / np.maximum(terms, 1)).astype(np.float32),
        }
        return {name: torch.from_numpy(array) for name, array in arrays.items()}


class _Trainer(Trainer):
    """A Trainer that logs both losses separately."""

    descriptor_weight = 1.0
    _sums: torch.Tensor | None = None
    _count = 0
    _saved: float | None = None  # seconds of training at the last checkpoint

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._since = time.monotonic()

    def compute_loss(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> torch.Tensor:
        losses = model(**inputs)
        loss = losses["masked_lm"] + self.descriptor_weight * losses["descriptors"]
        parts = torch.stack([losses[name].detach() for name in _LOSSES])
        self._sums = parts if self._sums is None else self._sums + parts
        self._count += 1
        return loss

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        past = self.state.log_history[-1]["seconds"] if self.state.log_history else 0.0
        now = time.monotonic()
        spent = torch.tensor([now - self._since], device=self.args.device)
        # Seconds of training, without what an interruption lost; the first process's, so that all act alike.
        seconds = logs["seconds"] = past + self.accelerator.gather(spent)[0].item()
        self._since = now
        self._saved = past if self._saved is None else self._saved
        if self._sums is not None:
            mean = self.accelerator.gather(self._sums[None]).mean(dim=0) / self._count
            if not torch.isfinite(mean).all():
                step = self.state.global_step
                raise Diverged(f"the loss is no number any more at step {step}; give a smaller rate", "rate")
            logs.update(zip(_LOSSES, mean.tolist(), strict=True))
            self._sums, self._count = None, 0
        super().log(logs, *args, **kwargs)
        if self.control.should_save or seconds - self._saved > _SECONDS_UNSAVED:
            self.control.should_save, self._saved = True, seconds

    def _save_checkpoint(self, *args: Any, **kwargs: Any) -> None:
        """Save a checkpoint, and list its files when every process has written its own."""
        super()._save_checkpoint(*args, **kwargs)
        self.accelerator.wait_for_everyone()
        if self.is_world_process_zero():
            write_list(Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}")


class _Progress(TrainerCallback):
    """Reports how far training has come, and passes on the log after each entry."""

    def __init__(self, steps: Callable[[int], None], losses: Callable[[list[dict[str, Any]]], None]) -> None:
        self._steps, self._losses, self._shown = steps, losses, 0

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._steps(state.global_step - self._shown)
        self._shown = state.global_step

    def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._losses(state.log_history)


@dataclass(frozen=True)
class Trained:
    """A trained model, with the course of its losses.

    Parameters
    ----------
    model : PretrainingModel
    steps : int
    losses : list of dict
        For every entry of the log: step, losses, learning rate, gradient norm, seconds of training.
    device : str
    """

    model: PretrainingModel
    steps: int
    losses: list[dict[str, Any]]
    device: str


def train(
    corpus: PretrainingCorpus,
    encoder: EncoderConfig,
    settings: MaskedLM,
    checkpoints: Path,
    *,
    on_steps: Callable[[int], None] = lambda more: None,
    on_log: Callable[[list[dict[str, Any]]], None] = lambda log: None,
) -> Trained:
    """Train an encoder, from the last whole checkpoint in the folder if there is one.

    Minimises the mean cross entropy of masked symbols plus, weighted, the mean squared error of the
    normalised descriptors. On a CPU, an interrupted run ends with the same weights as an uninterrupted one.

    Parameters
    ----------
    corpus : PretrainingCorpus
    encoder : EncoderConfig
    settings : MaskedLM
    checkpoints : Path
    on_steps : callable
        Called with the number of further steps done.
    on_log : callable
        Called with the whole log at each new entry.

    Raises
    ------
    InputError
        If there are fewer molecules than one batch, a batch is not a multiple of the number of processes,
        the loss is no longer finite, memory does not suffice, or a checkpoint cannot be written.
    """
    parts = from_torchrun("WORLD_SIZE", 1)
    if settings.batch % parts or len(corpus.smiles) < settings.batch:
        raise InputError(
            f"batch = {settings.batch}: must be a multiple of the {parts} processes, and at most the "
            f"{len(corpus.smiles)} molecules"
        )
    batches = Batches(corpus, settings, parts)
    steps = len(batches) // parts
    model = random_model(encoder, settings.seed)
    on_cpu = not torch.cuda.is_available()
    if on_cpu:  # for sequences this short a CPU's fused attention is half as fast as plain products
        model.encoder.bert.set_attn_implementation("eager")
    arguments = _arguments(settings, steps, checkpoints)
    arguments._n_gpu = min(arguments.n_gpu, 1)  # several GPUs only under torchrun: a part per process
    trainer = _Trainer(
        model=model,
        args=arguments,
        train_dataset=batches,
        data_collator=_only,
        callbacks=[_Progress(on_steps, on_log)],
    )
    trainer.descriptor_weight = settings.descriptor_weight
    trainer.remove_callback(_printer())
    try:
        trainer.train(resume_from_checkpoint=last_checkpoint(checkpoints))
    except (MemoryError, RuntimeError, SafetensorError) as error:
        known = _fault(error, settings, checkpoints)
        if known is None:
            raise
        raise known from error
    losses = [_entry(entry) for entry in trainer.state.log_history if "loss" in entry]
    model = trainer.accelerator.unwrap_model(trainer.model)
    return Trained(model.cpu().eval(), steps, losses, str(trainer.args.device))


def _fault(error: Exception, settings: MaskedLM, checkpoints: Path) -> InputError | None:
    """Turn an error of torch or safetensors that a user can mend into an InputError, any other into None."""
    text = " ".join(str(error).split())
    if isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in text:
        return InputError(f"not memory enough for batches of {settings.batch}; give a smaller batch", "batch")
    if isinstance(error, SafetensorError) or "PytorchStreamWriter" in text or "inline_container" in text:
        return InputError(
            f"{checkpoints}: cannot be written (a full disk?); make room and run it again to go on"
        )
    return None


def last_checkpoint(folder: Path) -> str | None:
    """Return the latest checkpoint that is whole and as it was written, or None."""
    checkpoints = sorted(Path(folder).glob("checkpoint-*"), key=lambda p: int(p.name.rpartition("-")[2]))
    return next((str(path) for path in reversed(checkpoints) if not fault_of(path)), None)


def _only(items: list[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """Return the only item of a list; it is a whole batch already."""
    (item,) = items
    return item


def _entry(entry: dict[str, Any]) -> dict[str, Any]:
    return {
        name: entry.get(name) for name in ("step", "loss", *_LOSSES, "learning_rate", "grad_norm", "seconds")
    }


def _arguments(settings: MaskedLM, steps: int, checkpoints: Path) -> TrainingArguments:
    log = max(1, steps // _LOGS)
    between = max(steps // _CHECKPOINTS, _BETWEEN_CHECKPOINTS)
    return TrainingArguments(
        output_dir=str(checkpoints),
        max_steps=steps,
        per_device_train_batch_size=1,  # an item is a batch already
        train_sampling_strategy="sequential",
        learning_rate=settings.rate,
        lr_scheduler_type="linear",
        warmup_steps=max(1, steps // 10),
        weight_decay=settings.weight_decay,
        bf16=settings.bf16,
        seed=settings.seed,
        logging_steps=log,
        save_steps=-(-between // log) * log,  # a multiple, so that log and weights resume at the same step
        save_total_limit=2,
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_pin_memory=False,
        use_cpu=not torch.cuda.is_available(),
        ddp_find_unused_parameters=False,
        ddp_timeout=24 * 3600,  # one process prepares the corpus while the others wait
    )


def _printer() -> type[TrainerCallback]:
    from transformers.trainer_callback import PrinterCallback

    return PrinterCallback
