"""`tflm_kernels/spec/op_tables.h`: names of the tensors and the tables of Prepare's checks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tflm_train.graph import TRAINING_OP_PREFIX
from tflm_train.ops import ALL, Params
from tflm_train.ops.checks import limits_of, scope_of_part
from tflm_train.ops.declaration import HEADER, scope_of
from tflm_train.ops.expression import Code, Scope, depth
from tflm_train.ops.fields import WORD, Rule, Struct, members_of, names_of, words_of
from tflm_train.ops.structs import PARTS
from tflm_train.ops.tensors import (
    TYPES,
    Role,
    Slot,
    must_be_constant,
    must_be_variable,
    slots_of,
)

from .cpp import filled

COMMON_PARTS = PARTS[:3]
"""Those that an op's table itself points at."""
NONE = 255
DEEPEST = 8

_HEAD = """\
// The training ops as tables: what Prepare checks, and what their tensors are called.
//
// Written by `python -m tools.generate` from the declarations in
// tflm_train/ops; micro/op_checks.cc reads them.

#ifndef TFLM_KERNELS_SPEC_OP_TABLES_H_
#define TFLM_KERNELS_SPEC_OP_TABLES_H_

#include <cstdint>

#include "tflm_kernels/spec/op_params.h"
#include "tflm_kernels/spec/op_table.h"

// clang-format off

namespace tflm_train {
"""
_FOOT = """\
}  // namespace tflm_train

// clang-format on

#endif  // TFLM_KERNELS_SPEC_OP_TABLES_H_
"""


@dataclass
class _Program:
    """The expressions of one table, one after another."""

    scope: Scope
    code: bytearray = field(default_factory=bytearray)

    def add(self, *texts: str) -> int:
        """Where some expressions begin that follow each other; `NONE` for an empty one."""
        if texts == ("",):
            return NONE
        part = b"".join(self.scope.compile(text) for text in texts)
        at = self.code.find(part)
        if at < 0:
            at = len(self.code)
            self.code += part
        assert at < NONE, f"{len(self.code)} bytes of expressions are too many"
        assert max(map(depth, map(self.scope.compile, texts))) <= DEEPEST, texts
        return at

    def lines(self, name: str) -> list[str]:
        return _array(f"constexpr uint8_t {name}[]", list(map(str, self.code)))


def tables_header() -> str:
    """The text of the header."""
    codes = filled([f"k{_camel(code.name)} = {code.value}," for code in Code], "  ", "  ")
    parts = [_HEAD, "\n".join(["enum ExpressionCode : uint8_t {", *codes, "};", ""])]
    parts.append(f"constexpr int kDeepestExpression = {DEEPEST};\n")
    parts += [_part_table(cls) for cls in PARTS]
    parts += [_op_table(cls) for cls in ALL]
    return "\n".join([*parts, _FOOT])


def _camel(name: str) -> str:
    return "".join(word.capitalize() for word in name.split("_"))


def _part_table(cls: type[Struct]) -> str:
    program = _Program(scope_of_part(cls))
    rows = _rules(program, limits_of(cls))
    return "\n".join(
        [
            *program.lines(f"k{cls.CPP}Code"),
            *_rows("FieldRow", f"k{cls.CPP}Fields", rows),
            f"constexpr FieldTable k{cls.CPP}Table = "
            f"{{k{cls.CPP}Code, k{cls.CPP}Fields, {len(rows)}}};",
            "",
        ]
    )


def _op_table(cls: type[Params]) -> str:
    """Names, rows and the table of an op."""
    name = cls.__name__
    program = _Program(scope_of(cls))
    fields = _rules(program, limits_of(cls))
    inputs, outputs = slots_of(cls.INPUTS), slots_of(cls.OUTPUTS)
    tensors = [_tensor_row(program, cls, slot) for slot in (*inputs, *outputs)]
    has_state = any(slot.spec.role is Role.STATE for slot in inputs)
    assert not has_state or inputs[-1].spec.role is Role.STATE, cls.OP
    lines = [
        f"// {cls.OP}",
        *program.lines(f"k{name}Code"),
        *_rows("FieldRow", f"k{name}Fields", fields),
        *_rows("TensorRow", f"k{name}Rows", tensors),
    ]
    pointer = f"k{name}Fields" if fields else "nullptr"
    parts = ", ".join(str(_part_at(cls, part)) for part in COMMON_PARTS)
    size = HEADER.size + WORD * len(words_of(cls))
    lines += [
        *filled(
            [
                f"constexpr OpTable k{name}Table = {{",
                f'"{TRAINING_OP_PREFIX}{cls.OP}",',
                f"{{k{name}Code, {pointer}, {len(fields)}}},",
                f"k{name}Rows, OpKind::k{name}, {size}, {len(inputs)}, {len(outputs)},",
                f"{str(has_state).lower()}, {{{parts}}}}};",
            ]
        ),
        f"struct {name}Tensors {{",
        f"  using Params = {cls.CPP};",
        f"  static const OpTable& Table() {{ return k{name}Table; }}",
        *_enum("In", inputs),
        *_enum("Out", outputs),
        "};",
        "",
    ]
    return "\n".join(lines)


def _part_at(cls: type[Params], part: type[Struct]) -> int:
    """The first word of a common part in an op's struct; `NONE` where it has none."""
    at = 0
    for member in members_of(cls):
        if member.type is part:
            return at
        at += member.count * (len(words_of(member.type)) if issubclass(member.type, Struct) else 1)
    return NONE


def _rules(program: _Program, rules: Sequence[Rule]) -> list[str]:
    return [
        f'{{"{r.name}", {program.add(r.value)}, {program.add(r.low)}, {program.add(r.high)}}}'
        for r in rules
    ]


def _tensor_row(program: _Program, cls: type[Params], slot: Slot) -> str:
    spec = slot.spec
    present = NONE if spec.present == "1" else program.add(spec.present)
    fixed = TYPES.get(cls.TERMS.get(spec.type, spec.type))
    if spec.size == "":
        size = NONE
    elif fixed is None:
        size = program.add(spec.size, spec.type)
    else:
        size = program.add(spec.size)
    traits = [str(fixed or 0)]
    traits += ["kMustBeConstant"] * (must_be_constant(spec))
    traits += ["kMustBeVariable"] * (must_be_variable(spec))
    traits += ["kAtLeast"] * spec.at_least + ["kRun"] * slot.is_run
    if spec.high:
        extra = program.add(spec.low, spec.high, spec.ascending or "-1")
    else:
        extra = _mark(cls, spec.mark)
    return f'{{"{slot.label}", {present}, {size}, {extra}, {" | ".join(traits)}}}'


def _place(slots: Sequence[Slot], index: int) -> int:
    """How C++ counts a tensor: behind a run from the end."""
    run = next((i for i, slot in enumerate(slots) if slot.is_run), len(slots))
    return index if index <= run else index - len(slots)


def _enum(what: str, slots: Sequence[Slot]) -> list[str]:
    names = [f"k{_camel(slot.name)} = {_place(slots, i)}," for i, slot in enumerate(slots)]
    text = [f"struct {what} {{ enum : int8_t {{", *names[:-1], f"{names[-1][:-1]} }}; }};"]
    return filled(text, "  ", "      ")


def _mark(cls: type[Params], name: str) -> int:
    """The word with a tensor's mark."""
    return names_of(cls)[name] if name else NONE


def _array(what: str, items: list[str]) -> list[str]:
    """The definition of an array, as dense as it goes: nobody reads its numbers."""
    return [f"{what} = {{", *filled([f"{item}," for item in items], "    ", "    "), "};"]


def _rows(kind: str, name: str, rows: list[str]) -> list[str]:
    if not rows:
        return []
    return _array(f"constexpr {kind} {name}[]", rows)
