"""`tflm_train scheme show`."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import Any

from tflm_train.cli import shared, tables
from tflm_train.cli.command import Command, Parser
from tflm_train.errors import SchemeError
from tflm_train.model import Model, load
from tflm_train.rewriter.explain import explain_scheme
from tflm_train.rewriter.rewrite import original_of
from tflm_train.rewriter.trials import Way
from tflm_train.scheme import Scheme
from tflm_train.scheme.library import library_names, library_text
from tflm_train.scheme.presets import Preset, preset_scheme
from tflm_train.scheme.resolve import resolve


@dataclass(frozen=True)
class SchemeContents:
    """A preset, or a scheme that comes with the package.

    Attributes:
      name: Its name.
      scheme: What it says, with the defaults for what it does not.
      text: The same as YAML with comments, which `rewrite --scheme` reads.
    """

    name: str
    scheme: dict[str, Any]
    text: str


def _arguments(parser: Parser) -> None:
    parser.add_argument("name", help="of a preset or a scheme (see `tflm_train scheme list`)")
    parser.add_argument("--model", help="the .tflite file that a preset is to be explained for")
    shared.add_classes(parser)
    shared.add_target(parser)


def _run(arguments: argparse.Namespace) -> SchemeContents:
    name = arguments.name
    model = None if arguments.model is None else original_of(load(arguments.model))
    if name in library_names():
        scheme = Scheme.parse(library_text(name), f"{name}.yaml")
        if model is not None:
            resolve(scheme, model)
        return SchemeContents(name, scheme.to_dict(), library_text(name))
    if name not in list(Preset):
        raise SchemeError(
            f"no preset and no ready scheme {name!r}; there are "
            f"{', '.join([*Preset, *library_names()])}"
        )
    if model is None:
        raise SchemeError(
            f"preset {name} trains {Preset(name).summary}; which layers these are depends on the "
            "model: name it with --model"
        )
    return _preset(Preset(name), model, arguments)


def _preset(preset: Preset, model: Model, arguments: argparse.Namespace) -> SchemeContents:
    head = shared.chosen_head(arguments)
    scheme = preset_scheme(preset, model, head)
    core, kernels = shared.chosen_target(arguments)
    title = f"preset {preset}: {preset.summary}"
    text = explain_scheme(scheme, model, title, Way(kernels, core=core))
    return SchemeContents(str(preset), scheme.to_dict(), text)


def _show(result: SchemeContents) -> None:
    tables.show_lines(result.text.splitlines())


COMMAND = Command(
    "show",
    "Show a scheme that comes with the package, or what a preset is for a model.",
    "What it prints may be saved, edited and given to `rewrite --scheme`.",
    _arguments,
    _run,
    _show,
)
