"""A model and data to begin with: `python -m tflm_train.demo --files FOLDER`."""

from __future__ import annotations

import functools
import io
import operator
from dataclasses import replace
from pathlib import Path

import numpy as np

from tflm_train.data import Dataset
from tflm_train.demo.data import field_data, source_data
from tflm_train.files import NewFile, write_files

_HERE = Path(__file__).parent
_PARITY = ("even", "odd")


def write_start_files(folder: Path) -> list[Path]:
    """Writes the digit classifier, and what it may meet.

    Args:
      folder: Where to; made if need be.

    Returns:
      The files: `digits.tflite`; `upright.npz`, the digits that it knows; `turned.npz`, the same
      turned by a quarter; `both.npz`, all of them; `parity.npz`, upright ones labelled even and
      odd.

    Raises:
      DataError: scikit-learn is not installed.
      TflmTrainError: A file cannot be written, or is not one of these.
    """
    upright, turned = source_data(), field_data()
    parity = replace(
        upright, y_train=upright.y_train % 2, y_test=upright.y_test % 2, class_names=_PARITY
    )
    both = replace(
        upright,
        x_train=np.concatenate([upright.x_train, turned.x_train]),
        y_train=np.concatenate([upright.y_train, turned.y_train]),
        x_test=np.concatenate([upright.x_test, turned.x_test]),
        y_test=np.concatenate([upright.y_test, turned.y_test]),
    )
    folder.mkdir(parents=True, exist_ok=True)
    contents = {"digits.tflite": (_HERE / "digits.tflite").read_bytes()}
    parts = {"upright": upright, "turned": turned, "both": both, "parity": parity}
    for name, data in parts.items():
        contents[f"{name}.npz"] = _npz(data)
    files = [
        NewFile(folder / name, content, functools.partial(operator.eq, content))
        for name, content in contents.items()
    ]
    write_files(files, force=False)
    return [file.path for file in files]


def _npz(data: Dataset) -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(
        stream,
        x_train=np.asarray(data.x_train),
        y_train=np.asarray(data.y_train),
        x_test=np.asarray(data.x_test),
        y_test=np.asarray(data.y_test),
        class_names=np.array(data.class_names),
    )
    return stream.getvalue()
