"""Cuts a .tflite in two at one activation, so that frozen early layers run once per sample.

A long benchmark runs the same samples through the same frozen layers in every epoch of every run.
`cut` splits a model, plain or rewritten, into a trunk (input to boundary) and a tail (boundary to
outputs); `Boundary` runs the trunk once per sample. The tail of a rewritten model has the same
restore, training ops, layer numbers, fingerprint and variables as the whole: training it gives the
same losses and the same state blob, byte for byte, and that blob loads into the whole model.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tflm_train import Interpreter
from tflm_train.model import Model, Op, Tensor
from tflm_train.model.layers import ancestors, list_layers
from tflm_train.ops import OP_PREFIX
from tflm_train.runtime.data import Dataset, Samples
from tflm_train.runtime.training import model_inputs

CACHE = Path(__file__).resolve().parents[1] / "build" / "benchmarks"
"""Where boundary activations are kept between runs."""


class CutError(ValueError):
    """The model cannot be cut there."""


@dataclass(frozen=True)
class Cut:
    """A model in two parts.

    Attributes:
        boundary: name of the tensor between them.
        trunk: from the model's input to the boundary; None when the boundary is the input.
        tail: from the boundary (now its first input) to the model's outputs.
        first_layer: number of layers in the trunk: layer `n` of a plain model is `n - first_layer`
            of its tail.
    """

    boundary: str
    trunk: Model | None
    tail: Model
    first_layer: int


def find_boundary(model: Model) -> Tensor:
    """The last tensor through which everything flows before anything that trains.

    Args:
        model: a rewritten model.

    Returns:
        The tensor; the model's input when no later one will do.

    Raises:
        CutError: nothing trains, so that there is no earliest trained layer.
    """
    graph = model.graph
    if not any(op.name == "TFLM_TRAIN_RESTORE" for op in graph.ops):
        raise CutError(f"{model.name} holds no training ops: say where to cut it")
    candidates = [op.output for op in graph.ops if not op.name.startswith(OP_PREFIX) and op.outputs]
    for tensor in reversed(candidates):
        if _why_not(model, tensor) is None:
            return tensor
    return graph.inputs[0]


def cut(model: Model, boundary: str | None = None) -> Cut:
    """Splits a model.

    Args:
        model: a plain or rewritten model with one data input; not changed.
        boundary: name of the tensor to cut at; by default `find_boundary`.

    Raises:
        CutError: no such tensor, something trains before it, or another branch crosses the cut.
    """
    if boundary is None:
        boundary = find_boundary(model).name
    tensor = _named(model, boundary)
    if tensor is model.graph.inputs[0]:
        return Cut(boundary, None, model, 0)
    reason = _why_not(model, tensor)
    if reason is not None:
        raise CutError(f"{model.name} cannot be cut at {boundary!r}: {reason}")
    before = ancestors(model.graph, tensor)
    layers = [id(layer.op) in before for layer in list_layers(model.graph)]
    first_layer = sum(layers)
    if not all(layers[:first_layer]):
        raise CutError(f"{model.name}: layers before and after {boundary!r} alternate")
    positions = {i for i, op in enumerate(model.graph.ops) if id(op) in before}
    trunk, tail = Model(model.source, f"{model.name} trunk"), Model(model.source, model.name)
    trunk.graph.ops = [op for i, op in enumerate(trunk.graph.ops) if i in positions]
    trunk.graph.inputs = trunk.graph.inputs[:1]
    trunk.graph.outputs = [_named(trunk, boundary)]
    tail.graph.ops = [op for i, op in enumerate(tail.graph.ops) if i not in positions]
    tail.graph.inputs = [_named(tail, boundary), *tail.graph.inputs[1:]]
    return Cut(boundary, _written(trunk), _written(tail), first_layer)


class Boundary:
    """Runs the trunk of a cut model and remembers what it gave.

    Args:
        model: the whole model; its input says how samples are converted.
        parts: the model cut in two.
        cache: folder to keep activations in, or None.
    """

    def __init__(self, model: Model, parts: Cut, cache: Path | None = None) -> None:
        self._whole = Interpreter(model)
        self._trunk = None if parts.trunk is None else Interpreter(parts.trunk)
        self._source = b"" if parts.trunk is None else parts.trunk.source
        self._cache = cache

    def activations(self, x: Samples, name: str = "x") -> npt.NDArray[np.int8]:
        """int8 activations [n, ...] at the boundary, for samples of a data set."""
        inputs = model_inputs(self._whole, x, name)
        if self._trunk is None:
            return inputs
        file = self._file(inputs)
        if file is not None and file.exists():
            stored: npt.NDArray[np.int8] = np.load(file)
            return stored
        # `infer` keeps the boundary's batch dimension of 1.
        made = np.concatenate([self._trunk.infer(sample) for sample in inputs])
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
            partial = file.with_suffix(".partial.npy")
            np.save(partial, made)
            partial.replace(file)
        return made

    def dataset(self, data: Dataset, limit: int | None = None) -> Dataset:
        """The data set that the tail trains on: int8 activations, the same labels and order."""
        return Dataset(
            self.activations(data.x_train[:limit], "x_train"),
            data.y_train[:limit],
            self.activations(data.x_test[:limit], "x_test"),
            data.y_test[:limit],
            data.class_names,
        )

    def _file(self, inputs: npt.NDArray[np.int8]) -> Path | None:
        if self._cache is None:
            return None
        digest = hashlib.sha256(self._source)
        digest.update(repr(inputs.shape).encode())
        digest.update(np.ascontiguousarray(inputs).data)
        return self._cache / f"{digest.hexdigest()[:32]}.npy"


def _why_not(model: Model, boundary: Tensor) -> str | None:
    """What keeps the model from being cut at a tensor, None when nothing does."""
    graph = model.graph
    before = ancestors(graph, boundary)
    if any(op.name.startswith(OP_PREFIX) for op in graph.ops if id(op) in before):
        return "a layer before it trains"
    if not any(graph.inputs[0] in op.inputs for op in graph.ops if id(op) in before):
        return "it does not depend on the model's input"
    tail = [op for op in graph.ops if id(op) not in before]
    crossing = _crossing(tail, boundary, graph.inputs[1:])
    made = {id(t) for op in tail for t in op.outputs} | {id(boundary)}
    crossing += [t for t in graph.outputs if id(t) not in made]
    if crossing:
        return f"{crossing[0].name!r} crosses the cut as well"
    return None


def _crossing(tail: list[Op], boundary: Tensor, inputs: list[Tensor]) -> list[Tensor]:
    """What the operators of the tail read that is neither theirs, constant, nor the boundary."""
    known = {id(boundary), *(id(t) for t in inputs), *(id(t) for op in tail for t in op.outputs)}
    return [
        tensor
        for op in tail
        for tensor in op.inputs
        if tensor is not None
        and tensor.data is None
        and not tensor.is_variable
        and id(tensor) not in known
    ]


def _named(model: Model, name: str) -> Tensor:
    found = [t for t in model.graph.walk_tensors() if t.name == name]
    if len(found) != 1:
        raise CutError(f"{model.name} has {len(found)} tensors named {name!r}")
    return found[0]


def _written(model: Model) -> Model:
    """The model as read back from its bytes, without the constants nothing uses any more."""
    used = {id(t) for t in model.graph.walk_tensors()}
    for tensor in model.graph.tensors:
        if id(tensor) not in used:
            # The tensor stays, so that indices in signatures and metadata remain valid.
            tensor.data = None
            tensor.is_variable = False
    return Model(model.to_bytes(), model.name)
