"""The GPUs of one driver, with the collector that asks for them: what is known of them at each tick. It never waits."""

from typing import Any

from msgspec import structs

from agent.model.errors import FormatError
from agent.model.message import Note
from agent.model.table import Row
from agent.model.timebase import S
from agent.ports import Bus
from workers.gpu.collector_process import Collector, Debris, StartCollector
from workers.gpu.file_sign import SMI_SOURCE
from workers.gpu.problem import Sentence, sentence_of, stuck_sentence
from workers.gpu.reading import DeviceIdentity, DeviceReading, GpuAnswer, decode_answer
from workers.gpu.row import UnitPlaceOf, device_row, process_rows, unanswered_row
from workers.gpu.watch import CollectorPhase, CollectorWatch

# So often at most nvidia-smi is run: frequent runs freeze some cards (nvidia_gpu_exporter issue 89).
SMI_NS = 10 * S


class GpuSet:
    """`name` is that of the collector, `start` starts one; `place_of` says which unit a cgroup belongs to."""

    def __init__(self, name: str, start: StartCollector, watch: CollectorWatch, bus: Bus, *, place_of: UnitPlaceOf) -> None:
        self.name = name
        self.driver = ""
        self.source = ""
        self.refused = 0
        # Why nothing is known of its GPUs, and what to do; empty: something is, or it is not asked yet.
        self.problem = ""
        self._start = start
        self._watch = watch
        self._bus = bus
        self._place_of = place_of
        self._collector: Collector | None = None
        self._answer: GpuAnswer | None = None
        self._debris: Debris | None = None
        self._known: dict[str, DeviceIdentity] = {}
        self._earlier: dict[str, frozenset[int]] = {}

    @property
    def has_devices(self) -> bool:
        """Whether any device was ever seen."""
        return bool(self._known)

    @property
    def is_asked(self) -> bool:
        """Whether an answer may come at any moment."""
        return self._watch.phase is CollectorPhase.ASKED

    def due_at_ns(self) -> int | None:
        """When `turn` has something to start or to ask."""
        due = [at_ns for at_ns in (self._watch.start_at_ns, self._watch.ask_at_ns) if at_ns is not None]
        return min(due, default=None)

    def turn(self, now_ns: int, wall_ns: int, next_ask_ns: int) -> None:
        """Between ticks: take what has arrived, start and ask what is due."""
        self.listen(now_ns, wall_ns, next_ask_ns)
        start_at_ns = self._watch.start_at_ns
        if start_at_ns is not None and start_at_ns <= now_ns:
            self._start_one(now_ns, wall_ns)
        ask_at_ns = self._watch.ask_at_ns
        if self._collector is not None and ask_at_ns is not None and ask_at_ns <= now_ns:
            self._watch.on_asked(now_ns, wall_ns)
            self._collector.ask()

    def listen(self, now_ns: int, wall_ns: int, next_ask_ns: int) -> None:
        """Take what has arrived, and see whether the collector is still there."""
        collector = self._collector
        if collector is None:
            return
        line = collector.take()
        if line is not None:
            self._take(line, now_ns, next_ask_ns)
        elif (how := collector.ended()) is not None:
            collector.close()
            self._collector = None
            is_told = self._watch.phase is CollectorPhase.IDLE and bool(self.problem)
            self._watch.on_ended(now_ns)
            if not is_told:
                self._tell(Sentence(f"its collector {how}", "it is started again; if it happens often, look at the kernel log"))
        if self._watch.on_time(now_ns):
            self._abandon()

    def rows(self, wall_ns: int) -> tuple[list[Row], list[Row]]:
        """Rows of `gpu` and `gpu_process` for a tick: of an answer that came since the last one, or of devices that are stuck."""
        answer, self._answer = self._answer, None
        if answer is not None:
            return self._rows_of(answer, wall_ns)
        since_ns = self._watch.stuck_since_wall_ns
        if since_ns is None:
            return [], []
        source = self.source or "nvml"
        return [unanswered_row(each, source, wall_ns, stuck_since_wall_ns=since_ns) for each in self._known.values()], []

    def stats(self) -> dict[str, Any]:
        """What its collector does, for `status`."""
        return {
            "phase": self._watch.phase.value,
            "pid": None if self._collector is None else self._collector.pid,
            "source": self.source,
            "driver": self.driver,
            "devices": len(self._known),
            "starts": self._watch.starts,
            "abandoned": self._watch.abandoned,
            "lists_refused": self.refused,
            "stuck": int(self._watch.stuck_since_wall_ns is not None),
        }

    def close(self) -> None:
        """Leave the collector to its end."""
        if self._collector is not None:
            self._collector.close()
            self._collector = None

    def _start_one(self, now_ns: int, wall_ns: int) -> None:
        try:
            started = self._start(self.name)
        except OSError as failure:
            self._watch.on_ended(now_ns)
            self._tell(Sentence(f"its collector cannot be started ({failure.strerror})", "look at the agent's limits"))
            return
        if isinstance(started, Debris):
            self._watch.on_blocked(now_ns, wall_ns, started.since_wall_ns)
            self._known = self._known or {each.device: each for each in started.devices}
            self.source = self.source or started.source
            if self._watch.stuck_since_wall_ns is not None:
                self._tell(stuck_sentence(started.pid, ""))
            return
        self._collector = started
        self._watch.on_started(now_ns)

    def _take(self, line: bytes, now_ns: int, next_ask_ns: int) -> None:
        assert self._collector is not None
        was_abandoned = self._watch.phase is CollectorPhase.ABANDONED
        try:
            answer = decode_answer(line)
        except FormatError as failure:
            # It runs a foreign library, which may have written into its memory.
            self._collector.close()
            self._collector = None
            self._watch.on_ended(now_ns)
            self._tell(Sentence(failure.problem, "it is started again"))
            return
        self.source, self.driver = answer.source, answer.driver or self.driver
        self.refused += answer.refused
        if answer.problem:
            # It ends now; how long to wait grows, because no answer named devices.
            self._watch.on_refused()
            self._tell(sentence_of(answer.problem, answer.detail))
            return
        self._watch.on_answer(now_ns + SMI_NS if answer.source == SMI_SOURCE else next_ask_ns)
        self._answer = answer
        self.problem = ""
        if was_abandoned:
            self._bus.note(Note("gpu_collector_back", "info", {"set": self.name, "pid": self._collector.pid}))

    def _rows_of(self, answer: GpuAnswer, wall_ns: int) -> tuple[list[Row], list[Row]]:
        devices: list[Row] = []
        processes: list[Row] = []
        earlier, self._earlier = self._earlier, {}
        named = {}
        for reading in answer.devices:
            reading = self._with_known_identity(reading)
            device = reading.identity.device
            named[device] = reading.identity
            devices.append(device_row(reading, answer.source, wall_ns))
            processes += process_rows(reading, answer, earlier.get(device, frozenset()), self._place_of, wall_ns)
            if reading.processes is not None:
                self._earlier[device] = frozenset(pid for pid, _ in reading.processes)
        for device, identity in self._known.items():
            # Slices come and go by order; a device that is not named any more has fallen off its bus.
            if device not in named and identity.parent is None:
                devices.append(unanswered_row(identity, answer.source, wall_ns, stuck_since_wall_ns=None))
                named[device] = identity
        if named.keys() != self._known.keys() and self._collector is not None:
            # For a worker that comes after this one, should it end while the driver hangs.
            self._collector.record(Debris(self._collector.pid, None, list(named.values()), answer.source))
        self._known = named
        return devices, processes

    def _with_known_identity(self, reading: DeviceReading) -> DeviceReading:
        """A new collector cannot ask a lost device for its name."""
        lost = reading.identity
        if not reading.is_lost or lost.device in self._known:
            return reading
        same = (each for each in self._known.values() if each.index == lost.index and each.parent is None)
        return structs.replace(reading, identity=next(same, lost))

    def _abandon(self) -> None:
        if (collector := self._collector) is None:
            return
        since_wall_ns = self._watch.stuck_since_wall_ns
        collector.record(Debris(collector.pid, since_wall_ns, list(self._known.values()), self.source or "nvml"))
        state = collector.state()
        self._bus.note(Note("gpu_collector_abandoned", "warning", {"set": self.name, "pid": collector.pid, "state": state}))
        self._tell(stuck_sentence(collector.pid, state))

    def _tell(self, sentence: Sentence) -> None:
        self.problem = f"{self.name} GPUs: {sentence.problem}; {sentence.remedy}"
