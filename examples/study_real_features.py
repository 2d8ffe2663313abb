"""Studies on real features: run, record, and write the tables of two pages from the records.

Run ``python examples/study_real_features.py --data DIR`` (or set WEAKSTRONG_DATA), a quarter of an hour on
one core (OPENBLAS_NUM_THREADS=1); it goes on where it was stopped. DIR holds ``chembench/``,
``features/{SET}.chemvae_zinc_196.npy`` and ``features/{SET}.lstm_chem_512.npy`` (frozen encoders
of chemical_vae and LSTM_Chem, rows as in ChemBench) and ``uci/protein/``. A finished study is kept in
``results/study/``; ``--report`` only writes the tables of the README.md there and of docs/study.md again.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.cluster import MiniBatchKMeans
from sklearn.ensemble import RandomTreesEmbedding
from sklearn.kernel_approximation import RBFSampler
from sklearn.preprocessing import StandardScaler

from shared import ROOT, main, worth, write_pages
from weakstrong import Record, Result
from weakstrong.molecules.chembench import SETS, load_chembench
from weakstrong.progress import track
from weakstrong.studies.inputs import Split, StudyInputs
from weakstrong.studies.run import run
from weakstrong.studies.settings import StudyOptions

RESULTS = ROOT / "results" / "study"
LSTM, CHEMVAE = "lstm_chem_512", "chemvae_zinc_196"
SEEDS = 10
BUDGETS: dict[str, tuple[int, ...]] = {
    "ESOL": (10, 20, 50, 100, 200, 400),
    "FreeSolv": (10, 20, 50, 100, 200, 400),
    "Lipop": (10, 20, 50, 100, 200, 400, 800, 1600),
    "protein": (20, 50, 100, 200, 500, 1000, 2000),
}


def molecules(name: str, data: Path, *, swapped: bool = False) -> StudyInputs:
    """Load a ChemBench set; ChemVAE's features supervise a student with the LSTM's, or the reverse."""
    chosen = load_chembench(name, data)
    weak, strong = (LSTM, CHEMVAE) if swapped else (CHEMVAE, LSTM)
    features = {k: np.load(data / "features" / f"{name}.{k}.npy") for k in (weak, strong)}
    splits = tuple(
        Split(seed, np.flatnonzero(role == "train"), np.flatnonzero(role == "test"))
        for seed, role in chosen.splits.items()
    )
    return StudyInputs(
        {weak: features[weak]}, {strong: features[strong]}, chosen.y.to_numpy(), name, splits=splits
    )


def protein(data: Path, *, swapped: bool = False) -> StudyInputs:
    """Load UCI protein, the RMSD of decoys. The student has 500 random Fourier features of the nine columns.

    Supervisors have the nine columns themselves, a random tree's ten leaves, or thirty k-means
    cells. Swapped, the Fourier features supervise a student that has the nine columns.
    """
    table = pd.read_csv(data / "uci/protein/data.csv.gz", header=None).to_numpy()
    folds = pd.read_csv(data / "uci/protein/test_mask.csv.gz", header=None).to_numpy(dtype=bool)
    columns = StandardScaler().fit_transform(table[:, :-1])
    fourier = RBFSampler(gamma=0.1, n_components=500, random_state=2).fit_transform(columns)
    tree = RandomTreesEmbedding(1, max_depth=None, max_leaf_nodes=10, random_state=0, sparse_output=False)
    cells = MiniBatchKMeans(30, random_state=0, n_init=1).fit_predict(columns)
    weak = {
        "columns_9": columns,
        "tree_10": tree.fit_transform(columns),
        "cells_30": pd.get_dummies(cells).to_numpy(dtype=float),
    }
    splits = tuple(
        Split(str(k), np.flatnonzero(~held), np.flatnonzero(held)) for k, held in enumerate(folds.T)
    )
    if swapped:
        weak, strong = {"fourier_500": fourier}, {"columns_9": columns}
    else:
        strong = {"fourier_500": fourier}
    return StudyInputs(weak, strong, table[:, -1], "protein", splits=splits)


def studies(data: Path) -> None:
    """Run both directions and both head classes on every set, each in its folder."""
    for name in (*SETS, "protein"):
        for swapped in (False, True):
            inputs = (
                protein(data, swapped=swapped)
                if name == "protein"
                else molecules(name, data, swapped=swapped)
            )
            for heads in ("l2", "linear"):
                folder = RESULTS / f"{name}-{'swapped-' if swapped else ''}{heads}"
                if (folder / "DONE").exists():
                    continue
                options = StudyOptions(
                    heads=(heads,),
                    seeds=1 if name == "protein" else SEEDS,
                    budget=BUDGETS[name] if heads == "l2" else (),
                )
                settings = options.model_dump(exclude={"test_size"})
                print(folder.name, flush=True)
                run(inputs, options, out=folder, settings=settings, track=track)


COLUMNS = {
    "weak error": "weak_error",
    "student": "strong_error",
    "misfit": "misfit",
    "gain [95%]": "gain",
    "cross term [95%]": "cross_term",
    "ceiling": "ceiling_error",
    "direct": "direct_error",
    "null": "null_error",
    "student over direct [95%]": "gain_over_direct",
    "mean": "mean_error",
    "r(gain, misfit)": "correlation_of_gain_and_misfit",
}


def table(studies: list[str], columns: dict[str, str] = COLUMNS) -> list[str]:
    """Return a Markdown table with a row for each study and supervisor, from the records."""
    lines = [f"| study | supervisor | {' | '.join(columns)} |", "|---|---|" + "---:|" * len(columns)]
    for study in studies:
        for result in Record.read(RESULTS / study, tables=False).results:
            cells = (_cell(result, title, key) for title, key in columns.items())
            lines.append(f"| {study} | {result.about['supervisor']} | {' | '.join(cells)} |")
    return lines


def page_tables() -> dict[str, dict[str, list[str]]]:
    """Return the blocks of the page on studies: balls in both directions, and what labels are worth."""
    shown = [f"{name}-l2" for name in (*SETS, "protein")] + [f"{name}-swapped-l2" for name in SETS]
    titles = ("weak error", "student", "misfit", "gain [95%]", "ceiling", "direct", "null")
    return {
        "docs/study.md": {
            "studies": table(shown, {title: COLUMNS[title] for title in titles}),
            "worth": worth_table([f"{name}-l2" for name in (*SETS, "protein")]),
        }
    }


def report() -> None:
    """Write the tables of README.md and docs/study.md from the records."""
    names = [f"{n}-{s}{h}" for n in (*SETS, "protein") for s in ("", "swapped-") for h in ("l2", "linear")]
    shown = [name for name in names if name.endswith("l2")]
    readme = RESULTS / "README.md"
    text = (
        readme.read_text(encoding="utf-8")
        if readme.exists()
        else "# Study on real features\n\n<!-- tables -->\n"
    )
    head = text.split("<!-- tables -->")[0]
    readme.write_text(
        "\n".join([head + "<!-- tables -->\n", *table(names), "", *worth_table(shown), ""]), encoding="utf-8"
    )
    write_pages(page_tables())


def worth_table(studies: list[str]) -> list[str]:
    """Return a table of what the weak labels of each study are worth in true labels."""
    lines = [
        "| set | supervisor | true labels it had | its student's error | worth in true labels (95%) |",
        "|---|---|---:|---:|---:|",
    ]
    for study in studies:
        for result in Record.read(RESULTS / study, tables=False).results:
            taught, error = result.facts["supervised_rows"][0], result.estimates["strong_error"].value
            name = study.removesuffix("-l2")
            who = result.about["supervisor"]
            lines.append(f"| {name} | {who} | {taught} | {error:.4g} | {worth(result)} |")
    return lines


def _cell(result: Result, title: str, key: str) -> str:
    """Format an estimate, with its interval if the title promises one, or the correlation."""
    if key not in result.estimates:
        fact = result.facts[key]
        return "–" if fact is None else f"{fact:+.2f}"
    estimate = result.estimates[key]
    if "[" not in title:
        return f"{estimate.value:.4g}"
    return f"{estimate.value:+.3g} [{estimate.low:+.3g}, {estimate.high:+.3g}]"


def make(data: Path) -> None:
    """Run every study."""
    studies(data)


if __name__ == "__main__":
    main(__doc__, make, report)
