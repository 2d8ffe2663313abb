"""One row, cluster or division on which a study rests is told, ordinary data are left alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from weakstrong import Record, study
from weakstrong.predictions import Predictions
from weakstrong.studies.influence import exploded_divisions, influences, with_explosions
from weakstrong.studies.inputs import Split, StudyInputs
from weakstrong.studies.remarks import remarks
from weakstrong.studies.run import run
from weakstrong.studies.settings import StudyOptions

NOISE = {"weak": 1.0, "strong": 0.7, "ceiling": 0.4, "class": 0.5, "direct": 0.6}


def _table(rng: np.random.Generator, rows: int = 120, divisions: int = 5) -> pd.DataFrame:
    """Predictions with Gaussian errors: half of the rows are judged in each division."""
    truth = rng.normal(size=rows) * 2
    parts = []
    for number in range(divisions):
        judged = np.sort(rng.choice(rows, rows // 2, replace=False))
        said = {f"y_{fit}": truth[judged] + s * rng.normal(size=len(judged)) for fit, s in NOISE.items()}
        known = {"split": "random", "division": number, "row": judged, "y_true": truth[judged], "y_mean": 0.0}
        parts.append(pd.DataFrame(known | said))
    return pd.concat(parts, ignore_index=True)


def _divisions(table: pd.DataFrame) -> pd.DataFrame:
    """The errors by division, as a study's table has them."""
    losses = Predictions(table).losses()
    errors = [name for name in losses if name.endswith("_error")]
    rows = losses.groupby(["split", "division"], sort=False)[errors].mean().reset_index()
    return with_explosions(rows.assign(heads="l2", student="s", supervisor="w"))


def _deciding(table: pd.DataFrame) -> set[tuple[str, str]]:
    found = influences(Predictions(table))
    return {(name, unit) for name, units in found.items() for unit, one in units.items() if one.decides}


def test_a_row_counts_once_with_all_its_divisions() -> None:
    table = _table(np.random.default_rng(0))
    table.loc[table["row"] == 17, "y_strong"] += [25.0, -30.0, 20.0, 28.0, 22.0][: (table["row"] == 17).sum()]
    found = influences(Predictions(table))
    mine = table["row"] == 17
    assert mine.sum() > 1
    values = (table["y_weak"] - table["y_true"]) ** 2 - (table["y_strong"] - table["y_true"]) ** 2
    one = found["gain"]["row"]
    assert one.decides
    assert one.name == {"row": 17}
    assert one.value == pytest.approx(values.mean())
    assert one.without == pytest.approx(values[~mine].mean())
    assert one.share == pytest.approx(values[mine].sum() / abs(values.sum()))
    low, high = one.interval
    assert low < one.without < high
    far = (table["y_strong"] - table["y_true"]).abs()[mine].idxmax()
    expected = {"fit": "strong", "predicted": table["y_strong"][far], "truth": table["y_true"][far]}
    assert one.seen.items() >= (expected | {"division": table["division"][far]}).items()
    assert found["strong_error"]["row"].decides
    assert found["strong_error"]["row"].share > 0.5
    for name in ("weak_error", "ceiling_error", "direct_error"):
        assert not found[name]["row"].decides
    lines = remarks(found, _divisions(table))
    assert lines[0].startswith(f"one row decides the gain: row 17 makes it {one.value:+.4g}; without it ")
    assert f"the student predicted {table['y_strong'][far]:.4g} there for {one.seen['truth']:.4g}" in lines[0]
    assert lines[1].startswith("the same row decides the gain over training directly")
    assert lines[-1].startswith(
        f"one row makes up {found['strong_error']['row'].share:.0%} of the error of the s"
    )


def test_a_gain_that_is_one_rows() -> None:
    """Where the supervisor is far out on one row, that row is most of the gain."""
    table = _table(np.random.default_rng(1), rows=200, divisions=1)
    row = table["row"][40]
    table.loc[40, ["y_true", "y_weak", "y_strong"]] = [-2.18, -19.2, -2.5]
    found = influences(Predictions(table))
    assert found["gain"]["row"].name == {"row": row}
    [line, *_] = remarks(found, _divisions(table))
    share = found["gain"]["row"].share
    assert 0.5 < share < 1
    assert f"row {row} is {share:.0%} of it; without it +" in line
    assert line.endswith("; the supervisor predicted -19.2 there for -2.18")


def test_one_division_among_several_but_not_among_three() -> None:
    rng = np.random.default_rng(2)
    for divisions in (3, 8):
        table = _table(rng, divisions=divisions)
        table.loc[table["division"] == 1, "y_ceiling"] += 15 * rng.normal(size=60)
        table.loc[table["division"] == 1, "y_strong"] += 15 * rng.normal(size=60)
        rows = _divisions(table)
        assert list(rows["exploded"][rows["exploded"] != ""]) == ["strong ceiling"]
        expected = {"weak": 0, "strong": 1, "ceiling": 1, "class": 0, "direct": 0}
        assert exploded_divisions(rows) == expected
        assert (("gain", "division") in _deciding(table)) == (divisions > 3)
        lines = remarks(influences(Predictions(table)), rows)
        [line] = [line for line in lines if line.startswith("exploded")]
        worst = rows.loc[1]
        assert line == (
            f"exploded: the student in 1 of {divisions} divisions (errs by {worst['strong_error']:.4g} where "
            f"the mean errs by {worst['mean_error']:.4g}); the ceiling in 1 (errs by "
            f"{worst['ceiling_error']:.4g} where the mean errs by {worst['mean_error']:.4g})"
        )
        if divisions > 3:
            assert lines[0].startswith(
                "one division decides the gain: division 1 of split 'random' makes it -"
            )
            assert len(lines) == 3  # that one division is most of the error is said already


def test_a_cluster_is_blamed_where_no_row_is_and_never_for_its_size() -> None:
    rng = np.random.default_rng(3)
    table = _table(rng)
    table["cluster"] = table["row"] // 6
    table.loc[table["cluster"] == 7, "y_strong"] += 8.0
    found = influences(Predictions(table))
    assert found["gain"]["cluster"].name == {"cluster": 7}
    assert found["gain"]["cluster"].decides
    assert not found["gain"]["row"].decides
    assert remarks(found, _divisions(table))[0].startswith("one cluster decides the gain: cluster 7 makes it")
    for seed in range(10):
        even = _table(np.random.default_rng(seed))
        even["cluster"] = np.where(even["row"] < 70, "most", even["row"].astype(str))
        errors = (even["y_strong"] - even["y_true"]) ** 2
        assert errors[even["cluster"] == "most"].sum() > errors.sum() / 2
        assert _deciding(even) == set()


def test_ordinary_errors_are_left_alone() -> None:
    """In a few of a hundred single divisions of a hundred rows a row does decide a gain that is near zero."""
    rng = np.random.default_rng(4)
    assert sum(bool(_deciding(_table(rng))) for _ in range(60)) <= 1
    assert sum(bool(_deciding(_table(rng, rows=200, divisions=1))) for _ in range(60)) <= 4


def test_labels_near_the_mean_in_one_division_make_no_explosion() -> None:
    table = _table(np.random.default_rng(5))
    change = table["y_true"].where(table["division"] == 0, 0.0) * 0.99
    names = ["y_true", *(f"y_{fit}" for fit in NOISE)]
    table[names] = table[names].sub(change, axis=0)
    rows = _divisions(table)
    assert rows["weak_error"][0] > 3 * rows["mean_error"][0]
    assert set(rows["exploded"]) == {""}


def test_rounding_and_units_make_no_difference() -> None:
    table = _table(np.random.default_rng(6))
    table["y_strong"] = table["y_weak"] * (1 + 1e-15)
    table.loc[3, "y_strong"] *= 1 + 1e-12
    assert not {name for name in _deciding(table) if name[0] == "gain"}
    planted = _table(np.random.default_rng(0))
    planted.loc[planted["row"] == 17, "y_strong"] += 25.0
    numbers = [name for name in planted if name.startswith("y_")]
    for unit in (2.0**-400, 2.0**400):
        other = planted.assign(**{name: planted[name] * unit for name in numbers})
        assert _deciding(other) == _deciding(planted) != set()


@pytest.fixture
def inputs() -> StudyInputs:
    """A student with a column that is far out on one row, which no fit has seen."""
    rng = np.random.default_rng(7)
    strong = rng.normal(size=(160, 5))
    y = strong[:, :4].sum(1) + rng.normal(size=160)
    strong[140, 4] = 1e4
    ids = np.array(["C\x1b[31mO\n" if i == 140 else f"id {i}" for i in range(160)])
    split = Split("by \x07hand", np.arange(100), np.arange(100, 160))
    return StudyInputs({"w": np.abs(strong[:, :2])}, {"s": strong}, y, ids=ids, splits=(split,))


def test_what_decides_a_study_is_in_its_record_and_said(inputs: StudyInputs, tmp_path: Path) -> None:
    options = StudyOptions(heads=("linear", "l2"), seeds=4, clip=False)
    found = run(inputs, options, out=tmp_path / "record")
    back = Record.read(tmp_path / "record")
    for one, other in zip(found.results, back.results, strict=True):
        assert one.facts == other.facts
        assert one.findings == other.findings
        told = one.facts["influence"]["strong_error"]["row"]
        assert told["decides"]
        assert (told["row"], told["id"], told["truth"]) == (140, "C\x1b[31mO\n", inputs.y[140])
        assert one.facts["exploded_divisions"]["strong"] > 0
        assert one.facts["exploded_divisions"]["weak"] == 0
        said = "\n".join(one.findings)
        assert r"row 140 (id 'C\x1b[31mO\n')" in said
        assert "exploded: the student in" in said
        assert "at the student's radius" not in said  # where the ceiling is told of
        assert len(one.findings) <= 4 + 5
        assert all(line.isprintable() for line in one.findings)
    rows = back.tables["divisions"]
    pd.testing.assert_series_equal(rows["exploded"], found.tables["divisions"]["exploded"])
    assert "strong" in rows["exploded"][0].split()
    in_memory = run(inputs, options)
    assert [r.facts for r in in_memory.results] == [r.facts for r in found.results]
    assert "row 140" in str(back)


def test_radii_and_ranks_of_all_fits(inputs: StudyInputs) -> None:
    untrained = {"s": np.random.default_rng(0).normal(size=(1, 160, 3))}
    given = StudyInputs(**vars(inputs) | {"untrained": untrained})
    rows = run(given, StudyOptions(heads=("linear", "l2"), seeds=1)).tables["divisions"].set_index("heads")
    for fit, rank in {"weak": 2, "strong": 5, "direct": 5, "untrained": 3}.items():
        assert (rows[f"{fit}_rank"] == rank).all()
    for fit in ("weak", "strong", "ceiling", "direct", "untrained"):
        assert rows[f"{fit}_radius"].isna().to_dict() == {"linear": True, "l2": False}
    assert not [
        name for name in run(inputs, StudyOptions(seeds=1)).tables["divisions"] if "untrained" in name
    ]


def test_a_plain_study_says_nothing_of_the_kind() -> None:
    rng = np.random.default_rng(8)
    strong = rng.normal(size=(300, 4))
    y = strong.sum(1) + rng.normal(size=300)
    found = study({"w": np.abs(strong[:, :2]), "part": strong[:, :2]}, strong, y, heads="linear", seeds=5)
    words = ("one row", "one division", "exploded", "same row")
    assert not [line for r in found.results for line in r.findings if line.startswith(words)]
    assert set(found.results[0].facts["influence"]) >= {"gain", "gain_over_direct", "ceiling_error"}


def test_features_without_effect_and_clipped_values_are_noted() -> None:
    rng = np.random.default_rng(9)
    strong = rng.normal(size=(160, 5))
    y = strong.sum(1) + rng.normal(size=160)
    strong[:, 4] *= 1e-9
    strong = strong.astype(np.float32)
    plain = study({"w": strong[:, :4]}, {"s": strong}, y, heads="linear", seeds=2)
    assert plain.notes == ("student 's': 1 feature without effect, for varying by rounding alone",)
    moved = strong.copy()
    moved[100:, 0] += 50.0
    split = {"far": (np.arange(100), np.arange(100, 160))}
    notes = study({"w": strong[:, 1:4]}, {"s": moved}, y, heads="linear", splits=split, seeds=2).notes
    [line] = [note for note in notes if "are far outside the range" in note]
    assert line.startswith(
        "student 's': in 2 of 2 divisions held-out rows are unlike the fitted ones: up to 25% "
    )
    wide = np.hstack([strong[:, :4], rng.normal(size=(160, 30))])
    wide[100:, 7] = 1e3  # a share of 3%, all of one feature
    found = study({"w": wide}, {"s": strong[:, :4]}, y, heads="l2", splits=split, seeds=2)
    rows = found.tables["divisions"]
    np.testing.assert_allclose(rows["weak_clipped"], 1 / 34)
    assert rows["weak_unlike"].all()
    assert not rows["strong_unlike"].any()
    assert any(note.startswith("supervisor 'w': in 2 of 2 divisions") for note in found.notes)
