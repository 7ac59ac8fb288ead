"""What Prepare checks of a training op, in Python: the same tables, read from the declarations."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from tflm_train.graph import Op, Tensor
from tflm_train.ops.constants import NUMBERS
from tflm_train.ops.declaration import TrainingOp, scope_of
from tflm_train.ops.expression import LARGEST, Scope, evaluate
from tflm_train.ops.fields import Rule, Struct, Word, cached, members_of, names_of, words_of
from tflm_train.ops.structs import PARTS
from tflm_train.ops.tensors import FREE, TYPES, Slot, Tensors, must_be_constant, must_be_variable
from tflm_train.ops.tensors import slots_of as slots_of

NOT_ASCENDING = "does not ascend, or lists a channel twice"
_TYPE_NAMES = {code: name for name, code in TYPES.items()}


def why_not(op: Op, params: TrainingOp[Any, Any]) -> str | None:
    """Why the kernels would refuse an op in Prepare; None where its declaration finds nothing.

    Args:
      op: One of our custom ops.
      params: Its parameters.
    """
    return next(_reasons(op, params), None)


def own_words(cls: type[Struct]) -> list[Word]:
    """The words of a struct that are in no part with limits of its own."""
    parts = tuple(m.name + "[."[not m.is_array] for m in members_of(cls) if m.type in PARTS)
    return [word for word in words_of(cls) if not word.path.startswith(parts)]


def limits_of(cls: type[Struct]) -> list[Rule]:
    """The limits of those words and the struct's further rules, in the order they are checked."""
    bound = [w for w in own_words(cls) if w.number.low or w.number.high]
    limits = [Rule(_name_of(w), w.path, w.number.low, w.number.high) for w in bound]
    return [*limits, *cls.RULES]


def _name_of(word: Word) -> str:
    """What messages call a word; limits of a float are those of its bits."""
    name = word.path.rpartition(".")[2]
    return f"{name} (bits)" if word.code == "f" else name


@cached
def scope_of_part(cls: type[Struct]) -> Scope:
    """What the names in the expressions of a part mean."""
    return Scope(names_of(cls), numbers=NUMBERS, terms=cls.TERMS)


@cached
def _code(cls: type[Struct], text: str) -> bytes:
    scope = scope_of(cls) if issubclass(cls, TrainingOp) else scope_of_part(cls)
    return scope.compile(text)


def _reasons(op: Op, params: TrainingOp[Any, Any]) -> Iterator[str]:
    cls = type(params)
    for lists, tensors in ((cls.INPUTS, op.inputs), (cls.OUTPUTS, op.outputs)):
        if not _fits(lists, tensors):
            yield f"{len(op.inputs)} inputs and {len(op.outputs)} outputs do not fit"
    present = [tensor is not None for tensor in op.inputs]
    yield from _field_reasons(params, present)
    yield from _tensor_reasons(op.inputs, "input", cls.INPUTS, params, present)
    yield from _tensor_reasons(op.outputs, "output", cls.OUTPUTS, params, present)


def _fits(lists: type[Tensors], tensors: Sequence[Tensor | None]) -> bool:
    slots = slots_of(lists)
    runs = sum(slot.is_run for slot in slots)
    return len(tensors) >= len(slots) - runs and bool(runs or len(tensors) == len(slots))


def _field_reasons(part: Struct, present: Sequence[bool]) -> Iterator[str]:
    cls, words = type(part), part.words()
    for member in members_of(cls):
        if member.type in PARTS:
            value = getattr(part, member.name)
            for element in value if member.is_array else (value,):
                yield from _field_reasons(element, present)
    for rule in limits_of(cls):
        value, low, high = (
            evaluate(_code(cls, text), words, present) if text else otherwise
            for text, otherwise in ((rule.value, 0), (rule.low, -LARGEST - 1), (rule.high, LARGEST))
        )
        if not low <= value <= high:
            limits = f"{low}" if low == high else f"{low} to {high}"
            yield f"{rule.name} is {value}, must be {limits}"


def _tensor_reasons(
    tensors: Sequence[Tensor | None],
    kind: str,
    lists: type[Tensors],
    params: TrainingOp[Any, Any],
    present: Sequence[bool],
) -> Iterator[str]:
    words = params.words()

    def value(text: str) -> int:
        return evaluate(_code(type(params), text), words, present)

    for index, number, tensor, slot in _beside_slots(tensors, lists):
        name = f"{kind} {index} ({slot.label})"
        spec = slot.spec
        needed = 1 if slot.is_run else value(spec.present)
        if slot.is_run and spec.present and number == 0:
            count = len(tensors) - len(slots_of(lists)) + 1
            if count != value(spec.present):
                yield f"{count} times {slot.label}, the parameters need {value(spec.present)}"
        if needed == 0 and tensor is not None:
            yield f"{name} is given, but the parameters have no use for it"
        elif needed not in (0, FREE) and tensor is None:
            yield f"{name} is missing"
        if needed == 0 or tensor is None:
            continue
        if must_be_variable(spec) and tensor.data is not None:
            yield f"{name} is a constant, it must be a variable"
        if spec.size:
            yield from _content_reasons(name, tensor, slot, value)


def _content_reasons(name: str, tensor: Tensor, slot: Slot, value: Any) -> Iterable[str]:
    spec = slot.spec
    type_name = _TYPE_NAMES[value(spec.type)]
    if tensor.type_name != type_name:
        yield f"{name} is {tensor.type_name}, expected {type_name}"
    elements = value(spec.size)
    if tensor.size != elements and not (spec.at_least and tensor.size > elements):
        yield f"{name} has {tensor.size} elements, the parameters need {elements}"
    if must_be_constant(spec):
        if tensor.data is None:
            yield f"{name} must be a constant"
        elif spec.high:
            low, high = value(spec.low), value(spec.high)
            outside = tensor.data[(tensor.data < low) | (tensor.data > high)]
            if outside.size:
                yield f"{name} lists {outside.flat[0]}, must be {low} to {high}"
            elif spec.ascending and not _ascends(tensor.data, value(spec.ascending)):
                yield f"{name} {NOT_ASCENDING}"


def _ascends(listed: np.ndarray, first: int) -> bool:
    """Whether both runs of a list ascend and have nothing in common."""
    indices = listed.reshape(-1)
    runs = (indices[:first], indices[first:])
    return all(np.all(np.diff(r) > 0) for r in runs) and not np.intersect1d(*runs).size


def _beside_slots(
    tensors: Sequence[Tensor | None], lists: type[Tensors]
) -> Iterator[tuple[int, int, Tensor | None, Slot]]:
    """Each tensor with its index, its number in its run, and its slot."""
    slots = slots_of(lists)
    rest = len(tensors) - (len(slots) - 1)
    index = 0
    for slot in slots:
        for number in range(max(rest, 0) if slot.is_run else 1):
            if index < len(tensors):
                yield index, number, tensors[index], slot
            index += 1
