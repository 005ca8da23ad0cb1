"""An agent with a sink, both killed again and again, and the comparison of what is stored here with what is there.

The witness is table `process_scan`: one row a tick. What it holds up to a moment must be at the sink once that moment has arrived
there.
"""

import json
import os
import signal
import time
from collections import Counter
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Protocol

import duckdb
from harness.agent_process import AgentProcess
from harness.sinks.collector import Collector, requests_of
from harness.sinks.kafka_broker import KafkaBroker
from harness.sinks.object_server import ObjectServer
from harness.sinks.prometheus import Prometheus
from harness.waiting import wait_until
from msgspec import Struct

from agent.cli.query_database import QueryRequest, open_query_database
from agent.model.timebase import MS
from agent.topic.column_reading import values_of
from agent.topic.message import decode_message
from agent.topic.topic import RAW_TOPIC
from workers import registry

NAME = "trial"
WORKER = f"exporter/{NAME}"
# More than any request has.
_LAST_BYTES = 2 << 20
# One tick: its time in ms of unix time, and how many processes lived then.
Tick = tuple[int, int]


class SinkSide(Protocol):
    """The far end of a trial. `flags`: what the agent needs for it. `doubled_max_per_kill`: how many deliveries a kill may repeat;
    0 where the sink tells repeated ones apart. `is_prompt`: rows arrive within seconds."""

    flags: dict[str, str]
    doubled_max_per_kill: int
    is_prompt: bool

    @property
    def section(self) -> str:
        """The section of the settings file, without its head."""
        ...

    def deliveries(self) -> list[list[Tick]]:
        """The ticks in each delivery that has arrived, in their order; a sink that cannot tell them apart gives one."""
        ...

    def newest_ms(self) -> int:
        """The time of the newest tick that has arrived; 0: none has."""
        ...


class Verdict(Struct, frozen=True):
    """What a trial found: ticks stored here, of those missing there, those that are there more than once, and how many deliveries
    repeated some."""

    stored: int
    lost: int
    doubled: int
    doubled_deliveries: int


class PrometheusSide:
    """A real Prometheus behind the kind `prometheus`: of a series there is one sample at a time."""

    flags: dict[str, str] = {}  # noqa: RUF012  never changed
    doubled_max_per_kill = 0
    is_prompt = True

    def __init__(self, prometheus: Prometheus, resolution: str = "1ms", *, at: str = "") -> None:
        """`at`: HOST:PORT that leads there, where it is not reached itself."""
        self.prometheus = prometheus
        self._resolution = resolution
        self._at = at or f"{prometheus.address}:{prometheus.port}"

    @property
    def section(self) -> str:
        """See SinkSide."""
        return f'kind = "prometheus"\nendpoint = "http://{self._at}/api/v1/write"\nresolution = "{self._resolution}"\n'

    def deliveries(self) -> list[list[Tick]]:
        """See SinkSide."""
        found = [series.samples for series in self.prometheus.samples("evergauge_processes")]
        return [[(round(at * 1000), round(value)) for samples in found for at, value in samples]]

    def newest_ms(self) -> int:
        """See SinkSide."""
        found = self.prometheus.query("timestamp(evergauge_processes)")
        return max((round(value * 1000) for series in found for _, value in series.samples), default=0)


class CollectorSide:
    """A real collector behind the kind `otlp`, which keeps every request."""

    flags: dict[str, str] = {}  # noqa: RUF012  never changed
    doubled_max_per_kill = 1
    is_prompt = True

    def __init__(self, collector: Collector, *, at: str = "") -> None:
        """`at`: HOST:PORT that leads there, where it is not reached itself."""
        self.collector = collector
        self._at = at or f"{collector.address}:{collector.http_port}"
        # Up to where its file was read, and the newest tick in that.
        self._read_bytes = self._newest_ms = 0

    @property
    def section(self) -> str:
        """See SinkSide."""
        return f'kind = "otlp"\nendpoint = "http://{self._at}"\n'

    def deliveries(self) -> list[list[Tick]]:
        """See SinkSide."""
        return [ticks for request in self.collector.records("metrics") if (ticks := ticks_in(request))]

    def newest_ms(self) -> int:
        """See SinkSide. Only what is new in the file is read, and at the first time its last part."""
        path = self.collector.file("metrics")
        if path.exists():
            with path.open("rb") as file:
                self._read_bytes = self._read_bytes or max(0, path.stat().st_size - _LAST_BYTES)
                file.seek(self._read_bytes)
                whole = file.read().rpartition(b"\n")[0]
            self._read_bytes += len(whole)
            found = (at for request in requests_of(whole.decode(errors="replace")) for at, _ in ticks_in(request))
            self._newest_ms = max(self._newest_ms, *found, 0)
        return self._newest_ms


def ticks_in(request: dict[str, Any]) -> list[Tick]:
    """The points of the number of processes in a request of metrics. *Source:* the JSON form of OTLP."""
    return [
        (int(point["timeUnixNano"]) // MS, int(point["asInt"]))
        for resource in request.get("resourceMetrics", ())
        for scope in resource.get("scopeMetrics", ())
        for metric in scope.get("metrics", ())
        if metric["name"] == "system.process.count"
        for point in (metric.get("sum") or metric.get("gauge"))["dataPoints"]
        # One without a value says that the series has a gap.
        if "asInt" in point
    ]


class FileSide:
    """The folder of the kind `file`, with lines of OTLP."""

    flags: dict[str, str] = {}  # noqa: RUF012  never changed
    doubled_max_per_kill = 0
    is_prompt = True

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def section(self) -> str:
        """See SinkSide."""
        return f'kind = "file"\npath = "{self.folder}"\n'

    def deliveries(self) -> list[list[Tick]]:
        """See SinkSide. The last line may still be written."""
        text = "".join(path.read_text() for path in sorted(self.folder.glob("*-metrics-*.jsonl")))
        return [ticks for line in text.splitlines(keepends=True) if line.endswith("\n") and (ticks := ticks_in(json.loads(line)))]

    def newest_ms(self) -> int:
        """See SinkSide. Only the end of the newest file is read."""
        path = max(self.folder.glob("*-metrics-*.jsonl"), default=None)
        if path is None:
            return 0
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _LAST_BYTES))
            whole = file.read().rpartition(b"\n")[0]
        return max((at for request in requests_of(whole.decode(errors="replace")) for at, _ in ticks_in(request)), default=0)


class ObjectSide:
    """A real object server behind the kind `object`: files that are sealed every second."""

    flags = {"--writer-seal-interval": "1s"}  # noqa: RUF012  never changed
    doubled_max_per_kill = 0
    is_prompt = False

    def __init__(self, server: ObjectServer) -> None:
        self.server = server

    @property
    def section(self) -> str:
        """See SinkSide."""
        server = self.server
        lines = {"kind": "object", "url": f"s3://{server.bucket}/lake", "endpoint": server.endpoint, "region": "us-east-1"}
        words = "".join(f'{key} = "{value}"\n' for key, value in lines.items())
        return f'{words}allow_http = true\ntables = ["process_scan", "host"]\n'

    @property
    def variables(self) -> dict[str, str]:
        """The credentials, as an agent finds them in its environment."""
        return {"AWS_ACCESS_KEY_ID": self.server.access_key, "AWS_SECRET_ACCESS_KEY": self.server.secret_key}

    def deliveries(self) -> list[list[Tick]]:
        """See SinkSide."""
        files = sorted(str(path) for path in self.server.bucket_folder.rglob("process_scan/**/*.parquet"))
        if not files:
            return []
        with closing(duckdb.connect()) as database:
            rows = database.execute("SELECT timestamp, processes FROM read_parquet($1)", [files]).fetchall()
        return [[(at // MS, count) for at, count in rows]]

    def newest_ms(self) -> int:
        """See SinkSide."""
        return _newest(self.deliveries())


def _newest(deliveries: list[list[Tick]]) -> int:
    return max((at for delivery in deliveries for at, _ in delivery), default=0)


class KafkaSide:
    """A real broker behind the kind `kafka`."""

    flags: dict[str, str] = {}  # noqa: RUF012  never changed
    doubled_max_per_kill = 0
    is_prompt = True

    def __init__(self, broker: KafkaBroker, prefix: str = "", at: str = "") -> None:
        """`at`: HOST:PORT that leads there, where it is not reached itself."""
        self.broker = broker
        self.prefix = prefix
        self._at = at
        # What was read before is not read again.
        self._behind: dict[int, int] = {}
        self._found: list[list[Tick]] = []

    @property
    def section(self) -> str:
        """See SinkSide."""
        brokers = self._at or self.broker.address_text
        return f'kind = "kafka"\nbrokers = "{brokers}"\ntopic_prefix = "{self.prefix}"\npartitions = 2\n'

    def deliveries(self) -> list[list[Tick]]:
        """See SinkSide: each message of `process_scan` that was committed."""
        for each in self.broker.messages_after(f"{self.prefix}{RAW_TOPIC}", self._behind):
            if dict(each.headers)["schema"].startswith(b"process_scan/"):
                scan: Any = values_of(decode_message(each.headers, each.value).rows)
                self._found.append([(at // MS, count) for at, count in zip(scan["timestamp"], scan["processes"], strict=True)])
        return self._found

    def newest_ms(self) -> int:
        """See SinkSide."""
        return _newest(self.deliveries())


class ExportTrial:
    """An agent in its folder that exports to one sink. Use it as a context."""

    def __init__(
        self, folder: Path, side: SinkSide, *, quick: bool = True, flags: dict[str, str] | None = None, more: str = ""
    ) -> None:
        folder.mkdir(exist_ok=True)
        self.side = side
        path = folder / "agentd.toml"
        path.write_text(f'[sink."{NAME}"]\nretry_most = "500ms"\ninterval = "50ms"\n{side.section}{more}')
        variables = getattr(side, "variables", {})
        # A worker that dies every second would soon wait half a minute before each start.
        backoff = {"--supervisor-backoff-base": "1ms", "--supervisor-backoff-ceiling": "50ms"}
        own = {"--config": str(path), **backoff, **side.flags, **(flags or {})}
        self.agent = AgentProcess(folder, quick=quick, flags=own, environment=variables)

    def __enter__(self) -> "ExportTrial":
        self.agent.__enter__()
        return self

    def __exit__(self, kind: object, *rest: object) -> None:
        self.agent.__exit__(kind, *rest)

    @property
    def report(self) -> dict[str, Any]:
        """What the exporter says of itself; nothing while it does not answer."""
        return self.report_of(NAME)

    def report_of(self, sink: str) -> dict[str, Any]:
        """The same of any sink of this agent."""
        found = self.agent.call("status")["stats"].get(f"exporter/{sink}")
        return found if isinstance(found, dict) else {}

    def wait_arrived(self, until_ms: int, side: SinkSide | None = None) -> None:
        """Until a tick later than this moment is there. `side`: of another sink of this agent."""
        deliveries = (side or self.side).deliveries

        def has_arrived() -> bool:
            with suppress(OSError, AssertionError):
                return any(at > until_ms for delivery in deliveries() for at, _ in delivery)
            return False

        wait_until(has_arrived, "a tick after that moment", seconds=60, pause_seconds=0.1)

    def kill_exporter(self) -> None:
        """As the kernel does when memory is short: at any moment."""
        row = wait_until(lambda: row if (row := self.agent.workers().get(WORKER)) and row["pid"] else None, "an exporter")
        with suppress(ProcessLookupError):
            os.kill(row["pid"], signal.SIGKILL)

    def judge(self, side: SinkSide | None = None, sink: str = NAME) -> Verdict:
        """Compare everything up to now; with another sink of this agent, where one is named."""
        side = side or self.side
        now_ms = time.time_ns() // MS
        self.wait_arrived(now_ms, side)
        wait_until(lambda: self._settled_behind(now_ms, sink), "all older rows are settled", seconds=120, pause_seconds=0.1)
        stored = Counter(tick for tick in self._stored() if tick[0] <= now_ms)
        there: Counter[Tick] = Counter()
        repeated = 0
        for delivery in side.deliveries():
            repeated += any(tick in there for tick in delivery)
            there.update(delivery)
        lost = sum(1 for tick in stored if tick not in there)
        doubled = sum(times - 1 for times in there.values())
        return Verdict(len(stored), lost, doubled, repeated)

    def recovery_seconds(self) -> float:
        """How long from now until the sink acknowledges something new."""
        begun = time.monotonic()
        before = self.report.get("deliveries", 0)
        wait_until(lambda: self.report.get("deliveries", before) > before, "a new delivery", pause_seconds=0.01)
        return time.monotonic() - begun

    def totals_of(self, column: str) -> dict[int, int]:
        """The running sum of a column of `process_scan` by the time of each tick, in ms."""
        total, found = 0, {}
        for at, count in sorted(self._stored(column)):
            total += count
            found[at] = total
        return found

    def _settled_behind(self, now_ms: int, sink: str) -> bool:
        report = self.report_of(sink)
        lag_seconds = report.get("lag_seconds")
        has_caught_up = bool(report) and not report.get("has_backlog") and report.get("state") == "up"
        return has_caught_up and lag_seconds is not None and time.time() - lag_seconds > now_ms / 1000 + 0.2

    def _stored(self, column: str = "processes") -> list[Tick]:
        statement = f"SELECT timestamp, coalesce({column}, 0) FROM process_scan"
        request = QueryRequest(str(self.agent.state_dir), statement)
        with closing(open_query_database(request, registry.tables())) as database:
            return [(at // MS, count) for at, count in database.connection.execute(statement).fetchall()]
