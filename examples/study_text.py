"""Where theory meets real data: a strong representation of text, taught by weaker ones, beside two controls.

Run ``python examples/study_text.py --data DIR`` (or set WEAKSTRONG_DATA), half an hour on one core
(OPENBLAS_NUM_THREADS=1); it goes on where it was stopped. DIR holds ``text/``: sentences of film reviews
with their polarity (Pang and Lee 2005), and frozen features of layers of a small sentence encoder (MiniLM)
and of a language model (SmolLM2). A finished study is kept in ``results/text/``; ``--report`` only draws the
figure and writes the tables again.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from shared import ROOT, main, write_pages
from weakstrong import Record, Result
from weakstrong.predictions import Predictions
from weakstrong.progress import track
from weakstrong.report.figures import blank_figure, plain_drawing, png, shades
from weakstrong.studies.inputs import StudyInputs
from weakstrong.studies.run import run
from weakstrong.studies.settings import StudyOptions

if TYPE_CHECKING:
    from matplotlib.axes import Axes

RESULTS = ROOT / "results" / "text"
WEAK = ("minilm_depth0_384", "minilm_depth3_384", "minilm_depth6_384", "smollm2_depth6_576")
STRONG, NOT_STRONG = "smollm2_depth24_576", "minilm_depth6_384"
TAUGHT = (50, 100, 200, 500, 1000, 2000)
ROWS, STUDENT_ROWS, SEEDS = 4000, 1200, 20
PANELS = {
    "strong": "a strong student (SmolLM2, layer 24)",
    "not-strong": "a student that is not strong (MiniLM, layer 6)",
    "swapped": "roles swapped: SmolLM2, layer 24, supervises",
}
_KEYS = ["heads", "student", "supervisor"]


def inputs(panel: str, data: Path) -> StudyInputs:
    """Load the first 4,000 sentences, whose polarity is 0 or 1, and the features of both sides of a panel."""
    table = pd.read_csv(data / "text" / "polarity.csv", nrows=ROWS)
    weak, strong = {
        "strong": (WEAK, (STRONG,)),
        "not-strong": (tuple(name for name in WEAK if name != NOT_STRONG), (NOT_STRONG,)),
        "swapped": ((STRONG,), WEAK),
    }[panel]
    features = {name: features_of(name, data) for name in (*weak, *strong)}
    return StudyInputs(
        {name: features[name] for name in weak},
        {name: features[name] for name in strong},
        (table["label"] == "positive").to_numpy(dtype=np.float64),
        "polarity",
        ids=table["id"].to_numpy(dtype=np.str_),
    )


def features_of(name: str, data: Path) -> np.ndarray:
    """Load frozen features of the first 4,000 sentences."""
    return np.asarray(np.load(data / "text" / f"polarity.{name}.npy")[:ROWS], dtype=np.float32)


def make(data: Path) -> None:
    """Run every panel with every number of true labels that teach the supervisors."""
    for panel in PANELS:
        given = inputs(panel, data)
        for taught in TAUGHT:
            folder = RESULTS / f"{panel}-{taught}"
            if (folder / "DONE").exists() and folder.name in known_accuracies():
                continue
            options = StudyOptions(
                true_labels=taught, student_rows=STUDENT_ROWS, seeds=SEEDS, task="regression"
            )
            print(folder.name, flush=True)
            run(given, options, out=folder, overwrite=True, track=track)
            keep_accuracies(folder)


def known_accuracies() -> set[str]:
    """Name the studies whose accuracies are kept."""
    path = RESULTS / "accuracy.csv"
    return set(pd.read_csv(path)["study"]) if path.exists() else set()


def keep_accuracies(folder: Path) -> None:
    """Keep the shares of held-out rows whose class is right, of which predictions alone would tell."""
    predictions = Record.read(folder).predictions
    assert predictions is not None
    rows = accuracies(predictions).assign(study=folder.name)
    path = RESULTS / "accuracy.csv"
    old = pd.read_csv(path) if path.exists() else pd.DataFrame(columns=rows.columns)
    known = [old[old["study"] != folder.name], rows]
    pd.concat([part for part in known if len(part)]).to_csv(path, index=False, float_format="%.6g")


def accuracies(predictions: Predictions) -> pd.DataFrame:
    """Return accuracies over all divisions, classes being above and below one half, for each pair."""
    table = predictions.table
    said = ["weak", "strong", "ceiling", "direct", "null"]
    right = {name: (table[f"y_{name}"] > 0.5) == (table["y_true"] > 0.5) for name in said}
    return table[_KEYS].assign(**right).groupby(_KEYS, sort=False)[said].mean().reset_index()


def results(panel: str) -> list[tuple[int, Result]]:
    """Read the results of a panel, with how many true labels taught the supervisors."""
    return [
        (taught, result)
        for taught in TAUGHT
        for result in Record.read(RESULTS / f"{panel}-{taught}", tables=False).results
    ]


def draw() -> None:
    """Draw gain against misfit, as Figure 2 of the paper does, with law 3 and the null."""
    with plain_drawing():
        figure = blank_figure((12.6, 5.2))
        panels = figure.subplots(1, len(PANELS)).tolist()
        for axes, panel in zip(panels, PANELS, strict=True):
            draw_panel(axes, panel)
        panels[0].set_ylabel("gain: weak error − student's error")
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, frameon=False, fontsize=8, ncols=4, loc="outside lower center")
        (RESULTS / "figure.png").write_bytes(png(figure))


def draw_panel(axes: Axes, panel: str) -> None:
    """Draw the pairs of one setting, larger the more labels taught the supervisor, with their intervals."""
    found = results(panel)
    other = "student" if panel == "swapped" else "supervisor"
    colours = dict(zip(WEAK, shades(len(WEAK)), strict=True))
    top = 1.08 * max(float(result.estimates["misfit"].value) for _, result in found)
    line = np.linspace(0, top, 200)
    axes.plot(line, line, color="0.3", linestyle="--", linewidth=1, label="gain = misfit (Theorem 1)")
    distance = least_distance(found)
    bound = line - 2 * np.sqrt(distance * line)
    axes.plot(line, bound, color="0.3", linestyle=":", linewidth=1.2, label="misfit − 2√(ε · misfit)")
    axes.axhline(0, color="0.85", linewidth=1, zorder=0)
    for taught, result in found:
        gain, misfit = result.estimates["gain"], float(result.estimates["misfit"].value)
        colour, size = colours[result.about[other]], 3 + 1.6 * TAUGHT.index(taught)
        named = short(result.about[other]) if taught == TAUGHT[2] else None
        half = float(gain.high - gain.value)
        axes.errorbar(
            misfit,
            float(gain.value),
            half,
            fmt="o",
            color=colour,
            markersize=size,
            elinewidth=0.8,
            label=named,
        )
        axes.plot(misfit, float(result.estimates["gain_of_null"].value), "x", color=colour, markersize=4)
    axes.plot([], [], "x", color="0.4", markersize=4, label="null: same heads, supervisor's features")
    gains = [0.0, *(float(end) for _, r in found for end in r.estimates["gain"].interval())]
    room = 0.06 * (max(gains) - min(gains))
    axes.set_xlim(0, top)
    axes.set_ylim(min(*gains, float(bound.min())) - room, max(*gains, 0.25 * top) + room)
    axes.set_xlabel("misfit: mean squared (student − weak label)")
    axes.set_title(
        f"{PANELS[panel]}\nbound drawn at ε = {distance:.2g}, the least below all points", fontsize=9
    )


def least_distance(found: list[tuple[int, Result]]) -> float:
    """Return the least ε for which ``gain ≥ misfit − 2√(ε · misfit)`` at every point.

    Law 3 gives that bound for a class whose best head is within ε of the truth. Here ε cannot be measured:
    the ceiling's error is an upper bound that counts the noise of the labels in.
    """
    values = [(float(r.estimates["cross_term"].value), float(r.estimates["misfit"].value)) for _, r in found]
    return max(min(cross, 0.0) ** 2 / (4 * misfit) for cross, misfit in values)


def short(name: str) -> str:
    """Name a representation for a reader: encoder and layer."""
    encoder, depth, _ = name.split("_")
    return f"{ {'minilm': 'MiniLM', 'smollm2': 'SmolLM2'}[encoder] }, layer {depth.removeprefix('depth')}"


def table(panel: str) -> list[str]:
    """Return a Markdown table of a panel, from its records."""
    known = pd.read_csv(RESULTS / "accuracy.csv").set_index(["study", *_KEYS])
    lines = [
        "| taught | supervisor | student | weak error | student's | misfit | gain [95%] | gain / misfit "
        "| null's gain | ceiling | direct | accuracy: weak | student | ceiling | direct |",
        "|---:|---|---|" + "---:|" * 12,
    ]
    for taught, result in results(panel):
        e = {name: float(estimate.value) for name, estimate in result.estimates.items()}
        gain = result.estimates["gain"]
        right = known.loc[(f"{panel}-{taught}", *(result.about[key] for key in _KEYS))]
        numbers = [f"{e[name]:.4f}" for name in ("weak_error", "strong_error", "misfit")]
        numbers += [
            f"{e['gain']:+.4f} [{gain.low:+.4f}, {gain.high:+.4f}]",
            f"{e['gain'] / e['misfit']:+.2f}",
        ]
        numbers += [
            f"{e['gain_of_null']:+.4f}",
            *(f"{e[name]:.4f}" for name in ("ceiling_error", "direct_error")),
        ]
        numbers += [f"{right[name]:.3f}" for name in ("weak", "strong", "ceiling", "direct")]
        who = [short(result.about["supervisor"]), short(result.about["student"])]
        lines.append(f"| {taught} | {' | '.join([*who, *numbers])} |")
    return lines


def numbers() -> dict[str, float]:
    """Return the numbers of these studies that pages name, from the records."""
    known: dict[str, float] = {}
    for panel in PANELS:
        found = results(panel)
        ratios = [float(r.estimates["gain"].value / r.estimates["misfit"].value) for _, r in found]
        known |= {f"{panel} least": min(ratios), f"{panel} most": max(ratios)}
        known[f"{panel} distance"] = least_distance(found)
    right = pd.read_csv(RESULTS / "accuracy.csv")
    for taught in TAUGHT:
        of_taught = [r for count, r in results("strong") if count == taught]
        ratios = [float(r.estimates["gain"].value / r.estimates["misfit"].value) for r in of_taught]
        known |= {f"strong {taught} least": min(ratios), f"strong {taught} most": max(ratios)}
        mine = right[right["study"] == f"strong-{taught}"]
        recovered = 100 * (mine["strong"] - mine["weak"]) / (mine["ceiling"] - mine["weak"])
        known |= {f"recovered {taught} least": recovered.min(), f"recovered {taught} most": recovered.max()}
    return known


def report() -> None:
    """Draw the figure, and write the tables of the page from the records."""
    draw()
    blocks = {panel: table(panel) for panel in PANELS}
    write_pages({"results/text/README.md": blocks})


if __name__ == "__main__":
    main(__doc__, make, report)
