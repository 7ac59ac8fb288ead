"""C++ of a split pair: the trunk's interpreter makes the latent, the trainer learns from it."""

from __future__ import annotations

from tflm_train.export.arena import Arena
from tflm_train.export.c_source import array
from tflm_train.model import Model

_NAMES = """
    TRUNK_DECLARATION TRUNK_DEFINITION TRUNK_ARENA TRUNK_MAKER TRUNK_MAKER_PROFILED
    TRUNK_SETUP TRUNK_PRIVATE TRUNK_MEMBER RUN_TRUNK
    """.split()


def trunk_values(trunk: Model | None, arena: Arena | None) -> dict[str, str]:
    """The templates' values.

    Args:
      trunk: From the sample to the latent; None for a model in one piece.
      arena: The trunk's.
    """
    if trunk is None or arena is None:
        return {
            **dict.fromkeys(_NAMES, ""),
            "CONST": "const ",
            "SAMPLE_INTERPRETER": "interpreter_",
            "ARENA_MEMORY": "arena, arena_bytes",
            "INFER": "    *learning_rate() = 0.0f;\n"
            "    return interpreter_.Invoke() == kTfLiteOk ? Best() : -1;\n",
        }
    return {
        "TRUNK_DECLARATION": f"""
extern const unsigned char kTrunk[];  // from the sample to the latent
constexpr size_t kTrunkBytes = {len(trunk.source)};
""",
        "TRUNK_DEFINITION": f"""
alignas(16) const unsigned char kTrunk[kTrunkBytes] = {{
{array(trunk.source)}
}};
""",
        "TRUNK_ARENA": f"""
// The first part of it is the trunk's, the rest that of the model that trains.
constexpr size_t kTrunkArenaBytes = {arena.bytes};
""",
        "TRUNK_MAKER": "trunk_(GetModel(kTrunk), resolver_, arena, kTrunkArenaBytes),\n        ",
        "TRUNK_MAKER_PROFILED": "trunk_(GetModel(kTrunk), resolver_, arena, kTrunkArenaBytes, "
        "nullptr,\n               profiler),\n        ",
        "TRUNK_SETUP": "    if (status == kTfLiteOk) status = trunk_.AllocateTensors();\n",
        "TRUNK_PRIVATE": """\
  bool RunTrunk() {
    if (trunk_.Invoke() != kTfLiteOk) return false;
    TakeLatent();
    return true;
  }

  void TakeLatent() {
    std::memcpy(interpreter_.input(kInput)->data.data, latent(), kLatentSize);
  }

""",
        "TRUNK_MEMBER": "  MicroInterpreter trunk_;\n",
        "RUN_TRUNK": "    if (!RunTrunk()) return -1.0f;\n",
        "CONST": "",
        "SAMPLE_INTERPRETER": "trunk_",
        "ARENA_MEMORY": "arena + kTrunkArenaBytes,\n"
        "                     arena_bytes > kTrunkArenaBytes ? arena_bytes - kTrunkArenaBytes : 0",
        "INFER": "    return trunk_.Invoke() == kTfLiteOk ? InferFromLatent() : -1;\n",
    }
