"""The real programs of a run: those to which the agent exports, and those behind them; started before it, and ended after it."""

from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from subprocess import SubprocessError
from typing import Self, TypeVar

import pytest
from fakes.small_disk import mounted
from harness.export_trial import CollectorSide, FileSide, KafkaSide, PrometheusSide, SinkSide
from harness.merge_process import MergeProcess
from harness.sinks.collector import Collector
from harness.sinks.fault_proxy import FaultProxy, FaultyWay
from harness.sinks.kafka_broker import KafkaBroker
from harness.sinks.loopback_port import LoopbackPort
from harness.sinks.lossy_network import LossyNetwork
from harness.sinks.program import SinkProgram
from harness.sinks.prometheus import Prometheus
from harness.sinks.redis_server import RedisServer

from scenarios.definition import ProgramChoice
from scenarios.lake_reading import LakeFolder
from scenarios.stage import NotPossible

P = TypeVar("P", bound=SinkProgram)
T = TypeVar("T")
US_PER_MS = 1_000
# What a person sees of a program that has ended.
LAST_WORDS = 1500


@dataclass(slots=True)
class Placed:
    """A program that runs. `newest_ms`: the newest tick that it has.

    A program has a `side` where it is a sink of the agent, and else `progress`, a number that is another one once it has done
    something. *Absent:* `program` and `port` of a folder; `port` of a program that listens nowhere; `way` without a proxy;
    `newest_ms` and `progress` of one that does something once a minute only.
    """

    name: str
    kind: str
    program: SinkProgram | None
    port: int | None
    newest_ms: Callable[[], int] | None
    side: SinkSide | None = None
    progress: Callable[[], int] | None = None
    way: FaultyWay | None = None
    # The small file system of a folder.
    disk: Path | None = None
    lake: LakeFolder | None = None

    @property
    def rows(self) -> SinkSide | LakeFolder | None:
        """What has rows that can be compared."""
        return self.side if self.side is not None else self.lake


class Programs:
    """Use it as a context. *Raises:* NotPossible at its beginning where one is not on this machine, with the remedy."""

    def __init__(self, folder: Path, choices: tuple[ProgramChoice, ...]) -> None:
        self._folder = folder
        self._choices = choices
        self._stack = ExitStack()
        self._proxy: FaultProxy | None = None
        self.network: LossyNetwork | None = None
        # Of the agent, where it has a part in it.
        self.settings: dict[str, str] = {}
        self.router_port: int | None = None
        self.placed: dict[str, Placed] = {}

    def __enter__(self) -> Self:
        self._folder.mkdir()
        with self._stack:
            for choice in self._choices:
                try:
                    self.placed[choice.name] = self._place(choice)
                # The harness is that of the tests, which are skipped where something is missing.
                except pytest.skip.Exception as reason:
                    raise NotPossible(f"program {choice.name}: {reason}") from reason
            self._stack = self._stack.pop_all()
        return self

    def __exit__(self, kind: object, *rest: object) -> None:
        self._stack.__exit__(kind, *rest)  # type: ignore[arg-type]

    @property
    def sinks(self) -> dict[str, Placed]:
        """Those that take rows from the agent."""
        return {name: each for name, each in self.placed.items() if each.side is not None}

    @property
    def sections(self) -> str:
        """Of the agent's settings file: a sink for each."""
        tables = {each.name: str(each.kind.values.get("tables", "")) for each in self._choices}
        return "".join(
            f'[sink."{name}"]\n{each.side.section}{_tables_line(tables[name])}\n'
            for name, each in self.sinks.items()
            if each.side is not None
        )

    @property
    def variables(self) -> dict[str, str]:
        """Of the agent's environment, such as credentials."""
        return {name: value for each in self.sinks.values() for name, value in getattr(each.side, "variables", {}).items()}

    @property
    def versions(self) -> dict[str, str]:
        """Of each kind of program that runs, the proxy included."""
        found = {each.program.component: each.program.version for each in self.placed.values() if each.program is not None}
        return found | ({} if self._proxy is None else {self._proxy.component: self._proxy.version})

    def assert_alive(self) -> None:
        """*Raises:* AssertionError with the last words of a program that ended by itself."""
        for name, placed in self.placed.items():
            process = None if placed.program is None else placed.program.process
            if placed.program is not None and process is not None and process.poll() is not None:
                words = placed.program.output.strip()[-LAST_WORDS:]
                raise AssertionError(f"program {name} ended by itself with {process.returncode}: {words}")

    def of_kind(self, program: type[T]) -> T | None:
        """The first one that runs a program of this class. *Absent:* None without any."""
        return next((each.program for each in self.placed.values() if isinstance(each.program, program)), None)

    # ---- each kind -----------------------------------------------------------------------------------

    def _place(self, choice: ProgramChoice) -> Placed:
        match choice.kind.name:
            case "files":
                return self._place_files(choice)
            case "collector":
                return self._place_collector(choice)
            case "prometheus":
                return self._place_prometheus(choice)
            case "kafka":
                return self._place_kafka(choice)
            case "redis":
                return self._place_redis(choice)
            case "topics":
                return self._place_topics(choice)
            case "merger":
                return self._place_merger(choice)
            case "router":
                return self._place_router(choice)
        raise AssertionError(f"no program of kind {choice.kind.name}")

    def _place_files(self, choice: ProgramChoice) -> Placed:
        disk = self._stack.enter_context(mounted(self._folder / choice.name, str(choice.kind.values["size"])))
        side = FileSide(disk / "copy")
        return Placed(choice.name, choice.kind.name, None, None, side.newest_ms, side, disk=disk)

    def _place_collector(self, choice: ProgramChoice) -> Placed:
        collector = self._start(Collector(self._folder / choice.name), choice)
        way = self._way(choice, collector.http_port)
        side = CollectorSide(collector, at=self._at(way))
        return Placed(choice.name, choice.kind.name, collector, collector.http_port, side.newest_ms, side, way=way)

    def _place_prometheus(self, choice: ProgramChoice) -> Placed:
        prometheus = self._start(Prometheus(self._folder / choice.name), choice)
        way = self._way(choice, prometheus.port)
        side = PrometheusSide(prometheus, at=self._at(way))
        return Placed(choice.name, choice.kind.name, prometheus, prometheus.port, side.newest_ms, side, way=way)

    def _place_kafka(self, choice: ProgramChoice) -> Placed:
        broker = KafkaBroker(self._folder / choice.name)
        way = self._way(choice, broker.port)
        if way is not None:
            # A client goes where the broker says that it is.
            broker.advertised_port = way.port
        side = KafkaSide(self._start(broker, choice), str(choice.kind.values["prefix"]), self._at(way))
        return Placed(choice.name, choice.kind.name, broker, broker.port, side.newest_ms, side, way=way)

    def _place_topics(self, choice: ProgramChoice) -> Placed:
        broker = self.of_kind(KafkaBroker)
        assert broker is not None
        side = KafkaSide(broker, str(choice.kind.values["prefix"]))
        return Placed(choice.name, choice.kind.name, None, None, None, side)

    def _place_redis(self, choice: ProgramChoice) -> Placed:
        server = self._start(RedisServer(self._folder / choice.name), choice)

        def newest_ms() -> int:
            return max((low_us // US_PER_MS for _, low_us in published_marks(server)), default=0)

        def progress() -> int:
            return max((commit for commit, _ in published_marks(server)), default=0)

        return Placed(choice.name, choice.kind.name, server, server.port, newest_ms, progress=progress)

    def _place_merger(self, choice: ProgramChoice) -> Placed:
        broker, redis = self.of_kind(KafkaBroker), self.of_kind(RedisServer)
        assert broker is not None
        first = next((each.lake for each in self.placed.values() if each.lake is not None), None)
        lake = first or LakeFolder(self._folder / "lake")
        lake.folder.mkdir(exist_ok=True)
        merger = MergeProcess(
            self._folder / choice.name,
            # By a port of its own: what is wrong with the way of the agent is not wrong with that of the merger.
            str(broker.client_options["bootstrap.servers"]),
            f"file://{lake.folder}",
            redis="" if redis is None else redis.url,
            interval=f"{float(choice.kind.values['interval']) * 1000:.0f}ms",
            prefix=str(choice.kind.values["prefix"]),
        )
        self._stack.enter_context(merger)
        if first is not None:
            return Placed(choice.name, choice.kind.name, merger, None, None)
        return Placed(choice.name, choice.kind.name, merger, None, lake.newest_ms, progress=lake.last_number, lake=lake)

    def _place_router(self, choice: ProgramChoice) -> Placed:
        lake = next(each.lake for each in self.placed.values() if each.lake is not None)
        port = LoopbackPort.take()
        self._stack.callback(port.release)
        look = f"{float(choice.kind.values['look']):g}s"
        self.router_port = port.number
        self.settings = {"lake.url": f"file://{lake.folder}", "router.port": str(port.number), "router.look": look}
        return Placed(choice.name, choice.kind.name, None, port.number, None)

    # ---- how it is reached ---------------------------------------------------------------------------

    def _start(self, program: P, choice: ProgramChoice) -> P:
        if choice.kind.values.get("way") == "lossy":
            if self.network is None:
                self.network = self._stack.enter_context(LossyNetwork())
                self.network.lose(0)
            self.network.place(program)
        self._stack.enter_context(program)
        return program

    def _way(self, choice: ProgramChoice, port: int) -> FaultyWay | None:
        if choice.kind.values.get("way") != "proxy":
            return None
        if self._proxy is None:
            self._proxy = self._stack.enter_context(FaultProxy(self._folder / "proxy"))
        return self._proxy.to(port)

    def _at(self, way: FaultyWay | None) -> str:
        assert way is None or self._proxy is not None
        return "" if way is None or self._proxy is None else f"{self._proxy.address}:{way.port}"


def _tables_line(text: str) -> str:
    names = ", ".join(f'"{word.strip()}"' for word in text.split(",") if word.strip())
    return f"tables = [{names}]\n" if names else ""


def published_marks(server: RedisServer) -> list[tuple[int, int]]:
    """Commit and time in microseconds of each mark of ticks. *Range:* none while it does not answer."""
    found: list[tuple[int, int]] = []
    with suppress(OSError, ValueError, SubprocessError):
        for key in server.call("KEYS", "evergauge:marks:*:process_scan"):
            for value in server.call("HVALS", key):
                commit, _, low_us = value.partition("|")
                found.append((int(commit), int(low_us)))
    return found
