"""Rewrites to measure what a scheme takes, each done once."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass, field

from tflm_train.cost.cores import Core
from tflm_train.memory import KernelSet, MemoryReport
from tflm_train.model import Model
from tflm_train.rewriter.costs import Costs
from tflm_train.rewriter.optimize import Choice, Forward, Streaming
from tflm_train.rewriter.rewrite import RewriteResult, rewrite, rewritten_costs
from tflm_train.rewriter.run_costs import KnownRuns
from tflm_train.scheme import Scheme


@dataclass(frozen=True)
class Way:
    """How a model's forward layers run.

    Attributes:
      kernels: What runs the builtin operators.
      stream: Whether runs of layers become one op each.
      forward: Whether other layers leave their builtin op.
      core: What the time is estimated for; None: a core on which these kernels run.
      max_slowdown: Largest estimated time of the forward layers relative to builtin ops; 0: as fast
        as they can be.
      pins: Whether tensors may have fixed places in the arena.
    """

    kernels: KernelSet = KernelSet.CMSIS_NN
    stream: Streaming = Streaming.AUTO
    forward: Forward = Forward.AUTO
    core: Core | None = None
    max_slowdown: float = 1.0
    pins: bool = True

    def rewrite(self, model: Model, scheme: Scheme, *, apart: bool = False) -> RewriteResult:
        """`rewrite` in this way."""
        return rewrite(
            model,
            scheme,
            self.kernels,
            stream=self.stream,
            forward=self.forward,
            max_slowdown=self.max_slowdown,
            core=self.core,
            apart=apart,
            pins=self.pins,
        )

    @property
    def choice(self) -> Choice:
        """The way as the pass that streams layers takes it."""
        return Choice(
            self.stream, self.forward, self.max_slowdown, self.kernels, self.core, self.pins
        )

    def fastest(self) -> Way:
        """The way that takes least time, with the same kernels."""
        return dataclasses.replace(
            self, stream=Streaming.AUTO, forward=Forward.AUTO, max_slowdown=0.0
        )

    def builtin(self) -> Way:
        """The way that needs least code of ours."""
        return dataclasses.replace(self, stream=Streaming.OFF, forward=Forward.BUILTIN)

    def smallest(self) -> Way:
        """The way that takes least RAM, with the same kernels."""
        return dataclasses.replace(
            self, stream=Streaming.AUTO, forward=Forward.AUTO, max_slowdown=math.inf
        )


OnTrial = Callable[[int, Costs], None]
"""Told of a rewrite: how many were done so far, and what it costs."""


def ignore_trial(count: int, costs: Costs) -> None:
    """For who does not want to be told."""


@dataclass
class Trials:
    """Rewrites of one model.

    Attributes:
      model: The model.
      on_trial: Told of each once it is done.
      count: How many were done.
    """

    model: Model
    on_trial: OnTrial = ignore_trial
    count: int = 0
    _costs: dict[tuple[Scheme, Way], Costs] = field(default_factory=dict)
    _known: KnownRuns = field(default_factory=KnownRuns)

    def costs(self, scheme: Scheme, way: Way) -> Costs:
        """What a rewrite costs: RAM, flash and time.

        Raises:
          SchemeError, UnsupportedError: The model cannot be rewritten so.
        """
        key = (scheme, way)
        if key not in self._costs:
            self.count += 1
            self._costs[key] = rewritten_costs(self.model, scheme, way.choice, self._known)
            self.on_trial(self.count, self._costs[key])
        return self._costs[key]

    def memory(self, scheme: Scheme, way: Way) -> MemoryReport:
        """The arena of a rewrite; as of `costs`."""
        return self.costs(scheme, way).memory

    def arena(self, scheme: Scheme, way: Way) -> int:
        """Its bytes."""
        return self.memory(scheme, way).minimum_bytes
