"""The command `measure`, for predictions from anywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from weakstrong.commands.options import Columns, Switch, refuse_inputs, say


def measure(
    table: Path,
    *,
    truth: str = "y_true",
    weak: Columns = (),
    strong: Columns = (),
    direct: str | None = None,
    ceiling: str | None = None,
    groups: str | None = None,
    weights: str | None = None,
    label_probability: str | None = None,
    task: Literal["regression", "classification"] | None = None,
    divergence: Literal["squared", "brier", "log", "zero-one"] | None = None,
    smoothing: float = 0.05,
    figure: Path | None = None,
    out: Path | None = None,
    overwrite: Switch = False,
) -> None:
    """Measure gain, misfit and cross term from a table of predictions that you have.

    Nothing is fitted. Labels are numbers, in squared error, or classes, in accuracy, Brier score and log
    loss: then a name stands for a column, or for one of probabilities for each class, NAME[class], or, of two
    classes, for one of the probability of the second. Rows may
    lack a truth, or a weak label (an empty cell): the gain is of the rows that have both, and the misfit of
    all rows that have a weak label is given too. In the predictions of a record of `study`, every class of
    heads, student and supervisor is measured on its own.

    Example: weakstrong measure record/predictions.csv

    Example: weakstrong measure said.csv --truth label --weak llm --strong student --figure said.png

    Example: weakstrong measure said.csv --truth label --weak llm --strong student --divergence log

    Example: weakstrong measure judged.csv --truth y --weak rule person --strong model --groups user
    --out gain.json

    Parameters
    ----------
    table
        Predictions, one row for each thing that is predicted: .csv, .csv.gz or .parquet.
    truth
        Column of true labels: numbers, or classes.
    weak
        Columns of the supervisors' labels. [default: y_weak]
    strong
        Columns of the students' predictions. [default: y_strong]
    direct
        Column of predictions of a model fitted to the true labels at hand. [default: y_direct, if it is
        there]
    ceiling
        Column of predictions of a model fitted to true labels where the student was fitted to weak ones.
        [default: y_ceiling, if it is there]
    groups
        Column of groups; the rows of a group are one cluster in intervals. [default: cluster or row, if one
        is there]
    weights
        Column of row weights. [default: in predictions of a study, weight, if it is there]
    label_probability
        Column of probabilities with which rows were drawn to get their true label; each row's weight is
        divided by its own. [default: in predictions of a study, probability, if it is there]
    task
        Whether labels are numbers or classes. [default: classes if the truth is text or true and false, if
        there are probabilities NAME[class], or if they are a few whole numbers]
    divergence
        The loss to show in full, with intervals: squared of numbers; brier, log or zero-one (accuracy) of
        classes. OUT has them all. [default: squared; of classes accuracies and Brier scores]
    smoothing
        Of classes: the share of the uniform distribution that labels that give some class no probability are
        mixed with, in log loss alone.
    figure
        Picture of calibration to write, of classes: .png.
    out
        File of estimates to write: .json, or a table, .csv, .csv.gz or .parquet.
    overwrite
        Replace OUT, and FIGURE, if they are there.
    """
    from weakstrong.data.prediction_files import read_predictions
    from weakstrong.data.prediction_tables import write_measured
    from weakstrong.data.tables import TABLES
    from weakstrong.divergence import task_of_loss
    from weakstrong.errors import InputError
    from weakstrong.report.figures import reliability_picture
    from weakstrong.report.measured import measured_table
    from weakstrong.report.terminal import show
    from weakstrong.storage import check_output_file, output_files
    from weakstrong.studies.findings import cluster_notes, with_verdicts

    if out is not None:
        check_output_file(out, overwrite, ".json", *TABLES)
        refuse_inputs(out, table)
    if figure is not None:
        check_output_file(figure, overwrite, ".png", setting="figure")
        refuse_inputs(figure, table)
    read = read_predictions(
        table, truth=truth, weak=weak or ("y_weak",), strong=strong or ("y_strong",), direct=direct,
        ceiling=ceiling, groups=groups, weights=weights, label_probability=label_probability,
        task=task_of_loss(divergence, task), smoothing=smoothing,
    )  # fmt: skip
    if figure is not None and not read.classes:
        raise InputError(f"{table}: labels are numbers, and a picture of calibration is of classes", "figure")
    results = tuple(with_verdicts(result) for result in read.measured())
    if out is not None:
        with output_files(out, overwrite=overwrite) as [file]:
            write_measured(read, results, file)
    if figure is not None:
        with output_files(figure, overwrite=overwrite) as [file]:
            file.write_bytes(reliability_picture(read.pictured(), read.classes))
        say(f"written: {figure}")
    notes = *read.notes, *cluster_notes(results)
    show(measured_table(str(table), results, notes, divergence=divergence))
    say(f"written: {out}" if out is not None else "give --out FILE to keep the estimates")
