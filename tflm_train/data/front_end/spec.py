"""The declaration of a front end: how recordings become the input of a model.

version: 1
kind: spectrum            # as `tf.signal` computes it; or micro: as TFLM's micro frontend
sample_rate: 16000
clip_ms: 1000             # what the model hears at once
window_ms: 30
step_ms: 20
mel: {bins: 40, low_hz: 20, high_hz: 4000}
log: {offset: 1.0e-6}
coefficients: 10
"""

from __future__ import annotations

import dataclasses
import math
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import yaml

from tflm_train.data.front_end.micro import MicroParameters, MicroTables, micro_features
from tflm_train.data.front_end.spectrum import (
    NORMALIZATIONS,
    WINDOWS,
    SpectrumParameters,
    SpectrumTables,
    spectrum_features,
)
from tflm_train.errors import DataError
from tflm_train.files import ReadyFiles, read_text
from tflm_train.scheme.yaml_reader import MappingReader, ScalarReader, read_document

KINDS = ("micro", "spectrum")
_VERSION = 1
_READY = ReadyFiles(Path(__file__).parent / "library", "front end", DataError)
_MOST_RATE = 192000
_MOST_CLIP_MS = 60000.0
_MOST_WINDOW = 1 << 13
_MOST_CHANNELS = 1024


@dataclass(frozen=True)
class FrontEnd:
    """How a clip becomes features.

    Attributes:
      clip: Samples of a clip.
      parameters: What becomes of it.
      scale: The real value of 1, where the features are integers.
    """

    clip: int
    parameters: MicroParameters | SpectrumParameters
    scale: float = 1.0

    @staticmethod
    def parse(text: str, source: str) -> FrontEnd:
        """Reads a declaration.

        Args:
          text: YAML.
          source: What to call it in messages.

        Raises:
          SchemeError: Anything about it is wrong.
        """
        return _read(read_document(text, source, "the declaration of a front end"))

    @property
    def kind(self) -> str:
        """One of `KINDS`."""
        return KINDS[0] if isinstance(self.parameters, MicroParameters) else KINDS[1]

    @property
    def sample_rate(self) -> int:
        """In Hz."""
        return self.parameters.sample_rate

    @property
    def frames(self) -> int:
        """Of a clip."""
        return 1 + (self.clip - self.parameters.window) // self.parameters.step

    @property
    def shape(self) -> tuple[int, int]:
        """Of the features of a clip: frames and channels."""
        return self.frames, self.parameters.channels

    @cached_property
    def tables(self) -> MicroTables | SpectrumTables:
        """The constants that follow."""
        if isinstance(self.parameters, MicroParameters):
            return MicroTables(self.parameters)
        return SpectrumTables(self.parameters)

    def features(self, clips: npt.NDArray[np.int16]) -> npt.NDArray[np.float32]:
        """What the model is to see.

        Args:
          clips: [n, clip] samples.

        Returns:
          [n, frames, channels] real values.
        """
        tables = self.tables
        if isinstance(tables, MicroTables):
            return (micro_features(tables, clips) * self.scale).astype(np.float32)
        return spectrum_features(tables, clips)

    def to_dict(self) -> dict[str, Any]:
        """The declaration, every value written out."""
        p = self.parameters
        per_ms = p.sample_rate / 1000.0
        shared = {
            "version": _VERSION,
            "kind": self.kind,
            "sample_rate": p.sample_rate,
            "clip_ms": self.clip / per_ms,
            "window_ms": p.window / per_ms,
            "step_ms": p.step / per_ms,
        }
        of_kind = _micro_dict(p, self.scale) if isinstance(p, MicroParameters) else _dict_of(p)
        return shared | of_kind

    def said(self) -> str:
        """For people, in a few words."""
        ms = 1000 * self.clip / self.sample_rate
        frames, channels = self.shape
        return (
            f"{self.kind}, {ms:g} ms at {self.sample_rate} Hz, {frames} frames of {channels} values"
        )

    def to_yaml(self) -> str:
        """The declaration as a file."""
        return yaml.safe_dump(self.to_dict(), sort_keys=False)


library_names, library_text = _READY.names, _READY.text


def find_front_end(path_or_name: str | os.PathLike[str]) -> FrontEnd:
    """Reads a file, or a front end of the package by its name when no such file exists.

    Raises:
      TflmTrainError: Neither a file nor a name, or the declaration is wrong.
    """
    text = os.fspath(path_or_name)
    if _READY.are_meant(text):
        return FrontEnd.parse(library_text(text), f"{text}.yaml")
    if not Path(text).exists():
        raise DataError(
            f"{text}: no such file, and no front end of that name; there are "
            f"{', '.join(library_names())} (see `tflm_train features list`)"
        )
    return FrontEnd.parse(read_text(Path(text)), text)


@dataclass(frozen=True)
class _Framing:
    """What both kinds begin with."""

    sample_rate: int
    clip: int
    window: int
    step: int

    @property
    def fft_size(self) -> int:
        return 1 << max(2, (self.window - 1).bit_length())


def _read(reader: MappingReader) -> FrontEnd:
    version = reader.get("version").integer(_VERSION)
    if version.value != _VERSION:
        raise version.error(f"this version reads version {_VERSION} only")
    kind = reader.get("kind").choice(KINDS, "")
    rate = reader.require("sample_rate").integer(low=1000, high=_MOST_RATE).value
    clip, window, step = (
        _samples(reader.require(f"{name}_ms"), rate) for name in ("clip", "window", "step")
    )
    if not 4 <= window <= _MOST_WINDOW:
        raise reader.error(f"a window has 4 to {_MOST_WINDOW} samples, not {window}")
    if clip < window:
        raise reader.error(f"a clip of {clip} samples is shorter than a window of {window}")
    framing = _Framing(rate, clip, window, step)
    made = _micro(reader, framing) if kind == KINDS[0] else _spectrum(reader, framing)
    reader.finish()
    return made


def _samples(ms: ScalarReader, rate: int) -> int:
    count = ms.number(0.01, _MOST_CLIP_MS) * rate / 1000.0
    if abs(count - round(count)) > 1e-6 or round(count) < 1:
        raise ms.error(
            f"{count:g} samples at {rate} Hz; choose a time that gives a whole number of them, "
            f"such as {1000.0 * max(1, round(count)) / rate:g}"
        )
    return round(count)


def _micro(reader: MappingReader, framing: _Framing) -> FrontEnd:
    noise = reader.get("noise_reduction").optional_mapping()
    smoothing_bits, even, odd, least = 10, 0.025, 0.06, 0.05
    if noise is not None:
        smoothing_bits = noise.get("smoothing_bits").integer(smoothing_bits, 1, 16).value
        even = noise.get("even_smoothing").number(0.0, 1.0, even)
        odd = noise.get("odd_smoothing").number(0.0, 1.0, odd)
        least = noise.get("min_signal_remaining").number(0.0, 1.0, least)
        noise.finish()
    strength, offset, gain_bits = 0.95, 80.0, 21
    pcan = reader.get("pcan")
    has_pcan = not pcan.is_word("false")
    if pcan.is_mapping:
        gain = pcan.mapping()
        strength = gain.get("strength").number(0.0, 4.0, strength)
        offset = gain.get("offset").number(1.0, 1e6, offset)
        gain_bits = gain.get("gain_bits").integer(gain_bits, 16, 30).value
        gain.finish()
    log, shift = reader.get("log"), 6
    has_log = not log.is_word("false")
    if log.is_mapping:
        logarithm = log.mapping()
        shift = logarithm.get("scale_shift").integer(shift, 0, 12).value
        logarithm.finish()
    parameters = MicroParameters(
        framing.sample_rate,
        framing.window,
        framing.step,
        reader.get("channels").integer(40, 1, _MOST_CHANNELS).value,
        reader.get("low_hz").number(0.0, framing.sample_rate / 2, 125.0),
        reader.get("high_hz").number(0.0, framing.sample_rate / 2, 7500.0),
        smoothing_bits,
        even,
        odd,
        least,
        has_pcan,
        strength,
        offset,
        gain_bits,
        has_log,
        shift,
    )
    scale = reader.get("scale").number(1e-9, 1e9, 10.0 / 256.0)
    made = FrontEnd(framing.clip, parameters, scale)
    tables = made.tables
    assert isinstance(tables, MicroTables)
    if tables.last_bin >= tables.fft_size // 2 + 1 or parameters.low_hz >= parameters.high_hz:
        raise reader.error(
            f"channels from {parameters.low_hz:g} to {parameters.high_hz:g} Hz do not fit below "
            f"half of {framing.sample_rate} Hz; choose a smaller high_hz"
        )
    if tables.snr_shift < 0:
        raise reader.error("pcan.gain_bits are too few for this window; use 21")
    return made


def _spectrum(reader: MappingReader, framing: _Framing) -> FrontEnd:
    bins, low, high = 0, 0.0, 0.0
    mel = reader.get("mel").optional_mapping()
    if mel is not None:
        bins = mel.require("bins").integer(low=1, high=_MOST_CHANNELS).value
        low = mel.get("low_hz").number(0.0, framing.sample_rate / 2, 125.0)
        high = mel.get("high_hz").number(0.0, framing.sample_rate / 2, 3800.0)
        mel.finish()
        if low >= high:
            raise mel.error(f"low_hz {low:g} must be below high_hz {high:g}")
    log = reader.get("log").optional_mapping()
    log_offset = 0.0
    if log is not None:
        log_offset = log.require("offset").number(1e-30, 1e6)
        log.finish()
    size = reader.get("fft_size").integer(framing.fft_size, framing.window, _MOST_WINDOW)
    if size.value & (size.value - 1):
        raise size.error("must be a power of 2")
    spectrum = size.value // 2 + 1
    if bins > spectrum:
        raise reader.error(f"mel.bins {bins} are more than the spectrum has ({spectrum})")
    most = bins or spectrum
    parameters = SpectrumParameters(
        framing.sample_rate,
        framing.window,
        framing.step,
        size.value,
        reader.get("normalize").choice(NORMALIZATIONS, NORMALIZATIONS[0]),
        reader.get("preemphasis").number(0.0, 1.0, 0.0),
        reader.get("window").choice(WINDOWS, WINDOWS[0]),
        reader.get("power").integer(1, 1, 2).value,
        bins,
        low,
        high,
        log is not None,
        log_offset,
        reader.get("coefficients").integer(0, 0, most).value,
        reader.get("scale").number(-1e9, 1e9, 1.0),
        reader.get("offset").number(-1e9, 1e9, 0.0),
        reader.get("low").number(-math.inf, math.inf, -math.inf),
        reader.get("high").number(-math.inf, math.inf, math.inf),
    )
    return FrontEnd(framing.clip, parameters)


def _micro_dict(p: MicroParameters, scale: float) -> dict[str, Any]:
    return {
        "channels": p.channels,
        "low_hz": p.low_hz,
        "high_hz": p.high_hz,
        "noise_reduction": {
            "smoothing_bits": p.smoothing_bits,
            "even_smoothing": p.even_smoothing,
            "odd_smoothing": p.odd_smoothing,
            "min_signal_remaining": p.min_signal_remaining,
        },
        "pcan": p.pcan
        and {"strength": p.pcan_strength, "offset": p.pcan_offset, "gain_bits": p.gain_bits},
        "log": p.log and {"scale_shift": p.log_shift},
        "scale": scale,
    }


def _dict_of(p: SpectrumParameters) -> dict[str, Any]:
    found: dict[str, Any] = {
        "fft_size": p.fft_size,
        "normalize": p.normalize,
        "preemphasis": p.preemphasis,
        "window": p.shape,
        "power": p.power,
    }
    if p.mel_bins:
        found["mel"] = {"bins": p.mel_bins, "low_hz": p.low_hz, "high_hz": p.high_hz}
    if p.log:
        found["log"] = {"offset": p.log_offset}
    defaults = {f.name: f.default for f in dataclasses.fields(p)}
    names = ("coefficients", "scale", "offset", "low", "high")
    return found | {n: getattr(p, n) for n in names if getattr(p, n) != defaults[n]}
