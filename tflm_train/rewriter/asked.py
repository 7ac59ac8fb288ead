"""What a user asks of a rewrite and what it comes to, for the command and for Python."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field

from tflm_train.cost.cores import Core
from tflm_train.errors import SchemeError
from tflm_train.memory import KernelSet
from tflm_train.model import Model
from tflm_train.rewriter.budget import fitting_way, parse_bytes
from tflm_train.rewriter.choose_preset import Judge, PresetChoice, choose_preset
from tflm_train.rewriter.coins import Budget
from tflm_train.rewriter.optimize import Forward, Streaming
from tflm_train.rewriter.rewrite import RewriteResult, original_of
from tflm_train.rewriter.trials import OnTrial, Way, ignore_trial
from tflm_train.scheme import Scheme
from tflm_train.scheme.head import KEPT_HEAD, Head
from tflm_train.scheme.presets import Preset, preset_scheme

DEFAULT_BUDGET = "256KB"
"""Of the arena, where a preset is chosen by what fits."""
DEFAULT_SLOWDOWN = 1.0
"""Forward layers are never slower than the builtin ones; more only where nothing else fits."""


@dataclass(frozen=True)
class Asked:
    """What a user asks for.

    Attributes:
      scheme: What trains; None: the preset that trains most of those that fit.
      head: What becomes of the last layer, where the preset is chosen.
      residual_bits: Extra bits per weight, where the preset is chosen; None: as many as fit.
      latent: Whether the model shall train from latents as well, where the preset is chosen.
      budget: What it may cost.
      way: How the forward layers run where that fits.
      may_be_slower: Whether the way's limit of time may be left where nothing else fits.
      judge: Tells presets apart by data, where the preset is chosen; None: there are none.
    """

    scheme: Scheme | None = None
    head: Head = KEPT_HEAD
    residual_bits: int | None = None
    latent: bool = False
    budget: Budget = field(default_factory=Budget)
    way: Way = field(default_factory=Way)
    may_be_slower: bool = True
    judge: Judge | None = None


@dataclass(frozen=True)
class Settled:
    """What it comes to.

    Attributes:
      scheme: What trains.
      way: How the forward layers run.
      chosen: The choice of the preset, where there was one.
    """

    scheme: Scheme
    way: Way
    chosen: PresetChoice | None = None


def settle(model: Model, asked: Asked, on_trial: OnTrial = ignore_trial) -> Settled:
    """Chooses what was left open, and checks the rest against the budget.

    Args:
      model: The model, as `original_of` gives it.
      asked: What is wanted.
      on_trial: Told of each rewrite once it is done.

    Raises:
      BudgetError: Nothing, or not what was asked for, fits.
      UnsupportedError: Nothing of the model can train.
    """
    budget = asked.budget
    if asked.scheme is None:
        if math.isinf(budget.arena):
            budget = dataclasses.replace(budget, arena=parse_bytes(DEFAULT_BUDGET))
        fitting, chosen = choose_preset(
            model,
            budget,
            asked.way,
            asked.head,
            asked.residual_bits,
            asked.latent,
            on_trial,
            asked.judge,
        )
        return Settled(fitting.scheme, fitting.way, chosen)
    way = asked.way
    if budget.limits_anything:
        way = fitting_way(model, asked.scheme, way, budget, asked.may_be_slower, on_trial)
    return Settled(asked.scheme, way)


@dataclass(frozen=True)
class FittedResult(RewriteResult):
    """What `rewrite` returns.

    Attributes:
      scheme: What trains.
      chosen: The preset that was chosen, where neither scheme nor preset was named.
    """

    scheme: Scheme
    chosen: PresetChoice | None


def rewrite(
    model: Model,
    scheme: Scheme | None = None,
    *,
    preset: Preset | str | None = None,
    classes: int | None = None,
    budget: str | Budget | None = None,
    kernels: KernelSet | str = KernelSet.CMSIS_NN,
    stream: Streaming | str = Streaming.AUTO,
    forward: Forward | str = Forward.AUTO,
    max_slowdown: float | None = None,
    core: Core | None = None,
    pins: bool = True,
) -> FittedResult:
    """Makes a model trainable, with the defaults of the command `rewrite`.

    Args:
      model: An int8 model; not changed.
      scheme: What to train. With neither scheme nor preset, the best preset that fits the budget.
      preset: What to train, for any model.
      classes: A fresh head of so many classes; None: the scheme's head, or the model's.
      budget: The largest arena (`192KB`), or of every coin the most; None: no limit, or
        `DEFAULT_BUDGET` where the preset is chosen by it.
      kernels: What will run the builtin operators; the memory report and the estimates depend on
        it.
      stream: Whether runs of layers become one op each, to save memory.
      forward: Whether other layers leave their builtin op for one with constants in flash.
      max_slowdown: Largest estimated time of the forward layers relative to the builtin ops'; None:
        1, and more only where nothing else fits the budget.
      core: What the time is estimated for; None: a core on which these kernels run.
      pins: Whether tensors may have fixed places in the arena; False for interpreters made with
        `preserve_all_tensors`, and for planners of your own.

    Returns:
      The rewritten model and the report.

    Raises:
      SchemeError: The scheme does not fit the model, or there is a preset as well.
      BudgetError: Nothing, or not what was asked for, fits the budget.
      UnsupportedError: Something between the loss and a trained layer cannot be differentiated.
    """
    if scheme is not None and preset is not None:
        raise SchemeError("give a scheme or a preset, not both")
    model = original_of(model)
    head = KEPT_HEAD if classes is None else Head(classes)
    if preset is not None:
        scheme = preset_scheme(preset, model, head)
    elif scheme is not None and classes is not None:
        scheme = dataclasses.replace(scheme, head=dataclasses.replace(scheme.head, classes=classes))
    if not isinstance(budget, Budget):
        budget = Budget(math.inf if budget is None else parse_bytes(budget))
    limit = DEFAULT_SLOWDOWN if max_slowdown is None else max_slowdown
    way = Way(KernelSet(kernels), Streaming(stream), Forward(forward), core, limit, pins)
    asked = Asked(scheme, head, budget=budget, way=way, may_be_slower=max_slowdown is None)
    settled = settle(model, asked)
    result = settled.way.rewrite(model, settled.scheme)
    return FittedResult(**vars(result), scheme=settled.scheme, chosen=settled.chosen)
