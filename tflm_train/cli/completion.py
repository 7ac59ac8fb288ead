"""`tflm_train completion`."""

from __future__ import annotations

import argparse
import importlib.resources
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tflm_train.cli import tables
from tflm_train.cli.command import Command, Group, Parser

SHELLS = ("bash", "zsh")


@dataclass(frozen=True)
class Completion:
    """What makes a shell complete the command line of this program.

    Attributes:
      shell: Which.
      script: For the shell to read at its start.
    """

    shell: str
    script: str


def _arguments(parser: Parser) -> None:
    parser.add_argument("shell", choices=SHELLS, help="yours")


def _run(arguments: argparse.Namespace) -> Completion:
    # They know all commands, this one too.
    from tflm_train.cli.commands import COMMANDS
    from tflm_train.cli.main import make_parser

    template = importlib.resources.files(__package__).joinpath("completion.bash")
    groups = "|".join(entry.name for entry in COMMANDS if isinstance(entry, Group))
    cases = "\n".join(_cases("", make_parser()))
    script = template.read_text("utf-8").replace("@GROUPS@", groups).replace("@CASES@", cases)
    if arguments.shell == "zsh":
        script = f"autoload -U +X bashcompinit && bashcompinit\n{script}"
    return Completion(arguments.shell, script)


def _cases(command: str, parser: Any) -> Iterator[str]:
    """What may follow a command, and its options that take one of a few words."""
    words: list[str] = []
    for action in parser._actions:
        words += action.option_strings
        if isinstance(action, argparse._SubParsersAction):
            words += action.choices
            for name, inner in action.choices.items():
                yield from _cases(f"{command} {name}".strip(), inner)
        elif action.choices is not None:
            choices = " ".join(map(str, action.choices))
            if not action.option_strings:
                words += map(str, action.choices)
            for option in action.option_strings:
                yield f"    {shlex.quote(f'{command}:{option}')}) words={shlex.quote(choices)} ;;"
        elif action.nargs != 0:
            for option in action.option_strings:
                # A file, most often; the shell completes it.
                yield f"    {shlex.quote(f'{command}:{option}')}) return ;;"
    yield f"    {shlex.quote(f'{command}:')}*) words={shlex.quote(' '.join(words))} ;;"


def _show(result: Completion) -> None:
    tables.show_lines([result.script.rstrip("\n")])


COMMAND = Command(
    "completion",
    "Print what makes a shell complete the words of this program.",
    "bash: put `source <(tflm_train completion bash)` into ~/.bashrc; zsh likewise into ~/.zshrc.",
    _arguments,
    _run,
    _show,
)
