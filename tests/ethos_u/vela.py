"""Runs Arm's Vela on a model and says where it put each operator."""

from __future__ import annotations

import subprocess
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from tflm_train.errors import ModelError
from tflm_train.model import Model, Op, Tensor, load
from tflm_train.ops.npu import ETHOS_U

ACCELERATORS = ("ethos-u55-128", "ethos-u85-256")


class VelaError(Exception):
    """Vela crashed, refused the model, or wrote one that no interpreter could run."""


def compile_model(vela: Path, model: Model, accelerator: str, folder: Path) -> Model:
    """Compiles a model for an Ethos-U.

    Args:
      vela: The program.
      model: A rewritten model, as it was read.
      accelerator: Vela's name of the NPU and its multipliers.
      folder: Where the model and Vela's files go.

    Returns:
      What Vela wrote.

    Raises:
      VelaError: There is none, or not one that can be read.
    """
    source = folder / "model.tflite"
    source.write_bytes(model.source)
    command = [str(vela), "--accelerator-config", accelerator, "--output-dir", str(folder)]
    done = subprocess.run([*command, str(source)], capture_output=True, text=True, check=False)
    compiled = folder / "model_vela.tflite"
    if done.returncode != 0 or not compiled.exists():
        tail = " ".join((done.stdout + done.stderr).split())[-400:]
        raise VelaError(f"{accelerator}: exit status {done.returncode}: {tail}")
    try:
        return load(compiled)
    except ModelError as error:
        raise VelaError(f"{accelerator}: {error}") from error


def names(tensors: list[Tensor | None] | list[Tensor]) -> list[str | None]:
    """The names of tensors, None for an input that is left out."""
    return [None if tensor is None else tensor.name for tensor in tensors]


def key_of(op: Op) -> tuple[str, ...]:
    """What an operator is recognised by in another file: the names of its outputs."""
    return tuple(tensor.name for tensor in op.outputs)


@dataclass(frozen=True)
class Placement:
    """Where the operators of a model went.

    Attributes:
      position: In the compiled model's order, by the id of the original operator; one that Vela
        dropped has none.
      on_npu: Ids of the original operators that an NPU op computes.
      npu_ops: For each NPU op of the compiled model (by id) the original ones, in their order.
    """

    position: dict[int, int]
    on_npu: set[int]
    npu_ops: dict[int, list[Op]]


def place(before: Model, after: Model) -> Placement:
    """Finds each operator of a model in what Vela made of it.

    An NPU op stands for the operators between its outputs and what has been computed before; a
    tensor that only NPU ops write and read is not among their inputs and outputs.
    """
    ops = after.graph.ops
    kept = {key_of(op): index for index, op in enumerate(ops) if not ETHOS_U.is_kind_of(op)}
    position = {id(op): kept[key_of(op)] for op in before.graph.ops if key_of(op) in kept}
    producers = {tensor.name: op for op in before.graph.ops for tensor in op.outputs}
    placement = Placement(position, set(), {})
    for index, npu_op in enumerate(ops):
        if not ETHOS_U.is_kind_of(npu_op):
            continue
        inside = _behind(npu_op, producers, placement.position.keys())
        placement.npu_ops[id(npu_op)] = [op for op in before.graph.ops if id(op) in inside]
        placement.on_npu.update(inside)
        placement.position.update(dict.fromkeys(inside, index))
    return placement


def _behind(npu_op: Op, producers: dict[str, Op], placed: Collection[int]) -> set[int]:
    """Ids of the operators that lead to an NPU op's outputs and are not placed yet."""
    inside: set[int] = set()
    waiting = [tensor.name for tensor in npu_op.outputs]
    while waiting:
        op = producers.get(waiting.pop())
        if op is None or id(op) in inside or id(op) in placed:
            continue
        inside.add(id(op))
        waiting += [t.name for t in op.inputs if t is not None and t.data is None]
    return inside
