"""The `optimizer` of a scheme: how gradients become steps. Names and options are Keras'.

optimizer: sgd                                             # the default
optimizer: {name: sgd, gradient_accumulation_steps: 8}     # the weights move every 8 samples
optimizer: {name: sgd, weight_decay: 1e-4, clip_norm: 10}  # no extra memory
"""

from __future__ import annotations

from tflm_train.qas.update_rule import AccumulatedSgd, Sgd, UpdateRule
from tflm_train.scheme.yaml_reader import ScalarReader

NAMES = (Sgd.name,)
MOST_ACCUMULATED = 1 << 15
_LARGEST_DECAY = 1e3
_LARGEST_NORM = 1e18  # its square is a float32


def read_optimizer(reader: ScalarReader) -> UpdateRule:
    """Reads the value of `optimizer`.

    Raises:
      SchemeError: An unknown optimizer or option, or a value out of range.
    """
    if not reader.is_mapping:
        reader.choice(NAMES, NAMES[0])
        return Sgd()
    mapping = reader.mapping()
    mapping.get("name").choice(NAMES, NAMES[0])
    steps = mapping.get("gradient_accumulation_steps").integer(1, 1, MOST_ACCUMULATED).value
    decay, norm = mapping.get("weight_decay"), mapping.get("clip_norm")
    weight_decay = 0.0 if decay.absent else decay.number(0.0, _LARGEST_DECAY)
    clip_norm = 0.0 if norm.absent else norm.number(0.0, _LARGEST_NORM)
    mapping.finish()
    if steps == 1:
        return Sgd(weight_decay, clip_norm)
    return AccumulatedSgd(weight_decay, clip_norm, steps)
