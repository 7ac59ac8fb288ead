"""What the searches for memory find: streams of layers, orders of the backward pass.

`python -m tests.frozen.choices` writes choices.json anew, which the tests compare with:
whoever changes a cost or a strategy sees there what comes of it, and commits it beside the change.
Models of the shared folder are measured where there is one; else what the file says of them stays.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.frozen import networks
from tests.requirements import SHARED
from tflm_train.memory import KernelSet
from tflm_train.model import Model, load
from tflm_train.model.layers import list_layers
from tflm_train.rewriter import rewrite
from tflm_train.rewriter.optimize import Choice, optimize
from tflm_train.rewriter.schedule import Order
from tflm_train.scheme import Scheme, WeightUpdate
from tflm_train.scheme.library import library_names, library_text

PATH = Path(__file__).parent / "choices.json"
Row = dict[str, Any]
Update = tuple[int, float]

STREAMED: Mapping[str, Callable[[], Model]] = {
    "separable": networks.separable,
    "inverted": networks.inverted,
    "residual": networks.residual,
    "padded": networks.padded,
    "branching": networks.branching,
    "woven_32": lambda: networks.woven(32),
}
"""Networks whose layers may be streamed."""

SHARED_STREAMED = (
    "kws_ref_model", "person_detect", "vww_96_int8", "mbv2-w0.35.nopad", "mcunet-5fps.nopad",
    "proxyless-w0.3.nopad",
)  # fmt: skip


def _scheme(weights: tuple[Update, ...], biases_last: int = 0, residual_bits: int = 8) -> Scheme:
    updates = tuple(WeightUpdate(layer, ratio) for layer, ratio in weights)
    return Scheme(weights=updates, biases_last=biases_last, residual_bits=residual_bits)


def _every(model: Model, step: int, ratio: float) -> tuple[Update, ...]:
    return tuple((layer, ratio) for layer in range(0, len(list_layers(model.graph)) - 1, step))


def schemes() -> dict[str, tuple[Model, Scheme]]:
    """Networks with a scheme each, by name.

    Those of random networks are such that only the order by bytes has the smallest arena (15, 64,
    96), or that two orders have it and the bytes alive decide (37).
    """
    inverted, residual = networks.inverted(), networks.residual()
    branching, padded = networks.branching(), networks.padded()
    return {
        "separable_biases": (networks.separable(), _scheme((), 13)),
        "inverted_whole": (inverted, _scheme(_every(inverted, 1, 1.0))),
        "inverted_part": (inverted, _scheme(((12, 0.5), (13, 1.0), (15, 0.25)), 8, 0)),
        "residual_odd": (residual, _scheme(_every(residual, 2, 0.25), 8, 4)),
        "branching_whole": (branching, _scheme(_every(branching, 1, 1.0))),
        "padded_halves": (padded, _scheme(_every(padded, 1, 0.5), 7)),
        "woven_15": (networks.woven(15), _scheme(((3, 0.25), (6, 1.0)), 2)),
        "woven_37": (networks.woven(37), _scheme(((0, 1.0), (3, 0.25)), 4)),
        "woven_64": (networks.woven(64), _scheme(((0, 0.25), (2, 0.25), (3, 1.0)), 3)),
        "woven_96": (networks.woven(96), _scheme(((2, 0.25), (3, 0.5), (4, 0.25)), 0, 0)),
    }


def stream_choice(model: Model) -> Row:
    """What `--stream auto` makes of a model's layers, and what that costs."""
    found = optimize(model, Choice())
    return {
        "streams": [
            names[0] if len(names) == 1 else f"{names[0]} .. {names[-1]}" for names in found.streams
        ],
        "arena_before": found.before.total_bytes,
        "arena": found.after.total_bytes,
        "slowdown": round(found.slowdown, 6),
    }


def scheduled(model: Model, scheme: Scheme) -> Row:
    """The planned arena of a rewritten model in the best order and in the naive one.

    Kernels that need little memory of their own are assumed, so that it is the order's.
    """

    def memory(order: Order) -> Any:
        return rewrite(model, scheme, KernelSet.REFERENCE, order=order).memory

    best = memory(Order.BEST)
    alive = best.plan.live_bytes()[best.first_training_op :]
    return {
        "planned": best.plan.bytes,
        "alive_in_training": max(alive),
        "planned_naively": memory(Order.NAIVE).plan.bytes,
    }


def library_scheme(name: str) -> tuple[Model, Scheme]:
    """One of the library's schemes and its network."""
    match = re.fullmatch(r"(.*)-\d+kb", name)
    assert match is not None
    return shared_model(f"{match[1]}.nopad"), Scheme.parse(library_text(name))


def shared_model(name: str) -> Model:
    """A model of ../shared."""
    return load(SHARED / "models" / f"{name}.tflite")


def found(with_shared: bool) -> dict[str, dict[str, Row]]:
    """All that the file holds."""
    parts = {
        "streams": {name: stream_choice(make()) for name, make in STREAMED.items()},
        "schedules": {name: scheduled(*pair) for name, pair in schemes().items()},
    }
    if with_shared:
        parts["shared_streams"] = {n: stream_choice(shared_model(n)) for n in SHARED_STREAMED}
        names = library_names()
        parts["shared_schedules"] = {n: scheduled(*library_scheme(n)) for n in names}
    return parts


def committed() -> dict[str, dict[str, Row]]:
    """What the file holds."""
    parts: dict[str, dict[str, Row]] = json.loads(PATH.read_text())
    return parts


def main() -> None:
    known = committed() if PATH.exists() else {}
    PATH.write_text(json.dumps(known | found(SHARED.is_dir()), indent=1) + "\n")


if __name__ == "__main__":
    main()
