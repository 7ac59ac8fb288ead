"""Recordings: read, resampled, cut, and made features of."""

from __future__ import annotations

import importlib.util
import wave
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from tflm_train.data import Reading, load_dataset
from tflm_train.data.front_end import FrontEnd, find_front_end
from tflm_train.data.sounds import read_sound
from tflm_train.errors import DataError, RuntimeFailure

SHORT = FrontEnd.parse(
    "version: 1\nkind: spectrum\nsample_rate: 8000\nclip_ms: 100\nwindow_ms: 16\nstep_ms: 8\n",
    "short.yaml",
)
READING = Reading(front_end=SHORT)


def save(path: Path, samples: npt.NDArray[np.int16], rate: int = 8000) -> None:
    """With Python's own module: [n] or [n, channels]."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1 if samples.ndim == 1 else samples.shape[1])
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.astype("<i2").tobytes())


def noise(count: int, seed: int = 0) -> npt.NDArray[np.int16]:
    return np.random.default_rng(seed).normal(0, 3000, count).astype(np.int16)


def folder_of_words(root: Path, count: int = 10, length: int = 800) -> Path:
    for label, name in enumerate(("yes", "no")):
        for i in range(count):
            save(root / name / f"{'ab'[i % 2]}_{i}.wav", noise(length, 100 * label + i))
    return root


class TestReadSound:
    def test_16_bits_are_what_they_were(self, tmp_path: Path) -> None:
        samples = np.array([0, 1, -1, 32767, -32768, 1234], np.int16)
        save(tmp_path / "a.wav", samples, 16000)
        found, rate = read_sound(tmp_path / "a.wav")
        assert rate == 16000 and found.dtype == np.int16
        np.testing.assert_array_equal(found, samples)

    def test_channels_are_averaged(self, tmp_path: Path) -> None:
        save(tmp_path / "a.wav", np.array([[100, 300], [-32768, 0]], np.int16))
        assert read_sound(tmp_path / "a.wav")[0].tolist() == [200, -16384]

    @pytest.mark.parametrize("subtype", ["PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
    def test_other_forms(self, tmp_path: Path, subtype: str) -> None:
        samples = noise(500)
        soundfile.write(tmp_path / "a.wav", samples / 32768.0, 8000, subtype=subtype)
        np.testing.assert_array_equal(read_sound(tmp_path / "a.wav")[0], samples)

    @pytest.mark.parametrize("content", [b"", b"RIFF", b"RIFF\0\0\0\0WAVEfmt ", b"\xff" * 500])
    def test_what_is_none(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "a.wav").write_bytes(content)
        with pytest.raises(DataError, match=r"a\.wav: (not a readable recording|a recording with)"):
            read_sound(tmp_path / "a.wav")

    def test_not_finite(self, tmp_path: Path) -> None:
        soundfile.write(tmp_path / "a.wav", np.array([0.0, np.nan]), 8000, subtype="FLOAT")
        with pytest.raises(DataError, match="with NaN in them"):
            read_sound(tmp_path / "a.wav")

    def test_without_the_library(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
        with pytest.raises(
            RuntimeFailure, match=r"need soundfile; pip install 'tflm_train\[audio\]'"
        ):
            read_sound(tmp_path / "a.wav")


class TestFolder:
    def test_features_of_each(self, tmp_path: Path) -> None:
        data = load_dataset(folder_of_words(tmp_path), READING)
        assert data.class_names == ("no", "yes") and data.notes == ()
        assert np.bincount(data.y_test).tolist() == [2, 2]
        assert data.files_test is not None
        for file, features in zip(data.files_test, data.x_test, strict=True):  # type: ignore[arg-type]
            samples, _ = read_sound(file)
            np.testing.assert_array_equal(features, SHORT.features(samples[np.newaxis])[0])

    def test_given_parts(self, tmp_path: Path) -> None:
        for part in ("train", "val", "test"):
            folder_of_words(tmp_path / part, 3)
        data = load_dataset(tmp_path, READING)
        assert data.val is not None
        assert (len(data.y_train), len(data.val), len(data.y_test)) == (6, 6, 6)

    def test_groups_in_names(self, tmp_path: Path) -> None:
        folder_of_words(tmp_path)
        data = load_dataset(tmp_path, Reading(front_end=SHORT, group=r"/([ab])_"))
        assert set(data.group_train) != set(data.group_test)  # type: ignore[arg-type]
        assert len(data.y_test) == len(data.y_train) == 10
        with pytest.raises(DataError, match=r"--group 'c_' finds nothing in .*\.wav"):
            load_dataset(tmp_path, Reading(front_end=SHORT, group="c_"))
        with pytest.raises(DataError, match=r"--group '\(' is no regular expression"):
            load_dataset(tmp_path, Reading(front_end=SHORT, group="("))

    def test_lengths_and_rates_are_told(self, tmp_path: Path) -> None:
        folder_of_words(tmp_path, 3)
        save(tmp_path / "no" / "short.wav", noise(500))
        save(tmp_path / "no" / "long.wav", noise(900))
        save(tmp_path / "no" / "fast.wav", noise(3200), 32000)
        save(tmp_path / "_noise_" / "hum.wav", noise(4000))
        data = load_dataset(tmp_path, READING)
        assert data.class_names == ("no", "yes")
        assert [note.partition(";")[0] for note in data.notes] == [
            f"{tmp_path / '_noise_'} is no class: its name begins with _",
            "1 of 9 recordings are shorter than 100 ms",
            "1 of 9 recordings are longer than 100 ms",
            "1 of 9 recordings were resampled to 8000 Hz",
        ]

    def test_resampling_keeps_a_tone(self, tmp_path: Path) -> None:
        for name, rate in (("a", 8000), ("b", 48000)):
            for i in range(2):
                tone = 9000 * np.sin(2 * np.pi * 1000 * np.arange(rate // 10) / rate)
                save(tmp_path / name / f"{i}.wav", tone.astype(np.int16), rate)
        data = load_dataset(tmp_path, READING)
        assert isinstance(data.x_train, np.ndarray)
        inner = data.x_train[:, 3:-3]
        assert np.all(inner.argmax(axis=2) == round(1000 / (8000 / 128)))
        np.testing.assert_allclose(inner[0].max(axis=1), inner[1].max(axis=1), rtol=0.02)

    def test_long_recordings_in_pieces(self, tmp_path: Path) -> None:
        folder_of_words(tmp_path, 4, length=2000)
        data = load_dataset(tmp_path, Reading(front_end=SHORT, stride_ms=50))
        assert len(data.y_train) + len(data.y_test) == 8 * 4
        assert not set(data.files_train) & set(data.files_test)  # type: ignore[arg-type]

    def test_refuses(self, tmp_path: Path) -> None:
        folder_of_words(tmp_path, 2)
        with pytest.raises(DataError, match=r"say with --features how recordings become"):
            load_dataset(tmp_path)
        with pytest.raises(DataError, match="the features take more than 1,000 bytes of memory"):
            load_dataset(tmp_path, Reading(front_end=SHORT, most_bytes=1000))
        (tmp_path / "yes" / "x.wav").write_text("no sound")
        with pytest.raises(DataError, match=r"yes/x\.wav: not a readable recording"):
            load_dataset(tmp_path, READING)


def test_micro_features_reach_a_model(tmp_path: Path) -> None:
    """As TFLM's own example maps them, to one step: its input has 0.1017 a step from -128."""
    from tflm_train.data import to_model_input

    front_end = find_front_end("micro-speech")
    features = front_end.features(noise(16000)[np.newaxis])
    q = to_model_input(features, (1, 1960), 0.10171568, -128)
    steps = np.round(features * 25.6).astype(int)
    example = np.clip((steps * 256 + 333) // 666 - 128, -128, 127).reshape(1, 1960)
    assert np.abs(q - example).max() <= 1 and np.mean(q == example) > 0.9
