"""What the passes hand to each other: a model's graph with its training parts."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from tflm_train.backward_ops.losses import find_logits, positions_of
from tflm_train.backward_ops.rule import Gradient
from tflm_train.backward_ops.trained_layer import TrainedLayer
from tflm_train.model import Model, Op, Tensor
from tflm_train.model.layers import Layer
from tflm_train.model.origins import Origin
from tflm_train.ops import STATE_WORDS, Params, UpdateOutputs
from tflm_train.ops.constants import TargetKind
from tflm_train.ops.contract import LIVE_WORDS
from tflm_train.ops.declaration import Inputs, Outputs, TrainingOp
from tflm_train.scheme import UpdatePlan


@dataclass(eq=False)
class TrainOp(Op):
    """One of our custom ops: its parameters stay typed until the model is written.

    Attributes:
      params: Its parameters.
      origins: The builtin operators that it has taken over; None where there are none.
    """

    params: Params = field(kw_only=True)
    origins: tuple[Origin, ...] | None = None

    @staticmethod
    def make(params: TrainingOp[Inputs, Outputs], inputs: Inputs, outputs: Outputs) -> TrainOp:
        """Makes an op from its parameters and named tensors."""
        made = [t for t in outputs.in_order() if t is not None]
        return TrainOp(params.custom_name, inputs.in_order(), made, is_custom=True, params=params)


@dataclass(frozen=True)
class Variable:
    """A RAM tensor that outlives an invocation.

    Attributes:
      tensor: The variable (no buffer: TFLM would lose it silently).
      factory: The values it is restored to; None for zeros.
    """

    tensor: Tensor
    factory: npt.NDArray[np.generic] | None


@dataclass(frozen=True, eq=False)
class FrozenPart:
    """The forward operators whose result for a sample never changes.

    Attributes:
      ops: The operators, by their id; none where the latent is the model's input.
      latent: Their result, a variable and graph output.
      source: int32 [1] variable and graph input: 0, they run; 1, the latent stays as it is. None
        where they are only kept apart from what trains, in their builtin ops.
    """

    ops: dict[int, Op]
    latent: Tensor
    source: Tensor | None


@dataclass(eq=False)
class TrainingGraph:
    """A model on its way from inference to training.

    Attributes:
      model: The model being rewritten (a private copy).
      plan: What trains.
      forward: The original operators, in order.
      state: int32 [16] graph output, the state handle (no variable: tools drop those from outputs).
      control: int32 variable, the live state and behind it the marks of a step.
      learning_rate: float32 [1] variable and graph input.
      label: The target, a graph input: int32 [1] class index, or one for each position of a map;
        or float32 of the trained output's shape; None where the target is the model's own input.
      loss: float32 [1] graph output.
      scales: float32 [slots] variable, one scale per gradient tensor.
      ranges: float32 [slots] variable, running ratios for the exponent's prediction.
      variables: What the restore op fills, in order.
      tokens: What the updates write, each to say that it is done.
      trained: The layers that train, by the id of their op.
      joint_biases: The ids of such ops that are uses of one layer and have one bias, in tensors of
        several scales.
      frozen: What a step from a latent leaves out; None where nobody asks for it.
      slot_names: Which tensor's gradient each slot belongs to.
      training: Our ops, in the order they were made (the schedule pass orders them).
      clipped: Layers of which some weights had to be moved into +-127.
      warnings: For the report.
    """

    model: Model
    plan: UpdatePlan
    forward: list[Op]
    state: Tensor
    control: Tensor
    learning_rate: Tensor
    label: Tensor | None
    loss: Tensor
    scales: Tensor
    ranges: Tensor
    variables: list[Variable] = field(default_factory=list)
    tokens: list[Tensor] = field(default_factory=list)
    trained: dict[int, TrainedLayer] = field(default_factory=dict)
    joint_biases: list[tuple[int, ...]] = field(default_factory=list)
    frozen: FrozenPart | None = None
    slot_names: list[str] = field(default_factory=list)
    training: list[TrainOp] = field(default_factory=list)
    clipped: list[Layer] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @staticmethod
    def start(model: Model, plan: UpdatePlan) -> TrainingGraph:
        """Adds the interface tensors of the contract to a model's graph."""

        def variable(name: str, dtype: npt.DTypeLike, size: int) -> Tensor:
            return model.graph.add(Tensor.make(name, dtype, (size,), is_variable=True))

        return TrainingGraph(
            model=model,
            plan=plan,
            forward=list(model.graph.ops),
            state=model.graph.add(Tensor.make("train/state", np.int32, (STATE_WORDS,))),
            control=variable("train/control", np.int32, LIVE_WORDS + 1),
            learning_rate=variable("train/learning_rate", np.float32, 1),
            label=_make_label(model, plan),
            loss=model.graph.add(Tensor.make("train/loss", np.float32, (1,))),
            scales=variable("train/scales", np.float32, 1),
            ranges=variable("train/ranges", np.float32, 1),
        )

    @property
    def gated(self) -> FrozenPart | None:
        """The frozen part of a model that trains from latents."""
        return self.frozen if self.frozen is not None and self.frozen.source is not None else None

    @property
    def is_ordered(self) -> bool:
        """Whether the model's operators are all there, in execution order."""
        ops = self.model.graph.ops
        return bool(ops) and isinstance(ops[0], TrainOp)

    @property
    def interface_inputs(self) -> list[Tensor]:
        """What the graph's inputs get beside the model's own."""
        label = [] if self.label is None else [self.label]
        return [*label, self.learning_rate]

    def emit(
        self, params: TrainingOp[Inputs, Outputs], inputs: Inputs, outputs: Outputs
    ) -> TrainOp:
        """Adds one of our ops."""
        op = TrainOp.make(params, inputs, outputs)
        self.training.append(op)
        return op

    def emit_update(
        self, name: str, params: TrainingOp[Inputs, UpdateOutputs], inputs: Inputs
    ) -> TrainOp:
        """Adds an op that changes variables among its inputs.

        Args:
          name: Of what it updates.
          params: Its parameters.
          inputs: Its inputs.

        Returns:
          The op; its output is a token, which says that it has run.
        """
        token = self.model.graph.add(Tensor.make(f"update/{name}/done", np.int8, (1,)))
        self.tokens.append(token)
        return self.emit(params, inputs, UpdateOutputs(token=token))

    def constant(self, name: str, data: npt.NDArray[np.generic]) -> Tensor:
        """Adds a constant (it stays in flash)."""
        return self.model.graph.add(Tensor.constant(name, data))

    def new_gradient(self, of: Tensor) -> Gradient:
        """Makes the gradient tensor of `of` and its slot."""
        taken = self.slot_names.count(of.short_name)
        suffix = f"/{taken}" if taken else ""
        tensor = Tensor.make(f"grad/{of.short_name}{suffix}", np.int8, of.shape)
        self.slot_names.append(of.short_name)
        return Gradient(self.model.graph.add(tensor), len(self.slot_names) - 1, of)

    def close_slots(self) -> None:
        """Sizes `train/scales` and `train/ranges` once every gradient is known."""
        count = max(1, len(self.slot_names))
        self.scales.shape = (count,)
        self.ranges.shape = (count,)


def _make_label(model: Model, plan: UpdatePlan) -> Tensor | None:
    kind = plan.scheme.loss.target_kind
    if kind is TargetKind.INPUT:
        return None
    if kind is TargetKind.INDEX:
        loss = plan.scheme.loss
        logits = find_logits(model, loss.name, plan.output)
        shape = (1,) if positions_of(loss.rule, logits) == 1 else logits.shape[:-1]
        return model.graph.add(Tensor.make("train/label", np.int32, shape))
    shape = model.graph.outputs[plan.output].shape
    return model.graph.add(Tensor.make("train/label", np.float32, shape))
