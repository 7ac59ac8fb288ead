"""The `model` of a scheme: which model its layer numbers belong to.

model: {name: MCUNet-5FPS, layers: 43, channels: 6008}

Two numbers tell models apart, and forms of one model (its PADs folded, its classifier replaced) are
the same: how many layers there are, and the output channels of all but the last in sum.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tflm_train.model.layers import Layer
from tflm_train.scheme.yaml_reader import MappingReader


@dataclass(frozen=True)
class Signature:
    """What a model looks like to a scheme.

    Attributes:
      name: What people call it.
      layers: How many layers it has.
      channels: Their output channels, without the last layer's, in sum.
    """

    name: str
    layers: int
    channels: int

    def matches(self, layers: Sequence[Layer]) -> bool:
        """Whether a model with these layers is the one."""
        channels = sum(layer.out_channels for layer in layers[:-1])
        return (self.layers, self.channels) == (len(layers), channels)


def read_signature(mapping: MappingReader | None) -> Signature | None:
    """Reads the value of `model`.

    Raises:
      SchemeError: A key is missing or unknown.
    """
    if mapping is None:
        return None
    name = mapping.require("name").text("")
    layers = mapping.require("layers").integer(low=1).value
    channels = mapping.require("channels").integer(low=0).value
    mapping.finish()
    return Signature(name, layers, channels)
