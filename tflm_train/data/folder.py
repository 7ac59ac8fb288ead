"""A folder with a sub-folder of files per class: pictures, recordings or tables.

It holds either `<class>/*` (then a share of each class becomes the test part, chosen by a seed), or
`train/<class>/*` and `test/<class>/*` (and perhaps `val/<class>/*`). Classes are numbered in the
sorted order of their folders' names. Folders whose name begins with `_` (`_background_noise_`) or
`.` are no classes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tflm_train.data.dataset import PARTS, TEST, TRAIN
from tflm_train.errors import DataError


@dataclass(frozen=True)
class ClassFiles:
    """The files of one part.

    Attributes:
        paths: by class, then in sorted order.
        labels: [n] index of the class of each.
    """

    paths: tuple[Path, ...]
    labels: np.ndarray[tuple[int], np.dtype[np.int64]]


@dataclass(frozen=True)
class Folder:
    """The files of a data set.

    Attributes:
        root: where it is.
        class_names: the names of the classes.
        parts: the files by part: `train`, `test` and perhaps `val`; or only `train`, which is then
            to be divided.
        notes: what was left out; sentences.
    """

    root: Path
    class_names: tuple[str, ...]
    parts: dict[str, ClassFiles]
    notes: tuple[str, ...]

    @staticmethod
    def read(root: Path, suffixes: frozenset[str]) -> Folder:
        """Looks through a folder.

        Args:
            root: where it is.
            suffixes: how the names of the files end, in lower case.

        Raises:
            DataError: there are no classes, or one of them has no files.
        """
        names = {entry.name for entry in _subfolders(root)}
        is_divided = {TRAIN, TEST} <= names
        parts = [part for part in PARTS if part in names] if is_divided else [TRAIN]
        base = root / TRAIN if is_divided else root
        inside = [entry.name for entry in _subfolders(base)]
        classes = [name for name in inside if not name.startswith("_")]
        if not classes:
            raise DataError(
                f"{root}: no class folders in it; expected <class>/<file>, or train/<class>/<file> "
                "and test/<class>/<file>"
            )
        skipped = [name for name in inside if name.startswith("_")]
        notes = [f"{base / name} is no class: its name begins with _" for name in skipped]
        found = {}
        for part in parts:
            place = root / part if is_divided else root
            unknown = [e.name for e in _subfolders(place) if e.name not in inside]
            if unknown:
                raise DataError(f"{place / unknown[0]}: no such class in {base}")
            found[part] = _class_files(place, classes, suffixes, part == TRAIN)
        return Folder(root, tuple(classes), found, tuple(notes))


def kinds_of_files(root: Path) -> frozenset[str]:
    """How the names of the files below a folder end, in lower case."""
    return frozenset(
        path.suffix.lower() for path in root.rglob("*") if path.is_file() and path.name[0] != "."
    )


def groups_of(paths: tuple[Path, ...], pattern: str) -> np.ndarray[tuple[int], np.dtype[np.str_]]:
    """What each file comes from, by its name.

    Args:
        paths: the files.
        pattern: a regular expression; what its first bracket matches, or all of it, is the group.

    Raises:
        DataError: it is no regular expression, or does not match a file's path.
    """
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise DataError(f"--group {pattern!r} is no regular expression ({error})") from error
    groups = []
    for path in paths:
        match = compiled.search(path.as_posix())
        if match is None:
            raise DataError(f"--group {pattern!r} finds nothing in {path}")
        groups.append(match[1] if compiled.groups else match[0])
    return np.array(groups)


def _class_files(
    place: Path, classes: list[str], suffixes: frozenset[str], required: bool
) -> ClassFiles:
    paths: list[Path] = []
    counts = []
    for name in classes:
        folder = place / name
        entries = folder.iterdir() if folder.is_dir() else ()
        found = sorted(e for e in entries if e.suffix.lower() in suffixes and e.name[0] != ".")
        if required and not found:
            raise DataError(
                f"{folder}: no files of this class that end in {', '.join(sorted(suffixes))}"
            )
        paths += found
        counts.append(len(found))
    return ClassFiles(tuple(paths), np.repeat(np.arange(len(classes), dtype=np.int64), counts))


def _subfolders(folder: Path) -> list[Path]:
    return sorted(e for e in folder.iterdir() if e.is_dir() and not e.name.startswith("."))
