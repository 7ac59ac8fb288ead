"""Float operators amid int8 ones: TFLM computes some functions in float32 only.

The converter puts a DEQUANTIZE before and a QUANTIZE behind such an operator. For its gradient the
three are one operator from int8 to int8: the derivative follows from the int8 values, and a
gradient is in real units on either side.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

from tflm_train.graph import Op, Tensor
from tflm_train.ops.builtin import builtin_of

_FLOAT, _INT8 = "FLOAT32", "INT8"


def differentiated(ops: Sequence[Op]) -> list[tuple[int, Op]]:
    """The operators as gradients see them.

    Args:
      ops: Of a graph, in execution order.

    Returns:
      Each with its place; a float one amid int8 ones in the place of its QUANTIZE, from the int8
      tensors before it to that behind it.
    """
    makers = {id(t): op for op in ops for t in op.outputs}
    readers: dict[int, list[Op]] = {}
    for op in ops:
        for tensor in op.inputs:
            readers.setdefault(id(tensor), []).append(op)
    behind = {id(end): op for op, end in _islands(ops, makers, readers)}
    found = []
    for index, op in enumerate(ops):
        island = behind.get(id(op))
        if island is not None:
            inputs = [_int8_of(t, makers) for t in island.inputs]
            op = dataclasses.replace(island, inputs=inputs, outputs=[op.output])
        found.append((index, op))
    return found


def _islands(
    ops: Sequence[Op], makers: Mapping[int, Op], readers: Mapping[int, list[Op]]
) -> Iterator[tuple[Op, Op]]:
    """Float operators amid int8 ones, each with the QUANTIZE behind it."""
    for op in ops:
        row = builtin_of(op)
        if row is None or row.layer is not None or row.keeps_real_values or len(op.outputs) != 1:
            continue
        computed = [t for t in op.inputs if t is not None and t.data is None]
        constants = [t for t in op.inputs if t is not None and t.data is not None]
        after = readers.get(id(op.output), [])
        if (
            computed
            and all(t.type_name == _FLOAT and _int8_of(t, makers) is not t for t in computed)
            and all(t.type_name != _FLOAT for t in constants)
            and len(after) == 1
            and (after[0].name, after[0].output.type_name) == ("QUANTIZE", _INT8)
        ):
            yield op, after[0]


def _int8_of(tensor: Tensor | None, makers: Mapping[int, Op]) -> Tensor | None:
    """What a DEQUANTIZE made a tensor of, itself where none did."""
    maker = makers.get(id(tensor))
    row = None if maker is None else builtin_of(maker)
    if maker is None or row is None or not row.keeps_real_values:
        return tensor
    return maker.input if maker.input.type_name == _INT8 else tensor
