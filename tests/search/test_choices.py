from __future__ import annotations

import dataclasses
import random

import pytest

from tests.search.choices_of_digits import digits_space, every_choice
from tests.steps import DIGITS
from tflm_train.model import load
from tflm_train.rewriter.rewrite import rewrite
from tflm_train.scheme import Scheme
from tflm_train.scheme.head import Head
from tflm_train.scheme.resolve import resolve
from tflm_train.search.choices import Choice, Space


def test_a_choice_and_its_scheme_are_the_same() -> None:
    space = Space.of(load(DIGITS), Head(5))
    rng = random.Random(0)
    for choice in rng.sample(list(every_choice(digits_space(4))), 40):
        scheme = space.scheme(choice, 4)
        assert scheme.head == Head(5) and scheme.residual_bits == 4
        assert space.choice_of(scheme) == choice


def test_a_scheme_that_is_no_choice() -> None:
    space = Space.of(load(DIGITS))
    deep = space.layers[4].index
    assert space.choice_of(Scheme(bias_layers=(deep,))) is None
    text = f"version: 1\nupdate: {{weights: [{{layer: {deep}, channels: 1}}]}}"
    assert space.choice_of(Scheme.parse(text)) is None


def test_biases_are_those_of_the_last_layers() -> None:
    model = load(DIGITS)
    space = Space.of(model)
    for depth in space.depths[1:]:
        plan = resolve(Scheme(biases_last=depth), model)
        ours = resolve(space.scheme(Choice(depth)), model)
        assert ours.biases == plan.biases


def test_weights_need_the_biases_behind_them() -> None:
    space = Space.of(load(DIGITS))
    layer = next(iter(space.ratios))
    depth, ratio = space.depth_of[layer], space.ratios[layer][0]
    assert space.allows(Choice(depth, ((layer, ratio),)))
    assert not space.allows(Choice(depth - 1, ((layer, ratio),)))


@pytest.mark.parametrize(
    ("larger", "smaller", "contains"),
    [
        (Choice(3, ((5, 0.5),)), Choice(2, ((5, 0.25),)), True),
        (Choice(3, ((5, 1.0),)), Choice(2, ((5, 0.25),)), False),
        (Choice(3, ((5, 1.0),)), Choice(3, ((5, 1.0),)), True),
        (Choice(1), Choice(2), False),
        (Choice(3, ((5, 0.5), (6, 1.0))), Choice(3, ((6, 1.0),)), True),
        (Choice(3, ((5, 0.5),)), Choice(3, ((6, 0.5),)), False),
    ],
)
def test_contains(larger: Choice, smaller: Choice, contains: bool) -> None:
    assert larger.contains(smaller) is contains


def test_distance_counts_layers() -> None:
    assert Choice(3, ((5, 0.5),)).distance(Choice(3, ((5, 1.0),))) == 1
    assert Choice(3, ((5, 0.5),)).distance(Choice(1, ((6, 1.0),))) == 4
    assert Choice(2).distance(Choice(2)) == 0


def test_what_trains_and_is_kept_is_what_the_rewriter_says() -> None:
    model = load(DIGITS)
    space = Space.of(model, ratios=(0.5, 1.0))
    for item in space.items:
        depth = space.depth_of[item[0]]
        with_, without = (
            rewrite(model, space.scheme(choice)).report.extra_memory
            for choice in (Choice(depth, (item,)), Choice(depth))
        )
        assert with_.kept.weights_bytes - without.kept.weights_bytes == space.trained_weights(item)
        kept = with_.kept.activations_bytes + with_.kept.masks_bytes
        before = without.kept.activations_bytes + without.kept.masks_bytes
        # The first layer's input is there anyway; buffers are multiples of 16.
        assert kept - before + 16 >= space.kept_input(item) or item[0] == 0


def test_limited_keeps_depth_zero() -> None:
    space = Space.of(load(DIGITS))
    assert space.limited([2], space.items[:1]).depths == (0, 2)
    assert dataclasses.replace(space).items == space.items
