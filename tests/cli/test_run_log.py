"""`train --log`: read back by TensorFlow, which checks every checksum."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from tests.cli.helpers import Run, assert_refused
from tflm_train.cli.event_file import EventFile


def events_in(folder: Path) -> list[Any]:
    import tensorflow as tf

    (file,) = folder.glob("*tfevents*")
    records = tf.data.TFRecordDataset(str(file)).as_numpy_iterator()
    return [tf.compat.v1.Event.FromString(record) for record in records]


def test_an_event_file(tmp_path: Path) -> None:
    with EventFile(tmp_path) as file:
        file.scalar("loss/train", 0.5, 0)
        file.scalar("ä", -1e30, 2**31)
    first, *rest = events_in(tmp_path)
    assert first.file_version == "brain.Event:2" and first.wall_time > 1.7e9
    found = [(e.step, e.summary.value[0].tag, e.summary.value[0].simple_value) for e in rest]
    assert found[0] == (0, "loss/train", 0.5)
    assert found[1] == (2**31, "ä", pytest.approx(-1e30))


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
    values = {
        (e.step, value.tag): value.simple_value for e in events_in(log) for value in e.summary.value
    }
    assert values[0, "accuracy/test"] == pytest.approx(done["test_accuracy_before"])
    assert values[24, "accuracy/test"] == pytest.approx(done["test_accuracy"])
    assert values[16, "loss/train"] == pytest.approx(done["epochs"][1]["loss"])
    assert {step for step, tag in values if tag == "loss/running"} == set(range(1, 25))
    again = run(*asked, "--log", folder / "runs" / "all")
    assert len(list((folder / "runs" / "all").iterdir())) == 2
    assert str(folder / "runs" / "all") in again.out.replace("\n", "")


def test_no_place_for_a_log(run: Run, folder: Path, rewritten: Path) -> None:
    asked = ["train", rewritten, "--data", folder / "d.npz", "--lr", 0.01]
    assert_refused(run(*asked, "--log", folder / "d.npz"), "d.npz", "the log cannot be written")
