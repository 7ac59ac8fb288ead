"""The checks notice what a compiler might do to a rewritten model."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.ethos_u.checks import check, written_in_place
from tflm_train.graph import Graph, Op
from tflm_train.model import Model
from tflm_train.model.offline_plan import METADATA_NAME
from tflm_train.ops import OP_PREFIX, ConvUpdate, Loss, Restore
from tflm_train.rewriter import rewrite
from tflm_train.scheme import Scheme

UPDATE = OP_PREFIX + ConvUpdate.OP
LOSS = OP_PREFIX + Loss.OP
RESTORE = OP_PREFIX + Restore.OP


@pytest.fixture
def rewritten(digits: Model) -> Model:
    return Model(rewrite(digits, Scheme(biases_last=2)).model_bytes)


def find(graph: Graph, name: str) -> Op:
    return next(op for op in graph.ops if op.name == name)


def move(name: str, before: str) -> Callable[[Graph], None]:
    def change(graph: Graph) -> None:
        op = find(graph, name)
        graph.ops.remove(op)
        graph.ops.insert(graph.ops.index(find(graph, before)), op)

    return change


def _drop_an_output(graph: Graph) -> None:
    graph.outputs.pop()


def _drop_an_op(graph: Graph) -> None:
    graph.ops.remove(find(graph, UPDATE))


def _change_options(graph: Graph) -> None:
    op = find(graph, LOSS)
    assert op.custom_options is not None
    op.custom_options = op.custom_options[:-1] + b"\x01"


def _move_inputs_up(graph: Graph) -> None:
    del find(graph, UPDATE).inputs[5]


def _forget_a_variable(graph: Graph) -> None:
    written_in_place(find(graph, UPDATE))[0].is_variable = False


def _forget_the_learning_rate(graph: Graph) -> None:
    graph.inputs[-1].is_variable = False


def _read_fewer_variables(graph: Graph) -> None:
    weights = written_in_place(find(graph, UPDATE))[0]
    graph.ops[-1].inputs = [t for t in graph.ops[-1].inputs if t is not weights]


def test_nothing_is_wrong_with_the_model_itself(rewritten: Model) -> None:
    report = check(rewritten, Model(rewritten.source))
    assert report.problems == []
    assert (report.npu, report.cpu) == (0, len(rewritten.graph.ops))


def test_a_plan_of_other_tensors_is_noticed(rewritten: Model) -> None:
    changed = Model(rewritten.source)
    changed.set_metadata(METADATA_NAME, bytes(16))
    assert "its plan of the arena is not of its tensors" in check(rewritten, changed).problems


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (move(UPDATE, before=LOSS), "comes before the loss"),
        (move(UPDATE, before="FULLY_CONNECTED"), "comes before its layer"),
        (move(UPDATE, before="TFLM_TRAIN_CONV_INPUT_GRAD"), "before its layer's input gradient"),
        (move(RESTORE, before="SOFTMAX"), "not the one that fills the variables"),
        (_drop_an_output, "the outputs are"),
        (_drop_an_op, "is gone"),
        (_change_options, "its custom_options have changed"),
        (_move_inputs_up, "its inputs are"),
        (_forget_a_variable, "True, (["),
        (_forget_the_learning_rate, "input 'train/learning_rate' was"),
        (_read_fewer_variables, "does not read"),
    ],
)
def test_a_change_is_noticed(rewritten: Model, change: Callable[[Graph], None], words: str) -> None:
    changed = Model(rewritten.source)
    change(changed.graph)
    assert any(words in problem for problem in check(rewritten, changed).problems)
