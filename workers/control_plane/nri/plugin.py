"""The thread `nri`: this agent as a plugin of the host's container runtime.

It answers every call at once, whatever the rest of the worker does; only the start of a container waits for its threads to be
placed, by the thread `start`, and no longer than the deadline. Nothing that goes wrong with the runtime is fatal: the link
gets one sentence about it, and the runtime is tried again.
"""

import os
import select
import sys
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from random import Random
from typing import Any

from msgspec.structs import asdict

from agent.config import CGROUP_ROOT, NRI_ENABLED, NRI_SOCKET, NRI_START_DEADLINE, PROC_ROOT, RESCTRL_ENABLED, RESCTRL_MOUNT
from agent.failpoint import failpoint
from agent.model.timebase import MS, S
from agent.ports import Clock
from workers.control_plane.container_runtime.event import LinkState, RuntimeEvent, RuntimeWire, Synchronized
from workers.control_plane.container_runtime.link import RuntimeLink
from workers.control_plane.container_runtime.start_assignment import StartAssignment
from workers.control_plane.container_runtime.start_thread import StartThread, StartWork
from workers.control_plane.nri.connection import RuntimeConnection
from workers.control_plane.nri.reconnect import Reconnect
from workers.control_plane.nri.runtime_socket import RuntimeSocket
from workers.control_plane.nri.sentence import refused_sentence
from workers.control_plane.nri.session import (
    Configured,
    PluginSession,
    Registered,
    RegistrationRefused,
    Reported,
    RuntimeShutDown,
    SessionEvent,
    StartRequested,
)
from workers.control_plane.nri.stage import Stage
from workers.control_plane.nri.start_calls import StartAnswer, StartCalls
from workers.framework.declaration import WorkerContext
from workers.framework.vital_thread import VitalThread, end_process
from workers.resctrl.filesystem import MountedFilesystem

# A thread that computes gives way after this time to one that has something to answer. One start has some forty system calls and
# may wait at each: with Python's own 5 ms every thirtieth start took over 75 ms beside a loop that computes, with this one 16 ms.
SWITCH_INTERVAL_SECONDS = 0.00005
# How long the loop gives way at one time. A start takes 2 ms; one that hangs holds the loop up in steps, and not for good.
YIELD_SECONDS = 0.01
# How often to look which runtime is installed while there is no socket.
_ABSENCE_NS = 10 * S
# With that of the thread `start` half a second.
STOP_SECONDS = 0.3


class NriPlugin:
    """Receives a runtime's reports over NRI from `start` to `stop`, and hands them to the link. One object serves once."""

    def __init__(
        self,
        link: RuntimeLink,
        clock: Clock,
        runtime_socket: RuntimeSocket,
        start_work: StartWork | None,
        *,
        deadline_ns: int,
        rng: Random,
        end_process: Callable[[], None] = end_process,
    ) -> None:
        """`start_work` None: nothing is measured by groups, and no start waits. `end_process` is called after a bug in a thread."""
        self._link = link
        self._now_ns = clock.now_ns
        self._socket = runtime_socket
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._start_thread = None if start_work is None else StartThread(start_work, self._wake_up, clock.now_ns, end_process)
        self._calls = StartCalls(self._start_thread, deadline_ns, clock.now_ns)
        self._reconnect = Reconnect(rng)
        self._poller = select.poll()
        self._poller.register(self._wake, select.POLLIN)
        self._connection: RuntimeConnection | None = None
        self._runtime = ""
        self._absence_at_ns = 0
        self._is_stopping = False
        # Clear while a container waits for its start.
        self._is_quiet = threading.Event()
        self._is_quiet.set()
        self._thread = VitalThread("nri", self._run, end_process)
        self._events: Counter[str] = Counter()
        self._ends: Counter[str] = Counter()
        self._connections = 0
        self._synchronizations = 0
        self._protocol: Counter[str] = Counter()

    def start(self) -> None:
        """Begin to look for the runtime."""
        if self._start_thread is not None:
            self._start_thread.start()
        self._thread.start()

    def stop(self) -> None:
        """End the connection and the threads; no longer than half a second, whatever hangs."""
        self._is_stopping = True
        self._wake_up()
        is_over = self._thread.join(STOP_SECONDS)
        if self._start_thread is not None:
            is_over = self._start_thread.stop() and is_over
        if is_over:
            os.close(self._wake)

    def yield_to_start(self, seconds_max: float = YIELD_SECONDS) -> bool:
        """For the loop, in the middle of long work: while a container waits for its start, stand still for a moment. Gives
        whether one still waits.

        Without it the two threads would wait for the interpreter at each of their system calls.
        """
        return not (self._is_quiet.is_set() or self._is_quiet.wait(seconds_max))

    def stats(self) -> dict[str, Any]:
        """Counts for `status` and /metrics; any thread may ask."""
        connection = self._connection
        return {
            "stage": "disconnected" if connection is None else connection.stage.value,
            "runtime": self._runtime,
            "connections": self._connections,
            "synchronizations": self._synchronizations,
            "reconnects": max(0, self._synchronizations - 1),
            "ends": dict(self._ends),
            "protocol": dict(self._protocol if connection is None else self._protocol + _counted(connection.session)),
            "events": dict(self._events),
            **self._calls.stats(),
        }

    # ---- in the thread -----------------------------------------------------------------------------

    def _run(self) -> None:
        sys.setswitchinterval(SWITCH_INTERVAL_SECONDS)
        while not self._is_stopping:
            self._turn()
        if self._connection is not None:
            self._lose(self._connection)

    def _turn(self) -> None:
        if self._connection is None:
            self._try_to_connect()
        ready = {descriptor for descriptor, _events in self._poll()}
        begun_ns = self._now_ns()
        if self._wake in ready:
            with suppress(BlockingIOError):
                os.eventfd_read(self._wake)
        connection = self._connection
        if connection is not None and connection.descriptor in ready:
            self._receive(connection, begun_ns)
        self._answer(self._calls.take_answers())
        if connection is not None:
            connection.flush()
            connection.check()
            if connection.end:
                self._lose(connection)

    def _poll(self) -> list[tuple[int, int]]:
        now_ns = self._now_ns()
        deadlines = [self._calls.next_deadline_ns()]
        if self._connection is None:
            deadlines.append(self._reconnect.next_look_ns(now_ns))
        else:
            deadlines.append(self._connection.deadline_ns)
            write = select.POLLOUT if self._connection.wants_write else 0
            self._poller.modify(self._connection.descriptor, select.POLLIN | write)
        due_ns = min((deadline_ns for deadline_ns in deadlines if deadline_ns is not None), default=None)
        # Rounded up: a turn before the deadline would be one more.
        return self._poller.poll(None if due_ns is None else max(0, -(-(due_ns - now_ns) // MS)))

    def _wake_up(self) -> None:
        os.eventfd_write(self._wake, 1)

    # ---- connecting --------------------------------------------------------------------------------

    def _try_to_connect(self) -> None:
        now_ns = self._now_ns()
        seen = self._socket.look()
        if self._reconnect.is_due(seen, now_ns):
            self._connect()
        elif seen is None and now_ns >= self._absence_at_ns:
            self._absence_at_ns = now_ns + _ABSENCE_NS
            problem = self._socket.absent_sentence(self._runtime)
            self._tell(LinkState(RuntimeWire.NRI, is_connected=False, is_there=False, problem=problem, runtime=self._runtime))

    def _connect(self) -> None:
        self._absence_at_ns = 0
        stream = self._socket.connect()
        if isinstance(stream, str):
            self._ends["connect"] += 1
            self._fail(stream)
            return
        self._connections += 1
        connection = RuntimeConnection(stream, PluginSession(), self._socket.path, self._now_ns)
        self._poller.register(connection.descriptor, select.POLLIN)
        self._connection = connection
        connection.flush()

    def _lose(self, connection: RuntimeConnection) -> None:
        """Let a connection go. What is known of starts that wait is reported; nothing that is known is forgotten."""
        self._answer(self._calls.take_all())
        self._poller.unregister(connection.descriptor)
        self._ends[connection.stage.value] += 1
        self._protocol.update(_counted(connection.session))
        connection.close()
        self._connection = None
        self._fail(connection.end)

    def _fail(self, sentence: str) -> None:
        self._reconnect.on_ended(self._now_ns())
        self._tell(LinkState(RuntimeWire.NRI, is_connected=False, problem=sentence, runtime=self._runtime))

    def _tell(self, state: LinkState) -> None:
        self._link.tell_state(state)

    # ---- receiving ---------------------------------------------------------------------------------

    def _receive(self, connection: RuntimeConnection, begun_ns: int) -> None:
        events = connection.receive()
        # The answers go first, for the runtime waits; then the link gets what came, whether or not they could go.
        connection.flush()
        for event in events:
            self._follow(connection, event, begun_ns)

    def _follow(self, connection: RuntimeConnection, event: SessionEvent, begun_ns: int) -> None:
        match event:
            case Registered():
                # Runtimes may configure before they answer.
                if connection.stage is Stage.REGISTERING:
                    connection.advance(Stage.CONFIGURING)
            case RegistrationRefused(code=code, message=message):
                connection.end = refused_sentence(self._socket.path, code, message)
            case Configured():
                self._runtime = f"{event.runtime_name} {event.runtime_version}".strip()
                self._calls.on_limit(event.request_timeout_ns)
                connection.advance(Stage.SYNCHRONIZING)
            case Reported(event=report):
                self._take(connection, report)
            case StartRequested():
                self._events["ContainerStarting"] += 1
                # Before the other thread begins: the loop must know of it.
                self._is_quiet.clear()
                if (answer := self._calls.request(event, begun_ns)) is not None:
                    self._answer([answer])
            case RuntimeShutDown():
                connection.advance(Stage.LEAVING)

    def _take(self, connection: RuntimeConnection, report: RuntimeEvent) -> None:
        self._events[type(report).__name__] += 1
        if isinstance(report, Synchronized):
            # Told first: what CRI reports from now on would be older.
            self._tell(LinkState(RuntimeWire.NRI, is_connected=True, runtime=self._runtime))
            self._reconnect.on_connected(self._now_ns())
            self._synchronizations += 1
            connection.advance(Stage.CONNECTED)
        self._link.tell(RuntimeWire.NRI, report)
        if isinstance(report, Synchronized):
            failpoint("nri.synchronized")

    def _answer(self, answers: Sequence[StartAnswer]) -> None:
        """Let containers start, then tell what was done for them."""
        connection = self._connection
        for answer in answers:
            if answer.call is not None and connection is not None and not connection.end:
                failpoint("nri.before_reply")
                connection.answer(answer.call)
                connection.flush()
                self._calls.on_sent(answer)
            self._link.tell(RuntimeWire.NRI, answer.event)
        if answers and self._calls.next_deadline_ns() is None:
            self._is_quiet.set()


def _counted(session: PluginSession) -> Counter[str]:
    return Counter(asdict(session.counters))


def make_plugin(link: RuntimeLink, context: WorkerContext) -> NriPlugin | None:
    """The plugin of a worker. *Absent:* None where `nri.enabled` is false."""
    config = context.launch.config
    if config.of(NRI_ENABLED) == "false":
        return None
    assignment = None
    if config.of(RESCTRL_ENABLED) == "true":
        assignment = StartAssignment(
            lambda: link.snapshot,
            MountedFilesystem(config.of(RESCTRL_MOUNT)),
            context.tree(config.of(CGROUP_ROOT)),
            context.tree(config.of(PROC_ROOT)),
            link.placing,
            now_ns=context.clock.now_ns,
        )
    return NriPlugin(
        link,
        context.clock,
        RuntimeSocket(config.of(NRI_SOCKET)),
        assignment,
        deadline_ns=config.of(NRI_START_DEADLINE),
        rng=Random(),
    )
