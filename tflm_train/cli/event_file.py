"""Files of events as TensorBoard reads them: TFRecords of protobuf messages `tensorflow.Event`.

Only scalars are written, which takes five fields of three messages (tensorflow/core/util/
event.proto and framework/summary.proto); TensorBoard's own writer comes with eight packages.
"""

from __future__ import annotations

import struct
import time
from pathlib import Path
from types import TracebackType

_POLYNOMIAL = 0x82F63B78  # CRC-32C (Castagnoli), reflected.
_MASK = 0xA282EAD8  # TFRecords mask their checksums, so that those of records in records differ.
_FIXED64, _BYTES, _FIXED32 = 1, 2, 5  # Wire types.


class EventFile:
    """A file that grows by a scalar at a time; TensorBoard shows it while it does."""

    def __init__(self, folder: Path) -> None:
        """Begins a file.

        Args:
          folder: What TensorBoard shows as one run; it exists.

        Raises:
          OSError: It cannot be written.
        """
        now = time.time()
        self.path = folder / f"events.out.tfevents.{int(now)}.tflm_train"
        self._file = self.path.open("wb")
        self._write(_double(1, now) + _bytes(3, b"brain.Event:2"))

    def scalar(self, tag: str, value: float, step: int) -> None:
        """Adds a value.

        Args:
          tag: Its name; what stands before a slash groups the charts.
          value: In single precision.
          step: Training steps before it.
        """
        summary = _bytes(1, _bytes(1, tag.encode()) + _key(2, _FIXED32) + struct.pack("<f", value))
        now = _double(1, time.time())
        self._write(now + _key(2, 0) + _varint(step) + _bytes(5, summary))

    def flush(self) -> None:
        """Sees that others can read what has been added."""
        self._file.flush()

    def __enter__(self) -> EventFile:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def _write(self, event: bytes) -> None:
        length = struct.pack("<Q", len(event))
        self._file.write(length + _checksum(length) + event + _checksum(event))


def _crc_table() -> tuple[int, ...]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (_POLYNOMIAL if value & 1 else 0)
        table.append(value)
    return tuple(table)


_CRC_TABLE = _crc_table()


def _checksum(data: bytes) -> bytes:
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _CRC_TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return struct.pack("<I", ((crc >> 15 | crc << 17) + _MASK) & 0xFFFFFFFF)


def _varint(value: int) -> bytes:
    made = bytearray()
    while value > 0x7F:
        made.append(value & 0x7F | 0x80)
        value >>= 7
    made.append(value)
    return bytes(made)


def _key(field: int, wire_type: int) -> bytes:
    return _varint(field << 3 | wire_type)


def _double(field: int, value: float) -> bytes:
    return _key(field, _FIXED64) + struct.pack("<d", value)


def _bytes(field: int, value: bytes) -> bytes:
    return _key(field, _BYTES) + _varint(len(value)) + value
