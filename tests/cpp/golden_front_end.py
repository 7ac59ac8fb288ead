"""Cases of the audio front ends: tables as exports have them, a clip, and its features in numpy."""

from collections.abc import Iterator

import numpy as np
from golden_inputs import Array, Suite, bits

from tflm_train.data.front_end import FrontEnd
from tflm_train.data.front_end.fixed_fft import twiddles
from tflm_train.data.front_end.micro import MicroTables
from tflm_train.data.front_end.spectrum import SpectrumTables
from tflm_train.export.front_end import triangles

_FRAMES = 4
_BEGIN = "version: 1\nsample_rate: 8000\nstep_ms: 8\n"
_MICRO = {
    "usual": ("window_ms: 12\nchannels: 10\nhigh_hz: 3600\n", "music"),
    "clipped": ("window_ms: 12\nchannels: 10\nhigh_hz: 3600\n", "clipped"),
    "lowest": ("window_ms: 32\nchannels: 10\nhigh_hz: 3600\n", "lowest"),
    "radix_4": ("window_ms: 16\nchannels: 7\nhigh_hz: 3600\nlog: {scale_shift: 3}\n", "music"),
    "radix_2_and_4": ("window_ms: 32\nchannels: 20\nhigh_hz: 3600\npcan: false\n", "music"),
    "no_logarithm": ("window_ms: 12\nchannels: 10\nhigh_hz: 3600\nlog: false\n", "music"),
}
_SPECTRUM = {
    "magnitude": "window_ms: 12\n",
    "mfcc": "window_ms: 16\nmel: {bins: 8, high_hz: 3600}\nlog: {offset: 0.001}\ncoefficients: 5\n",
    "scaled": "window_ms: 12\npower: 2\npreemphasis: 0.9\nnormalize: peak\n"
    "mel: {bins: 6, high_hz: 3600}\nscale: 3\noffset: -1\nlow: -0.5\nhigh: 40\n",
}


def suites() -> Iterator[Suite]:
    micro = Suite("micro_frame", "MicroFrameCase")
    for name, (text, sound) in _MICRO.items():
        micro.case(name, *_micro(_declared("micro", text), sound), small=False)
    yield micro
    spectrum = Suite("spectrum_frame", "SpectrumFrameCase")
    for name, text in _SPECTRUM.items():
        spectrum.case(name, *_spectrum(_declared("spectrum", text)), small=False)
    yield spectrum


def _declared(kind: str, text: str) -> FrontEnd:
    """One of clips of a few frames."""
    window = float(text.split("window_ms: ")[1].split("\n")[0])
    clip = window + 8 * (_FRAMES - 1)
    return FrontEnd.parse(f"{_BEGIN}kind: {kind}\nclip_ms: {clip:g}\n{text}", "golden")


def _clip(sound: str, size: int) -> Array:
    rng, time = np.random.default_rng(size), np.arange(size)
    made = {
        "music": 9000 * np.sin(time * time / 900) + rng.normal(0, 400, size),
        "clipped": np.where(time % 7 < 3, 32767, -32768),
        "lowest": np.full(size, -32768),
    }
    return made[sound].astype(np.int16)


def _micro(front_end: FrontEnd, sound: str) -> list[object]:
    tables = front_end.tables
    assert isinstance(tables, MicroTables)
    p = tables.parameters
    clip = _clip(sound, front_end.clip)
    circle, half_circle = twiddles(tables.fft_size)
    wanted = front_end.features(clip[np.newaxis])[0] / front_end.scale
    return [
        p.window, tables.fft_size, p.channels, tables.window, circle, half_circle,
        np.array([(band.start, len(band.weights)) for band in tables.bands], np.int16),
        np.concatenate([np.stack([b.weights, b.rest], axis=1) for b in tables.bands]),
        p.smoothing_bits, tables.even_smoothing, tables.odd_smoothing, tables.min_signal_remaining,
        tables.gains if p.pcan else None, tables.snr_shift,
        tables.log2_corrections.astype(np.int32) if p.log else None, tables.correction_bits,
        p.log_shift, p.step, front_end.frames, clip, np.round(wanted).astype(np.int32),
    ]  # fmt: skip


def _spectrum(front_end: FrontEnd) -> list[object]:
    tables = front_end.tables
    assert isinstance(tables, SpectrumTables)
    p = tables.parameters
    clip = _clip("music", front_end.clip)
    angles = -2.0 * np.pi * np.arange(p.fft_size // 2) / p.fft_size
    bands, weights = triangles(tables.mel) if p.mel_bins else ([], np.zeros(0))
    singles = [
        tables.window, np.stack([np.cos(angles), np.sin(angles)], axis=1), weights,
        tables.dct.T if p.coefficients else np.zeros(0),
        np.clip([p.preemphasis, p.log_offset, p.scale, p.offset, p.low, p.high], -3e38, 3e38),
    ]  # fmt: skip
    window, circle, mel_weights, dct, numbers = (
        bits(np.ascontiguousarray(x, np.float32)) for x in singles
    )
    return [
        p.window, p.fft_size, p.mel_bins, p.coefficients,
        ("none", "maximum", "peak").index(p.normalize), int(p.power == 2), int(p.log), window,
        circle, np.array(bands, np.int16), mel_weights, mel_weights.size, dct, dct.size, numbers,
        p.step, front_end.frames, p.channels, front_end.clip, clip,
        bits(front_end.features(clip[np.newaxis])[0]),
    ]  # fmt: skip
