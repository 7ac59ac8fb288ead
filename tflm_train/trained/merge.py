"""Bakes trained weights into an ordinary inference model.

The inverse of a rewrite, with the weights of a saved state: variables become constants again, the
training ops and what only they used go, inputs and outputs are the original ones. Layers that were
trained in part, or run as STREAMs, get back their builtin ops. The result has no custom op of ours:
any TFLite runtime loads it, and it can be rewritten again.
"""

from __future__ import annotations

import json
import os
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tflm_train.model import Graph, Model, Tensor, flatbuffer, load, offline_plan
from tflm_train.model.kinds import is_model
from tflm_train.model.metadata import trim_interface
from tflm_train.model.origins import name_as_before, take_origins
from tflm_train.model.written import check_written
from tflm_train.ops.contract import TRAIN_SIGNATURE
from tflm_train.ops.reading import is_ours
from tflm_train.trained.builtin_layers import is_forward, restore_builtins
from tflm_train.trained.state import StateBlob, StateLayout
from tflm_train.trained.trainable_model import TrainableModel

METADATA_NAME = "tflm_train.merged"


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
    origins = take_origins(work)
    trainable = TrainableModel.read(work)
    layout = StateLayout(trainable)
    blob = layout.factory_state() if state is None else StateBlob.parse(state)
    for variable, value in zip(trainable.variables, layout.values(blob), strict=True):
        variable.tensor.data = value
        variable.tensor.is_variable = False
    graph = work.graph
    added = graph.outputs[trainable.state_output]
    if trainable.latent is not None:
        trainable.latent.is_variable = False
        name_as_before(trainable.latent)
    graph.ops = [op for op in graph.ops if is_forward(op) or not is_ours(op)]
    restore_builtins(work, origins)
    graph.inputs, graph.outputs = list(trainable.inputs), list(trainable.outputs)
    _drop_added_tensors(graph, added)
    work.drop_signature(TRAIN_SIGNATURE)
    work.drop_metadata(offline_plan.METADATA_NAME)  # It held the training tensors as well.
    trim_interface(work)
    return check_written(_prune(work.to_bytes(), work.name, blob), work.name)


def is_merged_model(data: bytes) -> bool:
    """Whether these bytes are a result of `merge`."""
    return is_model(data) and METADATA_NAME.encode() in data


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
    metadata = [m for m in _items(raw.metadata) if m.name != METADATA_NAME.encode()]
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
