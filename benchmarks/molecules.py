"""Embedding, pretraining, tokenizing and descriptors of molecules against plain ways, in one run.

``python benchmarks/molecules.py --data DIR`` takes about seven minutes on two cores. DIR holds ``chembench/``
and ``corpus/chembl.smi.gz`` (or name another corpus). The plain ways are what a straightforward script does:
embedding in the order of the file, padded to 128 tokens or to the batch's longest; pretraining from a
dataset that makes each molecule's random SMILES, tokens, mask and descriptors when it is asked for it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from weakstrong.data.row_cache import cached_rows
from weakstrong.molecules.chembench import load_chembench
from weakstrong.molecules.corpora import read_corpus
from weakstrong.molecules.descriptors import descriptors
from weakstrong.molecules.masked_lm import MaskedLM, train
from weakstrong.molecules.pretraining_corpus import PretrainingCorpus, normalised
from weakstrong.molecules.smiles import random_form, standard
from weakstrong.molecules.smiles_bert import EncoderConfig, PretrainingModel, random_model
from weakstrong.molecules.smiles_encoder import encode
from weakstrong.molecules.tokens import CLS, MASK, PAD, SEP, VOCABULARY, tokenize

PADDED, BATCH = 128, 64
STRONG, SMALL = EncoderConfig(256, 4, 4, 1024), EncoderConfig(32, 2, 2, 128)
MOLECULES, ON_THE_FLY, DESCRIBED = 20_000, 1500, 4000
SYMBOLS = re.compile("|".join(re.escape(s) for s in sorted(VOCABULARY[4:], key=len, reverse=True)))
IDS = {symbol: i for i, symbol in enumerate(VOCABULARY)}


def seconds(work: Callable[[], Any], repeats: int = 3) -> float:
    """Return the median time of some repeats, after one that is not counted."""
    work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def regex_ids(form: str) -> list[int]:
    """Return tokens as a plain script would find them."""
    return [CLS, *(IDS[s] for s in SYMBOLS.findall(form)), SEP]


def plain_features(model: PretrainingModel, forms: Sequence[str], width: int) -> np.ndarray:
    """Return mean and pooled features in file order, padded to `width` (0: to the batch's longest)."""
    features = []
    with torch.inference_mode():
        for start in range(0, len(forms), BATCH):
            ids = [regex_ids(form) for form in forms[start : start + BATCH]]
            longest = max(width, *map(len, ids))
            batch = torch.tensor([row + [PAD] * (longest - len(row)) for row in ids])
            mask = batch != PAD
            states, pooled = model.encoder(batch, mask)
            mean = (states * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
            features.append(torch.cat([mean, pooled], 1))
    return torch.cat(features).numpy()


def embedding(forms: Sequence[str]) -> dict[str, float]:
    """Time the embedding of Lipop by a 4 x 256 encoder."""
    model = random_model(STRONG, 0).eval()
    ours, plain = encode(model.encoder, forms), plain_features(model, forms, PADDED)
    low = encode(model.encoder, forms, bf16=True)
    return {
        "molecules": len(forms),
        "ours_seconds": seconds(lambda: encode(model.encoder, forms)),
        "padded_to_128_seconds": seconds(lambda: plain_features(model, forms, PADDED), 1),
        "padded_to_longest_seconds": seconds(lambda: plain_features(model, forms, 0), 1),
        "bf16_seconds": seconds(lambda: encode(model.encoder, forms, bf16=True)),
        "largest_difference": float(np.abs(ours - plain).max()),
        "bf16_relative_error": float(np.linalg.norm(low - ours) / np.linalg.norm(ours)),
    }


class PlainDataset(Dataset):
    """Molecules prepared one by one: random SMILES, tokens, mask, padding and, unless given, descriptors."""

    def __init__(self, smiles: Sequence[str], quantiles: np.ndarray, targets: np.ndarray | None) -> None:
        self.smiles, self.quantiles, self.targets = smiles, quantiles, targets

    def __len__(self) -> int:
        return len(self.smiles)

    def __getitem__(self, i: int) -> dict[str, torch.Tensor]:
        rng = np.random.default_rng(i)
        ids = regex_ids(random_form(self.smiles[i], 0, 0))[:PADDED]
        masked, labels = list(ids), [-100] * len(ids)
        for place in range(1, len(ids) - 1):
            if rng.random() < 0.15:
                labels[place] = ids[place]
                fate = rng.random()
                if fate < 0.9:
                    masked[place] = MASK if fate < 0.8 else int(rng.integers(4, 42))
        if self.targets is None:
            target = normalised(descriptors([self.smiles[i]]), self.quantiles)[0]
        else:
            target = self.targets[i]
        fill = PADDED - len(ids)
        return {
            "ids": torch.tensor(masked + [PAD] * fill),
            "labels": torch.tensor(labels + [-100] * fill),
            "descriptors": torch.from_numpy(target.astype(np.float32)),
        }


def plain_rate(data: PlainDataset, workers: int) -> float:
    """Return the molecules per second of a plain training loop."""
    model = random_model(SMALL, 0).train()
    model.encoder.bert.set_attn_implementation("eager")  # as ours: faster than fused for these
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    start = time.perf_counter()
    for batch in DataLoader(data, batch_size=BATCH, shuffle=True, num_workers=workers):
        places = torch.nonzero(batch["labels"].flatten() >= 0)[:, 0]
        scale = torch.tensor([1 / max(1, len(places)), 1 / batch["descriptors"].numel()])
        losses = model(
            batch["ids"], batch["ids"] != PAD, places, batch["labels"].flatten()[places],
            batch["descriptors"], scale,
        )  # fmt: skip
        (losses["masked_lm"] + losses["descriptors"]).backward()
        optimizer.step()
        optimizer.zero_grad()
    return len(data) / (time.perf_counter() - start)


def pretraining(smiles: list[str], folder: Path) -> dict[str, float]:
    """Time the pretraining of the 2 x 32 model in fp32."""
    start = time.perf_counter()
    corpus = PretrainingCorpus.of(smiles, 0, PADDED - 2)
    described = time.perf_counter() - start
    start = time.perf_counter()
    corpus.tokens(0)
    drawn = time.perf_counter() - start
    settings = MaskedLM(epochs=1, batch=BATCH)
    start = time.perf_counter()
    train(corpus, SMALL, settings, folder / "checkpoints")
    trained = time.perf_counter() - start
    cached = PlainDataset(smiles[:MOLECULES], corpus.quantiles, corpus.targets)
    on_the_fly = PlainDataset(smiles[:ON_THE_FLY], corpus.quantiles, None)
    return {
        "molecules": len(smiles),
        "descriptors_seconds": described,
        "random_smiles_seconds": drawn,
        "ours_a_second": len(smiles) / trained,
        "two_epochs_from_nothing_a_second": 2 * len(smiles) / (described + 2 * drawn + 2 * trained),
        "on_the_fly_a_second": plain_rate(on_the_fly, 0),
        "on_the_fly_two_workers_a_second": plain_rate(on_the_fly, 2),
        "cached_a_second": plain_rate(cached, 0),
        "cached_two_workers_a_second": plain_rate(cached, 2),
    }


def descriptor_seconds(smiles: list[str], workers: int) -> float:
    """Return the seconds that descriptors take from an empty cache."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        cached_rows(descriptors, smiles, cache=Path(folder), workers=workers)
        return time.perf_counter() - start


def run(data: Path, corpus: str, folder: Path) -> dict[str, Any]:
    """Run all benchmarks with an empty cache."""
    os.environ["WEAKSTRONG_CACHE"] = str(folder / "cache")
    smiles = read_corpus(corpus, limit=MOLECULES, drop_invalid=True).smiles
    forms = [standard(s) for s in smiles]
    record: dict[str, Any] = {
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "versions": {n: version(n) for n in ("numpy", "torch", "transformers", "rdkit", "weakstrong")},
    }
    regex = seconds(lambda: [regex_ids(f) for f in forms])
    record["tokenizer"] = {
        "ours_a_second": len(forms) / seconds(lambda: tokenize(forms)),
        "regex_a_second": len(forms) / regex,
    }
    print(record["tokenizer"], flush=True)
    one, two = (descriptor_seconds(smiles[:DESCRIBED], workers) for workers in (1, 2))
    record["descriptors"] = {"molecules": DESCRIBED, "one_core_seconds": one, "two_cores_seconds": two}
    print(record["descriptors"], flush=True)
    record["embedding"] = embedding([standard(s) for s in load_chembench("Lipop", data).smiles])
    print(record["embedding"], flush=True)
    record["pretraining"] = pretraining(smiles, folder)
    print(record["pretraining"], flush=True)
    return record


def table(record: dict[str, Any]) -> list[str]:
    """Return the Markdown lines of docs/benchmarks.md."""
    e, p, t, d = (record[n] for n in ("embedding", "pretraining", "tokenizer", "descriptors"))
    ours, rate = e["ours_seconds"], p["ours_a_second"]
    whole, plain = p["two_epochs_from_nothing_a_second"], p["on_the_fly_two_workers_a_second"]
    return [
        "| what | weakstrong | plain | ratio |",
        "|---|---:|---:|---:|",
        *(
            f"| embedding Lipop, 4 × 256, fp32, against file order padded to {name} | {ours:.1f} s "
            f"| {e[key]:.1f} s | {e[key] / ours:.1f}× |"
            for name, key in (
                ("128", "padded_to_128_seconds"), ("the batch's longest", "padded_to_longest_seconds"),
            )
        ),
        f"| the same in bf16 (relative error {e['bf16_relative_error']:.1%}) against ours in fp32 "
        f"| {e['bf16_seconds']:.1f} s | {ours:.1f} s | {ours / e['bf16_seconds']:.1f}× |",
        *(
            f"| pretraining 2 × 32, from prepared rows, against a molecule at a time, {name} | {rate:,.0f}/s "
            f"| {p[key]:,.0f}/s | {rate / p[key]:.1f}× |"
            for name, key in (
                ("descriptors on the fly", "on_the_fly_a_second"),
                ("the same with two loader processes", "on_the_fly_two_workers_a_second"),
                ("descriptors cached", "cached_a_second"),
                ("the same with two loader processes", "cached_two_workers_a_second"),
            )
        ),
        f"| the same from nothing, two epochs, descriptors and random SMILES included, against "
        f"descriptors on the fly with two loader processes | {whole:,.0f}/s | {plain:,.0f}/s "
        f"| {whole / plain:.1f}× |",
        f"| tokenizing, one core, against a regular expression | {t['ours_a_second'] / 1e6:.2f} M/s "
        f"| {t['regex_a_second'] / 1e6:.3f} M/s | {t['ours_a_second'] / t['regex_a_second']:.0f}× |",
        f"| 200 descriptors of {d['molecules']:,} molecules, two cores against one "
        f"| {d['two_cores_seconds']:.1f} s | {d['one_core_seconds']:.1f} s "
        f"| {d['one_core_seconds'] / d['two_cores_seconds']:.2f}× |",
    ]  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    default = Path(__file__).parent / "results" / "molecules.json"
    parser.add_argument("--data", type=Path, default=os.environ.get("WEAKSTRONG_DATA"), help="data folder")
    parser.add_argument("--corpus", help="SMILES file [default: DATA/corpus/chembl.smi.gz]")
    parser.add_argument("--out", type=Path, default=default, help="JSON record to write")
    arguments = parser.parse_args()
    if arguments.data is None:
        parser.error("name a data folder with --data or WEAKSTRONG_DATA")
    with tempfile.TemporaryDirectory() as folder:
        corpus = arguments.corpus or str(Path(arguments.data) / "corpus" / "chembl.smi.gz")
        record = run(Path(arguments.data), corpus, Path(folder))
    arguments.out.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    print("\n".join(table(record)))
