"""`train --plot` and `--report`: the page in a real browser, and what it shows of samples."""

from __future__ import annotations

import base64
import io
import re
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import tflm_train as tt
from tests.cli.helpers import Run, assert_refused
from tests.loss_models import loss_model
from tests.pictures import faults_of, figure_of, texts_of
from tests.search.browser import look_at
from tflm_train.cli.run_curves import Curves
from tflm_train.cli.run_pictures import draw_curves
from tflm_train.cli.sample_pictures import picture_of
from tflm_train.data import Dataset


@pytest.fixture
def asked(folder: Path, rewritten: Path) -> list[Any]:
    names = np.array([f"a digit <{i}> of the field" for i in range(10)])
    with np.load(folder / "d.npz") as file:
        np.savez(folder / "n.npz", **file, class_names=names)
    return ["train", rewritten, "--data", folder / "n.npz", "--lr", 0.01, "--epochs", 2]


def test_the_page_in_a_browser(run: Run, folder: Path, asked: list[Any]) -> None:
    page = folder / "report.html"
    done = run(*asked, "--seeds", "0..1", "--also-evaluate", folder / "d.npz", "--report", page)
    assert done.status == 0 and f"report written: {page}" in done.out
    for width, dark in ((360, False), (800, True), (1280, False)):
        seen = look_at(page, width, dark, folder / "seen.png")
        assert seen.console == [] and not seen.scrolls
        assert seen.wide == [] and seen.cut == [] and seen.names == []
    text = page.read_text()
    assert "a digit &lt;3&gt; of the field" in text and "<3>" not in text
    assert "<script" not in text and "http" not in text
    assert text.count("<figure>") == 4  # All there are.
    assert "<h2>Wrong, or least sure</h2>" in text
    epochs = re.findall(r'class="mid" x="[^"]+" y="[^"]+">([^<]+)<', text)
    assert set(epochs) == {"0", "1", "2"}
    assert run(*asked, "--report", page).status == 0  # It is ours.


def test_the_plot(run: Run, folder: Path, asked: list[Any]) -> None:
    plot = folder / "curve.png"
    assert run(*asked, "--plot", plot, "--json").json["plot"] == str(plot)
    with Image.open(plot) as image:
        pixels = np.asarray(image.convert("RGB")).reshape(-1, 3)
    for colour in ((31, 119, 180), (44, 160, 44)):  # Of the loss, and of the test samples.
        assert np.any(np.all(pixels == colour, axis=1))


@pytest.mark.parametrize("is_accuracy", [True, False])
@pytest.mark.parametrize("epochs", [1, 2, 5, 30, 1000])
def test_the_plot_can_be_read(
    epochs: int, is_accuracy: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = [(float(i), 90 if is_accuracy else 10 ** (2 - 4 * i / epochs)) for i in range(epochs)]
    losses = [(i / 8, 2 * 0.9**i) for i in range(8 * min(epochs, 30))]
    curves = Curves(
        losses,
        [losses],
        dict.fromkeys(("training", "validation", "test"), scores),
        "accuracy, %" if is_accuracy else "mean squared error",
        is_accuracy,
        kept=1,
    )
    figure = figure_of(lambda: draw_curves(curves), monkeypatch)
    assert faults_of(figure) == []
    for axis in figure.axes:
        shown = {label.get_text() for label in axis.get_xticklabels()}
        assert "0" in shown and all(text.isdecimal() for text in shown), shown
    assert not any("$" in text.get_text() for text in texts_of(figure))


def test_places_are_looked_at_first(run: Run, folder: Path, asked: list[Any]) -> None:
    for option in ("--plot", "--report"):
        mine = folder / "mine"
        mine.write_text("notes")
        state = folder / "s.bin"
        done = run(*asked, option, mine, "--save-state", state)
        assert_refused(done, "mine exists and was not made by this command")
        assert mine.read_text() == "notes" and not state.exists()


def test_a_regression_and_an_autoencoder(run: Run, folder: Path) -> None:
    rng = np.random.default_rng(0)
    for name, target in (("regression", ""), ("autoencoder", ", target: input")):
        model, scheme = folder / f"{name}.tflite", folder / "s.yaml"
        model.write_bytes(loss_model(name))
        scheme.write_text(f"version: 1\nloss: {{name: mean_squared_error{target}}}\n")
        run("rewrite", model, "--scheme", scheme)
        size = tt.load(model).graph.inputs[0].size
        x = rng.uniform(-1, 1, (12, size)).astype(np.float32)
        y = x[:, :3] if name == "regression" else np.zeros((12, 0))
        np.savez(folder / "v.npz", x_train=x, y_train=y, x_test=x, y_test=y)
        page = folder / f"{name}.html"
        trainable = folder / f"{name}_train.tflite"
        done = run("train", trainable, "--data", folder / "v.npz", "--lr", 0.01, "--report", page)
        assert done.status == 0, done.err
        text = page.read_text()
        assert "Confusion matrix" not in text and "Mean absolute error" in text
        assert "<h2>Furthest off</h2>" in text
        assert text.count("<polyline") >= 12


def pixels_in(html: str) -> np.ndarray[Any, Any]:
    found = re.search(r"base64,([^']+)'", html)
    assert found is not None
    with Image.open(io.BytesIO(base64.b64decode(found[1]))) as image:
        return np.asarray(image)


def of_samples(x: Any, files: tuple[Path, ...] | None = None) -> Dataset:
    y = np.zeros(len(x), np.int64)
    return Dataset(x, y, x, y, files_test=files)


def test_samples_as_they_are() -> None:
    rng = np.random.default_rng(0)
    colours = rng.integers(0, 256, (2, 5, 7, 3)).astype(np.uint8)
    np.testing.assert_array_equal(pixels_in(picture_of(of_samples(colours), 1)), colours[1])
    grey = colours[..., :1]
    np.testing.assert_array_equal(pixels_in(picture_of(of_samples(grey), 0)), grey[0, ..., 0])
    features = rng.normal(size=(1, 49, 10)).astype(np.float32)
    shown = pixels_in(picture_of(of_samples(features), 0))
    assert shown.shape == (10, 49)
    frame, band = np.unravel_index(features[0].argmax(), (49, 10))
    assert shown[9 - band, frame] == 255
    window = rng.normal(size=(1, 128, 3)).astype(np.float32)
    assert picture_of(of_samples(window), 0).count("<polyline") == 3
    assert picture_of(of_samples(window.reshape(1, -1)), 0).count("<polyline") == 1
    large = np.zeros((1, 600, 300, 3), np.uint8)
    assert pixels_in(picture_of(of_samples(large), 0)).shape == (192, 96, 3)


def test_a_recording_is_a_waveform(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    loud = np.concatenate([np.zeros(800), 20000 * np.sin(np.arange(800))]).astype(np.int16)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(loud.tobytes())
    data = of_samples(np.zeros((1, 49, 10), np.float32), (path,))
    html = picture_of(data, 0)
    found = re.search(r'<polygon class="c1" points="([^"]+)"', html)
    assert found is not None
    points = [tuple(map(float, point.split(","))) for point in found[1].split()]
    heights = [abs(y - 45) for x, y in points if x < 75], [abs(y - 45) for x, y in points if x > 85]
    assert max(heights[0]) == 0 and min(heights[1]) > 20
    path.unlink()
    assert "<img" in picture_of(data, 0)
