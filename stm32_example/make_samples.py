"""Writes labelled samples as a C++ source for the example.

    python stm32_example/make_samples.py --model digits_train.tflite --data data.npz -o samples.cc
    python stm32_example/make_samples.py --model digits_train.tflite --demo -o samples.cc

Inputs are converted for the model as `tflm_train train` converts them. --demo takes the turned
digits of `python -m tflm_train.demo` (needs scikit-learn).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import tflm_train as tt
from tflm_train.data import Dataset, load_dataset
from tflm_train.runtime.model_data import model_inputs


def samples_source(model: Path, data: Dataset, train: int, test: int) -> str:
    interpreter = tt.Interpreter(model)
    data.check_classes(interpreter.classes)
    lines = ['#include "samples.h"', "", "namespace {", ""]
    counts = {}
    for part, count in (("Train", train), ("Test", test)):
        x, y = (data.x_train, data.y_train) if part == "Train" else (data.x_test, data.y_test)
        inputs = model_inputs(interpreter, x[:count], part.lower())
        counts[part] = len(inputs)
        lines += array(f"int8_t k{part}InputData", inputs.reshape(-1))
        lines += array(f"uint8_t k{part}LabelData", y[:count])
    lines += ["}  // namespace", ""]
    for part, count in counts.items():
        lines += [
            f"const size_t k{part}Count = {count};",
            f"const int8_t* const k{part}Inputs = k{part}InputData;",
            f"const uint8_t* const k{part}Labels = k{part}LabelData;",
        ]
    return "\n".join(lines) + "\n"


def array(declaration: str, values: np.ndarray) -> list[str]:
    rows = [values[i : i + 24] for i in range(0, len(values), 24)]
    body = ["    " + ", ".join(str(int(v)) for v in row) + "," for row in rows]
    return [f"const {declaration}[] = {{", *body, "};", ""]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--model", type=Path, required=True, help="the rewritten .tflite file")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--data", help="an .npz file or a folder of images by class")
    source.add_argument("--demo", action="store_true", help="the demonstration's turned digits")
    parser.add_argument("--train", type=int, default=597, help="how many to train on")
    parser.add_argument("--test", type=int, default=300, help="how many to test on")
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    if arguments.demo:
        from tflm_train.demo.data import field_data

        data = field_data()
    else:
        data = load_dataset(arguments.data)
    text = samples_source(arguments.model, data, arguments.train, arguments.test)
    arguments.output.write_text(text)


if __name__ == "__main__":
    main()
