"""Which engines are asked for their models and their load, by the setting `sampler.unit.engines`. PURE."""

from collections.abc import Mapping

from msgspec import Struct

from agent.model.cgroup_path import WORKLOAD_SUFFIX
from agent.model.rule import Unit, UnitKind
from agent.setting import Text

DEFAULT_PATH, METRICS_PATH = "/v1/models", "/metrics"
# More than a node has GPUs.
ENGINES_MAX = 64
_SCHEME = "http://"


class EngineAddress(Struct, frozen=True):
    """Where an engine answers. `unit` is its unit as the operator names it."""

    unit: str
    host: str
    port: int
    path: str = DEFAULT_PATH

    @property
    def metrics_path(self) -> str:
        """Where its metrics are: beside its list of models, for a server that has all of its paths below one of its own."""
        return self.path.removesuffix(DEFAULT_PATH) + METRICS_PATH if self.path.endswith(DEFAULT_PATH) else METRICS_PATH


def parse_engines(text: str) -> tuple[EngineAddress, ...]:
    """`UNIT=http://127.0.0.1:8000, UNIT=http://[::1]:11434/api/ps`. *Raises:* ValueError that says what is wrong."""
    found = tuple(_parse_engine(entry) for entry in text.replace(",", " ").split())
    if len(found) > ENGINES_MAX:
        raise ValueError(f"more than {ENGINES_MAX} engines")
    if len({each.unit for each in found}) < len(found):
        raise ValueError("a unit is named twice")
    return found


def _parse_engine(entry: str) -> EngineAddress:
    unit, equals, url = entry.partition("=")
    if not unit or not equals:
        raise ValueError(f"{entry!r} is not UNIT=http://ADDRESS:PORT")
    if not url.startswith(_SCHEME):
        raise ValueError(f"the address of {unit!r} does not begin with {_SCHEME}")
    place, _, path = url.removeprefix(_SCHEME).partition("/")
    host, colon, port = place.rpartition(":")
    # Imported only where an engine is named: it costs 5 ms at the start.
    from ipaddress import ip_address

    if not colon or not port.isdecimal() or not port.isascii() or not 0 < int(port[:6]) < 1 << 16:
        raise ValueError(f"the address of {unit!r} has no port from 1 to 65535")
    try:
        # A name is refused, because to resolve one can take long.
        ip_address(host[1:-1] if host.startswith("[") and host.endswith("]") else host)
    except ValueError as cause:
        raise ValueError(f"the address of {unit!r} is not numeric, as 127.0.0.1 or [::1] are") from cause
    if not path.isascii() or not path.isprintable():
        raise ValueError(f"the path of {unit!r} is not plain ASCII")
    return EngineAddress(unit, host.strip("[]"), int(port), f"/{path}" if path else DEFAULT_PATH)


class Engines(Text):
    """Units and the addresses of their engines."""

    @property
    def accepted(self) -> str:
        return "UNIT=http://ADDRESS:PORT[/PATH] with numeric addresses, separated by commas, or nothing"

    def parse(self, value: object) -> str:
        text = super().parse(value)
        parse_engines(text)
        return text


def names_of(unit: Unit) -> frozenset[str]:
    """The names by which an operator may mean a unit: its uid or path, the last part of it, of a pod `NAMESPACE/NAME`."""
    last = unit.cgroup.rpartition("/")[2]
    names = {unit.uid, unit.cgroup, last}
    if unit.kind is UnitKind.WORKLOAD:
        names.add(last.removesuffix(WORKLOAD_SUFFIX))
    if unit.kind is UnitKind.POD and unit.namespace and unit.name:
        names.add(f"{unit.namespace}/{unit.name}")
    return frozenset(names)


def engine_of(unit: Unit | None, engines: Mapping[str, EngineAddress]) -> EngineAddress | None:
    """The engine of a unit, by the names that the operator uses. *Absent:* none is named, or the unit is not known by name."""
    if unit is None or not engines:
        return None
    return next((engines[name] for name in names_of(unit) if name in engines), None)
