"""Wrong and hostile inputs are answered in a line, and what is not is seen."""

from __future__ import annotations

import subprocess
import zlib
from pathlib import Path

import pytest

from benchmarks import odd_inputs


def test_every_answer_is_a_line() -> None:
    """Of a part: each command is a process of its own."""
    rows = odd_inputs.made(lambda command: zlib.crc32(command.encode()) % 4 == 0)
    assert [row for row in rows if row["fault"]] == []
    refused = [row for row in rows if row["status"] != 0]
    assert len(refused) > 8 and all(row["answer"] for row in refused)


@pytest.mark.parametrize(
    ("status", "errors", "leaves_nothing", "fault"),
    [
        (1, "tflm_train: error: no\n", True, ""),
        (2, "tflm_train train: argument --lr: no (see --help)\n", True, ""),
        (-11, "", True, "signal 11"),
        (1, "Traceback (most recent call last)\n", True, "a traceback"),
        (1, "tflm_train: error: no\ntflm_train: error: no\n", True, "2 lines of error"),
        (1, "", True, "0 lines of error"),
        (1, "tflm_train: error: no\n", False, "it leaves something behind"),
    ],
)
def test_what_is_no_answer(status: int, errors: str, leaves_nothing: bool, fault: str) -> None:
    done = subprocess.CompletedProcess((), status, "", errors)
    assert odd_inputs.fault_of(done, leaves_nothing) == fault


def test_a_folder_of_models(tmp_path: Path) -> None:
    (tmp_path / "bad.tflite").write_text("no model")
    (tmp_path / "head.yaml").write_text("version: 1\n")
    rows = odd_inputs.of_folder(tmp_path)
    assert [row["command"].split()[0] for row in rows] == ["inspect", "rewrite", "rewrite"]
    assert all("not a .tflite file" in row["answer"] and not row["fault"] for row in rows)
