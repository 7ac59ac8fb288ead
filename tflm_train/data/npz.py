"""Reads the arrays of an .npz file, of which nothing is believed.

A few hundred bytes can declare terabytes, or unpack to them: what an array says it needs is held
against the member's length and against a limit before any of it is read. Pickled objects are never
loaded, since that would run code of the file's.
"""

from __future__ import annotations

import lzma
import math
import struct
import sys
import tokenize
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
from numpy.lib import format as npy

from tflm_train.errors import DataError
from tflm_train.files import require_file

MOST_BYTES = 4 << 30
"""What the arrays of a data set may take in memory where nobody says how much."""
_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
# numpy parses a header as Python: a hostile one is too deep for the parser, or ends too early.
_BAD_HEADER = (
    ValueError, TypeError, KeyError, OverflowError, SyntaxError, RecursionError, MemoryError,
    tokenize.TokenError,
)  # fmt: skip
# What `zipfile` and what it unpacks with say of a damaged archive. RuntimeError: it is encrypted;
# also NotImplementedError, of a method or version to come.
DAMAGED = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError, OSError, ValueError,
    RuntimeError, OverflowError, IndexError,
)  # fmt: skip


class NpzFile:
    """An .npz file.

    Attributes:
        keys: the names of its arrays.
    """

    def __init__(self, path: Path, most_bytes: int = MOST_BYTES) -> None:
        """Opens a file.

        Args:
            path: which.
            most_bytes: what the arrays that are read may take, together.

        Raises:
            DataError: no regular file, or not in the format.
        """
        require_file(path, DataError, "give the name of a file")
        self._path, self._most, self._taken = path, most_bytes, 0
        try:
            self._archive = zipfile.ZipFile(path)
        except OSError as error:
            raise DataError(f"{path}: cannot be read ({reason(error)})") from error
        except DAMAGED as error:
            if zipfile.is_zipfile(path):
                raise DataError(f"{path}: damaged .npz file ({reason(error)})") from error
            raise DataError(
                f"{path}: not an .npz file; save one with numpy.savez_compressed"
            ) from error
        self._members = {
            info.filename.removesuffix(".npy"): info for info in self._archive.infolist()
        }
        self.keys = frozenset(self._members)

    def __enter__(self) -> NpzFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._archive.close()

    def read(self, keys: Iterable[str]) -> dict[str, npt.NDArray[Any]]:
        """Reads some of the arrays.

        Args:
            keys: their names, which the file has.

        Raises:
            DataError: one is damaged, no array of numbers, or they are larger than allowed.
        """
        return {key: self._read(key) for key in keys}

    def _read(self, key: str) -> npt.NDArray[Any]:
        info = self._members[key]
        try:
            with self._archive.open(info) as stream:
                shape, _, dtype = self._header(stream, key)
                # An object array has no length of its own.
                if dtype.hasobject:
                    raise DataError(
                        f"{self._path}: {key} is a pickled object array, which is never loaded (it "
                        f"could run code); save plain numbers"
                    )
                self._require_room(key, math.prod(shape) * dtype.itemsize, info.file_size)
            with self._archive.open(info) as stream:
                found: npt.NDArray[Any] = npy.read_array(stream, allow_pickle=False)
        except MemoryError as error:
            raise DataError(
                f"{self._path}: this machine has not enough memory for {key}"
            ) from error
        except DAMAGED as error:
            raise DataError(f"{self._path}: {key} cannot be read ({reason(error)})") from error
        if dtype.kind == "U" and not _is_text(found):
            raise DataError(f"{self._path}: {key} holds characters that do not exist")
        return found

    def _header(self, stream: IO[bytes], key: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
        try:
            version = npy.read_magic(stream)
        except ValueError as error:
            raise DataError(f"{self._path}: {key} is not a numpy array") from error
        if version not in _HEADERS:
            raise DataError(f"{self._path}: {key} is a structured array; save plain numbers")
        try:
            return _HEADERS[version](stream)
        except _BAD_HEADER as error:
            raise DataError(
                f"{self._path}: {key} cannot be read (its header says neither shape nor type)"
            ) from error

    def _require_room(self, key: str, wanted: int, there: int) -> None:
        """Refuses an array before it is made."""
        if wanted > there:
            raise DataError(
                f"{self._path}: {key} cannot be read (it should have {wanted:,} bytes, and the "
                f"file holds {there:,})"
            )
        self._taken += wanted
        if self._taken > self._most:
            raise DataError(
                f"{self._path}: its arrays take more than {self._most:,} bytes of memory ({key} "
                f"{wanted:,}); give fewer samples, or allow more (--max-data)"
            )


def _is_text(array: npt.NDArray[Any]) -> bool:
    """Whether the letters of strings exist; numpy keeps any 32 bits."""
    letters = np.frombuffer(array.astype(array.dtype.newbyteorder("=")).tobytes(), np.uint32)
    surrogates = (letters >= 0xD800) & (letters < 0xE000)
    return not (surrogates | (letters > sys.maxunicode)).any()


def reason(error: Exception) -> str:
    """The first line of an exception's message, for use inside a one-line message."""
    return (str(error) or type(error).__name__).splitlines()[0]
