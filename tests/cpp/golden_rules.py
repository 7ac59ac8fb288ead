"""Golden cases of the update ops under rules other than plain SGD, by the twins of the ops."""

import dataclasses
from collections.abc import Iterator

import numpy as np
from golden_cases import LAYER, weight_shape
from golden_inputs import (
    SLOT_IN,
    Array,
    Suite,
    bits,
    describe,
    partial_geometry,
    random_geometry,
    random_gradient,
    random_int8,
    random_kept,
    slots,
    weight_scales,
)

from tflm_train import ops
from tflm_train.backward_ops.kernel import Step
from tflm_train.backward_ops.trained_layer import LayerSize
from tflm_train.graph import Op, Tensor
from tflm_train.ops.contract import STATE_WORDS, StateWord
from tflm_train.ops.geometry import Geometry
from tflm_train.ops.tensors import slots_of
from tflm_train.qas import update
from tflm_train.qas.kernels import KERNELS
from tflm_train.qas.update_rule import AccumulatedSgd, Sgd, UpdateRule

INPUT_SCALE = 0.03
CHANGED = ("weights", "bias", "residual", "gathered", "bias_gathered")
CONV, DEPTHWISE, BIAS = range(3)
SEED = 77


@dataclasses.dataclass
class Case:
    """One op with the tensors that it reads and changes.

    Attributes:
      kind: Which of the three ops.
      params: Its parameters.
      rate: The learning rate.
      number: Of the step.
      scale: Of the gradient.
      values: Of the op's inputs, by name; those left out are None.
    """

    kind: int
    params: ops.Params
    rate: float
    number: int
    scale: np.float32
    values: dict[str, Array | None]

    def add_to(self, suite: Suite, name: str, small: bool) -> None:
        before = dict(self.values)
        after = self._after()
        rows: list[Array | int | None] = []
        for role in CHANGED:
            value = before.get(role)
            rows += [0 if value is None else value.nbytes, value, after.get(role)]
        factors = before["factors"]
        assert factors is not None
        suite.case(
            name,
            self.kind,
            self.params.pack(),
            self._state(),
            slots(in_=self.scale),
            before.get("x"),
            before["gradient"],
            factors.size,
            bits(factors),
            before.get("channels"),
            *rows,
            small=small,
        )

    def _after(self) -> dict[str, Array]:
        """The changed tensors, by the twin."""
        given = {role: value for role, value in self.values.items() if value is not None}
        tensors = {role: Tensor.make(role, v.dtype, v.shape) for role, v in given.items()}
        own = {"scales": _nothing("scales"), "state": _nothing("state")}
        absent = {slot.name: None for slot in slots_of(type(self.params).INPUTS)}
        inputs = type(self.params).INPUTS(**{**absent, **own, **tensors})
        scales = np.zeros(SLOT_IN + 1, np.float32)
        scales[SLOT_IN] = self.scale
        values = {id(tensors[role]): value for role, value in given.items()}
        step = Step(
            values, scales, np.zeros(0), _value_of, None, np.float32(self.rate), SEED, self.number
        )
        op = Op(self.params.custom_name, inputs.in_order(), [], self.params.pack(), is_custom=True)
        KERNELS[type(self.params)].twin(op, self.params, step)
        return {
            role: step.variables[id(tensors[role])].reshape(-1) for role in CHANGED if role in given
        }

    def _state(self) -> Array:
        state = np.zeros(STATE_WORDS, np.uint32)
        state[StateWord.STEP] = self.number
        state[StateWord.SEED] = SEED
        state[StateWord.LEARNING_RATE] = bits(self.rate)
        return state


def _nothing(name: str) -> Tensor:
    return Tensor.make(name, np.int32, (1,))


def _value_of(tensor: Tensor) -> Array:
    raise AssertionError(f"{tensor.name} is not given")


def _rules(number: int) -> tuple[UpdateRule, int]:
    """A rule, and the step in which it runs."""
    decay, norm = (0.0, 0.02, 0.5)[number % 3], (0.0, 1e-2, 10.0, 1e4)[number % 4]
    if number % 2:
        return AccumulatedSgd(decay, norm, steps=3), (3, 4)[number // 2 % 2]
    return Sgd(decay, norm), number + 1


def _layer_case(
    rng: np.random.Generator, g: Geometry, depthwise: bool, number: int, partial: bool
) -> Case:
    rule, step = _rules(number)
    residual_bits = 8 if number % 2 else (8, 4, 0)[number // 2 % 3]
    row_channels = g.out_c if depthwise else g.in_c
    channels = None
    if partial:
        kept = random_kept(rng, g, depthwise)
        channels = kept.astype(np.int16)
        g = dataclasses.replace(g, in_c=kept.size * g.in_c // (g.out_c if depthwise else g.in_c))
        g = dataclasses.replace(g, out_c=kept.size) if depthwise else g
    with_bias = not (partial and depthwise)
    gradient = random_gradient(rng, g.out_h, g.out_w, g.out_c)
    shape = weight_shape(g, depthwise)
    weights = random_int8(rng, *shape)
    layer_factors = update.factors(INPUT_SCALE, weight_scales(rng, g.out_c))
    if g.out_c > 2:
        layer_factors.kw[1] = 0  # a dead channel
    values: dict[str, Array | None] = {
        "x": random_int8(rng, g.in_h, g.in_w, g.in_c, low=-128),
        "gradient": gradient.q,
        "factors": np.stack([layer_factors.kw, layer_factors.kb][: 1 + with_bias]),
        "weights": weights,
        "channels": channels,
    }
    if with_bias:
        values["bias"] = rng.integers(-5000, 5000, g.out_c).astype(np.int32)
    for kept_tensor in rule.kept_for_weights(residual_bits):
        size = (weights.size + 1) // 2 if kept_tensor.packed else weights.size
        kept_value = random_int8(rng, size).view(kept_tensor.dtype)
        if kept_tensor.packed and weights.size % 2:
            kept_value[-1] &= 15  # nobody's half byte
        values[kept_tensor.role] = kept_value
    for kept_tensor in rule.kept_for_bias() if with_bias else ():
        values[kept_tensor.role] = rng.integers(-900, 900, g.out_c).astype(np.int32)
    fields = ops.UpdateFields(
        SLOT_IN, LAYER, int(rng.integers(-128, 128)), residual_bits,
        update.gain_shift(g.positions), 0, g.k_h, 0, g.k_w, row_channels,
    )  # fmt: skip
    size = LayerSize(g.k_h * g.k_w, g.positions, g.positions * with_bias, INPUT_SCALE)
    if depthwise:
        multiplier = g.out_c // g.in_c
        params: ops.Params = ops.DepthwiseUpdate(g, fields, multiplier, rule.fields(size))
    else:
        params = ops.ConvUpdate(g, fields, 0, rule.fields(size))
    kind = DEPTHWISE if depthwise else CONV
    return Case(kind, params, 0.05, step, gradient.scale, values)


def _bias_case(rng: np.random.Generator, number: int) -> Case:
    rule, step = _rules(number)
    positions, channels = int(rng.integers(1, 30)), int(rng.integers(1, 20))
    gradient = random_gradient(rng, positions, channels)
    values: dict[str, Array | None] = {
        "gradient": gradient.q,
        "factors": update.factors(INPUT_SCALE, weight_scales(rng, channels)).kb,
        "bias": rng.integers(-(2**30), 2**30, channels).astype(np.int32),
    }
    if rule.kept_for_bias():
        values["bias_gathered"] = rng.integers(-(2**29), 2**29, channels).astype(np.int32)
    fields = rule.fields(LayerSize(0, 0, positions, INPUT_SCALE))
    params = ops.BiasUpdate(positions, channels, SLOT_IN, rule=fields)
    return Case(BIAS, params, 0.05, step, gradient.scale, values)


def suites() -> Iterator[Suite]:
    suite = Suite("ruled_update", "RuledUpdateCase")
    rng = np.random.default_rng(21)
    dense = Geometry.dense(1, 13, 5)
    for depthwise in (False, True):
        for number in range(24):
            partial = number % 5 == 4
            make = partial_geometry if partial else random_geometry
            g = dense if number < 4 and not depthwise else make(rng, depthwise)
            case = _layer_case(rng, g, depthwise, number, partial)
            name = f"{'depthwise' if depthwise else 'conv'}_{describe(g)}_number{number}"
            case.add_to(suite, name, small=number == 1 and not depthwise)
    for number in range(12):
        _bias_case(rng, number).add_to(suite, f"bias_number{number}", small=number < 2)
    yield suite
