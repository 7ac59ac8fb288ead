"""The digits of the demonstration: scikit-learn's `load_digits`, 1797 real handwritten digits.

The first 900 are the *source*, from which `make_model.py` trains the model. The last 897 are the
*field*: other samples, which the model has never seen, turned by a quarter (the sensor was mounted
on its side).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tflm_train.data import Dataset
from tflm_train.errors import DataError

SOURCE_COUNT = 900
FIELD_TRAIN_COUNT = 597
CLASS_NAMES = tuple("0123456789")


def field_data() -> Dataset:
    """The field: digits 900 to 1796, turned by 90 degrees; 597 to learn from, 300 to test.

    Returns:
        uint8 pictures [n, 16, 16, 1] (the model's input plus 128).

    Raises:
        DataError: scikit-learn is not installed.
    """
    images, labels = _digits()
    images = np.rot90(images[SOURCE_COUNT:], axes=(1, 2))
    return _split(images, labels[SOURCE_COUNT:])


def source_data() -> Dataset:
    """What the model knows: the 900 digits it learnt, and the field's 300 test digits, upright.

    Returns:
        uint8 pictures [n, 16, 16, 1]. The test part shows the same digits as `field_data().x_test`,
        before they were turned, so that the two accuracies differ by the turn alone.

    Raises:
        DataError: scikit-learn is not installed.
    """
    images, labels = _digits()
    upright = _split(images[SOURCE_COUNT:], labels[SOURCE_COUNT:])
    return Dataset(
        images[:SOURCE_COUNT], labels[:SOURCE_COUNT], upright.x_test, upright.y_test, CLASS_NAMES
    )


def _split(images: npt.NDArray[np.uint8], labels: npt.NDArray[np.int64]) -> Dataset:
    # The samples are ordered by session; a seeded shuffle makes both parts alike.
    order = np.random.default_rng(0).permutation(len(images))
    train, test = order[:FIELD_TRAIN_COUNT], order[FIELD_TRAIN_COUNT:]
    return Dataset(images[train], labels[train], images[test], labels[test], CLASS_NAMES)


def _digits() -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """All digits: uint8 [1797, 16, 16, 1] and their int64 labels [1797]."""
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise DataError("the digits come with scikit-learn: pip install '.[demo]'") from error
    digits = load_digits()
    small = digits.images * (255.0 / 16.0)  # 8x8, grey levels 0 to 16
    enlarge = _enlarge_matrix(8)
    images = enlarge @ small @ enlarge.T
    return np.round(images).astype(np.uint8)[..., np.newaxis], digits.target.astype(np.int64)


def _enlarge_matrix(size: int) -> npt.NDArray[np.float64]:
    """Linear interpolation to twice the density, edges repeated: float64 [2 * size, size]."""
    matrix = np.zeros((2 * size, size))
    for row in range(2 * size):
        position = min(max((row + 0.5) / 2.0 - 0.5, 0.0), size - 1.0)
        left = min(int(position), size - 2)
        matrix[row, left] = 1.0 - (position - left)
        matrix[row, left + 1] = position - left
    return matrix
