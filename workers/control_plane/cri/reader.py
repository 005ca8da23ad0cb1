"""The thread `cri`: names of pods and containers from the runtime's CRI socket, while NRI does not report them.

It lists everything at each interval, and early when the runtime reports an event. What an event says is not used: the list
alone is the truth, so a lost or repeated event costs time and never correctness. Each failure is a state with a sentence.

containerd's GetContainerEvents is never called. In 1.7 one consumer takes the events from the other, the kubelet; in 2.x a
consumer that does not read stops the events of all. containerd's own event service has a queue for each consumer.
"""

import os
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from agent.model.errors import EvergaugeError
from agent.model.runtime_socket import CRI_SOCKETS
from agent.model.timebase import S
from agent.ports import Clock
from workers.control_plane.container_runtime.event import LinkState, RuntimeWire, Synchronized
from workers.control_plane.container_runtime.link import RuntimeLink
from workers.control_plane.cri.grpc_frame import GrpcCode, GrpcError
from workers.control_plane.cri.interrupt import Interrupt, Interrupted
from workers.control_plane.cri.message import (
    CONTAINERD_EVENTS,
    CRI_EVENTS,
    LIST_CONTAINERS,
    LIST_SANDBOXES,
    VERSION,
    VERSION_ALPHA,
    RuntimeVersion,
    containerd_events_request,
    cri_events_request,
    parse_containers,
    parse_sandboxes,
    parse_version,
    running_containers_request,
    sandboxes_request,
    version_request,
)
from workers.control_plane.cri.schedule import STABLE_NS, ListSchedule, retry_delay_ns
from workers.control_plane.cri.sentence import alpha_sentence, problem_sentence, without_cri_sentence, without_package_sentence

if TYPE_CHECKING:
    from workers.control_plane.cri.client import CriConnection

_KNOWN_PATHS = tuple(path for _, path in CRI_SOCKETS)
# A runtime that starts a hundred pods answers late; the kubelet waits two minutes. Nobody waits for this thread.
CALL_NS = 10 * S
# How often it is looked whether NRI still reports. A connection that NRI makes again within this time is not noticed.
AWAY_NS = 10 * S
# How long `stop` waits for the thread, which no call holds up: every wait ends with the interrupt.
STOP_SECONDS = 0.5


class _Retired(Exception):
    """This connection is of no use now; the state says why."""

    def __init__(self, state: LinkState) -> None:
        self.state = state


class CriReader:
    """Reads the CRI socket in a thread of its own and reports to the link. `start` and `stop` once each; `stats` at any time."""

    def __init__(
        self,
        link: RuntimeLink,
        clock: Clock,
        *,
        socket_path: str,
        interval_ns: int,
        grace_ns: int = 0,
        call_ns: int = CALL_NS,
        known_paths: Sequence[str] = _KNOWN_PATHS,
    ) -> None:
        """`socket_path` empty: the first of `known_paths` that is there and offers CRI. `interval_ns` is the time between lists.

        `grace_ns` is how long NRI is given at the start to connect, 0 where it is switched off; `call_ns` is how long the
        runtime may take for an answer.
        """
        self._link = link
        self._clock = clock
        self._socket_path = socket_path
        self._interval_ns = interval_ns
        self._grace_ns = grace_ns
        self._call_ns = call_ns
        self._known_paths = known_paths
        self._interrupt = Interrupt()
        self._thread = threading.Thread(target=self._run, name="cri", daemon=True)
        self._state = LinkState(RuntimeWire.CRI, is_connected=False, is_there=False)
        self._told: tuple[Synchronized, int] | None = None
        self._failures = 0
        self._connections = 0
        self._lists = 0
        self._list_ns = 0
        self._events = 0
        self._has_events = False
        self._left_out = 0
        self._labels_dropped = 0

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread; the link keeps what it knows."""
        self._interrupt.set()
        self._thread.join(STOP_SECONDS)
        if not self._thread.is_alive():
            self._interrupt.close()

    def stats(self) -> dict[str, Any]:
        """What was read and what it cost. `has_events` false: new pods are found at the interval only."""
        last = None if self._told is None else self._told[0]
        return {
            "runtime": self._state.runtime,
            "is_connected": self._state.is_connected,
            "problem": self._state.problem,
            "connections": self._connections,
            "lists": self._lists,
            "list_ns_last": self._list_ns,
            "has_events": self._has_events,
            "events": self._events,
            "left_out": self._left_out,
            "labels_dropped": self._labels_dropped,
            "sandboxes": 0 if last is None else len(last.pods),
            "containers": 0 if last is None else len(last.containers),
        }

    # ---- in the thread -----------------------------------------------------------------------------

    def _run(self) -> None:
        is_stopped = False
        try:
            self._interrupt.wait(self._grace_ns)
            while True:
                self._interrupt.wait(self._turn())
        except Interrupted:
            is_stopped = True
        finally:
            if not is_stopped:
                # A bug: the traceback goes to stderr, and the state must not stay `connected`.
                self._tell(LinkState(RuntimeWire.CRI, is_connected=False, problem="the reader of the CRI socket ended by a bug"))

    def _turn(self) -> int:
        """Follow the runtime as long as that works. Gives the wait before the next try."""
        if self._link.is_nri_connected:
            self._failures = 0
            self._tell(LinkState(RuntimeWire.CRI, is_connected=False, runtime=self._state.runtime))
            return min(self._interval_ns, AWAY_NS)
        began_ns = self._clock.now_ns()
        state = self._follow()
        if state is None:
            return 0
        self._tell(state)
        self._failures = 1 if self._clock.now_ns() - began_ns >= STABLE_NS else self._failures + 1
        return retry_delay_ns(self._failures, self._interval_ns)

    def _follow(self) -> LinkState | None:
        """One connection from its beginning to its end. *Absent:* None: NRI reports everything now."""
        paths = [self._socket_path] if self._socket_path else [path for path in self._known_paths if os.path.exists(path)]
        state: LinkState | None = LinkState(RuntimeWire.CRI, is_connected=False, is_there=False)
        for path in paths:
            state = self._follow_at(path)
            # One that offers no CRI, Docker's containerd, may stand beside that of K3s.
            if state is None or state.is_there:
                break
        return state

    def _follow_at(self, path: str) -> LinkState | None:
        self._told, self._has_events = None, False
        try:
            connection = self._connect(path)
        except (OSError, EvergaugeError) as problem:
            return self._failed(problem_sentence(path, problem))
        except ImportError:
            return self._failed(without_package_sentence())
        try:
            return self._listen(connection, path)
        except _Retired as end:
            return end.state
        except (OSError, EvergaugeError) as problem:
            return self._failed(problem_sentence(path, problem))
        finally:
            connection.close()

    def _connect(self, path: str) -> "CriConnection":
        # Looked at first: a host without the socket does not pay for the library.
        os.stat(path)
        from workers.control_plane.cri.client import CriConnection

        connection = CriConnection(path, self._interrupt, self._clock.now_ns, self._call_ns)
        self._connections += 1
        return connection

    def _listen(self, connection: "CriConnection", path: str) -> LinkState | None:
        version = self._identify(connection, path)
        if version.name == "containerd":
            connection.subscribe(CONTAINERD_EVENTS, containerd_events_request())
        else:
            connection.subscribe(CRI_EVENTS, cri_events_request())
        schedule = ListSchedule(self._interval_ns, self._clock.now_ns())
        while not self._link.is_nri_connected:
            if (began_ns := self._clock.now_ns()) >= schedule.due_ns:
                self._list(connection)
                self._tell(LinkState(RuntimeWire.CRI, is_connected=True, runtime=str(version)))
                schedule.on_listed(began_ns, self._clock.now_ns())
                self._list_ns = self._clock.now_ns() - began_ns
            elif count := connection.take_events(schedule.due_ns):
                self._events += count
                schedule.on_event(self._clock.now_ns())
            self._has_events = self._check_events(connection, path)
        return None

    def _check_events(self, connection: "CriConnection", path: str) -> bool:
        """Whether the runtime reports events. One that cannot is listed at the interval alone: CRI-O switched off, cri-dockerd."""
        end = connection.events_end
        if end is not None and end.code not in (GrpcCode.OK, GrpcCode.UNIMPLEMENTED):
            raise GrpcError(f"{path}: events", end)
        return end is None

    def _identify(self, connection: "CriConnection", path: str) -> RuntimeVersion:
        try:
            return parse_version(connection.call(VERSION, version_request()))
        except GrpcError as problem:
            if problem.status.code != GrpcCode.UNIMPLEMENTED:
                raise
        try:
            alpha = parse_version(connection.call(VERSION_ALPHA, version_request()))
        except GrpcError as cause:
            # No fault: a host with Docker has such a socket.
            state = LinkState(RuntimeWire.CRI, is_connected=False, is_there=False, problem=without_cri_sentence(path))
            raise _Retired(state) from cause
        raise _Retired(self._failed(alpha_sentence(path, str(alpha))))

    def _list(self, connection: "CriConnection") -> None:
        nri_changes = self._link.nri_changes
        # Containers first: a pod that starts in between comes with the next list, and no container is without its pod.
        running = parse_containers(connection.call(LIST_CONTAINERS, running_containers_request()))
        ready = parse_sandboxes(connection.call(LIST_SANDBOXES, sandboxes_request(only_ready=True)))
        if {container.sandbox_id for container in running.containers} - {pod.sandbox_id for pod in ready.pods}:
            # Its first process has ended, but a container runs on: that pod is still one.
            ready = parse_sandboxes(connection.call(LIST_SANDBOXES, sandboxes_request(only_ready=False)))
        self._lists += 1
        self._left_out = running.left_out + ready.left_out
        self._labels_dropped = ready.labels_dropped
        everything = Synchronized(ready.pods, running.containers)
        # What NRI reported meanwhile is newer, and what it reported since the last list may be what this one ends.
        if (everything, nri_changes) != self._told and self._link.tell_list(everything, nri_changes):
            self._told = everything, nri_changes

    def _failed(self, sentence: str) -> LinkState:
        return LinkState(RuntimeWire.CRI, is_connected=False, problem=sentence)

    def _tell(self, state: LinkState) -> None:
        self._state = state
        self._link.tell_state(state)
