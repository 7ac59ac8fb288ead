"""What is refused of models and schemes, word for word, and whether the advice works.

    python -m benchmarks.refusals [--only NAME] [--json] [--save FILE]

Each case makes a model that is refused, runs the command that refuses it, and then does what the
message says: the commands as a user would type them, on a model as the user would convert it anew
where the message asks for that. Where nothing can be done, the message must say so. The status is 1
where a command is not refused, the message has not got the words that are followed, or what was
done does not end well.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.refusal_models import MODELS, SCHEMES, write_data
from benchmarks.report import Column, parser_of, publish, show


@dataclass(frozen=True)
class Case:
    """A refusal.

    Attributes:
      name: What is odd.
      command: What is refused; words that end in `.tflite`, `.npz` or `.yaml` are files of
        `refusal_models`.
      advice: Words of the message that the user follows; what says that nothing helps, where
        nothing does.
      follow: What the user does then, one command after the other.
    """

    name: str
    command: str
    advice: str
    follow: tuple[str, ...] = ()


_TRAIN = "train int8_train.tflite --data vectors.npz --epochs 1 --lr 1e-2"
_QUANTIZED = ("rewrite int8.tflite --scheme squared.yaml", _TRAIN)

CASES = (
    Case(
        "float32 model",
        "rewrite float.tflite",
        "`tflm_train quantize MODEL --data D`",
        ("quantize float.tflite --data vectors.npz -o int8.tflite", *_QUANTIZED),
    ),
    Case(
        "int8 weights on float activations",
        "rewrite hybrid.tflite",
        "`tflm_train quantize MODEL --data D`",
        ("quantize hybrid.tflite --data vectors.npz -o int8.tflite", *_QUANTIZED),
    ),
    Case(
        "uint8 layers of TensorFlow 1",
        "rewrite uint8.tflite",
        "quantize the float model anew: `tflm_train quantize FLOAT --data D`",
        ("quantize float.tflite --data vectors.npz -o int8.tflite", *_QUANTIZED),
    ),
    Case(
        "operator that TFLM lacks",
        "rewrite gelu.tflite",
        "convert the model without it",
        ("rewrite relu.tflite",),
    ),
    Case(
        "operator that TFLM has in float32 only",
        "rewrite float_only.tflite",
        "convert the model without it",
        ("rewrite relu.tflite",),
    ),
    Case(
        "operator of TensorFlow (Flex)",
        "rewrite flex.tflite",
        "convert the model without it",
        ("rewrite relu.tflite",),
    ),
    Case(
        "custom operator, in the PC's interpreter",
        "evaluate custom.tflite --data vectors.npz",
        "the firmware has to register its kernel",
        ("rewrite custom.tflite", "export custom_train.tflite --format c-array -o firmware"),
    ),
    Case(
        "sparse weights",
        "rewrite sparse.tflite",
        "convert the model without sparsity",
        ("rewrite relu.tflite",),
    ),
    Case("no layer with weights", "rewrite bare.tflite", "there is nothing to train"),
    Case(
        "damaged file", "rewrite damaged.tflite", "get an undamaged copy", ("rewrite relu.tflite",)
    ),
    Case(
        "rewritten already",
        "rewrite relu_train.tflite",
        "rewrite the original model instead",
        ("rewrite relu.tflite -o again.tflite",),
    ),
    Case(
        "made by an older version",
        "train older_train.tflite --data vectors.npz",
        "rewrite the original model again",
        ("rewrite relu.tflite",),
    ),
    Case(
        "rewritten, to be optimized",
        "optimize relu_train.tflite -o smaller.tflite",
        "optimize the original model instead (`rewrite --stream auto` does it for training)",
        (
            "optimize relu.tflite -o smaller.tflite",
            "rewrite relu.tflite --stream auto -o streamed.tflite",
        ),
    ),
    Case(
        "samples of a batch that mix",
        "rewrite batch_mixed.tflite",
        "convert the model for a batch of 1",
        ("rewrite relu.tflite",),
    ),
    Case(
        "layers before an operator without gradient",
        "rewrite barrier.tflite --scheme layer_0.yaml",
        "train layers from 2 on, and leave those before it frozen",
        ("rewrite barrier.tflite --scheme layer_2.yaml",),
    ),
    Case(
        "no layer behind an operator without gradient",
        "rewrite barrier_last.tflite",
        "no layer lies behind it, and the model has no other output: it cannot train",
    ),
    Case(
        "no layer behind it, and another output",
        "rewrite barrier_two_outputs.tflite --scheme barrier_output.yaml",
        "train another output (`output: NUMBER` in a scheme)",
        ("rewrite barrier_two_outputs.tflite --scheme other_output.yaml",),
    ),
    Case(
        "layer of another output",
        "rewrite two_outputs.tflite --scheme layer_beside.yaml",
        "leave it out",
        ("rewrite two_outputs.tflite --scheme layer_0.yaml",),
    ),
    Case(
        "layer that does not exist",
        "rewrite relu.tflite --scheme layer_99.yaml",
        "`tflm_train inspect relu.tflite` lists them",
        ("inspect relu.tflite", "rewrite relu.tflite --scheme layer_0.yaml"),
    ),
    Case(
        "output that does not exist",
        "rewrite two_outputs.tflite --scheme output_9.yaml",
        "it has 0 (",
        ("rewrite two_outputs.tflite --scheme output_1.yaml",),
    ),
    Case(
        "more biases than there are layers",
        "rewrite relu.tflite --scheme biases_99.yaml",
        "or `all`",
        ("rewrite relu.tflite --scheme biases_all.yaml",),
    ),
    Case(
        "bias of a layer without one",
        "rewrite no_bias.tflite --scheme bias_0.yaml",
        "leave it out, or train its weights",
        ("rewrite no_bias.tflite --scheme layer_0.yaml",),
    ),
    Case(
        "channel that does not exist",
        "rewrite relu.tflite --scheme channel_99.yaml",
        "has input channels 0 to",
        ("rewrite relu.tflite --scheme channel_0.yaml",),
    ),
    Case(
        "scheme of another model",
        "rewrite relu.tflite --scheme other_model.yaml",
        "use `--preset light`",
        ("rewrite relu.tflite --preset light",),
    ),
    Case(
        "class weights for other classes",
        "rewrite relu.tflite --scheme class_weights_2.yaml",
        "give one for each",
        ("rewrite relu.tflite --scheme class_weights_4.yaml",),
    ),
    Case(
        "a layer that is two, named twice with other shares",
        "rewrite tied.tflite --scheme tied_twice.yaml",
        "name one",
        ("rewrite tied.tflite --scheme tied_once.yaml",),
    ),
    Case(
        "new classes for a head that runs several times",
        "rewrite heads.tflite --classes 7",
        "leave `head` out",
        ("rewrite heads.tflite",),
    ),
    Case(
        "new classes before what mixes them",
        "rewrite mixed_classes.tflite --classes 7",
        "leave `head.classes` out",
        ("rewrite mixed_classes.tflite",),
    ),
    Case(
        "loss that the output is not made for",
        "rewrite relu.tflite --scheme sigmoid.yaml",
        "use that loss",
        ("rewrite relu.tflite --scheme softmax.yaml",),
    ),
    Case(
        "target of another shape",
        "rewrite two_outputs.tflite --scheme target_input.yaml",
        "leave `target: input` out",
        ("rewrite two_outputs.tflite --scheme squared.yaml",),
    ),
    Case(
        "arena larger than the budget",
        "rewrite relu.tflite --budget 1KB",
        "the least of it that trains needs",
        ("rewrite relu.tflite --budget 3000",),
    ),
    Case(
        "nothing frozen to split off",
        "rewrite relu.tflite --preset full --split",
        "leave out --split, or train fewer of the first layers",
        (
            "rewrite relu.tflite --preset full",
            "rewrite relu.tflite --preset head --split -o t.tflite",
        ),
    ),
    Case(
        "latents of a model with two inputs",
        "rewrite two_inputs.tflite --preset head --latent",
        "leave `latent: true` out of the scheme",
        ("rewrite two_inputs.tflite --preset head",),
    ),
    Case(
        "values as labels of a classifier",
        "train regression_train.tflite --data vectors.npz",
        "a scheme with `loss: mean_squared_error`",
        (
            "rewrite regression.tflite --scheme squared.yaml -o values.tflite",
            "train values.tflite --data vectors.npz --epochs 1 --lr 1e-2",
        ),
    ),
    Case(
        "all layers on an Ethos-U",
        "rewrite npu.tflite",
        "rewrite the model as it was before Vela, and compile the result with Vela",
        ("rewrite relu.tflite --stream off --forward builtin",),
    ),
    Case(
        "quantized already",
        "quantize relu.tflite --data images.npz",
        "`tflm_train inspect` says what of it trains",
        ("inspect relu.tflite",),
    ),
)


def look_at(case: Case) -> dict[str, object]:
    """Tries one case in a folder of its own; a row of the table."""
    with tempfile.TemporaryDirectory() as name, contextlib.chdir(name):
        write_data()
        _write_files(case)
        status, message = run(case.command)
        row: dict[str, object] = {
            "case": case.name,
            "command": case.command,
            "message": message.removeprefix("tflm_train: error: "),
            "advice": case.advice,
        }
        if status == 0:
            return row | {"works": "FAILS: it is not refused"}
        if case.advice not in message:
            return row | {"works": "FAILS: other words"}
        for command in case.follow:
            status, said = run(command)
            if status != 0:
                return row | {"works": f"FAILS: {command}: {said}"}
        return row | {"works": "yes" if case.follow else "nothing helps, and it says so"}


def run(command: str) -> tuple[int, str]:
    """Runs a command in this process.

    Returns:
      Its status, and what it says on standard error where it fails.
    """
    from tflm_train.cli.main import execute, parse

    errors = io.StringIO()
    with contextlib.redirect_stderr(errors), contextlib.redirect_stdout(io.StringIO()):
        try:
            status = execute(parse(["tflm_train", *command.split()]))
        except SystemExit as stop:
            status = int(stop.code or 0)
    lines = [line for line in errors.getvalue().splitlines() if line.startswith("tflm_train")]
    return status, " ".join(lines)


def _write_files(case: Case) -> None:
    """Makes the models and schemes that the commands of a case name."""
    for word in " ".join([case.command, *case.follow]).split():
        path = Path(word)
        if path.exists():
            continue
        if path.suffix == ".tflite" and path.stem in MODELS:
            path.write_bytes(MODELS[path.stem]())
        elif path.suffix == ".yaml":
            text = SCHEMES[path.stem]
            path.write_text(text if isinstance(text, str) else text())


def main(arguments: argparse.Namespace) -> int:
    """Tries all cases; the status is 1 where one fails."""
    chosen = [c for c in CASES if arguments.only is None or arguments.only in c.name]
    rows = [look_at(case) for case in chosen]
    if not arguments.json:
        names = ("case", "message", "works")
        show("refusals", [Column(name, name) for name in names], rows)
    publish("refusals", {"rows": rows}, arguments)
    return 1 if any("FAILS" in str(row["works"]) for row in rows) else 0


def _parse() -> argparse.Namespace:
    parser = parser_of(__doc__)
    parser.add_argument("--only", help="cases whose name has these words")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main(_parse()))
