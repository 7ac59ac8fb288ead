"""TFLM's micro frontend in numpy, to the bit: integers from samples to features.

A frame of 16-bit samples is windowed and scaled up to use all bits, transformed (`fixed_fft`),
summed into mel channels (the square root of their energy), freed of the stationary noise, brought
to a common loudness (PCAN, per-channel amplitude normalization) and put on a logarithmic scale. The
noise estimate lives from frame to frame and begins at zero in every clip.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from tflm_train.data.front_end.fixed_fft import real_fft

UInt32Array = npt.NDArray[np.uint32]
Float32 = np.float32

WINDOW_BITS = 12
FILTER_BITS = 12
NOISE_BITS = 14
SNR_BITS = 12
SNR_OUTPUT_BITS = 6
LOG_BITS = 16
LOG_SEGMENT_BITS = 7
_LN_2 = 45426  # ln 2 in 16 fractional bits
_GAIN_BITS = 32
_FRAMES_AT_ONCE = 4096


@dataclass(frozen=True)
class MicroParameters:
    """What the micro frontend is told, in its own terms.

    Attributes:
      sample_rate: In Hz.
      window: Samples of a frame.
      step: Samples from one frame to the next.
      channels: How many mel channels.
      low_hz: Where the first begins.
      high_hz: Where the last ends.
      smoothing_bits: Fractional bits of the noise estimate.
      even_smoothing: How fast the noise estimate of even channels follows, a share of 1.
      odd_smoothing: Likewise of odd channels.
      min_signal_remaining: The share of a channel that noise reduction leaves at least.
      pcan: Whether PCAN is on.
      pcan_strength: Its exponent.
      pcan_offset: Added to the noise estimate before.
      gain_bits: Fractional bits of its gain.
      log: Whether the logarithm is taken.
      log_shift: Fractional bits of it.
    """

    sample_rate: int
    window: int
    step: int
    channels: int
    low_hz: float
    high_hz: float
    smoothing_bits: int
    even_smoothing: float
    odd_smoothing: float
    min_signal_remaining: float
    pcan: bool
    pcan_strength: float
    pcan_offset: float
    gain_bits: int
    log: bool
    log_shift: int


@dataclass(frozen=True, eq=False)
class Band:
    """What the bins of the spectrum give to two channels.

    Attributes:
      start: The first bin.
      weights: int16, to the channel that ends here.
      rest: int16, to the next one.
    """

    start: int
    weights: npt.NDArray[np.int16]
    rest: npt.NDArray[np.int16]


class MicroTables:
    """The constants that follow from the parameters; the firmware has them in flash.

    Attributes:
      fft_size: Samples that are transformed: the frame, then zeros.
      correction_bits: What the FFT's size and the filters' fractional bits leave to be shifted.
      bands: One more than channels: a channel rises over one and falls over the next.
    """

    def __init__(self, parameters: MicroParameters) -> None:
        self.parameters = p = parameters
        self.fft_size = 1 << max(0, p.window - 1).bit_length()
        self.correction_bits = self.fft_size.bit_length() - 1 - FILTER_BITS // 2
        self.bands = _bands(p, self.fft_size // 2 + 1)
        self.even_smoothing, self.odd_smoothing, self.min_signal_remaining = (
            int(Float32(share) * Float32(1 << NOISE_BITS))
            for share in (p.even_smoothing, p.odd_smoothing, p.min_signal_remaining)
        )
        self.snr_shift = p.gain_bits - self.correction_bits - SNR_BITS

    @property
    def last_bin(self) -> int:
        """Where the last channel ends."""
        return max(band.start + len(band.weights) for band in self.bands)

    @cached_property
    def window(self) -> npt.NDArray[np.int16]:
        """Weights of a frame's samples, in 12 fractional bits."""
        size = self.parameters.window
        step = float(Float32(2.0 * np.pi / size))
        weight = _float32(0.5 - 0.5 * np.cos(step * (np.arange(size) + 0.5)))
        scaled = np.floor((1 << WINDOW_BITS) * weight.astype(np.float64) + 0.5)
        coefficients: npt.NDArray[np.int16] = scaled.astype(np.int16)
        return coefficients

    @cached_property
    def filters(self) -> npt.NDArray[np.float64]:
        """[bins, channels] the bands as one matrix; its integers fit a double with all sums."""
        matrix = np.zeros((self.fft_size // 2 + 1, len(self.bands) + 1))
        for index, band in enumerate(self.bands):
            place = slice(band.start, band.start + len(band.weights))
            matrix[place, index] += band.weights
            matrix[place, index + 1] += band.rest
        # The first band only falls into the first channel, the last one only rises into the last.
        return matrix[:, 1:-1]

    @cached_property
    def gains(self) -> npt.NDArray[np.int16]:
        """PCAN's gain over the noise estimate: of 0 and 1, then three numbers for each bit length.

        They are the value where the bit length begins, and the linear and the quadratic coefficient
        of a parabola from there; a fourth number is not used.
        """
        found = np.zeros(2 + 4 * (_GAIN_BITS - 1), np.int16)
        found[:2] = self._gain(0), self._gain(1)
        for bits in range(2, _GAIN_BITS + 1):
            low = 1 << (bits - 1)
            high = low + (low - 1) if bits == _GAIN_BITS else 2 * low
            y0, y1, y2 = (self._gain(x) for x in (low, low + low // 2, high))
            linear = 4 * (y1 - y0) - (y2 - y0)
            row = np.array([y0, linear, y2 - y0 - linear]).astype(np.int16)
            found[4 * bits - 6 : 4 * bits - 3] = row
        return found

    def _gain(self, noise: int) -> int:
        p = self.parameters
        bits = p.smoothing_bits - self.correction_bits
        x = Float32(noise) / Float32(1 << bits)
        power = Float32(float(x + Float32(p.pcan_offset)) ** -float(Float32(p.pcan_strength)))
        gain = Float32(1 << p.gain_bits) * power
        return 32767 if gain > 32767 else int(gain + Float32(0.5))

    @cached_property
    def log2_corrections(self) -> npt.NDArray[np.uint16]:
        """What log2(1 + x) is above x, in 16 fractional bits, at 128 steps of x."""
        x = np.arange((1 << LOG_SEGMENT_BITS) + 2) / (1 << LOG_SEGMENT_BITS)
        x = np.minimum(x, 1.0)
        return np.round((1 << LOG_BITS) * (np.log2(1.0 + x) - x)).astype(np.uint16)


def micro_features(tables: MicroTables, clips: npt.NDArray[np.int16]) -> npt.NDArray[np.uint16]:
    """The features of clips.

    Args:
      tables: The constants.
      clips: [n, samples], each at least a frame.

    Returns:
      [n, frames, channels].
    """
    p = tables.parameters
    frames = np.lib.stride_tricks.sliding_window_view(clips, p.window, axis=1)[:, :: p.step]
    count, per_clip = frames.shape[:2]
    energy = np.empty((count, per_clip, p.channels), np.uint32)
    at_once = max(1, _FRAMES_AT_ONCE // per_clip)
    for start in range(0, count, at_once):
        part = frames[start : start + at_once]
        found = _channels(tables, part.reshape(-1, p.window))
        energy[start : start + at_once] = found.reshape(len(part), per_clip, p.channels)
    out = np.empty((count, per_clip, p.channels), np.uint16)
    noise = np.zeros((count, p.channels), np.uint32)
    for frame in range(per_clip):
        noise, signal = _reduce_noise(tables, energy[:, frame], noise)
        if p.pcan:
            signal = _normalize(tables, signal, noise)
        out[:, frame] = np.minimum(_logarithm(tables, signal) if p.log else signal, 0xFFFF)
    return out


def _channels(tables: MicroTables, frames: npt.NDArray[np.int16]) -> UInt32Array:
    """[n, channels] the square root of each channel's energy."""
    weighted = (frames.astype(np.int32) * tables.window) >> WINDOW_BITS
    windowed = weighted.astype(np.int16)
    largest = np.maximum(np.abs(windowed).max(axis=1), 0).astype(np.int64)
    shift = 15 - _bit_length(largest)
    scaled = np.zeros((len(frames), tables.fft_size), np.int16)
    scaled[:, : frames.shape[1]] = windowed.astype(np.int32) << shift[:, np.newaxis]
    spectrum = real_fft(scaled)
    squares = spectrum.real.astype(np.int64) ** 2 + spectrum.imag.astype(np.int64) ** 2
    sums = (squares.astype(np.float64) @ tables.filters).astype(np.uint64)
    return (_root(sums) >> shift[:, np.newaxis].astype(np.uint64)).astype(np.uint32)


def _root(x: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """The square root, rounded to nearest; but not up to 2^16 where x has 32 bits."""
    root = np.sqrt(x.astype(np.float64)).astype(np.uint64)
    root -= root * root > x
    root += (root + np.uint64(1)) ** 2 <= x
    up = (x - root * root > root) & ~((x < np.uint64(1 << 32)) & (root == 0xFFFF))
    nearest: npt.NDArray[np.uint64] = root + up.astype(np.uint64)
    return nearest


def _reduce_noise(
    tables: MicroTables, signal: UInt32Array, noise: UInt32Array
) -> tuple[UInt32Array, UInt32Array]:
    """The new estimate of the noise, and the signal without it."""
    p = tables.parameters
    smoothing = np.full(p.channels, tables.even_smoothing, np.uint64)
    smoothing[1::2] = tables.odd_smoothing
    one = np.uint64(1 << NOISE_BITS)
    scaled = _low_bits(signal.astype(np.uint64) << np.uint64(p.smoothing_bits))
    estimate = _low_bits((scaled * smoothing + noise * (one - smoothing)) >> np.uint64(NOISE_BITS))
    left = (scaled - np.minimum(estimate, scaled)) >> np.uint64(p.smoothing_bits)
    share = np.uint64(tables.min_signal_remaining)
    least = (signal * share) >> np.uint64(NOISE_BITS)
    return estimate.astype(np.uint32), np.maximum(left, least).astype(np.uint32)


def _normalize(tables: MicroTables, signal: UInt32Array, noise: UInt32Array) -> UInt32Array:
    """PCAN: the signal times a gain that falls with the noise, above its knee linear."""
    gain = _gain_at(tables.gains, noise)
    ratio = (signal.astype(np.uint64) * gain) >> np.uint64(tables.snr_shift)
    snr = _low_bits(ratio)
    knee = np.uint64(2 << SNR_BITS)
    low = (snr * snr) >> np.uint64(2 + 2 * SNR_BITS - SNR_OUTPUT_BITS)
    high = (snr >> np.uint64(SNR_BITS - SNR_OUTPUT_BITS)) - np.uint64(1 << SNR_OUTPUT_BITS)
    return np.where(snr < knee, low, high).astype(np.uint32)


def _gain_at(gains: npt.NDArray[np.int16], noise: UInt32Array) -> npt.NDArray[np.uint64]:
    x = noise.astype(np.int64)
    bits = _bit_length(x)
    place = np.where(x <= 2, x, 4 * bits - 6)
    fraction = np.where(bits < 11, x << np.maximum(11 - bits, 0), x >> np.maximum(bits - 11, 0))
    fraction &= 0x3FF
    value, linear, quadratic = (
        gains[np.minimum(place + k, len(gains) - 1)].astype(np.int64) for k in range(3)
    )
    curve = ((((quadratic * fraction) >> 5) + (linear << 5)) * fraction + (1 << 14)) >> 15
    gain = np.where(x <= 2, value, (curve + value).astype(np.int16))
    return _low_bits(gain.astype(np.uint64))


def _logarithm(tables: MicroTables, signal: UInt32Array) -> npt.NDArray[np.int64]:
    """The natural logarithm; 0 up to 1."""
    shift = tables.correction_bits
    x = signal.astype(np.int64)
    x = (x << shift) & 0xFFFFFFFF if shift >= 0 else x >> -shift
    whole = np.maximum(_bit_length(x) - 1, 0)
    fraction = x - (np.int64(1) << whole)
    fraction = np.where(
        whole < LOG_BITS,
        fraction << np.maximum(LOG_BITS - whole, 0),
        fraction >> np.maximum(whole - LOG_BITS, 0),
    )
    fraction = np.maximum(fraction, 0)
    segment = fraction >> (LOG_BITS - LOG_SEGMENT_BITS)
    low, high = (tables.log2_corrections[segment + k].astype(np.int64) for k in (0, 1))
    within = fraction - (segment << (LOG_BITS - LOG_SEGMENT_BITS))
    log2 = (whole << LOG_BITS) + fraction + low + (((high - low) * within) >> LOG_BITS)
    half = 1 << (LOG_BITS - 1)
    natural = (_LN_2 * log2 + half) >> LOG_BITS
    scaled = ((natural << tables.parameters.log_shift) + half) >> LOG_BITS
    return np.where(x > 1, scaled, 0)


def _bit_length(x: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    # frexp is exact: 2^(e-1) <= x < 2^e, and of 0 it gives 0.
    return np.frexp(x.astype(np.float64))[1].astype(np.int64)


def _low_bits(x: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    return x & np.uint64(0xFFFFFFFF)


def _mel(hz: Any) -> Any:
    return _float32(1127.0 * np.log1p(np.asarray(hz, np.float64) / 700.0))


def _float32(x: Any) -> Any:
    return np.asarray(x).astype(Float32)


def _bands(p: MicroParameters, bins: int) -> tuple[Band, ...]:
    low = _mel(p.low_hz)
    spacing = (_mel(p.high_hz) - low) / Float32(p.channels + 1)
    ends = low + spacing * np.arange(1, p.channels + 2, dtype=Float32)
    hz_per_bin = Float32(0.5 * p.sample_rate / (bins - 1))
    mel = _mel(np.arange(2 * bins, dtype=Float32) * hz_per_bin)
    start = int(1.5 + float(Float32(p.low_hz) / hz_per_bin))
    bands = []
    for index, end in enumerate(ends):
        begin = low if index == 0 else ends[index - 1]
        stop = start
        while stop < len(mel) and mel[stop] <= end:
            stop += 1
        share = ((end - mel[start:stop]) / (end - begin)).astype(np.float64)
        weights, rest = (
            np.floor((1 << FILTER_BITS) * part + 0.5).astype(np.int16)
            for part in (share, 1.0 - share)
        )
        bands.append(Band(start, weights, rest))
        start = stop
    return tuple(bands)
