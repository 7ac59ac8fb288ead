"""`tflm_train analyze`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.cli.helpers import Run, assert_refused
from tests.networks import FOLDER, NETWORKS
from tflm_train.search.contributions import Contributions

MODEL = FOLDER / "ds_cnn.tflite"


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The field's digits, fewer of them."""
    data = NETWORKS["ds_cnn"].dataset()
    assert isinstance(data.x_train, np.ndarray) and isinstance(data.x_test, np.ndarray)
    path = tmp_path_factory.mktemp("data") / "digits.npz"
    np.savez(
        path,
        x_train=data.x_train[:120],
        y_train=data.y_train[:120],
        x_test=data.x_test[:20],
        y_test=data.y_test[:20],
    )
    return path


def arguments(digits: Path, folder: Path) -> list[object]:
    return [
        "analyze", MODEL, "--data", digits, "--layers", 2, "--steps", 20, "--seeds", 2,
        "--cache", folder / "cache", "--workers", 1, "-o", folder / "contributions.json",
    ]  # fmt: skip


def timeless(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key not in ("seconds", "output")}


def test_table_json_and_file(run: Run, digits: Path, tmp_path: Path) -> None:
    given = arguments(digits, tmp_path)
    shown = run(*given)
    assert shown.status == 0
    assert all(len(line) <= 80 for line in shown.out.splitlines())
    for words in ("head alone: accuracy", "biases of the last layers", "weights of one layer"):
        assert words in shown.out
    text = (tmp_path / "contributions.json").read_text()
    found = Contributions.from_json(text)
    again = run(*given, "--json")
    assert again.err == ""
    assert (tmp_path / "contributions.json").read_text() == text
    values = again.json
    assert [row["last"] for row in values["biases"]] == [k for k, _ in found.biases] == [1, 2]
    assert {(row["layer"], row["ratio"]) for row in values["weights"]} == found.weights.keys()
    assert {layer for layer, _ in found.weights} == {7, 8}
    assert values["base"] == found.base and values["unfinished"] == 0
    assert values["samples"] == [90, 30]


def test_killed_and_started_again(run: Run, digits: Path, tmp_path: Path) -> None:
    """Whenever it is killed, the next run ends with the same file."""
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    for folder in (whole, broken):
        folder.mkdir()
    assert run(*arguments(digits, whole)).status == 0
    count = len(list((whole / "cache").glob("*.fine_tuned")))
    command = [sys.executable, "-m", "tflm_train", *map(str, arguments(digits, broken))]
    for share in (0.1, 0.5, 0.9):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while len(list((broken / "cache").glob("*.fine_tuned"))) < share * count:
            if process.poll() is not None:
                break
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        # A machine that is busy with other things may kill it late.
        (broken / "contributions.json").unlink(missing_ok=True)
    victim = next(iter(sorted((broken / "cache").glob("*.fine_tuned"))))
    victim.write_bytes(victim.read_bytes()[:-40])
    assert run(*arguments(digits, broken)).status == 0
    written = [(folder / "contributions.json").read_bytes() for folder in (whole, broken)]
    assert written[0] == written[1]


def test_interrupted(digits: Path, tmp_path: Path) -> None:
    """Ctrl-C keeps what is known and says how to go on."""
    command = [sys.executable, "-m", "tflm_train", *map(str, arguments(digits, tmp_path))]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        # A shell's background job, such as these tests may be, ignores it and hands that down.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    while not list((tmp_path / "cache").glob("*.fine_tuned")):
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()
    assert process.returncode == 130 and out == ""
    assert "what was measured is kept; the same command goes on from there" in err
    assert not (tmp_path / "contributions.json").exists()


def test_processes_give_the_same(run: Run, digits: Path, tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("one", "two")]
    found = []
    for folder, count in zip(folders, (1, 2), strict=True):
        folder.mkdir()
        done = run(*arguments(digits, folder), "--workers", count, "--json")
        found.append(timeless(done.json))
    assert found[0] == found[1]
    files = [(folder / "contributions.json").read_bytes() for folder in folders]
    assert files[0] == files[1]


def test_no_time(run: Run, digits: Path, tmp_path: Path) -> None:
    given = arguments(digits, tmp_path)
    assert run(*given, "--minutes", 0).status == 0
    first = json.loads((tmp_path / "contributions.json").read_text())
    assert first["biases"] == [] and first["unfinished"] > 0
    assert run(*given).status == 0
    assert json.loads((tmp_path / "contributions.json").read_text())["unfinished"] == 0


def test_nothing_is_kept(run: Run, digits: Path, tmp_path: Path) -> None:
    given = [*arguments(digits, tmp_path), "--layers", 1, "--seeds", 1, "--cache", "none"]
    done = run(*given, "--json")
    assert (done.json["unfinished"], done.json["stopped"]) == (0, 0)
    assert not (tmp_path / "cache").exists()


def test_refused(run: Run, digits: Path, tmp_path: Path) -> None:
    given = arguments(digits, tmp_path)
    for option, value in (("--steps", 0), ("--seeds", 0), ("--layers", 0), ("--workers", 0)):
        assert_refused(run(*given, option, value), option, "must be at least 1")
    (tmp_path / "contributions.json").write_text("mine")
    assert_refused(
        run(*given, "--layers", 1, "--seeds", 1, "--steps", 4), "was not made by this command"
    )
    assert (tmp_path / "contributions.json").read_text() == "mine"
