"""Figures 2 and 3 as the paper lays them out: which panels, of which rows, and when there is no figure."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from weakstrong import InputError, Record
from weakstrong.paper.composite_figures import composite_figure
from weakstrong.paper.pages import check_page, write_page
from weakstrong.report.figures import plain_drawing

RESULTS = Path(__file__).parents[1] / "results"
SYNTHETIC = ("fig2a", "fig2b", "fig2c", "fig3a", "fig3b", "fig3c")


@pytest.fixture(autouse=True)
def _own_style() -> Iterator[None]:
    with plain_drawing():
        yield


def _folder(name: str) -> Path:
    return RESULTS / ("synthetic" if name in SYNTHETIC or name == "figure1" else "molecules/records") / name


def _linked(out: Path, *names: str) -> Path:
    """A folder with the records of some targets."""
    out.mkdir(exist_ok=True)
    for name in names:
        (out / name).symlink_to(_folder(name))
    return out


def _letters(figure: Figure) -> list[str]:
    return [axes.get_title()[:3] for axes in figure.axes]


def test_each_figure_has_the_panels_whose_records_are_there(tmp_path: Path) -> None:
    grid = [[Record.read(_folder(name)) for name in row] for row in (("fig2b", "fig2c"), ("fig2e",))]
    figure = composite_figure(grid)
    assert _letters(figure) == ["(b)", "(c)", "(e)"]
    titles = [axes.get_title() for axes in figure.axes]
    assert "Non-realizable (pretraining)" in titles[0]
    assert "8 layers" in titles[0]
    assert "0.05^2" in titles[1]
    assert "FreeSolv" in titles[2]
    out = _linked(tmp_path / "out", "fig3a", "figure1")
    write_page(out)
    assert [p.name for p in sorted(out.glob("*.png"))] == ["figure3.png"]
    page = (out / "README.md").read_text()
    assert "![Figure 3](figure3.png)" in page
    assert "figure2.png" not in page


def test_a_panel_of_tasks_has_one_point_for_each_task_of_the_first_seed() -> None:
    for name, sign in (("fig2a", 1), ("fig3b", -1)):
        record = Record.read(_folder(name))
        [axes] = composite_figure([[record]]).axes
        rows = record.tables["tasks"].query("seed == 0")
        [points] = axes.collections
        np.testing.assert_array_equal(points.get_offsets(), rows[["misfit", "gain"]].to_numpy())
        assert len(rows) == 100
        across, up = axes.lines[0].get_data()
        np.testing.assert_array_equal(sign * np.asarray(across), up)
    assert axes.get_title().endswith(r"$h_s$: $h^\star + \mathcal{N}(0, 0.05^2)$")  # roles swapped


@pytest.mark.parametrize("judged", ["valid+test", "test"])
def test_a_panel_of_molecules_has_the_first_division_of_each_split(judged: str) -> None:
    record = Record.read(_folder("fig2f"))
    if judged != "valid+test":
        record = replace(record, settings={**record.settings, "judge_on": judged})
    figure = composite_figure([[record]])
    [axes] = figure.axes
    rows = record.tables["tasks"].query("seed == 0 and heads == 'linear' and evaluation == @judged")
    assert len(rows) == 3 * 8
    drawn = np.concatenate([points.get_offsets() for points in axes.collections])
    assert sorted(map(tuple, drawn)) == sorted(map(tuple, rows[["misfit", "gain"]].to_numpy()))
    [legend] = figure.legends
    sizes = ["8", "12", "16", "24", "32", "48", "64", "96"]
    assert [text.get_text() for text in legend.get_texts()] == ["gain = misfit", *sizes]
    assert f"judged on {judged} rows" in axes.get_title()


def test_heads_that_interpolate_have_logarithmic_axes_and_both_lines() -> None:
    [axes] = composite_figure([[Record.read(_folder("fig2e"))]]).axes
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "symlog")
    assert len(axes.lines) == 3  # gain = ± misfit, and no gain


def test_ticks_keep_apart() -> None:
    figure = composite_figure([[Record.read(_folder(name)) for name in ("fig2a", "fig2b", "fig2c")]])
    figure.canvas.draw()
    for axes in figure.axes:
        shown = [label.get_window_extent() for label in axes.get_xticklabels() if label.get_text()]
        inside = [box for box in shown if axes.bbox.x0 - 20 <= box.x0 <= axes.bbox.x1 + 20]
        assert len(inside) >= 3
        assert all(left.x1 < right.x0 for left, right in pairwise(inside))


def test_the_same_bytes_twice(tmp_path: Path) -> None:
    out = _linked(tmp_path / "out", "fig2a", "fig2d", "fig3c")
    kept = []
    for _ in range(2):
        write_page(out)
        kept.append([(out / f"figure{number}.png").read_bytes() for number in (2, 3)])
    assert kept[0] == kept[1]


def test_a_figure_of_a_former_run_goes_with_its_last_panel(tmp_path: Path) -> None:
    out = _linked(tmp_path / "out", "figure1")
    shutil.copytree(_folder("fig3c"), out / "fig3c")
    write_page(out)
    assert (out / "figure3.png").exists()
    shutil.rmtree(out / "fig3c")
    write_page(out)
    assert list(out.glob("*.png")) == []
    assert "figure3.png" not in (out / "README.md").read_text()


def test_without_records_there_is_no_figure(tmp_path: Path) -> None:
    write_page(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["README.md"]


def test_another_s_figure_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "figure2.png").write_bytes(b"mine")
    with pytest.raises(InputError, match=r"figure2\.png: is not of this command"):
        check_page(tmp_path)
    (tmp_path / "figure2.png").unlink()
    write_page(_linked(tmp_path, "fig2c"))
    check_page(tmp_path)  # a page of ours is there, so the figure is ours too


@pytest.mark.parametrize("folder", ["synthetic", "molecules/records"])
def test_the_figures_beside_the_records_are_those_of_the_records(tmp_path: Path, folder: str) -> None:
    """The kind and size, for fonts differ from machine to machine."""
    kept = RESULTS / folder
    names = [p.name for p in kept.iterdir() if p.name.startswith("fig") and p.is_dir()]
    write_page(_linked(tmp_path / "out", *names))
    drawn = sorted((tmp_path / "out").glob("*.png"))
    assert [p.name for p in drawn] == sorted(p.name for p in kept.glob("*.png"))
    for file in drawn:
        assert file.read_bytes()[:24] == (kept / file.name).read_bytes()[:24]  # width and height
