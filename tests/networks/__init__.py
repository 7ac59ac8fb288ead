"""Five small networks of real shape that come with the tests, and how each of them trains.

With them a stranger can check what the README claims; the shared folder's models, where there are
any, go through the same tests.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests import requirements
from tests.networks.data import FIELD_TEST_COUNT, field
from tflm_train.data import Dataset
from tflm_train.model import Model, load
from tflm_train.scheme import Scheme, WeightUpdate
from tflm_train.scheme.loss import Loss

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Network:
    """One of them.

    Attributes:
      shape: How it sees digits (`data.SHAPES`).
      shift: What happens to them in the field (`data.SHIFTS`).
      scheme: What trains there.
      rate: Learning rate of the first step, decaying linearly to 0.
      recipe_epochs: How long `recipe.py` trains it.
    """

    shape: str
    shift: str
    scheme: Scheme
    rate: float
    recipe_epochs: int

    def dataset(self, test_count: int = FIELD_TEST_COUNT) -> Dataset:
        """The field's digits, so many of them to test."""
        return field(self.shape, self.shift, test_count)


def _weights(*layers: int) -> tuple[WeightUpdate, ...]:
    return tuple(WeightUpdate(layer) for layer in layers)


NETWORKS = {
    "ds_cnn": Network(
        "spectrum", "mirrored", Scheme(biases_last=9, weights=_weights(2, 4, 6, 8)), 1e-2, 40
    ),
    "mobilenet_v1": Network(
        "coloured", "mirrored", Scheme(biases_last=12, weights=_weights(6, 8, 10, 12)), 1e-2, 60
    ),
    "mobilenet_v2": Network(
        "coloured", "inverted", Scheme(biases_last=12, weights=_weights(7, 10, 13)), 2e-2, 60
    ),
    "resnet": Network(
        "coloured", "turned", Scheme(biases_last=6, weights=_weights(4, 5, 6, 7)), 2e-3, 40
    ),
    "autoencoder": Network(
        "flat", "turned",
        Scheme(loss=Loss("mean_squared_error", "input"), weights=_weights(*range(6))), 1e-2, 60,
    ),
}  # fmt: skip


CONVOLUTIONAL = tuple(name for name in NETWORKS if name != "autoencoder")
"""Those that classify."""


def load_network(name: str) -> Model:
    """One of these, or else one of the shared folder; skips the test where that is missing."""
    if name in NETWORKS:
        return load(FOLDER / f"{name}.tflite")
    return load(requirements.shared() / "models" / f"{name}.tflite")
