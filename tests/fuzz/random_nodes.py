"""Random valid nodes for `node_sums.cc`: every core has to compute the same of them.

Three quarters of the nodes have random fields, the others are of random models that were rewritten.
What is in their tensors is described only, the harness makes it of the node's seed.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from tests.fuzz import random_params
from tests.ops.op_samples import Place, places
from tests.random_layers import Draw, random_stack
from tflm_train import ops
from tflm_train.errors import TflmTrainError
from tflm_train.graph import Op, Tensor
from tflm_train.model import Model
from tflm_train.model.layers import list_layers
from tflm_train.ops.tensors import TYPES, Slot, slots_of
from tflm_train.rewriter import rewrite
from tflm_train.rewriter.optimize import Forward, Streaming
from tflm_train.scheme import Head, Scheme, WeightUpdate

_CONSTANT, _UNIFORM, _KEPT, _PRIVATE = 1, 4, 8, 16
_RATES = 6
"""How many learning rates of the harness are numbers that a step takes."""
_LARGEST_ACTIVATION = 2000
_MOST_BYTES = 0xFFFF


@dataclass
class _Node:
    """A node as `ReadNode` of node.cc reads it."""

    op: str
    options: bytes
    rate: int
    seed: int
    tensors: list[bytes] = field(default_factory=list)
    inputs: list[int] = field(default_factory=list)
    outputs: list[int] = field(default_factory=list)

    def add(self, dtype: str, shape: tuple[int, ...], contents: tuple[int, bytes]) -> int:
        """Adds a tensor; returns its index."""
        flags, data = contents
        head = struct.pack("<BBB", TYPES[dtype], flags, len(shape))
        sizes = struct.pack(f"<{len(shape)}i", *shape)
        self.tensors.append(head + sizes + struct.pack("<H", len(data)) + data)
        return len(self.tensors) - 1

    def pack(self) -> bytes:
        """Its bytes."""
        parts = [bytes([len(self.op)]), self.op.encode()]
        parts.append(struct.pack("<BBIH", 0, self.rate, self.seed, len(self.options)))
        parts += [self.options, bytes([len(self.tensors)]), *self.tensors]
        for listed in (self.inputs, self.outputs):
            parts.append(struct.pack(f"<B{len(listed)}b", len(listed), *listed))
        return b"".join(parts)


def random_nodes(seed: int) -> Iterator[bytes]:
    """Nodes without end; those with random fields may break a rule that their draw does not know.

    Args:
      seed: Other seeds give other nodes.
    """
    rng = np.random.default_rng(seed)

    def draw(low: int, high: int) -> int:
        return int(rng.integers(low, high + 1))

    while True:
        of_models = list(_nodes_of_a_model(draw))
        yield from of_models
        for _ in range(max(1, 3 * len(of_models))):
            yield _node_of(random_params.random_params(draw), draw)


def _node_of(params: ops.Params, draw: Draw) -> bytes:
    node = _Node(params.OP, params.pack(), draw(0, _RATES - 1), draw(0, 2**32 - 1))
    inputs = places(params, slots_of(params.INPUTS), lambda: draw(0, 1) == 1)
    outputs = places(params, slots_of(params.OUTPUTS))
    for found, listed in ((inputs, node.inputs), (outputs, node.outputs)):
        for place in found:
            if place is None:
                listed.append(-1)
                continue
            extra = draw(0, 3) if place.slot.spec.at_least else 0
            size = random_params.STATE_WORDS if place.slot.name == "state" else place.size + extra
            contents = _contents_of_place(params, place, draw)
            listed.append(node.add(place.type_name, (size,), contents))
    return node.pack()


def _nodes_of_a_model(draw: Draw) -> Iterator[bytes]:
    model = random_stack(draw, _LARGEST_ACTIVATION).finish(trainable=True)
    layers = len(list_layers(model.graph))
    chosen = sorted({draw(0, layers - 1) for _ in range(draw(1, 3))})
    weights = tuple(WeightUpdate(i, ratio=(1.0, 0.5, 0.3)[draw(0, 2)]) for i in chosen)
    scheme = Scheme(
        weights=weights,
        biases_last=draw(0, layers),
        residual_bits=(0, 4, 8)[draw(0, 2)],
        head=Head(classes=draw(2, 9)) if draw(0, 1) else Head(),
    )
    stream, forward = (tuple(kind)[draw(0, len(kind) - 1)] for kind in (Streaming, Forward))
    try:
        result = rewrite(model, scheme, stream=stream, forward=forward)
    except TflmTrainError:
        return
    for op in Model(result.model_bytes).graph.ops:
        if op.name.startswith(ops.OP_PREFIX):
            yield _node_of_op(op, draw)


def _node_of_op(op: Op, draw: Draw) -> bytes:
    options = op.custom_options or b""
    params = ops.unpack(options)
    node = _Node(params.OP, options, draw(0, _RATES - 1), draw(0, 2**32 - 1))
    indices: dict[int, int] = {}
    for tensors, listed, cls in (
        (op.inputs, node.inputs, params.INPUTS),
        (op.outputs, node.outputs, params.OUTPUTS),
    ):
        slots = {id(t): slot for slot, t in cls.of(tensors).beside_slots()}
        for tensor in tensors:
            if tensor is None:
                listed.append(-1)
                continue
            if id(tensor) not in indices:
                contents = _contents_of_tensor(slots[id(tensor)], tensor, draw)
                indices[id(tensor)] = node.add(tensor.type_name, tensor.shape, contents)
            listed.append(indices[id(tensor)])
    return node.pack()


def _contents_of_tensor(slot: Slot, tensor: Tensor, draw: Draw) -> tuple[int, bytes]:
    if tensor.data is not None:
        return _CONSTANT, tensor.data.tobytes()[:_MOST_BYTES]
    return _between(slot, tensor.type_name, tensor.is_variable, draw)


def _contents_of_place(params: ops.Params, place: Place, draw: Draw) -> tuple[int, bytes]:
    """A tensor's flags for the harness, and what is in it."""
    spec = place.slot.spec
    if spec.role is ops.Role.CONSTANT or place.slot.name == "channels":
        return _CONSTANT, _constant(params, place, draw).tobytes()
    flags, data = _between(place.slot, place.type_name, spec.role is ops.Role.VARIABLE, draw)
    if spec.role is ops.Role.FACTORS or (spec.role is ops.Role.WEIGHTS and draw(0, 1)):
        flags |= _CONSTANT
    return flags, data


def _constant(params: ops.Params, place: Place, draw: Draw) -> npt.NDArray[np.generic]:
    dtype, spec = np.dtype(place.type_name.lower()), place.slot.spec
    rng = np.random.default_rng(draw(0, 2**32 - 1))
    if isinstance(params, ops.ResizeGrad):
        most = params.in_h if place.slot.name == "rows" else params.in_w
        first = np.sort(rng.integers(0, most, place.size // 2))
        weights = rng.integers(0, 129, place.size // 2) * (first + 1 < most)
        return np.stack([first, weights], axis=1).reshape(-1).astype(dtype)
    if place.slot.name == "channels":
        if isinstance(params, ops.ConvUpdate | ops.DepthwiseUpdate):
            most, first_run = params.update.row_channels, place.size
        else:
            most, first_run = place.value(spec.high) + 1, place.value(spec.ascending)
        listed = rng.permutation(most)[: place.size]
        runs = (np.sort(listed[:first_run]), np.sort(listed[first_run:]))
        return np.concatenate(runs).astype(dtype)
    if place.slot.name == "shifts":
        return rng.integers(*((-31, 31), (-14, 1))[draw(0, 1)], place.size).astype(dtype)
    low = 1 << 30 if place.slot.name == "multipliers" and dtype == np.int32 and draw(0, 1) else 0
    high = place.value(spec.high)
    return rng.integers(min(low, high), high + 1, place.size).astype(dtype)


def _between(slot: Slot, dtype: str, is_variable: bool, draw: Draw) -> tuple[int, bytes]:
    """Random numbers between two that a tensor may hold where it is in a step."""
    role = slot.spec.role
    if slot.name == "handle":
        return _PRIVATE, b""
    if role is ops.Role.STATE or slot.name == "state":
        return 0, b""  # the harness sets it up
    flags = _UNIFORM | _KEPT * (is_variable or role is ops.Role.RANGES)
    if dtype == "FLOAT32":
        return flags, struct.pack("<ff", *_floats(role, draw))
    return flags, struct.pack("<ii", *_LIMITS[dtype](role, draw))


def _floats(role: ops.Role, draw: Draw) -> tuple[float, float]:
    if role is ops.Role.TARGET:
        return 0.0, 1.0
    if draw(0, 9) == 0:
        return 0.0, 0.0
    most = 10.0 ** draw(-6, 4 if role is ops.Role.RANGES else 0)
    return most * draw(0, 1) * draw(0, 100) / 100, most


def _int8(role: ops.Role, draw: Draw) -> tuple[int, int]:
    lowest = -128 if role in (ops.Role.ACTIVATION, ops.Role.MASK, ops.Role.TARGET) else -127
    kind = draw(0, 9)
    if kind > 2:
        return lowest, 127
    if kind == 2:  # at one end, where steps stop
        return ((lowest, lowest + 1), (126, 127))[draw(0, 1)]
    low = draw(lowest, 127)
    return low, draw(low, 127)


def _int32(role: ops.Role, draw: Draw) -> tuple[int, int]:
    if role is ops.Role.TARGET:
        return 0, 1
    most = 1 << draw(4, 30)
    return -most, most


def _int16(role: ops.Role, draw: Draw) -> tuple[int, int]:
    most = 32767 >> draw(0, 10)
    return -most, most


_LIMITS: dict[str, Callable[[ops.Role, Draw], tuple[int, int]]] = {
    "INT8": _int8,
    "UINT8": lambda role, draw: (0, 255),
    "INT16": _int16,
    "INT32": _int32,
}
