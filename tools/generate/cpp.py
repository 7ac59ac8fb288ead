"""Names and pieces of C++."""

from __future__ import annotations

import ast
import enum
import inspect
import textwrap
from collections.abc import Iterable

WIDTH = 100


def constant(name: str) -> str:
    """`MAX_GAIN_SHIFT` as `kMaxGainShift`."""
    return "k" + "".join(word.capitalize() for word in name.split("_"))


def filled(items: Iterable[str], first: str = "", others: str = "    ") -> list[str]:
    """Lines of as many items each as there is room for, indented by `first` and `others`."""
    lines: list[str] = []
    for item in items:
        if lines and len(lines[-1]) + 1 + len(item) <= WIDTH:
            lines[-1] += f" {item}"
        else:
            lines.append((others if lines else first) + item)
    return lines


def comment(text: str, indent: str = "") -> list[str]:
    """Lines of a comment; empty lines of the text stay."""
    lines = []
    for paragraph in inspect.cleandoc(text).split("\n\n"):
        words = " ".join(paragraph.split()).replace("`", "")
        lines += textwrap.wrap(
            words, 80, initial_indent=f"{indent}// ", subsequent_indent=f"{indent}// "
        )
    return lines


def with_notes(lines: list[tuple[str, str]]) -> list[str]:
    """Code lines with their comments behind them, those of neighbours in one column."""
    done = []
    for i, (code, note) in enumerate(lines):
        if not note:
            done.append(code)
            continue
        first, last = i, i
        while first > 0 and lines[first - 1][1]:
            first -= 1
        while last + 1 < len(lines) and lines[last + 1][1]:
            last += 1
        column = max(len(c) for c, _ in lines[first : last + 1])
        done.append(f"{code:{column}}  // {note}")
        assert len(done[-1]) <= WIDTH, done[-1]
    return done


def member_notes(cls: type[enum.Enum]) -> dict[str, str]:
    """The strings behind the members of an enum."""
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
    assert isinstance(tree, ast.ClassDef)
    notes = {}
    for statement, following in zip(tree.body, [*tree.body[1:], None], strict=True):
        if (
            isinstance(statement, ast.Assign)
            and isinstance(statement.targets[0], ast.Name)
            and isinstance(following, ast.Expr)
            and isinstance(following.value, ast.Constant)
        ):
            text = " ".join(str(following.value.value).split()).rstrip(".")
            notes[statement.targets[0].id] = text[0].lower() + text[1:]
    return notes
