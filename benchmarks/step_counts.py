"""Instructions of every op of whole training steps in TFLM: what the cost model is held to.

A count is of one rewritten model on one core. TFLM_LIB and TFLM_INCLUDE name a build of TFLM with
CMSIS-NN for each core (`benchmarks.builtin_ops`). Counts are kept under build/step_counts by the
content of the model and of the sources, so that a fit can be repeated.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from dataclasses import dataclass
from functools import cache

from benchmarks import builtin_ops
from benchmarks.tasks import SHARED
from tflm_train import load
from tflm_train.cost.cores import Core
from tflm_train.model import Model
from tflm_train.rewriter.optimize import Forward, Streaming
from tflm_train.rewriter.trials import Way
from tflm_train.scheme import Scheme
from tflm_train.scheme.library import find_scheme
from tflm_train.scheme.presets import Preset, preset_scheme
from tools import boards

CORES = (Core.M4, Core.M55, Core.M3)
KEPT = boards.ROOT / "build" / "step_counts"
_WAYS = {
    "builtin": (Streaming.OFF, Forward.BUILTIN),
    "flash": (Streaming.OFF, Forward.FLASH),
    "streamed": (Streaming.AUTO, Forward.AUTO),
}


@dataclass(frozen=True)
class Case:
    """A training step.

    Attributes:
      network: A model in ../shared/models.
      scheme: A preset, or a ready scheme's name.
      way: A key of the ways to run forward layers: `builtin`, `flash` or `streamed`.
      residual_bits: Of the scheme.
    """

    network: str
    scheme: str
    way: str = "streamed"
    residual_bits: int = 8

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.network}, {self.scheme}, {self.way}, residual {self.residual_bits}"

    def rewritten(self) -> Model:
        """The model as it trains, the same for all cores."""
        return _rewritten(self)


FITTED = (
    *(
        Case(network, scheme, way, bits)
        for network, ready in {
            "mcunet-5fps": "mcunet-5fps-99kb",
            "kws_ref_model": "medium",
            "person_detect": "medium",
        }.items()
        for scheme, way, bits in (
            (ready, "streamed", 8),
            (ready, "builtin", 8),
            (ready, "flash", 4),
            ("light", "builtin", 0),
        )
    ),
    *(Case("str_ww_ref_model", "medium", way) for way in ("streamed", "builtin")),
    # On random samples it learns nothing: only its forward layers are of use.
    *(Case("pretrainedResnet_quant", "head", way) for way in _WAYS),
    Case("kws_ref_model", "full"),
    Case("person_detect", "full", residual_bits=4),
)
"""What the model is fitted on."""

HELD_OUT = tuple(
    Case(network, scheme, way)
    for network, ready in {
        "mbv2-w0.35": "mbv2-w0.35-99kb",
        "proxyless-w0.3": "proxyless-w0.3-98kb",
    }.items()
    for scheme, way in ((ready, "streamed"), (ready, "builtin"), ("light", "streamed"))
)
"""What it has not seen."""


def count(case: Case, core: Core, kernels: str = "cmsis_nn") -> list[int] | None:
    """Instructions of each op of a step; None where no TFLM for the core is at hand.

    Raises:
      RuntimeError: The program or the emulator failed.
    """
    model = case.rewritten()
    key = hashlib.sha256(model.source + sources_digest()).hexdigest()[:32]
    kept = KEPT / f"{core}-{kernels}-{key}.json"
    if kept.exists():
        return list(json.loads(kept.read_text()))
    counts = builtin_ops.count(str(core), model)
    if counts is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps(counts))
    return counts


@cache
def sources_digest() -> bytes:
    """Of all kernels and counting programs: counts of others are no use."""
    digest = hashlib.sha256()
    for folder in ("tflm_kernels", "benchmarks/target"):
        for path in sorted((boards.ROOT / folder).rglob("*.[ch]*")):
            digest.update(path.read_bytes())
    return digest.digest()


@cache
def _rewritten(case: Case) -> Model:
    model = load(SHARED / "models" / f"{case.network}.tflite")
    stream, forward = _WAYS[case.way]
    way = Way(stream=stream, forward=forward, max_slowdown=math.inf)
    scheme = dataclasses.replace(_scheme(case.scheme, model), residual_bits=case.residual_bits)
    return Model(way.rewrite(model, scheme).model_bytes, case.name)


def _scheme(name: str, model: Model) -> Scheme:
    if name in [str(preset) for preset in Preset]:
        return preset_scheme(Preset(name), model)
    return find_scheme(name)
