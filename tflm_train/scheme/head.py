"""The `head` of a scheme: what becomes of the model's last layer.

head: {classes: 10}                 # a fresh classifier for ten classes
head: {classes: +2}                 # two classes more; the old ones stay as they are
head: {reinitialise: true}          # the same classes, learnt anew
head: {classes: 5, hidden: [32]}    # a fresh classifier behind a hidden layer of 32
head: {train: false}                # the classifier stays as it is
"""

from __future__ import annotations

from dataclasses import dataclass

from tflm_train.scheme.yaml_reader import MappingReader, ScalarReader

MAX_CLASSES = 4096
FORMS = {
    "{}": "Trains on, with the weights it has.",
    "{train: false}": "Stays as it is.",
    "{classes: 10}": "A fresh one for ten classes (outputs, of a regression), starting at zero.",
    "{classes: +2}": "Two classes more, starting at zero; the old ones keep their weights.",
    "{reinitialise: true}": "A fresh one for the same classes.",
    "{hidden: [32]}": "A fresh one behind fresh hidden layers of these widths, with RELU.",
    "{classes: 2, labels: [cat, dog]}": "The names of the new classes go into the metadata.",
}
"""What the scheme may say, and what it means."""
_MOST_HIDDEN_LAYERS = 4


@dataclass(frozen=True)
class Head:
    """The last layer that feeds the trained output.

    Attributes:
      classes: Outputs of the fresh head that replaces it; None keeps their number.
      train: Whether it trains.
      add: How many classes to add to those it has, which keep their weights.
      reinitialise: Replace it by a fresh one with as many outputs.
      hidden: Widths of fresh hidden layers before a fresh head.
      labels: Names of a fresh head's classes, or of the added ones, for the model's metadata.
    """

    classes: int | None = None
    train: bool = True
    add: int = 0
    reinitialise: bool = False
    hidden: tuple[int, ...] = ()
    labels: tuple[str, ...] = ()

    @property
    def is_fresh(self) -> bool:
        """Whether all of the head's old weights go."""
        return self.classes is not None or self.reinitialise or bool(self.hidden)

    @property
    def is_kept(self) -> bool:
        """Whether the head stays as it is."""
        return not self.is_fresh and not self.add


KEPT_HEAD = Head()
"""The model's own, which trains on."""


def read_head(mapping: MappingReader | None, fewest: int) -> Head:
    """Reads the value of `head`; a fresh one has at least `fewest` outputs.

    Raises:
      SchemeError: An unknown option, or options that contradict each other.
    """
    if mapping is None:
        return Head()
    classes, add = _read_classes(mapping.get("classes"), fewest)
    train = mapping.get("train").boolean(default=True)
    reinitialise = mapping.get("reinitialise").boolean(default=False)
    hidden = tuple(
        item.integer(low=1, high=MAX_CLASSES).value for item in mapping.get("hidden").items()
    )
    labels = tuple(item.text("") for item in mapping.get("labels").items())
    mapping.finish()
    head = Head(classes, train, add, reinitialise, hidden, labels)
    if not head.is_kept and not train:
        raise mapping.error(
            "a fresh head that does not train can never answer; drop `train: false`"
        )
    if add and (reinitialise or hidden):
        raise mapping.error(
            "`classes: +N` keeps the old classes' weights, `reinitialise` and `hidden` do not; "
            "give the number of all classes instead"
        )
    if len(hidden) > _MOST_HIDDEN_LAYERS:
        raise mapping.error(f"at most {_MOST_HIDDEN_LAYERS} hidden layers")
    named = classes or add
    if labels and len(labels) != named:
        raise mapping.error(
            f"{len(labels)} labels for {named or 'no'} new classes; "
            "give one for each, with `classes`"
        )
    return head


def parse_classes(text: str) -> tuple[int | None, int] | None:
    """`10` as (10, 0), `+2` as (None, 2); None for anything else."""
    try:
        number = int(text, 0)
    except ValueError:
        return None
    if text.strip().startswith("+"):
        return (None, number) if 1 <= number < MAX_CLASSES else None
    return (number, 0) if 1 <= number <= MAX_CLASSES else None


def _read_classes(reader: ScalarReader, fewest: int) -> tuple[int | None, int]:
    if reader.absent:
        return None, 0
    text = reader.text("")
    if text.strip().startswith("+"):
        return None, reader.integer(low=1, high=MAX_CLASSES - 1).value
    return reader.integer(low=fewest, high=MAX_CLASSES).value, 0
