"""Int8 gradients of one training step against TensorFlow's float gradients.

    python -m benchmarks.gradients [--only mcunet resnet digits] [--images 20] [--json]

Ours: the int8 gradient tensors, their scales and the int8 activations as the TFLM interpreter holds
them after a step. From them the exact integers that the update ops apply, in real units:
dL/dW = s_g * s_x * G, dL/db = s_g * B. Theirs: `float_twin.float_gradients`, the float gradient of
the dequantised model at the same int8 activations.

A fresh head is zero and lets no gradient through, so the model first trains (mcunet), or takes
steps too small to move anything (the others): either way every running range is primed, as it is in
all but the first steps of a training. Each image is then the next step from that state.

A layer's cosine and norm ratio |ours| / |theirs| are of its gradient over all images, one vector;
beside them stands the worst single image with a gradient at all.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.cached_latents import latents_of
from benchmarks.report import Column, parser_of, publish, show
from benchmarks.tasks import DIGITS, MCUNET, RESNET, Task, available, every_layer
from tflm_train import Interpreter, Model, ops
from tflm_train.backward_ops import conv_2d, depthwise_conv_2d, numerics
from tflm_train.model import Op
from tflm_train.model.layers import Layer, list_layers
from tflm_train.rewriter import rewrite
from tflm_train.runtime.metrics import real_values
from tflm_train.trained.cut import Cut, cut
from tflm_train.trained.merge import merge

Array = npt.NDArray[Any]

LEAST_COSINE, LEAST_MEDIAN_COSINE, NORM_TOLERANCE = 0.995, 0.999, 0.03
"""The target of every layer, of the median layer, and of every layer's norm ratio."""
STILL = 1e-30
"""A learning rate that makes a step a training step and every update zero."""


@dataclass(frozen=True)
class Case:
    """What is measured: a task, how many steps before, and at what constant rate."""

    task: Task
    steps: int
    rate: float


CASES = (
    Case(MCUNET, 300, 1e-3),
    Case(every_layer(RESNET), 20, STILL),
    Case(every_layer(DIGITS), 20, STILL),
)


@dataclass
class Agreement:
    """How far two gradients of one tensor agree, image by image.

    Attributes:
        products: [images, 3]: <ours, theirs>, |ours|^2, |theirs|^2.
        vanished: which images have no gradient in int8, because their loss is next to nothing.
    """

    products: list[tuple[float, float, float]] = field(default_factory=list)
    vanished: list[bool] = field(default_factory=list)

    def add(self, ours: Array, theirs: Array, vanished: bool) -> None:
        a, b = ours.astype(np.float64).ravel(), theirs.astype(np.float64).ravel()
        self.products.append((float(a @ b), float(a @ a), float(b @ b)))
        self.vanished.append(vanished)

    @property
    def cosine(self) -> float:
        return _cosine(np.sum(self.products, axis=0))

    @property
    def norm_ratio(self) -> float:
        return _norm_ratio(np.sum(self.products, axis=0))

    @property
    def worst_image(self) -> tuple[float, float]:
        """Least cosine, and the norm ratio farthest from 1, of single images with a gradient."""
        single = np.array(self.products)[~np.array(self.vanished)]
        ratios = [_norm_ratio(p) for p in single]
        return min(_cosine(p) for p in single), max(ratios, key=lambda r: abs(r - 1))


def _cosine(products: Array) -> float:
    product, ours, theirs = products
    return float(product / np.sqrt(ours * theirs)) if ours > 0 and theirs > 0 else 0.0


def _norm_ratio(products: Array) -> float:
    _, ours, theirs = products
    return float(np.sqrt(ours / theirs)) if theirs > 0 else float("inf")


@dataclass(frozen=True)
class Row:
    """One gradient tensor of the table; `layer` counts as in the original model."""

    layer: int
    op: str
    name: str
    parameter: str
    cosine: float
    norm_ratio: float
    worst_image_cosine: float
    worst_image_norm_ratio: float


def measure(case: Case, images: int) -> dict[str, Any]:
    """Compares the gradients of every trained layer on test images with their true labels.

    Args:
        case: the model and how it gets into the state that is measured.
        images: how many test images.

    Returns:
        `task`, `model`, `images`, `images_without_gradient` (loss so small that int8 training does
        nothing: they count in the layers' numbers, not as worst image), `steps_before`,
        `rate_before`, `loss_error` (largest absolute difference of the two losses), `rows` (`Row`
        as dicts), `least_cosine`, `median_cosine`, `norm_ratios` [least, largest],
        `worst_image_cosine`, `passes`.
    """
    from benchmarks.float_twin import float_gradients  # TensorFlow takes seconds to import

    whole = Model(rewrite(case.task.model(), case.task.scheme).model_bytes, case.task.name)
    parts = cut(whole)
    data = case.task.dataset()
    interpreter = Interpreter(parts.tail, preserve_all=True)
    x_train = latents_of(whole, data.x_train[: case.steps], "x_train")
    target_of = _input_as_target if interpreter.learns_its_input else _class_as_target
    for x, label in zip(x_train, data.y_train, strict=False):
        interpreter.train_step(x, target_of(interpreter, x, label)[0], case.rate)
    state = interpreter.state()
    merged = Model(merge(parts.tail, state), f"{case.task.name} merged")
    plain = Interpreter(merged)
    layers = list_layers(parts.tail.graph)
    agreements: dict[tuple[int, str], Agreement] = {}
    loss_error, without_gradient = 0.0, 0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "merged.tflite"
        path.write_bytes(merged.source)
        x_test = latents_of(whole, data.x_test[:images], "x_test")
        for x, label in zip(x_test, data.y_test, strict=False):
            interpreter.load_state(state)
            given, target = target_of(interpreter, x, label)
            loss = interpreter.train_step(x, given, STILL)
            if not np.array_equal(interpreter.output(), plain.infer(x)):
                raise AssertionError("the model given to TensorFlow is not the one that trains")
            float_loss, theirs = float_gradients(path, x[np.newaxis], target)
            loss_error = max(loss_error, abs(loss - float_loss))
            vanished = _loss_scale(interpreter) == 0.0
            without_gradient += vanished
            for layer, ours in _gradients(interpreter, layers):
                for parameter, values, window in ours:
                    reference = theirs[layer.index][0 if parameter == "weights" else 1]
                    agreement = agreements.setdefault((layer.index, parameter), Agreement())
                    agreement.add(values, _trained(reference, window), vanished)
    return _summary(
        case, len(x_test), without_gradient, loss_error, _rows(agreements, layers, parts)
    )


def _class_as_target(interpreter: Interpreter, x: Array, label: Array) -> tuple[int, int]:
    """The target of a training step, and the same for TensorFlow."""
    return int(label), int(label)


def _input_as_target(interpreter: Interpreter, x: Array, label: Array) -> tuple[None, Array]:
    """The same where the model learns its own input, in real units."""
    return None, real_values(x, interpreter.model.graph.inputs[0])


def _loss_scale(interpreter: Interpreter) -> float:
    """The scale of the loss's gradient; 0 when it vanished."""
    slot = interpreter.require_trainable().loss.slot
    return float(interpreter.variables()["train/scales"][slot])


_Window = tuple[slice, slice] | None
_LayerGradients = list[tuple[str, Array, _Window]]


def _gradients(
    interpreter: Interpreter, layers: Sequence[Layer]
) -> Iterator[tuple[Layer, _LayerGradients]]:
    """What the update ops of the last step applied, in real units, by layer.

    Gives for each layer its parameters ("weights", "biases") with their gradients, weights in the
    file's layout and cut to the kernel taps that train.
    """
    by_variable = {id(t): layer for layer in layers for t in layer.op.inputs[1:] if t is not None}
    scales = interpreter.variables()["train/scales"]
    for op in interpreter.model.graph.ops:
        if not op.name.startswith(ops.OP_PREFIX):
            continue
        params = ops.unpack(op.custom_options or b"")
        if isinstance(params, ops.BiasUpdate):
            inputs = params.inputs_of(op)
            q = interpreter.tensor(inputs.gradient)
            q = q.reshape(params.positions, 1, params.channels)
            bias = numerics.bias_gradient(q) * float(scales[params.slot])
            yield by_variable[id(inputs.bias)], [("biases", bias, None)]
        elif isinstance(params, ops.ConvUpdate | ops.DepthwiseUpdate):
            layer = by_variable[id(params.inputs_of(op).weights)]
            yield layer, _weight_gradients(interpreter, op, params, layer, scales)


def _weight_gradients(
    interpreter: Interpreter,
    op: Op,
    params: ops.ConvUpdate | ops.DepthwiseUpdate,
    layer: Layer,
    scales: Array,
) -> _LayerGradients:
    depthwise = isinstance(params, ops.DepthwiseUpdate)
    module = depthwise_conv_2d if depthwise else conv_2d
    u = params.update
    inputs = params.inputs_of(op)
    x, q = interpreter.tensor(inputs.x), interpreter.tensor(inputs.gradient)
    G, B = module.weight_gradient(q, x, u.x_zero_point, params.geometry)
    s_g = float(scales[u.slot])
    window = (slice(u.tap_y0, u.tap_y1), slice(u.tap_x0, u.tap_x1))
    weights = (G * (s_g * layer.x.scale)).reshape(layer.weights.shape)
    return [("weights", _trained(weights, window), window), ("biases", B * s_g, None)]


def _trained(gradient: Array, window: _Window) -> Array:
    """The kernel taps that train: all zero edge rows and columns (a folded PAD) do not."""
    if window is None or gradient.ndim != 4:
        return gradient
    return gradient[:, window[0], window[1]]


def _rows(
    agreements: Mapping[tuple[int, str], Agreement], layers: Sequence[Layer], parts: Cut
) -> list[Row]:
    rows = []
    for (index, parameter), agreement in sorted(agreements.items()):
        op = layers[index].op
        rows.append(
            Row(
                parts.first_layer + index,
                op.name,
                layers[index].name.split("/")[-1],
                parameter,
                agreement.cosine,
                agreement.norm_ratio,
                *agreement.worst_image,
            )
        )
    return rows


def _summary(
    case: Case, images: int, without_gradient: int, loss_error: float, rows: list[Row]
) -> dict[str, Any]:
    cosines, ratios = [row.cosine for row in rows], [row.norm_ratio for row in rows]
    least, median = min(cosines), float(np.median(cosines))
    return {
        "task": case.task.name,
        "model": case.task.model_path.name,
        "images": images,
        "images_without_gradient": without_gradient,
        "steps_before": case.steps,
        "rate_before": case.rate,
        "loss_error": loss_error,
        "rows": [asdict(row) for row in rows],
        "least_cosine": least,
        "median_cosine": median,
        "norm_ratios": [min(ratios), max(ratios)],
        "worst_image_cosine": min(row.worst_image_cosine for row in rows),
        "passes": least >= LEAST_COSINE
        and median >= LEAST_MEDIAN_COSINE
        and max(abs(ratio - 1) for ratio in ratios) <= NORM_TOLERANCE,
    }


_COLUMNS = (
    Column("layer", "layer"),
    Column("op", "op"),
    Column("name", "name"),
    Column("gradient", "parameter"),
    Column("cosine", "cosine", "{:.5f}"),
    Column("norm ratio", "norm_ratio", "{:.4f}"),
    Column("worst image: cosine", "worst_image_cosine", "{:.5f}"),
    Column("norm ratio", "worst_image_norm_ratio", "{:.4f}"),
)


def _show(report: Mapping[str, Any]) -> None:
    show(
        f"{report['model']}: int8 against float gradients, {report['images']} images", _COLUMNS,
        report["rows"],
    )  # fmt: skip
    low, high = report["norm_ratios"]
    print(
        f"{report['images_without_gradient']} images with a loss too small for an int8 gradient; "
        f"least cosine {report['least_cosine']:.5f} (target {LEAST_COSINE}), median "
        f"{report['median_cosine']:.5f} (target {LEAST_MEDIAN_COSINE}), norm ratios {low:.4f} to "
        f"{high:.4f} (target 1 +- {NORM_TOLERANCE}): {'ok' if report['passes'] else 'MISSED'}\n"
    )


def main() -> int:
    """The command line; exit status 1 when a target is missed."""
    parser = parser_of(__doc__)
    names = [case.task.name for case in CASES]
    parser.add_argument("--only", nargs="+", choices=names, default=[], help="leave the rest out")
    parser.add_argument("--images", type=int, default=20, help="test images (default: 20)")
    arguments = parser.parse_args()
    here = available([case.task for case in CASES], arguments.only)
    reports = [measure(case, arguments.images) for case in CASES if case.task in here]
    publish("gradients", {"models": reports}, arguments)
    if not arguments.json:
        for report in reports:
            _show(report)
    return 0 if all(report["passes"] for report in reports) else 1


if __name__ == "__main__":
    raise SystemExit(main())
