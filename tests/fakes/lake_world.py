"""A lake in memory with everybody at it at once: nodes that land files, mergers, compactors and readers.

Only one of them moves at a time, by one request to the bucket; a seeded chance says who, and whether the request fails, its answer
is lost or its sender dies. Rows are numbers: those of landed files, and those of a topic by their offset.
"""

import json
import threading
from collections.abc import Callable
from pathlib import Path
from random import Random
from zlib import crc32

from fakes.memory_bucket import Fate, Killed, MemoryBucket, SteppedBucket

from agent.lake.bucket import Bucket, FileGone, PutOutcome
from agent.lake.commit import AddedFile, LakeCommit, OffsetSpan
from agent.lake.lake_state import LakeState
from agent.lake.log import CommitRefused, LakeLog, LogPorts
from agent.lake.path import landing_prefix, merged_path
from agent.lake.patient_bucket import PatientBucket
from agent.lake.snapshot import LakeSnapshot, LedgerCache, Wanted, read_lake, take_snapshot
from agent.model.errors import EvergaugeError
from agent.model.timebase import DAY, HOUR, MINUTE, S, civil_date
from agent.store.layout import SealedName, file_name
from agent.store.segment import segment_id
from workers.compactor.job import JobPlace
from workers.compactor.job_commit import commit_of
from workers.compactor.plan import LakeJob
from workers.compactor.report import PassedFile
from workers.compactor.round import CompactorRound
from workers.compactor.round_terms import JobResult, RoundTerms, RoundView

TABLES = ("process", "host")
BEGIN_NS = 20_000 * DAY + 12 * HOUR
PARTITION = "proc.raw.v1/0"
TOPIC_TABLE = TABLES[0]
BAD = b"what is this"
_OFFSET_ROW = 1_000_000_000


class Actor:
    """One process: its thread moves only when the world says so."""

    def __init__(self, world: "LakeWorld", name: str, life: Callable[["Actor"], None]) -> None:
        self.world = world
        self.name = name
        self.skew_ns = world.rng.choice((0, 0, 3 * MINUTE, -3 * MINUTE))
        self.bucket = PatientBucket(SteppedBucket(world.bucket, self.wait), Random(world.rng.random()), lambda _ns: self.idle())
        self.ports = LogPorts(self._wall_ns, lambda: world.now_ns, Random(world.rng.random()), lambda _duration_ns: self.idle())
        self.is_over = False
        self.failure: BaseException | None = None
        self._life = life
        self._go, self._is_there = threading.Semaphore(0), threading.Semaphore(0)
        self._fate = Fate.GO
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()
        self._is_there.acquire()

    def move(self, fate: Fate) -> None:
        """Let it do one step."""
        self._fate = fate
        self._go.release()
        self._is_there.acquire()

    def wait(self) -> Fate:
        """Called by itself: wait for the next step."""
        self._is_there.release()
        self._go.acquire()
        return self._fate

    def end(self) -> None:
        """Kill it and wait for its end."""
        while not self.is_over:
            self.move(Fate.KILL_BEFORE)
        self._thread.join()

    def idle(self) -> None:
        """Called by itself: do nothing for a step."""
        if self.wait() in (Fate.KILL_BEFORE, Fate.KILL_AFTER):
            raise Killed

    def _wall_ns(self) -> int:
        return self.world.now_ns + self.skew_ns

    def _run(self) -> None:
        try:
            self.idle()
            self._life(self)
        except Killed:
            pass
        except EvergaugeError as failure:
            self.world.failures[type(failure).__name__] = self.world.failures.get(type(failure).__name__, 0) + 1
        except BaseException as failure:  # noqa: BLE001  # the world raises it
            self.failure = failure
        finally:
            self.is_over = True
            self._is_there.release()


class LakeWorld:
    """The world of one seed. `counts` says what happened."""

    def __init__(self, seed: int, scratch: Path) -> None:
        self.rng = Random(seed)
        self.scratch = scratch
        self.now_ns = BEGIN_NS
        self.bucket = MemoryBucket()
        self.bucket.on_put = self._note_put
        self.landed: dict[str, bytes] = {}
        self.rows = 0
        self.failures: dict[str, int] = {}
        self.counts = dict.fromkeys(("steps", "kills", "landed", "again", "merged", "compacted", "reads", "gone", "refused"), 0)
        self._watcher = LakeLog(self.bucket, "watcher", LogPorts(lambda: self.now_ns, lambda: self.now_ns))
        self._ledgers = LedgerCache(self.bucket)
        self._landed_rows: set[int] = set()
        self._decoded: dict[bytes, list[int]] = {}
        self._checked = 0
        self._grace_ns = self.rng.choice((0, 20 * S, 5 * MINUTE))
        self._weights: list[int] = []
        self._redrawn_at = 0
        lives = [self._node] * 2 + [self._merger] * 2 + [self._compactor] * 3 + [self._reader] * 3
        self._lives = lives
        self._actors = [self._new(life) for life in lives]

    def step(self) -> None:
        """One request of somebody, and everything that must be true behind it."""
        self._pass_time()
        if self.counts["steps"] == self._redrawn_at:
            # Some are stopped for a while, as by a debugger or a hypervisor, and wake up in another world.
            self._redrawn_at += self.rng.choice((30, 150, 600))
            self._weights = [self.rng.choice((0, 0, 1, 4)) for _ in self._actors]
            self._weights[self.rng.randrange(len(self._actors))] = 1
        place = self.rng.choices(range(len(self._actors)), self._weights)[0]
        actor = self._actors[place]
        actor.move(self._fate())
        if actor.failure is not None:
            raise actor.failure
        if actor.is_over:
            self._actors[place] = self._new(self._lives[place])
        self.counts["steps"] += 1
        if self.bucket.changes != self._checked:
            self._checked = self.bucket.changes
            self.check()

    def check(self) -> None:
        """A reader that takes no time sees each row once."""
        found = take_snapshot(self.bucket, self._watcher, Wanted(TABLES), self._ledgers)
        seen = [row for file in found.files for row in self._rows_in(self.bucket.objects[file.path].content)]
        assert len(seen) == len(set(seen)), f"rows are seen twice in {sorted(file.path for file in found.files)}"
        assert set(seen) == self.truth(found.state)

    def _rows_in(self, content: bytes) -> list[int]:
        found = self._decoded.get(content)
        if found is None:
            found = self._decoded[content] = rows_in(content)
        return found

    def truth(self, state: LakeState) -> set[int]:
        """All rows that must be there: of what has landed, and of the topic up to the offset."""
        return self._landed_rows | {_OFFSET_ROW + offset for offset in range(state.offsets.get(PARTITION, 0))}

    def end(self) -> None:
        """Nobody is left."""
        for actor in self._actors:
            actor.end()

    def settle(self) -> list[str]:
        """One compactor alone, long after everything: what is left in the bucket."""
        for _ in range(4):
            self._pass_day()
            ports = LogPorts(lambda: self.now_ns, lambda: self.now_ns, Random(1), lambda _duration_ns: None)
            self._round("the last", self.bucket, ports, self.scratch / "last").run()
        return sorted(self.bucket.objects)

    def fresh_state(self) -> LakeState:
        """The log as somebody reads it who has never seen it."""
        return LakeLog(self.bucket, "fresh", LogPorts(lambda: self.now_ns, lambda: self.now_ns)).state()

    # ---- time and mishaps ----

    def _pass_time(self) -> None:
        chance = self.rng.random()
        self.now_ns += self.rng.randrange(2 * S)
        if chance < 0.004:
            self.now_ns += self.rng.randrange(20 * MINUTE)
        if chance < 0.0006:
            self._pass_day()
        self.bucket.now_ns = self.now_ns

    def _pass_day(self) -> None:
        self.now_ns += DAY + self.rng.randrange(HOUR)
        self.bucket.now_ns = self.now_ns

    def _fate(self) -> Fate:
        chance = self.rng.random()
        if chance < 0.004:
            self.counts["kills"] += 1
            return self.rng.choice((Fate.KILL_BEFORE, Fate.KILL_AFTER))
        if chance < 0.02:
            return self.rng.choice((Fate.FAIL_BEFORE, Fate.FAIL_AFTER))
        return Fate.GO

    def _new(self, life: Callable[[Actor], None]) -> Actor:
        return Actor(self, life.__name__, life)

    # ---- lives ----

    def _node(self, actor: Actor) -> None:
        """Lands files, and some once more: it did not hear that they had arrived."""
        for _ in range(self.rng.randrange(1, 12)):
            for _ in range(self.rng.randrange(12)):
                actor.idle()
            if self.landed and self.rng.random() < 0.3:
                path = self.rng.choice(list(self.landed))
                content = self.landed[path]
                self.counts["again"] += 1
            else:
                path, content = self._next_file()
            actor.bucket.put_new(path, content)

    def _next_file(self) -> tuple[str, bytes]:
        table, node = self.rng.choice(TABLES), self.rng.randrange(3)
        at_ns = self.now_ns - self.rng.randrange(2 * DAY)
        generation = len(self.landed) + 1 + self.rng.randrange(1 << 20)
        name = SealedName(f"{table}-", f"n{node}", at_ns // S * S, at_ns // S * S, False, segment_id(generation, f"{node:08x}"))
        path = f"{landing_prefix(table, civil_date(at_ns))}host=n{node}/{file_name(name)}"
        rows = list(range(self.rows, self.rows + self.rng.randrange(4)))
        self.rows += len(rows)
        return path, BAD if self.rng.random() < 0.02 else json.dumps(rows).encode()

    def _note_put(self, name: str, content: bytes) -> None:
        """From its effect on a file is there, whether or not somebody heard of it."""
        if not name.startswith("_"):
            self.landed.setdefault(name, content)
            self._landed_rows.update(rows_in(content))
            self.counts["landed"] += 1

    def _merger(self, actor: Actor) -> None:
        """Takes rows from the topic, and commits them with their offsets."""
        log = LakeLog(actor.bucket, actor.name, actor.ports)
        for _ in range(self.rng.randrange(1, 6)):
            state = log.state()
            base = state.offsets.get(PARTITION, 0)
            until = base + self.rng.randrange(1, 5)
            content = json.dumps([_OFFSET_ROW + offset for offset in range(base, until)]).encode()
            date = civil_date(actor.ports.wall_ns())
            added = self._put(actor, state, f"k-{base}-{until}", date, content, until - base)
            span = OffsetSpan(base, until)
            try:
                number = log.append(lambda state, added=added, span=span: _merged(state, added, span))  # type: ignore[misc]  # bound now
            except CommitRefused:
                self.counts["refused"] += 1
                return
            self.counts["merged"] += number is not None

    def _put(self, actor: Actor, state: LakeState, name: str, date: str, content: bytes, rows: int) -> AddedFile:
        for variant in range(1000):
            path = merged_path(TOPIC_TABLE, date, f"{name}-{variant}")
            if path in state.condemned or path in state.removed or path in state.files:
                continue
            if actor.bucket.put_new(path, content) is not PutOutcome.OTHER:
                return AddedFile(path, TOPIC_TABLE, date, rows, len(content))
        raise AssertionError("a thousand names are taken")

    def _compactor(self, actor: Actor) -> None:
        """One round. Some do not mind whose lease it is: only the log may decide."""
        if self.rng.random() < 0.5:
            self.bucket.delete("_lease/compactor.json")
        self._round(actor.name, actor.bucket, actor.ports, self.scratch / f"{id(actor)}").run()

    def _round(self, name: str, bucket: Bucket, ports: LogPorts, scratch: Path) -> CompactorRound:
        terms = RoundTerms(str(scratch), 300, 150, 0, self._grace_ns, quiet_ns=0, requests=1)
        return CompactorRound(bucket, name, terms, RoundView(), ports, self._job)

    def _job(self, job: LakeJob, ledger: str, place: JobPlace) -> JobResult:
        """As `workers.compactor.job.run_job`, of rows that are JSON."""
        rows: list[int] = []
        used: list[str] = []
        passed: list[PassedFile] = []
        for source in job.sources:
            content = place.bucket.get(source.path, 1 << 20)
            if content is None:
                return JobResult(None)
            if content == BAD:
                passed.append(PassedFile(source.path, source.bytes, "bad"))
            else:
                used.append(source.path)
                rows += rows_in(content)
        if not used:
            return JobResult(None, passed=tuple(passed))
        content = json.dumps(sorted(rows)).encode()
        added = self._put_merged(job, used, content, len(rows), place)
        number = place.log.append(lambda state: commit_of(job, used, [added], ledger, state))
        self.counts["compacted"] += number is not None
        return JobResult(number, len(used), 1, len(rows), job.bytes, len(content), tuple(passed))

    def _put_merged(self, job: LakeJob, used: list[str], content: bytes, rows: int, place: JobPlace) -> AddedFile:
        state = place.log.state()
        digest = f"{crc32(chr(10).join(sorted(used)).encode()):08x}"
        for variant in range(1000):
            path = merged_path(job.table, job.date, f"c-{digest}-{variant}")
            if path in state.condemned or path in state.removed:
                continue
            if place.bucket.put_new(path, content) is not PutOutcome.OTHER:
                return AddedFile(path, job.table, job.date, rows, len(content))
        raise AssertionError("a thousand names are taken")

    def _reader(self, actor: Actor) -> None:
        """Reads everything, one request after another, while others are at it."""
        before = self.truth(self._watcher.state())

        def read(found: LakeSnapshot) -> list[int]:
            seen: list[int] = []
            for file in found.files:
                content = actor.bucket.get(file.path, 1 << 20)
                if content is None:
                    self.counts["gone"] += 1
                    raise FileGone(file.path)
                seen += rows_in(content)
            return seen

        seen = read_lake(actor.bucket, LakeLog(actor.bucket, actor.name, actor.ports), Wanted(TABLES), read)
        after = self.truth(self._watcher.state())
        self.counts["reads"] += 1
        assert len(seen) == len(set(seen)), "a slow reader sees rows twice"
        assert before <= set(seen) <= after, "a slow reader misses rows, or sees some that nobody has stored"


def rows_in(content: bytes) -> list[int]:
    """The rows of a file; none of a bad one."""
    found: list[int] = [] if content == BAD else json.loads(content)
    return found


def _merged(state: LakeState, added: AddedFile, span: OffsetSpan) -> LakeCommit | None:
    if state.offsets.get(PARTITION, 0) != span.base:
        return None
    return LakeCommit(adds=(added,), offsets={PARTITION: span})
