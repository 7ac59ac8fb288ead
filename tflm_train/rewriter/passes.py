"""What a pass is: a step of the rewrite that says what it needs and what holds after it.

A property is a sentence about the graph and the function that finds what breaks it
(`properties.py`). A pass requires some and ensures others; what has been ensured holds from then
on, unless a pass says that it breaks it. `run_passes` looks after every pass whether all of that is
so: a pass that breaks another one's work is found where it does, not where the model fails.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from tflm_train.errors import TflmTrainError
from tflm_train.rewriter.training_graph import TrainingGraph


class PassError(TflmTrainError):
    """A pass did not keep what it or an earlier one promises: a fault of this package."""


@dataclass(frozen=True)
class Property:
    """Something that holds of a graph on its way.

    Attributes:
      states: One sentence.
      broken_by: Finds what breaks it, a few words each.
    """

    states: str
    broken_by: Callable[[TrainingGraph], Iterator[str]] = field(compare=False)


@dataclass(frozen=True)
class Pass:
    """One step of the rewrite.

    Attributes:
      name: What errors call it.
      run: Changes the graph.
      requires: What must have been ensured before.
      ensures: What holds from now on.
      breaks: What does not hold any more until a later pass ensures it again.
    """

    name: str
    run: Callable[[TrainingGraph], object]
    requires: tuple[Property, ...] = ()
    ensures: tuple[Property, ...] = ()
    breaks: tuple[Property, ...] = ()


def run_passes(
    graph: TrainingGraph, passes: Iterable[Pass], held: tuple[Property, ...] = ()
) -> tuple[Property, ...]:
    """Runs passes in order, and checks the graph after each of them.

    Args:
      graph: Changed in place.
      passes: What to run.
      held: What holds already.

    Returns:
      What holds afterwards.

    Raises:
      PassError: A pass lacks what it requires, or something does not hold after it.
    """
    for step in passes:
        missing = next((p for p in step.requires if p not in held), None)
        if missing is not None:
            raise PassError(f"pass {step.name} runs before it is sure that {missing.states}")
        step.run(graph)
        kept = tuple(p for p in held if p not in step.breaks)
        held = tuple(dict.fromkeys([*kept, *step.ensures]))
        check(graph, held, f"after pass {step.name}")
    return held


def check(graph: TrainingGraph, held: Iterable[Property], where: str) -> None:
    """Looks whether properties hold.

    Raises:
      PassError: One does not.
    """
    for promised in held:
        found = next(promised.broken_by(graph), None)
        if found is not None:
            raise PassError(
                f"{graph.model.name}: {where} it does not hold that {promised.states}: {found}; "
                "please report this model and scheme"
            )
