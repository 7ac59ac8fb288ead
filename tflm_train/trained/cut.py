"""Cuts a model in two at one activation: what is frozen before it, and what trains behind it.

The trunk (input to boundary) gives the latent of a sample, which never changes while only the tail
(boundary to outputs) trains. The tail of a rewritten model has the same restore op, training ops,
layer numbers, fingerprint and variables as the whole: training it on the latents gives the same
losses and the same state blob, byte for byte, and that blob loads into the whole model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tflm_train.errors import ModelError, UnsupportedError
from tflm_train.graph import Graph, Op, Tensor
from tflm_train.model import Model, offline_plan
from tflm_train.model.layers import ancestors, list_layers
from tflm_train.model.metadata import METADATA_NAME
from tflm_train.ops import Loss, Restore, Stream
from tflm_train.ops.builtin import builtin_of
from tflm_train.ops.contract import EXTRA_INPUTS, SOURCE_INPUT
from tflm_train.ops.npu import ETHOS_U, without_work_memory
from tflm_train.ops.reading import is_ours

_WITH_MEMORY = ("VAR_HANDLE", "READ_VARIABLE", "ASSIGN_VARIABLE", "CALL_ONCE", "IF", "WHILE")
"""Operators that read or write what outlives a run, or call a subgraph that may."""


@dataclass(frozen=True)
class _Target:
    """What of the model's input an autoencoder's loss compares with.

    Attributes:
      tensor: What the loss reads: the input, or the int8 tensor that a QUANTIZE makes of it.
      maker: The QUANTIZE; None where there is none.
    """

    tensor: Tensor
    maker: Op | None


class CutError(UnsupportedError):
    """The model cannot be cut there."""


@dataclass(frozen=True)
class Cut:
    """A model in two parts.

    Neither part has the model's signatures or its plan of the arena, and the trunk neither its
    TFLite Metadata nor its files: they speak of the whole.

    Attributes:
      boundary: Name of the tensor between them.
      trunk: From the model's input to the boundary; None when the boundary is the input.
      tail: From the boundary, which is now its first input, to the model's outputs. One that learns
        its own input has that as its second input, and the QUANTIZE of it where it is real.
      first_layer: Number of layers in the trunk: layer `n` of a plain model is `n - first_layer` of
        its tail.
      takes_sample: Whether the tail has the model's input as its second one.
    """

    boundary: str
    trunk: Model | None
    tail: Model
    first_layer: int
    takes_sample: bool = False


def find_boundary(model: Model, *, sample_beside: bool = True) -> Tensor:
    """The last tensor through which everything flows before anything that trains.

    Args:
      model: A rewritten model.
      sample_beside: Whether the tail may take the sample beside the boundary, as its target.

    Returns:
      The tensor; the model's input when no later one will do.

    Raises:
      CutError: Nothing trains, so that there is no earliest trained layer.
    """
    graph = model.graph
    if not any(Restore.is_kind_of(op) for op in graph.ops):
        raise CutError(f"{model.name} holds no training ops: say where to cut it")
    candidates = [op.output for op in graph.ops if op.outputs and _why_op(op) is None]
    for tensor in reversed(candidates):
        if why_no_boundary(graph, tensor, sample_beside=sample_beside) is None:
            return tensor
    return graph.inputs[0]


def cut(model: Model, boundary: str | Tensor | None = None, *, sample_beside: bool = True) -> Cut:
    """Splits a model.

    Args:
      model: A plain or rewritten model with one data input, as it was read; not changed.
      boundary: The tensor to cut at, or its name; by default `find_boundary`.
      sample_beside: Whether the tail may take the sample beside the boundary, as its target.

    Raises:
      CutError: No such tensor, something trains or remembers before it, or another branch crosses
        the cut.
    """
    graph = model.graph
    if not isinstance(boundary, Tensor):
        if boundary is None:
            boundary = find_boundary(model, sample_beside=sample_beside)
        else:
            boundary = _named(model, boundary)
    if boundary is graph.inputs[0]:
        return Cut(boundary.name, None, model, 0)
    reason = why_no_boundary(graph, boundary, sample_beside=sample_beside)
    if reason is not None:
        raise CutError(f"{model.name} cannot be cut at {boundary.name!r}: {reason}")
    before = ancestors(graph, boundary)
    layers = [id(layer.op) in before for layer in list_layers(graph)]
    first_layer = sum(layers)
    if not all(layers[:first_layer]):
        raise CutError(f"{model.name}: layers before and after {boundary.name!r} alternate")
    place = graph.tensors.index(boundary)
    positions = {i for i, op in enumerate(graph.ops) if id(op) in before}
    target = _target_behind(graph, boundary) if sample_beside else None
    repeated = target.maker if target is not None else None
    trunk, tail = Model(model.source, f"{model.name} trunk"), Model(model.source, model.name)
    trunk.graph.ops = [op for i, op in enumerate(trunk.graph.ops) if i in positions]
    trunk.graph.inputs = trunk.graph.inputs[:1]
    trunk.graph.outputs = [trunk.graph.tensors[place]]
    trunk.drop_metadata(METADATA_NAME)
    for file in trunk.file_names:
        trunk.set_associated_file(file, None)
    own = positions - {i for i, op in enumerate(graph.ops) if op is repeated}
    tail.graph.ops = [op for i, op in enumerate(tail.graph.ops) if i not in own]
    sample = tail.graph.inputs[:1] if target is not None else []
    tail.graph.inputs = [tail.graph.tensors[place], *sample, *tail.graph.inputs[1:]]
    return Cut(boundary.name, _written(trunk), _written(tail), first_layer, bool(sample))


def why_no_boundary(graph: Graph, boundary: Tensor, *, sample_beside: bool = True) -> str | None:
    """What keeps a graph from being cut at a tensor, None when nothing does.

    Args:
      graph: Of a plain model, or of a rewritten one whose training ops are complete.
      boundary: One of its activations.
      sample_beside: Whether the tail may take the sample beside the boundary, as its target.
    """
    if len([t for t in graph.inputs if t.name not in (*EXTRA_INPUTS, SOURCE_INPUT)]) > 1:
        return "the model has several inputs"
    before = ancestors(graph, boundary)
    for op in graph.ops:
        reason = _why_op(op) if id(op) in before else None
        if reason is not None:
            return reason
    if not any(graph.inputs[0] in op.inputs for op in graph.ops if id(op) in before):
        return "it does not depend on the model's input"
    tail = [op for op in graph.ops if id(op) not in before]
    target = _target_behind(graph, boundary) if sample_beside else None
    beside = [] if target is None else [target.tensor]
    crossing = _crossing(tail, boundary, graph.inputs[1:], beside)
    made = {id(t) for op in tail for t in op.outputs} | {id(boundary)}
    crossing += [t for t in graph.outputs if id(t) not in made]
    if crossing:
        return f"{crossing[0].name!r} crosses the cut as well"
    return None


def has_memory(graph: Graph) -> bool:
    """Whether a run of the model may depend on earlier ones otherwise than through its state.

    Args:
      graph: Of a plain or rewritten model.
    """
    made = {id(tensor) for op in graph.ops for tensor in op.outputs}
    made |= {id(tensor) for tensor in graph.inputs}
    return any(
        (op.is_custom and not is_ours(op) and not ETHOS_U.is_kind_of(op))
        or op.name in _WITH_MEMORY
        or any(tensor.is_variable and id(tensor) not in made for tensor in _tensors(op))
        for op in graph.ops
    )


def _why_op(op: Op) -> str | None:
    """What keeps an op out of the trunk: it must give the same for a sample whenever it runs."""
    read = [t for t in _tensors(op) if t.is_variable and t.name != SOURCE_INPUT]
    if Stream.is_kind_of(op):
        # What a STREAM saves beside its output serves training; so does a variable that it reads.
        is_frozen = len(op.outputs) == 1 and not read
        return None if is_frozen else "a layer before it trains"
    if is_ours(op):
        return "a layer before it trains"
    may_remember = op.is_custom and not ETHOS_U.is_kind_of(op)
    if may_remember or op.name in _WITH_MEMORY or read:
        return f"{op.name} before it may remember what came earlier"
    return None


def target_of_input(graph: Graph) -> Tensor | None:
    """What the loss of a model that learns its own input compares with; None for other models."""
    target = _target(graph)
    return None if target is None else target.tensor


def _target(graph: Graph) -> _Target | None:
    """The model's input, or the int8 tensor made of it, where the loss reads it as its target."""
    loss = next((op for op in graph.ops if Loss.is_kind_of(op)), None)
    if loss is None:
        return None
    source = graph.inputs[0]
    if source in loss.inputs:
        return _Target(source, None)
    for op in graph.consumers(source):
        row = builtin_of(op)
        if row is not None and row.keeps_real_values and op.output in loss.inputs:
            return _Target(op.output, op)
    return None


def _target_behind(graph: Graph, boundary: Tensor) -> _Target | None:
    """The target that a tail needs beside a boundary; None where that is the target itself."""
    target = _target(graph)
    return None if target is None or target.tensor is boundary else target


def _crossing(
    tail: Sequence[Op], boundary: Tensor, inputs: Sequence[Tensor], beside: Sequence[Tensor]
) -> list[Tensor]:
    """What the operators of the tail read that is neither theirs, constant, nor the boundary.

    Args:
      tail: The operators.
      boundary: What the trunk gives.
      inputs: Of the model, which the tail keeps.
      beside: What the tail has as well, for its loss alone.
    """
    known = {id(boundary), *(id(t) for t in inputs), *(id(t) for op in tail for t in op.outputs)}
    known_to_loss = known | {id(t) for t in beside}
    return [
        tensor
        for op in tail
        for tensor in _tensors(op)
        if tensor.data is None
        and not tensor.is_variable
        and id(tensor) not in (known_to_loss if Loss.is_kind_of(op) else known)
    ]


def _tensors(op: Op) -> list[Tensor]:
    """The inputs that are there."""
    return [tensor for tensor in without_work_memory(op) if tensor is not None]


def _named(model: Model, name: str) -> Tensor:
    found = [t for t in model.graph.walk_tensors() if t.name == name]
    if len(found) != 1:
        raise CutError(f"{model.name} has {len(found)} tensors named {name!r}")
    return found[0]


def _written(model: Model) -> Model:
    """The model as read back from its bytes, without what only the other part needs."""
    for key in model.signatures:
        model.drop_signature(key)
    model.drop_metadata(offline_plan.METADATA_NAME)
    if not model.drop_unused_tensors():
        used = {id(t) for t in [*model.graph.walk_tensors(), *model.graph.inputs]}
        for tensor in model.graph.tensors:
            if id(tensor) not in used:
                tensor.data = None
                tensor.is_variable = False
    try:
        return Model(model.to_bytes(), model.name)
    except ModelError as error:
        raise CutError(f"the part would not load: {error}") from error
