"""What firmware sees of a rewritten model: its added tensors, its state, and the state saved."""

from __future__ import annotations

import enum
import struct

from tflm_train.graph import TRAINING_OP_PREFIX as OP_PREFIX

EXTRA_INPUTS = ("train/label", "train/learning_rate")
"""What a rewrite adds after the original inputs; a model that learns its input has no label."""
EXTRA_OUTPUTS = ("train/loss", "train/state")
"""What it adds after the original outputs."""
SOURCE_INPUT, LATENT_OUTPUT = "train/source", "train/latent"
"""What follows these in a model that trains from latents. Where nothing of the model is frozen, the
latent is the model's own input, under its name."""
INFER_SIGNATURE, TRAIN_SIGNATURE = "infer", "train"
"""Names of the signatures that a rewrite adds."""
STATE_MAGIC = 0x4E525454
STATE_WORDS = 16
LIVE_WORDS = 7
"""Of the live state in `train/control`; a bit for each mark follows."""
"""Of `train/state`; those of `train/control` have the marks of a step behind them."""
BLOB_MAGIC = 0x56535454
BLOB_VERSION = 1
BLOB_HEADER = struct.Struct("<IHHQIIII")
"""magic, version, header bytes, fingerprint, step, seed, payload bytes, CRC-32."""


class StateWord(enum.IntEnum):
    """Index of each field in the int32 `train/state` tensor."""

    MAGIC = 0
    VERSION = 1
    TRAINING = 2
    STEP = 3
    SEED = 4
    LEARNING_RATE = 5
    FINGERPRINT_LO = 6
    FINGERPRINT_HI = 7
    VARIABLE_COUNT = 10
    PAYLOAD_BYTES = 11
    LOSS = 12
    LATENT_BYTES = 15


__all__ = [
    "BLOB_HEADER",
    "BLOB_MAGIC",
    "BLOB_VERSION",
    "EXTRA_INPUTS",
    "EXTRA_OUTPUTS",
    "INFER_SIGNATURE",
    "LATENT_OUTPUT",
    "LIVE_WORDS",
    "OP_PREFIX",
    "SOURCE_INPUT",
    "STATE_MAGIC",
    "STATE_WORDS",
    "TRAIN_SIGNATURE",
    "StateWord",
]
