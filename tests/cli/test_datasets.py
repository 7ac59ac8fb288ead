"""`--data` in all its forms, from the command line; what a model says of its data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.cli.helpers import Run, assert_refused
from tests.data.test_sounds import folder_of_words
from tests.data.test_tables import rows, save
from tests.loss_models import loss_model
from tests.networks import NETWORKS, load_network
from tflm_train.data.preparation import METADATA_NAME, Preparation
from tflm_train.model import load

WORDS = "version: 1\nkind: spectrum\nsample_rate: 8000\nclip_ms: 408\nwindow_ms: 24\nstep_ms: 8\n"
WORDS += "mel: {bins: 20}\nlog: {offset: 1.0e-3}\ncoefficients: 10\n"


@pytest.fixture
def words(folder: Path) -> Path:
    """A model that takes 49 frames of 10 MFCCs, and recordings of two words."""
    (folder / "m.tflite").write_bytes(load_network("ds_cnn").source)
    (folder / "f.yaml").write_text(WORDS)
    return folder_of_words(folder / "words", 8, length=3264)


def rewrite(run: Run, folder: Path, *options: object) -> Any:
    done = run(
        "rewrite", folder / "m.tflite", "--preset", "head", "--classes", 2, *options,
        "-o", folder / "m_train.tflite", "--force", "--json",
    )  # fmt: skip
    assert done.status == 0, done.err
    return done.json


class TestRecordings:
    def test_the_model_says_how_they_become_its_input(
        self, run: Run, folder: Path, words: Path
    ) -> None:
        report = rewrite(run, folder, "--features", folder / "f.yaml")
        declared = report["preparation"]["front_end"]
        assert declared["coefficients"] == 10 and declared["clip_ms"] == 408
        trained = run(
            "train", folder / "m_train.tflite", "--data", words, "--epochs", 2, "--lr", 0.01,
            "--save-state", folder / "s.bin", "--json",
        )  # fmt: skip
        assert trained.status == 0, trained.err
        evaluate = ["evaluate", folder / "m_train.tflite", "--data", words, "--json"]
        score = run(*evaluate, "--load-state", folder / "s.bin").json
        assert score["samples"] == 4 and [c["class"] for c in score["classes"]] == ["no", "yes"]
        assert score["test_accuracy"] == trained.json["test_accuracy"]
        merged = folder / "merged.tflite"
        state = ["--state", folder / "s.bin"]
        assert run("merge", folder / "m_train.tflite", *state, "-o", merged).status == 0
        assert Preparation.of(load(merged)).front_end is not None
        found = run("evaluate", merged, "--data", words, "--json").json
        assert found["classes"] == score["classes"]

    def test_without_a_front_end(self, run: Run, folder: Path, words: Path) -> None:
        rewrite(run, folder)
        done = run("train", folder / "m_train.tflite", "--data", words)
        assert_refused(done, "say with --features how recordings become", "features list")

    def test_of_another_shape(self, run: Run, folder: Path, words: Path) -> None:
        rewrite(run, folder)
        arguments = ["--data", words, "--features", "micro-speech", "--json"]
        done = run("train", folder / "m_train.tflite", *arguments)
        assert_refused(done, "samples of shape [49, 40] do not fit the model's input [49, 10, 1]")

    def test_what_is_noted(self, run: Run, folder: Path, words: Path) -> None:
        (words / "_noise_").mkdir()
        rewrite(run, folder, "--features", folder / "f.yaml")
        done = run("evaluate", folder / "m_train.tflite", "--data", words)
        assert f"note: {words / '_noise_'} is no class" in done.err

    def test_a_tail_says_nothing_of_them(self, run: Run, folder: Path, words: Path) -> None:
        rewrite(run, folder, "--features", folder / "f.yaml", "--split")
        trunk, tail = (load(folder / f"m_train_{part}.tflite") for part in ("trunk", "tail"))
        assert Preparation.of(trunk).front_end is not None
        assert Preparation.of(tail) == Preparation()
        done = run(
            "train", folder / "m_train_tail.tflite", "--trunk", folder / "m_train_trunk.tflite",
            "--data", words, "--epochs", 1, "--lr", 0.01, "--json",
        )  # fmt: skip
        assert done.status == 0, done.err


class TestTables:
    def test_windows(self, run: Run, folder: Path) -> None:
        (folder / "m.tflite").write_bytes(loss_model("regression"))  # It takes 6 values.
        table = rows(160) + rows(160, "run", first=160)
        save(folder / "d.csv", table)
        options = ["--columns", "ax,ay", "--window", 3, "--label", "what"]
        mean = ["--mean", "160,-160", "--std", "100,100"]
        rewrite(run, folder, *mean)
        done = run(
            "train", folder / "m_train.tflite", "--data", folder / "d.csv", *options,
            "--epochs", 3, "--lr", 0.05, "--json",
        )  # fmt: skip
        assert done.status == 0, done.err
        assert done.json["test_accuracy"] > 0.8

    def test_half_a_row(self, run: Run, folder: Path, rewritten: Path) -> None:
        save(folder / "d.csv", rows(20))
        options = ["--window", 4, "--stride", 0.5, "--label", "what"]
        done = run("train", rewritten, "--data", folder / "d.csv", *options)
        assert_refused(done, "--stride 0.5: of tables a whole number of rows")


class TestNormalization:
    def test_it_is_kept_in_the_model(self, run: Run, folder: Path) -> None:
        data = NETWORKS["ds_cnn"].dataset()
        (folder / "m.tflite").write_bytes(load_network("ds_cnn").source)
        assert isinstance(data.x_train, np.ndarray) and isinstance(data.x_test, np.ndarray)
        arrays = {"y_train": data.y_train, "y_test": data.y_test}
        plain = {"x_train": data.x_train, "x_test": data.x_test}
        raw = {name: (3.0 * (x / 255.0) + 5.0).astype(np.float32) for name, x in plain.items()}
        np.savez(folder / "plain.npz", **arrays, **plain)
        np.savez(folder / "raw.npz", **arrays, **raw)
        evaluate = ["evaluate", folder / "m.tflite", "--json", "--data"]
        wanted = run(*evaluate, folder / "plain.npz").json["test_accuracy"]
        stated = run(*evaluate, folder / "raw.npz", "--mean", 5, "--std", 3).json
        assert stated["test_accuracy"] == wanted
        assert run(*evaluate, folder / "raw.npz").json["test_accuracy"] < wanted
        report = rewrite(run, folder, "--mean", 5, "--std", 3)
        assert report["preparation"] == {"normalization": {"mean": [5.0], "std": [3.0]}}

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            (["--mean", 1], "--mean and --std belong together"),
            (["--mean", 1, "--std", 0], "--std 0 must be above 0"),
            (["--mean", "1,2", "--std", "1,2,3"], "--mean has 2 values and --std 3"),
            (["--mean", "half", "--std", 1], "'half' is no number"),
            (["--features", "mfc"], "no front end of that name; there are micro-speech"),
        ],
    )
    def test_refuses(self, run: Run, folder: Path, options: list[object], words: str) -> None:
        done = run("evaluate", folder / "digits.tflite", "--data", folder / "d.npz", *options)
        assert_refused(done, words)


def test_a_damaged_entry(run: Run, folder: Path) -> None:
    model = load(folder / "digits.tflite")
    for content in (b"{", b"[]", b'{"front_end": {"kind": "micro"}}', b'{"normalization": 3}'):
        model.set_metadata(METADATA_NAME, content)
        (folder / "m.tflite").write_bytes(model.to_bytes())
        done = run("evaluate", folder / "m.tflite", "--data", folder / "d.npz")
        assert_refused(done, f"m.tflite: its metadata {METADATA_NAME} is damaged")


class TestFeatures:
    def test_list(self, run: Run) -> None:
        names = [each["name"] for each in run("features", "list", "--json").json["front_ends"]]
        assert {"micro-speech", "mlperf-kws"} <= set(names)
        assert all(name in run("features", "list").out for name in names)

    def test_show(self, run: Run, folder: Path) -> None:
        shown = run("features", "show", "micro-speech")
        (folder / "f.yaml").write_text(shown.out)
        one, other = (
            run("features", "show", name, "--json").json
            for name in ("micro-speech", folder / "f.yaml")
        )
        assert one["front_end"] == other["front_end"] and one["shape"] == [49, 40]
        assert json.loads(json.dumps(one["front_end"]))["pcan"]["gain_bits"] == 21
        assert_refused(run("features", "show", "none"), "no such file, and no front end")
