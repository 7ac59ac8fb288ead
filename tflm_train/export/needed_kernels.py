"""Which of the kernels' sources a project needs: what its ops and its own files lead to.

What keeps states and latents is in every project that trains, and in no other.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath

_INCLUDE = re.compile(r'^\s*#\s*include\s+"(tflm_kernels/[^"]+)"', re.MULTILINE)
_REGISTERS = re.compile(r"^TFLMRegistration Register_TRAIN_(\w+)\(\)", re.MULTILINE)
_STATE = "tflm_kernels/state/"  # Firmware that trains calls them as it likes: all of them stay.
_CALLS = re.compile(r"Register_TRAIN_(\w+)\(\)")


def needed_kernels(
    sources: Mapping[str, bytes], users: Iterable[bytes], keeps_states: bool
) -> dict[str, bytes]:
    """The sources that some files need: headers that they include, what implements these, the ops.

    Args:
      sources: All of the kernels' files, by path (`tflm_kernels/...`).
      users: Files that include headers of them and register ops (`Register_TRAIN_...()`).
      keeps_states: Whether there is anything to save: else the headers that the ops share declare
        functions of which no source is needed.

    Returns:
      Those that are needed, with all that they need themselves.
    """
    texts = {
        path: data.decode()
        for path, data in sources.items()
        if keeps_states or not (path.startswith(_STATE) and path.endswith(".cc"))
    }
    own = [data.decode() for data in users]
    ops = {op for text in own for op in _CALLS.findall(text)}
    waiting = [path for text in own for path in _INCLUDE.findall(text)]
    if keeps_states:
        waiting += [path for path in texts if path.startswith(_STATE)]
    waiting += [path for path, text in texts.items() if ops.intersection(_REGISTERS.findall(text))]
    needed: set[str] = set()
    while waiting:
        path = waiting.pop()
        if path in needed or path not in texts:
            continue
        needed.add(path)
        waiting += _INCLUDE.findall(texts[path])
        waiting += [other for other, text in texts.items() if _implements(other, text, path)]
    return {path: data for path, data in sources.items() if path in needed}


def _implements(path: str, text: str, header: str) -> bool:
    """Whether a file holds functions of a header, by names: `log.h` is in `log.cc`, `log_read.cc`.

    Or by what it includes first, among files of one family (`latent_...`).
    """
    source, declared = PurePosixPath(path), PurePosixPath(header)
    if source.suffix != ".cc" or declared.suffix != ".h" or source.parent != declared.parent:
        return False
    is_part = f"{source.stem}_".startswith(f"{declared.stem}_")
    first = _INCLUDE.search(text)
    is_family = source.stem.split("_")[0] == declared.stem.split("_")[0]
    return is_part or (is_family and first is not None and first[1] == header)
