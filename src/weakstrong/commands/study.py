"""The command `study`, which measures whether a student is worth having."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from weakstrong.commands.options import FORMER, Columns, Count, Paths, Switch, refuse_inputs, say

_SEVERAL = Parameter(negative="", show_default=False, consume_multiple=True)


def study(
    *,
    weak: Paths = (),
    weak_labels: Paths = (),
    weak_columns: Columns = (),
    worker: str | None = None,
    vote: Literal["mean", "majority"] | None = None,
    each_worker: Switch = False,
    strong: Paths = (),
    labels: Path | None = None,
    target: str | None = None,
    id: str | None = None,
    groups: str | None = None,
    weights: str | None = None,
    label_probability: str | None = None,
    splits: Paths = (),
    evaluate_on: Columns = (),
    test_size: float | None = None,
    seeds: Count | None = None,
    true_labels: float | None = None,
    student_rows: float | None = None,
    budget: Annotated[tuple[Count, ...], _SEVERAL] = (),
    heads: Annotated[tuple[Literal["linear", "l2", "logistic", "brier", "mixtures"], ...], _SEVERAL] = (),
    n_folds: Count | None = None,
    seed: Count | None = None,
    clip: bool | None = None,
    task: Literal["regression", "classification"] | None = None,
    smoothing: float | None = None,
    confidence: Annotated[tuple[Literal["logconf", "bootstrapping"], ...], _SEVERAL] = (),
    out: Path | None = None,
    config: Path | None = None,
    example: str | None = None,
    overwrite: Switch = False,
    supervised_fraction: Annotated[float | None, FORMER] = None,
    repeats: Annotated[Count | None, FORMER] = None,
    cv: Annotated[Count | None, FORMER] = None,
) -> None:
    """Measure, on your own frozen features, whether a student is worth having.

    The supervisor has features (--weak), and on each division of the rows its head is fitted to true labels
    on one part of the training rows and labels the other part; or its labels exist already (--weak-labels).
    The student's head is fitted to its labels. Both are judged on held-out rows with true labels, beside the
    ceiling, training directly on the true labels at hand, the mean, and the same heads without the student's
    representation.

    Example: weakstrong study --weak small.npy --strong large.npy --labels labels.csv --target y --out record

    Example: weakstrong study --weak-labels rules.csv --strong large.npz --labels few.csv --target y --id id

    Example: weakstrong study --example digits

    Parameters
    ----------
    weak
        Features of the supervisors, one file each: .npy, .npz, .csv or .parquet.
    weak_labels
        Tables of weak labels that exist already, of any origin: .csv or .parquet, with a column for each
        supervisor, or (see worker) a row for each label. An empty cell is no label.
    weak_columns
        Columns of weak labels. [default: all that have no other use]
    worker
        Column of who gave a row's label, in tables with several labels of an id, which are combined.
    vote
        How several labels are combined: mean or majority. [default: mean]
    each_worker
        Make each worker a supervisor too.
    strong
        Features of the student, or of several students, one file each.
    labels
        Table of true labels: .csv or .parquet. A row that it lacks, or whose cell is empty, has none: it is
        the student's.
    target
        Label column, if there are several.
    id
        Id column that joins the tables; without it, rows are matched by position.
    groups
        Column of groups in LABELS or, for rows that it lacks, a table of weak labels. The rows of a group
        stay on one side of every division, and are one cluster in intervals.
    weights
        Column of what each row counts for, in LABELS or, for rows that it lacks, a table of weak labels.
    label_probability
        Column in LABELS of the probability with which a row was drawn to get its true label; true labels
        weigh the inverse.
    splits
        Tables with one column per split, of train, test, other roles or empty cells, or of 0 and 1 (1 is
        held out), or of supervised, student and test, which give a division as it stands; or index files
        that ChemBench published, under their own names (.ind.pkl).
    evaluate_on
        Roles to hold out and judge on, with --splits. [default: test]
    test_size
        Share of rows held out, without --splits. [default: 0.2]
    seeds
        Number of seeds; each makes a random division (with --splits, of the training rows of each split).
        [default: 10]
    true_labels
        Training rows whose true labels teach supervisors and the direct baseline: a share of them, as far as
        they have true labels, or how many. [default: 0.5]
    student_rows
        Training rows that the student is fitted to, of the others: a share of all training rows, or how many.
        [default: all others]
    budget
        Numbers of true labels to train on directly too, to see how many the weak labels are worth.
    heads
        Class of every head: linear, or l2, a ball with cross-validated radius; where labels are classes,
        logistic, brier (least squares on a column for each class) or mixtures (of logistic heads); or
        several. [default: l2, or logistic]
    n_folds
        Number of folds of that cross-validation. [default: 5]
    seed
        Seed of divisions and folds. [default: 0]
    clip
        Draw rows to predict into about the range of the fitted rows. [default: --clip]
    task
        Whether labels are numbers or classes, where that is not plain: a few distinct whole numbers.
    smoothing
        Where labels are classes, the share of the uniform distribution that labels that give some class no
        probability are mixed with, in log loss alone. [default: 0.05]
    confidence
        Losses by which logistic students that trust themselves are fitted too, as baselines: logconf (Burns
        et al. 2023) or bootstrapping (Reed et al. 2015).
    out
        Folder for summary.json, divisions.csv, predictions.csv, figure.png and config.toml (with a budget,
        budget.csv).
    config
        TOML file with these settings (underscores for dashes); flags override it. Every record has one.
    example
        Run on data that ship with scikit-learn instead: diabetes, or digits.
    overwrite
        Replace a finished run in OUT.
    supervised_fraction
        Former name of --true-labels.
    repeats
        Former name of --seeds.
    cv
        Former name of --n-folds.
    """
    from weakstrong.errors import InputError
    from weakstrong.progress import track
    from weakstrong.report.terminal import show, study_table
    from weakstrong.storage import check_output
    from weakstrong.studies.examples import load_example
    from weakstrong.studies.files import read_inputs
    from weakstrong.studies.run import run
    from weakstrong.studies.settings import ExampleConfig, load_config

    options = {
        "test_size": test_size, "seeds": seeds, "true_labels": true_labels, "student_rows": student_rows,
        "budget": budget or None, "heads": heads or None, "n_folds": n_folds, "seed": seed, "clip": clip,
        "task": task, "smoothing": smoothing,
        "confidence": confidence or None,
        "supervised_fraction": supervised_fraction, "repeats": repeats, "cv": cv,
    }  # fmt: skip
    files = {
        "weak": weak or None, "weak_labels": weak_labels or None, "weak_columns": weak_columns or None,
        "worker": worker, "vote": vote, "each_worker": each_worker or None, "strong": strong or None,
        "labels": labels, "target": target, "id": id, "groups": groups, "weights": weights,
        "label_probability": label_probability, "splits": splits or None,
        "evaluate_on": evaluate_on or None, "out": out, "example": example,
    }  # fmt: skip
    given = {k: v for k, v in {**options, **files}.items() if v is not None}
    settled = load_config(config, given)
    if settled.out is not None:
        check_output(settled.out, overwrite)
        if not isinstance(settled, ExampleConfig):
            files_read = (*settled.weak, *settled.weak_labels, *settled.strong, *settled.splits)
            refuse_inputs(settled.out, settled.labels, *files_read)
    inputs = load_example(settled.example) if isinstance(settled, ExampleConfig) else read_inputs(settled)
    of_other_task = task is not None and (task == "classification") != bool(inputs.classes)
    if isinstance(settled, ExampleConfig) and of_other_task:
        raise InputError(f"the example {settled.example!r} is of another task: leave the task out", "task")
    settled = settled.of_task(classes=bool(inputs.classes))
    record = run(
        inputs, settled.options(), out=settled.out, overwrite=overwrite, track=track,
        settings=None if settled.out is None else settled.saved(settled.out),
    )  # fmt: skip
    show(study_table(record))
    say(f"written: {settled.out}" if settled.out else "give --out DIR to keep the record and its figure")
