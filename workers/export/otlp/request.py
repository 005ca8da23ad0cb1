"""One request for metrics or logs while it is put together: resources in the order of their first part. PURE."""

from msgspec import Struct

from agent.model.protobuf import delimited
from workers.export.otlp.metric import MetricHead
from workers.export.otlp.wire import text

_SCOPE_NAME = "evergauge"


class OtlpScope(Struct, frozen=True):
    """What stands around the metrics or records of each resource."""

    before: bytes
    after: bytes


def scope_of(version: str, schema_url: str) -> OtlpScope:
    """`InstrumentationScope` and `schema_url`, encoded."""
    return OtlpScope(delimited(1, text(1, _SCOPE_NAME) + text(2, version)), text(3, schema_url))


class MetricParts:
    """The points of one table's rows of one resource, by metric."""

    __slots__ = ("heads", "points")

    def __init__(self, heads: list[MetricHead]) -> None:
        self.heads = heads
        self.points: list[bytearray] = [bytearray() for _ in heads]

    def encoded(self) -> list[bytes]:
        """The metrics that have points."""
        return [head.with_points(points) for head, points in zip(self.heads, self.points, strict=True) if points]


class Gathered:
    """Parts by resource."""

    def __init__(self, scope: OtlpScope) -> None:
        self._scope = scope
        self._metrics: dict[bytes, dict[object, MetricParts]] = {}
        self._others: dict[bytes, list[bytes]] = {}

    def metrics_of(self, resource: bytes, key: object, heads: list[MetricHead]) -> MetricParts:
        """Where the points of the rows of one plan go."""
        of_resource = self._metrics.get(resource)
        if of_resource is None:
            of_resource = self._metrics[resource] = {}
        parts = of_resource.get(key)
        if parts is None:
            parts = of_resource[key] = MetricParts(heads)
        return parts

    def add(self, resource: bytes, part: bytes) -> None:
        """A whole metric or log record, encoded as an element of its scope."""
        self._others.setdefault(resource, []).append(part)

    def encoded(self) -> bytes:
        """An `ExportMetricsServiceRequest`, or the same of logs; empty where nothing was gathered."""
        requests: list[bytes] = []
        for resource in dict.fromkeys([*self._metrics, *self._others]):
            parts = [part for of_plan in self._metrics.get(resource, {}).values() for part in of_plan.encoded()]
            parts += self._others.get(resource, ())
            if parts:
                scoped = delimited(2, b"".join([self._scope.before, *parts, self._scope.after]))
                requests.append(delimited(1, delimited(1, resource) + scoped + self._scope.after))
        return b"".join(requests)
