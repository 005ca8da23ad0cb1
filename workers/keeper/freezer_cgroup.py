"""A workload's cgroup where the host has version 1 alone: of the hierarchy `freezer`, which limits nothing and loses no child.

*Source:* Documentation/admin-guide/cgroup-v1/freezer-subsystem.rst. It tells no change: who is in it has to be looked at.
"""

import signal
from contextlib import suppress

from workers.keeper.protocol import WorkloadEnding
from workers.keeper.workload_cgroup import WorkloadCgroup

_FROZEN, _THAWED = "FROZEN", "THAWED"


class FreezerCgroup(WorkloadCgroup):
    """The same things done by the files of version 1."""

    def is_populated(self) -> bool:
        """Whether any process is in it or below it."""
        return bool(self.members())

    def terminate(self) -> None:
        """Ask every process in it to end; frozen ones could not hear it."""
        self._set(_THAWED)
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End every process in it: frozen none can fork, and thawed they die."""
        self._set(_FROZEN)
        self._signal(signal.SIGKILL)
        self._set(_THAWED)

    def final_reading(self, ending: WorkloadEnding) -> WorkloadEnding:
        """The ending as it is: this hierarchy counts nothing."""
        return ending

    def holds(self, pid: int) -> bool:
        """Whether this process is in it or below it."""
        return pid in self.members()

    def _set(self, state: str) -> None:
        with suppress(OSError):
            self._write("freezer.state", state)

    def _open_events(self) -> int | None:
        return None
