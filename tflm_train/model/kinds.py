"""Which of our files some bytes are, so that a command replaces only what it made itself."""

from __future__ import annotations

from tflm_train.model.flatbuffer import FILE_IDENTIFIER
from tflm_train.ops.contract import BLOB_MAGIC, OP_PREFIX


def is_model(data: bytes) -> bool:
    """Whether these bytes are a .tflite file."""
    return data[4:8] == FILE_IDENTIFIER


def is_rewritten_model(data: bytes) -> bool:
    """Whether these bytes are a model with our training ops."""
    return is_model(data) and f"{OP_PREFIX}RESTORE".encode() in data


def is_optimized_model(data: bytes) -> bool:
    """Whether these bytes are a result of `optimize`."""
    stream = f"{OP_PREFIX}STREAM".encode()
    return is_model(data) and stream in data and not is_rewritten_model(data)


def is_state(data: bytes) -> bool:
    """Whether these bytes are a saved training state."""
    return data[:4] == BLOB_MAGIC.to_bytes(4, "little")
