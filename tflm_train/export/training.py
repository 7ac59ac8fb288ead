"""What firmware that trains has beside inference, as the values that the templates name."""

from __future__ import annotations

from tflm_train.export.c_types import c_type
from tflm_train.export.latents import latent_values
from tflm_train.model import Tensor
from tflm_train.ops import BLOB_HEADER
from tflm_train.trained.state import StateLayout
from tflm_train.trained.trainable_model import TrainableModel

TRAINS = "TRAINS"
"""The value that is empty where firmware only infers: the templates leave out what is of training.
"""
STATE_BYTES = "STATE_BYTES"
"""The size of a saved state; there only where firmware trains."""

_INFERS = {
    TRAINS: "",
    "CLASS": "Predictor",
    "OBJECT": "predictor",
    "EXAMPLE": "infer",
    "ABOUT": "A TensorFlow Lite Micro model that infers on the board",
}


def training_values(
    trainable: TrainableModel | None, latent: Tensor | None, name: str
) -> dict[str, str]:
    """The templates' values.

    Args:
      trainable: What trains; None where nothing does.
      latent: Its latent, or its input where a trunk gives that; None where there is neither.
      name: C++ namespace and stem of the files.

    Raises:
      UnsupportedError: A label of a type that the trainer cannot handle.
    """
    if trainable is None:
        return _INFERS
    label = _label_values(trainable, name)
    return {
        TRAINS: "yes",
        "CLASS": "Trainer",
        "OBJECT": "trainer",
        "EXAMPLE": "train",
        "ABOUT": "A TensorFlow Lite Micro model that can be trained on the board",
        "LEARNING_RATE_INPUT": str(trainable.rate_input),
        "LOSS_OUTPUT": str(trainable.loss_output),
        "STATE_OUTPUT": str(trainable.state_output),
        STATE_BYTES: str(BLOB_HEADER.size + StateLayout(trainable).payload_bytes),
        **label,
        **latent_values(trainable, latent, name, label),
    }


def _label_values(trainable: TrainableModel, name: str) -> dict[str, str]:
    """What a training step is given beside the input: C++ of the trainer and of the example."""
    label = trainable.label
    if label is None:  # the input is the target
        return {
            "LABEL_CONSTANTS": "// A training step needs no label: the input is the target.",
            "TRAIN_PARAMETERS": "float rate",
            "SET_LABEL": "",
            "EXAMPLE_LABEL": "",
            "EXAMPLE_ARGUMENTS": f"{name}::kLearningRate",
        }
    meaning = "the index of the class" if label.type_name == "INT32" else "the wanted output"
    single = label.size == 1
    parameter, source = ("Label label", "&label") if single else ("const Label* target", "target")
    example = f"const {name}::Label label = 1;"
    if not single:
        example = f"const {name}::Label label[{name}::kLabelSize] = {{}};"
    return {
        "LABEL_CONSTANTS": f"// What a training step is given beside the input: {meaning}.\n"
        f"constexpr int kLabelInput = {trainable.label_input};\n"
        f"using Label = {c_type(label)};\n"
        f"constexpr size_t kLabelSize = {label.size};",
        "TRAIN_PARAMETERS": f"{parameter}, float rate",
        "SET_LABEL": f"    std::memcpy(interpreter_.input(kLabelInput)->data.data, {source},\n"
        "                sizeof(Label) * kLabelSize);\n",
        "EXAMPLE_LABEL": f"  {example}\n",
        "EXAMPLE_ARGUMENTS": f"label, {name}::kLearningRate",
    }
