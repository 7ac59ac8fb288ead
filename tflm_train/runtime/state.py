"""The blob that holds a trained state, as the firmware and the host write it."""

from __future__ import annotations

import zlib

from tflm_train import kernel_abi as abi
from tflm_train.errors import DataError


def check_blob(blob: bytes, fingerprint: int, payload_bytes: int) -> None:
    """Checks a saved state before anything is written.

    Args:
      blob: The bytes of the state.
      fingerprint: Of the model that shall load it.
      payload_bytes: The size of that model's variables.

    Raises:
      DataError: What is wrong with it.
    """
    header = abi.BLOB_HEADER
    if len(blob) < header.size:
        raise DataError(f"the state is truncated: {len(blob)} bytes, its header alone has {header.size}")
    magic, version, header_bytes, owner, _, _, size, crc = header.unpack_from(blob)
    if magic != abi.BLOB_MAGIC:
        raise DataError("not a training state (wrong magic word)")
    if version != abi.BLOB_VERSION or header_bytes != header.size:
        raise DataError(f"the state has format version {version}; this tool reads {abi.BLOB_VERSION}")
    if owner != fingerprint:
        raise DataError(
            f"the state belongs to another model or scheme (fingerprint {owner:016x}, this model's "
            f"is {fingerprint:016x}); load it into the model it was saved from"
        )
    if size != payload_bytes or len(blob) != header.size + size:
        raise DataError(
            f"the state is truncated or damaged: {len(blob)} bytes, expected {header.size + payload_bytes}"
        )
    if zlib.crc32(blob[header.size :], zlib.crc32(blob[: header.size - 4])) != crc:
        raise DataError("the state is damaged: its checksum does not match")
