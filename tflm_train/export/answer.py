"""What a model's output says of a sample: which class it is of, and the names of the classes."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

from tflm_train.errors import DataError
from tflm_train.export.c_source import c_string
from tflm_train.model import Model, Tensor
from tflm_train.model.ending import ending_of
from tflm_train.model.metadata import class_names
from tflm_train.ops import LossKind
from tflm_train.ops.builtin import builtin_of
from tflm_train.trained.trainable_model import TrainableModel

_LARGEST = """\
    const Output* values = output();
    int best = 0;
    for (size_t i = 1; i < kOutputSize; ++i) {
      if (values[i] > values[best]) best = static_cast<int>(i);
    }
    return best;
"""
_MOST_LISTED = 8


class Form(enum.Enum):
    """How an output says which class it is."""

    LARGEST = enum.auto()
    """By the largest element."""
    YES = enum.auto()
    """By its only element: above a threshold it is the second of two."""
    INDEX = enum.auto()
    """Its only element is the class."""
    NONE = enum.auto()
    """Not at all: there are other values, or a class at each position."""


@dataclass(frozen=True)
class Answer:
    """What an output says.

    Attributes:
      form: How it says the class.
      names: Of the classes; empty where there are none, or nobody named them.
      threshold: Of `Form.YES`, in real units.
    """

    form: Form
    names: tuple[str, ...]
    threshold: float

    def values(self, namespace: str, variable: str) -> dict[str, str]:
        """The templates' values.

        Args:
          namespace: C++ namespace.
          variable: What the examples call the object that infers.
        """
        literals = ", ".join(map(c_string, self.names))
        table = "// The names of the classes.\n"
        table += f"constexpr const char* kClassNames[] = {{{literals}}};\n\n"
        format, shown = "first value %d", f"static_cast<int>({variable}.output()[0])"
        of_sketch, named = f"1.0 * {variable}.output()[0]", ""
        if self.form is not Form.NONE:
            is_largest = self.form is Form.LARGEST
            format, shown = "largest output: %d" if is_largest else "inference: %d", "best"
            if self.names:
                format, shown = "inference: %s", f"{namespace}::kClassNames[best]"
                named = f"; its name is {shown}"
            of_sketch = shown
        meaning, best = self._best()
        return {
            "CLASS_NAMES": table if self.names else "",
            "BEST_MEANING": meaning,
            "BEST_NAMED": named,
            "BEST": best,
            "EXAMPLE_SHOW": f'  MicroPrintf("{format}", {shown});\n',
            "SKETCH_VALUE": of_sketch,
        }

    def _best(self) -> tuple[str, str]:
        """What Infer returns: in words, and as statements."""
        if self.form is Form.YES:
            real = "kOutputScale * static_cast<float>(output()[0] - kOutputZeroPoint)"
            return (
                f"1 where the output is above {self.threshold:g}, 0 where it is not",
                f"    return {real} > {self.threshold:.1f}f ? 1 : 0;\n",
            )
        if self.form is Form.INDEX:
            return "The index of the class", "    return static_cast<int>(output()[0]);\n"
        return "The index of the largest output", _LARGEST


def answer_of(
    model: Model, trainable: TrainableModel | None, output: int, names: Sequence[str] | None
) -> Answer:
    """Finds out what an output says.

    Args:
      model: The model.
      trainable: What trains of it; its loss says what the output means.
      output: Index of the output.
      names: Of the classes; None for those in the file, or numbers where the model trains.

    Raises:
      DataError: The number of names is not that of the classes.
    """
    result = model.graph.outputs[output]
    ending = [(op, row) for op in ending_of(model.graph, result) if (row := builtin_of(op))]
    chosen_from = next((op.input for op, row in ending if row.chooses_largest), None)
    sigmoid = any(row.loss == LossKind.SIGMOID_CROSS_ENTROPY for _, row in ending)
    form, count = _form(trainable, result, chosen_from, sigmoid)
    if names is not None:
        _check_number(names, count, model.name)
        found = tuple(names)
    else:
        found = class_names(model, output, count) if count else ()
        if not found and trainable is not None and form is not Form.NONE:
            found = tuple(map(str, range(count)))
    return Answer(form, found, 0.5 if sigmoid else 0.0)


def listed(names: Sequence[str]) -> str:
    """The first names, for a line of text."""
    return ", ".join(names[:_MOST_LISTED]) + (", ..." if len(names) > _MOST_LISTED else "")


def _form(
    trainable: TrainableModel | None, result: Tensor, chosen_from: Tensor | None, sigmoid: bool
) -> tuple[Form, int]:
    """How an output says the class, and of how many."""
    columns = (result if chosen_from is None else chosen_from).shape[-1:] or (1,)
    count, single = columns[0], result.size == 1
    if trainable is not None:
        loss = trainable.loss
        if loss.loss_kind == LossKind.MEAN_SQUARED_ERROR:
            return Form.NONE, 0
        count, sigmoid = loss.classes, loss.loss_kind == LossKind.SIGMOID_CROSS_ENTROPY
    if chosen_from is not None:
        return Form.INDEX if single else Form.NONE, count
    if single:
        return (Form.YES, 2) if sigmoid else (Form.NONE, 0)
    return Form.LARGEST if result.size == count else Form.NONE, count


def _check_number(names: Sequence[str], count: int, model_name: str) -> None:
    if not count:
        raise DataError(
            f"{model_name}: its output has no classes to name; leave out the {len(names)} names"
        )
    if len(names) != count:
        raise DataError(
            f"{len(names)} class names ({listed(names)}), but {model_name} has {count} classes: "
            "give one for each"
        )
