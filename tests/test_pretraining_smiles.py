"""Masks and batches, and training that is the same however it is cut: into processes, or by a kill."""

from __future__ import annotations

import csv
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from safetensors import SafetensorError

from weakstrong.errors import InputError
from weakstrong.molecules import masked_lm, pretraining
from weakstrong.molecules.masked_lm import Batches, Diverged, MaskedLM, last_checkpoint, train
from weakstrong.molecules.pretraining_corpus import (
    PretrainingCorpus,
    epoch_batches,
    mask_symbols,
    random_tokens,
)
from weakstrong.molecules.smiles_bert import EncoderConfig
from weakstrong.molecules.tokens import MASK, PAD, tokenize


@pytest.fixture(scope="module")
def corpus(molecules: list[str]) -> PretrainingCorpus:
    return PretrainingCorpus.of(molecules, 0, 126)


def test_masks_fall_as_bert_lays_them() -> None:
    rng = np.random.default_rng(0)
    ids = rng.integers(4, 42, (400, 80))
    ids[:, 0], ids[:, -1], ids[:, 60:70] = 1, 2, PAD
    masked = mask_symbols(ids, np.random.default_rng(1))
    ordinary = ids >= 4
    now, before = masked.ids.ravel()[masked.places], ids.ravel()[masked.places]
    assert (before == masked.symbols).all()
    assert (before >= 4).all()
    untouched = np.ones(ids.size, bool)
    untouched[masked.places] = False
    assert (masked.ids.ravel()[untouched] == ids.ravel()[untouched]).all()
    spread = 4 / np.sqrt(len(now))
    assert len(now) / ordinary.sum() == pytest.approx(0.15, abs=spread)
    assert np.mean(now == MASK) == pytest.approx(0.8, abs=spread)
    assert np.mean(now == before) == pytest.approx(0.1, abs=spread)
    others = now[(now != MASK) & (now != before)]
    assert set(others) == set(range(4, 42))


def test_batches_of_an_epoch_hold_each_molecule_at_most_once_and_alike_lengths_together() -> None:
    lengths = np.random.default_rng(0).integers(5, 100, 10_001)
    batches = epoch_batches(lengths, 16, 3, 1)
    assert batches.shape == (625, 16)
    assert len(np.unique(batches)) == batches.size
    assert np.ptp(lengths[batches], axis=1).mean() < 5
    assert not np.array_equal(batches, epoch_batches(lengths, 16, 3, 2))
    np.testing.assert_array_equal(batches, epoch_batches(lengths, 16, 3, 1))


def test_parts_of_a_step_are_the_step(corpus: PretrainingCorpus) -> None:
    settings = MaskedLM(epochs=2, batch=12)
    whole, halves = Batches(corpus, settings, 1), Batches(corpus, settings, 2)
    assert len(halves) == 2 * len(whole) == 4 * (len(corpus.smiles) // 12)
    for step in (0, 5, len(whole) - 1):
        one, two = whole[step], [halves[2 * step], halves[2 * step + 1]]
        for name in ("ids", "mask", "descriptors"):
            together = torch.empty_like(one[name])
            together[0::2], together[1::2] = two[0][name], two[1][name]
            assert torch.equal(together.nan_to_num(-1), one[name].nan_to_num(-1))
        assert sorted(torch.cat([t["symbols"] for t in two]).tolist()) == sorted(one["symbols"].tolist())
        for part in two:
            assert (part["ids"].flatten()[part["masked"]] != PAD).all()
            torch.testing.assert_close(part["scale"], 2 * one["scale"])


def test_targets_belong_to_the_molecules_of_their_rows(corpus: PretrainingCorpus) -> None:
    tokens = corpus.tokens(0)
    heavy = np.array([sum(c.isalpha() and c != "H" for c in s) for s in corpus.smiles])
    from weakstrong.molecules.descriptors import NAMES

    weight = corpus.targets[:, NAMES.index("HeavyAtomCount")].astype(float)
    assert np.corrcoef(tokens.lengths, weight)[0, 1] > 0.8
    assert np.corrcoef(heavy, weight)[0, 1] > 0.9


def test_a_random_form_that_is_too_long_gives_way_to_the_standard_one() -> None:
    free, bounded = (np.vstack([random_tokens(["CC(C)C"], 0, e, n) for e in range(30)]) for n in (8, 6))
    assert (free[:, 7] != PAD).any()  # C(C)(C)C has eight symbols
    standard = tokenize(["CC(C)C"]).ids
    assert (bounded == standard).all()


SHAPE = EncoderConfig(8, 1, 2, 16, dropout=0.1)
SETTINGS = MaskedLM(epochs=12, batch=8, rate=3e-3)


class Stop(Exception):
    pass


@pytest.mark.parametrize(
    ("bf16", "cut_short", "left"),
    [
        (False, "trainer_state.json", None),
        (False, "optimizer.pt", None),
        (True, "rng_state.pth", None),
        (False, "rng_state.pth", 1000),
    ],
)
def test_an_interrupted_run_ends_in_the_same_weights(
    corpus: PretrainingCorpus, tmp_path: Path, bf16: bool, cut_short: str, left: int | None
) -> None:
    settings = MaskedLM(**{**SETTINGS.__dict__, "bf16": bf16})
    whole = train(corpus, SHAPE, settings, tmp_path / "whole")
    assert whole.losses[-1]["masked_lm"] < 0.8 * whole.losses[0]["masked_lm"]
    assert whole.losses[-1]["descriptors"] < whole.losses[0]["descriptors"]
    for entry in whole.losses:
        weighted = entry["masked_lm"] + settings.descriptor_weight * entry["descriptors"]
        assert entry["loss"] == pytest.approx(weighted, abs=1e-3)

    done = 0

    def stop(more: int) -> None:
        nonlocal done
        done += more
        if done > 230:
            raise Stop

    with pytest.raises(Stop):
        train(corpus, SHAPE, settings, tmp_path / "cut", on_steps=stop)
    kept = last_checkpoint(tmp_path / "cut")
    assert kept is not None
    cut_off = Path(kept).parent / "checkpoint-99999"  # while it was written
    shutil.copytree(kept, cut_off)
    if left is None:
        (cut_off / cut_short).unlink()
    else:
        os.truncate(cut_off / cut_short, left)
    steps: list[int] = []
    resumed = train(corpus, SHAPE, settings, tmp_path / "cut", on_steps=steps.append)
    assert sum(steps) == whole.steps
    assert len(steps) == whole.steps - int(kept.rpartition("-")[2])  # the others were not done again
    for (name, a), b in zip(
        whole.model.state_dict().items(), resumed.model.state_dict().values(), strict=True
    ):
        assert torch.equal(a, b), name
    assert [e["loss"] for e in resumed.losses] == [e["loss"] for e in whole.losses]


def test_another_seed_is_another_model(corpus: PretrainingCorpus, tmp_path: Path) -> None:
    first, second = (
        train(corpus, SHAPE, MaskedLM(1, 8, seed=s), tmp_path / str(s)).model.state_dict() for s in (0, 1)
    )
    name = "encoder.bert.pooler.dense.weight"
    assert not torch.equal(first[name], second[name])


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"batch": 10_000}, "at most the"), ({"epochs": 0}, "epochs = 0"), ({"rate": 0.0}, "rate"),
     ({"seed": -1}, "seed = -1"),
     ({"rate": 1e30, "epochs": 9}, "smaller rate"), ({"descriptor_weight": -1.0}, "descriptor_weight")],
)  # fmt: skip
def test_settings_that_cannot_be_are_refused(
    corpus: PretrainingCorpus, tmp_path: Path, settings: dict, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        train(corpus, SHAPE, MaskedLM(**{"epochs": 1, **settings}), tmp_path)


@pytest.fixture
def smi(tmp_path: Path, molecules: list[str]) -> Path:
    path = tmp_path / "corpus.smi"
    path.write_text("".join(f"{s} name\n" for s in molecules))
    return path


def options(smi: Path, out: str, *more: str) -> list[str]:
    shape = ["--hidden", "8", "--layers", "1", "--heads", "2", "--batch", "8"]
    return ["pretrain", "--corpus", str(smi), *shape, "--out", str(smi.parent / out), *more]


def losses(folder: Path) -> list[dict[str, str]]:
    with (folder / "losses.csv").open() as file:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]


def test_a_model_says_what_it_was_trained_on_and_embed_what_is_longer(
    command, smi: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(smi.parent)
    ran = command(*options(smi, "one", "--epochs", "1", "--max-tokens", "78", "--drop-invalid"))
    assert ran.code == 0, ran.err
    card = Path("one/README.md").read_text()
    assert "| 1 layer, " in card
    assert "1 epoch, " in card
    assert "of at most 78 symbols" in card
    last = losses(Path("one"))[-10:]
    for name, shown in (("masked_lm", "masked symbols {:.3f}"), ("descriptors", "descriptors {:.4f}")):
        assert shown.format(np.mean([float(row[name]) for row in last])) in card
    Path("m.smi").write_text("\n".join(["C" * 78, "C" * 79, "c1ccccc1" * 7, "CCO"]))  # the rings have 79
    ran = command("embed", "--model", "one", "--smiles", "m.smi", "--out", "f.npy")
    assert ran.code == 0, ran.err
    assert "2 of 4 are longer than any the model was pretrained on (78 symbols)" in ran.out
    Path("m.smi").write_text("CCO\n")
    assert "longer" not in command("embed", "--model", "one", "--smiles", "m.smi", "--out", "g.npy").out


def test_two_equal_runs_at_once_are_refused_and_a_diverged_one_leaves_nothing(
    command, smi: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = options(smi, "one", "--epochs", "1")

    def second_run(*_: object, **__: object) -> None:
        monkeypatch.undo()
        ran = command(*given)
        assert ran.code == 2
        assert "another run is writing it" in ran.err
        raise Diverged("the loss is no number")

    monkeypatch.setattr(pretraining, "train", second_run)
    ran = command(*given)
    assert ran.code == 2
    assert "the loss is no number" in ran.err
    assert [p.name for p in smi.parent.iterdir()] == [smi.name]
    assert command(*given).code == 0
    assert {p.name for p in smi.parent.iterdir()} == {smi.name, "one"}


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), "smaller batch"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), "smaller batch"),
        (SafetensorError("No space left on device"), "make room and run it again"),
        (RuntimeError("[enforce fail at inline_container.cc:659] . unexpected pos"), "make room and run it"),
        (InputError("x.npy: a damaged file of the cache, now removed; run it again"), "run it again"),
    ],
)
def test_what_can_be_mended_is_one_line_and_leaves_the_checkpoints(
    command, smi: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, message: str
) -> None:
    def fail(self: object, *_: object, **__: object) -> None:
        (smi.parent / "reached").write_text("")
        raise error

    monkeypatch.setattr(masked_lm._Trainer, "_save_checkpoint", fail)
    ran = command(*options(smi, "one", "--epochs", "1"))
    assert ran.code == 2
    assert message in ran.err.splitlines()[-1]
    assert (smi.parent / "reached").exists()
    assert len(list(smi.parent.glob(".one.partial-*/losses.csv"))) == 1
    monkeypatch.undo()
    assert command(*options(smi, "one", "--epochs", "1")).code == 0


def test_other_errors_of_torch_are_not_hidden(
    corpus: PretrainingCorpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr(masked_lm.PretrainingModel, "forward", fail)
    with pytest.raises(RuntimeError, match="illegal memory access") as found:
        train(corpus, SHAPE, MaskedLM(1, 8), tmp_path)
    assert not isinstance(found.value, InputError)


def test_a_long_run_is_saved_by_the_clock(
    corpus: PretrainingCorpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for limit in (600.0, 0.0):
        monkeypatch.setattr(masked_lm, "_SECONDS_UNSAVED", limit)
        train(corpus, SHAPE, MaskedLM(1, 8), tmp_path / str(limit))
        found.append(last_checkpoint(tmp_path / str(limit)))
    steps = len(corpus.smiles) // 8
    assert steps < 200
    assert Path(found[0]).name == f"checkpoint-{steps}"
    assert len(list((tmp_path / "0.0").glob("checkpoint-*"))) == 2
    assert not list((tmp_path / "600.0").glob(f"checkpoint-{steps - 1}"))


def test_the_command_killed_and_given_again_ends_in_the_same_files(smi: Path) -> None:
    one = {**os.environ, "OMP_NUM_THREADS": "1"}
    start = [sys.executable, "-m", "weakstrong"]
    subprocess.run(
        [*start, *options(smi, "whole", "--epochs", "30")],
        check=True,
        env=one,
        capture_output=True,
        timeout=300,
    )
    process = subprocess.Popen(
        [*start, *options(smi, "cut", "--epochs", "30")],
        env=one,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    for _ in range(1200):
        if any(smi.parent.glob(".cut.partial-*/.checkpoints/checkpoint-*/trainer_state.json")):
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (smi.parent / "cut").exists(), "it was over before it could be killed"
    again = subprocess.run(
        [*start, *options(smi, "cut", "--epochs", "30")],
        check=True,
        env=one,
        capture_output=True,
        timeout=300,
        text=True,
    )
    assert "on from step" in again.stderr
    whole, cut = smi.parent / "whole", smi.parent / "cut"
    assert {p.name for p in cut.iterdir()} == {
        "DONE", "README.md", "config.json", "losses.csv", "model.safetensors",
    }  # fmt: skip
    assert (whole / "model.safetensors").read_bytes() == (cut / "model.safetensors").read_bytes()
    assert losses(whole) == losses(cut)
    assert not list(smi.parent.glob(".cut.partial-*"))


def test_two_processes_have_the_losses_of_one_killed_or_not(smi: Path) -> None:
    one = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run(
        [sys.executable, "-m", "weakstrong", *options(smi, "one", "--epochs", "20")],
        check=True, env=one, capture_output=True, timeout=300,
    )  # fmt: skip
    twice = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone"]
    both = [*twice, "-m", "weakstrong", *options(smi, "two", "--epochs", "20")]
    running = psutil.Popen(both, env=one, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(2400):
        if any(smi.parent.glob(".two.partial-*/.checkpoints/checkpoint-*/trainer_state.json")):
            break
        time.sleep(0.05)
    for process in (running, *running.children(recursive=True)):
        process.kill()
    running.wait()
    assert not (smi.parent / "two").exists(), "it was over before it could be killed"
    again = subprocess.run(both, check=False, env=one, capture_output=True, timeout=300, text=True)
    assert again.returncode == 0, again.stderr
    assert "on from step" in again.stderr
    card = (smi.parent / "two" / "README.md").read_text()
    assert "2 processes" in card
    assert "torchrun --nproc-per-node 2 -m weakstrong pretrain" in card
    first, second = losses(smi.parent / "one"), losses(smi.parent / "two")
    assert len(first) == len(second) > 10
    for a, b in zip(first, second, strict=True):
        for name in ("masked_lm", "descriptors"):
            assert float(a[name]) == pytest.approx(float(b[name]), rel=2e-5)
