"""What the five networks learn: scikit-learn's `load_digits`, 1797 real handwritten digits.

Each network sees them in its own shape. The first 900 are the *source*, which `recipe.py` trains
with; the others are the *field*: digits that the network has never seen, changed in one way.
"""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt

from tflm_train.data import Dataset

SOURCE_COUNT, FIELD_TRAIN_COUNT, FIELD_TEST_COUNT = 900, 300, 200
Pictures = npt.NDArray[np.float64]


@functools.cache
def _digits() -> tuple[Pictures, npt.NDArray[np.int64]]:
    """All digits: [1797, 8, 8] in [0, 1], and their labels."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    return digits.images / 16.0, digits.target.astype(np.int64)


def enlarged(pictures: Pictures, height: int, width: int) -> Pictures:
    """Linear interpolation, edges repeated: [n, h, w] to [n, height, width]."""
    rows, columns = (_matrix(pictures.shape[1], height), _matrix(pictures.shape[2], width))
    return rows @ pictures @ columns.T


def _matrix(old: int, new: int) -> npt.NDArray[np.float64]:
    matrix = np.zeros((new, old))
    for row in range(new):
        position = min(max((row + 0.5) * old / new - 0.5, 0.0), old - 1.0)
        left = min(int(position), old - 2)
        matrix[row, left] += 1.0 - (position - left)
        matrix[row, left + 1] += position - left
    return matrix


def spectrum(pictures: Pictures, seed: int) -> npt.NDArray[np.uint8]:
    """As 49 frames of 10 bands, on a floor of noise: [n, 49, 10, 1]."""
    rng = np.random.default_rng(seed)
    x = enlarged(pictures.transpose(0, 2, 1), 49, 10)
    noise = rng.uniform(0, 0.15, x.shape)
    return _bytes(0.85 * x + noise)[..., np.newaxis]


def coloured(pictures: Pictures, seed: int) -> npt.NDArray[np.uint8]:
    """In one colour before a smooth background of others, somewhere: [n, 32, 32, 3]."""
    rng = np.random.default_rng(seed)
    count = len(pictures)
    background = enlarged(rng.uniform(0.0, 0.6, (3 * count, 4, 4)), 32, 32)
    background = background.reshape(count, 3, 32, 32).transpose(0, 2, 3, 1)
    ink = np.zeros((count, 32, 32, 1))
    for target, picture, (top, left) in zip(
        ink, enlarged(pictures, 26, 26), rng.integers(0, 7, (count, 2)), strict=True
    ):
        target[top : top + 26, left : left + 26, 0] = picture
    colour = rng.uniform(0.65, 1.0, (count, 1, 1, 3))
    return _bytes(background * (1 - ink) + colour * ink)


def flat(pictures: Pictures, seed: int) -> npt.NDArray[np.float32]:
    """16 x 16 points in a row, slightly noisy: [n, 256] in [0, 1]."""
    rng = np.random.default_rng(seed)
    x = enlarged(pictures, 16, 16) + rng.normal(0, 0.02, (len(pictures), 16, 16))
    return x.clip(0, 1).reshape(len(pictures), 256).astype(np.float32)


def _bytes(x: Pictures) -> npt.NDArray[np.uint8]:
    return np.round(255 * x.clip(0, 1)).astype(np.uint8)


# What happens to the digits in the field.
def turned(pictures: Pictures) -> Pictures:
    return np.rot90(pictures, axes=(1, 2))


def mirrored(pictures: Pictures) -> Pictures:
    return pictures[:, :, ::-1]


def inverted(pictures: Pictures) -> Pictures:
    """Dark digits on a bright patch."""
    return 1.0 - pictures


def faint(pictures: Pictures) -> Pictures:
    """Half as strong, and upside down."""
    return 0.5 * pictures[:, ::-1, ::-1]


SHAPES = {"spectrum": spectrum, "coloured": coloured, "flat": flat}
SHIFTS = {f.__name__: f for f in (turned, mirrored, inverted, faint)}


def source(shape: str, epoch: int = 0) -> Dataset:
    """The digits that a network is trained with; other noise and places in each epoch."""
    pictures, labels = _digits()
    make = SHAPES[shape]
    first, rest = pictures[:SOURCE_COUNT], pictures[SOURCE_COUNT:]
    return Dataset(
        make(first, 100 + epoch), labels[:SOURCE_COUNT], make(rest, 1), labels[SOURCE_COUNT:]
    )


def field(shape: str, shift: str, test_count: int = FIELD_TEST_COUNT) -> Dataset:
    """Digits it has never seen, changed: 300 to learn from, 200 or up to 597 others to test."""
    pictures, labels = _digits()
    x = SHAPES[shape](SHIFTS[shift](pictures[SOURCE_COUNT:]), 2)
    y = labels[SOURCE_COUNT:]
    # The samples are ordered by session; a seeded shuffle makes both parts alike.
    order = np.random.default_rng(0).permutation(len(y))
    train, test, _ = np.split(order, (FIELD_TRAIN_COUNT, FIELD_TRAIN_COUNT + test_count))
    if shape == "flat":  # what learns its input has no targets
        y = np.zeros((len(y), 0), np.float32)
    return Dataset(x[train], y[train], x[test], y[test])
