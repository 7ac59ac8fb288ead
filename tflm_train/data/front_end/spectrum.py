"""Spectrograms, log-mel energies and MFCCs as `tf.signal` makes them, in numpy.

The formulas and their defaults are those of `tf.signal.stft`, `hann_window`, `hamming_window`,
`linear_to_mel_weight_matrix` and `mfccs_from_log_mel_spectrograms`. The arithmetic here is in
double precision, so features differ from TensorFlow's in the last bits of single precision.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

NORMALIZATIONS = ("none", "peak", "maximum")
WINDOWS = ("hann", "hamming", "hamming_symmetric", "rectangular")
_FULL_SCALE = 32768.0
_CLIPS_AT_ONCE = 64


@dataclass(frozen=True)
class SpectrumParameters:
    """What becomes of a clip.

    Attributes:
      sample_rate: In Hz.
      window: Samples of a frame.
      step: Samples from one frame to the next.
      fft_size: Samples that are transformed: the frame, then zeros.
      normalize: One of `NORMALIZATIONS`: samples, between -1 and 1, are divided by the clip's
        largest magnitude (peak), by its largest value (maximum), or by nothing.
      preemphasis: This much of the sample before is subtracted from each.
      shape: One of `WINDOWS`.
      power: 1 for magnitudes, 2 for their squares.
      mel_bins: How many mel channels; 0 keeps the spectrum.
      low_hz: Where the first begins.
      high_hz: Where the last ends.
      log: Whether the natural logarithm is taken.
      log_offset: Added before it.
      coefficients: How many coefficients of the DCT are kept; 0 for no DCT.
      scale: Multiplies the result.
      offset: Is added to that.
      low: Smaller values become this.
      high: Larger values become this.
    """

    sample_rate: int
    window: int
    step: int
    fft_size: int
    normalize: str = NORMALIZATIONS[0]
    preemphasis: float = 0.0
    shape: str = WINDOWS[0]
    power: int = 1
    mel_bins: int = 0
    low_hz: float = 0.0
    high_hz: float = 0.0
    log: bool = False
    log_offset: float = 0.0
    coefficients: int = 0
    scale: float = 1.0
    offset: float = 0.0
    low: float = -np.inf
    high: float = np.inf

    @property
    def bins(self) -> int:
        """Of the spectrum, from 0 Hz to half the sample rate."""
        return self.fft_size // 2 + 1

    @property
    def channels(self) -> int:
        """Values of a frame."""
        return self.coefficients or self.mel_bins or self.bins


class SpectrumTables:
    """The constants that follow from the parameters; the firmware has them in flash."""

    def __init__(self, parameters: SpectrumParameters) -> None:
        self.parameters = parameters

    @cached_property
    def window(self) -> Floats:
        """Weights of a frame's samples."""
        size, shape = self.parameters.window, self.parameters.shape
        if shape == "rectangular" or size == 1:
            return np.ones(size)
        # A window of an odd number of samples is symmetric in `tf.signal` in any case.
        is_periodic = not shape.endswith("symmetric") and size % 2 == 0
        turns = np.arange(size) / (size if is_periodic else size - 1)
        mean = 0.5 if shape == "hann" else 0.54
        weights: Floats = mean - (1.0 - mean) * np.cos(2.0 * np.pi * turns)
        return weights

    @cached_property
    def mel(self) -> Floats:
        """[bins, mel_bins] triangles over the mel scale; the bin of 0 Hz counts nowhere."""
        p = self.parameters
        hz = np.linspace(0.0, p.sample_rate / 2.0, p.bins)[1:, np.newaxis]
        edges = np.linspace(_mel(p.low_hz), _mel(p.high_hz), p.mel_bins + 2)
        low, center, high = edges[:-2], edges[1:-1], edges[2:]
        place = _mel(hz)
        rising, falling = (place - low) / (center - low), (high - place) / (high - center)
        weights = np.maximum(0.0, np.minimum(rising, falling))
        return np.concatenate([np.zeros((1, p.mel_bins)), weights])

    @cached_property
    def dct(self) -> Floats:
        """[values, coefficients] of a DCT-II, orthonormal but for its first coefficient."""
        count = self.parameters.mel_bins or self.parameters.bins
        k = np.arange(self.parameters.coefficients)
        angles = np.pi / count * (np.arange(count)[:, np.newaxis] + 0.5) * k
        matrix: Floats = np.sqrt(2.0 / count) * np.cos(angles)
        return matrix


def spectrum_features(
    tables: SpectrumTables, clips: npt.NDArray[np.int16]
) -> npt.NDArray[np.float32]:
    """The features of clips.

    Args:
      tables: The constants.
      clips: [n, samples], each at least a frame.

    Returns:
      [n, frames, channels].
    """
    parts = range(0, len(clips), _CLIPS_AT_ONCE)
    return np.concatenate([_features(tables, clips[i : i + _CLIPS_AT_ONCE]) for i in parts])


def _features(tables: SpectrumTables, clips: npt.NDArray[np.int16]) -> npt.NDArray[np.float32]:
    p = tables.parameters
    signal = _normalized(clips / _FULL_SCALE, p.normalize)
    if p.preemphasis:
        before = np.concatenate([np.zeros((len(signal), 1)), signal[:, :-1]], axis=1)
        signal = signal - p.preemphasis * before
    frames = np.lib.stride_tricks.sliding_window_view(signal, p.window, axis=1)[:, :: p.step]
    values = np.abs(np.fft.rfft(frames * tables.window, p.fft_size)) ** p.power
    if p.mel_bins:
        values = values @ tables.mel
    if p.log:
        values = np.log(values + p.log_offset)
    if p.coefficients:
        values = values @ tables.dct
    return np.clip(p.scale * values + p.offset, p.low, p.high).astype(np.float32)


def _normalized(signal: Floats, how: str) -> Floats:
    if how == "none":
        return signal
    largest = (np.abs(signal) if how == "peak" else signal).max(axis=1, keepdims=True)
    # A clip of silence stays one.
    return signal / np.where(largest > 0.0, largest, 1.0)


def _mel(hz: npt.ArrayLike) -> Floats:
    return 1127.0 * np.log1p(np.asarray(hz, np.float64) / 700.0)
