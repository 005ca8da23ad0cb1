"""One workload that runs or is being ended: its descriptors, and what its end says."""

import os
import signal
from collections.abc import Callable
from contextlib import suppress

from msgspec.structs import replace

from workers.keeper.cgroup_place import cgroup_of
from workers.keeper.end_sequence import EndAction, EndPhase, EndSequence
from workers.keeper.exit_status import code_and_signal, noted_status, wait_child
from workers.keeper.output_bound import OutputBound
from workers.keeper.poller import CHANGED, HUNG_UP, READABLE, DescriptorPoller
from workers.keeper.protocol import WorkloadEnding, WorkloadRecord
from workers.keeper.workload_cgroup import WorkloadCgroup

NOT_NOTED = "it was another process's child, and this kernel (before 6.15) does not note how such a process ended"
# How long the parent of an adopted one may take to wait for it, before its exit status counts as unknown.
NOTED_WITHIN_NS = 2_000_000_000
# Version 1 does not tell when a cgroup is empty.
EMPTY_NS = 50_000_000
# Whether the first process is still in its cgroup is looked at this often.
MEMBERSHIP_NS = 5_000_000_000


class RunningWorkload:
    """What the keeper holds of one workload. `on_change` is called when its state may have gone on: then call `step`."""

    def __init__(
        self,
        record: WorkloadRecord,
        *,
        pidfd: int | None,
        cgroup: WorkloadCgroup | None,
        output: OutputBound | None,
        poller: DescriptorPoller,
        on_change: "Callable[[RunningWorkload], None]",
        now_ns: int,
    ) -> None:
        self.record = record
        self.cgroup = cgroup
        self.output = output
        self.sequence = EndSequence(record.spec.grace_ns)
        self._pidfd = pidfd
        self._poller = poller
        self._on_change = on_change
        self._membership_at_ns = now_ns + MEMBERSHIP_NS
        self._looked_at_ns = now_ns
        # An adopted one has ended, and its parent has perhaps not yet waited for it.
        self._noted_until_ns: int | None = None
        self._has_ended = pidfd is None
        self._status: int | None = None
        self._unknown_why = ""
        self._ending: WorkloadEnding | None = None
        if pidfd is not None:
            poller.watch(pidfd, self._on_first, READABLE)
        if cgroup is not None and cgroup.events is not None:
            poller.watch(cgroup.events, self._on_event, CHANGED)

    @property
    def name(self) -> str:
        """The workload's name."""
        return self.record.spec.name

    @property
    def is_gone(self) -> bool:
        """Nothing of it is left to be done."""
        return self.sequence.phase is EndPhase.ENDED

    def next_deadline_ns(self) -> int:
        """When `step` wants to be called."""
        wanted = [self._membership_at_ns]
        if self.output is not None:
            wanted.append(self.output.look_at_ns)
        if self.cgroup is not None and self.cgroup.events is None and self.sequence.is_under_way:
            wanted.append(self._looked_at_ns + EMPTY_NS)
        wanted += [each for each in (self.sequence.deadline_ns, self._noted_until_ns) if each is not None]
        return min(wanted)

    def stop(self, now_ns: int, grace_ns: int | None) -> None:
        """End it."""
        self.sequence.ask(now_ns, grace_ns)

    def note_unknown(self, why: str) -> None:
        """Its first process ended while nobody looked."""
        self._unknown_why = why

    def step(self, now_ns: int, wall_ns: int) -> bool:
        """Do what is due. Whether the record has changed."""
        before = self.record
        self._looked_at_ns = now_ns
        self._learn_status(now_ns)
        is_empty = self.cgroup is None or not self.cgroup.is_populated()
        has_ended = self._has_ended and self._noted_until_ns is None
        match self.sequence.step(now_ns, has_ended=has_ended, is_empty=is_empty):
            case EndAction.TERMINATE:
                self._signal(signal.SIGTERM)
            case EndAction.KILL:
                self._signal(signal.SIGKILL)
            case EndAction.FINISH:
                self._finish(wall_ns)
            case EndAction.REMOVE:
                self._remove(now_ns)
            case EndAction.NOTHING:
                self._look(now_ns)
        return self.record is not before

    def close(self) -> None:
        """Let go of every descriptor; the workload itself is not touched."""
        for descriptor in (self._pidfd, None if self.cgroup is None else self.cgroup.events):
            if descriptor is not None:
                self._poller.forget(descriptor)
        if self._pidfd is not None:
            os.close(self._pidfd)
            self._pidfd = None
        if self.cgroup is not None:
            self.cgroup.close()
            self.cgroup = None
        if self.output is not None:
            self.output.close()
            self.output = None

    def _on_first(self, events: int) -> None:
        if not self._has_ended:
            self.note_first_ended(was_waited_for=bool(events & HUNG_UP))
        elif self._pidfd is not None and events & HUNG_UP:
            self._status = noted_status(self._pidfd)
            self._noted_until_ns = None
            self._poller.forget(self._pidfd)
        self._on_change(self)

    def note_first_ended(self, *, was_waited_for: bool = False) -> None:
        """Its first process is a zombie or gone."""
        if self._pidfd is None or self._has_ended:
            return
        self._has_ended = True
        if self.cgroup is None:
            with suppress(OSError):
                # What is left of its session, while the number is still its own.
                os.killpg(self.record.pid, signal.SIGKILL)
        try:
            self._status = wait_child(self._pidfd)
            self._poller.forget(self._pidfd)
        except ChildProcessError:
            self._status = noted_status(self._pidfd)
            if self._status is None and not was_waited_for:
                # The kernel notes it when the parent waits: then the descriptor tells HUP.
                self._noted_until_ns = 0
                self._poller.watch(self._pidfd, self._on_first, HUNG_UP)
            else:
                self._poller.forget(self._pidfd)

    def _learn_status(self, now_ns: int) -> None:
        if self._noted_until_ns == 0:
            self._noted_until_ns = now_ns + NOTED_WITHIN_NS
        elif self._noted_until_ns is not None and now_ns >= self._noted_until_ns:
            self._noted_until_ns = None

    def _on_event(self, _events: int) -> None:
        if self.cgroup is not None:
            # Reading it is what makes the kernel tell the next change.
            self.cgroup.is_populated()
        self._on_change(self)

    def _signal(self, number: int) -> None:
        if self.cgroup is None:
            if not self._has_ended:
                with suppress(OSError):
                    os.killpg(self.record.pid, number)
        elif number == signal.SIGKILL:
            self.cgroup.kill()
        else:
            self.cgroup.terminate()
        if self._pidfd is not None and not self._has_ended and (self.cgroup is None or not self.cgroup.holds(self.record.pid)):
            with suppress(OSError):
                # Where it has moved itself out of its cgroup.
                signal.pidfd_send_signal(self._pidfd, number)

    def _look(self, now_ns: int) -> None:
        """While it runs: its output, and whether it is where it was put."""
        if self.output is not None and now_ns >= self.output.look_at_ns:
            self.output.look(now_ns)
            if self.output.lost_bytes != self.record.output_lost_bytes:
                self.record = replace(self.record, output_lost_bytes=self.output.lost_bytes)
        if now_ns >= self._membership_at_ns:
            self._membership_at_ns = now_ns + MEMBERSHIP_NS
            if self.cgroup is not None and not self._has_ended and not self.cgroup.holds(self.record.pid):
                self.record = replace(self.record, moved_to=cgroup_of(self.record.pid))

    def _finish(self, wall_ns: int) -> None:
        ending = WorkloadEnding(at_wall_ns=wall_ns, stopped=self.sequence.was_asked, unknown_why=self._unknown_why)
        if self._status is not None:
            code, number = code_and_signal(self._status)
            ending = replace(ending, code=code, signal=number, unknown_why="")
        elif not ending.unknown_why:
            ending = replace(ending, unknown_why=NOT_NOTED)
        self._ending = ending if self.cgroup is None else self.cgroup.final_reading(ending)
        lost = self.record.output_lost_bytes
        if self.output is not None:
            self.output.look(self.output.look_at_ns)
            lost = self.output.lost_bytes
        self.record = replace(self.record, ending=self._ending, output_lost_bytes=lost)

    def _remove(self, now_ns: int) -> None:
        why = "" if self.cgroup is None else self.cgroup.remove()
        is_over = self.sequence.note_removal(now_ns, is_gone=not why)
        if is_over and why and self.record.ending is not None:
            self.record = replace(self.record, ending=replace(self.record.ending, left_behind=why))
