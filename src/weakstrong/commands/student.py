"""The commands `fit` and `predict`, for a student of weak labels from any source."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from weakstrong.commands.options import FORMER, Columns, Count, Switch, refuse_inputs, say, under_present_name
from weakstrong.errors import InputError, counted


def fit(
    *,
    features: Path,
    weak_labels: Path,
    out: Path,
    target: Columns = (),
    id: str | None = None,
    weights: str | None = None,
    groups: str | None = None,
    worker: str | None = None,
    vote: Literal["mean", "majority"] = "mean",
    heads: Literal["linear", "l2", "logistic", "brier"] | None = None,
    n_folds: Count | None = None,
    seed: Count = 0,
    clip: bool = True,
    task: Literal["regression", "classification"] | None = None,
    overwrite: Switch = False,
    cv: Annotated[Count | None, FORMER] = None,
) -> None:
    """Fit a student to weak labels from any source: a model, a rule, a person.

    Rows without a weak label (an empty cell, or an id that the table lacks) are predicted but not fitted.
    OUT gets head.npz, model.json, predictions.csv and, last, DONE.

    Example: weakstrong fit --features features.npy --weak-labels labels.csv --target y --out student

    Parameters
    ----------
    features
        Frozen features: .npy, .npz (array `features`, optional `ids`), .csv or .parquet.
    weak_labels
        Table with the weak labels: .csv or .parquet.
    out
        Folder to make.
    target
        Label columns; needed if the table has several.
    id
        Id column that joins both tables; without it, rows are matched by position.
    weights
        Column of row weights in the table of labels.
    groups
        Column of groups; the rows of a group stay in one fold.
    worker
        Column of who gave a row's label, where an id has several labels; they are combined.
    vote
        How they are combined.
    heads
        Class of heads: linear, or l2, a ball with its radius chosen by cross-validation; where labels are
        classes, logistic, or brier, which is least squares on a column for each class, both in such a ball.
        [default: l2, or logistic]
    n_folds
        Number of folds of the cross-validation. [default: 5]
    seed
        Seed of the folds.
    clip
        Draw rows to predict into about the range of the fitted rows.
    task
        Whether labels are numbers or classes, where that is not plain: a few distinct whole numbers.
    overwrite
        Replace a finished run in OUT.
    cv
        Former name of --n-folds.
    """
    from weakstrong.data.tables import write_table
    from weakstrong.report.terminal import show, student_table
    from weakstrong.saved_model import fit_files
    from weakstrong.storage import output_folder

    folds = under_present_name("n_folds", n_folds, "cv", cv)
    folds = 5 if folds is None else folds
    if folds < 2:
        raise InputError(f"{folds} folds: at least 2 are needed", "n_folds")
    refuse_inputs(out, features, weak_labels)
    with output_folder(out, overwrite=overwrite) as stage:
        student, predictions, labels = fit_files(
            features, weak_labels, targets=target, id_column=id, weights=weights, groups=groups,
            heads=heads, n_folds=folds, seed=seed, task=task, clip=clip, worker=worker, vote=vote,
        )  # fmt: skip
        student.save(stage)
        write_table(predictions, stage / "predictions.csv")
    show(student_table(student, labels.notes))
    say(f"written: {out}")


def predict(
    *, model: Path, features: Path, out: Path, id: str | None = None, overwrite: Switch = False
) -> None:
    """Predict the rows of a feature file with a fitted student.

    Example: weakstrong predict --model student --features new.npy --out predictions.csv

    Parameters
    ----------
    model
        Folder that `weakstrong fit` made.
    features
        Features of the same representation: .npy, .npz, .csv or .parquet.
    out
        Table to write: .csv, .csv.gz or .parquet. Ids are written as they are: a spreadsheet takes one that
        begins with = for a formula.
    id
        Id column in the table of features.
    overwrite
        Replace OUT if it is there.
    """
    from weakstrong.data.tables import TABLES, read_features, write_table
    from weakstrong.saved_model import Student
    from weakstrong.storage import check_output_file, output_files

    check_output_file(out, overwrite, *TABLES)
    refuse_inputs(out, features)
    with output_files(out, overwrite=overwrite) as [file]:
        matrix = read_features(features, id)
        if id is not None and matrix.ids is None:
            raise InputError(f"{features}: holds no ids, so leave --id out (or save an .npz with `ids`)")
        predictions = Student.load(model).predict(matrix)
        write_table(predictions, file)
    say(f"written: {out} ({counted(len(predictions), 'row')})")
