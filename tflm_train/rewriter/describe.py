"""Tells readers of the file what the rewrite added: TFLite Metadata, and the signatures.

Signatures name inputs and outputs for LiteRT and viewers: `infer` has the model's own, `train` has
the target, the learning rate, the loss and the state as well. Those of the original model stay.
"""

from __future__ import annotations

from tflm_train.model import Tensor
from tflm_train.model.metadata import TensorNote, add_interface, set_class_names
from tflm_train.model.model import Model
from tflm_train.ops.constants import TargetKind
from tflm_train.ops.contract import INFER_SIGNATURE, TRAIN_SIGNATURE
from tflm_train.rewriter.training_graph import TrainingGraph
from tflm_train.scheme.head import Head

_LEARNING_RATE = TensorNote(
    "learning_rate", "Above 0: this invocation is a training step of that rate. 0: inference."
)
_LOSS = TensorNote("loss", "The loss of a training step before its update; 0 when not training.")
_STATE = TensorNote(
    "state", "Handle of the trained state, for the functions that save and load it."
)
_SOURCE = TensorNote(
    "source", "0: from the input. 1: from the latent as it stands; the frozen layers do not run."
)
_LATENT = TensorNote(
    "latent", "The activation where the trained part begins; kept, and may be written."
)
_LABELS = {
    TargetKind.INDEX: TensorNote(
        "label", "Index of the class that the output should be, at each position."
    ),
    TargetKind.VALUES: TensorNote("target", "What the output should be, one value for each."),
}


def describe_head(model: Model, head: Head, output: int, old: int) -> None:
    """Puts the class names right after the head has changed.

    Args:
      model: The model, its head attached.
      head: What became of it.
      output: Index of the trained output.
      old: Number of classes that the head had.
    """
    if head.classes is None and not head.add:
        return
    new = old + head.add if head.classes is None else head.classes
    set_class_names(model, output, old if head.add else 0, head.labels, new)


def describe_interface(graph: TrainingGraph) -> None:
    """Describes the added inputs and outputs in the metadata, and adds the signatures.

    Args:
      graph: Its model's inputs and outputs are complete.
    """
    model = graph.model
    kind = graph.plan.scheme.loss.target_kind
    notes = [_LEARNING_RATE] if graph.label is None else [_LABELS[kind], _LEARNING_RATE]
    results = [_LOSS, _STATE]
    if graph.gated is not None:
        notes.append(_SOURCE)
        results.append(_LATENT)
    add_interface(model, notes, results)
    own = model.signature_names()
    inputs = _named(model.graph.inputs[: -len(notes)], own)
    outputs = _named(model.graph.outputs[: -len(results)], own)
    if INFER_SIGNATURE not in model.signatures:
        model.add_signature(INFER_SIGNATURE, inputs, outputs)
    if TRAIN_SIGNATURE in model.signatures:
        graph.warnings.append(
            f"the model's own signature {TRAIN_SIGNATURE!r} was kept; ours is not added: use the "
            "names train/label, train/learning_rate, train/loss and train/state"
        )
        return
    model.add_signature(
        TRAIN_SIGNATURE,
        inputs | _noted(notes, model.graph.inputs),
        outputs | _noted(results, model.graph.outputs),
    )


def _noted(notes: list[TensorNote], tensors: list[Tensor]) -> dict[str, Tensor]:
    """The last tensors by the names of their notes."""
    return {note.name: t for note, t in zip(notes, tensors[-len(notes) :], strict=True)}


def _named(tensors: list[Tensor], own: dict[int, str]) -> dict[str, Tensor]:
    """Tensors by the name they have in the model's signatures, or by their own."""
    named: dict[str, Tensor] = {}
    for index, tensor in enumerate(tensors):
        name = own.get(id(tensor), tensor.short_name)
        named[name if name not in named else f"{name}_{index}"] = tensor
    return named
