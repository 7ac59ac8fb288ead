"""`train --log`: read back by TensorFlow, which checks every checksum."""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cli.helpers import Run, assert_refused
from tflm_train.cli.run_log import RunLog
from tflm_train.errors import TflmTrainError


def events_in(folder: Path) -> list[Any]:
    import tensorflow as tf

    (file,) = folder.glob("*tfevents*")
    records = tf.data.TFRecordDataset(str(file)).as_numpy_iterator()
    return [tf.compat.v1.Event.FromString(record) for record in records]


def test_a_run_is_logged(run: Run, folder: Path, rewritten: Path) -> None:
    asked = ["train", rewritten, "--data", folder / "d.npz", "--epochs", 3, "--lr", 0.01]
    done = run(*asked, "--log", folder / "runs" / "all", "--json").json
    (log,) = (folder / "runs" / "all").iterdir()
    assert done["log"] == [str(log)] and log.name.startswith("r-") and log.name.endswith("-seed0")
    with (log / "epochs.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    for row, epoch in zip(rows, done["epochs"], strict=True):
        assert float(row["loss"]) == epoch["loss"] and row["val_score"] == ""
        assert float(row["learning_rate"]) == epoch["learning_rate"]
    first, *events = events_in(log)
    assert first.file_version == "brain.Event:2" and first.wall_time > 1.7e9
    values = {(e.step, v.tag): v.simple_value for e in events for v in e.summary.value}
    assert values[0, "accuracy/test"] == pytest.approx(done["test_accuracy_before"])
    assert values[24, "accuracy/test"] == pytest.approx(done["test_accuracy"])
    assert values[16, "loss/train"] == pytest.approx(done["epochs"][1]["loss"])
    assert {step for step, tag in values if tag == "loss/running"} == set(range(1, 25))
    again = run(*asked, "--log", folder / "runs" / "all")
    assert len(list((folder / "runs" / "all").iterdir())) == 2
    assert str(folder / "runs" / "all") in again.out.replace("\n", "")


def test_without_the_extra(
    run: Run, folder: Path, rewritten: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    asked = ["train", rewritten, "--data", folder / "d.npz", "--epochs", 1, "--lr", 0.01]
    done = run(*asked, "--log", folder / "runs")
    assert done.status == 0
    assert "warning: the log is epochs.csv alone" in done.err
    assert done.err.count("pip install 'tflm_train[log]'") == 1
    (log,) = (folder / "runs").iterdir()
    assert [path.name for path in log.iterdir()] == ["epochs.csv"]
    assert len((log / "epochs.csv").read_text().splitlines()) == 2
    assert "tflm_train[log]" not in run(*asked).err


def test_a_disk_that_fills(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = RunLog.begin(str(tmp_path), "m.tflite", 0, "accuracy", 8)
    with open("/dev/full", "wb", buffering=0) as full:
        monkeypatch.setattr(log._events._py_recordio_writer, "_writer", full)
        with pytest.raises(TflmTrainError, match="No space left on device"):
            log.end(0.5, 0.6, 1)


def test_no_place_for_a_log(run: Run, folder: Path, rewritten: Path) -> None:
    asked = ["train", rewritten, "--data", folder / "d.npz", "--lr", 0.01]
    assert_refused(run(*asked, "--log", folder / "d.npz"), "d.npz", "the log cannot be written")
