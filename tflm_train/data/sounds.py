"""Recordings on disk, as clips of 16-bit samples at the rate of a front end."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tflm_train.data.front_end import FrontEnd
from tflm_train.data.npz import reason
from tflm_train.errors import DataError, RuntimeFailure

SUFFIXES = frozenset({".wav", ".flac", ".ogg"})
_FULL_SCALE = 32768.0
_MOST_SECONDS = 3600.0
_CLIPS_AT_ONCE = 256


@dataclass(frozen=True)
class Clips:
    """What recordings gave.

    Attributes:
        features: float32 [n, frames, channels].
        places: [n] index of the recording of each clip.
        padded: how many recordings were shorter than a clip, and got silence at the end.
        cut: how many were longer, and lost what follows their last clip.
        resampled: how many had another rate.
    """

    features: npt.NDArray[np.float32]
    places: npt.NDArray[np.int64]
    padded: int
    cut: int
    resampled: int

    def notes(self, front_end: FrontEnd, count: int) -> list[str]:
        """What people should know of it; sentences.

        Args:
            front_end: what the clips are for.
            count: how many recordings there were.
        """
        ms = 1000 * front_end.clip / front_end.sample_rate
        said = []
        if self.padded:
            said.append(
                f"{self.padded} of {count} recordings are shorter than {ms:g} ms; silence follows"
            )
        if self.cut:
            said.append(
                f"{self.cut} of {count} recordings are longer than {ms:g} ms; what follows is not "
                "used (--stride cuts them into several samples)"
            )
        if self.resampled:
            said.append(
                f"{self.resampled} of {count} recordings were resampled to "
                f"{front_end.sample_rate} Hz"
            )
        return said


def read_clips(
    paths: Sequence[Path], front_end: FrontEnd, stride: int | None, most_bytes: int
) -> Clips:
    """Cuts recordings into clips, and makes features of them.

    Args:
        paths: the recordings.
        front_end: says how long a clip is, at which rate, and what becomes of it.
        stride: samples from one clip to the next; None for the first clip only.
        most_bytes: what the features may take in memory.

    Raises:
        DataError: a file is no recording, or there are more features than allowed.
        RuntimeFailure: a library that is needed is not installed.
    """
    features: list[npt.NDArray[np.float32]] = []
    clips: list[npt.NDArray[np.int16]] = []
    places: list[int] = []
    padded = cut = resampled = 0
    bytes_each = 4 * front_end.shape[0] * front_end.shape[1]
    for index, path in enumerate(paths):
        signal, rate = read_sound(path)
        if rate != front_end.sample_rate:
            signal, resampled = _resampled(signal, rate, front_end.sample_rate), resampled + 1
        size = front_end.clip
        if len(signal) < size:
            signal, padded = np.pad(signal, (0, size - len(signal))), padded + 1
        starts = range(0, len(signal) - size + 1, stride or len(signal))
        cut += stride is None and len(signal) > size
        clips += [signal[start : start + size] for start in starts]
        places += [index] * len(starts)
        if len(places) * bytes_each > most_bytes:
            raise DataError(
                f"{path}: the features take more than {most_bytes:,} bytes of memory; give fewer "
                "recordings, or allow more (--max-data)"
            )
        if len(clips) >= _CLIPS_AT_ONCE or (clips and index == len(paths) - 1):
            features.append(front_end.features(np.stack(clips)))
            clips = []
    return Clips(np.concatenate(features), np.array(places, np.int64), padded, cut, resampled)


def read_sound(path: Path) -> tuple[npt.NDArray[np.int16], int]:
    """One recording: its samples, the mean over its channels, and its rate in Hz.

    Raises:
        DataError: it cannot be read as a recording.
        RuntimeFailure: `soundfile` is not installed.
    """
    soundfile: Any = _library("soundfile")
    if not path.is_file():
        raise DataError(f"{path} is no regular file; remove it from the data")
    try:
        with soundfile.SoundFile(path) as file:
            if file.frames > _MOST_SECONDS * file.samplerate:
                raise DataError(f"{path} is longer than {_MOST_SECONDS:g} s; cut it into pieces")
            # Doubles hold 16-bit samples exactly, and what is no PCM has its own full scale.
            values = file.read(dtype="float64", always_2d=True)
            rate = int(file.samplerate)
    except (soundfile.SoundFileError, OSError, ValueError, MemoryError) as error:
        raise DataError(f"{path}: not a readable recording ({reason(error)})") from error
    if not len(values) or not np.all(np.isfinite(values)):
        raise DataError(f"{path}: a recording without samples, or with NaN in them")
    return _as_int16(values.mean(axis=1)), rate


def _resampled(signal: npt.NDArray[np.int16], rate: int, wanted: int) -> npt.NDArray[np.int16]:
    soxr: Any = _library("soxr")
    return _as_int16(soxr.resample(signal / _FULL_SCALE, rate, wanted))


def _as_int16(values: npt.NDArray[np.float64]) -> npt.NDArray[np.int16]:
    scaled = np.clip(np.round(_FULL_SCALE * values), -_FULL_SCALE, _FULL_SCALE - 1)
    return scaled.astype(np.int16)


def _library(name: str) -> Any:
    if importlib.util.find_spec(name) is None:
        raise RuntimeFailure(f"recordings need {name}; pip install 'tflm_train[audio]'")
    return importlib.import_module(name)
