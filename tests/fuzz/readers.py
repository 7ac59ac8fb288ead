"""The readers of users' files, and how a fuzz campaign damages what they read (reader_fuzz.py).

A reader takes a file, or refuses it in one line of an error of ours, whatever is in it.
"""

from __future__ import annotations

import functools
import io
import json
import random
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from PIL import Image

import tflm_train as tt
from tests.fuzz.damage import damaged
from tests.fuzz.model_reads import NAME, reads_of
from tests.random_layers import random_stack
from tests.steps import DIGITS, full_scheme
from tflm_train import rewriter
from tflm_train.data.front_end import FrontEnd, library_names, library_text
from tflm_train.data.load import load_dataset
from tflm_train.data.npz import DAMAGED, MOST_BYTES
from tflm_train.data.oddities import oddities
from tflm_train.data.pictures import ImageFiles, verify_pictures
from tflm_train.data.sounds import read_sound
from tflm_train.data.split import sampled, with_validation
from tflm_train.data.tables import TableOptions, read_windows
from tflm_train.files import is_json_report, read_input, read_text
from tflm_train.model import Model
from tflm_train.ops.contract import BLOB_HEADER
from tflm_train.runtime.checkpoint import Checkpoint, RunOptions, is_checkpoint
from tflm_train.runtime.model_data import part_for
from tflm_train.runtime.training_record import EpochRecord, WeightSteps
from tflm_train.scheme import Head, Scheme
from tflm_train.search.contributions import Contributions, Gain, is_contributions
from tflm_train.trained.state import StateBlob, StateLayout
from tflm_train.trained.trainable_model import TrainableModel

_INTERESTING = (0, 1, 0x7F, 0x80, 0xFE, 0xFF)
_WORDS = (
    "0", "-1", "1e999", "nan", "1" + "0" * 400, "0x7fffffff", "null", "~", "true", "[", "]", "{",
    "}", "[" * 2000, "{a: " * 500, "&a", "*a", "!!python/object:os.system", "!!binary", "|", ">",
    "---", "...", "? ", "<<: *a", '"', "'", "\t", "\x00", "\u2028", "all", "version", "update",
    "layer", "ratio", "head", "classes", "3.5", "-0", '"a": ', ", ", ": ", "NaN", "Infinity",
)  # fmt: skip


@dataclass(frozen=True)
class Reader:
    """A reader.

    Attributes:
      seeds: Files to begin with.
      change: Damages one.
      read: Reads one; what it raises besides errors of ours is a finding.
    """

    seeds: Callable[[], list[bytes]]
    change: Callable[[bytes, random.Random], bytes]
    read: Callable[[Path], object]


# -- What is damaged --


def _change_bytes(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(changed) + 1)
        match rng.randrange(6):
            case 0:
                changed[at : at + 1] = bytes([rng.choice(_INTERESTING)])
            case 1:
                changed[at : at + 4] = struct.pack("<I", rng.choice((0, 1, 2**31 - 1, 2**32 - 1)))
            case 2:
                del changed[at : at + rng.randint(1, 40)]
            case 3:
                changed[at:at] = rng.randbytes(rng.randint(1, 20))
            case 4:
                changed[at : at + 8] = rng.randbytes(8)
            case _:
                other = rng.randrange(len(changed) + 1)
                changed[at : at + 16] = changed[other : other + 16]
    return bytes(changed)


def _change_text(data: bytes, rng: random.Random) -> bytes:
    if rng.random() < 0.2:
        return _change_bytes(data, rng)
    text = data.decode(errors="replace")
    for _ in range(rng.randint(1, 3)):
        words = _words_of(text)
        at = rng.randrange(len(words) + 1)
        other = rng.choice((rng.choice(_WORDS), rng.choice(words) if words else ""))
        match rng.randrange(4):
            case 0:
                words.insert(at, other)
            case 1:
                words[at : at + 1] = [other]
            case 2:
                del words[at : at + rng.randint(1, 6)]
            case _:
                words[at:at] = words[at - rng.randint(1, 12) : at]
        text = "".join(words)[: 1 << 16]
    return text.encode(errors="replace")


def _words_of(text: str) -> list[str]:
    """Words, and what stands between them."""
    words = [""]
    for letter in text:
        if words[-1] and letter.isalnum() and words[-1][-1].isalnum():
            words[-1] += letter
        else:
            words.append(letter)
    return words[1:]


def _change_archive(data: bytes, rng: random.Random) -> bytes:
    """Bytes of the whole, or a member of an archive that is whole otherwise."""
    if rng.random() < 0.3:
        return _change_bytes(data, rng)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = [(name, archive.read(name)) for name in archive.namelist()]
    except DAMAGED:
        return _change_bytes(data, rng)
    if not members:
        return _change_bytes(data, rng)
    at = rng.randrange(len(members))
    name, content = members[at]
    match rng.randrange(6):
        case 0:
            members[at] = (rng.choice((rng.choice(members)[0], name[:-1], "y_train.npy")), content)
        case 1:
            del members[at]
        case 2:
            members[at] = (name, rng.choice(members)[1])
        case 3:  # the header alone
            members[at] = (name, _change_text(content[:128], rng) + content[128:])
        case _:
            change = _change_text if content[128:129] == b"{" else _change_bytes
            members[at] = (name, content[:128] + change(content[128:], rng))
    result = io.BytesIO()
    with zipfile.ZipFile(
        result, "w", rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
    ) as new:
        for member, content in members:
            new.writestr(member or "x", content)
    return result.getvalue()


def _change_state(data: bytes, rng: random.Random) -> bytes:
    changed = _change_bytes(data, rng)
    if len(changed) < BLOB_HEADER.size or rng.random() < 0.3:
        return changed
    # Chance finds no checksum.
    start = BLOB_HEADER.size - 4
    crc = zlib.crc32(changed[BLOB_HEADER.size :], zlib.crc32(changed[:start]))
    return changed[:start] + struct.pack("<I", crc) + changed[BLOB_HEADER.size :]


def _change_picture(data: bytes, rng: random.Random) -> bytes:
    changed = _change_bytes(data, rng)
    if not changed.startswith(b"\x89PNG") or rng.random() < 0.3:
        return changed
    # The chunks with checksums of their own.
    parts, at = [changed[:8]], 8
    while at + 12 <= len(changed):
        (length,) = struct.unpack_from(">I", changed, at)
        body = changed[at + 4 : at + 8 + min(length, len(changed))]
        parts += [changed[at : at + 4], body, struct.pack(">I", zlib.crc32(body))]
        at += 12 + length
    return b"".join(parts)


def _change_model(data: bytes, rng: random.Random) -> bytes:
    changed = damaged(data, rng)
    return data if changed is None else changed


# -- What it begins with --


@functools.cache
def _rewritten() -> bytes:
    return rewriter.rewrite(Model(DIGITS.read_bytes()), Scheme(biases_last=2)).model_bytes


@functools.cache
def _layout() -> StateLayout:
    return StateLayout(TrainableModel.read(Model(_rewritten())))


@functools.cache
def _interpreter() -> tt.Interpreter:
    return tt.Interpreter(_rewritten())


def _models() -> list[bytes]:
    found = [DIGITS.read_bytes()]
    for seed in range(6):
        rng = random.Random(seed)
        found.append(random_stack(rng.randint, 300).finish(trainable=True).to_bytes())
    rewritten = []
    for data in found:
        model = Model(data)
        rewritten.append(rewriter.rewrite(model, full_scheme(model)).model_bytes)
    return found + rewritten


def _data_sets() -> list[bytes]:
    rng = np.random.default_rng(1)
    shape = _interpreter().model.graph.inputs[0].shape[1:]
    found = []
    for dtype, save in ((np.uint8, np.savez), (np.float32, np.savez_compressed)):
        x, y = rng.integers(0, 100, (6, *shape)).astype(dtype), np.arange(6) % 2
        stream = io.BytesIO()
        save(stream, x_train=x, y_train=y, x_test=x, y_test=y, class_names=np.array(["a", "b"]),
             group_train=np.arange(6))  # type: ignore[call-overload]  # fmt: skip
        found.append(stream.getvalue())
    return found


def _schemes() -> list[bytes]:
    folder = Path(rewriter.__file__).parents[1]
    files = [*(folder / "scheme" / "library").glob("*.yaml"), folder / "demo" / "scheme.yaml"]
    return [file.read_bytes() for file in sorted(files)]


def _states() -> list[bytes]:
    return [_layout().factory_state().pack()]


def _checkpoints() -> list[bytes]:
    options = RunOptions("data", 2, "linear", 1, None, "best")
    epoch = EpochRecord(0.5, 0.5, 0.1, val_accuracy=0.5)
    losses, steps = np.ones(4, np.float32), WeightSteps(1, 2, 3)
    return [Checkpoint(options, 0.1, 0.5, (epoch,), losses, steps, b"state", b"best").to_bytes()]


def _contributions() -> list[bytes]:
    gain = Gain(0.5, 0.1, 3, 0.1)
    values = Contributions(
        "model",
        "data",
        Head(classes=3),
        "accuracy",
        0.5,
        0.1,
        ((1, gain),),
        {(2, 0.5): gain},
        0.1,
        5,
    )
    report = {"output": "a", "arena": 1, "layers": []}
    return [values.to_json().encode(), json.dumps(report).encode()]


def _pictures() -> list[bytes]:
    found = []
    pixels = np.arange(75, dtype=np.uint8).reshape(5, 5, 3)
    for mode, kind in (("RGB", "PNG"), ("L", "PNG"), ("P", "PNG"), ("RGB", "JPEG"), ("RGB", "BMP"),
                       ("RGB", "GIF"), ("RGB", "TIFF"), ("RGB", "WEBP")):  # fmt: skip
        stream = io.BytesIO()
        Image.fromarray(pixels).convert(mode).save(stream, kind)
        found.append(stream.getvalue())
    return found


def _recordings() -> list[bytes]:
    found = []
    for subtype in ("PCM_16", "PCM_24", "FLOAT", "MS_ADPCM"):
        stream = io.BytesIO()
        samples = np.arange(-50, 50) / 100
        soundfile.write(stream, samples, 8000, format="WAV", subtype=subtype)
        found.append(stream.getvalue())
    return found


def _tables() -> list[bytes]:
    rows = "\n".join(f"{t},{t / 3},{'walk' if t < 6 else 'run'}" for t in range(12))
    return [f"t,x,what\n{rows}\n".encode()]


def _front_ends() -> list[bytes]:
    return [library_text(name).encode() for name in library_names()]


# -- How it is read --


def _read_model(path: Path) -> object:
    data = path.read_bytes()
    model = Model(data, NAME)
    # One of the things that the commands do: the input says which.
    rng = random.Random(zlib.crc32(data))
    return rng.choice(reads_of(model, rng))()


def _read_data(path: Path) -> object:
    """As `train` does, up to the first step."""
    data, interpreter = load_dataset(path), _interpreter()
    data = with_validation(sampled(data, 100))
    oddities(data, interpreter.classes)
    return [part_for(interpreter, data, name) for name, _ in data.parts()]


def _read_state(path: Path) -> object:
    return _layout().values(StateBlob.parse(read_input(path)))


def _read_checkpoint(path: Path) -> object:
    is_checkpoint(path.read_bytes())
    return Checkpoint.load(path)


def _read_contributions(path: Path) -> object:
    data = path.read_bytes()
    is_contributions(data), is_json_report(data)
    return Contributions.from_json(read_text(path))


def _read_picture(path: Path) -> object:
    verify_pictures([path])
    return ImageFiles([path]).decode(0)


def _read_table(path: Path) -> object:
    return read_windows([path], None, TableOptions(2, label="what"), MOST_BYTES)


def _read_front_end(path: Path) -> object:
    front_end = FrontEnd.parse(read_text(path), path.name)
    return front_end.shape, front_end.to_yaml()


READERS = {
    "model": Reader(_models, _change_model, _read_model),
    "npz": Reader(_data_sets, _change_archive, _read_data),
    "scheme": Reader(_schemes, _change_text, Scheme.load),
    "state": Reader(_states, _change_state, _read_state),
    "checkpoint": Reader(_checkpoints, _change_archive, _read_checkpoint),
    "contributions": Reader(_contributions, _change_text, _read_contributions),
    "picture": Reader(_pictures, _change_picture, _read_picture),
    "recording": Reader(_recordings, _change_bytes, read_sound),
    "table": Reader(_tables, _change_text, _read_table),
    "front_end": Reader(_front_ends, _change_text, _read_front_end),
}
