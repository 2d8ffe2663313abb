"""Files and folders are whole or absent, and nothing that others put there is lost."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import shutil
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from weakstrong.data.tables import read_table, write_table
from weakstrong.errors import InputError, printable
from weakstrong.storage import check_output, check_output_file, locked, output_files, output_folder
from weakstrong.whole_files import DONE, changed, fault_of, keep, kept, write_atomically, write_list


def made(out: Path, text: str = "x", **options: object) -> None:
    with output_folder(out, **options) as stage:
        (stage / "part").write_text(text)


def names(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*"))


def test_an_output_folder_is_whole_or_absent(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    with pytest.raises(RuntimeError), output_folder(out) as stage:
        (stage / "part").write_text("x")
        raise RuntimeError
    assert names(tmp_path) == []
    with output_folder(out) as stage:
        (stage / "part").write_text("x")
        assert not out.exists()
    assert names(out) == ["DONE", "part"]
    with pytest.raises(InputError, match="holds a finished run; choose another or"):
        made(out)
    with output_folder(out, overwrite=True) as stage:
        (stage / "other").write_text("y")
    assert names(tmp_path / "deep") == ["out", "out/DONE", "out/other"]


def test_only_finished_runs_are_overwritten(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years of work")
    with pytest.raises(InputError, match="no finished run"):
        made(tmp_path / "mine", overwrite=True)
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "out"):
        with pytest.raises(InputError, match="file"):
            made(path)
    assert (tmp_path / "mine" / "thesis.tex").read_text() == "years of work"


STRANGE = ["thesis.tex", ".notes", ".git/HEAD", "deep/part", "empty/", ".DS_Store", "part~"]


@pytest.mark.parametrize("strange", STRANGE)
def test_what_the_run_did_not_make_is_never_deleted(tmp_path: Path, strange: str) -> None:
    out = tmp_path / "out"
    made(out)
    path = out / strange
    if strange.endswith("/"):
        path.mkdir()
    else:
        path.parent.mkdir(exist_ok=True)
        path.write_text("years of work")
    before = names(tmp_path)
    with pytest.raises(InputError, match=r"is not of the run that is to be replaced .* move it away"):
        made(out, "y", overwrite=True)
    assert names(tmp_path) == before
    path.rename(tmp_path / "saved")
    if path.parent != out:
        path.parent.rmdir()
    made(out, "z", overwrite=True)
    assert (out / "part").read_text() == "z"


@pytest.mark.parametrize("strange", ["thesis.tex", ".git"])
def test_what_is_put_there_while_a_run_is_at_work_is_not_deleted_either(tmp_path: Path, strange: str) -> None:
    out, resumable = tmp_path / "out", {"key": "a" * 64, "overwrite": True}
    made(out)
    with pytest.raises(InputError, match="move it away"), output_folder(out, **resumable) as stage:
        (stage / "part").write_text("y")
        (out / strange).write_text("years of work")
    assert (out / strange).read_text() == "years of work"
    (out / strange).unlink()
    with output_folder(out, **resumable) as stage:
        assert (stage / "part").read_text() == "y"  # nor is the work
    assert names(tmp_path) == ["out", "out/DONE", "out/part"]


def test_folders_beside_that_only_look_staged_stay(tmp_path: Path) -> None:
    mine = [
        ".out.partial-mine",
        ".out.partial-0123456789abcdef",
        ".out.partial-replaced2",
        ".outer.partial-a",
    ]
    for name in mine:
        (tmp_path / name).mkdir()
        (tmp_path / name / "thesis.tex").write_text("years of work")
    (tmp_path / ".out.partial-file").write_text("years of work")
    made(tmp_path / "out")
    made(tmp_path / "out", overwrite=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([*mine, ".out.partial-file", "out"])
    assert all((tmp_path / name / "thesis.tex").exists() for name in mine)


def test_a_keyed_folder_outlives_an_interruption_of_the_same_run_only(tmp_path: Path) -> None:
    out = tmp_path / "out"
    for key in "aab":
        with pytest.raises(KeyboardInterrupt), output_folder(out, key * 64) as stage:
            (stage / "unit").write_text(key)
            raise KeyboardInterrupt
    with output_folder(out, "a" * 64) as stage:
        assert (stage / "unit").read_text() == "a"
    with output_folder(out, "c" * 64, overwrite=True) as stage:
        assert not list(stage.glob("[!.]*"))
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
    for key in "ab":  # a name that a pattern would read otherwise
        with suppress(KeyboardInterrupt), output_folder(tmp_path / "o[u]t", key * 64) as stage:
            (stage / "unit").touch()
            if key == "a":
                raise KeyboardInterrupt
    assert sorted(p.name for p in tmp_path.iterdir()) == ["o[u]t", "out"]


def test_a_run_that_did_nothing_leaves_no_stage(tmp_path: Path) -> None:
    with pytest.raises(InputError), output_folder(tmp_path / "new" / "out", "a" * 64):
        raise InputError("at once")
    assert names(tmp_path) == []


def test_a_link_to_a_folder_or_file_is_written_through(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "far")
    made(tmp_path / "link")
    (tmp_path / "file").symlink_to(tmp_path / "far.csv")
    with output_files(tmp_path / "file") as [file]:
        file.write_text("x")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").is_symlink()
    assert names(tmp_path / "far") == ["DONE", "part"]
    assert (tmp_path / "far.csv").read_text() == "x"


def test_a_folder_that_cannot_be_replaced_is_refused_before_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for path in (Path(), Path.cwd()):
        with pytest.raises(InputError, match=r"is the working folder, or holds it; name a folder inside it"):
            check_output(path, overwrite=False)
    with pytest.raises(InputError, match="mount point"):
        check_output(Path("/proc"), overwrite=False)
    with pytest.raises(InputError, match=r"mount point|working folder"):
        check_output(Path("/"), overwrite=False)


def test_what_cannot_be_moved_into_place_is_kept_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(self: Path, target: Path) -> None:
        raise OSError(16, "Device or resource busy")

    with pytest.raises(InputError, match="busy") as found, output_folder(tmp_path / "out") as stage:
        (stage / "part").write_text("x")
        monkeypatch.setattr(Path, "rename", busy)
    assert (Path(str(found.value).rpartition(" ")[2]) / "part").read_text() == "x"


def test_the_list_is_that_of_sha256sum_and_finds_every_change(tmp_path: Path) -> None:
    out = tmp_path / "out"
    made(out)
    assert fault_of(out) == ""
    if shutil.which("sha256sum"):
        done = subprocess.run(
            ["sha256sum", "--check", DONE], check=False, cwd=out, capture_output=True, text=True
        )
        assert (done.returncode, done.stdout) == (0, "part: OK\n")
    listed = (out / DONE).read_text()
    (out / "part").write_text("y")
    assert fault_of(out) == changed(out, "other", "part") == "part is not as it was written"
    assert fault_of(out, optional=("part",)) == "part is not as it was written"
    (out / "part").unlink()
    assert fault_of(out) == "part is missing"
    assert fault_of(out, optional=("part",)) == ""
    assert changed(out, "part", "other") == ""
    for damaged in ("", "part\n", listed[:-9], listed.splitlines()[0] + "\n", "\0" * 99):
        (out / DONE).write_text(damaged)
        assert fault_of(out) == "DONE is damaged, or of an earlier version"
    assert changed(out, "part") == ""
    (out / DONE).unlink()
    assert fault_of(out) == "DONE is missing"


def test_hidden_files_of_a_stage_are_for_a_resumed_run_alone(tmp_path: Path) -> None:
    with output_folder(tmp_path / "out", "a" * 64) as stage:
        (stage / ".unit-0").touch()
        (stage / ".partial-01234567-part").touch()
        (stage / ".more").mkdir()
        (stage / ".more" / "unit").touch()
        (stage / "part").touch()
    assert names(tmp_path) == ["out", "out/DONE", "out/part"]


def test_files_are_written_whole_or_not_at_all(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": [1.0, 2.0]})
    for name in ("t.csv", "t.csv.gz", "t.parquet"):
        with output_files(tmp_path / name) as [file]:
            write_table(frame, file)
        pd.testing.assert_frame_equal(read_table(tmp_path / name), frame)
        with pytest.raises(RuntimeError), output_files(tmp_path / f"new-{name}") as [file]:
            write_table(frame, file)
            raise RuntimeError
        with pytest.raises(InputError, match="is there already"), output_files(tmp_path / name):
            pass
    assert names(tmp_path) == ["t.csv", "t.csv.gz", "t.parquet"]
    first = (tmp_path / "t.csv.gz").read_bytes()
    with output_files(tmp_path / "t.csv.gz", overwrite=True) as [file]:
        write_table(frame, file)
    assert (tmp_path / "t.csv.gz").read_bytes() == first


def test_files_that_belong_together_appear_with_the_first_one_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, features = tmp_path / "f.rows.csv", tmp_path / "f.npy"
    order: list[str] = []
    replace = Path.replace
    monkeypatch.setattr(Path, "replace", lambda self, to: (order.append(Path(to).name), replace(self, to)))
    for _ in range(2):
        with output_files(features, rows, overwrite=True) as files:
            for file in files:
                file.write_text("x")
    assert order == ["f.rows.csv", "f.npy"] * 2
    with output_files(features, rows, overwrite=True) as [file, _]:
        file.write_text("y")
    assert names(tmp_path) == ["f.npy"]  # a table of an earlier run says nothing of this one


def test_a_file_beside_is_replaced_only_if_a_killed_run_left_it(tmp_path: Path) -> None:
    rows, features = tmp_path / "f.rows.csv", tmp_path / "f.npy"
    rows.write_text("years of work")
    with pytest.raises(InputError, match=r"f\.rows\.csv: is there already"), output_files(features, rows):
        pass
    (tmp_path / ".partial-01234567-f.npy").write_text("x")  # it was killed between the two
    with output_files(features, rows) as files:
        for file in files:
            file.write_text("y")
    assert names(tmp_path) == ["f.npy", "f.rows.csv"]
    assert rows.read_text() == "y"


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("t.xls", "must end in"), ("folder.csv", "is a folder"), ("no/t.csv", "its folder is not there"),
        ("pipe.csv", "a device"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_written_is_refused_before_work(
    tmp_path: Path, path: str, message: str
) -> None:
    (tmp_path / "folder.csv").mkdir()
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(InputError, match=message):
        check_output_file(tmp_path / path, True, ".csv")


def _hold(path: Path, ready: object, done: object) -> None:
    with locked(path):
        ready.set()
        done.wait(60)


def test_two_processes_do_not_write_one_place(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    for name, write in (("out", made), ("t.csv", lambda path: output_files(path).__enter__())):
        ready, done = context.Event(), context.Event()
        other = context.Process(target=_hold, args=(tmp_path / name, ready, done))
        other.start()
        assert ready.wait(60)
        with pytest.raises(InputError, match=f"{name}: another run is writing it"):
            write(tmp_path / name)
        assert names(tmp_path) == [f".{name}.weakstrong-lock"]
        done.set()
        other.join()
    made(tmp_path / "out")
    assert names(tmp_path) == ["out", "out/DONE", "out/part"]


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    ready, never = context.Event(), context.Event()
    other = context.Process(target=_hold, args=(tmp_path / "out", ready, never))
    other.start()
    assert ready.wait(60)
    other.kill()
    other.join()
    assert names(tmp_path) == [".out.weakstrong-lock"]
    made(tmp_path / "out")
    assert names(tmp_path) == ["out", "out/DONE", "out/part"]


def test_what_is_kept_is_believed_only_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "unit"
    assert kept(path) is None
    keep(path, b"content")
    assert kept(path) == b"content"
    sealed = path.read_bytes()
    damaged: list[Callable[[], bytes]] = [
        lambda: b"", lambda: sealed[:-1], lambda: sealed + b"x", lambda: b"content", lambda: bytes(99),
    ]  # fmt: skip
    for content in damaged:
        path.write_bytes(content())
        assert kept(path) is None
    path.unlink()
    path.mkdir()
    with pytest.raises(InputError, match=r"unit: cannot be read \(Is a directory\); remove it"):
        kept(path)


def test_writers_of_one_file_do_not_share_a_name(tmp_path: Path) -> None:
    def write(file: Path) -> None:
        write_atomically(tmp_path / "t", b"theirs")  # another writer, in the middle of this one
        file.write_bytes(b"mine")

    write_atomically(tmp_path / "t", write)
    assert (tmp_path / "t").read_bytes() == b"mine"
    assert names(tmp_path) == ["t"]


def test_a_stage_of_an_older_list_names_its_files_all_the_same(tmp_path: Path) -> None:
    """Lists once had names alone: such a run is replaced, but what it did not list is not."""
    out = tmp_path / "out"
    made(out)
    (out / DONE).write_text("part\n")
    assert fault_of(out) == "DONE is damaged, or of an earlier version"
    (out / "mine").touch()
    with pytest.raises(InputError, match="mine is not of the run"):
        made(out, overwrite=True)
    (out / "mine").unlink()
    made(out, overwrite=True)
    assert fault_of(out) == ""


def test_lists_leave_out_what_is_named(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_text(name)
    write_list(tmp_path, but=["a"])
    (tmp_path / "a").write_text("changed")
    assert fault_of(tmp_path) == ""


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain é 漢 =1", "plain é 漢 =1"), ("a\x1b[31mb", r"a\x1b[31mb"), ("a\rb\x07", r"a\rb\x07"),
        ("\x9b31m", r"\x9b31m"), ("ab\u202ecd", r"ab\u202ecd"), ("\udc80", r"\udc80"),
    ],
)  # fmt: skip
def test_control_characters_are_shown_as_escapes(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert printable(shown) == shown
    assert str(InputError(text)) == " ".join(shown.split()) if "\r" not in text else True


def test_numbers_are_not_changed_by_storage(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"x": rng.normal(size=50) * 10.0 ** rng.integers(-300, 300, 50)})
    for name in ("t.csv", "t.csv.gz", "t.parquet"):
        write_table(frame, tmp_path / name)
        back = read_table(tmp_path / name)["x"].astype(float)
        np.testing.assert_array_equal(back, frame["x"])


@pytest.mark.parametrize("name", ["../victim", "a/../../victim", "{folder}/victim"])
def test_a_list_that_names_what_is_outside_its_folder_deletes_nothing_there(
    tmp_path: Path, name: str
) -> None:
    victim = tmp_path / "victim"
    victim.write_text("years of work")
    made(tmp_path / "out")
    body = (tmp_path / "out" / DONE).read_text().split("\n", 1)[1]
    body += f"{'0' * 64}  {name.format(folder=tmp_path)}\n"
    first = f"# sha256 of the lines below: {hashlib.sha256(body.encode()).hexdigest()}\n"
    (tmp_path / "out" / DONE).write_text(first + body)
    made(tmp_path / "out", "y", overwrite=True)
    assert victim.read_text() == "years of work"


def test_a_user_s_lock_and_the_stages_of_other_outputs_stay(tmp_path: Path) -> None:
    (tmp_path / ".out.lock").write_text("mine")
    with pytest.raises(KeyboardInterrupt), output_folder(tmp_path / "out.partial-x", "a" * 64) as stage:
        (stage / "unit").touch()
        raise KeyboardInterrupt
    made(tmp_path / "out")
    assert (tmp_path / ".out.lock").read_text() == "mine"
    assert (stage / "unit").exists()


def test_links_that_go_round_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(InputError, match="loop: "):
        made(tmp_path / "loop")


def test_a_file_of_the_caller_s_own_that_is_missing_is_not_called_the_output(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="elsewhere"), output_files(tmp_path / "t.csv"):
        (tmp_path / "elsewhere").read_bytes()
    with pytest.raises(InputError, match=r"t\.csv: cannot be written"), output_files(tmp_path / "t.csv"):
        raise OSError(28, "No space left on device")
    assert names(tmp_path) == []
