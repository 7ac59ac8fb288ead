"""Tests that are marked `interpreter` reach no TensorFlow, which their environment does not have.

What a test reaches is read from the sources, without importing them: the functions and constants
that it names, the fixtures that it takes, and what these name in turn, in the modules of the tests.
That helpers beside them import TensorFlow does not matter.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
_ABSENT = ("tensorflow", "keras")
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
Name = tuple[str, str]
"""A module and what it defines; nothing: what is done when it is imported."""


@dataclass(frozen=True)
class Source:
    """What a module defines and imports.

    Attributes:
      name: The module's.
      body: Its statements.
      definitions: Functions, classes and constants by name.
      imports: By the name that it has here: a module, and a name in it or nothing.
    """

    name: str
    body: tuple[ast.stmt, ...]
    definitions: dict[str, list[ast.AST]]
    imports: dict[str, Name]


@functools.cache
def source_of(module: str) -> Source | None:
    """Reads a module of the tests; None for any other: the product runs without TensorFlow."""
    path = ROOT.joinpath(*module.split("."))
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    if module.split(".")[0] != "tests" or not path.is_file():
        return None
    body = tuple(ast.parse(path.read_text()).body)
    definitions: dict[str, list[ast.AST]] = {}
    for statement in body:
        for name in _defined(statement):
            definitions.setdefault(name, []).append(statement)
    imports = dict(pair for each in body for pair in _imported(each))
    return Source(module, body, definitions, imports)


def _defined(statement: ast.stmt) -> Iterator[str]:
    if isinstance(statement, (*_FUNCTIONS, ast.ClassDef)):
        yield statement.name
    elif not isinstance(statement, ast.Import | ast.ImportFrom):
        for node in ast.walk(statement):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                yield node.id


def _imported(node: ast.AST) -> Iterator[tuple[str, Name]]:
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield alias.asname or alias.name.split(".")[0], (alias.name, "")
    if isinstance(node, ast.ImportFrom) and node.module is not None:
        for alias in node.names:
            within = f"{node.module}.{alias.name}"
            is_module = source_of(within) is not None
            yield (
                alias.asname or alias.name,
                (within, "") if is_module else (node.module, alias.name),
            )


def _edges(source: Source, nodes: list[ast.AST]) -> Iterator[Name]:
    """What statements of a module name."""
    walked = [node for each in nodes for node in ast.walk(each)]
    local = dict(pair for node in walked for pair in _imported(node))
    yield from ((module, "") for module, _ in local.values())
    known = {**source.imports, **local}
    for node in walked:
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            if node.id in source.definitions:
                yield source.name, node.id
            elif node.id in known:
                yield known[node.id]
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            module, name = known.get(node.value.id, ("", ""))
            if not name:
                yield module, node.attr
        elif isinstance(node, _FUNCTIONS):
            yield from _fixtures(source, [x.arg for x in (*node.args.args, *node.args.kwonlyargs)])


def _fixtures(source: Source, arguments: list[str]) -> Iterator[Name]:
    """The fixtures of a test's module or of the `conftest`s above it."""
    folders = source.name.split(".")[:-1]
    modules = [".".join([*folders[:n], "conftest"]) for n in range(len(folders), 0, -1)]
    for argument in arguments:
        if argument in source.definitions:
            yield source.name, argument
        elif argument in source.imports:
            yield source.imports[argument]
        else:
            found = (source_of(m) for m in modules)
            holder = next((s for s in found if s is not None and argument in s.definitions), None)
            if holder is not None:
                yield holder.name, argument


@functools.cache
def _next(at: Name) -> tuple[Name, ...]:
    """What a definition, or the import of a module, leads to."""
    return tuple(dict.fromkeys(_leads_to(at)))


def _leads_to(at: Name) -> Iterator[Name]:
    module, name = at
    source = source_of(module)
    if source is None:
        return
    if name in source.definitions:
        yield module, ""
        yield from _edges(source, source.definitions[name])
    elif name in source.imports:
        yield source.imports[name]
    elif not name:
        for statement in source.body:
            yield from ((module, "") for _, (module, _) in _imported(statement))
            if not isinstance(statement, (*_FUNCTIONS, ast.ClassDef)):
                called = [n.func for n in ast.walk(statement) if isinstance(n, ast.Call)]
                yield from _edges(source, [n for n in called if isinstance(n, ast.Name)])


def way_to_tensorflow(module: str, test: str) -> list[str] | None:
    """The names by which a test comes to an import of TensorFlow; None where it does not."""
    start: Name = (module, test)
    before: dict[Name, Name | None] = {start: None}
    waiting = [start]
    while waiting:
        at = waiting.pop(0)
        if at[0].split(".")[0] in _ABSENT:
            way: list[str] = []
            step: Name | None = at
            while step is not None:
                way.insert(0, ".".join(filter(None, step)))
                step = before[step]
            return way
        for other in _next(at):
            if other not in before:
                before[other] = at
                waiting.append(other)
    return None


def marked_tests() -> Iterator[Name]:
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        if "mark.interpreter" not in path.read_text() or path == Path(__file__):
            continue
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        source = source_of(module)
        assert source is not None
        whole = any(
            "mark.interpreter" in ast.unparse(s) for s in source.definitions.get("pytestmark", ())
        )
        for name, statements in source.definitions.items():
            for statement in statements:
                if isinstance(statement, _FUNCTIONS) and name.startswith("test"):
                    marks = map(ast.unparse, statement.decorator_list)
                    if whole or any("mark.interpreter" in mark for mark in marks):
                        yield module, name


def test_marked_tests_need_no_tensorflow() -> None:
    marked = list(marked_tests())
    assert len(marked) > 100
    found = [way_to_tensorflow(*test) for test in marked]
    wrong = [" -> ".join(way) for way in found if way is not None]
    assert not wrong, "take @pytest.mark.interpreter away from:\n" + "\n".join(wrong)


@pytest.mark.parametrize(
    ("module", "test", "is_reached"),
    [
        # By a helper that makes a Keras model; by a fixture of a `conftest`; by a cached function.
        ("tests.model.test_grouped", "test_the_same_answers_and_all_of_it_trains", True),
        ("tests.rewriter.test_tied_layers", "test_all_schemes", True),
        ("tests.e2e.test_architectures", "test_inference_is_as_before", True),
        ("tests.backward_ops.test_pool", "", True),
        ("tests.e2e.test_networks", "test_inference_equals_the_original_s", False),
    ],
)
def test_the_way_is_found(module: str, test: str, is_reached: bool) -> None:
    source = source_of(module)
    assert source is not None and (not test or test in source.definitions)
    assert (way_to_tensorflow(module, test) is not None) == is_reached
