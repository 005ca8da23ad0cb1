"""What a row is about, as a resource of OTLP: host, process, pod, container or another unit. PURE."""

from collections.abc import Sequence
from typing import NamedTuple

from msgspec import Struct

from agent.model.table import Value
from workers.export.names import Names
from workers.export.otlp.column_map import Meaning, OptionalTag, Role, Tag
from workers.export.otlp.wire import AttributeValue, attributes

# The attributes of all resources of one agent take most of a request's bytes before they are compressed; each is made once.
CACHED_MAX = 20_000
POD, CONTAINER, OTHER = 0, 1, 2
_POD_KIND = "pod"


class SendingAgent(Struct, frozen=True):
    """Whose rows they are."""

    host: str
    install: str
    version: str

    @property
    def pairs(self) -> list[tuple[str, AttributeValue]]:
        """The attributes of the host itself, which all other resources have too."""
        return [
            ("host.name", self.host),
            ("service.name", "evergauge"),
            ("service.version", self.version),
            ("service.instance.id", self.install),
        ]


class Entity(NamedTuple):
    """A resource, encoded; which names its metrics have (POD, CONTAINER, OTHER)."""

    resource: bytes
    variant: int


class _Unit(Struct):
    """What a row says of its unit."""

    uid: str | None = None
    kind: str | None = None
    container: str | None = None
    namespace: str | None = None
    name: str | None = None


_UNIT_FIELDS = {
    Role.UNIT: "uid",
    Role.UNIT_KIND: "kind",
    Role.CONTAINER: "container",
    Role.NAMESPACE: "namespace",
    Role.POD_NAME: "name",
}
_OF_ENTITIES = (*_UNIT_FIELDS, Role.START_TICKS)


def is_of_entity(meaning: Meaning, options: frozenset[str]) -> bool:
    """Whether a column says which resource a row is about."""
    return isinstance(meaning, Tag) or meaning in _OF_ENTITIES or (isinstance(meaning, OptionalTag) and meaning.option in options)


class EntityCache:
    """The resources of one table's rows, by the values that say which they are. It is empty after a name has changed."""

    def __init__(self, meanings: Sequence[Meaning], names: Names) -> None:
        self._meanings = tuple(meanings)
        self._is_of_processes = Role.START_TICKS in self._meanings
        self._names = names
        self._version = names.version
        self._agent: SendingAgent | None = None
        self._entities: dict[tuple[Value, ...], Entity] = {}

    def entity(self, values: tuple[Value, ...], agent: SendingAgent) -> Entity:
        """The resource that these values name, in the order of the meanings."""
        if self._version != self._names.version or self._agent is not agent:
            self._entities.clear()
            self._version, self._agent = self._names.version, agent
        found = self._entities.get(values)
        if found is None:
            if len(self._entities) >= CACHED_MAX:
                self._entities.clear()
            found = self._entities[values] = self._made(values, agent)
        return found

    def _made(self, values: tuple[Value, ...], agent: SendingAgent) -> Entity:
        pairs = agent.pairs
        unit = _Unit()
        for meaning, value in zip(self._meanings, values, strict=True):
            if value is None or isinstance(value, bytes | list | tuple):
                continue
            if isinstance(meaning, Tag | OptionalTag):
                pairs.append((meaning.name, value))  # type: ignore[arg-type]  # bytes and lists were left out above
            elif meaning is Role.START_TICKS:
                pairs.append(("evergauge.process.start_ticks", value))  # type: ignore[arg-type]  # as above
            elif isinstance(meaning, Role) and isinstance(value, str):
                setattr(unit, _UNIT_FIELDS[meaning], value)
        pairs += self._of_unit(unit)
        variant = CONTAINER if unit.container is not None else POD if unit.kind == _POD_KIND else OTHER
        return Entity(attributes(1, pairs), variant)

    def _of_unit(self, unit: _Unit) -> list[tuple[str, AttributeValue]]:
        """The attributes of a unit; those that a runtime told are filled in from what is known."""
        pairs: list[tuple[str, AttributeValue]] = []
        if unit.uid is not None:
            known = self._names.pod(unit.uid)
            if known is not None:
                unit.kind = unit.kind or known.kind
                unit.namespace, unit.name = unit.namespace or known.namespace, unit.name or known.name
            if unit.kind is None and not unit.uid.startswith("/"):
                # Whatever is no pod is named by the path of its cgroup.
                unit.kind = _POD_KIND
            pairs += _pod(unit, unit.uid) if unit.kind == _POD_KIND else _other(unit, unit.uid)
        if unit.container is not None:
            container = self._names.container(unit.container)
            if container is None or unit.uid is None or not self._is_of_processes:
                # Of a process, pod and name say which container it is, and its pid which start of it. The id is 64 letters that no
                # compression makes shorter: 3 of 36 bytes for each process and second.
                pairs.append(("container.id", unit.container))
            if container is not None:
                pairs.append(("k8s.container.name", container.name))
        return pairs


def _pod(unit: _Unit, uid: str) -> list[tuple[str, AttributeValue]]:
    pairs: list[tuple[str, AttributeValue]] = [("k8s.pod.uid", uid)]
    if unit.namespace is not None:
        pairs.append(("k8s.namespace.name", unit.namespace))
    if unit.name is not None:
        pairs.append(("k8s.pod.name", unit.name))
    return pairs


def _other(unit: _Unit, uid: str) -> list[tuple[str, AttributeValue]]:
    pairs: list[tuple[str, AttributeValue]] = [("evergauge.unit", uid)]
    if unit.kind is not None:
        pairs.append(("evergauge.unit.kind", unit.kind))
    return pairs
