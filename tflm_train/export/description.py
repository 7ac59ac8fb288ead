"""What firmware must know of a rewritten model, as the values that the templates name."""

from __future__ import annotations

from collections.abc import Sequence

from tflm_train.errors import DataError, UnsupportedError
from tflm_train.export.arena import both, plan_arena
from tflm_train.export.c_source import array, c_float, c_string
from tflm_train.export.front_end import KIND, example_values, front_end_values
from tflm_train.export.latents import latent_values
from tflm_train.export.provenance import provenance
from tflm_train.export.resolver import exact_resolver
from tflm_train.export.trunk import trunk_values
from tflm_train.model import Model, Tensor
from tflm_train.model.metadata import class_names
from tflm_train.ops import BLOB_HEADER, LossKind
from tflm_train.trained.state import StateLayout
from tflm_train.trained.trainable_model import TrainableModel

_C_TYPES = {
    "INT8": "int8_t",
    "UINT8": "uint8_t",
    "INT16": "int16_t",
    "INT32": "int32_t",
    "FLOAT32": "float",
}
_RANGES = {"INT8": (-128, 127), "UINT8": (0, 255), "INT16": (-32768, 32767)}

_OWN_OPS = "// Kernels of operators that are neither TFLM's nor ours: the firmware defines these."


def describe(
    model: Model, name: str, names: Sequence[str] | None, trunk: Model | None = None
) -> dict[str, str]:
    """The templates' values.

    Args:
      model: A rewritten model.
      name: C++ namespace and stem of the files.
      names: Of the classes; None for those in the file, or numbers.
      trunk: What gives the model's input, where the two were one.

    Raises:
      ModelError: The model holds no training ops.
      UnsupportedError: An input or output type that the trainer cannot handle.
      DataError: The number of names is not that of the classes.
    """
    trainable = TrainableModel.read(model)
    output = trainable.trained_output
    source, result = trainable.inputs[0], trainable.outputs[output]
    arena, of_trunk = plan_arena(model), None
    resolvers = [exact_resolver(model)]
    latent = trainable.latent
    if trunk is not None:
        latent, source = source, trunk.graph.inputs[0]
        of_trunk = plan_arena(trunk)
        arena = both(of_trunk, arena)
        resolvers.insert(0, exact_resolver(trunk))
    calls = dict.fromkeys(call for resolver in resolvers for call in resolver.calls)
    declared = dict.fromkeys(each for resolver in resolvers for each in resolver.declarations)
    parts = trunk_values(trunk, of_trunk)
    values = {
        "NAME": name,
        "GUARD": name.upper(),
        "MODEL_FILE": _file_names(model, trunk),
        "PROVENANCE": provenance(trainable, trunk),
        "MODEL_BYTES": str(len(model.source)),
        "MODEL_ARRAY": array(model.source),
        "OP_COUNT": str(len(calls)),
        "OWN_OPS": "\n".join([_OWN_OPS, *declared, ""]) if declared else "",
        "OP_CALLS": "\n".join(f"  add({call});" for call in calls),
        "LEARNING_RATE_INPUT": str(trainable.rate_input),
        "LOSS_OUTPUT": str(trainable.loss_output),
        "STATE_OUTPUT": str(trainable.state_output),
        **(label := _label_values(trainable, name)),
        **parts,
        "TRUNK_ARENA_BYTES": str(0 if of_trunk is None else of_trunk.bytes),
        **_resource_values(len(model.resources), parts["ARENA_MEMORY"]),
        **latent_values(trainable, latent, name, label),
        "OUTPUT_INDEX": str(output),
        **_name_values(_class_names(trainable, names), name),
        "STATE_BYTES": str(BLOB_HEADER.size + StateLayout(trainable).payload_bytes),
        "ARENA_LINES": "\n".join(f"//   {k:20} {n:,}" for k, n in arena.used.items()),
        "ARENA_MARGIN": str(arena.margin),
        "ARENA_BYTES": str(arena.bytes),
        "QUANTIZE": _quantize(source),
        **(front_end := front_end_values(model if trunk is None else trunk, source)),
        **example_values(name, bool(front_end[KIND])),
    }
    if arena.unmodelled:
        names = ", ".join(arena.unmodelled)
        values["ARENA_LINES"] += f"\n// (without what the kernels of {names} keep: measure it)"
    for role, tensor in (("INPUT", source), ("OUTPUT", result)):
        quantization = tensor.quantization
        values |= {
            f"{role}_TYPE": tensor.type_name.lower(),
            f"{role}_CTYPE": _c_type(tensor),
            f"{role}_SHAPE": str(list(tensor.shape)),
            f"{role}_SIZE": str(tensor.size),
            f"{role}_SCALE": c_float(1.0 if quantization is None else tensor.scale),
            f"{role}_ZERO_POINT": str(0 if quantization is None else tensor.zero_point),
        }
    return values


def _file_names(model: Model, trunk: Model | None) -> str:
    names = model.name if trunk is None else f"{trunk.name} and {model.name}"
    return "".join(c if c.isprintable() else "?" for c in names)


def _label_values(trainable: TrainableModel, name: str) -> dict[str, str]:
    """What a training step is given beside the input: C++ of the trainer and of the example."""
    label = trainable.label
    if label is None:  # the input is the target
        return {
            "LABEL_CONSTANTS": "// A training step needs no label: the input is the target.",
            "TRAIN_PARAMETERS": "float rate",
            "SET_LABEL": "",
            "EXAMPLE_LABEL": "",
            "EXAMPLE_ARGUMENTS": "0.001f",
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
        f"using Label = {_c_type(label)};\n"
        f"constexpr size_t kLabelSize = {label.size};",
        "TRAIN_PARAMETERS": f"{parameter}, float rate",
        "SET_LABEL": f"    std::memcpy(interpreter_.input(kLabelInput)->data.data, {source},\n"
        "                sizeof(Label) * kLabelSize);\n",
        "EXAMPLE_LABEL": f"  {example}\n",
        "EXAMPLE_ARGUMENTS": "label, 0.001f",
    }


def _resource_values(count: int, memory: str) -> dict[str, str]:
    """Where the interpreter keeps the state of a streaming model: in the arena as well."""
    if not count:
        empty = dict.fromkeys(("RESOURCE_INCLUDES", "RESOURCE_MAKERS", "RESOURCE_MEMBERS"), "")
        return {"RESOURCE_MEMORY": memory, **empty}
    return {
        "RESOURCE_INCLUDES": '#include "tensorflow/lite/micro/micro_allocator.h"\n'
        '#include "tensorflow/lite/micro/micro_resource_variable.h"\n',
        "RESOURCE_MAKERS": f"allocator_(MicroAllocator::Create({memory})),\n"
        f"        resources_(MicroResourceVariables::Create(allocator_, {count})),\n        ",
        "RESOURCE_MEMORY": "allocator_, resources_",
        "RESOURCE_MEMBERS": "  MicroAllocator* allocator_;\n"
        "  MicroResourceVariables* resources_;  // the stream: Train and Infer advance it\n",
    }


def _class_names(trainable: TrainableModel, names: Sequence[str] | None) -> list[str]:
    """The given names, those in the file, or numbers; none where the output has no classes."""
    output = trainable.trained_output
    count = trainable.loss.classes
    if trainable.loss.loss_kind == LossKind.MEAN_SQUARED_ERROR or trainable.loss.positions > 1:
        count = 0  # nothing of the output is the one answer
    if names is not None:
        if len(names) != count:
            raise DataError(f"{len(names)} class names given, the model has {count} classes")
        return list(names)
    found = class_names(trainable.model, output, count)
    return list(found) if len(found) == count else [str(i) for i in range(count)]


def _name_values(names: Sequence[str], namespace: str) -> dict[str, str]:
    """The table of names, and how the examples show a result."""
    if not names:
        return {
            "CLASS_NAMES": "",
            "EXAMPLE_SHOW": '  MicroPrintf("inference: first value %d",\n'
            "              static_cast<int>(trainer.output()[0]));\n",
            "SKETCH_SHOW": "  if (best >= 0) Serial.println(1.0 * trainer.output()[0]);\n",
        }
    listed = ", ".join(c_string(n) for n in names)
    shown = f"{namespace}::kClassNames[before]"
    return {
        "CLASS_NAMES": "// Names of the elements of that output.\n"
        f"constexpr const char* kClassNames[] = {{{listed}}};\n\n",
        "EXAMPLE_SHOW": f'  MicroPrintf("inference: %s", {shown});\n',
        "SKETCH_SHOW": f"  if (best >= 0) Serial.println({namespace}::kClassNames[best]);\n",
    }


def _c_type(tensor: Tensor) -> str:
    if tensor.type_name not in _C_TYPES:
        raise UnsupportedError(
            f"{tensor.name!r} is {tensor.type_name}; firmware is exported for inputs and outputs "
            f"of the types {', '.join(_C_TYPES)}"
        )
    return _C_TYPES[tensor.type_name]


def _quantize(tensor: Tensor) -> str:
    if tensor.type_name not in _RANGES or tensor.quantization is None:
        return "    return static_cast<Input>(real);"
    low, high = _RANGES[tensor.type_name]
    return (
        "    int32_t q = ::tflm_train::RoundToInt32(real / kInputScale) + kInputZeroPoint;\n"
        f"    if (q < {low}) q = {low};\n"
        f"    if (q > {high}) q = {high};\n"
        "    return static_cast<Input>(q);"
    )
