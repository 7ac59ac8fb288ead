"""The user's data in three parts: what trains, what chooses, and what chooses nothing.

The user's test part is the third: nothing is decided by it. The second is the user's validation
part; without one the training part is divided by a seed, each class in the same shares, groups
(`group_train`) whole.
"""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tflm_train.data import Dataset, Normalization, Samples
from tflm_train.data.model_input import pixels_of
from tflm_train.data.pictures import ImageFiles
from tflm_train.data.split import choose, others
from tflm_train.errors import DataError
from tflm_train.model import Model

Array = npt.NDArray[Any]

SELECT_SHARE = 0.25
"""Share of the training samples that choose."""
_MOST_SELECT = 500
_MOST_TRAIN = 1500
"""More samples than that tell schemes apart no better in the time that there is."""


@dataclass(frozen=True, eq=False)
class SplitData:
    """A data set for fine-tunes that are compared with each other.

    Attributes:
      x_train: [n, ...] samples that train, as a `Dataset` has them; pictures on disk are decoded.
      y_train: [n] or [n, ...], their targets.
      x_select: Samples that choose.
      y_select: Their targets.
      x_test: The user's test samples, which choose nothing.
      y_test: Their targets.
      normalization: What the model was trained on, where that is stated.
    """

    x_train: Array
    y_train: Array
    x_select: Array
    y_select: Array
    x_test: Array
    y_test: Array
    normalization: Normalization | None = None

    @functools.cached_property
    def dataset(self) -> Dataset:
        """The same as a data set: what chooses is its part for validation."""
        return Dataset(
            self.x_train,
            self.y_train,
            self.x_test,
            self.y_test,
            x_val=self.x_select,
            y_val=self.y_select,
            normalization=self.normalization,
        )

    @functools.cached_property
    def digest(self) -> str:
        """Names what trains and what chooses, by content."""
        digest = hashlib.sha256()
        if self.normalization is not None:
            digest.update(repr(self.normalization).encode())
        for part in (self.x_train, self.y_train, self.x_select, self.y_select):
            digest.update(f"{part.dtype} {part.shape}".encode())
            digest.update(np.ascontiguousarray(part).data)
        return digest.hexdigest()


def split_data(dataset: Dataset, model: Model, seed: int = 0) -> SplitData:
    """Divides the training samples.

    Args:
      dataset: The user's data.
      model: What it is for; pictures on disk are decoded to the size that it takes.
      seed: Of the split.

    Raises:
      DataError: There are too few samples, or all are of one group.
    """
    rng, train = np.random.default_rng(seed), dataset.train
    val = dataset.val
    if val is None:
        chosen = choose(train, SELECT_SHARE, rng)
        if not 0 < len(chosen) < len(train):
            raise DataError("the training part is too small to be split: give at least 2 samples")
        train, val = train.take(others(chosen, len(train))), train.take(chosen)
    train = train.take(np.sort(rng.permutation(len(train))[:_MOST_TRAIN]))
    val = val.take(np.sort(rng.permutation(len(val))[:_MOST_SELECT]))
    x, x_select, x_test = (_decoded(x, model) for x in (train.x, val.x, dataset.x_test))
    return SplitData(x, train.y, x_select, val.y, x_test, dataset.y_test, dataset.normalization)


def _decoded(samples: Samples, model: Model) -> Array:
    if not isinstance(samples, ImageFiles):
        return samples
    return pixels_of(samples, model.graph.inputs[0].shape, "x")
