"""The scheme file: which layers train, and how.

The example is also the test of this module's parser::

    version: 1
    loss: softmax_cross_entropy    # or sigmoid_cross_entropy, mean_squared_error (loss.py)
    head: {classes: 10}            # optional: replace the classifier by a fresh one (head.py)
    update:
      biases: {last: 22}           # or {layers: [40, 41, features/conv]}, or all
      weights:
        - {layer: 21, ratio: 1.0}  # a layer's index or name, share of its input channels
        - {layer: 24, ratio: 1/4, select: magnitude}
        - {layer: 27, channels: 12}      # a number of channels, or a list of them
    optimizer: sgd                 # or with options, see optimizer.py
    residual_bits: 8               # 4 or 0: less RAM, stochastic rounding
    seed: 0
    latent: false                  # true: steps from stored latents as well as from samples

A layer whose weights train also trains its bias. The head (the last layer that feeds the trained
output) always trains unless `head: {train: false}`, and is not counted by `biases: {last: k}`.
`biases: all` (or `{last: all}`) and `weights: all` stand for every layer below it that can train. A
scheme that fits one model only says which (`model`, see signature.py).
`output: 1` (or a name) trains another output than the first. `latent: true` lets the model train
from latents: the activation where the trained part begins can be read, kept and put back, and the
frozen layers need not run again. `qas: false` switches quantization-aware scaling off, for ablation
only.
"""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, Final, Literal

from tflm_train.backward_ops.losses import SOFTMAX_CROSS_ENTROPY
from tflm_train.errors import SchemeError
from tflm_train.files import read_text
from tflm_train.qas.update_rule import RESIDUAL_BITS, Sgd, UpdateRule
from tflm_train.scheme.head import Head, read_head
from tflm_train.scheme.loss import Loss, read_loss
from tflm_train.scheme.optimizer import read_optimizer
from tflm_train.scheme.signature import Signature, read_signature
from tflm_train.scheme.yaml_reader import MappingReader, ScalarReader, read_document

VERSION = 1
SELECTIONS = ("magnitude", "first", "random")

LayerRef = int | str
ALL: Final = "all"
"""Instead of a number or a list of layers: each one below the head that can train."""
_Last = int | Literal["all"]


@dataclass(frozen=True)
class WeightUpdate:
    """Weights of one layer.

    Attributes:
      layer: Its index or name.
      ratio: The share of its input channels that train.
      channels: Their number, or their list, instead of a ratio.
      select: Which ones: of largest L2 norm, the first, or random ones.
    """

    layer: LayerRef
    ratio: float = 1.0
    channels: int | tuple[int, ...] | None = None
    select: str = SELECTIONS[0]


_Weights = tuple[WeightUpdate, ...] | Literal["all"]


@dataclass(frozen=True)
class Scheme:
    """What to train, before it is resolved against a model.

    Attributes:
      loss: The training loss.
      output: The trained output's index or name, for models with several.
      head: The classifier.
      biases_last: Train the biases of the k layers below the head, or of `ALL` that can.
      bias_layers: Train the biases of these layers (index or name).
      weights: Layers whose weights train, or `ALL` that can.
      residual_bits: Extra bits kept per trained weight: 8 (rounds to nearest), 4 or 0 (stochastic).
      seed: Of the stochastic rounding.
      qas: Quantization-aware scaling; False only for ablation.
      optimizer: How a gradient becomes a step.
      model: The only model that the scheme is for; None for any.
      latent: Whether the model also trains from latents; what it learns is the same.
    """

    loss: Loss = field(default_factory=Loss)
    head: Head = field(default_factory=Head)
    biases_last: _Last = 0
    bias_layers: tuple[LayerRef, ...] = ()
    weights: _Weights = ()
    residual_bits: int = 8
    seed: int = 0
    qas: bool = True
    output: LayerRef = 0
    optimizer: UpdateRule = field(default_factory=Sgd)
    model: Signature | None = None
    latent: bool = False

    @staticmethod
    def load(path: str | os.PathLike[str]) -> Scheme:
        """Reads a scheme file.

        Args:
          path: The YAML file.

        Returns:
          The scheme.

        Raises:
          SchemeError: The file cannot be read or breaks the schema.
        """
        file = Path(path)
        return Scheme.parse(read_text(file, SchemeError), file.name)

    @staticmethod
    def parse(text: str, name: str = "scheme") -> Scheme:
        """Reads a scheme from YAML text; `name` is what errors call it."""
        top = read_document(text, name)
        version = top.require("version").integer()
        if version.value != VERSION:
            raise version.error(f"version {version.value} is not known; this tool reads {VERSION}")
        model = read_signature(top.get("model").optional_mapping())
        loss = read_loss(top.get("loss"))
        fewest = 2 if loss.rule is SOFTMAX_CROSS_ENTROPY else 1
        head = read_head(top.get("head").optional_mapping(), fewest)
        output = top.get("output")
        last, layers, weights = _read_update(top.get("update").optional_mapping())
        optimizer = read_optimizer(top.get("optimizer"))
        residual_bits = _read_residual(top.get("residual_bits"), optimizer)
        seed = top.get("seed").integer(default=0, low=0, high=2**32 - 1).value
        qas = top.get("qas").boolean(default=True)
        latent = top.get("latent").boolean(default=False)
        top.finish()
        trained = 0 if output.absent else output.layer()
        return Scheme(
            loss,
            head,
            last,
            layers,
            weights,
            residual_bits,
            seed,
            qas,
            trained,
            optimizer,
            model,
            latent,
        )

    def to_dict(self) -> dict[str, Any]:
        """The scheme as plain values, for reports and fingerprints."""
        return asdict(self)


def _read_residual(reader: ScalarReader, optimizer: UpdateRule) -> int:
    bits = reader.integer(default=8)
    if bits.value not in RESIDUAL_BITS:
        raise bits.error(f"residual_bits must be one of {RESIDUAL_BITS}, not {bits.value}")
    if bits.value not in optimizer.residual_bits:
        needed = " or ".join(str(b) for b in optimizer.residual_bits)
        raise bits.error(f"accumulated steps need `residual_bits: {needed}`, not {bits.value}")
    return bits.value


def _read_update(
    mapping: MappingReader | None,
) -> tuple[_Last, tuple[LayerRef, ...], _Weights]:
    if mapping is None:
        return 0, (), ()
    last, layers = _read_biases(mapping.get("biases"))
    weights = mapping.get("weights")
    updates: _Weights = ALL if weights.is_word(ALL) else _read_weights(weights)
    mapping.finish()
    return last, layers, updates


def _read_biases(reader: ScalarReader) -> tuple[_Last, tuple[LayerRef, ...]]:
    if reader.is_word(ALL):
        return ALL, ()
    biases = reader.optional_mapping()
    if biases is None:
        return 0, ()
    count = biases.get("last")
    last: _Last = ALL if count.is_word(ALL) else count.integer(default=0, low=0).value
    layers = tuple(item.layer() for item in biases.get("layers").items())
    biases.finish()
    if last and layers:
        raise biases.error("give either `last` or `layers`, not both")
    return last, layers


def _read_weights(reader: ScalarReader) -> tuple[WeightUpdate, ...]:
    weights: list[WeightUpdate] = []
    for item in reader.items():
        entry = item.mapping()
        layer = entry.require("layer").layer()
        ratio = _read_ratio(entry.get("ratio"))
        channels = _read_channels(entry.get("channels"))
        select = entry.get("select").choice(SELECTIONS, SELECTIONS[0])
        entry.finish()
        if ratio is not None and channels is not None:
            raise entry.error("give either `ratio` or `channels`, not both")
        if any(layer == w.layer for w in weights):
            raise entry.error(f"layer {layer} is named twice")
        weights.append(WeightUpdate(layer, 1.0 if ratio is None else ratio, channels, select))
    return tuple(weights)


def _read_ratio(reader: ScalarReader) -> float | None:
    if reader.absent:
        return None
    text = reader.text(default="1")
    try:
        ratio = Fraction(text)
    except (ValueError, ZeroDivisionError) as error:
        raise reader.error(f"ratio must be a number such as 1 or 1/4, not {text!r}") from error
    if not 0 < ratio <= 1:
        raise reader.error(f"ratio must lie in (0, 1], not {text}")
    return float(ratio)


def _read_channels(reader: ScalarReader) -> int | tuple[int, ...] | None:
    if reader.absent:
        return None
    if not reader.is_list:
        return reader.integer(low=1).value
    channels = tuple(item.integer(low=0).value for item in reader.items())
    if not channels or len(set(channels)) != len(channels):
        raise reader.error("must list at least one channel, each once")
    return tuple(sorted(channels))
