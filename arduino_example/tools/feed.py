"""Feeds labelled samples to the Arduino example over its serial port and plots the loss.

    python arduino_example/tools/feed.py --port /dev/ttyACM0 --demo --plot curve.png
    python arduino_example/tools/feed.py --port COM5 --model digits_train.tflite --data data.npz

The protocol is in arduino_example/README.md. Needs pyserial; --plot needs matplotlib.
"""

from __future__ import annotations

import argparse
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from tflm_train.data import Dataset, load_dataset, to_model_input
from tflm_train.errors import DataError, TflmTrainError
from tflm_train.model import load

WINDOW = 50  # steps that the printed and drawn means run over


class Port(Protocol):
    """What is used of `serial.Serial`."""

    def write(self, data: bytes, /) -> object: ...

    def read(self, size: int, /) -> bytes: ...

    def readline(self) -> bytes: ...


class Board:
    """The sketch at the other end of a port."""

    def __init__(self, port: Port) -> None:
        self._port = port
        words = self._ask(b"?").split()
        if words[:1] != ["model"] or len(words) != 10:
            raise DataError(f"the board answers {' '.join(words)!r}: is the sketch learn.ino?")
        self.name = words[1]
        self.input_bytes, self.classes, self.state_bytes, self.step = map(int, words[3::2])

    def classify(self, x: npt.NDArray[np.int8]) -> int:
        return int(self._ask(b"i" + self._sample(x)).split()[1])

    def train(self, x: npt.NDArray[np.int8], label: int, rate: float) -> float:
        frame = b"t" + struct.pack("<Bf", label, rate) + self._sample(x)
        return float(self._ask(frame).split()[1])

    def save(self) -> None:
        self._ask(b"s")

    def reset(self) -> None:
        self._ask(b"r")

    def get_state(self) -> bytes:
        size = int(self._ask(b"g").split()[1])
        data = self._port.read(size)
        if len(data) != size:
            raise DataError(f"the board sent {len(data)} of {size} bytes of its state")
        return data

    def put_state(self, blob: bytes) -> None:
        if len(blob) != self.state_bytes:
            raise DataError(f"the state has {len(blob)} bytes, the board's {self.state_bytes}")
        self._ask(b"p" + blob)

    def _sample(self, x: npt.NDArray[np.int8]) -> bytes:
        data = x.tobytes()
        if len(data) != self.input_bytes:
            raise DataError(f"a sample has {len(data)} bytes, the board takes {self.input_bytes}")
        return data

    def _ask(self, frame: bytes) -> str:
        self._port.write(frame)
        line = self._port.readline().decode(errors="replace").strip()
        if not line:
            raise DataError("the board does not answer")
        if line.startswith("error"):
            raise DataError(f"the board says: {line}")
        return line


def feed(
    board: Board,
    x: npt.NDArray[np.int8],
    y: npt.NDArray[np.int64],
    *,
    epochs: int,
    rate: float,
    seed: int = 0,
) -> Iterator[float]:
    """Trains in a shuffled order, as `tflm_train train` does; yields each step's loss."""
    for epoch in range(epochs):
        for i in np.random.default_rng([seed, epoch]).permutation(len(x)):
            yield board.train(x[i], int(y[i]), rate)


def accuracy(board: Board, x: npt.NDArray[np.int8], y: npt.NDArray[np.int64]) -> float:
    return float(
        np.mean([board.classify(sample) == label for sample, label in zip(x, y, strict=True)])
    )


def plot(losses: list[float], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4))
    axes.plot(losses, linewidth=0.5, alpha=0.4, label="each step")
    if len(losses) >= WINDOW:
        mean = np.convolve(losses, np.ones(WINDOW) / WINDOW, "valid")
        axes.plot(np.arange(WINDOW - 1, len(losses)), mean, label=f"mean of {WINDOW}")
    axes.set(xlabel="training step on the board", ylabel="loss", ylim=(0, None))
    axes.legend()
    figure.tight_layout()
    figure.savefig(path)


def open_port(name: str) -> Port:
    try:
        import serial
    except ImportError as error:
        raise DataError("the port needs pyserial: pip install pyserial") from error
    port: Port = serial.Serial(name, 115200, timeout=10)
    return port


def run(board: Board, data: Dataset, arguments: argparse.Namespace) -> None:
    tensor = load(arguments.model).graph.inputs[0]
    if tensor.quantization is None:
        raise DataError(f"{arguments.model}: its input is not quantized")

    def convert(x: object, name: str) -> npt.NDArray[np.int8]:
        return to_model_input(x, tensor.shape, tensor.scale, tensor.zero_point, name)  # type: ignore[arg-type]

    x_train = convert(data.x_train[: arguments.limit], "x_train")
    x_test = convert(data.x_test[: arguments.limit], "x_test")
    y_train, y_test = data.y_train[: arguments.limit], data.y_test[: arguments.limit]
    if arguments.load_state:
        board.put_state(arguments.load_state.read_bytes())
    print(f"accuracy before: {accuracy(board, x_test, y_test):.1%}")
    losses: list[float] = []
    for loss in feed(board, x_train, y_train, epochs=arguments.epochs, rate=arguments.lr):
        losses.append(loss)
        if len(losses) % WINDOW == 0:
            print(f"step {len(losses)}: loss {np.mean(losses[-WINDOW:]):.3f}", flush=True)
    board.save()
    print(f"accuracy after: {accuracy(board, x_test, y_test):.1%}")
    if arguments.save_state:
        arguments.save_state.write_bytes(board.get_state())
    if arguments.plot:
        plot(losses, arguments.plot)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--port", required=True, help="/dev/ttyACM0, COM5, ...")
    parser.add_argument("--model", default="digits_train.tflite", help="the rewritten model")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--data", help="an .npz file or a folder of images by class")
    source.add_argument("--demo", action="store_true", help="the demonstration's turned digits")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--lr", type=float, default=0.01)
    parser.add_argument("--limit", type=int, help="use only the first N samples")
    parser.add_argument("--load-state", type=Path, help="put this state on the board first")
    parser.add_argument("--save-state", type=Path, help="write the board's state to this file")
    parser.add_argument("--plot", type=Path, help="draw the loss into this .png")
    arguments = parser.parse_args()
    try:
        if arguments.demo:
            from tflm_train.demo.data import field_data

            data = field_data()
        else:
            data = load_dataset(arguments.data)
        run(Board(open_port(arguments.port)), data, arguments)
    except (TflmTrainError, OSError) as error:
        print(f"feed: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
