"""The demonstration: `python -m tflm_train.demo`.

A small int8 CNN knows handwritten digits. In the field the sensor is mounted on its side, and it
hardly recognises any. The model, rewritten for training, learns the turned digits one at a time in
the unmodified TFLM interpreter: as a microcontroller would.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

import tflm_train as tt
from tflm_train.data import Dataset
from tflm_train.demo.data import field_data, source_data
from tflm_train.demo.plot import is_picture, learning_curve
from tflm_train.demo.start_files import write_start_files
from tflm_train.errors import RuntimeFailure, TflmTrainError
from tflm_train.files import write_file
from tflm_train.learning import train
from tflm_train.model.kinds import is_rewritten_model, is_state
from tflm_train.runtime.model_data import model_inputs
from tflm_train.runtime.training import LAST, evaluate
from tflm_train.runtime.training_record import EpochRecord, StepReport, TrainingRecord

EPOCHS = 6
_HERE = Path(__file__).parent


def run(output: Path, epochs: int, console: Console) -> None:
    """Tells the whole story and writes the model, its trained state and the picture.

    Args:
        output: folder for the files, made if need be.
        epochs: times through the 597 turned digits.
        console: where the table goes.

    Raises:
        TflmTrainError: something is missing, or a file in the way is not this demo's.
    """
    try:  # Found out at the end, it would cost the training.
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise RuntimeFailure("the picture needs matplotlib: pip install '.[demo]'") from error
    upright, field = source_data(), field_data()
    model = tt.load(_HERE / "digits.tflite")
    result = tt.rewrite(model, tt.Scheme.load(_HERE / "scheme.yaml"))
    interpreter = tt.Interpreter(result.model_bytes)
    console.print(
        f"digits.tflite knows {len(upright.x_train)} handwritten digits. "
        f"Now the sensor is mounted on its side: every digit is turned by a quarter."
    )
    upright_accuracy = _test_accuracy(interpreter, upright)
    record, right = _train(interpreter, field, epochs, console)
    state = interpreter.state()
    interpreter.reset()
    after_reset = _test_accuracy(interpreter, upright)
    interpreter.load_state(state)
    after_load = _test_accuracy(interpreter, field)

    table = Table(title="Test digits recognised (300, never trained on)")
    for heading in ("", "loss", "accuracy"):
        table.add_column(heading, justify="left" if not heading else "right")
    table.add_row("factory model, upright digits", "", _percent(upright_accuracy))
    table.add_row("factory model, turned digits", "", _percent(record.test_accuracy_before))
    table.add_section()
    for number, epoch in enumerate(record.epochs, 1):
        name = f"after epoch {number} on {len(field.x_train)} turned digits"
        table.add_row(name, f"{epoch.loss:.3f}", _percent(_on_test(epoch)))
    table.add_section()
    table.add_row("reset: factory weights, upright digits", "", _percent(after_reset))
    table.add_row("trained state loaded, turned digits", "", _percent(after_load))
    console.print(table)

    picture = learning_curve(
        record.losses,
        right,
        [record.test_accuracy_before, *map(_on_test, record.epochs)],
        upright_accuracy,
    )
    output.mkdir(parents=True, exist_ok=True)
    write_file(output / "digits_train.tflite", result.model_bytes, is_rewritten_model, force=False)
    write_file(output / "digits.state", state, is_state, force=False)
    write_file(output / "learning_curve.png", picture, is_picture, force=False)
    console.print(
        f"Learning rate {record.learning_rate:g}, chosen by short runs; "
        f"{record.steps_per_second:,.0f} steps a second on this PC. In {output}: "
        f"digits_train.tflite ({len(result.model_bytes):,} bytes; was {len(model.source):,}), "
        f"digits.state ({len(state):,} bytes), learning_curve.png"
    )


def _train(
    interpreter: tt.Interpreter, field: Dataset, epochs: int, console: Console
) -> tuple[TrainingRecord, npt.NDArray[np.bool_]]:
    """Trains with a progress bar; also tells for each step whether its digit was recognised."""
    recognised = 0  # of the epoch so far
    right: list[bool] = []
    bar = Progress(TextColumn("{task.description}"), BarColumn(), console=console, transient=True)
    with bar:
        task = bar.add_task("training", total=epochs * len(field.x_train))

        def on_step(report: StepReport) -> None:
            nonlocal recognised
            before = recognised if report.step > 1 else 0
            recognised = round(report.accuracy * report.step)
            right.append(recognised > before)
            bar.update(
                task,
                advance=1,
                description=f"epoch {report.epoch + 1} of {epochs}, loss {report.loss:.3f}",
            )

        def on_trial(rate: float, step: int, steps: int) -> None:
            bar.update(task, description=f"trying learning rate {rate:g}, {step} of {steps}")

        # The curve shows the test samples after each epoch; nothing is chosen by them.
        shown = field.with_parts(val=field.test)
        record = train(
            interpreter, shown, epochs=epochs, keep=LAST, on_step=on_step, on_trial=on_trial
        )
    return record, np.array(right)


def _test_accuracy(interpreter: tt.Interpreter, dataset: Dataset) -> float:
    x = model_inputs(interpreter, dataset.x_test, "x_test")
    return evaluate(interpreter, x, dataset.y_test)


def _on_test(epoch: EpochRecord) -> float:
    """The score that `_train` has validated."""
    assert epoch.val_accuracy is not None
    return epoch.val_accuracy


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def main() -> int:
    """The command line; gives the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tflm_train.demo", description=__doc__)
    parser.add_argument(
        "--output", type=Path, default=Path("demo_output"), help="folder (default: demo_output)"
    )
    parser.add_argument(
        "--files",
        type=Path,
        metavar="FOLDER",
        help="instead of the demonstration: write its model and data there, to begin with",
    )
    parser.add_argument("--epochs", type=int, default=EPOCHS, help=f"default: {EPOCHS}")
    arguments = parser.parse_args()
    console = Console()
    try:
        if arguments.files is not None:
            for path in write_start_files(arguments.files):
                console.print(f"written: {path}")
            return 0
        run(arguments.output, arguments.epochs, console)
    except TflmTrainError as error:
        print(f"tflm_train demo: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
