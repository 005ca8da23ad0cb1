"""One workload as the core knows it: what the keeper's record says, what the settings file says, when it starts next. PURE."""

from msgspec import Struct

from workers.keeper.protocol import WorkloadRecord, WorkloadSpec


class TrackedWorkload(Struct):
    """`failures` counts starts in a row that ended early. `problem`: why it could not be started.

    *Absent:* `record` None: it has never been started; `described`: the settings file does not describe it; `start_at_ns`: it waits
    for no start.
    """

    name: str
    record: WorkloadRecord | None = None
    described: WorkloadSpec | None = None
    failures: int = 0
    start_at_ns: int | None = None
    problem: str = ""
    is_starting: bool = False
    is_stopping: bool = False

    @property
    def incarnation(self) -> int:
        """The number of its last start; 0: there was none."""
        return 0 if self.record is None else self.record.incarnation

    @property
    def is_running(self) -> bool:
        """Whether the keeper has said that it runs."""
        return self.record is not None and self.record.ending is None

    @property
    def next_spec(self) -> WorkloadSpec | None:
        """What the next start runs: what the settings file says, else what ran before."""
        return self.described or (None if self.record is None else self.record.spec)

    @property
    def has_changed(self) -> bool:
        """Whether the settings file describes it otherwise than it runs."""
        return self.is_running and self.described is not None and self.record is not None and self.described != self.record.spec

    @property
    def state(self) -> str:
        """The word that operators see."""
        if self.is_running:
            return "stopping" if self.is_stopping else "running"
        if self.record is None:
            return "waiting"
        return "backoff" if self.start_at_ns is not None or self.is_starting else "ended"
