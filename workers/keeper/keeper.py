"""The keeper itself: carries out orders, waits for ends, keeps records. It decides nothing about restarts.

One thread and one wait. Nothing here may wait for a workload, a client or a command that starts.
"""

import os
import signal
from contextlib import suppress
from typing import assert_never

from msgspec import Struct
from msgspec.structs import replace

import agent
from agent.failpoint import failpoint
from agent.model.foreign import readable
from agent.ports import Clock
from workers.keeper.adoption import find_again, start_ticks
from workers.keeper.birth import Newborn, give_birth
from workers.keeper.birth_failure import MESSAGE_BYTES_MAX, failure_of
from workers.keeper.cgroup_making import find_cgroup
from workers.keeper.cgroup_place import CgroupPlace
from workers.keeper.connection import ClientConnection
from workers.keeper.notes import KeeperNotes
from workers.keeper.output_bound import OutputBound
from workers.keeper.poller import DescriptorPoller
from workers.keeper.preparation import Prepared, bound_of, prepare
from workers.keeper.protocol import (
    Birth,
    ForgetWorkload,
    KeeperDone,
    KeeperRecords,
    KeeperRefused,
    KeeperSpawned,
    ListWorkloads,
    RefusalWord,
    SpawnWorkload,
    StopWorkload,
    ToKeeper,
    WorkloadEnded,
    WorkloadRecord,
    WorkloadSpec,
)
from workers.keeper.refusal import WorkloadRefused
from workers.keeper.running_workload import RunningWorkload
from workers.keeper.spec_check import check_spec
from workers.keeper.workload_cgroup import WorkloadCgroup
from workers.keeper.workload_folder import WorkloadFolder

ORPHANS_PER_TURN_MAX = 256

SAVE_AGAIN_NS = 1_000_000_000


class PendingBirth(Struct):
    """A workload that has not yet become its command. `previous`: the record before it.

    *Absent:* `refused` None: nothing is wrong so far.
    """

    client: ClientConnection
    request: int
    said: int
    previous: WorkloadRecord | None
    refused: WorkloadRefused | None = None


class Keeper:
    """All workloads of one folder."""

    def __init__(
        self,
        folder: WorkloadFolder,
        place: CgroupPlace,
        clock: Clock,
        *,
        boot_id: str,
        poller: DescriptorPoller,
        notes: KeeperNotes,
    ) -> None:
        self._folder = folder
        self._place = place
        self._clock = clock
        self._boot_id = boot_id
        self._poller = poller
        self._notes = notes
        self._records: dict[str, WorkloadRecord] = {}
        self._running: dict[str, RunningWorkload] = {}
        # Those of the running that have not yet become their command.
        self._births: dict[str, PendingBirth] = {}
        # Their records could not be written, on a full disk perhaps.
        self._unsaved: set[str] = set()
        self._save_at_ns = 0
        self._clients: list[ClientConnection] = []

    @property
    def is_idle(self) -> bool:
        """Nobody needs it now."""
        return not self._running and not self._clients

    def next_deadline_ns(self) -> int | None:
        """When `step` wants to be called even if nothing happens."""
        wanted = [each.next_deadline_ns() for each in self._running.values()]
        return min([*wanted, self._save_at_ns] if self._unsaved else wanted, default=None)

    def adopt(self) -> None:
        """Take over what an earlier keeper left. *Raises:* OSError when the folder cannot be read."""
        self._records, notes = self._folder.read_all()
        for note in notes:
            self._notes.add(note)
        for record in list(self._records.values()):
            if record.ending is None:
                self._adopt(record)
            elif record.cgroup and (cgroup := self._leftover(record)) is not None:
                cgroup.remove()
                cgroup.close()
        self.step()

    def step(self) -> None:
        """Let every workload go on whose time has come."""
        now_ns = self._clock.now_ns()
        for workload in [each for each in self._running.values() if each.next_deadline_ns() <= now_ns]:
            self._go_on(workload)
        if self._unsaved and now_ns >= self._save_at_ns:
            for name in list(self._unsaved):
                self._save(self._records[name])

    def reap(self) -> bool:
        """Wait for those that the kernel has given to this process. Whether there may be more of them."""
        by_pid = {each.record.pid: each for each in self._running.values()}
        for _ in range(ORPHANS_PER_TURN_MAX):
            try:
                ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return False
            if ended is None:
                return False
            if (workload := by_pid.get(ended.si_pid)) is not None:
                workload.note_first_ended()
                self._go_on(workload)
            with suppress(ChildProcessError):
                os.waitpid(ended.si_pid, os.WNOHANG)
        return True

    def add_client(self, client: ClientConnection) -> None:
        """It will hear of every end."""
        self._clients.append(client)

    def remove_client(self, client: ClientConnection) -> None:
        """It is gone."""
        self._clients.remove(client)

    def on_order(self, client: ClientConnection, order: ToKeeper) -> None:
        """Carry out what a client wants."""
        try:
            match order:
                case SpawnWorkload():
                    self._spawn(client, order)
                case StopWorkload():
                    self._stop(client, order)
                case ForgetWorkload():
                    self._forget(client, order)
                case ListWorkloads():
                    client.send(self._listing(order.request))
                case _:
                    assert_never(order)
        except WorkloadRefused as refused:
            client.send(KeeperRefused(order.request, refused.word, refused.sentence))
        except OSError as cause:
            # No descriptor left, no process, no memory: the system's own words are the sentence.
            client.send(KeeperRefused(order.request, RefusalWord.SYSTEM, f"{_name_of(order)}: {cause.strerror}; try again"))

    def close(self) -> None:
        """Let go of everything; workloads live on, and the next keeper finds them."""
        for client in list(self._clients):
            client.close()
        for workload in self._running.values():
            workload.close()

    def _spawn(self, client: ClientConnection, order: SpawnWorkload) -> None:
        spec = order.spec
        check_spec(spec)
        if spec.name in self._running:
            raise WorkloadRefused(
                RefusalWord.NAME_TAKEN, spec.name, "a workload of this name runs", "stop it, or take another name"
            )
        previous = self._records.get(spec.name)
        prepared = prepare(spec, self._place, self._folder)
        record = self._first_record(spec, prepared, previous)
        try:
            self._write_first(record)
            newborn = self._bear(record, prepared)
        except (WorkloadRefused, OSError):
            prepared.undo()
            self._restore(spec.name, previous)
            raise
        record = replace(record, pid=newborn.pid, start_ticks=start_ticks(newborn.pid) or 0, birth=newborn.birth)
        output = bound_of(prepared, spec, self._clock.now_ns(), record.output_lost_bytes)
        self._hold(record, pidfd=newborn.pidfd, cgroup=prepared.cgroup, output=output)
        self._births[spec.name] = PendingBirth(client, order.request, newborn.said, previous)
        self._poller.watch(newborn.said, lambda _events: self._on_said(spec.name))

    def _first_record(self, spec: WorkloadSpec, prepared: Prepared, previous: WorkloadRecord | None) -> WorkloadRecord:
        cgroup = prepared.cgroup
        return WorkloadRecord(
            spec=spec,
            incarnation=1 if previous is None else previous.incarnation + 1,
            pid=0,
            start_ticks=0,
            boot_id=self._boot_id,
            started_wall_ns=self._clock.wall_ns(),
            birth=Birth.NO_CGROUP if cgroup is None else Birth.CLONE,
            cgroup="" if cgroup is None else cgroup.path,
            cgroup_id=0 if cgroup is None else cgroup.number,
            in_force=prepared.in_force,
            output=self._folder.output_path(spec.name),
            output_lost_bytes=0 if previous is None else previous.output_lost_bytes,
        )

    def _write_first(self, record: WorkloadRecord) -> None:
        try:
            self._folder.write(record)
        except OSError as cause:
            problem = f"its record cannot be written: {cause.strerror}"
            raise WorkloadRefused(RefusalWord.SYSTEM, record.spec.name, problem, f"make room in {self._folder.path}") from cause

    def _bear(self, record: WorkloadRecord, prepared: Prepared) -> Newborn:
        """The process, past its gate. *Raises:* OSError, with nothing born."""
        failpoint("keeper.recorded")
        newborn = give_birth(prepared.order)
        try:
            failpoint("keeper.born")
            record = replace(record, pid=newborn.pid, start_ticks=start_ticks(newborn.pid) or 0, birth=newborn.birth)
            # In time for a keeper that dies once the gate is open. The sync comes later, since no pid outlives the boot.
            self._folder.write(record, synced=False)
            failpoint("keeper.gate")
            os.write(newborn.gate, b"x")
        except OSError:
            os.kill(newborn.pid, signal.SIGKILL)
            os.waitpid(newborn.pid, 0)
            os.close(newborn.pidfd)
            os.close(newborn.said)
            raise
        finally:
            os.close(newborn.gate)
        return newborn

    def _on_said(self, name: str) -> None:
        """The new process has become its command, or says why not."""
        birth, workload = self._births[name], self._running[name]
        if birth.said < 0:
            return
        said = os.read(birth.said, MESSAGE_BYTES_MAX)
        self._poller.forget(birth.said)
        os.close(birth.said)
        birth.said = -1
        if said:
            # It ends by itself now. The answer waits until nothing of it is left.
            birth.refused = failure_of(said, workload.record.spec, os.strerror)
            return
        del self._births[name]
        birth.client.send(KeeperSpawned(birth.request, workload.record))
        with suppress(OSError):
            # Nobody waits for it: what must outlive the boot was synced before the birth.
            self._folder.sync(name)

    def _hold(
        self, record: WorkloadRecord, *, pidfd: int | None, cgroup: WorkloadCgroup | None, output: OutputBound | None
    ) -> RunningWorkload:
        workload = RunningWorkload(
            record,
            pidfd=pidfd,
            cgroup=cgroup,
            output=output,
            poller=self._poller,
            on_change=self._go_on,
            now_ns=self._clock.now_ns(),
        )
        self._records[record.spec.name] = record
        self._running[record.spec.name] = workload
        return workload

    def _adopt(self, record: WorkloadRecord) -> None:
        found = find_again(record, self._place, self._boot_id)
        output = None
        if found.pidfd is not None:
            with suppress(OSError):
                descriptor = self._folder.open_output(record.spec.name)
                output = OutputBound(descriptor, record.spec.output_bytes_max, self._clock.now_ns(), record.output_lost_bytes)
        workload = self._hold(found.record, pidfd=found.pidfd, cgroup=found.cgroup, output=output)
        if found.pidfd is None:
            workload.note_unknown(found.unknown_why)
        self._save(found.record)
        self._go_on(workload)

    def _leftover(self, record: WorkloadRecord) -> WorkloadCgroup | None:
        """The cgroup of one that has ended, which an earlier keeper had no time to remove."""
        if record.boot_id != self._boot_id or not self._place.root:
            return None
        return find_cgroup(self._place, record.cgroup, record.cgroup_id)

    def _go_on(self, workload: RunningWorkload) -> None:
        """Carry out what is due, and write down what has changed."""
        while workload.step(self._clock.now_ns(), self._clock.wall_ns()):
            self._records[workload.name] = workload.record
            if (birth := self._births.get(workload.name)) is None or birth.refused is None:
                self._save(workload.record)
        if workload.is_gone and self._running.get(workload.name) is workload:
            self._conclude(workload)

    def _conclude(self, workload: RunningWorkload) -> None:
        """It has ended, and nothing of it is left."""
        name, record = workload.name, workload.record
        if name in self._births:
            # Its end may have come before its word.
            self._on_said(name)
        del self._running[name]
        workload.close()
        birth = self._births.pop(name, None)
        if birth is not None and birth.refused is not None:
            self._restore(name, birth.previous)
            birth.client.send(KeeperRefused(birth.request, birth.refused.word, birth.refused.sentence))
            return
        if record.ending is not None and record.ending.left_behind:
            self._notes.add(f"{name}: its cgroup {record.cgroup} cannot be removed: {record.ending.left_behind}")
        for client in list(self._clients):
            client.send(WorkloadEnded(record))

    def _stop(self, client: ClientConnection, order: StopWorkload) -> None:
        workload = self._running.get(order.name)
        if workload is None:
            raise _not_found(order.name, self._records)
        workload.stop(self._clock.now_ns(), order.grace_ns)
        client.send(KeeperDone(order.request))
        self._go_on(workload)

    def _forget(self, client: ClientConnection, order: ForgetWorkload) -> None:
        if order.name in self._running:
            raise WorkloadRefused(RefusalWord.STILL_RUNS, order.name, "it runs", "stop it first")
        if order.name not in self._records:
            raise _not_found(order.name, self._records)
        self._folder.remove(order.name)
        self._unsaved.discard(order.name)
        del self._records[order.name]
        client.send(KeeperDone(order.request))

    def _listing(self, request: int) -> KeeperRecords:
        return KeeperRecords(
            request,
            tuple(self._records.values()),
            cgroup_root=self._place.root,
            problem=self._place.problem,
            notes=self._notes.latest(),
            version=agent.__version__,
            pid=os.getpid(),
        )

    def _save(self, record: WorkloadRecord) -> None:
        name = record.spec.name
        try:
            # What is lost of the output is no reason to wait for the disk.
            self._folder.write(record, synced=record.ending is not None)
            self._unsaved.discard(name)
        except OSError as cause:
            if name not in self._unsaved:
                self._notes.add(f"{name}: its record cannot be written: {cause.strerror}; it is tried again")
            self._unsaved.add(name)
            self._save_at_ns = self._clock.now_ns() + SAVE_AGAIN_NS

    def _restore(self, name: str, previous: WorkloadRecord | None) -> None:
        """Put the record in place that was there before a birth that failed."""
        if previous is not None:
            self._records[name] = previous
            self._save(previous)
            return
        self._records.pop(name, None)
        self._unsaved.discard(name)
        with suppress(OSError):
            self._folder.remove(name)


def _not_found(name: str, records: dict[str, WorkloadRecord]) -> WorkloadRefused:
    shown = readable(name, 80)
    problem = "it has ended already" if name in records else "there is no workload of this name"
    return WorkloadRefused(RefusalWord.NOT_FOUND, shown, problem, "`agentctl list-workloads` lists them")


def _name_of(order: ToKeeper) -> str:
    match order:
        case SpawnWorkload():
            return order.spec.name
        case ListWorkloads():
            return "keeper"
        case _:
            return readable(order.name, 80)
