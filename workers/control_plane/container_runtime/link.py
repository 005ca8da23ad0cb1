"""Hands what the runtime reports from the thread that receives it to the worker's loop.

The runtime replays nothing, so no report may be lost however late the loop is: reports go into the registry at once,
and the loop takes the state as it is then, never a queue of events. It holds the lock for microseconds only.
"""

import os
import threading
from collections.abc import Mapping
from contextlib import suppress

from msgspec import Struct

from workers.control_plane.binding import Binder
from workers.control_plane.container_runtime.event import (
    ContainerStarting,
    LinkState,
    RuntimeContainer,
    RuntimeEvent,
    RuntimePod,
    RuntimeWire,
    StartOutcome,
)
from workers.control_plane.container_runtime.registry import RuntimeRegistry

# Directories that the fast path made and the loop has not heard of; the loop makes what is missing again, which costs one call.
OUTCOMES_MAX = 10_000


class GroupChoice(Struct, frozen=True):
    """What the fast path needs to choose a group, as the loop last knew it; it is replaced as a whole and never changed.

    `paths` are the directories of groups that exist, by group; `is_measured` false: there is no resctrl, nothing is assigned.
    """

    binder: Binder
    paths: Mapping[str, str] = {}
    is_measured: bool = False


class RuntimeNews(Struct, frozen=True):
    """What the loop takes: `changed` uids, and what the fast path did since it took last, oldest first."""

    changed: frozenset[str]
    outcomes: tuple[StartOutcome, ...]
    states: tuple[LinkState, ...]


class RuntimeLink:
    """The link of one worker. Sections say which thread may call what."""

    def __init__(self, binder: Binder) -> None:
        self._lock = threading.Lock()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._registry = RuntimeRegistry()
        self._outcomes: list[StartOutcome] = []
        self._states: dict[RuntimeWire, LinkState] = {}
        self.choice = GroupChoice(binder)
        """Read by the fast path, replaced by the loop."""
        self.outcomes_dropped = 0

    # ---- for threads that hear a runtime -----------------------------------------------------------

    def tell(self, wire: RuntimeWire, event: RuntimeEvent) -> None:
        """Take one event in. Reports over CRI count only while NRI is not connected."""
        with self._lock:
            if wire is RuntimeWire.CRI and self._is_connected(RuntimeWire.NRI):
                return
            self._registry.take(event)
            if isinstance(event, ContainerStarting) and event.outcome is not None:
                if len(self._outcomes) < OUTCOMES_MAX:
                    self._outcomes.append(event.outcome)
                else:
                    self.outcomes_dropped += 1
        os.eventfd_write(self._wake, 1)

    def tell_state(self, state: LinkState) -> None:
        """How the way to the runtime stands from now on."""
        with self._lock:
            if self._states.get(state.wire) == state:
                return
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
            return RuntimeNews(self._registry.take_changed(), outcomes, tuple(self._states.values()))

    def pods(self) -> dict[str, tuple[RuntimePod, tuple[RuntimeContainer, ...]]]:
        """By uid every pod that the runtime has, with its containers in the order of their ids."""
        with self._lock:
            return self._registry.pods()

    def pod(self, uid: str) -> tuple[RuntimePod, tuple[RuntimeContainer, ...]] | None:
        """One pod; None: the runtime has none of this uid."""
        with self._lock:
            return self._registry.pod(uid)

    def _is_connected(self, wire: RuntimeWire) -> bool:
        return wire in self._states and self._states[wire].is_connected
