"""Samples of a data set as people see them: pictures, waveforms, curves of sensor values."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from tflm_train.data import Dataset
from tflm_train.data import sounds as recordings
from tflm_train.data.pictures import ImageFiles
from tflm_train.errors import TflmTrainError

Array = npt.NDArray[Any]

_WIDTH, _HEIGHT = 160, 90
_LARGEST = 192
"""Pixels of a side: more would only make the page heavy."""
_MOST_LINES = 4
_STYLES = ("c1", "c2", "c3", "c4")
_COLUMNS = 160
"""Of a waveform, each the range of its stretch of samples."""


def picture_of(dataset: Dataset, index: int) -> str:
    """A test sample as HTML: of a recording its waveform, where the file can still be read."""
    file = None if dataset.files_test is None else dataset.files_test[index]
    if file is not None and file.suffix.lower() in recordings.SUFFIXES:
        try:
            return _waveform(file)
        except TflmTrainError:
            pass  # What the model saw of it is shown.
    x = dataset.x_test
    if isinstance(x, ImageFiles):
        return _image(x.decode(index))
    sample: Array = np.squeeze(x[index])
    if sample.ndim < 2:
        return _lines([sample.reshape(-1)])
    if sample.ndim == 2 and sample.dtype != np.uint8:
        if sample.shape[1] <= _MOST_LINES:
            return _lines(list(sample.T))
        return _image(_grey(sample.T[::-1]))  # Time runs to the right, frequencies upwards.
    if sample.ndim > 3 or (sample.ndim == 3 and sample.shape[2] not in (1, 3)):
        return _lines([sample.reshape(-1)])
    return _image(sample if sample.dtype == np.uint8 else _grey(sample))


def _grey(values: Array) -> npt.NDArray[np.uint8]:
    """The whole range of the values as 0 to 255."""
    low, high = float(values.min()), float(values.max())
    scaled = (values.astype(np.float64) - low) / max(high - low, 1e-12)
    return np.round(255 * scaled).astype(np.uint8)


def _image(pixels: npt.NDArray[np.uint8]) -> str:
    image = Image.fromarray(np.ascontiguousarray(np.squeeze(pixels)))
    image.thumbnail((_LARGEST, _LARGEST))
    stream = io.BytesIO()
    image.save(stream, format="PNG", optimize=True)
    data = base64.b64encode(stream.getvalue()).decode()
    return f"<img alt='' src='data:image/png;base64,{data}'>"


def _waveform(file: Path) -> str:
    signal, _ = recordings.read_sound(file)
    parts = np.array_split(signal.astype(np.float64), min(_COLUMNS, len(signal)))
    largest = max(1.0, float(np.abs(signal).max()))
    middle, half = _HEIGHT / 2, 0.46 * _HEIGHT
    tops = [(i, middle - half * part.max() / largest) for i, part in enumerate(parts)]
    bottoms = [(i, middle - half * part.min() / largest) for i, part in enumerate(parts)]
    step = _WIDTH / len(parts)
    points = " ".join(f"{x * step:.1f},{y:.1f}" for x, y in [*tops, *reversed(bottoms)])
    return _svg(f'<polygon class="c1" points="{points}"/>')


def _lines(rows: Sequence[Array]) -> str:
    low = min(float(row.min()) for row in rows)
    width = max(max(float(row.max()) for row in rows) - low, 1e-12)
    parts = []
    for style, row in zip(_STYLES, rows, strict=False):
        step = _WIDTH / max(1, len(row) - 1)
        ys = 0.95 * _HEIGHT - 0.9 * _HEIGHT * (row.astype(np.float64) - low) / width
        points = " ".join(f"{i * step:.1f},{y:.1f}" for i, y in enumerate(ys))
        parts.append(f'<polyline class="line {style}" points="{points}"/>')
    return _svg("".join(parts))


def _svg(content: str) -> str:
    return f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="sample">{content}</svg>'
