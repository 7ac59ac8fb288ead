"""Nodes as the fuzz targets of the ops read them (`node.h`), made of models' operators."""

from __future__ import annotations

import struct
from pathlib import Path

from tflm_train import ops
from tflm_train.graph import Op, Tensor
from tflm_train.ops.tensors import TYPES

SEEDS = Path(__file__).parent / "seeds" / "op"
_MOST_BYTES = 0xFFFF


def node_bytes(op: Op, seed: int = 1) -> bytes:
    """A node as `ReadNode` of node.cc reads it.

    Args:
      op: One of our ops.
      seed: Of what lies in RAM.
    """
    name = op.name.removeprefix(ops.OP_PREFIX).encode()
    tensors: list[Tensor] = []
    for tensor in [*op.inputs, *op.outputs]:
        if tensor is not None and not any(tensor is known for known in tensors):
            tensors.append(tensor)

    def index(tensor: Tensor | None) -> int:
        return -1 if tensor is None else next(i for i, t in enumerate(tensors) if t is tensor)

    parts = [struct.pack("<B", len(name)), name, struct.pack("<BBI", 0, 0, seed)]
    options = op.custom_options or b""
    parts += [struct.pack("<H", len(options)), options]
    parts.append(struct.pack("<B", len(tensors)))
    for tensor in tensors:
        data = b"" if tensor.data is None else tensor.data.tobytes()[:_MOST_BYTES]
        shape = tensor.shape
        parts.append(
            struct.pack("<BBB", TYPES[tensor.type_name], tensor.data is not None, len(shape))
        )
        parts.append(struct.pack(f"<{len(shape)}i", *shape))
        parts.append(struct.pack("<H", len(data)) + data)
    for listed in (op.inputs, op.outputs):
        parts.append(struct.pack("<B", len(listed)))
        parts.append(struct.pack(f"<{len(listed)}b", *map(index, listed)))
    return b"".join(parts)


def write_samples() -> None:
    """Writes a seed for each sample of the declarations."""
    from tests.ops.op_samples import SAMPLES, sample

    for number, params in enumerate(SAMPLES):
        folder = SEEDS / params.OP
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"sample_{number}").write_bytes(node_bytes(sample(params)))


if __name__ == "__main__":
    write_samples()
