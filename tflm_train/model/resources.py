"""Resource variables: what a streaming model keeps between invocations, beside its tensors.

VAR_HANDLE names one, READ_VARIABLE and ASSIGN_VARIABLE move its values, and CALL_ONCE runs the
subgraph that gives it the first ones. The interpreter owns their memory, apart from all tensors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tflm_train.errors import ModelError
from tflm_train.graph import Graph, Op, Tensor

HANDLE, READ, ASSIGN = "VAR_HANDLE", "READ_VARIABLE", "ASSIGN_VARIABLE"


@dataclass(frozen=True)
class Resource:
    """One resource variable.

    Attributes:
      name: What its handles share.
      nbytes: Its size.
    """

    name: str
    nbytes: int


def list_resources(graphs: Sequence[Graph], model: str) -> list[Resource]:
    """All resource variables of a file.

    Args:
      graphs: Its subgraphs, the primary one first.
      model: What to call the file in errors.

    Returns:
      The variables, in the order in which TFLM meets their first assignment.

    Raises:
      ModelError: Reads and assignments of one do not have the same size, or nothing assigns one
        that is read; TFLM would read or write beyond it.
    """
    assigned: dict[str, int] = {}
    read: dict[str, int] = {}
    names = resource_names(graphs)
    for graph in graphs:
        for op in graph.ops:
            value = _value(op)
            if value is None or id(op.input) not in names:
                continue
            name = names[id(op.input)]
            sizes = assigned if op.name == ASSIGN else read
            if sizes.setdefault(name, value.nbytes) != value.nbytes:
                raise _contradiction(model, name, sizes[name], value.nbytes)
    for name, size in read.items():
        if assigned.get(name) != size:
            raise _contradiction(model, name, assigned.get(name), size)
    return [Resource(name, size) for name, size in assigned.items()]


def resource_names(graphs: Sequence[Graph]) -> dict[int, str]:
    """What the resource variables are called, by the id of a tensor that is a handle of one."""
    return {
        id(op.output): _name_of(op) for graph in graphs for op in graph.ops if op.name == HANDLE
    }


def _name_of(handle: Op) -> str:
    shared = handle.options.sharedName
    return "" if shared is None else str(shared.decode(errors="replace"))


def _value(op: Op) -> Tensor | None:
    """What an operator reads out of a resource variable or puts there."""
    if op.name == READ:
        return op.output
    return op.inputs[1] if op.name == ASSIGN else None


def _contradiction(model: str, name: str, assigned: int | None, read: int) -> ModelError:
    if assigned is None:
        reason = "is read, and nothing assigns it"
    else:
        reason = f"has {assigned} bytes in one place and {read} in another"
    return ModelError(
        f"{model}: corrupt .tflite file: the resource variable {name!r} {reason}; get an undamaged "
        "copy, or convert the model again"
    )
