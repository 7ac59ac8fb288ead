"""Expressions over an op's fields: the sizes, types, conditions and limits in its declaration.

A text such as `out_c * k_h * k_w * (in_c - kept)` becomes a few bytes of postfix code, which the
kernels' Prepare evaluates over the words of `custom_options` (`tflm_kernels/micro/op_table.cc`) and
`evaluate` over the same words here. Arithmetic is that of int32 which saturates at +-(2^31 - 1);
conditions are 1 or 0. Nothing else of Python's grammar is understood:

    names of fields, `axis[2].size`, numbers, + - * // << , == != < <= > >=, and, or, not,
    a if b else c, min(...), max(...), has(input)
"""

from __future__ import annotations

import ast
import enum
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

LARGEST = 2**31 - 1


class Code(enum.IntEnum):
    """The codes above 127; a smaller one pushes the word of that index."""

    BYTE = 128
    """Pushes the next byte, which is signed."""
    WORD = 129
    """Pushes the next four bytes, little endian."""
    HAS = 130
    """Pushes whether the input that the next byte counts is there."""
    NOT = 131
    MULTIPLY = 132
    ADD = 133
    SUBTRACT = 134
    DIVIDE = 135
    """Of numbers from 0 on; by 0 it gives the largest number."""
    SHIFT = 136
    MINIMUM = 137
    MAXIMUM = 138
    EQUAL = 139
    LESS = 140
    SELECT = 141
    """Of condition, then, else."""
    END = 142


_OPERATORS: dict[type[ast.operator], Code] = {
    ast.Mult: Code.MULTIPLY,
    ast.Add: Code.ADD,
    ast.Sub: Code.SUBTRACT,
    ast.FloorDiv: Code.DIVIDE,
    ast.LShift: Code.SHIFT,
}
# Code, whether the operands change places, whether the answer is turned round.
_COMPARISONS: dict[type[ast.cmpop], tuple[Code, bool, bool]] = {
    ast.Eq: (Code.EQUAL, False, False),
    ast.NotEq: (Code.EQUAL, False, True),
    ast.Lt: (Code.LESS, False, False),
    ast.GtE: (Code.LESS, False, True),
    ast.Gt: (Code.LESS, True, False),
    ast.LtE: (Code.LESS, True, True),
}


@dataclass(frozen=True)
class Scope:
    """What the names in an expression mean.

    Attributes:
      words: Index of each field among the words after the header.
      inputs: Index of each input.
      numbers: Named constants.
      terms: Named expressions, which may name others.
    """

    words: Mapping[str, int]
    inputs: Mapping[str, int] = field(default_factory=dict)
    numbers: Mapping[str, int] = field(default_factory=dict)
    terms: Mapping[str, str] = field(default_factory=dict)

    def compile(self, text: str) -> bytes:
        """The postfix code of an expression.

        Raises:
          ValueError: It names something unknown, or is no such expression.
        """
        return self._code(text) + bytes([Code.END])

    def _code(self, text: str) -> bytes:
        try:
            return self._visit(ast.parse(text, mode="eval").body)
        except (SyntaxError, KeyError, NotImplementedError) as error:
            raise ValueError(f"{text!r} is no expression over the fields: {error}") from error

    def _visit(self, node: ast.expr) -> bytes:
        match node:
            case ast.Constant(value=bool()):
                raise NotImplementedError("write 1 or 0")
            case ast.Constant(value=int(value)):
                return _push(value)
            case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int(value))):
                return _push(-value)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return _push(0) + self._visit(operand) + bytes([Code.SUBTRACT])
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return self._visit(operand) + bytes([Code.NOT])
            case ast.BinOp(left=left, op=operator, right=right):
                return self._join(_OPERATORS[type(operator)], [left, right])
            case ast.BoolOp(op=ast.And(), values=values):
                return self._join(Code.MULTIPLY, values)
            case ast.BoolOp(values=values):
                return self._join(Code.MAXIMUM, values)
            case ast.Compare(left=left, ops=[comparison], comparators=[right]):
                code, swapped, negated = _COMPARISONS[type(comparison)]
                operands = [right, left] if swapped else [left, right]
                return self._join(code, operands) + bytes([Code.NOT] * negated)
            case ast.IfExp(test=test, body=body, orelse=orelse):
                parts = b"".join(self._visit(part) for part in (test, body, orelse))
                return parts + bytes([Code.SELECT])
            case ast.Call(func=ast.Name(id="min"), args=args):
                return self._join(Code.MINIMUM, args)
            case ast.Call(func=ast.Name(id="max"), args=args):
                return self._join(Code.MAXIMUM, args)
            case ast.Call(func=ast.Name(id="has"), args=[ast.Name(id=name)]):
                return bytes([Code.HAS, self.inputs[name]])
            case ast.Name() | ast.Attribute() | ast.Subscript():
                return self._name(ast.unparse(node))
        raise NotImplementedError(ast.unparse(node))

    def _join(self, code: Code, operands: Sequence[ast.expr]) -> bytes:
        first, *others = map(self._visit, operands)
        for other in others:
            joined = first + other + bytes([code])
            first = _push(_value(joined)) if _is_push(first) and _is_push(other) else joined
        return first

    def _name(self, name: str) -> bytes:
        if name in self.words:
            assert name not in self.terms, name
            return bytes([self.words[name]])
        if name in self.terms:
            return self._code(self.terms[name])
        return _push(self.numbers[name])


def _push(value: int) -> bytes:
    if -128 <= value <= 127:
        return bytes([Code.BYTE]) + value.to_bytes(1, "little", signed=True)
    return bytes([Code.WORD]) + value.to_bytes(4, "little", signed=True)


def _is_push(code: bytes) -> bool:
    return (code[0], len(code)) in ((Code.BYTE, 2), (Code.WORD, 5))


def _value(code: bytes) -> int:
    return evaluate(code + bytes([Code.END]), ())


def _saturate(value: int) -> int:
    return max(-LARGEST, min(LARGEST, value))


_BINARY: dict[int, Callable[[int, int], int]] = {
    Code.MULTIPLY: lambda a, b: a * b,
    Code.ADD: lambda a, b: a + b,
    Code.SUBTRACT: lambda a, b: a - b,
    Code.DIVIDE: lambda a, b: a // b if b else LARGEST,
    Code.SHIFT: lambda a, b: a << min(max(b, 0), 31),
    Code.MINIMUM: min,
    Code.MAXIMUM: max,
    Code.EQUAL: lambda a, b: int(a == b),
    Code.LESS: lambda a, b: int(a < b),
}


def depth(code: bytes) -> int:
    """How many numbers evaluating an expression keeps at once, at most."""
    deepest = now = at = 0
    while (op := code[at]) != Code.END:
        at += {Code.BYTE: 2, Code.HAS: 2, Code.WORD: 5}.get(Code(op), 1) if op >= Code.BYTE else 1
        if op <= Code.HAS:
            now += 1
        elif op != Code.NOT:
            now -= 2 if op == Code.SELECT else 1
        deepest = max(deepest, now)
    return deepest


def evaluate(code: bytes, words: Sequence[int], present: Sequence[bool] = ()) -> int:
    """The value of an expression.

    Args:
      code: From `Scope.compile`.
      words: int32, the fields of the struct after its header.
      present: Which inputs are there.
    """
    stack: list[int] = []
    at = 0
    while code[at] != Code.END:
        op, at = code[at], at + 1
        if op < Code.BYTE:
            stack.append(words[op])
        elif op == Code.BYTE:
            stack.append(int.from_bytes(code[at : at + 1], "little", signed=True))
            at += 1
        elif op == Code.WORD:
            stack.append(int.from_bytes(code[at : at + 4], "little", signed=True))
            at += 4
        elif op == Code.HAS:
            stack.append(int(code[at] < len(present) and present[code[at]]))
            at += 1
        elif op == Code.NOT:
            stack.append(int(stack.pop() == 0))
        elif op == Code.SELECT:
            condition, then, otherwise = stack[-3:]
            stack[-3:] = [then if condition else otherwise]
        else:
            right = stack.pop()
            stack.append(_saturate(_BINARY[op](stack.pop(), right)))
    (value,) = stack
    return value
