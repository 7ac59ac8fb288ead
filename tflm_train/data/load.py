"""Data sets on disk.

A data set is an `.npz` file with `x_train, y_train, x_test, y_test` (and optionally `class_names`,
and `group_train`: who or what each training sample comes from), or a folder with one sub-folder of
pictures per class.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tflm_train.data.dataset import Dataset
from tflm_train.data.npz import MOST_BYTES, NpzFile
from tflm_train.data.pictures import ImageFiles, class_files
from tflm_train.errors import DataError

_NPZ_KEYS = ("x_train", "y_train", "x_test", "y_test")
_OPTIONAL_KEYS = ("class_names", "group_train")


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
