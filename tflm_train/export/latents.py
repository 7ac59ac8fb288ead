"""C++ of a model that trains from latents: what its trainer has, and the examples with it."""

from __future__ import annotations

from tflm_train.model import Tensor
from tflm_train.trained.trainable_model import TrainableModel

_NAMES = """
    LATENT_INCLUDES LATENT_CONSTANTS LATENT_METHODS LATENT_GLOBALS LATENT_FUNCTION LATENT_OPEN
    LATENT_USE LATENT_EPOCHS LATENT_IDLE
    """.split()
_STORED = (4, 32)  # records of the examples' store: as many as in
_STORE_BYTES = 16 * 1024


def latent_values(trainable: TrainableModel, name: str, label: dict[str, str]) -> dict[str, str]:
    """The templates' values.

    Args:
      trainable: What firmware is made for.
      name: C++ namespace.
      label: The values of its label.

    Returns:
      All of them empty where the model does not train from latents.
    """
    latent = trainable.latent
    if latent is None:
        return dict.fromkeys(_NAMES, "")
    return {
        "LATENT_INCLUDES": '#include "tflm_kernels/state/latent_store.h"\n'
        '#include "tflm_kernels/state/replay.h"\n',
        "LATENT_CONSTANTS": f"""
// The latent, the activation where the trained part begins: int8 {list(latent.shape)}.
constexpr int kSourceInput = {trainable.source_input};  // int32; 0 the input, 1 the latent
constexpr int kLatentOutput = {trainable.latent_output};
constexpr size_t kLatentSize = {latent.size};
""",
        "LATENT_METHODS": f"""
  // kLatentSize elements: the activation where the trained part begins. After an Infer or a Train
  // it is that of the input; keep it, and put it back for TrainFromLatent.
  int8_t* latent() {{ return static_cast<int8_t*>(interpreter_.output(kLatentOutput)->data.data); }}

{_format(trainable)}
  // Train, from the latent as it stands: the same step, but the frozen layers do not run, and the
  // input does not matter.
  float TrainFromLatent({label["TRAIN_PARAMETERS"]}) {{
{label["SET_LABEL"]}    *source() = 1;
    const float loss = Step(rate);
    *source() = 0;
    return loss;
  }}

  // Infer, likewise.
  int InferFromLatent() {{
    *source() = 1;
    const int best = Infer();
    *source() = 0;
    return best;
  }}

  int32_t* source() {{ return static_cast<int32_t*>(interpreter_.input(kSourceInput)->data.data); }}
""",
        **_example(trainable, latent, name),
    }


def _is_class(trainable: TrainableModel) -> bool:
    label = trainable.label
    return label is not None and label.type_name == "INT32" and label.size == 1


def _format(trainable: TrainableModel) -> str:
    fingerprint = trainable.fingerprint
    low, high = fingerprint & 0xFFFFFFFF, fingerprint >> 32
    label = "0" if trainable.label is None else "sizeof(Label) * kLabelSize"
    is_class = "true" if _is_class(trainable) else "false"
    return f"""\
  // What a LatentStore keeps (tflm_kernels/state/latent_store.h).
  static constexpr ::tflm_train::LatentFormat latent_format() {{
    return {{{low:#010x}, {high:#010x}, kLatentSize, {label}, {is_class}}};
  }}
"""


def _example(trainable: TrainableModel, latent: Tensor, name: str) -> dict[str, str]:
    """Learns from ten samples, then in epochs over their latents."""
    label = trainable.label
    single = label is not None and label.size == 1
    stored, given, taken, argument = "", "nullptr", "nullptr", ""
    if label is not None:
        size = "" if single else f"[{name}::kLabelSize]"
        stored = f"  {name}::Label stored{size} = {{}};\n"
        given, taken = ("&label", "&stored") if single else ("label", "stored")
        argument = "stored, "
    groups = f"{name}::kOutputSize" if _is_class(trainable) else "1"
    memory = f"{name}::Trainer::latent_format(), kStored, kGroups"
    fewest, most = _STORED
    bytes_each = latent.size + (0 if label is None else 4 * label.size)
    records = max(fewest, min(most, _STORE_BYTES // bytes_each))
    return {
        "LATENT_GLOBALS": f"""
// Latents to learn again, in RAM; for flash see tflm_kernels/state/latent_store.h.
constexpr size_t kStored = {records};
constexpr size_t kGroups = {groups};
alignas(4) uint8_t latent_memory[tflm_train::LatentRamBytes({memory})];
tflm_train::LatentStore latents({name}::Trainer::latent_format(), {{kStored, kGroups}},
                                latent_memory, sizeof(latent_memory));
tflm_train::Replay replay(&latents, 1);
""",
        "LATENT_FUNCTION": f"""
// While idle: a stored sample once more, without the frozen layers. After the last one of an epoch
// the next epoch begins.
bool LearnWhileIdle() {{
{stored}  if (replay.AtEnd()) replay.BeginEpoch();
  return replay.LearnNext(trainer.latent(), {taken}, [&] {{
    return trainer.TrainFromLatent({argument}0.001f) >= 0.0f;
  }});
}}
""",
        "LATENT_OPEN": "  latents.Open();\n",
        "LATENT_USE": f"  latents.Add(trainer.latent(), {given}, 0);\n",
        # A sketch is asked again and again; a program goes through three epochs at once.
        "LATENT_EPOCHS": """\
  for (size_t i = 0; i < 3 * latents.size(); ++i) {
    if (!LearnWhileIdle()) return false;
  }
""",
        "LATENT_IDLE": f"""\
  if (latents.size() >= {min(10, records)}) {{
    for (size_t i = 0; i < latents.size(); ++i) LearnWhileIdle();
  }}
""",
    }
