"""Weak error − misfit of a study, and the choice among supervisors by it, with numbers computed by hand."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from weakstrong import Record, Result, study
from weakstrong.predictions import Pair, Predictions
from weakstrong.report.terminal import study_table
from weakstrong.studies.choosing import choice_notes, choices
from weakstrong.studies.measures import measure_pair
from weakstrong.whole_files import write_list

# The truth is 0 in four rows: the supervisor's label, and the student's prediction in each row.
A = (2, [1, 1, 1, 1])  # weak error 4, misfit 1: 3; the student errs by 1
B = (3, [0, 0, 2, 2])  # weak error 9, misfit (9 + 9 + 1 + 1) / 4 = 5: 4; the student errs by 2
C = (2, [-2, -2, -2, -2])  # weak error 4, misfit 16: -12; the student errs by 4


def _table(times: int = 1, divisions: int = 1, student: str = "s", **supervisors: tuple) -> pd.DataFrame:
    """Predictions of the supervisors' students, the rows repeated, all judged by every division."""
    parts = [
        pd.DataFrame({"y_weak": float(weak), "y_strong": np.tile(strong, times).astype(float)}).assign(
            row=np.arange(4 * times), supervisor=name, division=division
        )
        for division in range(divisions)
        for name, (weak, strong) in supervisors.items()
    ]
    rest = {"split": "random", "heads": "l2", "student": student}
    zero = dict.fromkeys(("y_true", "y_ceiling", "y_direct", "y_mean"), 0.0)
    return pd.concat(parts, ignore_index=True).assign(**rest, **zero)


def _chosen(table: pd.DataFrame) -> tuple:
    """The choices, from the divisions as separate parts and in an order of their own."""
    predictions = Predictions(table)
    pairs = table[list(Pair._fields)].drop_duplicates().itertuples(index=False, name=None)
    results = [
        Result(pair._asdict(), measure_pair(predictions.of(pair))[0]) for pair in map(Pair._make, pairs)
    ]
    parts = [Predictions(part.sample(frac=1, random_state=0)) for _, part in table.groupby("division")]
    return choices([lambda part=part: part for part in parts], results)


def test_weak_error_minus_misfit_is_the_mean_of_the_differences() -> None:
    estimates, _ = measure_pair(Predictions(_table(b=B)))
    found = estimates["weak_error_minus_misfit"]  # rows: 0, 0, 8, 8
    assert found.value == pytest.approx(4)
    assert found.standard_error == pytest.approx((64 / 3 / 4) ** 0.5)
    assert found.clusters == 4
    assert found.method == estimates["gain"].method
    twice, _ = measure_pair(Predictions(_table(divisions=2, b=B)))
    assert twice["weak_error_minus_misfit"].standard_error == pytest.approx(found.standard_error)


@pytest.mark.parametrize("divisions", [1, 2])
def test_the_choice_that_is_the_best_is_compared_with_the_next(divisions: int) -> None:
    [choice] = _chosen(_table(divisions=divisions, b=B, a=A))
    assert (choice.chosen, choice.best, choice.compared_with) == ("a", "a", "b")
    excess = choice.excess_error  # rows: 1, 1, -3, -3; a row that two divisions judge counts once
    assert excess.value == pytest.approx(-1)
    assert excess.standard_error == pytest.approx((16 / 3 / 4) ** 0.5)
    assert excess.interval() == pytest.approx((-4.6747, 2.6747), abs=1e-4)
    assert str(choice).startswith(
        "weak error − misfit is least for 'a', whose student errs least too; no verdict whether less than "
        "that of 'b', the next (-1, 95% interval -4.675 to +2.675): only 4 effective clusters"
    )


def test_the_choice_that_is_not_the_best_is_compared_with_the_best() -> None:
    uneven = (2, [-2, -2.5, -2, -1.5])
    [choice] = _chosen(_table(times=10, b=B, a=A, c=uneven))
    assert (choice.chosen, choice.best, choice.compared_with) == ("c", "a", "a")
    assert choice.excess_error.value == pytest.approx((4 + 6.25 + 4 + 2.25) / 4 - 1)
    assert str(choice).startswith(
        "weak error − misfit is least for 'c', but the student of 'a' errs least; that of 'c' errs more, for "
        "these fitted models (+3.125, 95% interval +"
    )
    [choice] = _chosen(_table(times=10, b=B, d=(2, [2.1, 2, 0, 0])))  # misfit 2.0025; excess 4.41, 4, -4, -4
    assert (choice.chosen, choice.best) == ("d", "b")
    assert "'b' errs least; undecided whether that of 'd' errs more (+0.1025, 95% interval -1.2" in str(
        choice
    )


def test_each_student_has_its_choice_and_one_supervisor_is_none() -> None:
    assert _chosen(_table(a=A)) == ()
    assert choice_notes(()) == ()
    both = pd.concat([_table(a=A, b=B), _table(student="t", a=A, c=C)], ignore_index=True)
    found = _chosen(both)
    assert [(one.student, one.chosen, one.best) for one in found] == [("s", "a", "a"), ("t", "c", "a")]
    *of_each, last = choice_notes(found)
    assert [note.partition(":")[0] for note in of_each] == ["student 's'", "student 't'"]
    assert "optimistic" in last


def test_a_study_shows_it_and_keeps_it(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    strong = rng.normal(size=(90, 4))
    y = strong.sum(1) + rng.normal(size=90)
    weak = {"a": np.abs(strong[:, :2]), "b": strong[:, 1:3] ** 2}
    found = study(weak, strong, y, seeds=3)
    [choice] = found.facts["choices"]
    by_name = {r.about["supervisor"]: r.estimates for r in found.results}
    rule = {name: e["weak_error"].value - e["misfit"].value for name, e in by_name.items()}
    assert choice["chosen"] == min(rule, key=rule.__getitem__)
    for name, estimates in by_name.items():
        assert estimates["weak_error_minus_misfit"].value == pytest.approx(rule[name])
    rows = found.tables["divisions"]
    expected = rows["weak_error"] - rows["misfit"]
    np.testing.assert_allclose(rows["weak_error_minus_misfit"], expected, rtol=1e-9)
    console = Console(width=300, file=io.StringIO())
    console.print(study_table(found))
    assert "note: weak error − misfit is least for" in console.file.getvalue()
    assert "optimistic" in str(found)
    found.write(tmp_path)
    write_list(tmp_path)
    [back] = Record.read(tmp_path).facts["choices"]
    assert back["excess_error"].interval() == pytest.approx(choice["excess_error"].interval())
    assert "choices" not in study({"a": weak["a"]}, strong, y, seeds=1).facts
