"""What the benchmarks train: real models, real data, and the schemes of the targets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tflm_train import Model, Scheme, load
from tflm_train import demo as demo_package
from tflm_train.data import Dataset, load_dataset
from tflm_train.demo.data import field_data
from tflm_train.model.layers import list_layers
from tflm_train.scheme import Head, WeightUpdate

SHARED = Path(__file__).resolve().parents[2] / "shared"
CACHE = Path(__file__).resolve().parents[1] / "build" / "benchmarks"
"""Where what takes long to compute is kept between runs."""
_DEMO = Path(demo_package.__file__).parent


@dataclass(frozen=True)
class Task:
    """A model, its data and how it trains.

    Attributes:
        name: what tables call it.
        model_path: the original .tflite.
        data_path: an .npz data set; None for the demonstration's digits.
        scheme: what trains.
        rate: learning rate of the first step, decaying linearly to 0.
        epochs: how often it goes through the data.
    """

    name: str
    model_path: Path
    data_path: Path | None
    scheme: Scheme
    rate: float
    epochs: int

    @property
    def is_available(self) -> bool:
        """Whether its files are on this machine."""
        paths = (self.model_path, self.data_path)
        return all(path is None or path.exists() for path in paths)

    def model(self) -> Model:
        return load(self.model_path)

    def dataset(self) -> Dataset:
        return field_data() if self.data_path is None else load_dataset(self.data_path)


def _weights(*layers: int) -> tuple[WeightUpdate, ...]:
    return tuple(WeightUpdate(layer) for layer in layers)


MCUNET = Task(
    "mcunet",
    SHARED / "models" / "mcunet-5fps.nopad.tflite",
    SHARED / "data" / "cifar10_32.npz",
    Scheme(head=Head(10), biases_last=22, weights=_weights(21, 24, 27, 30, 36, 39)),
    rate=1e-3,
    epochs=3,
)
KWS = Task(
    "kws",
    SHARED / "models" / "kws_ref_model.tflite",
    SHARED / "data" / "fsdd_mfcc_49x10.npz",
    Scheme(head=Head(10), biases_last=9, weights=_weights(2, 4, 6, 8)),
    rate=1e-2,
    epochs=3,
)
RESNET = Task(
    "resnet",
    SHARED / "models" / "pretrainedResnet_quant.tflite",
    SHARED / "data" / "cifar10_32.npz",
    Scheme(weights=_weights(*range(9))),
    rate=1e-3,
    epochs=1,
)
DIGITS = Task(
    "digits",
    _DEMO / "digits.tflite",
    None,
    Scheme.load(_DEMO / "scheme.yaml"),
    rate=1e-2,
    epochs=6,
)


def available(tasks: Sequence[Task], only: Sequence[str]) -> list[Task]:
    """The tasks whose names are asked for (all by default) and whose files are here.

    Raises:
        SystemExit: none is, or one that was asked for is not.
    """
    wanted = [task for task in tasks if not only or task.name in only]
    missing = [task for task in wanted if not task.is_available]
    if missing and (only or len(missing) == len(wanted)):
        raise SystemExit(f"{missing[0].name}: needs {missing[0].model_path} and its data")
    for task in missing:
        print(f"{task.name}: left out, {task.model_path} is not here")
    return [task for task in wanted if task.is_available]


def every_layer(task: Task) -> Task:
    """The same with the weights of every layer trained."""
    count = len(list_layers(task.model().graph)) if task.is_available else 0
    return replace(
        task, scheme=replace(task.scheme, biases_last=0, weights=_weights(*range(count)))
    )
