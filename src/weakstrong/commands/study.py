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
    strong: Paths = (),
    labels: Path | None = None,
    target: str | None = None,
    id: str | None = None,
    groups: str | None = None,
    splits: Paths = (),
    evaluate_on: Columns = (),
    test_size: float | None = None,
    seeds: Count | None = None,
    true_labels: float | None = None,
    weak_labels: float | None = None,
    heads: Annotated[tuple[Literal["linear", "l2"], ...], _SEVERAL] = (),
    n_folds: Count | None = None,
    seed: Count | None = None,
    clip: bool | None = None,
    task: Literal["regression"] | None = None,
    out: Path | None = None,
    config: Path | None = None,
    example: str | None = None,
    overwrite: Switch = False,
    supervised_fraction: Annotated[float | None, FORMER] = None,
    repeats: Annotated[Count | None, FORMER] = None,
    cv: Annotated[Count | None, FORMER] = None,
) -> None:
    """Measure, on your own frozen features, whether a student is worth having.

    On each division of the rows, the supervisor's head is fitted to true labels on one part of the
    training rows and labels the other part; the student's head is fitted to those labels. Both are judged
    on held-out rows, beside three references: the ceiling, training directly on the true labels that the
    supervisor had, and the mean.

    Example: weakstrong study --weak small.npy --strong large.npy --labels labels.csv --target y --out record

    Example: weakstrong study --example diabetes

    Parameters
    ----------
    weak
        Features of the supervisors, one file each: .npy, .npz, .csv or .parquet.
    strong
        Features of the student, or of several students, one file each.
    labels
        Table of true labels: .csv or .parquet.
    target
        Label column, if there are several.
    id
        Id column that joins the tables; without it, rows are matched by position.
    groups
        Column of groups in LABELS. The rows of a group stay on one side of every division, and are one
        cluster in intervals.
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
        Training rows whose true labels the supervisor sees: a share of them, or how many. [default: 0.5]
    weak_labels
        Training rows that the student is fitted to, of the others: a share of all training rows, or how many.
        [default: all others]
    heads
        Class of every head: linear, or l2, a ball with cross-validated radius; or both. [default: l2]
    n_folds
        Number of folds of that cross-validation. [default: 5]
    seed
        Seed of divisions and folds. [default: 0]
    clip
        Draw rows to predict into about the range of the fitted rows. [default: --clip]
    task
        Say that a target of a few distinct integers, such as ratings, is no class.
    out
        Folder for summary.json, divisions.csv, predictions.csv, figure.png and config.toml.
    config
        TOML file with these settings (underscores for dashes); flags override it. Every record has one.
    example
        Run on data that ship with scikit-learn instead: diabetes.
    overwrite
        Replace a finished run in OUT.
    supervised_fraction
        Former name of --true-labels.
    repeats
        Former name of --seeds.
    cv
        Former name of --n-folds.
    """
    from weakstrong.progress import track
    from weakstrong.report.terminal import show, study_table
    from weakstrong.storage import check_output
    from weakstrong.studies.examples import load_example
    from weakstrong.studies.files import read_inputs
    from weakstrong.studies.run import run
    from weakstrong.studies.settings import ExampleConfig, load_config

    options = {
        "test_size": test_size, "seeds": seeds, "true_labels": true_labels, "weak_labels": weak_labels,
        "heads": heads or None, "n_folds": n_folds, "seed": seed, "clip": clip, "task": task,
        "supervised_fraction": supervised_fraction, "repeats": repeats, "cv": cv,
    }  # fmt: skip
    files = {
        "weak": weak or None, "strong": strong or None, "labels": labels, "target": target, "id": id,
        "groups": groups, "splits": splits or None, "evaluate_on": evaluate_on or None, "out": out,
        "example": example,
    }  # fmt: skip
    given = {k: v for k, v in {**options, **files}.items() if v is not None}
    settled = load_config(config, given)
    if settled.out is not None:
        check_output(settled.out, overwrite)
        if not isinstance(settled, ExampleConfig):
            refuse_inputs(settled.out, settled.labels, *settled.weak, *settled.strong, *settled.splits)
    inputs = load_example(settled.example) if isinstance(settled, ExampleConfig) else read_inputs(settled)
    record = run(
        inputs, settled.options(), out=settled.out, overwrite=overwrite, track=track,
        settings=None if settled.out is None else settled.saved(settled.out),
    )  # fmt: skip
    show(study_table(record))
    say(f"written: {settled.out}" if settled.out else "give --out DIR to keep the record and its figure")
