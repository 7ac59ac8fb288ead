"""The list of all commands, in the order in which `tflm_train --help` shows them."""

from __future__ import annotations

from typing import Any

from tflm_train.cli import (
    analyze,
    completion,
    doctor,
    evaluate,
    export,
    features_list,
    features_show,
    inspect,
    memory,
    merge,
    optimize,
    quantize,
    rewrite,
    scheme_list,
    scheme_show,
    search,
    state_average,
    state_diff,
    state_info,
    state_reset,
    train,
)
from tflm_train.cli.command import Command, Group

COMMANDS: tuple[Command[Any] | Group, ...] = (
    quantize.COMMAND,
    inspect.COMMAND,
    analyze.COMMAND,
    search.COMMAND,
    rewrite.COMMAND,
    memory.COMMAND,
    train.COMMAND,
    evaluate.COMMAND,
    Group(
        "scheme",
        "List the schemes that come with the package, or show one.",
        "They are those of the paper for its three networks; `rewrite --scheme NAME` takes them,\n"
        "and as a file they are a start for your own.",
        (scheme_list.COMMAND, scheme_show.COMMAND),
    ),
    Group(
        "features",
        "List the front ends that make a model's input of recordings, or show one.",
        "They are those of TFLM's micro_speech example, of MLPerf Tiny and of TensorFlow's\n"
        "tutorials; `--features NAME` takes them, and as a file they are a start for your own.",
        (features_list.COMMAND, features_show.COMMAND),
    ),
    Group(
        "state",
        "Look into saved states, compare, reset or average them.",
        "A state is what `train --save-state` and the firmware's StateSave write: one format.",
        (state_info.COMMAND, state_diff.COMMAND, state_reset.COMMAND, state_average.COMMAND),
    ),
    merge.COMMAND,
    export.COMMAND,
    optimize.COMMAND,
    doctor.COMMAND,
    completion.COMMAND,
)
