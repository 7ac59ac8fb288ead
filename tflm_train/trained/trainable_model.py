"""A rewritten model read back: what trains in it, and what a training step is given and gives."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

from tflm_train.errors import ModelError
from tflm_train.graph import TRAINING_OP_PREFIX, Op, Tensor
from tflm_train.model import Model
from tflm_train.ops import (
    ConvUpdate,
    DepthwiseUpdate,
    Loss,
    Params,
    Restore,
    Role,
    TargetKind,
)
from tflm_train.ops.builtin import builtin_of
from tflm_train.ops.contract import EXTRA_INPUTS, EXTRA_OUTPUTS, SOURCE_INPUT, STATE_WORDS
from tflm_train.ops.npu import ETHOS_U
from tflm_train.ops.reading import is_ours, read_params
from tflm_train.ops.tensors import slots_of

_UPDATE_PREFIX = "update/"


class VariableKind(enum.StrEnum):
    """What a variable is for."""

    WEIGHTS = "weights"
    RESIDUAL = "residual"
    """The low bits of weights."""
    BIAS = "bias"
    GATHERED = "gathered"
    """Steps of weights that an update rule has not made yet."""
    BIAS_GATHERED = "bias_gathered"
    """Those of a bias."""
    SCALES = "scales"
    """`train/scales`: one for each gradient tensor."""
    RANGES = "ranges"
    """`train/ranges`: running ratios that predict exponents."""


@dataclass(frozen=True, eq=False)
class Variable:
    """A tensor that training changes.

    Attributes:
      key: Its tensor's name, with `/1`, `/2` and so on behind it where an earlier one has that name
        already: no two variables of a model have the same key.
      tensor: The tensor.
      kind: What it is for.
      factory: Its bytes before the first step; None for zeros.
    """

    key: str
    tensor: Tensor
    kind: VariableKind
    factory: bytes | None


@dataclass(frozen=True, eq=False)
class Update:
    """What one op changes.

    Attributes:
      op: The op: an update, or an input gradient that updates a bias on the way.
      params: Its parameters: the step rule's among them.
      layer: Name of the layer.
      weights: The weights that it changes; None where only the bias trains.
      residual: Their low bits; None where none are kept.
      bias: The bias that it changes, None where there is none.
    """

    op: Op
    params: Params
    layer: str
    weights: Variable | None
    residual: Variable | None
    bias: Variable | None

    @property
    def residual_bits(self) -> int:
        """How many low bits of its weights are kept beside them; 0 where no weights train."""
        if isinstance(self.params, ConvUpdate | DepthwiseUpdate):
            return self.params.update.residual_bits
        return 0

    @property
    def variables(self) -> list[Variable]:
        """Those that there are."""
        return [v for v in (self.weights, self.residual, self.bias) if v is not None]


@dataclass(frozen=True, eq=False)
class TrainableModel:
    """A rewritten model; `read` makes it.

    Attributes:
      model: The model.
      fingerprint: 64 bits that name it in saved states.
      seed: Of the random rounding.
      inputs: The original model's inputs.
      outputs: The original model's outputs.
      label: What `train/label` is; None for a model that learns its own input.
      latent: The activation that steps may begin from; None where they are from samples only.
      trained_output: Index of the output that the loss is about.
      loss_op: The loss.
      loss: Its parameters.
      variables: What trains, in the order in which saved states hold it.
      updates: The ops that change them, in execution order.
    """

    model: Model
    fingerprint: int
    seed: int
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    label: Tensor | None
    latent: Tensor | None
    trained_output: int
    loss_op: Op
    loss: Loss
    variables: tuple[Variable, ...]
    updates: tuple[Update, ...]

    @staticmethod
    def find(model: Model) -> TrainableModel | None:
        """Reads a model; None where it holds no training ops.

        Raises:
          ModelError: Its training ops are damaged.
        """
        restore = next((op for op in model.graph.ops if Restore.is_kind_of(op)), None)
        return None if restore is None else _read(model, restore)

    @staticmethod
    def read(model: Model) -> TrainableModel:
        """Reads a rewritten model.

        Raises:
          ModelError: It holds no training ops, or damaged ones.
        """
        found = TrainableModel.find(model)
        if found is None:
            raise ModelError(
                f"{model.name} holds no training ops; run `tflm_train rewrite` on it first"
            )
        return found

    @property
    def name(self) -> str:
        """The file's name."""
        return self.model.name

    @property
    def label_input(self) -> int | None:
        """Index of `train/label` among the model's inputs."""
        return None if self.label is None else len(self.inputs)

    @property
    def rate_input(self) -> int:
        """Index of `train/learning_rate` among the model's inputs."""
        return len(self.inputs) + (self.label is not None)

    @property
    def loss_output(self) -> int:
        """Index of `train/loss` among the model's outputs."""
        return len(self.outputs)

    @property
    def state_output(self) -> int:
        """Index of `train/state` among the model's outputs."""
        return len(self.outputs) + 1

    @property
    def source_input(self) -> int | None:
        """Index of `train/source` among the model's inputs; None where there is none."""
        return None if self.latent is None else self.rate_input + 1

    @property
    def latent_output(self) -> int | None:
        """Index of the latent among the model's outputs; None where there is none."""
        return None if self.latent is None else self.state_output + 1

    @property
    def head(self) -> Update | None:
        """The update of the layer that the loss reads: the one given the loss's own gradient."""
        gradient = Loss.outputs_of(self.loss_op).gradient
        return next((update for update in self.updates if gradient in update.op.inputs), None)


def unique_names(tensors: Sequence[Tensor]) -> list[str]:
    """The tensors' names; those that are there already get `/1`, `/2` and so on behind them."""
    taken = {tensor.name for tensor in tensors}
    given: set[str] = set()
    names = []
    for tensor in tensors:
        name, count = tensor.name, 0
        while name in given or (count and name in taken):
            count += 1
            name = f"{tensor.name}/{count}"
        given.add(name)
        names.append(name)
    return names


def _read(model: Model, restore: Op) -> TrainableModel:
    loss_op = next((op for op in model.graph.ops if Loss.is_kind_of(op)), None)
    if loss_op is None:
        raise _damaged(model, f"it holds training ops but no {TRAINING_OP_PREFIX}{Loss.OP}")
    restored, loss = _params(restore, model), _params(loss_op, model)
    assert isinstance(restored, Restore) and isinstance(loss, Loss)
    inputs, label, outputs, latent = _interface(model, loss)
    try:
        logits = Loss.inputs_of(loss_op).logits
        changed = _changes(model)
        variables = _variables(model, restore, Loss.inputs_of(loss_op).scales, changed)
    except ValueError as error:
        raise _damaged(model, f"one of its training ops: {error}") from error
    return TrainableModel(
        model=model,
        fingerprint=restored.fingerprint_lo | restored.fingerprint_hi << 32,
        seed=restored.seed,
        inputs=inputs,
        outputs=outputs,
        label=label,
        latent=latent,
        trained_output=_trained_output(model, outputs, logits),
        loss_op=loss_op,
        loss=loss,
        variables=variables,
        updates=tuple(_update(change, variables) for change in changed),
    )


def _interface(
    model: Model, loss: Loss
) -> tuple[tuple[Tensor, ...], Tensor | None, tuple[Tensor, ...], Tensor | None]:
    """The original inputs, the label, the original outputs, the latent.

    What a rewrite adds must be where it put it.
    """
    inputs, outputs = list(model.graph.inputs), list(model.graph.outputs)
    names = EXTRA_INPUTS[loss.target_kind == TargetKind.INPUT :]
    latent = None
    kinds = [("FLOAT32", 1), ("FLOAT32", 1), ("INT32", STATE_WORDS)]
    if inputs and inputs[-1].name == SOURCE_INPUT and outputs:
        source, latent = inputs.pop(), outputs.pop()
        is_theirs = (source.type_name, source.size, source.is_variable) == ("INT32", 1, True)
        if not is_theirs or not latent.is_variable or latent.type_name != "INT8":
            raise _damaged(model, f"{SOURCE_INPUT} or its last output, the latent, is not one")
    added = [*inputs[-len(names) :], *outputs[-len(EXTRA_OUTPUTS) :]]
    found = [(t.type_name, t.size) for t in added[-3:]]
    if [t.name for t in added] != [*names, *EXTRA_OUTPUTS] or found != kinds:
        raise _damaged(
            model,
            "its last inputs and outputs are not those that a rewrite adds "
            f"({', '.join(names)}; {', '.join(EXTRA_OUTPUTS)})",
        )
    label = added[0] if len(names) > 1 else None
    return (
        tuple(inputs[: -len(names)]),
        label,
        tuple(outputs[: -len(EXTRA_OUTPUTS)]),
        latent,
    )


def _trained_output(model: Model, outputs: Sequence[Tensor], logits: Tensor) -> int:
    """The output that the loss's logits are, or become by what the loss includes."""
    for index, output in enumerate(outputs):
        tensor = output
        while tensor is not logits:
            op = model.graph.producer(tensor)
            row = None if op is None else builtin_of(op)
            if op is not None and ETHOS_U.is_kind_of(op) and _spans(op, logits, tensor):
                tensor = logits
            elif op is not None and row is not None and row.may_end:
                tensor = op.input
            else:
                break
        else:
            return index
    raise _damaged(model, "none of its outputs is what the loss is about")


def _spans(op: Op, logits: Tensor, output: Tensor) -> bool:
    """Whether an op of an NPU, which does not tell what it computes, makes one of the other."""
    is_near = any(tensor is logits for tensor in [*op.inputs, *op.outputs])
    return is_near and logits.size == output.size


@dataclass(frozen=True)
class _Changed:
    """The tensors that an op changes in place, and the name of their layer."""

    op: Op
    params: Params
    layer: str
    tensors: dict[VariableKind, Tensor]


def _changes(model: Model) -> list[_Changed]:
    """What the ops change: updates, and input gradients that update a bias on the way."""
    found = []
    for op in model.graph.ops:
        if not is_ours(op):
            continue
        params = _params(op, model)
        inputs = params.inputs_of(op)
        slots = [s for s in slots_of(type(inputs)) if s.spec.role is Role.VARIABLE]
        named = {VariableKind(s.name): getattr(inputs, s.name) for s in slots}
        tensors = {kind: tensor for kind, tensor in named.items() if tensor is not None}
        if tensors:
            factors = [t.name for t in inputs.having(Role.FACTORS)]
            layer = next((n for n in factors if n.startswith(_UPDATE_PREFIX)), _UPDATE_PREFIX)
            name = layer.removeprefix(_UPDATE_PREFIX).rpartition("/")[0]
            found.append(_Changed(op, params, name, tensors))
    return found


def _variables(
    model: Model, restore: Op, scales: Tensor, changed: Sequence[_Changed]
) -> tuple[Variable, ...]:
    """What the restore op fills, in its order."""
    tensors = Restore.outputs_of(restore).variables
    kinds = {id(scales): VariableKind.SCALES}
    for change in changed:
        kinds |= {id(tensor): kind for kind, tensor in change.tensors.items()}
        if any(tensor not in tensors for tensor in change.tensors.values()):
            index = model.graph.index(change.op)
            raise _damaged(
                model, f"op {index} ({change.op.name}) changes what {Restore.OP} does not fill"
            )
    for tensor in tensors:
        if id(tensor) not in kinds and tensor.type_name != "FLOAT32":
            raise _damaged(model, f"no training op changes the variable {tensor.name!r}")
    names, factory = unique_names(tensors), _factory(model, restore, tensors)
    return tuple(
        # The ranges are what is left; not every model has an op that reads them.
        Variable(key, tensor, kinds.get(id(tensor), VariableKind.RANGES), values)
        for key, tensor, values in zip(names, tensors, factory, strict=True)
    )


def _factory(model: Model, restore: Op, tensors: Sequence[Tensor]) -> tuple[bytes | None, ...]:
    """The bytes that each variable is restored from; None for zeros.

    One constant has those of the first variables, one after another.
    """
    same = all(t.is_variable and t.dtype is not None for t in tensors)
    data = b""
    for constant in Restore.inputs_of(restore).factory:
        same &= constant.data is not None and constant.type_name == "INT8" and not data
        data = b"" if constant.data is None else constant.data.tobytes()
    if not same or len(data) > sum(t.nbytes for t in tensors):
        index = model.graph.index(restore)
        raise _damaged(
            model, f"op {index} ({restore.name}): its constants do not fit its variables"
        )
    found: list[bytes | None] = []
    for tensor in tensors:
        part, data = data[: tensor.nbytes], data[tensor.nbytes :]
        found.append(part.ljust(tensor.nbytes, b"\0") if part else None)
    return tuple(found)


def _update(change: _Changed, variables: Sequence[Variable]) -> Update:
    by_tensor = {id(variable.tensor): variable for variable in variables}
    found = {kind: by_tensor[id(tensor)] for kind, tensor in change.tensors.items()}
    return Update(
        op=change.op,
        params=change.params,
        layer=change.layer,
        weights=found.get(VariableKind.WEIGHTS),
        residual=found.get(VariableKind.RESIDUAL),
        bias=found.get(VariableKind.BIAS),
    )


def _params(op: Op, model: Model) -> Params:
    return read_params(op, model.graph, model.name)


def _damaged(model: Model, what: str) -> ModelError:
    return ModelError(f"{model.name}: {what}; rewrite the original model again")
