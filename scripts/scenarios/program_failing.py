"""Failures of the programs to which an agent exports, each from a time to a later one, and how soon the sinks are well again."""

import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from fakes.small_disk import fill
from harness.sinks.http_answer import status
from harness.sinks.http_sink import HttpSink

from scenarios.agent_under_scenario import AgentUnderScenario
from scenarios.definition import Failure
from scenarios.export_evidence import Recovery, Trouble
from scenarios.programs import Placed, Programs

# Both bounds are far beyond the limits by which they are judged.
FIRST_SECONDS, BACKLOG_SECONDS = 60.0, 300.0
FIRST_PAUSE, NEXT_PAUSE = 0.01, 0.1
# What is answered so has never succeeded, and never will, for a row that cannot be divided.
FINAL = (400, 413)
Say = Callable[[str], None]


class ProgramFailing:
    """The failures of one run. `troubles` and `recoveries` fill."""

    def __init__(self, agent: AgentUnderScenario, programs: Programs, say: Say) -> None:
        self._agent, self._programs, self._say = agent, programs, say
        self._running = ExitStack()
        self.troubles: list[Trouble] = []
        self.recoveries: list[Recovery] = []

    def end(self) -> None:
        """What a failure has made is gone, also where the run was cut short."""
        self._running.close()

    def steps(self, failure: Failure) -> tuple[str, Callable[[], None], Callable[[], None]]:
        """What it is, what begins it, and what ends it and waits until the sinks are well again."""
        placed = [self._programs.placed[name] for name in failure.programs]
        what = _words(failure)
        held = ExitStack()
        begun: list[int] = []

        def begin() -> None:
            begun.append(time.time_ns())
            self._running.push(held)
            held.enter_context(self._fault(failure, placed))

        def end() -> None:
            self._end(failure, what, placed, held, begun[0])

        return f"{what}: {', '.join(failure.programs)}", begin, end

    def _end(self, failure: Failure, what: str, placed: Sequence[Placed], held: ExitStack, begin_ns: int) -> None:
        names = tuple(each.name for each in placed)
        told = [each.name for each in placed if each.newest_ms is not None]
        # A program that is started again can be reached before it says that it is ready.
        opened = {each.name: each.port for each in placed if failure.kind.name == "restart"}
        watch = _RecoveryWatch(self._agent, self._programs, what, told, opened)
        end_ns = time.time_ns()
        watch.start()
        try:
            held.close()
        finally:
            watch.healed.set()
            watch.join()
        self.recoveries += watch.found()
        settled_ns = time.time_ns() if all(each.backlog_seconds is not None for each in watch.found()) else None
        is_final = failure.kind.values.get("status") in FINAL
        self.troubles.append(Trouble(what, names, begin_ns, end_ns, settled_ns, is_final))
        for each in watch.found():
            self._say(f"{each.sink}: {_shown(each)}")

    def _fault(self, failure: Failure, placed: Sequence[Placed]) -> AbstractContextManager[None]:
        values = failure.kind.values
        match failure.kind.name:
            case "delay":
                return _delayed(placed, round(float(values["by"]) * 1000))
            case "half_open":
                return _half_open(placed)
            case "cut":
                return _cut(placed)
            case "refuse":
                return _refusing(placed, int(values["status"]))
            case "lose_packets":
                return self._losing(float(values["percent"]))
            case "fill_sink":
                return _full(placed)
            case "restart":
                return _away(placed, signal.Signals[f"SIG{values['signal']}"])
        raise AssertionError(f"no failure {failure.kind.name}")

    @contextmanager
    def _losing(self, percent: float) -> Iterator[None]:
        network = self._programs.network
        assert network is not None
        network.lose(percent)
        try:
            yield
        finally:
            self._say(f"{network.lost} packets were lost")
            network.lose(0)


class _RecoveryWatch(threading.Thread):
    """From the moment at which programs can be reached again: their first answer, their first new row, the end of their backlog.

    `healed` is set once the fault is gone. Of `ports` are those that are started again: their port is tried from the beginning, and
    one without any counts from its start.
    """

    def __init__(
        self, agent: AgentUnderScenario, programs: Programs, what: str, names: Sequence[str], ports: Mapping[str, int | None]
    ) -> None:
        super().__init__(daemon=True)
        self._agent, self._what, self._ports = agent, what, ports
        self._placed = {name: programs.placed[name] for name in names}
        self._before = self._progress(agent.reports())
        self.healed = threading.Event()
        self._first: dict[str, float] = {}
        self._live: dict[str, float] = {}
        self._backlog: dict[str, float] = {}

    def run(self) -> None:
        """Until all are well, or too much time has passed."""
        reached = {name: self._wait_reached(name) for name in self._placed}
        reached_ms = time.time_ns() // 1_000_000
        begun = time.monotonic()
        while len(self._backlog) < len(self._placed) and time.monotonic() < begun + BACKLOG_SECONDS:
            if len(self._first) < len(self._placed) and time.monotonic() > begun + FIRST_SECONDS:
                break
            reports = self._agent.reports()
            progress = self._progress(reports)
            for name in self._placed:
                self._look(name, progress[name], reports.get(f"exporter/{name}") or {}, reached[name], reached_ms)
            time.sleep(FIRST_PAUSE if len(self._first) < len(self._placed) else NEXT_PAUSE)

    def found(self) -> list[Recovery]:
        """Of each program."""
        return [
            Recovery(self._what, name, self._first.get(name), self._live.get(name), self._backlog.get(name))
            for name in self._placed
        ]

    def _wait_reached(self, name: str) -> float:
        if name not in self._ports:
            self.healed.wait(FIRST_SECONDS)
        elif (port := self._ports[name]) is not None:
            program = self._placed[name].program
            assert program is not None
            until = time.monotonic() + FIRST_SECONDS
            while not _is_open(program.address, port) and time.monotonic() < until:
                time.sleep(FIRST_PAUSE)
        return time.monotonic()

    def _progress(self, reports: Mapping[str, Mapping[str, Any]]) -> dict[str, int | None]:
        """A number for each that is another one once it has done something. *Absent:* None: it is not well, or nobody answers."""
        found: dict[str, int | None] = {}
        for name, placed in self._placed.items():
            report = reports.get(f"exporter/{name}") or {}
            if placed.progress is not None:
                found[name] = placed.progress() or None
            else:
                found[name] = report["deliveries"] if report.get("state") == "up" else None
        return found

    def _look(self, name: str, progress: int | None, report: Mapping[str, Any], since: float, since_ms: int) -> None:
        placed, now = self._placed[name], time.monotonic() - since
        if name not in self._first:
            # A worker that was replaced begins to count again.
            if progress is not None and progress != self._before[name]:
                self._first[name] = now
            return
        if name not in self._live:
            with suppress(OSError, AssertionError):
                if placed.newest_ms is not None and placed.newest_ms() > since_ms:
                    self._live[name] = time.monotonic() - since
        # An exporter that has not looked yet knows of no backlog: so the newest row comes first. Others get rows in order.
        elif name not in self._backlog and (placed.side is None or has_caught_up(report, since_ms)):
            self._backlog[name] = now


def has_caught_up(report: Mapping[str, Any], since_ms: int) -> bool:
    """Whether an exporter says that everything up to a moment is settled."""
    lag_seconds = report.get("lag_seconds")
    is_up = bool(report) and report["state"] == "up" and not report["has_backlog"]
    return is_up and lag_seconds is not None and (time.time() - lag_seconds) * 1000 > since_ms


def _is_open(address: str, port: int) -> bool:
    try:
        with socket.create_connection((address, port), timeout=1):
            return True
    except OSError:
        return False


def _words(failure: Failure) -> str:
    values = failure.kind.values
    match failure.kind.name:
        case "delay":
            return f"answers {float(values['by']) * 1000:g} ms later"
        case "half_open":
            return "half-open"
        case "cut":
            return "cut"
        case "refuse":
            return f"answers {values['status']}"
        case "lose_packets":
            return f"{float(values['percent']):g} % of packets lost"
        case "fill_sink":
            return "disk full"
        case _:
            return f"restart after SIG{values['signal']}"


def _shown(recovery: Recovery) -> str:
    words = ("first delivery", recovery.first_seconds), ("new rows", recovery.live_seconds), ("all rows", recovery.backlog_seconds)
    return ", ".join(f"{word} {'never' if value is None else f'after {value:.2f} s'}" for word, value in words)


def _ways(placed: Sequence[Placed]) -> list[Any]:
    return [each.way for each in placed if each.way is not None]


@contextmanager
def _delayed(placed: Sequence[Placed], ms: int) -> Iterator[None]:
    for way in _ways(placed):
        way.latency(ms)
    yield
    for way in _ways(placed):
        way.heal()


@contextmanager
def _half_open(placed: Sequence[Placed]) -> Iterator[None]:
    for way in _ways(placed):
        way.timeout()
    yield
    for way in _ways(placed):
        way.heal()


@contextmanager
def _cut(placed: Sequence[Placed]) -> Iterator[None]:
    for way in _ways(placed):
        way.down()
    yield
    for way in _ways(placed):
        way.up()


@contextmanager
def _refusing(placed: Sequence[Placed], code: int) -> Iterator[None]:
    with HttpSink(otherwise=status(code)) as refusing:
        for way in _ways(placed):
            way.lead_to(refusing.port)
        yield
        for each in placed:
            if each.way is not None and each.port is not None and each.program is not None:
                each.way.lead_to(each.port, address=each.program.address)


@contextmanager
def _full(placed: Sequence[Placed]) -> Iterator[None]:
    fillers = [each.disk / "filler" for each in placed if each.disk is not None]
    for filler in fillers:
        fill(filler)
    yield
    for filler in fillers:
        Path(filler).unlink()


@contextmanager
def _away(placed: Sequence[Placed], number: int) -> Iterator[None]:
    for each in placed:
        assert each.program is not None, f"{each.name} is no program"
        each.program.stop(number)
    yield
    for each in placed:
        assert each.program is not None
        each.program.start()
