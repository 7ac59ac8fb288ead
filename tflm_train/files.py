"""Writing files so that nothing half-written is left behind and no user's file is lost."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from tflm_train.errors import DataError, TflmTrainError


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
    try:
        if path.exists() and not force and not is_ours(path.read_bytes()):
            raise TflmTrainError(
                f"{path} exists and was not made by this command; choose another name or --force"
            )
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(data)
            mask = os.umask(0)
            os.umask(mask)
            os.chmod(temporary, 0o666 & ~mask)
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
    except OSError as error:
        raise TflmTrainError(f"{path}: cannot be written ({error.strerror})") from error


def read_state(path: Path) -> bytes:
    """Reads a saved training state.

    Raises:
      DataError: The file cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error


def is_json_report(data: bytes) -> bool:
    """Whether these bytes are a rewrite report."""
    try:
        report = json.loads(data)
    except ValueError:
        return False
    return isinstance(report, dict) and {"output", "arena", "layers"} <= report.keys()


def is_png(data: bytes) -> bool:
    """Whether these bytes are a picture as we draw them."""
    return data[:8] == b"\x89PNG\r\n\x1a\n"
