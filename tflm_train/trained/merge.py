"""Bakes trained weights into an ordinary inference model.

The inverse of a rewrite, with the weights of a saved state: variables become constants again, the
training ops and what only they used go, inputs and outputs are the original ones. Layers that were
trained in part get back their builtin op, whose whole weights are put together from the constant
rest and the trained columns. The result has no custom op of ours: any TFLite runtime loads it, and
it can be rewritten again. (Unless the rewrite made STREAMs of forward layers: those stay.)
"""

from __future__ import annotations

import dataclasses
import json
import os
from typing import Any

import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema

from tflm_train.backward_ops.rules import TRAINING_IN_PART
from tflm_train.errors import ModelError
from tflm_train.model import Graph, Model, Op, Tensor, flatbuffer, load, offline_plan
from tflm_train.model.kinds import is_model
from tflm_train.model.layer_options import restore_layer_options
from tflm_train.model.metadata import trim_interface
from tflm_train.model.written import check_written
from tflm_train.ops import SplitConv, SplitDepthwise, StageFields, Stream
from tflm_train.ops.builtin import BUILTINS
from tflm_train.ops.constants import NO_MARK
from tflm_train.ops.contract import TRAIN_SIGNATURE
from tflm_train.ops.reading import is_ours, read_params
from tflm_train.trained.state import StateBlob, StateLayout
from tflm_train.trained.trainable_model import TrainableModel

METADATA_NAME = "tflm_train.merged"
# Our note of an earlier merge, and a plan of the arena that held the training tensors as well.
_DROPPED_METADATA = (METADATA_NAME.encode(), offline_plan.METADATA_NAME.encode())
_BUILTINS = {BUILTINS[name].options: name for name in TRAINING_IN_PART}


def merge(model: bytes | Model | str | os.PathLike[str], state: bytes | None = None) -> bytes:
    """Makes an inference model of a rewritten model and a saved state.

    Args:
      model: A rewritten model: bytes, a `Model` or a path.
      state: What `Interpreter.state` or the firmware's StateSave wrote; None for the factory
        weights.

    Returns:
      The bytes of a .tflite file whose outputs equal the trained interpreter's, bit for bit.

    Raises:
      ModelError: The model holds no training ops.
      DataError: The state is damaged or another model's.
    """
    if isinstance(model, Model):
        work = Model(model.source, model.name)
    else:
        work = Model(model) if isinstance(model, bytes) else load(model)
    restore_layer_options(work)
    trainable = TrainableModel.read(work)
    layout = StateLayout(trainable)
    blob = layout.factory_state() if state is None else StateBlob.parse(state)
    for variable, value in zip(trainable.variables, layout.values(blob), strict=True):
        variable.tensor.data = value
        variable.tensor.is_variable = False
    graph = work.graph
    added = graph.outputs[trainable.state_output]
    source = None
    if trainable.source_input is not None and trainable.latent is not None:
        source = graph.inputs[trainable.source_input]
        trainable.latent.is_variable = False
    graph.ops = [_without_source(op, source) for op in graph.ops]
    graph.ops = [_forward(op, work) for op in graph.ops if not _trains(op)]
    graph.inputs, graph.outputs = list(trainable.inputs), list(trainable.outputs)
    _drop_added_tensors(graph, added)
    work.drop_signature(TRAIN_SIGNATURE)
    trim_interface(work)
    return check_written(_prune(work.to_bytes(), work.name, blob), work.name)


def is_merged_model(data: bytes) -> bool:
    """Whether these bytes are a result of `merge`."""
    return is_model(data) and METADATA_NAME.encode() in data


def _is_split(op: Op) -> bool:
    return SplitConv.is_kind_of(op) or SplitDepthwise.is_kind_of(op)


def _trains(op: Op) -> bool:
    return is_ours(op) and not _is_split(op) and not Stream.is_kind_of(op)


def _forward(op: Op, model: Model) -> Op:
    """The op of the inference model."""
    if Stream.is_kind_of(op):
        return _without_saved(op, model)
    if not _is_split(op):
        return op
    name = _BUILTINS.get(type(op.options))
    if name is None:
        raise ModelError(
            f"{model.name}: op {model.graph.index(op)} ({op.name}) does not carry the options of "
            "the layer it stands for; rewrite the original model again"
        )
    params = read_params(op, model.graph, model.name)
    assert isinstance(params, SplitConv | SplitDepthwise)
    try:
        parts = params.inputs_of(op)
        constants = [_constant(t) for t in (parts.weights, parts.columns, parts.channels)]
        whole = _put_together(isinstance(params, SplitDepthwise), params.kept, *constants)
    except (ValueError, IndexError) as error:
        raise ModelError(
            f"{model.name}: op {model.graph.index(op)} ({op.name}): its parts make no layer "
            f"({error}); rewrite the original model again"
        ) from error
    parts.weights.data, parts.weights.shape = whole, whole.shape
    return Op(name, [parts.x, parts.weights, parts.bias], op.outputs, op.options)


def _without_source(op: Op, source: Tensor | None) -> Op:
    """A frozen STREAM that always runs."""
    if source is None or not Stream.is_kind_of(op) or op.inputs[-1] is not source:
        return op
    return dataclasses.replace(op, inputs=op.inputs[:-1])


def _without_saved(op: Op, model: Model) -> Op:
    """A STREAM that keeps nothing for a backward pass."""
    params = read_params(op, model.graph, model.name)
    assert isinstance(params, Stream)
    if not any(stage.trains for stage in params.stages):
        return op
    stages: list[StageFields] = []
    outputs = [op.output]
    for stage in params.stages:
        output, channels = 0, 0
        if stage.is_kept_whole:
            outputs.append(op.outputs[stage.kept_output])
            output, channels = len(outputs) - 1, stage.kept_channels
        stages.append(
            dataclasses.replace(
                stage,
                mask_output=0,
                kept_output=output,
                kept_channels=channels,
                kept_list=0,
                mask_mark=NO_MARK,
                kept_mark=NO_MARK,
            )
        )
    added = 1 + sum(stage.kept_list != 0 for stage in params.stages)  # the state, channel lists
    options = Stream(tuple(stages)).pack()
    inputs = Stream.inputs_of(op)
    kept = dataclasses.replace(inputs, own=inputs.own[:-added]).in_order()
    return dataclasses.replace(op, inputs=kept, outputs=outputs, custom_options=options)


def _constant(tensor: Tensor) -> npt.NDArray[Any]:
    if tensor.data is None:
        raise ValueError(f"{tensor.name!r} has no values")
    return tensor.data


def _put_together(
    depthwise: bool,
    kept: int,
    weights: npt.NDArray[Any],
    columns: npt.NDArray[Any],
    listed: npt.NDArray[Any],
) -> npt.NDArray[Any]:
    """A layer's whole weights, of the constant ones and the trained columns."""
    if depthwise:
        return _with_columns(weights, listed, columns)
    # `listed` has the channels of the constant rest first, then the trained ones.
    rest = listed[: listed.size - kept]
    whole = np.empty((*weights.shape[:-1], listed.size), np.int8)
    whole = _with_columns(whole, rest, weights)
    return _with_columns(whole, listed[rest.size :], columns)


def _with_columns(
    weights: npt.NDArray[Any], channels: npt.NDArray[Any], columns: npt.NDArray[Any]
) -> npt.NDArray[Any]:
    whole = weights.copy()
    whole[..., channels.astype(np.int64)] = columns.reshape(*weights.shape[:-1], channels.size)
    return whole


def _drop_added_tensors(graph: Graph, state: Tensor) -> None:
    """Removes what the rewrite added: all that is unused from `train/state`, its first, on."""
    used = {id(t) for t in graph.walk_tensors()}
    first = graph.tensors.index(state)
    graph.tensors[first:] = [t for t in graph.tensors[first:] if id(t) in used]


def _prune(data: bytes, name: str, blob: StateBlob) -> bytes:
    """Removes operator codes and buffers without a user, and notes where the weights come from."""
    raw, zip_entries = flatbuffer.parse(data, name)
    operators = [o for subgraph in raw.subgraphs for o in _items(subgraph.operators)]
    raw.operatorCodes = _renumber(raw.operatorCodes, [(o, "opcodeIndex") for o in operators])
    metadata = [m for m in _items(raw.metadata) if m.name not in _DROPPED_METADATA]
    note = schema.MetadataT()
    note.name = METADATA_NAME.encode()
    text = json.dumps({"fingerprint": f"{blob.fingerprint:016x}", "step": blob.step}).encode()
    raw.buffers.append(schema.BufferT(data=np.frombuffer(text, np.uint8)))
    note.buffer = len(raw.buffers) - 1
    raw.metadata = [*metadata, note]
    raw.metadataBuffer = None
    users: list[tuple[Any, str]] = [(_Zero(), "buffer")]
    users += [(t, "buffer") for subgraph in raw.subgraphs for t in _items(subgraph.tensors)]
    users += [(m, "buffer") for m in raw.metadata]
    raw.buffers = _renumber(raw.buffers, users)
    return flatbuffer.serialize(raw, zip_entries)


class _Zero:
    """Keeps buffer 0, which is empty by convention."""

    buffer = 0


def _renumber(table: Any, users: list[tuple[Any, str]]) -> list[Any]:
    """Keeps the entries of a table that somebody points at, and points there again."""
    used = sorted({getattr(user, field) for user, field in users})
    places = {old: new for new, old in enumerate(used)}
    for user, field in users:
        setattr(user, field, places[getattr(user, field)])
    return [table[old] for old in used]


def _items(vector: Any) -> Any:
    return [] if vector is None else vector
