"""The builtin operators that a custom op has taken over, kept for the way back.

A custom op must not carry builtin options: no interpreter reads them, and Arm's Vela takes the op
for the builtin one and falls over its inputs. Nor need TFLM know the tensors between the layers of
a STREAM, which would cost RAM. So what is needed to make the builtin operators again lies in the
model's metadata, as JSON: by a checksum of the name of the custom op's output, which may be long,
the operators in order.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tflm_train.graph import Op, Tensor
from tflm_train.model.model import Model
from tflm_train.ops.builtin import BUILTINS, layer_form_of
from tflm_train.records import parse_json

METADATA_NAME = "tflm_train/origins"
_OF_TRAINING = "train/"
Sides = tuple[int, int, int, int]


@dataclass(frozen=True)
class Origin:
    """A builtin operator.

    Attributes:
      name: Of the operator.
      options: What differs from the defaults of its options in the schema.
      scale: Of its output.
      per_tensor: Whether its weights have one scale for all channels.
      pad: Rows and columns of a PAD before it: top, bottom, left, right; None: there was none.
      taps: The part of its kernel that is not zero: first row, rows, first column, columns; with
        the kernel's rows and columns behind them; None: all of it.
    """

    name: str
    options: Mapping[str, Any]
    scale: float
    per_tensor: bool = False
    pad: Sides | None = None
    taps: tuple[int, ...] | None = None

    def schema_options(self) -> Any:
        """The schema's options object; None for an operator without one."""
        kind = BUILTINS[self.name].options
        if kind is None:
            return None
        made = kind()
        vars(made).update(self.options)
        return made


Origins = Mapping[str, tuple[Origin, ...]]
"""By `key_of` a custom op; none where the op only hands on its input."""


def key_of(op: Op) -> str:
    """Names a custom op, in whatever part of the model it is, and whether it makes the latent."""
    name = op.output.name.removeprefix(_OF_TRAINING)
    return f"{zlib.crc32(name.encode()):08x}"


def name_as_before(latent: Tensor) -> None:
    """Gives a latent a name for a model that does not train."""
    latent.name = latent.name.removeprefix(_OF_TRAINING)


def origin_of(op: Op, pad: Sides | None = None, taps: Sides | None = None) -> Origin:
    """Describes a builtin operator.

    Args:
      op: The operator.
      pad: Rows and columns of the PAD that is taken over with it.
      taps: The part of its kernel that is computed with: (y0, y1, x0, x1).
    """
    form = layer_form_of(op)
    if form is None:
        return Origin(op.name, _changed(op.options), op.output.scale)
    weights = op.inputs[form.weights]
    assert weights is not None and weights.quantization is not None
    kernel = None
    if taps is not None:
        y0, y1, x0, x1 = taps
        kernel = (y0, y1 - y0, x0, x1 - x0, *weights.shape[1:3])
    per_tensor = weights.quantization.per_tensor
    options = _changed(op.options)
    return Origin(op.name, options, op.output.scale, per_tensor, pad, kernel)


def store_origins(model: Model, origins: Origins) -> None:
    """Writes them into the model's metadata."""
    if not origins:
        return
    entries = {name: [_packed(origin) for origin in one] for name, one in origins.items()}
    text = json.dumps(entries, separators=(",", ":"), sort_keys=True)
    model.set_metadata(METADATA_NAME, text.encode())


def take_origins(model: Model) -> Origins:
    """Takes them out of the model's metadata; damaged ones count as none."""
    data = model.metadata(METADATA_NAME)
    model.drop_metadata(METADATA_NAME)
    try:
        entries = parse_json(data or b"{}")
        return {name: tuple(map(_unpacked, one)) for name, one in entries.items()}
    except (ValueError, TypeError, KeyError, AttributeError):
        return {}


def _packed(origin: Origin) -> list[Any]:
    fields = [
        origin.name,
        dict(origin.options),
        float(str(np.float32(origin.scale))),  # the shortest that is read as the same float32
        int(origin.per_tensor),
        origin.pad,
        origin.taps,
    ]
    while not fields[-1]:
        fields.pop()
    return fields


def _unpacked(entry: list[Any]) -> Origin:
    name, options, scale, *rest = entry
    if name not in BUILTINS or not isinstance(options, dict):
        raise ValueError(name)
    per_tensor, pad, taps = [*rest, None, None, None][:3]
    return Origin(
        name,
        options,
        float(scale),
        bool(per_tensor),
        None if pad is None else _sides(pad),
        None if taps is None else tuple(map(int, taps)),
    )


def _sides(pad: list[Any]) -> Sides:
    top, bottom, left, right = map(int, pad)
    return top, bottom, left, right


def _changed(options: Any) -> dict[str, Any]:
    """What of an options object differs from the schema's defaults."""
    if options is None:
        return {}
    defaults = vars(type(options)())
    return {k: v for k, v in vars(options).items() if v != defaults[k]}
