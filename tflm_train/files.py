"""Writing files so that nothing half-written is left behind and no user's file is lost."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tflm_train.errors import DataError, TflmTrainError

_MOST_BYTES = 1 << 31
"""No input that is read whole is larger; offsets in a .tflite cannot be."""


@dataclass(frozen=True)
class NewFile:
    """A file to be written.

    Attributes:
      path: Where to.
      data: What.
      is_ours: Whether an existing file's bytes are an earlier result of the same kind.
    """

    path: Path
    data: bytes
    is_ours: Callable[[bytes], bool]

    def may_replace(self, data: bytes) -> bool:
        """Whether a file that holds these bytes may go: what is written again is not lost."""
        return data == self.data or self.is_ours(data)


@dataclass(frozen=True)
class ReadyFiles:
    """YAML files that come with the package, each of which has a name.

    Attributes:
      folder: Where they are.
      what: What one of them is, in messages.
      error: What is raised where there is none of a name.
    """

    folder: Path
    what: str
    error: type[TflmTrainError]

    def names(self) -> list[str]:
        """Of all of them."""
        return sorted(path.stem for path in self.folder.glob("*.yaml"))

    def text(self, name: str) -> str:
        """What is in one of them.

        Raises:
          TflmTrainError: There is none of that name.
        """
        if name not in self.names():
            raise self.error(f"no {self.what} {name!r}; there are {', '.join(self.names())}")
        return (self.folder / f"{name}.yaml").read_text(encoding="utf-8")

    def are_meant(self, path_or_name: str) -> bool:
        """Whether somebody who says so means one of them, not a file of their own."""
        return path_or_name in self.names() and not Path(path_or_name).exists()


def write_files(files: Sequence[NewFile], force: bool) -> None:
    """Writes several files, each in one piece; none where one cannot be written.

    Args:
      files: What to write where.
      force: Replace anything; else only what is recognised as an earlier result.

    Raises:
      TflmTrainError: A place cannot be written, or holds a file that is not ours.
    """
    ready: list[tuple[str, Path]] = []
    path = files[0].path
    try:
        for file in files:
            path = file.path
            require_ours(path, file.may_replace, force)
        for file in files:
            path = file.path
            ready.append((_temporary(file), path))
        while ready:
            temporary, path = ready[0]
            os.replace(temporary, path)
            ready.pop(0)
        for folder in {file.path.parent for file in files}:
            _sync_folder(folder)
    except OSError as error:
        raise TflmTrainError(f"{path}: cannot be written ({error.strerror})") from error
    finally:
        for temporary, _ in ready:
            os.unlink(temporary)


def require_ours(path: Path, is_ours: Callable[[bytes], bool], force: bool) -> None:
    """Refuses to replace a file of the user's; long work asks before it begins.

    Args:
      path: Where something is to be written.
      is_ours: Whether an existing file's bytes are an earlier result of the same kind.
      force: Replace anything.

    Raises:
      TflmTrainError: It holds a file that is not ours, or a device or a pipe.
      OSError: It cannot be read.
    """
    require_file(path, TflmTrainError, "choose the name of a file")
    if path.exists() and not force and not is_ours(path.read_bytes()):
        raise TflmTrainError(
            f"{path} exists and was not made by this command; choose another name or --force"
        )


def require_place(path: Path, is_ours: Callable[[bytes], bool], force: bool) -> None:
    """Refuses a place that `write_file` would refuse; long work asks before it begins.

    Args:
      path: Where something is to be written.
      is_ours: Whether an existing file's bytes are an earlier result of the same kind.
      force: Replace anything.

    Raises:
      TflmTrainError: It cannot be written, or holds what is not ours.
    """
    try:
        require_ours(path, is_ours, force)
        os.unlink(_temporary(NewFile(path, b"", is_ours)))
    except OSError as error:
        raise TflmTrainError(f"{path}: cannot be written ({error.strerror})") from error


def require_file(path: Path, error: type[TflmTrainError], advice: str) -> None:
    """Refuses what is there and no regular file: a device would be replaced, a pipe never ends.

    Args:
      path: What is to be read or replaced.
      error: What to raise.
      advice: What to do about it.

    Raises:
      TflmTrainError: As `error`: it is a folder, a device or a pipe.
      OSError: Nobody may look.
    """
    if path.exists() and not path.is_file():
        kind = "a folder" if path.is_dir() else "a device or a pipe"
        raise error(f"{path} is {kind}, not a file; {advice}")


def _sync_folder(folder: Path) -> None:
    """Makes new names last through a power cut, where the system can open a folder."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _temporary(file: NewFile) -> str:
    """The file's contents under another name in its folder."""
    descriptor, temporary = tempfile.mkstemp(dir=file.path.parent, prefix=f".{file.path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(file.data)
            stream.flush()
            os.fsync(stream.fileno())
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(temporary, 0o666 & ~mask)
    except BaseException:
        os.unlink(temporary)
        raise
    return temporary


def write_file(path: Path, data: bytes, is_ours: Callable[[bytes], bool], force: bool) -> None:
    """Writes a file in one piece.

    An existing file is replaced only when it is recognised as an earlier result, or by `force`.

    Args:
      path: Where to.
      data: What.
      is_ours: Whether an existing file's bytes are an earlier result of the same kind.
      force: Replace anything.

    Raises:
      TflmTrainError: The place cannot be written, or holds a file that is not ours.
    """
    write_files([NewFile(path, data, is_ours)], force)


def read_input(path: Path, error: type[TflmTrainError] = DataError) -> bytes:
    """Reads a file of the user's whole.

    Args:
      path: Which.
      error: What to raise.

    Raises:
      TflmTrainError: As `error`: it cannot be read, is larger than 2 GB, or is a folder, or a
        device or a pipe, which may never end.
    """
    try:
        require_file(path, error, "give the name of a file")
        size = path.stat().st_size
        if size > _MOST_BYTES:
            raise error(f"{path} has {size:,} bytes, and at most {_MOST_BYTES:,} are read")
        return path.read_bytes()
    except OSError as failure:
        raise error(f"{path}: cannot be read ({failure.strerror})") from failure


def read_text(path: Path, error: type[TflmTrainError] = DataError) -> str:
    """As `read_input`, decoded from UTF-8."""
    try:
        return read_input(path, error).decode()
    except UnicodeDecodeError as failure:
        raise error(f"{path}: not a text file ({failure.reason})") from failure


def is_json_report(data: bytes) -> bool:
    """Whether these bytes are a rewrite report."""
    try:
        report = json.loads(data)
    except (ValueError, RecursionError):
        return False
    return isinstance(report, dict) and {"output", "arena", "layers"} <= report.keys()


def is_png(data: bytes) -> bool:
    """Whether these bytes are a picture as we draw them."""
    return data[:8] == b"\x89PNG\r\n\x1a\n"
