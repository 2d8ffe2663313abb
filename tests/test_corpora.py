"""SMILES from files, corpora by name, molecules that two sets share."""

from __future__ import annotations

import gzip
import hashlib
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pandas as pd
import pytest

from weakstrong.data.downloads import Published
from weakstrong.errors import InputError
from weakstrong.molecules import chembench, corpora
from weakstrong.molecules.chembench import SETS, load_chembench
from weakstrong.molecules.corpora import read_corpus, read_smiles
from weakstrong.molecules.leakage import LEVELS, leakage

SMILES = ["CCO", "c1ccccc1", "C[C@H](N)C(=O)O"]


def written(folder: Path, name: str, smiles: list[str]) -> Path:
    path = folder / name
    frame = pd.DataFrame({"id": range(len(smiles)), "Canonical_SMILES": smiles})
    if ".smi" in name or ".txt" in name:
        text = "".join(f"{s} CHEMBL{i}\n" for i, s in enumerate(smiles)) + "\n"
        path.write_bytes(gzip.compress(text.encode()) if name.endswith("gz") else text.encode())
    elif name.endswith(".parquet"):
        frame.to_parquet(path)
    else:
        frame.to_csv(path, index=False)
    return path


@pytest.mark.parametrize("name", ["a.smi", "a.smi.gz", "a.txt", "a.csv", "a.csv.gz", "a.parquet"])
def test_every_kind_of_file_is_read(tmp_path: Path, name: str) -> None:
    path = written(tmp_path, name, SMILES)
    assert read_smiles(path).smiles == SMILES
    assert read_smiles(path, limit=2).smiles == SMILES[:2]
    corpus = read_corpus(str(path))
    assert (corpus.smiles, corpus.name, corpus.dropped) == (SMILES, name, {})
    assert corpus.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("name", ["a.smi", "a.csv.gz"])
@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("C1CC", "invalid"),
        ("[Na+].[Cl-]", "outside the vocabulary"),
        ("C" * 127, "too long"),
        ("C(" * 20_000 + "C" + ")" * 20_000, "too large to be parsed safely"),
    ],
)
def test_what_cannot_be_used_is_refused_by_row_and_text_or_dropped_and_counted(
    tmp_path: Path, name: str, bad: str, reason: str
) -> None:
    path = written(tmp_path, name, ["CCO", bad, "CC", bad])
    with pytest.raises(InputError) as error:
        read_corpus(str(path))
    for part in (str(path), "row 1 (counted from 0)", bad[:40], "1 more", "leave such rows out"):
        assert part in str(error.value)
    corpus = read_corpus(str(path), drop_invalid=True)
    assert corpus.smiles == ["CCO", "CC"]
    assert corpus.dropped == {reason: 2}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.smi", b"", "holds no SMILES"),
        ("a.smi", b"\xff\xfe\x00", "row 0"),
        ("a.smi", b"CCO\n" * 100 + b"\xff\n", "row 100"),
        ("a.csv", b"smiles\nCCO\n\nC\n", "row 1 .*: '': empty"),
        ("a.csv", b"id,smiles\n1,CCO\n2,CCO CCC\n", "row 1 .*white space"),
        ("a.smi.gz", b"not gzip", "cannot be read"),
        ("a.smi.gz", gzip.compress(b"CCO\n" * 99, mtime=0)[:-12], "cannot be read"),
        ("a.csv", b"name\nCCO\n", "no column has 'smiles'"),
        ("a.csv", b"smiles,smiles2\nC,C\n", "several columns"),
        ("a.pkl", b"", "SMILES are read from"),
        ("a.smi", b"bad\nworse\n", "row 0"),
        ("a.smi", b"SMILES name\nCCO ethanol\n", r"row 0 .*a header\? leave it out"),
        ("a.smi", b"CCO\n" + b"C" * 5000 + b"\n", r"row 1 .{0,130}5000 tokens"),
        ("a.csv", gzip.compress(b"smiles\nCCO\n", mtime=0), r"name it \.csv\.gz"),
    ],
)
def test_other_files_are_one_line(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError, match=message) as error:
        read_corpus(str(path))
    assert "\n" not in str(error.value)
    assert str(path) in str(error.value)
    with pytest.raises(InputError, match=r"none\.smi"):
        read_corpus(str(tmp_path / "none.smi"))


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Files of a folder at an address of this machine, and an empty cache."""
    folder = tmp_path / "served"
    folder.mkdir()
    monkeypatch.setenv("WEAKSTRONG_CACHE", str(tmp_path / "cache"))
    handler = partial(
        type("Quiet", (SimpleHTTPRequestHandler,), {"log_message": lambda *_: None}), directory=folder
    )
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield folder, f"http://127.0.0.1:{running.server_port}/"
        running.shutdown()


def test_a_named_corpus_is_downloaded_once_and_checked(server, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, address = server
    path = written(folder, "train.smi", SMILES)
    md5 = hashlib.md5(path.read_bytes()).hexdigest()
    monkeypatch.setitem(corpora.NAMED, "guacamol", Published(address + "train.smi", f"md5:{md5}", "g.smi"))
    assert read_corpus("guacamol").smiles == SMILES
    path.unlink()
    assert read_corpus("guacamol").name == "guacamol"  # from the cache
    monkeypatch.setitem(corpora.NAMED, "guacamol", Published(address + "gone.smi", f"md5:{md5}", "h.smi"))
    with pytest.raises(InputError, match="cannot be downloaded"):
        read_corpus("guacamol")
    written(folder, "gone.smi", ["C"])
    with pytest.raises(InputError, match="another checksum"):
        read_corpus("guacamol")


def test_the_sets_are_downloaded_where_no_folder_is_named(
    server, data_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, address = server
    for name in SETS:
        (folder / name).symlink_to(data_folder / "chembench" / name)
    monkeypatch.setattr(chembench, "UPSTREAM", address)
    monkeypatch.delenv("WEAKSTRONG_DATA", raising=False)
    for name, rows in zip(SETS, (1128, 642, 4200), strict=True):
        downloaded, local = load_chembench(name), load_chembench(name, data_folder)
        assert len(downloaded.y) == rows
        pd.testing.assert_frame_equal(downloaded.splits, local.splits)
    monkeypatch.setenv("WEAKSTRONG_DATA", str(data_folder))
    monkeypatch.setattr(chembench, "UPSTREAM", "http://127.0.0.1:9/")
    assert len(load_chembench("ESOL").y) == 1128


def test_without_a_network_the_remedy_is_named(server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chembench, "UPSTREAM", "http://127.0.0.1:9/")
    monkeypatch.delenv("WEAKSTRONG_DATA", raising=False)
    with pytest.raises(InputError, match="WEAKSTRONG_DATA"):
        load_chembench("ESOL")


def test_bad_limits_and_a_cache_that_cannot_be_made_are_refused_before_a_download(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(corpora.NAMED, "guacamol", Published("http://127.0.0.1:9/x", "md5:0", "x.smi"))
    with pytest.raises(InputError, match="limit = 0"):
        read_corpus("guacamol", limit=0)
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("WEAKSTRONG_CACHE", str(tmp_path / "file"))
    with pytest.raises(InputError, match="WEAKSTRONG_CACHE"):
        read_corpus("guacamol")


def test_a_mark_of_order_and_lines_beyond_the_limit_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "a.smi"
    path.write_bytes(b"\xef\xbb\xbfCCO\r\nC\r\n\xff")
    assert read_smiles(path, limit=2).smiles == ["CCO", "C"]
    with pytest.raises(InputError, match="leave out 'smiles'"):
        read_smiles(path, "smiles")


def test_words_and_gaps_of_tables_stand_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("smiles\nNaN\n\nC\n\n\n")
    assert read_smiles(tmp_path / "a.csv").smiles == ["NaN", "", "C"]
    frame = pd.DataFrame({"smiles": pd.Categorical(["CCO", None, "C"])})
    frame.to_parquet(tmp_path / "a.parquet")
    assert read_smiles(tmp_path / "a.parquet").smiles == ["CCO", "", "C"]


def test_leakage_is_found_at_three_levels() -> None:
    found = leakage(
        ["OCC", "C[C@@H](N)C(=O)O", "C[C@H](N)C([O-])=O", "CCCC", "bad(", "[2H]C([2H])([13CH3])O"],
        ["CCO", "C[C@H](N)C(=O)O", "also bad("],
    )
    assert found.exact.tolist() == [True, False, False, False, False, False]
    assert found.stereo_free.tolist() == [True, True, False, False, False, True]
    assert found.inchikey14.tolist() == [True, True, True, False, False, True]


def test_the_sets_own_twins_are_found(data_folder: Path) -> None:
    lipop = load_chembench("Lipop", data_folder)
    shared = []
    for seed, roles in lipop.splits.items():
        test = roles == "test"
        found = leakage(lipop.smiles[test], lipop.smiles[~test], workers=1)
        shared.append(int(found.inchikey14.sum()))
        assert (found.exact <= found.stereo_free).all(), seed
    assert sorted(shared) == [15, 15, 20]


def test_what_rdkit_cannot_write_occurs_nowhere_and_what_is_no_text_is_refused() -> None:
    cage = (
        "c12cc3cc4cc5cc6cc7cc8cc9cc%10cc%11cc1c1c2c2c3c3c4c4c5c5c6c6c7c7c8c8c9c9c%10c%10c%11c1c1c%11c%10c%10c9c9c8"
        "c8c7c7c6c6c5c5c4c4c3c3c2c2c1c1c2cc3cc4cc5cc6cc7cc8cc9cc%10cc%11c1"
    )  # parsed, but its bonds cannot be placed again for its InChI
    found = leakage([cage, "CCO"], [cage, "OCC"])[list(LEVELS)]
    assert found.to_numpy().tolist() == [[True, True, False], [True, True, True]]
    for given in ("CCO", ["CCO", None]):
        with pytest.raises(InputError, match=r"a sequence of strings|row 1"):
            leakage(["C"], given)


def test_the_command_reports_leakage(command, tmp_path: Path) -> None:
    test, corpus = (
        written(tmp_path, "test.csv", ["OCC", "[Na+].[Cl-]"]),
        written(tmp_path, "corpus.smi", [*SMILES, "bad(", "[Cl-].[Na+]"]),
    )
    given = ("leakage", "--smiles", test, "--reference", corpus, "--out", tmp_path / "report.csv")
    refused = command(*given)
    assert refused.code == 2
    assert "row 3" in refused.err
    ran = command(*given, "--drop-invalid")
    assert ran.code == 0, ran.err
    assert "left out of corpus.smi: 1 invalid\nof 2 molecules occur in corpus.smi: exact 2" in ran.out
    assert pd.read_csv(tmp_path / "report.csv").exact.tolist() == [True, True]
