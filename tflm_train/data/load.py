"""Data sets on disk.

A data set is an `.npz` file with `x_train, y_train, x_test, y_test` (and optionally `x_val, y_val`,
`class_names`, and `group_train, group_val, group_test`: who or what each sample comes from); a
folder of files by class (`folder`): pictures, recordings, or tables of sensor values; a table; or a
folder with the tables `train`, `test` and perhaps `val`.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tflm_train.data import pictures, sounds, tables
from tflm_train.data.dataset import PARTS, TEST, TRAIN, VAL, Array, Dataset, Part
from tflm_train.data.folder import Folder, groups_of, kinds_of_files
from tflm_train.data.front_end import FrontEnd
from tflm_train.data.labels import checked_targets
from tflm_train.data.npz import MOST_BYTES, NpzFile
from tflm_train.data.overlaps import stretches_of
from tflm_train.data.pictures import ImageFiles
from tflm_train.data.split import choose, kinds_of, others
from tflm_train.data.tables import TableOptions, read_windows
from tflm_train.errors import DataError

TEST_SHARE = 0.2
_NPZ_KEYS = ("x_train", "y_train", "x_test", "y_test")
_NAMES = "class_names"
_OPTIONAL_KEYS = ("x_val", "y_val", *(f"group_{part}" for part in PARTS))


@dataclass(frozen=True)
class Reading:
    """How data are to be read, where that is not in them.

    Attributes:
        test_share: share of each class kept for testing, in (0, 1), where the data are in one part.
        seed: of that choice.
        most_bytes: what arrays may take in memory.
        front_end: what makes a model's input of recordings.
        table: what of a table becomes a sample.
        stride_ms: from one clip of a recording to the next; None for the first clip only.
        group: a regular expression that finds in a file's path what it comes from.
    """

    test_share: float = TEST_SHARE
    seed: int = 0
    most_bytes: int = MOST_BYTES
    front_end: FrontEnd | None = None
    table: TableOptions | None = None
    stride_ms: float | None = None
    group: str | None = None


def load_dataset(path: str | Path, reading: Reading | None = None) -> Dataset:
    """Reads a data set.

    Args:
        path: the file or folder.
        reading: how; as it is, where nothing has to be said.

    Raises:
        DataError: anything about the data is missing, unreadable or inconsistent.
        RuntimeFailure: a library that is needed is not installed.
    """
    path, reading = Path(path), reading or Reading()
    if not 0.0 < reading.test_share < 1.0:
        raise DataError(f"a share of {reading.test_share:g} for testing; give one between 0 and 1")
    with _reading(path):
        if path.suffix.lower() in tables.SUFFIXES:
            return _load_tables([path], None, reading)
        return _load_folder(path, reading) if path.is_dir() else _load_npz(path, reading.most_bytes)


def load_class_names(path: str | Path, reading: Reading | None = None) -> tuple[str, ...]:
    """Reads the names of a data set's classes, without the samples where those do not matter.

    Args:
        path: the file or folder.
        reading: how, as of `load_dataset`.

    Returns:
        One name per class; empty where nothing names them.

    Raises:
        DataError: the data are missing, unreadable or inconsistent.
        RuntimeFailure: a library that is needed is not installed.
    """
    path, reading = Path(path), reading or Reading()
    with _reading(path):
        if path.is_dir():
            kinds = kinds_of_files(path)
            for suffixes in (pictures.SUFFIXES, sounds.SUFFIXES):
                if kinds & suffixes:
                    return Folder.read(path, suffixes).class_names
        elif path.suffix.lower() not in tables.SUFFIXES:
            with NpzFile(path, reading.most_bytes) as file:
                names = _names_in(file, path)
                labels = file.read([f"y_{part}" for part in PARTS if f"y_{part}" in file.keys])
            return names or checked_targets(labels, ())[1]
    return load_dataset(path, reading).class_names


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Sees that something is there, and puts its name before what is wrong with it."""
    if not path.exists():
        raise DataError(f"{path}: no such file or folder")
    try:
        yield
    except DataError as error:
        if str(error).startswith(str(path)):
            raise
        raise DataError(f"{path}: {error}") from error


def _names_in(file: NpzFile, path: Path) -> tuple[str, ...]:
    """What `class_names` of an .npz file says."""
    if _NAMES not in file.keys:
        return ()
    names: Array = file.read([_NAMES])[_NAMES]
    if names.ndim != 1:
        raise DataError(
            f"{path}: class_names must be a list of names, not shape {list(names.shape)}"
        )
    return tuple(str(name) for name in names)


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
        names = _names_in(file, path)
        arrays: dict[str, Any] = file.read(keys)
    if missing and "x_val" in arrays:
        missing.append("y_val")
    for key in missing:
        arrays[key] = np.zeros((len(arrays[key.replace("y", "x")]), 0), np.float32)
    return _with_stretches(Dataset(class_names=names, **arrays))


def _with_stretches(dataset: Dataset) -> Dataset:
    """Groups training samples that are overlapping windows, where the user names no groups."""
    train = dataset.train
    is_grouped = any(part.groups is not None for _, part in dataset.parts())
    if is_grouped or not isinstance(train.x, np.ndarray):
        return dataset
    found = stretches_of(train.x, kinds_of(train))
    if found is None:
        return dataset
    stretches, count = found
    note = (
        f"{count} of {len(train)} training samples share rows with others (windows that overlap), "
        "so stretches of them stay together when some are set aside (an array group_train says "
        "more: a person, a device)"
    )
    train = dataclasses.replace(train, groups=stretches)
    return dataclasses.replace(dataset.with_parts(train=train), notes=(*dataset.notes, note))


def _load_folder(root: Path, reading: Reading) -> Dataset:
    kinds = kinds_of_files(root)
    if kinds & pictures.SUFFIXES:
        return _load_pictures(Folder.read(root, pictures.SUFFIXES), reading)
    if kinds & sounds.SUFFIXES:
        return _load_sounds(Folder.read(root, sounds.SUFFIXES), reading)
    if kinds & tables.SUFFIXES:
        return _load_folder_of_tables(root, reading)
    known = sorted(pictures.SUFFIXES | sounds.SUFFIXES | tables.SUFFIXES)
    raise DataError(
        f"{root}: no class folders with data in it; expected <class>/<file>, of files that end in "
        f"{', '.join(known)}"
    )


def _load_pictures(folder: Folder, reading: Reading) -> Dataset:
    parts = {}
    for name, files in folder.parts.items():
        pictures.verify_pictures(files.paths)
        groups = None if reading.group is None else groups_of(files.paths, reading.group)
        parts[name] = Part(ImageFiles(files.paths), files.labels, groups, files.paths)
    return _of_parts(parts, folder.class_names, folder.notes, reading)


def _load_sounds(folder: Folder, reading: Reading) -> Dataset:
    front_end = reading.front_end
    if front_end is None:
        raise DataError(
            f"{folder.root}: say with --features how recordings become the model's input, such as "
            "--features micro-speech; `tflm_train features list` shows what there is"
        )
    stride = None
    if reading.stride_ms is not None:
        stride = max(1, round(reading.stride_ms * front_end.sample_rate / 1000.0))
    parts, notes = {}, list(folder.notes)
    for name, files in folder.parts.items():
        clips = sounds.read_clips(files.paths, front_end, stride, reading.most_bytes)
        notes += clips.notes(front_end, len(files.paths))
        groups: Array | None = None
        if reading.group is not None:
            groups = groups_of(files.paths, reading.group)[clips.places]
        elif stride is not None:
            groups = clips.places
        parts[name] = Part(
            clips.features,
            files.labels[clips.places],
            groups,
            tuple(files.paths[i] for i in clips.places),
        )
    return _of_parts(parts, folder.class_names, tuple(notes), reading)


def _load_folder_of_tables(root: Path, reading: Reading) -> Dataset:
    direct = sorted(e for e in root.iterdir() if e.suffix.lower() in tables.SUFFIXES)
    by_stem = {path.stem: path for path in direct}
    if {TRAIN, TEST} <= by_stem.keys():
        options, parts, notes = _table_options(root, reading), {}, []
        for name in PARTS:
            if name in by_stem:
                parts[name], said = read_windows([by_stem[name]], None, options, reading.most_bytes)
                notes += said
        return Dataset.of_parts(
            parts[TRAIN], parts[TEST], parts.get(VAL), notes=tuple(dict.fromkeys(notes))
        )
    if direct:
        return _load_tables(direct, None, reading)
    folder = Folder.read(root, tables.SUFFIXES)
    if list(folder.parts) == [TRAIN]:
        files = folder.parts[TRAIN]
        classes = [folder.class_names[label] for label in files.labels]
        return _load_tables(files.paths, classes, reading, folder)
    options, parts, notes = _table_options(root, reading), {}, list(folder.notes)
    for name, files in folder.parts.items():
        classes = [folder.class_names[label] for label in files.labels]
        parts[name], said = read_windows(files.paths, classes, options, reading.most_bytes)
        notes += said
    return Dataset.of_parts(
        parts[TRAIN],
        parts[TEST],
        parts.get(VAL),
        _class_names(options, folder),
        tuple(dict.fromkeys(notes)),
    )


def _load_tables(
    paths: Sequence[Path],
    classes: Sequence[str] | None,
    reading: Reading,
    folder: Folder | None = None,
) -> Dataset:
    """Tables that are in one part."""
    options = _table_options(paths[0], reading)
    part, notes = read_windows(paths, classes, options, reading.most_bytes)
    names = () if folder is None else _class_names(options, folder)
    return _of_parts({TRAIN: part}, names, tuple(notes), reading)


def _class_names(options: TableOptions, folder: Folder) -> tuple[str, ...]:
    return () if options.targets or options.label is not None else folder.class_names


def _table_options(path: Path, reading: Reading) -> TableOptions:
    if reading.table is None:
        raise DataError(
            f"{path}: say with --window how many rows are a sample (and with --columns which, with "
            "--label or --target what is to be learnt)"
        )
    return reading.table


def _of_parts(
    parts: dict[str, Part], class_names: tuple[str, ...], notes: tuple[str, ...], reading: Reading
) -> Dataset:
    """A data set; a test part is made of the training part where there is none."""
    train = parts[TRAIN]
    if TEST in parts:
        return Dataset.of_parts(train, parts[TEST], parts.get(VAL), class_names, notes)
    # Only a data set knows its labels: names are classes there.
    whole = Dataset.of_parts(train, train, None, class_names, notes)
    labels = np.unique(whole.y_train, return_counts=True) if whole.y_train.ndim == 1 else ((), ())
    for label, count in zip(*labels, strict=True):
        if count < 2 and whole.y_train.dtype == np.int64:
            name = whole.class_names[label] if whole.class_names else str(label)
            raise DataError(
                f"class {name} has one sample only; a class needs at least two, for training and "
                "test"
            )
    chosen = choose(whole.train, reading.test_share, np.random.default_rng(reading.seed))
    rest = others(chosen, len(whole.train))
    if not len(rest):
        raise DataError("all samples are of one group; give at least two, or no --group")
    return whole.with_parts(train=whole.train.take(rest), test=whole.train.take(np.sort(chosen)))
