"""The labels of series: values that are harmless whatever names others chose, and never the same for two entities. PURE."""

from functools import cached_property
from typing import Protocol

from agent.model.checksum import blake2b
from agent.model.foreign import readable
from agent.model.table import Value

# Prometheus takes any length; the longest path of a cgroup that a kubelet makes has some 200 characters.
LABEL_LENGTH_MAX = 512
_MARK_BYTES = 4

Pairs = tuple[tuple[str, str], ...]
Key = tuple[Value, ...]


class PodNamed(Protocol):
    """Namespace and name of a pod, where they are known."""

    @property
    def namespace(self) -> str | None: ...

    @property
    def name(self) -> str | None: ...


class Named(Protocol):
    """The name of a container."""

    @property
    def name(self) -> str: ...


class NameSource(Protocol):
    """Who knows the names of pods and containers, such as `workers.export.names.Names`. `version` grows when one changes."""

    version: int

    def pod(self, uid: str) -> PodNamed | None: ...

    def container(self, container_id: str) -> Named | None: ...


class SeriesLabels:
    """The labels of one entity, without the fixed ones of its metrics: what tells its series from all others."""

    def __init__(self, pairs: Pairs) -> None:
        self.pairs = pairs

    @cached_property
    def text(self) -> str:
        """As the text formats write them between the braces."""
        return ",".join(f'{name}="{escaped(value)}"' for name, value in self.pairs)


def label_text(value: Value) -> str:
    """A value as that of a label: one line of valid UTF-8, of LABEL_LENGTH_MAX characters at most.

    One that had to be changed for that ends with a mark made of the original, so that two values never become one.
    """
    if value is True or value is False:
        return "true" if value else "false"
    text = value if isinstance(value, str) else str(value)
    shown = readable(text, LABEL_LENGTH_MAX)
    if shown == text:
        return text
    return f"{shown}~{mark_of(text)}"


def mark_of(text: str) -> str:
    """Eight letters that tell texts apart."""
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=_MARK_BYTES).hexdigest()


def bounded_key(key: Key) -> Key:
    """The key with texts of bounded length, which are those of its labels: a key is held as long as its entity is."""
    return tuple(label_text(part) if isinstance(part, str) and len(part) > LABEL_LENGTH_MAX else part for part in key)


def escaped(value: str) -> str:
    """A label's value in the text formats."""
    if "\\" in value or '"' in value or "\n" in value:
        return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
    return value
