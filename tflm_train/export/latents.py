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


def latent_values(
    trainable: TrainableModel, latent: Tensor | None, name: str, label: dict[str, str]
) -> dict[str, str]:
    """The templates' values.

    Args:
      trainable: What firmware is made for.
      latent: Its latent, or its input where a trunk gives that; None where there is neither.
      name: C++ namespace.
      label: The values of its label.

    Returns:
      All of them empty where the model does not train from latents.
    """
    if latent is None:
        return dict.fromkeys(_NAMES, "")
    return {
        "LATENT_INCLUDES": '#include "tflm_kernels/state/latent_store.h"\n'
        '#include "tflm_kernels/state/replay.h"\n',
        "LATENT_CONSTANTS": f"""
// The latent, the activation where the trained part begins: int8 {list(latent.shape)}.
{_places(trainable)}constexpr size_t kLatentSize = {latent.size};
""",
        "LATENT_METHODS": _methods(trainable, label),
        **_example(trainable, latent, name),
    }


def _places(trainable: TrainableModel) -> str:
    if trainable.latent is None:
        return "// The trunk's output, and the input of the model that trains.\n"
    source = trainable.source_input
    return (
        f"constexpr int kSourceInput = {source};  // int32; 0 the input, 1 the latent\n"
        f"constexpr int kLatentOutput = {trainable.latent_output};\n"
    )


def _methods(trainable: TrainableModel, label: dict[str, str]) -> str:
    """Of the trainer: of a model in one piece, or of one with a trunk of its own."""
    if trainable.latent is None:
        place, begin, end, source = "trunk_.output(0)", "TakeLatent();", "", ""
        infer = """\
    TakeLatent();
    *learning_rate() = 0.0f;
    return interpreter_.Invoke() == kTfLiteOk ? Best() : -1;
"""
        step = "    return Step(rate);\n"
    else:
        place, begin, end = "interpreter_.output(kLatentOutput)", "*source() = 1;", "*source() = 0;"
        source = """
  int32_t* source() { return static_cast<int32_t*>(interpreter_.input(kSourceInput)->data.data); }
"""
        infer = f"    {begin}\n    const int best = Infer();\n    {end}\n    return best;\n"
        step = f"    const float loss = Step(rate);\n    {end}\n    return loss;\n"
    return f"""
  // kLatentSize elements: the activation where the trained part begins. After an Infer or a Train
  // it is that of the input; keep it, and put it back for TrainFromLatent.
  int8_t* latent() {{ return static_cast<int8_t*>({place}->data.data); }}

{_format(trainable)}
  // Train, from the latent as it stands: the same step, but the frozen layers do not run, and the
  // input does not matter.
  float TrainFromLatent({label["TRAIN_PARAMETERS"]}) {{
{label["SET_LABEL"]}    {begin}
{step}  }}

  // Infer, likewise.
  int InferFromLatent() {{
{infer}  }}
{source}"""


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
    return trainer.TrainFromLatent({argument}{name}::kLearningRate) >= 0.0f;
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
