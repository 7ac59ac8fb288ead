"""What firmware must know of a model, as the values that the templates name."""

from __future__ import annotations

from collections.abc import Sequence

from tflm_train.errors import UnsupportedError
from tflm_train.export.answer import answer_of
from tflm_train.export.arena import Arena, both, plan_arena
from tflm_train.export.c_source import array
from tflm_train.export.c_types import quantize_body, tensor_values
from tflm_train.export.front_end import example_values, front_end_values
from tflm_train.export.provenance import provenance
from tflm_train.export.resolver import Resolver, exact_resolver
from tflm_train.export.training import TRAINS, training_values
from tflm_train.export.trunk import trunk_values
from tflm_train.model import Model
from tflm_train.trained.trainable_model import TrainableModel

_OWN_OPS = "// Kernels of operators that are neither TFLM's nor ours: the firmware defines these."


def describe(
    model: Model, name: str, names: Sequence[str] | None, trunk: Model | None = None
) -> tuple[dict[str, str], tuple[str, ...]]:
    """The templates' values.

    Args:
      model: The model, as TFLM is to run it.
      name: C++ namespace and stem of the files.
      names: Of the classes; None for those in the file, or numbers.
      trunk: What gives the model's input, where the two were one.

    Returns:
      The values, and the names of the classes: empty where there are none.

    Raises:
      ModelError: Its training ops are damaged.
      UnsupportedError: An input or output type that an exported project cannot handle.
      DataError: The number of names is not that of the classes.
    """
    trainable = TrainableModel.find(model)
    if not model.graph.inputs or not model.graph.outputs:
        raise UnsupportedError(
            f"{model.name}: firmware is exported for a model with an input and "
            "an output; it lacks one"
        )
    output = 0 if trainable is None else trainable.trained_output
    source = model.graph.inputs[0]
    latent = None if trainable is None else trainable.latent
    arena, of_trunk = plan_arena(model), None
    resolvers = [exact_resolver(model)]
    if trunk is not None:
        latent, source = source, trunk.graph.inputs[0]
        of_trunk = plan_arena(trunk)
        arena = both(of_trunk, arena)
        resolvers.insert(0, exact_resolver(trunk))
    parts = trunk_values(trunk, of_trunk)
    training = training_values(trainable, latent, name)
    answer = answer_of(model, trainable, output, names)
    values = {
        "NAME": name,
        "GUARD": name.upper(),
        "MODEL_FILE": _file_names(model, trunk),
        "PROVENANCE": provenance(model, trainable, trunk),
        "MODEL_BYTES": str(len(model.source)),
        "MODEL_ARRAY": array(model.source),
        **_resolver_values(resolvers),
        **training,
        **parts,
        "TRUNK_ARENA_BYTES": str(0 if of_trunk is None else of_trunk.bytes),
        **_resource_values(len(model.resources), parts["ARENA_MEMORY"], bool(training[TRAINS])),
        "OUTPUT_INDEX": str(output),
        **tensor_values("INPUT", source),
        **tensor_values("OUTPUT", model.graph.outputs[output]),
        **answer.values(name, training["OBJECT"]),
        **_arena_values(arena),
        "QUANTIZE": quantize_body(source),
        **front_end_values(model if trunk is None else trunk, source),
    }
    return values | example_values(values), answer.names


def _file_names(model: Model, trunk: Model | None) -> str:
    names = model.name if trunk is None else f"{trunk.name} and {model.name}"
    return "".join(c if c.isprintable() else "?" for c in names)


def _resolver_values(resolvers: Sequence[Resolver]) -> dict[str, str]:
    calls = dict.fromkeys(call for resolver in resolvers for call in resolver.calls)
    declared = dict.fromkeys(each for resolver in resolvers for each in resolver.declarations)
    has_ours = any(resolver.has_ours for resolver in resolvers)
    return {
        "OP_COUNT": str(len(calls)),
        "OPS_HEADER": "train_ops.h" if has_ours else "tflm_adapter.h",
        "OWN_OPS": "\n".join([_OWN_OPS, *declared, ""]) if declared else "",
        "OP_CALLS": "\n".join(f"  add({call});" for call in calls),
    }


def _resource_values(count: int, memory: str, trains: bool) -> dict[str, str]:
    """Where the interpreter keeps the state of a streaming model: in the arena as well."""
    if not count:
        empty = dict.fromkeys(("RESOURCE_INCLUDES", "RESOURCE_MAKERS", "RESOURCE_MEMBERS"), "")
        return {"RESOURCE_MEMORY": memory, "PROFILER": "nullptr, profiler", **empty}
    advance = "Train and Infer advance it" if trains else "Infer advances it"
    return {
        "RESOURCE_INCLUDES": '#include "tensorflow/lite/micro/micro_allocator.h"\n'
        '#include "tensorflow/lite/micro/micro_resource_variable.h"\n',
        "RESOURCE_MAKERS": f"allocator_(MicroAllocator::Create({memory})),\n"
        f"        resources_(MicroResourceVariables::Create(allocator_, {count})),\n        ",
        "RESOURCE_MEMORY": "allocator_, resources_",
        "PROFILER": "profiler",
        "RESOURCE_MEMBERS": "  MicroAllocator* allocator_;\n"
        f"  MicroResourceVariables* resources_;  // the stream: {advance}\n",
    }


def _arena_values(arena: Arena) -> dict[str, str]:
    lines = "\n".join(f"//   {kernels:20} {used:,}" for kernels, used in arena.used.items())
    if arena.unmodelled:
        names = ", ".join(arena.unmodelled)
        lines += f"\n// (without what the kernels of {names} keep: measure it)"
    return {
        "ARENA_LINES": lines,
        "ARENA_MARGIN": str(arena.margin),
        "ARENA_BYTES": str(arena.bytes),
    }
