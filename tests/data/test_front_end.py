"""Front ends: the integers of TFLM's micro frontend, `tf.signal`'s floats, the declarations."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tensorflow as tf
from tensorflow.lite.experimental.microfrontend.python.ops.audio_microfrontend_op import (
    audio_microfrontend,
)

from tflm_train.data.front_end import FrontEnd, find_front_end, library_names, library_text
from tflm_train.data.front_end.micro import MicroParameters
from tflm_train.errors import DataError, SchemeError

MICRO = "version: 1\nkind: micro\nsample_rate: 16000\nclip_ms: 1000\nwindow_ms: 30\nstep_ms: 20\n"
SPECTRUM = MICRO.replace("micro", "spectrum")


def signal(name: str, count: int) -> npt.NDArray[np.int16]:
    """Samples of every loudness, and the extremes."""
    rng, time = np.random.default_rng(len(name)), np.arange(count)
    waves = {
        "silence": np.zeros(count),
        "hiss": rng.normal(0, 3, count),
        "speech": rng.normal(0, 4000, count) * np.abs(np.sin(time / 3000)),
        "tone": 20000 * np.sin(0.3 * time),
        "clipped": np.where(time % 7 < 3, 32767, -32768),
        "lowest": np.full(count, -32768),
    }
    return np.clip(waves[name], -32768, 32767).astype(np.int16)


SIGNALS = ("silence", "hiss", "speech", "tone", "clipped", "lowest")


def tensorflow_micro(p: MicroParameters, samples: npt.NDArray[np.int16]) -> npt.NDArray[np.uint16]:
    ms = 1000 / p.sample_rate
    found: npt.NDArray[np.uint16] = audio_microfrontend(
        tf.constant(samples), p.sample_rate, round(p.window * ms), round(p.step * ms), p.channels,
        p.high_hz, p.low_hz, p.smoothing_bits, p.even_smoothing, p.odd_smoothing,
        p.min_signal_remaining, p.pcan, p.pcan_strength, p.pcan_offset, p.gain_bits, p.log,
        p.log_shift,
    ).numpy()  # fmt: skip
    return found


class TestMicro:
    """Against TensorFlow's op, which models are trained with: equal in every bit."""

    @pytest.mark.parametrize("name", SIGNALS)
    def test_micro_speech(self, name: str) -> None:
        front_end = find_front_end("micro-speech")
        samples = signal(name, 16000)
        wanted = tensorflow_micro(front_end.parameters, samples)  # type: ignore[arg-type]
        found = front_end.features(samples[np.newaxis])[0] * 25.6
        assert front_end.shape == wanted.shape == (49, 40)
        np.testing.assert_array_equal(np.round(found).astype(np.uint16), wanted)

    @pytest.mark.parametrize(
        "changes",
        [
            {"sample_rate": 8000, "high_hz": 3800},
            {"sample_rate": 48000, "channels": 64, "low_hz": 20},
            {"window_ms": 25, "step_ms": 10, "channels": 32},
            {"window_ms": 8, "step_ms": 8, "channels": 10},
            {"window_ms": 32, "channels": 20, "low_hz": 60},
            {"pcan": "false"},
            {"log": "false"},
            {"pcan": "false", "log": "false"},
            {"noise_reduction": "{even_smoothing: 0.3, odd_smoothing: 0.9}"},
            {"noise_reduction": "{smoothing_bits: 12, min_signal_remaining: 0.5}"},
            {"pcan": "{strength: 0.5, offset: 20, gain_bits: 20}", "log": "{scale_shift: 3}"},
        ],
        ids=str,
    )
    def test_other_parameters(self, changes: dict[str, Any]) -> None:
        lines = dict(line.split(": ") for line in MICRO.splitlines())
        text = "".join(f"{k}: {v}\n" for k, v in (lines | changes | {"scale": 1}).items())
        front_end = FrontEnd.parse(text, "f.yaml")
        for name in ("speech", "tone", "clipped"):
            samples = signal(name, front_end.clip)
            wanted = tensorflow_micro(front_end.parameters, samples)  # type: ignore[arg-type]
            np.testing.assert_array_equal(front_end.features(samples[np.newaxis])[0], wanted)

    def test_clips_do_not_hear_each_other(self) -> None:
        front_end = find_front_end("micro-speech")
        clips = np.stack([signal(name, 16000) for name in SIGNALS])
        together = front_end.features(clips)
        for clip, features in zip(clips, together, strict=True):
            np.testing.assert_array_equal(front_end.features(clip[np.newaxis])[0], features)


class TestSpectrum:
    """Against `tf.signal`, to the accuracy of its single precision.

    Noise has energy at every frequency: elsewhere the logarithm shows TensorFlow's own rounding.
    """

    def clips(self, front_end: FrontEnd) -> tuple[npt.NDArray[np.int16], tf.Tensor]:
        names = ("speech", "hiss")
        clips = np.stack([signal(name, front_end.clip) for name in names])
        return clips, tf.constant(clips, tf.float32) / 32768.0

    def test_mlperf_keywords(self) -> None:
        front_end = find_front_end("mlperf-kws")
        clips, audio = self.clips(front_end)
        audio /= tf.reduce_max(audio, axis=1, keepdims=True)
        spectrum = tf.abs(tf.signal.stft(audio, 480, 320))
        mel = spectrum @ tf.signal.linear_to_mel_weight_matrix(40, 257, 16000, 20.0, 4000.0)
        wanted = tf.signal.mfccs_from_log_mel_spectrograms(tf.math.log(mel + 1e-6))[..., :10]
        found = front_end.features(clips)
        assert found.shape == (2, 49, 10)
        np.testing.assert_allclose(found, wanted, atol=1e-4)

    def test_mlperf_wake_word(self) -> None:
        front_end = find_front_end("mlperf-wakeword")
        clips, audio = self.clips(front_end)
        audio /= tf.reduce_max(audio, axis=1, keepdims=True)
        before = tf.pad(audio, [[0, 0], [1, 0]])[:, :-1]
        window = lambda size, dtype: tf.signal.hamming_window(size, periodic=False, dtype=dtype)  # noqa: E731
        spectrum = tf.abs(tf.signal.stft(audio - 0.96875 * before, 1024, 512, window_fn=window))
        power = tf.maximum(tf.square(spectrum) / 1024, 1e-30)
        mel = power @ tf.signal.linear_to_mel_weight_matrix(40, 513, 16000, 0.0, 8000.0)
        decibels = 10 * tf.math.log(mel) / np.log(10)
        wanted = tf.clip_by_value((decibels + 52) / 64, 0, 1)
        found = front_end.features(clips)
        assert found.shape == (2, 30, 40)
        np.testing.assert_allclose(found, wanted, atol=1e-4)

    @pytest.mark.parametrize("name", ["tf-spectrogram", "tf-log-mel", "tf-mfcc"])
    def test_tutorials(self, name: str) -> None:
        front_end = find_front_end(name)
        clips, audio = self.clips(front_end)
        if name == "tf-spectrogram":
            wanted = tf.abs(tf.signal.stft(audio, 255, 128))
        else:
            spectrum = tf.abs(tf.signal.stft(audio, 1024, 256, 1024))
            mel = spectrum @ tf.signal.linear_to_mel_weight_matrix(80, 513, 16000, 80.0, 7600.0)
            wanted = tf.math.log(mel + 1e-6)
            if name == "tf-mfcc":
                wanted = tf.signal.mfccs_from_log_mel_spectrograms(wanted)[..., :13]
        found = front_end.features(clips)
        assert found.shape == wanted.shape and found.shape[1:] == front_end.shape
        np.testing.assert_allclose(found, wanted, atol=1e-4)

    def test_silence_is_finite(self) -> None:
        for name in library_names():
            front_end = find_front_end(name)
            silence = np.zeros((1, front_end.clip), np.int16)
            assert np.all(np.isfinite(front_end.features(silence)))


class TestDeclaration:
    @pytest.mark.parametrize("name", library_names())
    def test_written_out_it_says_the_same(self, name: str) -> None:
        front_end = find_front_end(name)
        assert FrontEnd.parse(front_end.to_yaml(), "again.yaml") == front_end
        assert library_text(name).startswith("# ")

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("", "f.yaml: the declaration of a front end is a mapping"),
            ("kind: mfcc", "line 1: kind: 'mfcc' is not one of micro, spectrum"),
            ("kind: micro", "key 'sample_rate' is missing"),
            (
                MICRO.replace("30", "30.01"),
                "line 5: window_ms: 480.16 samples at 16000 Hz; .*as 30",
            ),
            (MICRO.replace("1000", "10"), "a clip of 160 samples is shorter than a window of 480"),
            (MICRO + "high_hz: 8000\n", "do not fit below half of 16000 Hz; choose a smaller"),
            (MICRO + "low_hz: 7600\n", "channels from 7600 to 7500 Hz do not fit"),
            (MICRO + "pcan: {gain: 2}\n", "unknown key 'pcan.gain'|unknown key 'gain'"),
            (MICRO + "chanels: 4\n", "line 7: unknown key 'chanels'; did you mean 'channels'"),
            (SPECTRUM + "log: {}\n", "key 'offset' is missing"),
            (SPECTRUM + "mel: {bins: 4, low_hz: 900, high_hz: 20}\n", "low_hz 900 must be below"),
            (SPECTRUM + "fft_size: 500\n", "line 7: fft_size: must be a power of 2"),
            (SPECTRUM + "mel: {bins: 4}\ncoefficients: 5\n", "coefficients: must be from 0 to 4"),
            ("version: 2\n" + MICRO[11:], "version: this version reads version 1 only"),
        ],
    )
    def test_refuses(self, text: str, words: str) -> None:
        with pytest.raises(SchemeError, match=words):
            FrontEnd.parse(text, "f.yaml")

    def test_names(self, tmp_path: Any) -> None:
        with pytest.raises(
            DataError, match="no front end of that name; there are micro-speech, ml"
        ):
            find_front_end("mfcc")
        path = tmp_path / "mine.yaml"
        path.write_text(SPECTRUM)
        assert find_front_end(path).shape == (49, 257)
