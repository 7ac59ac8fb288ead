"""Strict reading of YAML: every error names the file, the line and the nearest valid key."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

import yaml

from tflm_train.errors import SchemeError


@dataclass(frozen=True)
class Integer:
    """An integer and where it stands."""

    value: int
    reader: ScalarReader

    def error(self, message: str) -> SchemeError:
        """An error about this value."""
        return self.reader.error(message)


class ScalarReader:
    """A value that may be absent; every accessor checks its type."""

    def __init__(self, node: yaml.Node | None, source: str, label: str, line: int) -> None:
        self._node = node
        self._source = source
        self._label = label
        self._line = line

    def error(self, message: str) -> SchemeError:
        """An error about this value: file, line, key."""
        return SchemeError(f"{self._source}, line {self._line}: {self._label}: {message}")

    @property
    def absent(self) -> bool:
        """Whether the value is left out, or null."""
        return self._node is None or self._node.tag == "tag:yaml.org,2002:null"

    @property
    def is_list(self) -> bool:
        """Whether the value is a list."""
        return isinstance(self._node, yaml.SequenceNode)

    def _scalar(self, what: str) -> str:
        if not isinstance(self._node, yaml.ScalarNode):
            raise self.error(f"must be {what}")
        return str(self._node.value)

    def text(self, default: str) -> str:
        """A single value as it is written."""
        return default if self.absent else self._scalar("a single value")

    def integer(
        self, default: int | None = None, low: int | None = None, high: int | None = None
    ) -> Integer:
        """A whole number in [low, high]; absent gives `default`, if there is one."""
        if self.absent and default is not None:
            return Integer(default, self)
        text = self._scalar("a whole number")
        try:
            value = int(text, 0)
        except ValueError as error:
            raise self.error(f"must be a whole number, not {text!r}") from error
        if (low is not None and value < low) or (high is not None and value > high):
            bounds = f"at least {low}" if high is None else f"from {low} to {high}"
            raise self.error(f"must be {bounds}, not {value}")
        return Integer(value, self)

    def optional_integer(self, low: int, high: int) -> int | None:
        """A whole number in [low, high], or None when absent."""
        return None if self.absent else self.integer(low=low, high=high).value

    def number(self, low: float, high: float, default: float | None = None) -> float:
        """A number in [low, high]; absent gives `default`, if there is one."""
        if self.absent and default is not None:
            return default
        text = self._scalar("a number")
        try:
            value = float(text)
        except ValueError as error:
            raise self.error(f"must be a number, not {text!r}") from error
        if not low <= value <= high:
            raise self.error(f"must be from {low:g} to {high:g}, not {text}")
        return value

    @property
    def is_mapping(self) -> bool:
        """Whether the value is a mapping."""
        return isinstance(self._node, yaml.MappingNode)

    def is_word(self, word: str) -> bool:
        """Whether the value is this one word."""
        return isinstance(self._node, yaml.ScalarNode) and self._node.value == word

    def boolean(self, default: bool) -> bool:
        """True or false."""
        if self.absent:
            return default
        text = self._scalar("true or false").lower()
        if text not in ("true", "false"):
            raise self.error(f"must be true or false, not {text!r}")
        return text == "true"

    def choice(self, values: Sequence[str], default: str) -> str:
        """One of `values`."""
        text = self.text(default)
        if text not in values:
            raise self.error(f"{text!r} is not one of {', '.join(values)}{_nearest(text, values)}")
        return text

    def layer(self) -> int | str:
        """A layer reference: an index, or a name."""
        text = self._scalar("a layer's index or name")
        assert isinstance(self._node, yaml.ScalarNode)
        if self._node.tag == "tag:yaml.org,2002:int":
            return self.integer(low=0).value
        return text

    def items(self) -> list[ScalarReader]:
        """The entries of a list; none when absent."""
        if self.absent:
            return []
        if not isinstance(self._node, yaml.SequenceNode):
            raise self.error("must be a list")
        return [
            ScalarReader(n, self._source, f"{self._label}[{i}]", _line(n))
            for i, n in enumerate(self._node.value)
        ]

    def mapping(self) -> MappingReader:
        """A mapping."""
        if not isinstance(self._node, yaml.MappingNode):
            raise self.error("must be a mapping of key: value")
        return MappingReader(self._node, self._source, self._label)

    def optional_mapping(self) -> MappingReader | None:
        """A mapping, or None when absent."""
        return None if self.absent else self.mapping()


class MappingReader:
    """A mapping whose keys must all be asked for."""

    def __init__(self, node: yaml.MappingNode, source: str, label: str) -> None:
        self._source = source
        self._label = label
        self._line = _line(node)
        self._asked: list[str] = []
        self._values: dict[str, tuple[yaml.Node, int]] = {}
        for key, value in node.value:
            name = str(key.value)
            if name in self._values:
                raise SchemeError(f"{source}, line {_line(key)}: key {name!r} stands twice")
            self._values[name] = (value, _line(key))

    def error(self, message: str) -> SchemeError:
        """An error about this mapping: file, line, key."""
        where = f"{self._label}: " if self._label else ""
        return SchemeError(f"{self._source}, line {self._line}: {where}{message}")

    def get(self, key: str) -> ScalarReader:
        """The value under `key`, which may be absent."""
        self._asked.append(key)
        node, line = self._values.get(key, (None, self._line))
        label = f"{self._label}.{key}" if self._label else key
        return ScalarReader(node, self._source, label, line)

    def require(self, key: str) -> ScalarReader:
        """The value under `key`.

        Raises:
          SchemeError: It is absent.
        """
        if key not in self._values:
            raise self.error(f"key {key!r} is missing")
        return self.get(key)

    def finish(self) -> None:
        """Refuses keys nobody asked for."""
        for key, (_, line) in self._values.items():
            if key not in self._asked:
                hint = _nearest(key, self._asked) or f"; valid keys: {', '.join(self._asked)}"
                raise SchemeError(f"{self._source}, line {line}: unknown key {key!r}{hint}")


def read_document(text: str, source: str, what: str = "a scheme") -> MappingReader:
    """Parses YAML text whose top is a mapping.

    Args:
      text: The YAML.
      source: What to call it in messages.
      what: What it is.

    Raises:
      SchemeError: Not YAML, or the top is no mapping.
    """
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except RecursionError as error:
        raise SchemeError(f"{source}: {what} is never nested that deep") from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise SchemeError(f"{source}, line {line}: not YAML: {error.problem}") from error
    except yaml.YAMLError as error:
        first_line = str(error).splitlines()[0]
        raise SchemeError(f"{source}: not YAML: {first_line}") from error
    if not isinstance(node, yaml.MappingNode):
        raise SchemeError(f"{source}: {what} is a mapping of key: value; start with `version: 1`")
    return MappingReader(node, source, "")


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _nearest(word: str, candidates: Sequence[str]) -> str:
    close = difflib.get_close_matches(word, candidates, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""
