"""`tools/fuzz.py` adds up what the targets have run, and keeps what they find."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
import fuzz  # noqa: E402
import fuzz_targets  # noqa: E402

# Runs what it is told to, at most 1000; finds something where its folder has a file `faulty`.
PROGRAM = """#!/bin/sh
case $# in 7) shift;; 1) echo "ERROR: planted" >&2; exit 1;; esac
if [ -e "$(dirname "$0")/faulty" ]; then printf bad > "$6"; exit 1; fi
runs=$1; [ "$runs" -gt 1000 ] && runs=1000
echo "$runs runs, no finding; $((runs / 2)) deep, 1.5 s of CPU, 3 inputs kept, 40 edges"
"""


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "program"
    path.write_text(PROGRAM)
    path.chmod(0o755)
    monkeypatch.setattr(fuzz, "build", lambda folder, name, explores: [str(path)])
    monkeypatch.setattr(fuzz, "FOLDER", tmp_path)
    monkeypatch.setattr(fuzz, "ROOT", tmp_path)
    monkeypatch.setattr(fuzz, "sources", lambda name: [path])
    monkeypatch.setattr(fuzz_targets, "SEEDS", tmp_path / "seeds")
    monkeypatch.setattr(fuzz, "targets", lambda: [fuzz_targets.Target(n) for n in ("one", "two")])
    return path


def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *arguments: str) -> tuple[int, dict]:
    saved = tmp_path / "saved.json"
    monkeypatch.setattr(sys, "argv", ["fuzz.py", *arguments, "--json", "--save", str(saved)])
    status = fuzz.main()
    return status, json.loads(saved.read_text())


def test_campaigns_add_up(program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, report = run(monkeypatch, tmp_path, "--runs", "2500", "one")
    assert {name: row["runs"] for name, row in report["targets"].items()} == {"one": 2500}
    status, report = run(monkeypatch, tmp_path, "--runs", "4000")
    rows = report["targets"]
    assert status == 0
    assert [rows[name]["runs"] for name in ("one", "two")] == [4000, 4000]
    assert [rows[name]["cpu_seconds"] for name in ("one", "two")] == [7.5, 6.0]  # rounds of 1.5 s
    assert report["cpu_hours"] == round(13.5 / 3600, 2)


def test_a_saved_campaign_goes_on(
    program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nothing of it is left but the file."""
    run(monkeypatch, tmp_path, "--runs", "2500", "one")
    (tmp_path / "counts.json").unlink()
    _, report = run(monkeypatch, tmp_path, "--runs", "4000", "one")
    row = report["targets"]["one"]
    assert (row["runs"], row["explored"], row["cpu_seconds"]) == (4000, 1000, 7.5)  # 3 rounds and 2


def test_a_reader_runs_a_part(
    program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("one", "reader/npz", "reader/model")
    monkeypatch.setattr(fuzz, "targets", lambda: [fuzz_targets.Target(name) for name in names])
    _, report = run(monkeypatch, tmp_path, "--runs", "2000")
    assert [report["targets"][name]["runs"] for name in names] == [2000, 20, 2]


def test_other_sources_begin_anew(
    program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(monkeypatch, tmp_path, "--runs", "4000")
    program.write_text(PROGRAM + "# changed\n")
    _, report = run(monkeypatch, tmp_path, "--runs", "1000")
    assert {row["runs"] for row in report["targets"].values()} == {1000}


def test_a_finding_becomes_a_seed(
    program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(monkeypatch, tmp_path, "--runs", "1000")
    (tmp_path / "faulty").touch()
    status, report = run(monkeypatch, tmp_path, "--runs", "3000", "two")
    assert status == 1 and "planted" in report["findings"]["two"]
    assert report["targets"]["two"]["runs"] == 1000
    (seed,) = (tmp_path / "seeds" / "two").iterdir()
    assert seed.name.startswith("found_") and seed.read_bytes() == b"bad"
