"""Where an exported project comes from: the tool, the model, and what of it trains, if anything."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator

from tflm_train import ops
from tflm_train.model import Model
from tflm_train.ops import ConvUpdate, DepthwiseUpdate, LossKind, RuleFields
from tflm_train.trained.trainable_model import TrainableModel, Update
from tflm_train.version import VERSION

SPDX = b"// SPDX-License-Identifier: Apache-2.0\n"
"""The first line of every exported source and header."""
_SOURCES = (".h", ".cc", ".cpp", ".ino")
_ODD = re.compile(r"[^A-Za-z0-9_./:;,()\[\] -]")


def signed(files: dict[str, bytes]) -> dict[str, bytes]:
    """The files, each source and header with the license's name on top."""
    return {path: SPDX + data if path.endswith(_SOURCES) else data for path, data in files.items()}


def provenance(model: Model, trainable: TrainableModel | None, trunk: Model | None) -> str:
    """Comment lines of C++.

    Args:
      model: The model.
      trainable: What trains of it.
      trunk: What gives its input, where the two were one.
    """
    lines = [f"tool         tflm_train {VERSION}, operators version {ops.VERSION}"]
    for role, part in (("model", model), ("trunk", trunk)):
        if part is not None:
            lines.append(f"{role:<13}{_plain(part.name)}, {len(part.source):,} bytes")
            lines.append(f"  sha256     {hashlib.sha256(part.source).hexdigest()}")
    if trainable is not None:
        lines += _training(trainable)
    return "\n".join(f"//   {line}" for line in lines)


def _training(trainable: TrainableModel) -> Iterator[str]:
    yield f"fingerprint  {trainable.fingerprint:016x}, of the states that it loads"
    loss = LossKind(trainable.loss.loss_kind).name.lower()
    yield f"scheme       loss {loss} of output {trainable.trained_output}"
    yield f"             seed {trainable.seed} of the random rounding"
    for update in trainable.updates:
        yield from (f"  trains     {line}" for line in _trained(update))


def _trained(update: Update) -> Iterator[str]:
    layer = _plain(update.layer)
    if update.weights is not None:
        shape = list(update.weights.tensor.shape)
        bits = update.residual_bits
        kept = f"{bits}-bit residuals" if bits else "no residuals"
        yield f"weights {shape} of {layer}, {kept}{_rule(update)}"
    if update.bias is not None:
        yield f"bias [{update.bias.tensor.size}] of {layer}"


def _rule(update: Update) -> str:
    """What an update rule adds to plain SGD."""
    if not isinstance(update.params, ConvUpdate | DepthwiseUpdate):
        return ""
    rule, plain = update.params.rule, RuleFields()
    names = ("steps", "weight_decay", "clip_norm")
    changed = [name for name in names if getattr(rule, name) != getattr(plain, name)]
    return "".join(f", {name} {getattr(rule, name):g}" for name in changed)


def _plain(name: str) -> str:
    """A name as a comment may hold it: nothing that ends or continues a line."""
    return _ODD.sub("_", name)
