"""No pass and no rule compares an op with a name: what differs is said in the op's declaration."""

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

import tflm_train
from tflm_train.graph import TRAINING_OP_PREFIX
from tflm_train.ops import ALL
from tflm_train.ops.builtin import BUILTINS
from tflm_train.ops.npu import ETHOS_U

_PACKAGE = Path(tflm_train.__file__).parent
_OP_NAMES = {*BUILTINS, ETHOS_U.name, *(TRAINING_OP_PREFIX + op.OP for op in ALL)}


def names_in(nodes: Iterable[ast.AST]) -> list[str]:
    """The names of ops among the strings of some nodes, with their lines."""
    return [
        f"{node.lineno}: {node.value}"
        for node in nodes
        if isinstance(node, ast.Constant) and node.value in _OP_NAMES
    ]


def comparisons_of_names(source: str) -> Iterator[ast.AST]:
    """All that stands in comparisons and matches of an attribute `name`."""
    for node in ast.walk(ast.parse(source)):
        sides: list[ast.expr] = []
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
        elif isinstance(node, ast.Match):
            sides = [node.subject]
        if any(isinstance(side, ast.Attribute) and side.attr == "name" for side in sides):
            yield from ast.walk(node)


@pytest.mark.parametrize("path", sorted((_PACKAGE / "rewriter").glob("*.py")), ids=lambda p: p.stem)
def test_no_pass_knows_the_name_of_an_op(path: Path) -> None:
    assert names_in(ast.walk(ast.parse(path.read_text()))) == []


@pytest.mark.parametrize(
    "path", sorted((_PACKAGE / "backward_ops").glob("*.py")), ids=lambda p: p.stem
)
def test_no_rule_compares_the_name_of_an_op(path: Path) -> None:
    assert names_in(comparisons_of_names(path.read_text())) == []


@pytest.mark.parametrize(
    "line",
    [
        'if op.name == "PAD": pass',
        'if op.name in ("RESHAPE", "MEAN"): pass',
        'x = 1.0 if "SOFTMAX" != op.name else 2.0',
        'match op.name:\n  case "QUANTIZE": pass',
    ],
)
def test_a_comparison_is_found(line: str) -> None:
    assert names_in(comparisons_of_names(line)) != []
