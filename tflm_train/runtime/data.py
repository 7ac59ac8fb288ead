"""Labelled data sets, and their way into the int8 input of a model.

A data set is an `.npz` file with `x_train, y_train, x_test, y_test` (and optionally `class_names`,
and `group_train`: who or what each training sample comes from), or a folder with one sub-folder of
pictures per class. Samples stay in the form they were found in: a step converts the one sample it
needs (`to_model_input`), so that three thousand 128x128 pictures never exist as float arrays, nor
twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from tflm_train.errors import DataError
from tflm_train.runtime.npz import MOST_BYTES, NpzFile
from tflm_train.runtime.pictures import ImageFiles, class_files, picture_to_int8

Array: TypeAlias = npt.NDArray[Any]
Int8Array: TypeAlias = npt.NDArray[np.int8]
LabelArray: TypeAlias = npt.NDArray[np.int64]

_NPZ_KEYS = ("x_train", "y_train", "x_test", "y_test")
_OPTIONAL_KEYS = ("class_names", "group_train")
# Finiteness is checked this many bytes at a time: the check needs a mask of the same length.
_CHECK_BYTES = 1 << 24
Samples: TypeAlias = Array | ImageFiles


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
                _check_samples(x, f"x_{part}")
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


def load_dataset(
    path: str | Path, test_fraction: float = 0.2, seed: int = 0, most_bytes: int = MOST_BYTES
) -> Dataset:
    """Reads a data set from an `.npz` file or a folder of pictures by class.

    A folder holds either `<class>/*.png|jpg` (then a share of each class becomes the test part,
    chosen by `seed`), or `train/<class>/…` and `test/<class>/…`. Classes are numbered in the sorted
    order of their folders' names.

    Args:
        path: the file or folder.
        test_fraction: share of each class kept for testing, in (0, 1); only for folders without
            train/ and test/.
        seed: of the split.
        most_bytes: what the arrays of an `.npz` file may take in memory.

    Raises:
        DataError: anything about the data is missing, unreadable or inconsistent.
    """
    path = Path(path)
    if not path.exists():
        raise DataError(f"{path}: no such file or folder")
    if path.is_dir():
        return _load_folder(path, test_fraction, seed)
    return _load_npz(path, most_bytes)


def to_model_input(
    x: Samples, shape: Sequence[int], scale: float, zero_point: int, name: str = "x"
) -> Int8Array:
    """Converts samples to the int8 input of a model, one at a time: no float copy of the whole.

    uint8 pictures are resized (bilinear) and converted between grey and RGB where the model asks
    for it, then mapped by subtracting 128, as the camera pipelines of int8 models do. Float values
    are quantised, `q = clip(round(x / scale) + zero_point)`, ties away from zero. int8 values are
    taken as they are.

    Args:
        x: [n, ...] samples, or files.
        shape: of the model's input tensor, batch of 1 first.
        scale: of the model's input tensor.
        zero_point: of the model's input tensor.
        name: what to call `x` in messages.

    Returns:
        int8 [n, *shape[1:]].

    Raises:
        DataError: shape, type or values cannot be made to fit.
    """
    target = tuple(int(extent) for extent in shape[1:])
    out = np.empty((len(x), *target), dtype=np.int8)
    if isinstance(x, ImageFiles):
        for i in range(len(x)):
            out[i] = picture_to_int8(x.decode(i), target, str(x.paths[i]))
        return out
    _check_samples(x, name)
    if x.dtype == np.uint8:
        for i, sample in enumerate(x):
            out[i] = picture_to_int8(sample, target, name)
        return out
    if x.shape[1:] != target and (*x.shape[1:], 1) != target:
        raise DataError(
            f"{name}: samples of shape {list(x.shape[1:])} do not fit the model's input "
            f"{list(target)}; only uint8 pictures are resized"
        )
    for i, sample in enumerate(x):
        quantised = sample if x.dtype == np.int8 else quantise(sample, scale, zero_point)
        out[i] = quantised.reshape(target)
    return out


def quantise(
    x: Array, scale: float, zero_point: int, dtype: type[np.signedinteger[Any]] = np.int8
) -> Array:
    """`clip(round(x / scale) + zero_point)` to the type's range; in doubles, ties from zero."""
    ratio = x.astype(np.float64) / float(scale)
    rounded = np.copysign(np.floor(np.abs(ratio) + 0.5), ratio)
    limits = np.iinfo(dtype)
    q: Array = np.clip(rounded + zero_point, limits.min, limits.max).astype(dtype)
    return q


def _load_npz(path: Path, most_bytes: int) -> Dataset:
    with NpzFile(path, most_bytes) as file:
        missing = [key for key in _NPZ_KEYS if key not in file.keys]
        # Autoencoders need no targets.
        if missing and missing != ["y_train", "y_test"]:
            raise DataError(
                f"{path}: {', '.join(missing)} missing; "
                f"an .npz data set holds {', '.join(_NPZ_KEYS)}"
            )
        keys = [key for key in (*_NPZ_KEYS, *_OPTIONAL_KEYS) if key in file.keys]
        arrays: dict[str, Any] = file.read(keys)
    for key in missing:
        arrays[key] = np.zeros((len(arrays[key.replace("y", "x")]), 0), np.float32)
    names = arrays.pop("class_names", np.empty(0, dtype=np.str_))
    if names.ndim != 1:
        raise DataError(
            f"{path}: class_names must be a list of names, not shape {list(names.shape)}"
        )
    return _named(path, class_names=tuple(str(name) for name in names), **arrays)


def _load_folder(root: Path, test_fraction: float, seed: int) -> Dataset:
    parts = {entry.name for entry in _subfolders(root)}
    if {"train", "test"} <= parts:
        names = [entry.name for entry in _subfolders(root / "train")]
        unknown = sorted({entry.name for entry in _subfolders(root / "test")} - set(names))
        if unknown:
            raise DataError(f"{root / 'test' / unknown[0]}: no such class in {root / 'train'}")
        train = [class_files(root / "train" / name) for name in names]
        test = [
            class_files(root / "test" / name) if (root / "test" / name).is_dir() else []
            for name in names
        ]
    else:
        names = [entry.name for entry in _subfolders(root)]
        if not 0.0 < test_fraction < 1.0:
            raise DataError(f"test_fraction is {test_fraction}; it must lie between 0 and 1")
        train, test = [], []
        for index, name in enumerate(names):
            files = class_files(root / name)
            if len(files) < 2:
                raise DataError(
                    f"{root / name}: one picture only; a class needs at least two, "
                    f"for training and test"
                )
            count = min(max(1, round(test_fraction * len(files))), len(files) - 1)
            order = np.random.default_rng([seed, index]).permutation(len(files))
            chosen = {int(i) for i in order[:count]}
            test.append([file for i, file in enumerate(files) if i in chosen])
            train.append([file for i, file in enumerate(files) if i not in chosen])
    if not names:
        raise DataError(f"{root}: no class folders in it; expected <class>/*.png or <class>/*.jpg")
    arrays: dict[str, Any] = {}
    for part, groups in (("train", train), ("test", test)):
        arrays[f"x_{part}"] = ImageFiles([file for group in groups for file in group])
        arrays[f"y_{part}"] = np.repeat(
            np.arange(len(groups), dtype=np.int64), [len(group) for group in groups]
        )
    return _named(root, class_names=tuple(names), **arrays)


def _subfolders(folder: Path) -> list[Path]:
    return sorted(e for e in folder.iterdir() if e.is_dir() and not e.name.startswith("."))


def _named(path: Path, **fields: Any) -> Dataset:
    try:
        return Dataset(**fields)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


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


def _check_samples(x: Array, name: str) -> None:
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
