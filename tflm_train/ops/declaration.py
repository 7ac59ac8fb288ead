"""What the declaration of a training op is, and what all of them share.

An op is declared once, as a frozen dataclass derived from `TrainingOp`: its fields are the
parameters that travel in `custom_options`, its two type arguments name its inputs and outputs. From
it come packing, named access to tensors, the C++ structs and tables of checks (`spec/op_params.h`,
`spec/op_tables.h`) and the tables in docs/NUMERICS.md; `python -m tools.generate` writes those.
"""

from __future__ import annotations

import re
import struct
import typing
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Generic, TypeVar

from tflm_train.graph import TRAINING_OP_PREFIX, Op
from tflm_train.ops.constants import NUMBERS
from tflm_train.ops.expression import Scope
from tflm_train.ops.fields import Rule, Struct, cached, names_of, terms
from tflm_train.ops.tensors import FREE, TYPES, Role, Tensors, slots_of

VERSION = 4
"""Of the layout of parameters and tensors; kernels refuse any other."""
HEADER = struct.Struct("<HHI")
"""kind, version, size of the whole struct."""

Inputs = TypeVar("Inputs", bound=Tensors)
Outputs = TypeVar("Outputs", bound=Tensors)


@dataclass(frozen=True)
class TrainingOp(Struct, Generic[Inputs, Outputs]):
    """Base of the declarations: an instance holds one op's parameters."""

    KIND: ClassVar[int]
    """Its number in the header, the argument `kind` of the class."""
    OP: ClassVar[str]
    """Its name, without the prefix of our ops; it follows from that of the class."""
    INPUTS: ClassVar[type[Tensors]]
    OUTPUTS: ClassVar[type[Tensors]]

    def __init_subclass__(cls, kind: int | None = None) -> None:
        super().__init_subclass__()
        cls.CPP = f"{cls.__name__}Params"
        cls.OP = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", cls.__name__).upper()
        if kind is not None:
            cls.KIND = kind
        for base in getattr(cls, "__orig_bases__", ()):
            if typing.get_origin(base) is TrainingOp:
                cls.INPUTS, cls.OUTPUTS = typing.get_args(base)

    @property
    def custom_name(self) -> str:
        """The name the op is registered under."""
        return TRAINING_OP_PREFIX + self.OP

    def pack(self) -> bytes:
        """The op's custom_options."""
        fields = self.pack_fields()
        return HEADER.pack(self.KIND, VERSION, HEADER.size + len(fields)) + fields

    @classmethod
    def is_kind_of(cls, op: Op) -> bool:
        """Whether an op is of this kind, by its name."""
        return op.name == TRAINING_OP_PREFIX + cls.OP

    @classmethod
    def inputs_of(cls, op: Op) -> Inputs:
        """The inputs of an op of this kind by their names.

        Raises:
          ValueError: They are too many or too few, or one that has to be there is not.
        """
        return typing.cast(Inputs, cls.INPUTS.of(op.inputs))

    @classmethod
    def outputs_of(cls, op: Op) -> Outputs:
        """The outputs of an op of this kind by their names.

        Raises:
          ValueError: They are too many or too few.
        """
        return typing.cast(Outputs, cls.OUTPUTS.of(op.outputs))


def set_input(op: Op, params: TrainingOp[Any, Any], **tensors: Any) -> None:
    """Puts other tensors in the place of some inputs, which are named."""
    op.inputs = replace(params.inputs_of(op), **tensors).in_order()


@cached
def scope_of(cls: type[TrainingOp[Any, Any]]) -> Scope:
    """What the names in an op's expressions mean."""
    slots = slots_of(cls.INPUTS)
    return Scope(
        words=names_of(cls),
        inputs={slot.name: i for i, slot in enumerate(slots) if not slot.is_run},
        numbers={**NUMBERS, **TYPES, "FREE": FREE},
        terms=cls.TERMS,
    )


__all__ = ["HEADER", "VERSION", "Role", "Rule", "TrainingOp", "scope_of", "set_input", "terms"]
