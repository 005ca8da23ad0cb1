"""The emulator as a program: it mounts, serves in one loop, and unmounts."""

import gc
import os
import select
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from heapq import heapify, heappop, heappush
from random import SystemRandom

from msgspec import Struct

from agent.model.errors import ConfigError
from workers.resctrl.emulator.action import ActionRunner
from workers.resctrl.emulator.control_socket import EmulatorSocket
from workers.resctrl.emulator.cpu_traffic import CpuTraffic
from workers.resctrl.emulator.emulation import Emulation
from workers.resctrl.emulator.faults import ScriptedFaults
from workers.resctrl.emulator.fuse import FuseSession
from workers.resctrl.emulator.mount import device_at, mount, open_device, prepare_mount_point, unmount
from workers.resctrl.emulator.process_events import EventSource, open_event_source
from workers.resctrl.emulator.processes import HostThreads, ThreadWatch
from workers.resctrl.emulator.profile import Profile
from workers.resctrl.emulator.scenario import Event, Scenario, parse_action

# Forks and exits are taken in at least this often, because the emulation remembers a thread's earlier groups for two seconds.
SETTLE_PERIOD_NS = 500_000_000
_NS_PER_MS = 1_000_000
_SEEDS = 1 << 31

Say = Callable[[str], None]


class Options(Struct, frozen=True):
    """How an emulator is started. `valid_ns`: how long the kernel may keep names and attributes."""

    mount_point: str
    profile: Profile
    scenario: Scenario
    control_path: str | None = None
    for_ns: int | None = None
    valid_ns: int = 0


def run(options: Options, say: Say) -> None:
    """Serves until SIGTERM, SIGINT, the end of its time, or until it is unmounted. *Raises:* EvergaugeError."""
    with ExitStack() as ending:
        wake = _catch_signals(ending)
        if prepare_mount_point(options.mount_point):
            say(f"took away the dead mount that an earlier emulator had left at {options.mount_point}")
        source = open_event_source()
        if source is not None:
            ending.callback(source.close)
        say(_about_source(source))
        device = open_device()
        ending.callback(os.close, device)
        server = _Server(options, device, source, wake, say)
        ending.callback(server.close)
        mount(options.mount_point, device)
        ending.callback(_unmount_own, options.mount_point, device_at(options.mount_point))
        ending.callback(server.let_go)
        # Objects that exist now live for ever; the collector need not visit them again.
        gc.collect()
        gc.freeze()
        gc.disable()
        say(f"{options.profile.name} is mounted at {options.mount_point} (seed {server.seed})")
        server.serve()


def _unmount_own(mount_point: str, device: tuple[int, int] | None) -> None:
    """Unmounts, unless another emulator's mount is at this place now."""
    if device_at(mount_point) == device:
        unmount(mount_point)


def _about_source(source: EventSource | None) -> str:
    if source is None:
        return "this kernel tells nothing of forks here: new threads are found by looking, and belong to the default group"
    return f"forks and exits are told by {source.name}"


def _catch_signals(ending: ExitStack) -> int:
    """The end of a pipe that becomes readable when this process is told to end."""
    read, write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    ending.callback(os.close, read)
    ending.callback(os.close, write)
    ending.callback(signal.set_wakeup_fd, signal.set_wakeup_fd(write))
    for number in (signal.SIGTERM, signal.SIGINT):
        ending.callback(signal.signal, number, signal.signal(number, lambda _number, _frame: None))
    return read


class _Server:
    def __init__(self, options: Options, device: int, source: EventSource | None, wake: int, say: Say) -> None:
        self._device = device
        self._wake = wake
        self._say = say
        scenario = options.scenario
        clock_ns = time.monotonic_ns
        self._start_ns = now_ns = clock_ns()
        self.seed = SystemRandom().randrange(_SEEDS) if scenario.seed is None else scenario.seed
        self._faults = ScriptedFaults(scenario.faults, self.seed, now_ns)
        threads = HostThreads()
        self._emulation = Emulation(
            options.profile,
            threads,
            now_ns,
            time.time_ns(),
            seed=self.seed,
            faults=self._faults,
            bytes_per_cpu_second=scenario.bytes_per_cpu_second,
            local_fraction=scenario.local_fraction,
        )
        self._watch = ThreadWatch(source, threads.processes, threads.exists, self._emulation, clock_ns)
        self._session = FuseSession(
            device,
            self._emulation,
            clock_ns,
            self._watch.settle,
            delays=self._faults,
            valid_ns=options.valid_ns,
            read_cost_ns=scenario.read_delay_ns,
        )
        self._cpu = CpuTraffic(self._emulation, self._members, threads.cpu_time, options.profile.domain_of_cpu, clock_ns)
        self._actions = ActionRunner(self._emulation, self._faults, self._cpu, options.mount_point, self._session.forget_path)
        self._switch_off_empty_caches(options.profile, now_ns)
        for traffic in scenario.traffic:
            self._actions.play(traffic, now_ns)
        # Instant, order among those of one instant, and the event.
        self._events = [(now_ns + event.at_ns, place, event) for place, event in enumerate(scenario.events)]
        heapify(self._events)
        self._end_ns = None if options.for_ns is None else now_ns + options.for_ns
        self._settle_ns = now_ns
        self._reads_looked_at = 0
        self._control = None if options.control_path is None else EmulatorSocket(options.control_path, self._answer)
        self._sources = set(source.descriptors()) if source is not None else set()
        self._polled: dict[int, int] = {}
        self._poll = select.poll()

    def _switch_off_empty_caches(self, profile: Profile, now_ns: int) -> None:
        """Takes domains without a CPU offline, as the kernel does."""
        for cache in profile.caches:
            if not cache.cpus:
                for domain in cache.nodes or (cache.id,):
                    self._emulation.set_domain_online(domain, False, now_ns)

    def let_go(self) -> None:
        """Stops using the mount."""
        self._actions.let_go()

    def close(self) -> None:
        """Removes the control socket."""
        if self._control is not None:
            self._control.close()

    def serve(self) -> None:
        """The loop."""
        poll = self._poll
        for descriptor in (self._device, self._wake, *self._sources):
            poll.register(descriptor, select.POLLIN)
        while True:
            now_ns = time.monotonic_ns()
            due_ns = self._run_due(now_ns)
            if self._end_ns is not None and now_ns >= self._end_ns:
                return
            self._follow_control()
            for descriptor, ready in poll.poll(max(0, -(-(due_ns - now_ns) // _NS_PER_MS))):
                if descriptor == self._wake:
                    return
                if descriptor == self._device:
                    if not self._session.serve():
                        self._say("it was unmounted from outside")
                        return
                elif descriptor in self._sources:
                    self._watch.settle()
                    if ready & ~select.POLLIN:
                        # Its CPU is offline: the descriptor would be ready for ever.
                        poll.unregister(descriptor)
                        self._sources.discard(descriptor)
                elif self._control is not None:
                    self._control.on_ready(descriptor)

    def _follow_control(self) -> None:
        """Polls for what the control socket waits for now."""
        if self._control is None:
            return
        wanted = self._control.interests()
        if wanted != self._polled:
            for descriptor in self._polled.keys() - wanted.keys():
                self._poll.unregister(descriptor)
            for descriptor, mask in wanted.items():
                self._poll.register(descriptor, mask)
            self._polled = wanted

    def _run_due(self, now_ns: int) -> int:
        """Does what is due, and returns when the next thing is due."""
        if now_ns >= self._settle_ns:
            self._watch.settle()
            self._settle_ns = now_ns + SETTLE_PERIOD_NS
        deadline_ns = self._emulation.next_deadline_ns()
        if deadline_ns is not None and now_ns >= deadline_ns:
            self._emulation.on_timer(now_ns)
            deadline_ns = self._emulation.next_deadline_ns()
        self._session.send_due(now_ns)
        while self._events and self._events[0][0] <= now_ns:
            self._play(*heappop(self._events), now_ns)
        # Without readers nobody sees the traffic, so it need not be computed.
        if self._session.reads != self._reads_looked_at and now_ns >= self._cpu.next_look_ns:
            self._reads_looked_at = self._session.reads
            self._cpu.look()
        next_event_ns = self._events[0][0] if self._events else None
        waits = (self._settle_ns, deadline_ns, self._session.next_due_ns(), self._end_ns, next_event_ns)
        return min(wait for wait in waits if wait is not None)

    def _play(self, at_ns: int, place: int, event: Event, now_ns: int) -> None:
        try:
            done = self._actions.play(event.action, now_ns)
            self._say(f"event {place + 1}: {type(event.action).__name__.lower()} {done or ''}".rstrip())
        except (ConfigError, OSError) as failure:
            self._say(f"event {place + 1} could not be played: {failure}")
        if event.every_ns:
            heappush(self._events, (at_ns + event.every_ns, place, event))

    def _members(self) -> Iterator[tuple[str, int]]:
        """The threads that are in a group other than the root, with the group's path."""
        groups = self._emulation.truth(time.monotonic_ns())["groups"]
        assert isinstance(groups, list)
        return ((group["path"], thread_id) for group in groups for thread_id in group["threads"])

    def _answer(self, document: dict[str, object]) -> dict[str, object]:
        now_ns = time.monotonic_ns()
        if document == {"do": "truth"}:
            self._watch.settle()
            return self._emulation.truth(time.monotonic_ns())
        if document == {"do": "stats"}:
            faults = {"faults_struck": self._faults.struck(), "seed": self.seed}
            watch = {"thread_events": self._watch.events, "rescans": self._watch.rescans}
            return {**self._session.stats(), **watch, **faults, "running_ns": now_ns - self._start_ns}
        return self._actions.play(parse_action(document, str(document.get("do"))), now_ns)
