"""The user's data in three parts: what trains, what chooses, and what chooses nothing.

The user's test part is the third: nothing is decided by it. The training part is divided by a seed,
each class in the same shares, groups (`group_train`) whole.
"""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tflm_train.data import Dataset, Samples, to_model_input
from tflm_train.data.pictures import ImageFiles
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
    """

    x_train: Array
    y_train: Array
    x_select: Array
    y_select: Array
    x_test: Array
    y_test: Array

    @functools.cached_property
    def digest(self) -> str:
        """Names what trains and what chooses, by content."""
        digest = hashlib.sha256()
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
    rng = np.random.default_rng(seed)
    select = _chosen(dataset, rng)
    if not 0 < len(select) < len(dataset.y_train):
        raise DataError("the training part is too small to be split: give at least 2 samples")
    rest = np.setdiff1d(np.arange(len(dataset.y_train)), select)
    train = np.sort(rng.permutation(rest)[:_MOST_TRAIN])
    select = np.sort(rng.permutation(select)[:_MOST_SELECT])
    x, x_test = (_decoded(part, model) for part in (dataset.x_train, dataset.x_test))
    y = dataset.y_train
    return SplitData(x[train], y[train], x[select], y[select], x_test, dataset.y_test)


def _chosen(dataset: Dataset, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Indices of the samples that choose."""
    y = dataset.y_train
    # Values have no classes: all samples are of one kind.
    kinds = y if y.ndim == 1 and y.dtype == np.int64 else np.zeros(len(y), np.int64)
    if dataset.group_train is not None:
        return _whole_groups(kinds, dataset.group_train, rng)
    chosen = []
    for kind in np.unique(kinds):
        members = rng.permutation(np.flatnonzero(kinds == kind))
        # A class of one sample has none to spare.
        count = max(len(members) > 1, round(SELECT_SHARE * len(members)))
        chosen.append(members[:count])
    return np.concatenate(chosen)


def _whole_groups(
    kinds: npt.NDArray[np.int64], groups: Array, rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Groups, one after the other, as long as they bring the classes closer to their share."""
    names, places = np.unique(groups, return_inverse=True)
    if len(names) < 2:
        raise DataError(
            f"group_train: all training samples are of group {names[0]}; a split needs at least "
            "two groups, or no group_train"
        )
    classes = int(kinds.max()) + 1
    counts = np.zeros((len(names), classes))
    np.add.at(counts, (places, kinds), 1)
    wanted = SELECT_SHARE * counts.sum(axis=0)
    order = rng.permutation(len(names))
    chosen = [int(order[0])]
    have = counts[chosen[0]].copy()
    for group in order[1:-1]:
        more = have + counts[group]
        if np.abs(more - wanted).sum() < np.abs(have - wanted).sum():
            chosen.append(int(group))
            have = more
    return np.flatnonzero(np.isin(places, chosen))


def _decoded(samples: Samples, model: Model) -> Array:
    if not isinstance(samples, ImageFiles):
        return samples
    tensor = model.graph.inputs[0]
    # Of a scale of 1 and a zero point of 0 only the pictures' own values are left.
    pixels = to_model_input(samples, tensor.shape, 1.0, 0)
    return (pixels.view(np.uint8) ^ np.uint8(0x80)).reshape(len(samples), *tensor.shape[1:])
