"""A model as it is rewritten: what no layer could be trained of has layers.

All that numbers layers, schemes above all, means those of this model.
"""

from __future__ import annotations

from tflm_train.model.batch import one_sample
from tflm_train.model.grouped import ungrouped
from tflm_train.model.model import Model
from tflm_train.model.narrowed import with_narrow_heads
from tflm_train.model.per_channel import with_channel_layers


def prepared(model: Model) -> Model:
    """Makes a model for one sample, int16 heads int8, groups and scales of channels layers.

    Args:
      model: Any model; not changed.

    Returns:
      The model, with the same answers but for int16 heads; its notes say what is different. Itself
      where nothing is.

    Raises:
      UnsupportedError: An operator mixes the samples of a batch.
    """
    return with_channel_layers(ungrouped(with_narrow_heads(one_sample(model))))
