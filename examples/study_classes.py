"""Weak labels that are classes: every pair of representations, a lexicon and a language model, and digits.

Run ``python examples/study_classes.py --data DIR`` (or set WEAKSTRONG_DATA), seventy minutes on one core
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

from shared import ROOT, main, write_pages
from study_text import ROWS, STRONG, STUDENT_ROWS, features_of, short
from weakstrong import Record, Result
from weakstrong.progress import track
from weakstrong.report.figures import blank_figure, plain_drawing, png, shades
from weakstrong.studies.examples import load_example
from weakstrong.studies.inputs import StudyInputs
from weakstrong.studies.run import run
from weakstrong.studies.settings import StudyOptions
from weakstrong.votes import GivenLabels

RESULTS = ROOT / "results" / "classes"
ENCODERS = ("minilm_depth0_384", "minilm_depth3_384", "minilm_depth6_384")
LANGUAGE_MODEL = ("smollm2_depth6_576", "smollm2_depth18_576", "smollm2_depth24_576")
FEATURES = (*ENCODERS, *LANGUAGE_MODEL)
READY = ("lexicon", "language model")
WEAKER = (*ENCODERS, LANGUAGE_MODEL[0])
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
    """Return the settings of a study; the slower heads are for the strongest student and digits alone."""
    student, _, taught = name.rpartition("-")
    heads = ("logistic", "brier", "mixtures") if student in (STRONG, "") else ("logistic",)
    both: dict[str, Any] = {"heads": heads, "seeds": SEEDS, "confidence": ("logconf", "bootstrapping")}
    if not student:
        return StudyOptions(**both, budget=BUDGET[:5])
    return StudyOptions(**both, budget=BUDGET, true_labels=int(taught), student_rows=STUDENT_ROWS)


def found(heads: str = "logistic", students: tuple[str, ...] = FEATURES) -> list[tuple[str, int, Result]]:
    """Read the results of text: student, how many true labels taught the supervisors, and each pair."""
    read = []
    for student, taught in product(students, TAUGHT):
        record = Record.read(RESULTS / f"{student}-{taught}", tables=False)
        read += [(student, taught, r) for r in record.results if r.about["heads"] == heads]
    return read


def others(results: list[tuple[str, int, Result]]) -> list[tuple[str, int, Result]]:
    """Leave out supervisors that have the student's own features."""
    return [(student, taught, r) for student, taught, r in results if r.about["supervisor"] != student]


def value(result: Result, name: str) -> float:
    """Return an estimate's number."""
    return float(np.ravel(result.estimates[name].value)[0])


LOSSES = {
    "accuracy": ("disagreement", "gain_in_accuracy", "rows with another class"),
    "Brier score": ("misfit", "gain", "misfit: ‖student − weak‖²"),
    "log loss": ("misfit_in_log_loss", "gain_in_log_loss", "misfit: KL(student ‖ weak)"),
}


def draw() -> None:
    """Draw gain against misfit of all pairs, in every loss, coloured by the student."""
    colours = dict(zip(FEATURES, shades(len(FEATURES)), strict=True))
    results = others(found())
    with plain_drawing():
        figure = blank_figure((12.8, 5.0))
        for axes, (loss, (misfit, gain, words)) in zip(figure.subplots(1, 3), LOSSES.items(), strict=True):
            drawn = [of for of in results if _is_drawn(of[1], of[2], loss)]
            for student, taught, result in drawn:
                ready = result.about["supervisor"] in READY
                e = result.estimates[gain]
                axes.errorbar(
                    value(result, misfit), float(e.value), float(e.high - e.value), fmt="D" if ready else "o",
                    color=colours[student], markersize=6 if ready else 2.5 + 1.5 * TAUGHT.index(taught),
                    elinewidth=0.7,
                )  # fmt: skip
            top = max(value(r, misfit) for _, _, r in drawn)
            gains = [value(r, gain) for _, _, r in drawn]
            axes.plot([0, 1.05 * top], [0, 1.05 * top], color="0.3", linestyle="--", linewidth=1)
            axes.axhline(0, color="0.8", linewidth=1, zorder=0)
            axes.set_xlim(0, 1.05 * top)
            axes.set_ylim(min(gains) - 0.03, max(gains) + 0.03)
            axes.set_xlabel(words)
            axes.set_title(
                f"{loss}" + ("; no law for logistic heads" if loss == "log loss" else ""), fontsize=10
            )
        figure.axes[0].set_ylabel("gain of the student over its supervisor")
        for name in FEATURES:
            figure.axes[0].plot([], [], "o", color=colours[name], label=f"student: {short(name)}")
        figure.axes[0].plot([], [], "D", color="0.4", label="lexicon (in accuracy alone), language model")
        figure.axes[0].plot([], [], color="0.3", linestyle="--", label="gain = misfit")
        handles, labels = figure.axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, frameon=False, fontsize=8, ncols=4, loc="outside lower center")
        (RESULTS / "figure.png").write_bytes(png(figure))


def _is_drawn(taught: int, result: Result, loss: str) -> bool:
    """Whether a pair is drawn: labels that nobody taught once, and hard ones in accuracy alone."""
    supervisor = result.about["supervisor"]
    is_new = supervisor not in READY or taught == TAUGHT[0]
    return is_new and (supervisor != READY[0] or loss == "accuracy")


def row(taught: int, student: str, result: Result) -> str:
    """Return a row of a table: accuracy first, then what the other losses say."""
    e, gain = result.estimates, result.estimates["gain_in_accuracy"]
    name = result.about["supervisor"]
    cells = [
        short(name) if name in FEATURES else name, short(student) if student in FEATURES else student,
        f"{value(result, 'weak_accuracy'):.3f} → {value(result, 'strong_accuracy'):.3f}",
        f"{gain.value:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}]",
        *(f"{value(result, of):+.3f} ({value(result, of) / value(result, by):+.2f})"
          for of, by in (("gain", "misfit"), ("gain_in_log_loss", "misfit_in_log_loss"))),
        *(f"{value(result, f'{of}_accuracy'):.3f}" if f"{of}_accuracy" in e else "–"
          for of in ("corrected", "logconf", "ceiling", "direct")),
        _worth(result),
    ]  # fmt: skip
    return f"| {taught} | {' | '.join(cells)} |"


def _worth(result: Result) -> str:
    """What the weak labels are worth in accuracy, in true labels."""
    e = result.estimates["worth_in_true_labels_in_accuracy"]
    most = max(BUDGET)

    def said(number: float) -> str:
        return (
            "–" if np.isnan(number) else f"> {most}" if np.isinf(number) else f"{float(f'{number:.2g}'):.0f}"
        )

    ends = f" ({said(float(e.low))} to {said(float(e.high))})"
    return "< 20" if float(e.value) == 0 else said(float(e.value)) + ends


HEADER = [
    "| taught | supervisor | student | accuracy | gain in accuracy [95%] | in Brier score (of the misfit) "
    "| in log loss (of the misfit) | corrected | logconf | ceiling | direct | worth (95%) |",
    "|---:|---|---|---|---|---|---|---:|---:|---:|---:|---:|",
]


def tables() -> dict[str, list[str]]:
    """Return the tables of the page: one for each student, of labels that nobody taught, and of digits."""
    results = others(found())
    blocks = {
        student: [*HEADER, *(row(taught, student, r) for s, taught, r in results if s == student
                             and r.about["supervisor"] not in READY)]
        for student in FEATURES
    }  # fmt: skip
    given = [(s, t, r) for s, t, r in results if r.about["supervisor"] in READY and t == 200]
    blocks["given"] = [*HEADER, *(row(t, s, r) for s, t, r in given)]
    digits = Record.read(RESULTS / "digits", tables=False).results
    blocks["digits"] = [
        *HEADER, *(row(r.facts["supervised_rows"][0], f"pixels, {r.about['heads']}", r) for r in digits)
    ]  # fmt: skip
    return blocks


def numbers() -> dict[str, float]:
    """Return the numbers of these studies that pages name, from the records."""
    known: dict[str, float] = {}
    taught_pairs = [(s, t, r) for s, t, r in others(found()) if r.about["supervisor"] not in READY]
    groups = {
        "strong students": [r for s, _, r in taught_pairs if s in LANGUAGE_MODEL[1:]],
        "other students": [r for s, _, r in taught_pairs if s not in LANGUAGE_MODEL[1:]],
        "strong of weaker": [
            r for s, _, r in taught_pairs if s == STRONG and r.about["supervisor"] in WEAKER
        ],
        "all": [r for _, _, r in taught_pairs],
    }
    for group, results in groups.items():
        for loss, (misfit, gain, _) in LOSSES.items():
            ratios = [value(r, gain) / value(r, misfit) for r in results]
            known |= {f"{group} {loss} least": min(ratios), f"{group} {loss} most": max(ratios)}
            known[f"{group} {loss} gains"] = sum(value(r, gain) > 0 for r in results)
            known[f"{group} {loss} surely"] = sum(r.estimates[gain].verdict().sign > 0 for r in results)
            known[f"{group} {loss} harms"] = sum(r.estimates[gain].verdict().sign < 0 for r in results)
        known[f"{group} pairs"] = len(results)
        log = [r for r in results if value(r, "gain_in_log_loss") > 0 > value(r, "gain_in_accuracy")]
        known[f"{group} log gain, accuracy lost"] = len(log)
        sharper = [value(r, "logconf_accuracy") - value(r, "strong_accuracy") for r in results]
        known |= {f"{group} logconf least": min(sharper), f"{group} logconf most": max(sharper)}
        known[f"{group} logconf better"] = sum(d > 0 for d in sharper)
        beats = [r for r in results if value(r, "gain_over_direct_in_accuracy") > 0]
        known[f"{group} beats direct"] = len(beats)
    mixed = [r for s, _, r in others(found("mixtures", (STRONG,))) if r.about["supervisor"] in WEAKER]
    ratios = [value(r, "gain_in_log_loss") / value(r, "misfit_in_log_loss") for r in mixed]
    known |= {"mixtures strong of weaker log loss least": min(ratios)}
    known |= {"mixtures strong of weaker log loss most": max(ratios)}
    taught_most = [r for s, t, r in taught_pairs if s == STRONG and t == max(TAUGHT)]
    worth = [
        value(r, "worth_in_true_labels_in_accuracy") for r in taught_most if r.about["supervisor"] in ENCODERS
    ]
    known |= {"worth least": min(worth), "worth most": max(worth)}
    for student, taught, r in others(found()):
        if r.about["supervisor"] in READY and taught == 200:
            known |= {
                f"{r.about['supervisor']} {student} {name}": float(np.ravel(e.value)[0])
                for name, e in r.estimates.items()
            } | {
                f"{r.about['supervisor']} {student} {of} auroc": r.facts["scores"][of]["auroc"]
                for of in ("weak", "strong")
            }
    for student, taught, r in taught_pairs:
        if student == STRONG:
            about = f"{r.about['supervisor']} {taught}"
            known |= {f"{about} {name}": float(np.ravel(e.value)[0]) for name, e in r.estimates.items()}
    for r in Record.read(RESULTS / "digits", tables=False).results:
        known |= {
            f"digits {r.about['heads']} {r.about['supervisor']} {name}": float(np.ravel(e.value)[0])
            for name, e in r.estimates.items()
        }
    return known


def report() -> None:
    """Draw the figure, and write the tables of the page from the records."""
    draw()
    write_pages({"results/classes/README.md": tables()})


if __name__ == "__main__":
    main(__doc__, make, report)
