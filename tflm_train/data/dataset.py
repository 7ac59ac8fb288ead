"""Labelled samples in parts: to train on, to choose by (where there is such a part), to test with.

Samples stay in the form they were found in; a model's input is made of the one that a step needs
(`model_input.to_model_input`), so that three thousand 128x128 pictures never exist as float arrays,
nor twice.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from tflm_train.data.labels import checked_targets
from tflm_train.data.normalization import Normalization
from tflm_train.data.pictures import ImageFiles
from tflm_train.errors import DataError

Array: TypeAlias = npt.NDArray[Any]
Samples: TypeAlias = Array | ImageFiles

TRAIN, VAL, TEST = PARTS = ("train", "val", "test")
# Finiteness is checked this many bytes at a time: the check needs a mask of the same length.
_CHECK_BYTES = 1 << 24


@dataclass(frozen=True, eq=False)
class Part:
    """One part of a data set.

    Attributes:
        x: [n, ...] samples.
        y: [n, ...] labels.
        groups: [n] what each sample comes from, or None.
        files: [n] where each was found, or None.
    """

    x: Samples
    y: Array
    groups: Array | None = None
    files: tuple[Path, ...] | None = None

    def __len__(self) -> int:
        return len(self.y)

    def take(self, indices: npt.NDArray[np.int64]) -> Part:
        """Some of the samples."""
        return Part(
            self.x[indices],
            self.y[indices],
            None if self.groups is None else self.groups[indices],
            None if self.files is None else tuple(self.files[i] for i in indices),
        )


@dataclass(frozen=True, eq=False)
class Dataset:
    """Training and test samples with labels or target values, checked when made.

    Attributes:
        x_train: samples [n, ...]: uint8 pictures, float values, int8 (already the model's input),
            or files.
        y_train: int64 [n], index of the class (bool, names and a column [n, 1] of such become
            that); or float32 [n, ...], a value per output of the model (labels 0 and 1,
            probabilities, or what a regression should answer); [n, 0] where there are no targets,
            for a model that learns its own input.
        x_test: like `x_train`.
        y_test: like `y_train`.
        class_names: one name per class, or empty when the data set has none.
        group_train: [n] what each training sample comes from (a person, a device, a recording): a
            split keeps them together. None when nothing is known.
        x_val: like `x_train`, what chooses among epochs; None where there is no such part.
        y_val: like `y_train`.
        group_val: like `group_train`.
        group_test: like `group_train`.
        files_train: the file of each training sample, or None.
        files_val: likewise.
        files_test: likewise.
        normalization: what a model was trained on; None where samples are that already, and where
            pictures follow the rule that the model's input tells.
        notes: what a reader has to say, a sentence each.

    Raises:
        DataError: counts or types do not fit, labels out of range, NaN or infinity in the samples.
    """

    x_train: Samples
    y_train: Array
    x_test: Samples
    y_test: Array
    class_names: tuple[str, ...] = field(default=())
    group_train: Array | None = None
    x_val: Samples | None = None
    y_val: Array | None = None
    group_val: Array | None = None
    group_test: Array | None = None
    files_train: tuple[Path, ...] | None = None
    files_val: tuple[Path, ...] | None = None
    files_test: tuple[Path, ...] | None = None
    normalization: Normalization | None = None
    notes: tuple[str, ...] = field(default=())

    @staticmethod
    def of_parts(
        train: Part,
        test: Part,
        val: Part | None = None,
        class_names: tuple[str, ...] = (),
        notes: tuple[str, ...] = (),
    ) -> Dataset:
        """A data set of its parts."""
        fields: dict[str, Any] = {}
        for name, part in zip(PARTS, (train, val, test), strict=True):
            if part is not None:
                fields |= {f"{key}_{name}": getattr(part, key) for key in ("x", "y")}
                fields |= {f"group_{name}": part.groups, f"files_{name}": part.files}
        return Dataset(**fields, class_names=class_names, notes=notes)

    @staticmethod
    def of_samples(
        train: Iterable[tuple[npt.ArrayLike, Any]],
        test: Iterable[tuple[npt.ArrayLike, Any]],
        val: Iterable[tuple[npt.ArrayLike, Any]] | None = None,
        class_names: tuple[str, ...] = (),
    ) -> Dataset:
        """A data set of whatever gives samples one by one: a generator, a `tf.data.Dataset`.

        Args:
            train: pairs of a sample and its label: a class index, a class name, or values.
            test: likewise.
            val: likewise; None for no such part.
            class_names: one name per class.

        Raises:
            DataError: samples differ in shape, or anything is no sample or no label.
        """
        return Dataset.of_parts(
            _stacked(train, TRAIN),
            _stacked(test, TEST),
            None if val is None else _stacked(val, VAL),
            class_names,
        )

    def __post_init__(self) -> None:
        if (self.x_val is None) != (self.y_val is None):
            raise DataError("x_val and y_val belong together: give both or neither")
        names = [part for part in PARTS if getattr(self, f"x_{part}") is not None]
        labels = {f"y_{part}": getattr(self, f"y_{part}") for part in names}
        targets, class_names = checked_targets(labels, self.class_names)
        object.__setattr__(self, "class_names", class_names)
        for part in names:
            object.__setattr__(self, f"y_{part}", targets[f"y_{part}"])
            self._check_part(part)
        if self.class_names:
            self.check_classes(len(self.class_names))

    def _check_part(self, part: str) -> None:
        x, y, groups = (getattr(self, f"{key}_{part}") for key in ("x", "y", "group"))
        if isinstance(x, np.ndarray):
            check_samples(x, f"x_{part}")
        if len(x) != len(y):
            raise DataError(
                f"x_{part} has {len(x)} samples but y_{part} has {len(y)} labels; "
                f"give one label per sample"
            )
        train_shape, shape = _sample_shape(self.x_train), _sample_shape(x)
        if train_shape != shape:
            raise DataError(
                f"x_train samples have shape {list(train_shape or ())} but x_{part} samples "
                f"{list(shape or ())}; both must be the same"
            )
        if groups is not None and groups.shape != (len(x),):
            raise DataError(
                f"group_{part} has shape {list(groups.shape)}; give one group for each of the "
                f"{len(x)} samples of {part}"
            )

    @property
    def train(self) -> Part:
        """What is learnt from."""
        return self._part(TRAIN)

    @property
    def test(self) -> Part:
        """What nothing is decided by."""
        return self._part(TEST)

    @property
    def val(self) -> Part | None:
        """What chooses among epochs."""
        return None if self.x_val is None else self._part(VAL)

    def parts(self) -> Iterator[tuple[str, Part]]:
        """Those there are, by name."""
        for name in PARTS:
            if getattr(self, f"x_{name}") is not None:
                yield name, self._part(name)

    def _part(self, name: str) -> Part:
        return Part(*(getattr(self, f"{key}_{name}") for key in ("x", "y", "group", "files")))

    def with_parts(self, **parts: Part) -> Dataset:
        """The same with other samples in some parts, which are named by the keywords."""
        changes: dict[str, Any] = {}
        for name, part in parts.items():
            changes |= {f"x_{name}": part.x, f"y_{name}": part.y}
            changes |= {f"group_{name}": part.groups, f"files_{name}": part.files}
        return dataclasses.replace(self, **changes)

    def check_classes(self, classes: int) -> None:
        """Refuses labels that a model with this many classes cannot learn.

        Args:
            classes: number of outputs of the classifier.

        Raises:
            DataError: a label is `classes` or more.
        """
        for name, part in self.parts():
            check_labels(part.y, f"y_{name}", classes)


def check_labels(y: Array, name: str, classes: int) -> None:
    """Refuses class indices that a model with this many classes cannot learn.

    Args:
        y: [n, ...] targets; only indices (int64) can be wrong.
        name: what to call them in messages.
        classes: number of outputs of the classifier.

    Raises:
        DataError: a label is `classes` or more.
    """
    wrong = np.flatnonzero(y >= classes) if y.dtype == np.int64 else np.empty(0)
    if wrong.size:
        raise DataError(
            f"{name}[{wrong[0]}] is {y[wrong[0]]}, but there are {classes} classes (labels 0 to "
            f"{classes - 1}); subtract 1 from labels that begin at 1, or set the scheme's head: "
            "classes"
        )


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
            f"{name} is {x.dtype}; use uint8 for pictures ({name}.astype('uint8')), float32 for "
            f"real values ({name}.astype('float32')), int8 for what the model's input takes"
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


def _stacked(samples: Iterable[tuple[npt.ArrayLike, Any]], part: str) -> Part:
    pairs = [(np.asarray(x), np.asarray(y)) for x, y in samples]
    for index, (x, _) in enumerate(pairs):
        if x.shape != pairs[0][0].shape:
            raise DataError(
                f"{part}: sample {index} has shape {list(x.shape)}, the first one "
                f"{list(pairs[0][0].shape)}; samples must be alike"
            )
    if not pairs:
        raise DataError(f"{part} has no samples")
    x, y = (np.stack(column) for column in zip(*pairs, strict=True))
    if x.dtype == np.float64:
        x = x.astype(np.float32)
    return Part(x, y)
