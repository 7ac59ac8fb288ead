"""`tflm_kernels/spec/op_params.h`: the structs, enums and limits of the declarations."""

from __future__ import annotations

import enum
import inspect
import itertools
from collections.abc import Iterable

from tflm_train.ops import ALL, VERSION, Params
from tflm_train.ops.constants import ENUMS, LIMITS
from tflm_train.ops.declaration import HEADER
from tflm_train.ops.fields import WORD, Member, Struct, members_of, words_of

from .cpp import comment, constant, filled, member_notes, with_notes

_HEAD = """\
// The parameters of the training custom ops, as they travel in custom_options.
//
// Written by `python -m tools.generate` from the declarations in
// tflm_train/ops; docs/NUMERICS.md is the specification. Every struct starts
// with OpHeader, all other fields are 4 bytes, little endian, unpadded.

#ifndef TFLM_KERNELS_SPEC_OP_PARAMS_H_
#define TFLM_KERNELS_SPEC_OP_PARAMS_H_

#include <cstdint>

// clang-format off

namespace tflm_train {
"""
_OP_HEADER = """\
struct OpHeader {
  uint16_t kind;     // OpKind
  uint16_t version;  // kAbiVersion
  uint32_t size;     // bytes of the whole struct, this header included
};
static_assert(sizeof(OpHeader) == 8, "packed");
"""
_FOOT = """\
}  // namespace tflm_train

// clang-format on

#endif  // TFLM_KERNELS_SPEC_OP_PARAMS_H_
"""


def params_header() -> str:
    """The text of the header."""
    parts = [_HEAD, f"constexpr uint16_t kAbiVersion = {VERSION};\n", _kinds(), _OP_HEADER]
    parts.append("".join(f"constexpr int32_t {constant(n)} = {v};\n" for n, v in LIMITS.items()))
    parts += [_enum(cls, prefix) for cls, prefix in ENUMS.items()]
    written: list[type[Struct]] = []
    for op in ALL:
        _add_struct(op, parts, written)
    return "\n".join([*parts, _FOOT])


def _kinds() -> str:
    lines = [f"  k{op.__name__} = {op.KIND}," for op in ALL]
    last = f"constexpr int kLastOpKind = {max(op.KIND for op in ALL)};"
    return "\n".join(["enum class OpKind : uint16_t {", *lines, "};", last, ""])


def _enum(cls: type[enum.IntEnum], prefix: str) -> str:
    notes = member_notes(cls)
    rows = [
        (
            f"  {constant(f'{prefix}_{m.name}' if prefix else m.name)} = {m.value},",
            notes.get(m.name, ""),
        )
        for m in cls
    ]
    head = comment(inspect.getdoc(cls) or "")
    return "\n".join([*head, f"enum {cls.__name__} : int32_t {{", *with_notes(rows), "};", ""])


def _add_struct(cls: type[Struct], parts: list[str], written: list[type[Struct]]) -> None:
    """Appends a struct behind those that it is made of."""
    if cls in written:
        return
    for member in members_of(cls):
        if issubclass(member.type, Struct):
            _add_struct(member.type, parts, written)
    written.append(cls)
    lines = [*comment(inspect.getdoc(cls) or ""), f"struct {cls.CPP} {{"]
    size = WORD * len(words_of(cls))
    if cls in ALL:
        kind = f"static constexpr OpKind kKind = OpKind::k{cls.__name__};"
        lines.append(f"  {kind} OpHeader header;")
        size += HEADER.size
    lines += with_notes(_declarations(members_of(cls)))
    lines += ["};", f'static_assert(sizeof({cls.CPP}) == {size}, "packed");', ""]
    parts.append("\n".join(lines))


def _declarations(members: Iterable[Member]) -> list[tuple[str, str]]:
    """The fields with their notes; of those without one, neighbours of a type share lines."""
    rows: list[tuple[str, str]] = []
    alike = itertools.groupby(members, lambda m: (_type(m), m.number.note))
    for (type_name, note), group in alike:
        names = [_declarator(member) for member in group]
        if note:
            rows += [(f"  {type_name} {name};", note) for name in names]
        else:
            statement = f"{type_name} {', '.join(names)};"
            rows += [(line, "") for line in filled(statement.split(), "  ", "      ")]
    return rows


def _type(member: Member) -> str:
    if issubclass(member.type, Struct):
        return member.type.CPP
    if member.type is float:
        return "float"
    return "uint32_t" if member.number.unsigned else "int32_t"


def _declarator(member: Member) -> str:
    """A repeated part is written as one; the op's header says how many follow."""
    return f"{member.name}[{member.count or 1}]" if member.is_array else member.name


__all__ = ["Params", "params_header"]
