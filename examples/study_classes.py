"""Weak labels that are classes: every pair of representations, a lexicon and a language model, and digits.

Run ``python examples/study_classes.py --data DIR`` (or set WEAKSTRONG_DATA), two hours on one core
(OPENBLAS_NUM_THREADS=1); it goes on where it was stopped. DIR holds ``text/``: sentences of film reviews with
their polarity, frozen features of three depths of a sentence encoder (MiniLM) and of a language model
(SmolLM2), the score of a lexicon, and what the language model says of each sentence. A finished study is kept
in ``results/classes/``; ``--report`` only draws the figure and writes the tables again.
"""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from shared import ROOT, main
from study_text import NOT_STRONG, ROWS, STRONG, STUDENT_ROWS, features_of
from weakstrong.progress import track
from weakstrong.studies.examples import load_example
from weakstrong.studies.inputs import StudyInputs
from weakstrong.studies.run import run
from weakstrong.studies.settings import StudyOptions
from weakstrong.votes import GivenLabels

RESULTS = ROOT / "results" / "classes"
ENCODERS = ("minilm_depth0_384", "minilm_depth3_384", "minilm_depth6_384")
LANGUAGE_MODEL = ("smollm2_depth6_576", "smollm2_depth18_576", "smollm2_depth24_576")
FEATURES = (*ENCODERS, *LANGUAGE_MODEL)
CLASSES = ("negative", "positive")
TAUGHT, BUDGET, SEEDS = (50, 200, 1000), (20, 50, 100, 200, 500, 1000, 2000), 20


def text(student: str, data: Path) -> StudyInputs:
    """Load the first 4,000 sentences: every representation supervises one student, and so do two others.

    The lexicon's class is the sign of its score; where that is zero it says nothing.
    """
    table = pd.read_csv(data / "text" / "polarity.csv", nrows=ROWS)
    model = pd.read_csv(data / "text" / "polarity.language_model.csv", nrows=ROWS)
    assert (table["id"] == model["id"]).all()
    score = table["lexicon"].to_numpy()
    lexicon = np.column_stack([score < 0, score > 0]).astype(np.float64)
    lexicon[score == 0] = np.nan
    said = model[[f"language_model[{name}]" for name in CLASSES]].to_numpy()
    weak = {"lexicon": lexicon, "language model": said / said.sum(axis=1, keepdims=True)}
    return StudyInputs(
        {name: features_of(name, data) for name in FEATURES},
        {student: features_of(student, data)},
        np.column_stack([table["label"] == name for name in CLASSES]).astype(np.float64),
        "polarity",
        ids=table["id"].to_numpy(dtype=np.str_),
        classes=CLASSES,
        weak_labels={name: GivenLabels(values, classes=CLASSES) for name, values in weak.items()},
    )


def make(data: Path) -> None:
    """Run every study that is not there yet."""
    for name in studies():
        folder = RESULTS / name
        if not (folder / "DONE").exists():
            print(name, flush=True)
            student = name.rpartition("-")[0]
            inputs = text(student, data) if student else load_example(name)
            run(inputs, options(name), out=folder, track=track)


def studies() -> list[str]:
    """Name the studies: a student of text, with how many true labels teach its supervisors, and digits."""
    return [*(f"{student}-{taught}" for student, taught in product(FEATURES, TAUGHT)), "digits"]


def options(name: str) -> StudyOptions:
    """Return the settings of a study; the slower least squares are for two students alone."""
    student, _, taught = name.rpartition("-")
    heads = ("logistic", "brier") if student in (STRONG, NOT_STRONG, "") else ("logistic",)
    both: dict[str, Any] = {"heads": heads, "seeds": SEEDS, "confidence": ("logconf", "bootstrapping")}
    if not student:
        return StudyOptions(**both, budget=BUDGET[:5])
    return StudyOptions(**both, budget=BUDGET, true_labels=int(taught), student_rows=STUDENT_ROWS)


def report() -> None:
    """Nothing yet."""


if __name__ == "__main__":
    main(__doc__, make, report)
