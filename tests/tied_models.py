"""Small models in which a layer runs several times: builders as in `tests.models`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def _siamese(layers: Any) -> Any:
    """Two towers that are one: a convolution, a depthwise layer, a dense one."""
    import tensorflow as tf

    inputs = layers.Input((8, 8, 4), batch_size=1)
    halves = layers.Lambda(lambda t: [t[..., :2], tf.nn.relu(t[..., 2:])])(inputs)
    tower = (
        layers.Conv2D(4, 3, activation="relu"),
        layers.DepthwiseConv2D(3, padding="same", activation="relu"),
        layers.GlobalAveragePooling2D(),
        layers.Dense(6),
    )
    ends = []
    for x in halves:
        for layer in tower:
            x = layer(x)
        ends.append(x)
    return inputs, layers.Dense(2)(layers.Subtract()(ends))


def _heads(layers: Any) -> Any:
    """A detector's head, which runs on maps of two sizes."""
    x = inputs = layers.Input((16, 16, 2), batch_size=1)
    maps = []
    for _ in range(2):
        x = layers.Conv2D(6, 3, strides=2, padding="same", activation="relu")(x)
        maps.append(x)
    tower = layers.Conv2D(6, 3, padding="same", activation="relu")
    classes = layers.Conv2D(3, 3, padding="same")
    found = [layers.Reshape((-1, 3))(classes(tower(x))) for x in maps]
    return inputs, layers.Softmax()(layers.Concatenate(axis=1)(found))


def _recurrent(kind: str) -> Callable[[Any], Any]:
    """A recurrent layer, its steps one after another, from a state that is computed.

    From a state of zeros the converter folds the first step into constants.
    """

    def build(layers: Any) -> Any:
        inputs = layers.Input((6, 5), batch_size=1)
        recurrent = getattr(layers, kind)(8, unroll=True)
        start = layers.Dense(8, activation="tanh")(layers.GlobalAveragePooling1D()(inputs))
        states = [start] * (2 if kind == "LSTM" else 1)
        return inputs, layers.Dense(3)(recurrent(inputs, initial_state=states))

    return build


BUILDERS: dict[str, Callable[[Any], Any]] = {
    "siamese": _siamese,
    "heads": _heads,
    "rnn": _recurrent("SimpleRNN"),
    "gru": _recurrent("GRU"),
    "lstm": _recurrent("LSTM"),
}
