"""The command `measure`, for predictions from anywhere."""

from __future__ import annotations

from pathlib import Path

from weakstrong.commands.options import Columns, Switch, refuse_inputs, say


def measure(
    table: Path,
    *,
    truth: str = "y_true",
    weak: Columns = (),
    strong: Columns = (),
    ceiling: str | None = None,
    groups: str | None = None,
    weights: str | None = None,
    label_probability: str | None = None,
    out: Path | None = None,
    overwrite: Switch = False,
) -> None:
    """Measure gain, misfit and cross term from a table of predictions that you have.

    Nothing is fitted. Rows may lack a truth, or a weak label (an empty cell): the gain is of the rows that
    have both, and the misfit of all rows that have a weak label is given too. In the predictions of a record
    of `study`, every class of heads, student and supervisor is measured on its own.

    Example: weakstrong measure record/predictions.csv

    Example: weakstrong measure judged.csv --truth y --weak rule person --strong model --groups user
    --out gain.json

    Parameters
    ----------
    table
        Predictions, one row for each thing that is predicted: .csv, .csv.gz or .parquet.
    truth
        Column of true labels: real numbers, or classes as 0 and 1.
    weak
        Columns of the supervisors' labels. [default: y_weak]
    strong
        Columns of the students' predictions. [default: y_strong]
    ceiling
        Column of predictions of a model fitted to true labels. [default: y_ceiling, if it is there]
    groups
        Column of groups; the rows of a group are one cluster in intervals. [default: cluster or row, if one
        is there]
    weights
        Column of row weights. [default: in predictions of a study, weight, if it is there]
    label_probability
        Column of probabilities with which rows were drawn to get their true label; each row's weight is
        divided by its own. [default: in predictions of a study, probability, if it is there]
    out
        File of estimates to write: .json, or a table, .csv, .csv.gz or .parquet.
    overwrite
        Replace OUT if it is there.
    """
    from weakstrong.data.prediction_tables import read_predictions, write_measured
    from weakstrong.data.tables import TABLES
    from weakstrong.report.terminal import measured_table, show
    from weakstrong.storage import check_output_file, output_files
    from weakstrong.studies.findings import cluster_notes, with_verdicts

    if out is not None:
        check_output_file(out, overwrite, ".json", *TABLES)
        refuse_inputs(out, table)
    read = read_predictions(
        table, truth=truth, weak=weak or ("y_weak",), strong=strong or ("y_strong",), ceiling=ceiling,
        groups=groups, weights=weights, label_probability=label_probability,
    )  # fmt: skip
    results = tuple(with_verdicts(result) for result in read.measured())
    if out is not None:
        with output_files(out, overwrite=overwrite) as [file]:
            write_measured(read, results, file)
    show(measured_table(str(table), results, (*read.notes, *cluster_notes(results))))
    say(f"written: {out}" if out is not None else "give --out FILE to keep the estimates")
