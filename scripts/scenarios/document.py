"""A YAML text as values that know their line and column, so that each error names the place. PURE.

YAML has more than a person wants in a short file. What could be read in two ways, or grow beyond what was written, is refused with
a sentence: anchors and aliases, tags, several documents, keys that stand twice, `no` where a text is meant.
"""

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

import yaml

TEXT_LENGTH_MAX = 64 << 10
DEPTH_MAX = 16
_TRUTHS = {"true": True, "false": False}
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_SIZES = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
_WORD_BY_TAG = {"bool": "a truth value", "int": "a number", "float": "a number", "null": "nothing", "timestamp": "a date"}
T = TypeVar("T")


class DefinitionError(Exception):
    """A definition that cannot be meant so. Shown as `file:line:column: problem`."""

    def __init__(self, origin: str, line: int, column: int, problem: str) -> None:
        super().__init__(f"{origin}:{line}:{column}: {problem}")
        self.line, self.column, self.problem = line, column, problem


def near(word: str, known: Iterable[str]) -> str:
    """`; did you mean x or y?`, or the known words where none is near."""
    names = sorted(known)
    found = difflib.get_close_matches(word, names, n=2, cutoff=0.65) or [name for name in names if word and name.startswith(word)]
    if found:
        return f"; did you mean {' or '.join(found)}?"
    return f"; known: {', '.join(names)}" if names else ""


@dataclass(frozen=True, slots=True)
class Value:
    """One node of the text with the name that a person knows it by."""

    origin: str
    name: str
    node: yaml.Node

    def error(self, problem: str) -> DefinitionError:
        """An error at this place."""
        mark = self.node.start_mark
        return DefinitionError(self.origin, mark.line + 1, mark.column + 1, problem)

    @property
    def is_mapping(self) -> bool:
        """Whether it has keys."""
        return isinstance(self.node, yaml.MappingNode)

    def plain(self) -> str:
        """A scalar as it is written, whatever YAML takes it for: who reads it knows its type. *Raises:* DefinitionError."""
        return str(self._scalar("a single value").value)

    def fields(self, known: Iterable[str], required: Iterable[str] = ()) -> dict[str, "Value"]:
        """A mapping with no other keys than these. *Raises:* DefinitionError."""
        names, found = list(known), self.mapping()
        for key, value in found.items():
            if key not in names:
                raise self._key(key, value).error(f"{self.name} has no key '{key}'{near(key, names)}")
        for key in required:
            if key not in found:
                raise self.error(f"{self.name} lacks '{key}'")
        return found

    def mapping(self) -> dict[str, "Value"]:
        """Any keys. *Raises:* DefinitionError where it is no mapping, or a key stands twice or is no text."""
        if not isinstance(self.node, yaml.MappingNode):
            raise self.error(f"{self.name} must be a mapping of keys to values")
        found: dict[str, Value] = {}
        for key, node in self.node.value:
            name = Value(self.origin, f"a key of {self.name}", key).text()
            if name in found:
                raise Value(self.origin, name, key).error(
                    f"'{name}' stands twice in {self.name}; the second would replace the first"
                )
            found[name] = Value(self.origin, f"'{name}'", node)
        return found

    def items(self, least: int = 0) -> list["Value"]:
        """A list. *Raises:* DefinitionError."""
        if not isinstance(self.node, yaml.SequenceNode):
            raise self.error(f"{self.name} must be a list, each item after a dash")
        if len(self.node.value) < least:
            raise self.error(f"{self.name} needs at least {least} item{'s' if least > 1 else ''}")
        return [Value(self.origin, f"item {number} of {self.name}", node) for number, node in enumerate(self.node.value, 1)]

    def text(self) -> str:
        """A text. *Raises:* DefinitionError where YAML reads something else: `no` is a truth value, 1:30 a number."""
        node = self._scalar("a text")
        kind = node.tag.rpartition(":")[2]
        if kind == "null":
            raise self.error(f"{self.name} has no value")
        if kind != "str":
            word = _WORD_BY_TAG.get(kind, "something else")
            raise self.error(f"{self.name} must be a text, and YAML reads {node.value} as {word}: put it in quotes")
        if not node.value or any(ord(letter) < 32 for letter in node.value.rstrip("\n")):
            raise self.error(f"{self.name} must be a text without control characters, and not empty")
        return str(node.value).rstrip("\n")

    def choice(self, known: Iterable[str]) -> str:
        """One of these words. *Raises:* DefinitionError with the near ones."""
        names, word = list(known), self.text()
        if word not in names:
            raise self.error(f"{self.name}: there is no '{word}'{near(word, names)}")
        return word

    def truth(self) -> bool:
        """*Raises:* DefinitionError for all but true and false."""
        node = self._scalar("true or false")
        if node.style is None and node.value in _TRUTHS:
            return _TRUTHS[node.value]
        raise self.error(f"{self.name} must be true or false, and not {node.value!r}")

    def number(self, least: float, most: float) -> float:
        """A number. *Raises:* DefinitionError."""
        node = self._scalar("a number")
        try:
            value = float(node.value.replace("_", "x"))
        except ValueError:
            raise self.error(f"{self.name} must be a number, and not {node.value!r}") from None
        return self._within(value, least, most, f"{least:g}", f"{most:g}")

    def whole(self, least: int, most: int) -> int:
        """A whole number. *Raises:* DefinitionError."""
        value = self.number(least, most)
        if value != int(value):
            raise self.error(f"{self.name} must be a whole number, and not {value:g}")
        return int(value)

    def percent(self, least: float, most: float) -> float:
        """`2%` or `2`, as 2. *Raises:* DefinitionError."""
        node = self._scalar("a share in percent")
        try:
            value = float(node.value.removesuffix("%"))
        except ValueError:
            raise self.error(f"{self.name} must be a share in percent, such as 0.5%, and not {node.value!r}") from None
        return self._within(value, least, most, f"{least:g}%", f"{most:g}%")

    def seconds(self, least: float, most: float) -> float:
        """A duration with its unit: 500ms, 45s, 2m. *Raises:* DefinitionError."""
        value = self._with_unit(_UNITS, "a duration with its unit, such as 500ms, 45s or 2m")
        return self._within(value, least, most, f"{least:g}s", f"{most:g}s")

    def bytes(self, least: int, most: int) -> int:
        """A size with its unit: 512k, 32m, 1g. *Raises:* DefinitionError."""
        value = self._with_unit(_SIZES, "a size with its unit, such as 512k, 32m or 1g")
        return int(self._within(value, least, most, f"{least} bytes", f"{most} bytes"))

    def _with_unit(self, units: Mapping[str, float], what: str) -> float:
        text = str(self._scalar(what).value)
        number = text.rstrip("abcdefghijklmnopqrstuvwxyz")
        unit = text[len(number) :]
        try:
            return float(number) * units[unit]
        except (ValueError, KeyError):
            raise self.error(f"{self.name} must be {what}, and not {text!r}") from None

    def _within(self, value: float, least: float, most: float, shown_least: str, shown_most: str) -> float:
        if not least <= value <= most:
            raise self.error(f"{self.name} must be from {shown_least} to {shown_most}")
        return value

    def _scalar(self, what: str) -> yaml.ScalarNode:
        if not isinstance(self.node, yaml.ScalarNode):
            raise self.error(f"{self.name} must be {what}")
        if self.node.tag.endswith(":null"):
            raise self.error(f"{self.name} has no value")
        return self.node

    def _key(self, name: str, value: "Value") -> "Value":
        assert isinstance(self.node, yaml.MappingNode)
        return next(Value(self.origin, name, key) for key, node in self.node.value if node is value.node)


def parse(text: str, *, origin: str) -> Value:
    """The whole document. *Raises:* DefinitionError."""
    if len(text) > TEXT_LENGTH_MAX:
        raise DefinitionError(origin, 1, 1, f"has {len(text)} letters; a definition has at most {TEXT_LENGTH_MAX}")
    _refuse_traps(text, origin)
    node = _said(origin, lambda: yaml.compose(text, Loader=yaml.SafeLoader))
    if node is None:
        raise DefinitionError(origin, 1, 1, "is empty")
    return Value(origin, "the definition", node)


def _refuse_traps(text: str, origin: str) -> None:
    """Before anything is built: events cost as much as the text is long, however often an alias would repeat it."""
    depth = documents = 0
    events: Iterator[yaml.Event] = iter(yaml.parse(text, Loader=yaml.SafeLoader))
    while (event := _said(origin, lambda: next(events, None))) is not None:
        assert event.start_mark is not None
        line, column = event.start_mark.line + 1, event.start_mark.column + 1
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise DefinitionError(origin, line, column, "anchors (&) and aliases (*) are refused: write the value out")
        if tag := getattr(event, "tag", None):
            raise DefinitionError(origin, line, column, f"the tag {tag} is refused: write a plain value")
        documents += isinstance(event, yaml.DocumentStartEvent)
        if documents > 1:
            raise DefinitionError(origin, line, column, "a second document begins here; a file has one scenario")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEPTH_MAX:
            raise DefinitionError(origin, line, column, f"is nested more than {DEPTH_MAX} deep")


def _said(origin: str, step: Callable[[], T]) -> T:
    """A step of the parser, whose errors get a place and one sentence."""
    try:
        return step()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        words = " ".join(filter(None, (error.problem, error.context))) or "is no YAML"
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise DefinitionError(origin, line, column, f"is no YAML: {words}") from error
    except yaml.YAMLError as error:
        raise DefinitionError(origin, 1, 1, f"is no YAML: {' '.join(str(error).split())}") from error
