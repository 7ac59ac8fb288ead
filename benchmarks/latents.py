"""Training from latents: the same bits, and what it costs and saves.

    python -m benchmarks.latents --check [--only MODEL ...] [--steps N]
    python -m benchmarks.latents --instructions [--cores m7 m4 m55] [--only MODEL ...] [--save FILE]

`--check` trains every convolutional model of ../shared/models under three schemes (the head, biases
of the last third, half of a layer's channels), once on samples as a model without latents and once
with `latent: true`, on latents and samples in random order, and compares the saved states byte for
byte. The exit status is 1 where one differs.

`--instructions` counts whole training steps in TFLM under QEMU, where TFLM_INCLUDE and TFLM_LIB
name a build of it (`benchmarks.builtin_ops`): of the model without latents, and of the one with
them from a sample and from a latent; beside them the arenas. Models are rewritten as the command
`rewrite` does it by default.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks import builtin_ops, instructions
from benchmarks.report import Column, parser_of, publish, show
from benchmarks.tasks import SHARED
from tflm_train import Interpreter, Scheme, load
from tflm_train.model import Model
from tflm_train.model.layers import list_layers
from tflm_train.rewriter import RewriteResult
from tflm_train.rewriter.trials import Way
from tflm_train.scheme import WeightUpdate
from tflm_train.scheme.library import find_scheme
from tools import boards

STEPS, RATE = 200, 0.005
CASES: dict[tuple[str, str], Scheme] = {
    (f"{network}.nopad", f"~{size} KB"): find_scheme(f"{network}-{size}kb")
    for network, sizes in {
        "mcunet-5fps": (49, 99),
        "mbv2-w0.35": (49, 99),
        "proxyless-w0.3": (49, 98),
    }.items()
    for size in sizes
} | {
    ("kws_ref_model", "head"): Scheme(),
    ("kws_ref_model", "layers 7-9"): Scheme(biases_last=2, weights=(WeightUpdate(7),)),
    ("person_detect", "head"): Scheme(),
    ("person_detect", "last 6 biases"): Scheme(biases_last=6),
}
_SOURCES = (
    "benchmarks/target/tflm_step/*.cc",
    *boards.kernel_sources(),
    *boards.kernel_sources("micro"),
)
_CORES = ("m4", "m7", "m55")
_LAYERS = ("CONV_2D", "DEPTHWISE_CONV_2D")


def schemes_of(model: Model) -> dict[str, Scheme]:
    """The three schemes that a model is checked under."""
    count = len(list_layers(model.graph))
    half = WeightUpdate(2 * count // 3, 0.5)
    return {
        "head": Scheme(),
        "biases": Scheme(biases_last=max(1, count // 3)),
        "half a layer": Scheme(weights=(half,), residual_bits=4),
    }


def is_same(model: Model, scheme: Scheme, steps: int) -> bool:
    """Whether a model with latents learns what it learns without.

    Args:
      model: The original model.
      scheme: What to train.
      steps: How many, on eight random samples in turn.

    Returns:
      Whether losses and saved states are the same bits.
    """
    plain, with_latents = (
        Interpreter(result.model_bytes) for result in both_ways(model, scheme).values()
    )
    rng = np.random.default_rng(1)
    shape, dtype = model.graph.inputs[0].shape, model.graph.inputs[0].dtype
    samples = [rng.integers(-128, 128, shape).astype(np.int8).astype(dtype) for _ in range(8)]
    latents = []
    for sample in samples:
        with_latents.infer(sample)
        latents.append(with_latents.latent())
    for step in range(steps):
        index, label = step % len(samples), step % plain.classes
        expected = plain.train_step(samples[index], label, RATE)
        if rng.random() < 0.75:
            found = with_latents.train_from_latent(latents[index], label, RATE)
        else:
            found = with_latents.train_step(samples[index], label, RATE)
        if found != expected:
            return False
    return plain.state() == with_latents.state()


def both_ways(model: Model, scheme: Scheme) -> dict[bool, RewriteResult]:
    """A model rewritten without and with latents."""
    chosen = (dataclasses.replace(scheme, latent=latent) for latent in (False, True))
    return {s.latent: Way().rewrite(model, s) for s in chosen}


def check(arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Compares all models; yields a row for each model and scheme."""
    for path in sorted((SHARED / "models").glob("*.tflite")):
        model = load(path)
        is_asked = not arguments.only or any(name in path.name for name in arguments.only)
        if not is_asked or not any(op.name in _LAYERS for op in model.graph.ops):
            continue
        for name, scheme in schemes_of(model).items():
            same = is_same(model, scheme, arguments.steps)
            print(f"{path.stem}, {name}: {'the same bits' if same else 'DIFFERENT'}", flush=True)
            yield {"model": path.stem, "scheme": name, "steps": arguments.steps, "same": same}


def count(core: str, model: bytes, name: str) -> list[int]:
    """Instructions of a step from a sample and, of a model with latents, of one from its latent.

    Raises:
      RuntimeError: No TFLM for the core is at hand, or the program failed.
    """
    if builtin_ops.library(core) is None:
        raise RuntimeError(f"TFLM_INCLUDE and TFLM_LIB name no TFLM for {core}")
    elf, model_at = builtin_ops.program(core, _SOURCES, "step")
    output = instructions.emulate(builtin_ops.machine(core), elf, model, model_at)
    if not output.rstrip().endswith("done"):
        raise RuntimeError(f"{name} on {core} ended early:\n{output}")
    return instructions.parse(output)


def measure(arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Counts all cases; yields a row for each core, model and scheme."""
    rewritten = functools.cache(
        lambda key: both_ways(load(SHARED / "models" / f"{key[0]}.tflite"), CASES[key])
    )
    for core in arguments.cores:
        for key in CASES:
            if arguments.only and not any(name in key[0] for name in arguments.only):
                continue
            plain, latent = rewritten(key)[False], rewritten(key)[True]
            assert latent.report.latent is not None
            (without,) = count(core, plain.model_bytes, key[0])
            sample, from_latent = count(core, latent.model_bytes, key[0])
            yield {
                "core": core,
                "model": key[0],
                "scheme": key[1],
                "without": without,
                "sample": sample,
                "latent": from_latent,
                "saved": 1 - from_latent / without,
                "estimated": latent.report.latent.saved,
                "latent_bytes": latent.report.latent.bytes,
                "arena_without": plain.memory.total_bytes,
                "arena": latent.memory.total_bytes,
            }


def _show(rows: list[dict[str, Any]]) -> None:
    millions = [{**r, **{k: r[k] / 1e6 for k in ("without", "sample", "latent")}} for r in rows]
    columns = (
        Column("core", "core"),
        Column("model", "model"),
        Column("scheme", "scheme"),
        Column("without", "without", "{:.2f}"),
        Column("from a sample", "sample", "{:.2f}"),
        Column("from a latent", "latent", "{:.2f}"),
        Column("saved", "saved", "{:.0%}"),
        Column("estimated", "estimated", "{:.0%}"),
        Column("latent (bytes)", "latent_bytes", "{:,}"),
        Column("arena without", "arena_without", "{:,}"),
        Column("arena", "arena", "{:,}"),
    )
    show("Instructions of a training step, millions; arenas in bytes", columns, millions)


def main(arguments: argparse.Namespace) -> int:
    """The command line; the status is 1 where bits differ."""
    if not SHARED.exists():
        raise SystemExit(f"needs the models in {SHARED}")
    if arguments.check:
        rows = list(check(arguments))
        publish("latents", {"rows": rows}, arguments)
        return 0 if all(row["same"] for row in rows) else 1
    rows = list(measure(arguments))
    publish("latents", {"compiler": instructions.compiler(), "rows": rows}, arguments)
    if not arguments.json:
        _show(rows)
    return 0


def _parse() -> argparse.Namespace:
    parser = parser_of(__doc__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--check", action="store_true", help="compare the bits")
    what.add_argument("--instructions", action="store_true", help="count instructions in QEMU")
    parser.add_argument("--only", nargs="+", help="models whose name contains one of these")
    parser.add_argument("--steps", type=int, default=STEPS, help="of --check")
    parser.add_argument("--cores", nargs="+", choices=_CORES, default=["m7"])
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main(_parse()))
