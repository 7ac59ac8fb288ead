"""Campaigns of the readers of `readers.py`, as campaign.cc runs those of the C++ targets.

    python -m tests.fuzz.reader_fuzz NAME FILE...
    python -m tests.fuzz.reader_fuzz NAME RUNS SECONDS RANDOM SEEDS KEPT FOUND

Without coverage feedback: an input is kept when a reader says of it what it said of no other.
"""

from __future__ import annotations

import hashlib
import random
import re
import resource
import signal
import sys
import tempfile
import time
import warnings
from pathlib import Path

from tests.fuzz.readers import READERS, Reader
from tflm_train.errors import TflmTrainError

_RUN_SECONDS = 60
_MOST_BYTES = 12 << 30
"""Of memory: data sets may take 4 GB."""


class Finding(Exception):
    """A reader did what none may."""


def outcome_of(reader: Reader, data: bytes, path: Path) -> str:
    """What a reader says of a file: nothing, or its refusal without numbers and names.

    Args:
      reader: Which.
      data: The file.
      path: Where to put it.

    Raises:
      Finding: It raised another error, or one of several lines, or did not end.
    """
    path.write_bytes(data)
    signal.alarm(_RUN_SECONDS)
    try:
        reader.read(path)
    except TflmTrainError as error:
        message = str(error)
        if not message or "\n" in message:
            raise Finding(f"a refusal of several lines, or none: {message!r}") from error
        return re.sub(r"'[^']*'|[\d.,]+", "_", message.replace(str(path), ""))[:80]
    except Exception as error:
        raise Finding(f"{type(error).__name__}: {error}") from error
    finally:
        signal.alarm(0)
    return ""


def _give_up(*_: object) -> None:
    raise TimeoutError(f"more than {_RUN_SECONDS} s")


def _replay(reader: Reader, files: list[Path], path: Path) -> None:
    for file in files:
        print(file, file=sys.stderr)
        outcome_of(reader, file.read_bytes(), path)
    print(f"{len(files)} inputs, no finding")


def _campaign(
    reader: Reader, limits: tuple[int, float], rng: random.Random, folders: list[Path], path: Path
) -> None:
    seeds, kept, found = folders
    inputs = reader.seeds()
    whole = len(inputs)
    for folder in (seeds, kept):
        files = sorted(folder.iterdir()) if folder.is_dir() else []
        inputs += [file.read_bytes() for file in files]
    said = {outcome_of(reader, data, path) for data in inputs}
    before, done, deep = len(inputs), 0, 0
    start, cpu = time.monotonic(), time.process_time()
    while done < limits[0] and time.monotonic() - start < limits[1]:
        # What is damaged already seldom gets beyond that: half of the time something whole.
        most = whole if rng.random() < 0.5 else len(inputs)
        data = reader.change(inputs[rng.randrange(most)], rng)
        try:
            outcome = outcome_of(reader, data, path)
        except Finding:
            found.write_bytes(data)
            raise
        done += 1
        deep += not outcome
        if outcome not in said:
            said.add(outcome)
            inputs.append(data)
            (kept / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)
    cpu = time.process_time() - cpu
    print(
        f"{done} runs, no finding; {deep} deep, {cpu:.2f} s of CPU, {len(inputs) - before} inputs "
        f"kept, {len(said)} edges"
    )


def main() -> None:
    name, *arguments = sys.argv[1:]
    resource.setrlimit(resource.RLIMIT_AS, (_MOST_BYTES, _MOST_BYTES))
    signal.signal(signal.SIGALRM, _give_up)
    warnings.simplefilter("ignore")
    reader = READERS[name]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file.png"  # the suffix of a picture; no other reader minds
        if len(arguments) == 6 and arguments[0].isdecimal():
            rng = random.Random(int(arguments[2]))
            folders = [Path(argument) for argument in arguments[3:]]
            limits = (int(arguments[0]), float(arguments[1]))
            _campaign(reader, limits, rng, folders, path)
        else:
            _replay(reader, [Path(argument) for argument in arguments], path)


if __name__ == "__main__":
    main()
