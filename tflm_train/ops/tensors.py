"""The named inputs and outputs of an op.

A list of tensors is declared as a frozen dataclass derived from `Tensors`, in the order of the
file. Each field is `Annotated[Tensor, Spec(...)]`; `Tensor | None` where it may be left out, and
`tuple[Tensor, ...]` for a run of several.
"""

from __future__ import annotations

import dataclasses
import enum
import typing
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Self

from tflm_train.graph import Tensor
from tflm_train.ops.fields import cached

FREE = 2
"""As the value of `Spec.present`: the tensor may be there or not."""
TYPES = {"FLOAT32": 1, "INT32": 2, "UINT8": 3, "INT16": 7, "INT8": 9}
"""TfLiteType by the schema's name of the type."""


class Role(enum.Enum):
    """What a tensor is to its op."""

    ACTIVATION = enum.auto()
    """A value of the forward pass."""
    GRADIENT = enum.auto()
    ADDEND = enum.auto()
    """A second gradient, added to the one that is written."""
    MASK = enum.auto()
    """Where a gradient passes a fused activation."""
    WEIGHTS = enum.auto()
    """Of a layer; a constant or a variable."""
    VARIABLE = enum.auto()
    """Changed in place; never a constant."""
    CONSTANT = enum.auto()
    """In flash; the kernels read it in Prepare."""
    FACTORS = enum.auto()
    """Numbers that follow from scales; in flash, but the kernels read them in Eval only."""
    TARGET = enum.auto()
    RATE = enum.auto()
    """`train/learning_rate`."""
    TOKEN = enum.auto()
    """Says that an op has run."""
    AFTER = enum.auto()
    """What has to be written before; not read."""
    STATE = enum.auto()
    """`train/control`: the live state, and behind it the marks of a step."""
    SCALES = enum.auto()
    """`train/scales`, one element per slot."""
    RANGES = enum.auto()
    """`train/ranges`, one element per slot."""
    RESULT = enum.auto()
    """What an op makes that is no gradient."""


@dataclass(frozen=True)
class Spec:
    """What a tensor has to be.

    Attributes:
      role: What it is to the op.
      type: Expression for its type, over `INT8` and so on.
      size: Expression for its number of elements; empty where the op's kernel sees to it.
      present: Expression: 1 it is there, 0 it is left out, `FREE` either. Of a run: how many there
        are, empty for any number.
      at_least: Whether it may have more elements.
      low: Of a constant: expression for the smallest value of its integers.
      high: Expression for their largest; empty where they may have any.
      ascending: Of a list of indices: expression for how many come before the second of two runs,
        each of which ascends, that have no index in common; of a list in one run all of them.
        Empty: they may be in any order.
      mark: Field with the bit in `train/control` that says whether a step has written it; of a run
        the first one's, those of the others follow.
      label: What messages call it; the field's name where empty.
    """

    role: Role
    type: str = "INT8"
    size: str = ""
    present: str = "1"
    at_least: bool = False
    low: str = "0"
    high: str = ""
    ascending: str = ""
    mark: str = ""
    label: str = ""


def must_be_constant(spec: Spec) -> bool:
    """Whether the kernels read a tensor in Prepare."""
    return spec.role is Role.CONSTANT


def must_be_variable(spec: Spec) -> bool:
    """Whether an op changes a tensor in place."""
    return spec.role in (Role.VARIABLE, Role.STATE)


@dataclass(frozen=True)
class Slot:
    """A place in a list of tensors.

    Attributes:
      name: The field's name.
      spec: What has to be there.
      is_optional: Whether it may be left out.
      is_run: Whether any number of tensors stands here.
    """

    name: str
    spec: Spec
    is_optional: bool
    is_run: bool

    @property
    def label(self) -> str:
        """What messages call it."""
        return self.spec.label or self.name.replace("_", " ")


def place_of(cls: type[Tensors], name: str) -> int:
    """The index of a tensor, or of a run's first one, in an op's list."""
    return [slot.name for slot in slots_of(cls)].index(name)


@dataclass(frozen=True, kw_only=True)
class Tensors:
    """Base of the lists of tensors."""

    LAST: ClassVar[tuple[str, ...]] = ()
    """Fields that come after all others in the file, wherever they are declared."""

    def in_order(self) -> list[Tensor | None]:
        """The tensors as an op has them, None where one is left out."""
        found: list[Tensor | None] = []
        for slot in slots_of(type(self)):
            value = getattr(self, slot.name)
            if slot.is_run:
                found += value
            else:
                assert value is not None or slot.is_optional, slot.name
                found.append(value)
        return found

    @classmethod
    def of(cls, tensors: Sequence[Tensor | None]) -> Self:
        """Names the tensors of an op.

        Raises:
          ValueError: They are too many or too few, or one that has to be there is not.
        """
        slots = slots_of(cls)
        single = sum(not slot.is_run for slot in slots)
        rest = len(tensors) - single
        if rest < 0 or (rest and single == len(slots)):
            raise ValueError(f"{len(tensors)} tensors, expected {single}")
        kwargs: dict[str, Any] = {}
        at = 0
        for slot in slots:
            count = rest if slot.is_run else 1
            part = tuple(tensors[at : at + count])
            at += count
            if not slot.is_optional and None in part:
                raise ValueError(f"{slot.label} is missing")
            kwargs[slot.name] = part if slot.is_run else part[0]
        return cls(**kwargs)

    def having(self, *roles: Role) -> list[Tensor]:
        """Those with one of some roles."""
        return [tensor for slot, tensor in self.beside_slots() if slot.spec.role in roles]

    def lacking(self, role: Role) -> list[Tensor]:
        """Those with any other role."""
        return [tensor for slot, tensor in self.beside_slots() if slot.spec.role is not role]

    def beside_slots(self) -> list[tuple[Slot, Tensor]]:
        """The tensors that are there, each with its place."""
        found = []
        for slot in slots_of(type(self)):
            value = getattr(self, slot.name)
            tensors = value if slot.is_run else (value,)
            found += [(slot, tensor) for tensor in tensors if tensor is not None]
        return found


@cached
def slots_of(cls: type[Tensors]) -> tuple[Slot, ...]:
    """The places of a list of tensors, in order."""
    hints = typing.get_type_hints(cls, include_extras=True)
    names = [field.name for field in dataclasses.fields(cls)]
    last = [name for name in cls.LAST if name in names]
    in_order = [*(name for name in names if name not in last), *last]
    return tuple(_slot(name, hints[name]) for name in in_order)


def _slot(name: str, hint: Any) -> Slot:
    assert typing.get_origin(hint) is Annotated, name
    declared, spec = typing.get_args(hint)
    is_run = typing.get_origin(declared) is tuple
    if is_run:
        declared = typing.get_args(declared)[0]
    return Slot(name, spec, type(None) in typing.get_args(declared), is_run)
