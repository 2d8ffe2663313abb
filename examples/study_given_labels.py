"""What weak labels are worth that exist already, in true labels: of a lexicon, a language model and encoders.

Run ``python examples/study_given_labels.py --data DIR`` (or set WEAKSTRONG_DATA), half an hour on one core
(OPENBLAS_NUM_THREADS=1); it goes on where it was stopped. DIR holds ``text/``, ``chembench/`` and
``features/`` as for the other examples. A finished study is kept in ``results/given_labels/``; ``--report``
only writes the tables again.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from shared import ROOT, main, worth, write_pages
from study_text import ROWS, features_of
from weakstrong import HeadProjection, Record
from weakstrong.molecules.chembench import SETS
from weakstrong.paper.molecule_inputs import prepare
from weakstrong.paper.molecule_settings import MoleculeSettings
from weakstrong.paper.sources import Places
from weakstrong.progress import track
from weakstrong.studies.inputs import StudyInputs
from weakstrong.studies.run import run
from weakstrong.studies.settings import StudyOptions
from weakstrong.votes import GivenLabels

RESULTS = ROOT / "results" / "given_labels"
STUDENTS = ("minilm_depth6_384", "smollm2_depth18_576", "smollm2_depth24_576")
FEATURES = ("lstm_chem_512", "minimol_512")
MOLECULE_STUDENTS = {"ours": "strong", "LSTM": "lstm_chem_512", "MiniMol": "minimol_512"}
SEEDS, TAUGHT = 20, 200
TEXT_BUDGET = (20, 50, 100, 200, 500, 1000, 2000)
BUDGETS = {"ESOL": (10, 20, 50, 100, 200, 400), "FreeSolv": (10, 20, 50, 100, 200)}
BUDGETS["Lipop"] = (*BUDGETS["ESOL"], 800, 1600)


def text(data: Path) -> StudyInputs:
    """Load sentences with the labels of a lexicon and of a language model that nobody taught this task.

    The lexicon says nothing of 15% of the sentences: once that counts as one half, once as no label.
    """
    table = pd.read_csv(data / "text" / "polarity.csv", nrows=ROWS)
    model = pd.read_csv(data / "text" / "polarity.language_model.csv", nrows=ROWS)
    assert (table["id"] == model["id"]).all()
    score = table["lexicon"].to_numpy()
    weak = {
        "lexicon": (score + 1) / 2,
        "lexicon, where it says something": np.where(score == 0, np.nan, (score + 1) / 2),
        "language model": model["language_model[positive]"].to_numpy(),
    }
    return StudyInputs(
        {},
        {name: features_of(name, data) for name in STUDENTS},
        (table["label"] == "positive").to_numpy(dtype=np.float64),
        "polarity",
        ids=table["id"].to_numpy(dtype=np.str_),
        weak_labels={name: GivenLabels(values) for name, values in weak.items()},
    )


def molecules(dataset: str, data: Path) -> StudyInputs:
    """Load a ChemBench set, half of which taught the heads of eight encoders that label the other half.

    The half is drawn once, connectivities whole: what the encoders say of the other one is given.
    """
    config = MoleculeSettings.model_validate({"dataset": dataset, "untrained": 0})
    known = prepare(config, Places(data=data, models=ROOT / "models"))
    taught = np.isin(known.clusters, np.random.default_rng(0).permutation(np.unique(known.clusters))[::2])
    weak = {}
    for name in config.weak:
        head = HeadProjection("l2").fit(known.features[name][taught], known.y[taught])
        weak[name] = GivenLabels(head.predict(known.features[name][~taught]))
    students = {config.strong: known.features[config.strong]}
    students |= {name: np.load(data / "features" / f"{dataset}.{name}.npy") for name in FEATURES}
    assert all(len(features) == len(known.y) for features in students.values())  # rows as in ChemBench
    return StudyInputs(
        {},
        {name: features[~taught] for name, features in students.items()},
        known.y[~taught],
        dataset,
        groups=known.clusters[~taught],
        weak_labels=weak,
    )


def make(data: Path) -> None:
    """Run every study that is not there yet."""
    options = StudyOptions(true_labels=TAUGHT, seeds=SEEDS, budget=TEXT_BUDGET, task="regression")
    for name in ("text", *SETS):
        folder = RESULTS / name
        if not (folder / "DONE").exists():
            print(folder.name, flush=True)
            if name == "text":
                run(text(data), options, out=folder, track=track)
            else:
                mine = StudyOptions(true_labels=BUDGETS[name][-2], seeds=SEEDS, budget=BUDGETS[name])
                run(molecules(name, data), mine, out=folder, track=track)


def table(name: str) -> list[str]:
    """Return a Markdown table of a study, from its record."""
    lines = [
        "| labels of | student | labelled | weak error | student's | misfit | gain [95%] | mean of labels "
        "| ceiling | worth in true labels (95%) |",
        "|---|---|---:|" + "---:|" * 7,
    ]
    for result in Record.read(RESULTS / name, tables=False).results:
        e, gain = result.estimates, result.estimates["gain"]
        errors = [f"{e[key].value:.4g}" for key in ("weak_error", "strong_error", "misfit")]
        cells = [
            result.about["supervisor"], result.about["student"],
            f"{result.facts['labelled_share']:.0%}", *errors,
            f"{gain.value:+.3g} [{gain.low:+.3g}, {gain.high:+.3g}]", f"{e['null_error'].value:.4g}",
            f"{e['ceiling_error'].value:.4g}", worth(result),
        ]  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def worth_of_encoders() -> list[str]:
    """Return a table of what the encoders' labels are worth in every set, a column for each student."""
    lines = [f"| labels of | {' | '.join(f'{name}: {who}' for name in SETS for who in MOLECULE_STUDENTS)} |"]
    lines.append("|---|" + "---:|" * (len(SETS) * len(MOLECULE_STUDENTS)))
    records = {name: Record.read(RESULTS / name, tables=False) for name in SETS}
    for encoder in dict.fromkeys(result.about["supervisor"] for result in records[SETS[0]].results):
        cells = [
            worth(records[name].result(supervisor=encoder, student=student))
            for name in SETS
            for student in MOLECULE_STUDENTS.values()
        ]
        lines.append(f"| {encoder} | {' | '.join(cells)} |")
    return lines


def page_tables() -> dict[str, dict[str, list[str]]]:
    """Return the blocks of the page on labels that exist."""
    return {"docs/weak_labels.md": {"given text": table("text"), "given molecules": worth_of_encoders()}}


def report() -> None:
    """Write the tables of both pages from the records."""
    record_page = {name: table(name) for name in ("text", *SETS)}
    write_pages({"results/given_labels/README.md": record_page, **page_tables()})


if __name__ == "__main__":
    main(__doc__, make, report)
