"""Kill a command at a file operation, give it again, and compare with what an unkilled one leaves.

``python -m tests.killing`` does so at every operation of every command, which takes an hour; the suite takes
a few of each.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from secrets import token_hex

import numpy as np
import pandas as pd

# What every process of the command runs when it starts: it counts the operations that write below a folder,
# and kills all processes before the one that is named.
_HOOK = """
import os, signal, sys
_folder, _at, _log = os.environ["KILL_BELOW"], int(os.environ["KILL_AT"]), os.environ["KILL_LOG"]
_count = os.open(_log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
_writing = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_changing = {"os." + name for name in "rename remove mkdir rmdir link symlink truncate utime".split()}

def _look(event, arguments):
    if not (event in _changing or event == "open" and (arguments[2] or 0) & _writing):
        return
    if isinstance(arguments[0], int) or not os.path.abspath(os.fsdecode(arguments[0])).startswith(_folder):
        return
    os.write(_count, event.encode() + b" " + os.fsencode(arguments[0]) + b"\\n")
    with open(_log, "rb") as log:
        if len(log.read().splitlines()) == _at:
            os.killpg(0, signal.SIGKILL)

sys.addaudithook(_look)
"""


_THERE = ("is there already", "holds a finished run")


@dataclass(frozen=True)
class Case:
    """A command to kill, with its inputs and what of its output may differ."""

    arguments: list[str]
    out: str
    prepare: Callable[[Path], None]
    timed: Callable[[Path], None] = lambda out: None  # takes times out of what it left
    environment: dict[str, str] = field(default_factory=dict)


def _arrays(folder: Path) -> None:
    rng = np.random.default_rng(0)
    strong = rng.normal(size=(60, 4))
    np.save(folder / "weak.npy", strong[:, :2] ** 3)
    np.save(folder / "strong.npy", strong)
    pd.DataFrame({"y": strong.sum(1)}).to_csv(folder / "labels.csv", index=False)


def _student(folder: Path) -> None:
    from weakstrong.commands.student import fit

    _arrays(folder)
    fit(features=folder / "strong.npy", weak_labels=folder / "labels.csv", out=folder / "student")


def _molecules(folder: Path) -> None:
    (folder / "m.smi").write_text("\n".join(["CCO", "c1ccccc1", "not", "CC(=O)O"] * 8))
    shutil.copytree(Path(__file__).parents[1] / "models" / "weak-8", folder / "model")


def _without_times(out: Path) -> None:
    """Take seconds, the card that shows them and the list that sums them out of a pretrained model."""
    config = json.loads((out / "config.json").read_text())
    del config["pretraining"]["seconds"]
    (out / "config.json").write_text(json.dumps(config))
    rows = list(csv.DictReader((out / "losses.csv").open()))
    (out / "losses.csv").write_text("\n".join(str({**row, "seconds": ""}) for row in rows))
    for name in ("README.md", "DONE"):
        (out / name).unlink()


_STUDY = "study --weak weak.npy --strong strong.npy --labels labels.csv --target y --seeds 3"
_SMALL = "--set tasks=3 --set rows=30 --set width=4 --set input_dim=3"
_PRETRAIN = "pretrain --corpus m.smi --hidden 8 --layers 1 --heads 1 --epochs 40 --batch 8 --drop-invalid"
CASES = {
    "study": Case([*_STUDY.split(), "--out", "out"], "out", _arrays),
    "fit": Case("fit --features strong.npy --weak-labels labels.csv --out out".split(), "out", _arrays),
    "predict": Case("predict --model student --features strong.npy --out p.csv".split(), "p.csv", _student),
    "embed": Case(
        "embed --model model --smiles m.smi --drop-invalid --out f.npy".split(), "f.npy", _molecules
    ),
    "reproduce": Case(
        f"reproduce fig2c --seeds 2 --workers 2 --out out {_SMALL}".split(), "out", lambda folder: None
    ),
    "pretrain": Case([*_PRETRAIN.split(), "--out", "out"], "out", _molecules, _without_times),
}


def start(case: Case, folder: Path, kill_at: int = 0) -> tuple[subprocess.Popen[str], Path]:
    """Start a case in a folder; its file operations are written to the file that is returned."""
    hook = folder.parent / f"hook-{folder.name}-{token_hex(4)}"
    hook.mkdir()
    (hook / "sitecustomize.py").write_text(_HOOK)
    one_thread = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL")}
    environment = {
        **os.environ, **one_thread, "KILL_BELOW": f"{folder}{os.sep}", "KILL_AT": str(kill_at),
        "KILL_LOG": str(hook / "log"), "WEAKSTRONG_CACHE": str(folder / "cache"),
        "PYTHONPATH": os.pathsep.join([str(hook), *filter(None, [os.environ.get("PYTHONPATH")])]),
    }  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-m", "weakstrong", *case.arguments],
        cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    return process, hook / "log"


def run(case: Case, folder: Path, kill_at: int = 0) -> tuple[int, list[str]]:
    """Run a case in a folder; return the exit code and its file operations."""
    process, log = start(case, folder, kill_at)
    _, said = process.communicate(timeout=300)
    is_there = any(words in said for words in _THERE)  # it was killed when all was in place
    if process.returncode not in (0, -9) and not is_there:
        raise AssertionError(f"{case.arguments[0]} killed at {kill_at}: {process.returncode}\n{said}")
    return process.returncode, log.read_text().splitlines() if log.exists() else []


def twice_at_once(case: Case, root: Path, other: Case | None = None) -> list[str]:
    """Run a case twice in one folder at a time, or beside another one; return what is wrong with the end."""
    inputs, both = root / "inputs", root / "both"
    inputs.mkdir(parents=True)
    case.prepare(inputs)
    whole = []
    for place, each in enumerate((case, other or case)):
        shutil.copytree(inputs, root / f"whole-{place}")
        assert run(each, root / f"whole-{place}")[0] == 0
        whole.append(content(each, root / f"whole-{place}"))
    shutil.copytree(inputs, both)
    processes = [start(each, both)[0] for each in (case, other or case)]
    said = [process.communicate(timeout=300)[1] for process in processes]
    codes = [process.returncode for process in processes]
    faults = [] if content(case, both) in whole else ["what is left is what neither would leave"]
    if 0 not in codes:
        faults.append(f"none was whole: {said}")
    for code, text in zip(codes, said, strict=True):
        lines = [line for line in text.splitlines() if line.startswith("weakstrong: ")]
        is_clear = len(lines) == 1 and any(words in text for words in ("another run is writing it", *_THERE))
        if code and not (code == 2 and is_clear):
            faults.append(f"{code}: {text}")
    return faults


def content(case: Case, folder: Path) -> dict[str, bytes]:
    """Return all that a case left in its folder but the cache, without times."""
    case.timed(folder / case.out)
    files = [p for p in folder.rglob("*") if p.is_file() and "cache" not in p.relative_to(folder).parts]
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in files}


def kill_and_repeat(
    case: Case, root: Path, places: Callable[[int], list[int]]
) -> Iterator[tuple[str, list[str]]]:
    """Kill a case at some operations and give it again; yield each operation and the files that differ."""
    inputs = root / "inputs"
    inputs.mkdir(parents=True)
    case.prepare(inputs)
    whole = root / "whole"
    shutil.copytree(inputs, whole)
    code, operations = run(case, whole)
    assert code == 0
    expected = content(case, whole)
    for at in places(len(operations)):
        cut = root / f"cut-{at}"
        shutil.copytree(inputs, cut)
        killed, log = run(case, cut, at)
        if killed == 0:  # processes at work side by side need fewer operations now and then
            continue
        run(case, cut)
        found = content(case, cut)
        names = sorted(expected.keys() | found.keys())
        yield log[-1].replace(str(cut), ""), [n for n in names if expected.get(n) != found.get(n)]
        shutil.rmtree(cut)


def other_settings(case: Case) -> Case:
    """The same command with another seed, where it has one."""
    return replace(case, arguments=[*case.arguments, "--seed", "1"])


def main() -> None:
    """Kill every case, or those named, at every n-th operation, and run each twice at once; report."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("names", nargs="*", default=list(CASES))
    parser.add_argument("--every", type=int, default=1, help="n")
    options = parser.parse_args()
    for name in options.names:
        case = CASES[name]
        with tempfile.TemporaryDirectory() as folder:
            root, kills, faults = Path(folder).resolve(), 0, 0
            for operation, differing in kill_and_repeat(
                case, root / "kill", lambda total: list(range(1, total + 1, options.every))
            ):
                kills += 1
                faults += bool(differing)
                if differing:
                    print(f"{name}: killed before {operation}: differs in {differing}", flush=True)
            print(f"{name}: {kills} kills, {faults} with another result", flush=True)
            others = [None] if name in ("predict", "embed") else [None, other_settings(case)]
            wrong = [
                twice_at_once(case, root / f"{time}-{place}", other)
                for time in range(5)
                for place, other in enumerate(others)
            ]
            print(f"{name}: {len(wrong)} times twice at once, {sum(map(bool, wrong))} wrong", flush=True)
            print("\n".join(fault for faults in wrong for fault in faults))


if __name__ == "__main__":
    main()
