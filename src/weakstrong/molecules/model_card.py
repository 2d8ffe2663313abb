"""Model cards in Markdown, which say what an encoder is, and what it was trained on and how."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

LAST = 10  # "last losses" are means of this many rows at the end of the losses


def model_card(name: str, shape: Mapping[str, Any], pretraining: Mapping[str, Any]) -> str:
    """Write the card of an encoder that `pretrain` made, as Markdown.

    Parameters
    ----------
    name : str
    shape : mapping
        Shape of the encoder.
    pretraining : mapping
        The entry of config.json about the training.
    """
    corpus, settings = pretraining["corpus"], pretraining["settings"]
    losses, versions = pretraining["final_losses"], pretraining["versions"]
    dropped = ", ".join(f"{n:,} {reason}" for reason, n in corpus["dropped"].items()) or "none"
    processes = pretraining.get("processes", 1)
    several = f", {processes} processes" if processes > 1 else ""
    minutes = pretraining["seconds"] / 60
    rows = {
        "encoder": f"{_count(shape['layers'], 'layer')}, {_count(shape['heads'], 'head')}, "
        f"hidden {shape['hidden']}, intermediate {shape['intermediate']}, dropout {shape['dropout']:g}",
        "corpus": f"{_code(corpus['name'])}, {corpus['molecules']:,} molecules (left out: {dropped}) "
        f"of at most {pretraining['max_tokens']} symbols; sha256 `{corpus['sha256']}`",
        "training": f"{_count(settings['epochs'], 'epoch')}, {_count(pretraining['steps'], 'step')} of "
        f"{settings['batch']} molecules, a random SMILES of each molecule in each epoch; AdamW, rate "
        f"{settings['rate']:g}, weight decay {settings['weight_decay']:g}, seed {settings['seed']}",
        "arithmetic": "bfloat16 (autocast)" if settings["bf16"] else "float32",
        "loss": f"masked symbols + {settings['descriptor_weight']:g} × descriptors",
        "last losses": f"masked symbols {losses['masked_lm']:.3f} nats, descriptors "
        f"{losses['descriptors']:.4f} (mean squared error of values in [0, 1]); means of the last {LAST} "
        "rows of losses.csv",
        "time": f"{minutes:.1f} minutes on {pretraining['device']}{several}",
        "versions": ", ".join(
            f"{key} {versions[key]}" for key in ("weakstrong", "torch", "transformers", "rdkit")
        ),
        "command": _code(pretraining["command"]) if pretraining["command"] else "from Python",
    }
    table = "\n".join(f"| {key} | {value} |" for key, value in rows.items())
    return (
        f"# {name}\n\nA BERT encoder of Kekulé SMILES, pretrained on masked symbols and 200 RDKit "
        f"descriptors.\n\n| | |\n|---|---|\n{table}\n"
    )


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _code(text: str) -> str:
    return "`" + text.replace("`", "'").replace("|", "\\|") + "`"
