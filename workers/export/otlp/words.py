"""Short words for tables of conventions. PURE."""

from workers.export.otlp.column_map import MetricKind, NotSent, Point, ValueForm

DIRECTION_DISK, DIRECTION_NETWORK = "disk.io.direction", "network.io.direction"
READ, WRITE = ((DIRECTION_DISK, "read"),), ((DIRECTION_DISK, "write"),)
RECEIVE, TRANSMIT = ((DIRECTION_NETWORK, "receive"),), ((DIRECTION_NETWORK, "transmit"),)
MINOR, MAJOR = (("system.paging.fault.type", "minor"),), (("system.paging.fault.type", "major"),)

Attributes = tuple[tuple[str, str], ...]
ABSENT = NotSent("an absent value has no point; files and Parquet say why it is absent")
OF_INTERVAL = NotSent("a sum over its interval says it")


def mode(word: str) -> Attributes:
    """The attribute of CPU time in one mode."""
    return (("cpu.mode", word),)


def pressure(resource: str, kind: str) -> Attributes:
    """The attributes of time under pressure: cpu, memory or io; some or full."""
    return (("evergauge.pressure.resource", resource), ("evergauge.pressure.kind", kind))


def gauge(*names: str, unit: str, attributes: Attributes = ()) -> Point:
    """A whole number at a moment."""
    return Point(names, unit, MetricKind.GAUGE, ValueForm.WHOLE, attributes)


def ratio(*names: str, unit: str = "1", attributes: Attributes = ()) -> Point:
    """A fraction at a moment."""
    return Point(names, unit, MetricKind.GAUGE, ValueForm.FRACTION, attributes)


def level(*names: str, unit: str, attributes: Attributes = ()) -> Point:
    """A whole number that can be added up over its entities."""
    return Point(names, unit, MetricKind.LEVEL, ValueForm.WHOLE, attributes)


def added(*names: str, unit: str, attributes: Attributes = ()) -> Point:
    """What came since the last row."""
    return Point(names, unit, MetricKind.DELTA, ValueForm.WHOLE, attributes)


def spent(*names: str, attributes: Attributes = ()) -> Point:
    """Time since the last row, in seconds."""
    return Point(names, "s", MetricKind.DELTA, ValueForm.SECONDS, attributes)


def duration(*names: str) -> Point:
    """A length of time at a moment, in seconds."""
    return Point(names, "s", MetricKind.GAUGE, ValueForm.SECONDS)


def standing(*names: str, unit: str, attributes: Attributes = ()) -> Point:
    """A counter as it stands."""
    return Point(names, unit, MetricKind.TOTAL, ValueForm.WHOLE, attributes)
