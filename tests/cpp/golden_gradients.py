"""Golden cases of the operators that write a gradient or a mask."""

from collections.abc import Iterator

import numpy as np
from golden_cases import Accumulation, ClampMask, InputGradient, Split, weight_shape
from golden_inputs import (
    SLOT_IN,
    SLOT_OUT,
    Array,
    Suite,
    bits,
    describe,
    mask_bytes,
    mask_fields,
    partial_geometry,
    random_geometry,
    random_gradient,
    random_int8,
    random_kept,
    random_mask,
    random_transposed,
    remainders,
    slots,
    split_weights,
    weight_scales,
)

from tflm_train import ops
from tflm_train.backward_ops import pool
from tflm_train.backward_ops.losses import reference_loss
from tflm_train.backward_ops.numerics import QuantizedGradient as Gradient
from tflm_train.ops.constants import LossKind, TargetKind
from tflm_train.ops.geometry import Geometry

# How a case departs from the ordinary.
PLAIN = "plain"
VARIANTS = (
    PLAIN,
    "range_too_small",  # the predicted exponent overflows: what is written is halved
    "range_too_large",
    "addend",
    "addend_much_larger",
    "addend_zero",
    "zero_gradient",
    "zero_gradient_addend",
    "zero_scale_addend",
    "steady",  # the predicted exponent is that of the result: any order of work will do
    "steady_addend",
)
STEADY_FAINT = "steady_faint"  # the same of small sums, and so of a small exponent


def input_gradient_cases(
    suite: Suite,
    rng: np.random.Generator,
    geometry: Geometry,
    variant: str,
    mask_kind: int,
    small: bool,
    depthwise: bool,
    partial: bool = False,
) -> None:
    """One case of CONV_INPUT_GRAD or DEPTHWISE_INPUT_GRAD."""
    g = geometry
    gradient = random_gradient(rng, g.out_h, g.out_w, g.out_c)
    if variant.startswith("zero_gradient"):
        gradient = Gradient(np.zeros_like(gradient.q), gradient.scale)
    if variant.startswith("zero_scale"):
        gradient = Gradient(gradient.q, np.float32(0))
    weights = random_int8(rng, *weight_shape(g, depthwise))
    split = None
    if partial:
        channels = random_kept(rng, g, depthwise)
        split = Split(*split_weights(rng, weights, channels, depthwise))
    if variant == STEADY_FAINT:
        weights = weights // 32
        if split is not None:
            assert split.columns is not None
            split = Split(split.constant // 32, split.columns // 32, split.listed)
    scales = weight_scales(rng, g.out_c)
    addend = None
    if "addend" in variant:
        skip = random_gradient(rng, g.in_h, g.in_w, g.in_c)
        factor = {"addend_much_larger": 1e9, "addend_zero": 0}.get(variant, 1)
        addend = Gradient(skip.q, np.float32(skip.scale * np.float32(factor)))
    mask = random_mask(rng, g.in_h * g.in_w * g.in_c, mask_kind)
    range_ = np.float32({"range_too_small": 0, "range_too_large": 1e7}.get(variant, 2000))
    name = f"{describe(g)}_{variant}_mask{mask_kind}"
    if split is not None:
        name += f"_kept{split.kept}"
    case = InputGradient(
        g, depthwise, gradient, weights, scales, range_, mask, addend, split,
        variant.startswith("steady"),
    )  # fmt: skip
    case.add_to(suite, name, small)


def conv_input_grad() -> Suite:
    suite = Suite("conv_input_grad", "ConvInputGradCase")
    rng = np.random.default_rng(1)
    dense = Geometry.dense(1, 12, 7)
    point = Geometry.from_options((3, 4, 8), 20, (1, 1))
    for number, variant in enumerate(VARIANTS):
        add = (dense, point)[number % 2]
        input_gradient_cases(suite, rng, add, variant, number % 3, True, False)
    fixed = [
        Geometry.dense(1, 3, 1100),  # two groups
        Geometry.from_options((3, 3, 4), 300, (3, 3), padding="SAME"),  # three groups
        Geometry.from_options((4, 4, 6), 120, (3, 3), (2, 2), padding="SAME"),  # two groups
        Geometry.from_options((8, 8, 48), 36, (1, 1)),
        Geometry.from_options((9, 8, 3), 16, (3, 3), (2, 2), padding="SAME"),
        Geometry.from_options((12, 7, 5), 6, (10, 4), (2, 2), padding="SAME"),
        Geometry.from_options((6, 6, 33), 17, (1, 1), (2, 2)),
    ]
    for number, geometry in enumerate(fixed):
        input_gradient_cases(suite, rng, geometry, PLAIN, number % 3, False, False)
    for number in range(30):
        variant = VARIANTS[number % len(VARIANTS)]
        geometry = random_geometry(rng)
        input_gradient_cases(suite, rng, geometry, variant, int(rng.integers(3)), False, False)
    for number in range(18):
        variant = VARIANTS[number % len(VARIANTS)]
        geometry = random_transposed(rng)
        input_gradient_cases(suite, rng, geometry, variant, number % 3, number < 3, False)
    for number, geometry in enumerate((dense, point, fixed[0], fixed[2])):
        input_gradient_cases(suite, rng, geometry, PLAIN, number % 3, number < 2, False, True)
    for number in range(24):
        variant = VARIANTS[number % len(VARIANTS)]
        geometry = partial_geometry(rng)
        mask_kind = int(rng.integers(3))
        input_gradient_cases(suite, rng, geometry, variant, mask_kind, False, False, True)
    for number, geometry in enumerate((*fixed[3:], *remainders())):
        variant = ("steady", "steady_addend", "steady")[number % 3]
        partial = number % 4 == 3 and geometry.in_c > 1
        input_gradient_cases(suite, rng, geometry, variant, number // 2 % 3, False, False, partial)
    # The largest prediction of an exponent, and one for the next.
    q = rng.integers(-32, 33, (3, 4, 20)).astype(np.int8)
    q[0, 0, 0] = 64
    given = (Gradient(q, np.float32(1e-3)), random_int8(rng, *weight_shape(point, False)))
    for predicted in (112.0, 112.5):
        range_ = np.float32(2.0**16 * predicted / 64)
        case = InputGradient(point, False, *given, weight_scales(rng, point.out_c), range_)
        case.add_to(suite, f"predicted_{predicted}")
    # Depths at which inner loops divide differently.
    for number, depth in enumerate((8, 16, 24, 64, 72)):
        geometry = Geometry.from_options((1, 6, 4 + number % 2), depth, (1, 1))
        input_gradient_cases(suite, rng, geometry, "steady", number % 3, False, False)
    return suite


def depthwise_input_grad() -> Suite:
    suite = Suite("depthwise_input_grad", "DepthwiseInputGradCase")
    rng = np.random.default_rng(2)
    small = Geometry.from_options((4, 4, 5), 5, (3, 3), padding="SAME")
    for number, variant in enumerate(VARIANTS):
        input_gradient_cases(suite, rng, small, variant, number % 3, True, True)
    fixed = [
        Geometry.from_options((4, 4, 40), 40, (3, 3), padding="SAME"),
        Geometry.from_options((8, 8, 24), 24, (3, 3), (2, 2), padding="SAME"),
        Geometry.from_options((6, 6, 20), 20, (5, 5), padding="SAME"),
        Geometry.from_options((4, 4, 18), 18, (7, 7), padding="SAME"),
        Geometry.from_options((9, 9, 3), 12, (4, 3), (2, 2)),
        Geometry.from_options((6, 7, 5), 5, (13, 10), padding="SAME"),
    ]
    for number, geometry in enumerate(fixed):
        input_gradient_cases(suite, rng, geometry, PLAIN, number % 3, False, True)
    for number in range(30):
        variant = VARIANTS[number % len(VARIANTS)]
        geometry = random_geometry(rng, depthwise=True)
        input_gradient_cases(suite, rng, geometry, variant, int(rng.integers(3)), False, True)
    for number, geometry in enumerate((small, fixed[0], fixed[4])):
        input_gradient_cases(suite, rng, geometry, PLAIN, number % 3, number < 1, True, True)
    for number in range(24):
        variant = VARIANTS[number % len(VARIANTS)]
        geometry = partial_geometry(rng, depthwise=True)
        mask_kind = int(rng.integers(3))
        input_gradient_cases(suite, rng, geometry, variant, mask_kind, False, True, True)
    # More rows and columns than are done at once.
    large = [
        Geometry.from_options((18, 3, 5), 5, (3, 3), padding="SAME"),
        Geometry.from_options((5, 33, 2), 2, (3, 3), padding="SAME"),
        Geometry.from_options((36, 5, 3), 3, (3, 3), (2, 2), padding="SAME"),
        Geometry.from_options((5, 66, 2), 2, (3, 3), (2, 2), padding="SAME"),
        Geometry.from_options((33, 6, 2), 2, (3, 3), (2, 2), padding="SAME"),
    ]
    for number, geometry in enumerate(large):
        input_gradient_cases(suite, rng, geometry, "steady", number % 2 * 2, False, True)
    for number, geometry in enumerate((*fixed, *remainders(depthwise=True))):
        variant = ("steady", "steady_addend", STEADY_FAINT)[number % 3]
        partial = number % 4 == 3 and geometry.out_c > geometry.out_c // geometry.in_c
        input_gradient_cases(suite, rng, geometry, variant, number // 2 % 3, False, True, partial)
    # Sizes at which inner loops divide differently.
    for number, (size, channels, kernel, stride) in enumerate(
        (
            ((2, 16), 16, 3, 2),
            ((4, 4), 17, 3, 2),
            ((9, 5), 2, 7, 1),
            ((10, 4), 2, 5, 1),
            ((2, 35), 1, 3, 1),
            ((4, 4), 3, 7, 1),
        )
    ):
        geometry = Geometry.from_options(
            (*size, channels), channels, (kernel, kernel), (stride, stride), padding="SAME"
        )
        partial = number % 2 == 1
        input_gradient_cases(suite, rng, geometry, "steady", number // 2, False, True, partial)
    return suite


def pool_grad() -> Suite:
    suite = Suite("pool_grad", "PoolGradCase")
    rng = np.random.default_rng(3)
    cases: list[tuple[Geometry, bool]] = [
        (pool.spanning_geometry((3, 4, 6), True, True), True),
        (pool.spanning_geometry((3, 4, 6), False, True), True),
        (Geometry.from_options((4, 4, 5), 5, (2, 2), (2, 2)), True),
        (
            Geometry.from_options((5, 5, 4), 4, (2, 2), (2, 2)),
            True,
        ),  # a border outside all windows
        (Geometry.from_options((5, 5, 4), 4, (2, 2), (2, 2), padding="SAME"), True),
        (Geometry.from_options((5, 6, 3), 3, (3, 3), padding="SAME"), True),
    ]
    for _ in range(12):
        size = (
            int(rng.integers(3, 9)),
            int(rng.integers(3, 9)),
            int(rng.integers(1, 12)),
        )
        kernel = (int(rng.integers(1, 4)), int(rng.integers(1, 4)))
        strides = (int(rng.integers(1, 4)), int(rng.integers(1, 4)))
        padding = "SAME" if rng.integers(2) else "VALID"
        g = Geometry.from_options(size, size[2], kernel, strides, padding=padding)  # type: ignore[arg-type]
        cases.append((g, False))
    without_gradient = len(cases) - 1
    # A sixth is not the same when it is rounded down.
    cases.append((Geometry.from_options((5, 7, 11), 11, (2, 3)), False))
    for number, (g, small) in enumerate(cases):
        gradient = random_gradient(rng, g.out_h, g.out_w, g.out_c)
        if number == without_gradient:
            gradient = Gradient(np.zeros_like(gradient.q), gradient.scale)
        mask = random_mask(rng, g.in_h * g.in_w * g.in_c, number % 3)
        range_ = np.float32((20000, 0)[number % 2])
        result = pool.pool_gradient(gradient, g, range_, mask)
        count = pool.uniform_count(g)
        params = ops.PoolGrad(
            g,
            mask_fields(mask),
            SLOT_IN,
            SLOT_OUT,
            int(count is not None),
            count or 0,
        )
        suite.case(
            f"{describe(g)}_mask{number % 3}",
            params.pack(),
            gradient.q,
            mask_bytes(mask),
            slots(in_=gradient.scale),
            slots(out=range_),
            result.q.size,
            result.q,
            slots(in_=gradient.scale, out=result.scale),
            slots(out=result.range_),
            small=small,
        )
    return suite


def accumulate() -> Suite:
    suite = Suite("accumulate", "AccumulateCase")
    rng = np.random.default_rng(5)
    for number in range(16):
        count = number % 4 + 1
        size = int(rng.integers(1, 200))
        gradients = [random_gradient(rng, size) for _ in range(count)]
        if number >= 12:  # vanished gradients: one of them, or (number 12, 15) all
            vanished = [number == 15 or i == 0 for i in range(count)]
            gradients = [
                Gradient(np.zeros_like(g.q), np.float32(0)) if gone else g
                for g, gone in zip(gradients, vanished, strict=True)
            ]
        elif number >= 8:
            gradients[0] = Gradient(gradients[0].q, np.float32(gradients[0].scale * 1000))
        mask = random_mask(rng, size, number % 3)
        name = f"{count}_of_{size}_number{number}"
        Accumulation(gradients, mask).add_to(suite, name, small=number < 8)
    return suite


def clamp_mask() -> Suite:
    suite = Suite("clamp_mask", "ClampMaskCase")
    rng = np.random.default_rng(6)
    for number, size in enumerate((1, 7, 8, 9, 31, 32, 33, 100, 257)):
        activation = rng.integers(-128, 128, size).astype(np.int8)
        act_min, act_max = ((-128, 127), (-100, 100), (3, 127))[number % 3]
        activation[0] = act_min
        activation[-1] = act_max
        ClampMask(activation, act_min, act_max).add_to(suite, f"size_{size}", small=True)
    return suite


def loss() -> Suite:
    suite = Suite("loss", "LossCase")
    rng = np.random.default_rng(7)
    cases: list[tuple[Array, int, float]] = [
        (np.zeros(10, np.int8), 3, 0.25),
        (np.array([127, -128], np.int8), 0, 0.25),  # the gradient vanishes
        (np.array([127, -128], np.int8), 1, 0.25),
        (np.array([5], np.int8), 0, 0.1),  # one class: nothing to learn
        (np.full(4, -128, np.int8), 3, 1e-3),
        (np.array([-128, 127, 127], np.int8), 2, 8.0),
    ]
    for _ in range(20):
        classes = int(rng.integers(2, 40))
        logits = random_int8(rng, classes, low=-128)
        cases.append((logits, int(rng.integers(classes)), float(rng.uniform(0.01, 0.5))))
    cases.append((random_int8(rng, 1000, low=-128), 999, 0.12))
    # The other class's exp(-255 scale) is 2^-19.5, and 2^-20.5: too little of a gradient.
    cases += [(np.array([127, -128], np.int8), 0, b * np.log(2) / 255) for b in (19.5, 20.5)]
    for number, (logits, label, scale) in enumerate(cases):
        params = ops.Loss(logits.size, -3, float(np.float32(scale)), SLOT_OUT)
        name = f"classes{logits.size}_label{label}_number{number}"
        _loss_case(suite, name, params, logits, label, None, number < 12)
    for number in range(48):
        _random_loss_case(suite, rng, number)
    for number in range(16):
        _map_loss_case(suite, rng, number)
    return suite


def _map_loss_case(suite: Suite, rng: np.random.Generator, number: int) -> None:
    """Softmax cross-entropy at each position of a map."""
    positions, classes = int(rng.integers(2, 30)), int(rng.integers(2, 6))
    logits = random_int8(rng, positions * classes, low=-128)
    target: Array = rng.integers(0, classes, positions).astype(np.int32)
    if number % 2:
        target = rng.dirichlet(np.ones(classes), positions).astype(np.float32).reshape(-1)
    weights = rng.uniform(0, 3, classes).astype(np.float32) if number // 2 % 2 else None
    smoothing = (0.0, 0.1)[number // 4 % 2]
    kind = TargetKind.VALUES if number % 2 else TargetKind.INDEX
    params = ops.Loss(
        classes, 5, float(np.float32(rng.uniform(0.01, 0.5))), SLOT_OUT,
        LossKind.SOFTMAX_CROSS_ENTROPY, kind, float(np.float32(1 - smoothing)),
        float(np.float32(smoothing / classes)), positions=positions,
    )  # fmt: skip
    name = f"{kind.name.lower()}_of_{positions}x{classes}_number{number}"
    _loss_case(suite, name, params, logits, target, weights, number < 4)


def _random_loss_case(suite: Suite, rng: np.random.Generator, number: int) -> None:
    """A loss of any kind with any target, smoothing and class weights."""
    kind = LossKind(number % 3)
    size = int(rng.integers(1 + (kind == LossKind.SOFTMAX_CROSS_ENTROPY), 40))
    outputs = random_int8(rng, size, low=-128)
    scale = float(rng.uniform(0.01, 0.5))
    target: Array | int
    if kind == LossKind.MEAN_SQUARED_ERROR and number % 2:
        target_kind, target = TargetKind.INPUT, random_int8(rng, size, low=-128)
    elif kind == LossKind.SOFTMAX_CROSS_ENTROPY and number % 2:
        target_kind, target = TargetKind.INDEX, int(rng.integers(size))
    else:
        target_kind, target = (
            TargetKind.VALUES,
            rng.uniform(0, 1, size).astype(np.float32),
        )
        if number % 4 == 0:
            target = np.round(target)
    weights, smoothing = None, 0.0
    if kind != LossKind.MEAN_SQUARED_ERROR:
        smoothing = (0.0, 0.1)[number // 6 % 2]
        if number // 12 % 2:
            weights = rng.uniform(0, 3, size).astype(np.float32)
    elif number % 6 == 2:  # nothing left to learn
        target = (outputs.astype(np.int32) + 3).astype(np.float32) * np.float32(scale)
        target_kind = TargetKind.VALUES
    params = ops.Loss(
        size, -3, float(np.float32(scale)), SLOT_OUT, kind, target_kind,
        float(np.float32(1 - smoothing)), float(np.float32(smoothing / size)),
        float(np.float32(rng.uniform(0.01, 0.5))), 7,
    )  # fmt: skip
    name = f"{kind.name.lower()}_{target_kind.name.lower()}_of_{size}_number{number}"
    _loss_case(suite, name, params, outputs, target, weights, number < 12)


def _loss_case(
    suite: Suite,
    name: str,
    params: ops.Loss,
    logits: Array,
    target: int | Array,
    weights: Array | None,
    small: bool,
) -> None:
    result = reference_loss(params, logits, target, weights)
    stored = np.array([target], np.int32) if isinstance(target, int) else target
    suite.case(
        name,
        params.pack(),
        logits,
        stored.tobytes(),
        None if weights is None else bits(weights),
        slots(),
        logits.size,
        params.classes,
        result.gradient.q,
        slots(out=result.gradient.scale),
        bits([result.value]),
        small=small,
    )


def suites() -> Iterator[Suite]:
    yield conv_input_grad()
    yield depthwise_input_grad()
    yield pool_grad()
    yield accumulate()
    yield clamp_mask()
    yield loss()
