"""Labelled samples in parts: to train on, and to test with.

Samples stay in the form they were found in; a model's input is made of the one that a step needs
(`model_input.to_model_input`), so that three thousand 128x128 pictures never exist as float arrays,
nor twice.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from tflm_train.data.pictures import ImageFiles
from tflm_train.errors import DataError

Array: TypeAlias = npt.NDArray[Any]
LabelArray: TypeAlias = npt.NDArray[np.int64]
Samples: TypeAlias = Array | ImageFiles

# Finiteness is checked this many bytes at a time: the check needs a mask of the same length.
_CHECK_BYTES = 1 << 24


@dataclass(frozen=True, eq=False)
class Dataset:
    """Training and test samples with labels or target values, checked when made.

    Attributes:
        x_train: samples [n, ...]: uint8 pictures, float values, int8 (already the model's input),
            or files.
        y_train: int64 [n], index of the class; or float32 [n, ...], a value per output of the model
            (labels 0 and 1, probabilities, or what a regression should answer); [n, 0] where there
            are no targets, for a model that learns its own input.
        x_test: like `x_train`.
        y_test: like `y_train`.
        class_names: one name per class, or empty when the data set has none.
        group_train: [n] what each training sample comes from (a person, a device, a recording): a
            split keeps them together. None when nothing is known.

    Raises:
        DataError: counts or types do not fit, labels out of range, NaN or infinity in the samples.
    """

    x_train: Samples
    y_train: Array
    x_test: Samples
    y_test: Array
    class_names: tuple[str, ...] = field(default=())
    group_train: Array | None = None

    def __post_init__(self) -> None:
        for part in ("train", "test"):
            x, y = getattr(self, f"x_{part}"), getattr(self, f"y_{part}")
            if isinstance(x, np.ndarray):
                check_samples(x, f"x_{part}")
            y = _checked_targets(y, f"y_{part}")
            object.__setattr__(self, f"y_{part}", y)
            if len(x) != len(y):
                raise DataError(
                    f"x_{part} has {len(x)} samples but y_{part} has {len(y)} labels; "
                    f"give one label per sample"
                )
        train_shape, test_shape = _sample_shape(self.x_train), _sample_shape(self.x_test)
        if train_shape != test_shape:
            raise DataError(
                f"x_train samples have shape {list(train_shape or ())} but x_test samples "
                f"{list(test_shape or ())}; both must be the same"
            )
        if self.class_names:
            self.check_classes(len(self.class_names))
        if self.group_train is not None and self.group_train.shape != (len(self.x_train),):
            raise DataError(
                f"group_train has shape {list(self.group_train.shape)}; give one group for each of "
                f"the {len(self.x_train)} training samples"
            )

    def first(self, limit: int | None) -> Dataset:
        """The first `limit` training and test samples; all where it is None.

        Raises:
          DataError: It is less than 1.
        """
        if limit is None:
            return self
        if limit < 1:
            raise DataError(f"limit {limit} must be at least 1")
        groups = None if self.group_train is None else self.group_train[:limit]
        return Dataset(
            self.x_train[:limit],
            self.y_train[:limit],
            self.x_test[:limit],
            self.y_test[:limit],
            self.class_names,
            groups,
        )

    def check_classes(self, classes: int) -> None:
        """Refuses labels that a model with this many classes cannot learn.

        Args:
            classes: number of outputs of the classifier.

        Raises:
            DataError: a label is `classes` or more.
        """
        for part, labels in (("y_train", self.y_train), ("y_test", self.y_test)):
            if labels.dtype != np.int64:
                continue
            wrong = np.flatnonzero(labels >= classes)
            if wrong.size:
                raise DataError(
                    f"{part}[{wrong[0]}] is {labels[wrong[0]]}, but there are {classes} classes "
                    f"(labels 0 to {classes - 1}); correct them, or set the scheme's head: classes"
                )


def _checked_targets(values: Array, name: str) -> Array:
    if not values.ndim or not len(values):
        raise DataError(f"{name} is empty")
    if values.ndim == 1 and values.dtype.kind in "iu":
        return _checked_labels(values, name)
    if values.dtype.kind not in "iufb":
        raise DataError(
            f"{name} must be a list of class indices or of target values, not {values.dtype} "
            f"of shape {list(values.shape)}"
        )
    checked = values.astype(np.float32)
    bad = np.argwhere(~np.isfinite(checked))
    if bad.size:
        raise DataError(f"{name}[{bad[0][0]}] contains NaN or infinity; remove or repair it")
    return checked


def _checked_labels(labels: Array, name: str) -> LabelArray:
    checked = labels.astype(np.int64)
    wrong = np.flatnonzero(checked < 0)
    if wrong.size:
        raise DataError(f"{name}[{wrong[0]}] is {checked[wrong[0]]}; labels start at 0")
    return checked


def check_samples(x: Array, name: str) -> None:
    """Refuses an array that cannot be samples.

    Args:
        x: [n, ...].
        name: what to call it in messages.

    Raises:
        DataError: its shape or type, or NaN or infinity in it.
    """
    if x.ndim < 2:
        raise DataError(f"{name} has shape {list(x.shape)}; samples come first: [n, ...]")
    if x.dtype in (np.uint8, np.int8):
        return
    if not np.issubdtype(x.dtype, np.floating):
        raise DataError(
            f"{name} is {x.dtype}; use uint8 (pictures), float32, or int8 (model input)"
        )
    rows = max(1, _CHECK_BYTES // max(1, x[:1].nbytes))
    for start in range(0, len(x), rows):
        bad = np.argwhere(~np.isfinite(x[start : start + rows]))
        if bad.size:
            raise DataError(
                f"{name}[{start + bad[0][0]}] contains NaN or infinity; remove or repair it"
            )


def _sample_shape(x: Samples) -> tuple[int, ...] | None:
    return x.shape[1:] if isinstance(x, np.ndarray) else None
