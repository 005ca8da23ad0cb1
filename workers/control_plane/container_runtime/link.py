"""Hands what the runtime reports from the thread that receives it to the worker's loop.

The runtime replays nothing, so no report may be lost however late the loop is: reports go into the registry at once,
and the loop takes the state as it is then, never a queue of events. It holds the lock for microseconds only.
"""

import os
import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Protocol

from msgspec import Struct

from workers.control_plane.binding import Binder
from workers.control_plane.container_runtime.event import (
    ContainerStarting,
    LinkState,
    RuntimeEvent,
    RuntimeWire,
    StartOutcome,
    Synchronized,
)
from workers.control_plane.container_runtime.registry import KnownPod, RuntimeRegistry

# What was done for starting containers and the loop has not taken; it makes a directory that it missed again, which costs one call.
OUTCOMES_MAX = 10_000


class GroupSnapshot(Struct, frozen=True):
    """Rules and groups for containers that start, as the loop last knew them; it is replaced as a whole and never changed.

    `paths` are the directories of groups that exist, by group; `is_measured` false: there is no resctrl, nothing is assigned.
    """

    binder: Binder
    paths: Mapping[str, str] = {}
    is_measured: bool = False


class StartedContainer(Struct, frozen=True):
    """What the fast path did for one container of a pod."""

    uid: str
    container_id: str
    outcome: StartOutcome


class RuntimeNews(Struct, frozen=True):
    """What the loop takes: pods of which something changed (None: gone), what the fast path did since it took last, oldest
    first, and the state of each connection to the runtime.

    `synchronizations`: how often a runtime has reported everything. `left_out`: how much of what it has did not fit, by kind.
    """

    changed: dict[str, KnownPod | None]
    outcomes: tuple[StartedContainer, ...]
    states: tuple[LinkState, ...]
    synchronizations: int
    left_out: dict[str, int] = {}


class RuntimeSource(Protocol):
    """Receives a runtime's reports in a thread of its own and hands them to the link."""

    def start(self) -> None:
        """Begin; it never waits. Called once."""

    def stop(self) -> None:
        """End: close the connection at once and wait for the thread, but not for longer than half a second."""

    def stats(self) -> dict[str, Any]:
        """Its counts for `status` and /metrics."""


class RuntimeLink:
    """The link of one worker. Sections say which thread may call what."""

    def __init__(self, binder: Binder) -> None:
        self._lock = threading.Lock()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._registry = RuntimeRegistry()
        self._outcomes: list[StartedContainer] = []
        self._states: dict[RuntimeWire, LinkState] = {}
        self.snapshot = GroupSnapshot(binder)
        """Read by the fast path, replaced by the loop."""
        self.placing = threading.Lock()
        """Held while a container is placed, and while a directory of a group is removed: neither may undo the other."""
        self.outcomes_dropped = 0
        self._nri_changes = 0

    # ---- for threads that receive reports ----------------------------------------------------------

    def tell(self, wire: RuntimeWire, event: RuntimeEvent) -> None:
        """Take one event in. Reports over CRI count only while NRI is not connected."""
        with self._lock:
            if wire is RuntimeWire.CRI and self._is_connected(RuntimeWire.NRI):
                return
            self._take(event)
        os.eventfd_write(self._wake, 1)

    def tell_list(self, everything: Synchronized, nri_changes: int) -> bool:
        """Take in what was listed over CRI, with `nri_changes` as it was before the list was begun.

        False: NRI has been connected since then, and what it reported is newer; or it is connected now.
        """
        with self._lock:
            if nri_changes != self._nri_changes or self._is_connected(RuntimeWire.NRI):
                return False
            self._take(everything)
        os.eventfd_write(self._wake, 1)
        return True

    @property
    def nri_changes(self) -> int:
        """How often NRI was connected or lost."""
        with self._lock:
            return self._nri_changes

    def tell_state(self, state: LinkState) -> None:
        """The state of a connection from now on."""
        with self._lock:
            if self._states.get(state.wire) == state:
                return
            if state.wire is RuntimeWire.NRI and state.is_connected != self._is_connected(RuntimeWire.NRI):
                self._nri_changes += 1
            self._states[state.wire] = state
        os.eventfd_write(self._wake, 1)

    @property
    def is_nri_connected(self) -> bool:
        """Whether NRI reports everything, so that CRI need not be asked."""
        with self._lock:
            return self._is_connected(RuntimeWire.NRI)

    # ---- for the loop ------------------------------------------------------------------------------

    @property
    def descriptor(self) -> int:
        """Readable when there is news."""
        return self._wake

    def take(self) -> RuntimeNews:
        """What is new since this was called last."""
        with suppress(BlockingIOError):
            os.eventfd_read(self._wake)
        with self._lock:
            outcomes, self._outcomes = tuple(self._outcomes), []
            changed = {uid: self._registry.pod(uid) for uid in self._registry.take_changed()}
            return RuntimeNews(
                changed, outcomes, tuple(self._states.values()), self._registry.synchronizations, dict(self._registry.left_out)
            )

    @property
    def has_news(self) -> bool:
        """Whether `take` would give anything about pods."""
        with self._lock:
            return self._registry.has_changed or bool(self._outcomes)

    def stats(self) -> dict[str, Any]:
        """Counts for `status` and /metrics."""
        with self._lock:
            registry = self._registry
            return {
                "pods": registry.pods_count,
                "containers": registry.containers_count,
                "events": dict(registry.events),
                "repeated": registry.repeated,
                "dropped": {"pods": 0, "containers": 0, "labels": 0, **registry.dropped, "outcomes": self.outcomes_dropped},
                "left_out": dict(registry.left_out),
            }

    def pods(self) -> dict[str, KnownPod]:
        """Every pod that the runtime has, by uid."""
        with self._lock:
            return self._registry.pods()

    def close(self) -> None:
        """Give the descriptor back, when no thread tells anything any more."""
        os.close(self._wake)

    def _take(self, event: RuntimeEvent) -> None:
        self._registry.take(event)
        if isinstance(event, ContainerStarting) and event.outcome is not None:
            if len(self._outcomes) < OUTCOMES_MAX:
                self._outcomes.append(StartedContainer(event.pod.uid, event.container.id, event.outcome))
            else:
                self.outcomes_dropped += 1

    def _is_connected(self, wire: RuntimeWire) -> bool:
        return wire in self._states and self._states[wire].is_connected
