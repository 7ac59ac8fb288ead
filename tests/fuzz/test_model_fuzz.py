"""A model that contradicts itself is refused, in one line, by whatever command reads it."""

from __future__ import annotations

import random

import pytest

from tests.fuzz.damage import damaged
from tests.fuzz.model_reads import NAME, reads_of
from tests.models import converted_model
from tests.steps import full_scheme
from tflm_train import rewriter
from tflm_train.errors import TflmTrainError
from tflm_train.model import Model

CASES = 25  # of each model


def assert_read_or_refused(data: bytes, rng: random.Random) -> bool:
    """Whether the model was read."""
    try:
        model = Model(data, NAME)
    except TflmTrainError as error:
        assert str(error).startswith(f"{NAME}: ") and "\n" not in str(error)
        return False
    for read in reads_of(model, rng):
        try:
            read()
        except TflmTrainError as error:
            assert str(error) and "\n" not in str(error)
    return True


@pytest.mark.parametrize("name", ["keyword", "mobilenet", "reductions"])
@pytest.mark.parametrize("rewritten", [False, True], ids=["original", "rewritten"])
def test_damaged_models(name: str, rewritten: bool) -> None:
    data = converted_model(name)
    if rewritten:
        model = Model(data)
        data = rewriter.rewrite(model, full_scheme(model)).model_bytes
    outcomes = [0, 0]
    for case in range(CASES):
        seed = f"{name}/{rewritten}/{case}"
        rng = random.Random(seed)
        changed = damaged(data, rng)
        if changed is not None:
            try:
                outcomes[assert_read_or_refused(changed, rng)] += 1
            except Exception as error:
                pytest.fail(f"case {seed}: {type(error).__name__}: {error}")
    assert min(outcomes) > 0
