"""The life of one worker as a table of states. PURE.

state      what holds                                      leaves by
asleep     there is nothing to do for it, no process       start: an operation needs it, or the operator
down       not wanted, no process                          start
starting   a process is ordered or runs, not yet ready     ready -> up; exit; start timeout -> stopping
up         it said ready with its snapshot loaded          exit; hang, restart, stop -> stopping
stopping   it was told to end                              exit -> down, starting or backoff
backoff    no process; the next start has its time         the time comes, or the operator -> starting
failed     its exit code said: do not restart              reset by the operator -> starting
"""

from collections import Counter, deque
from enum import StrEnum
from random import Random
from typing import assert_never

from msgspec import Struct

from agent.model.backoff import Backoff, delay_ns
from agent.model.errors import ends_restarts
from agent.model.message import Ending, Stop
from agent.model.timebase import MS, S
from agent.model.worker_kind import WorkerKind
from supervisor.core.death import Death, describe_exit, telling_lines
from supervisor.core.effect import Effect, Exited, Log, ResetLauncher, Send, Signal, Spawn, Survivor
from supervisor.core.watchdog import Watch

# A Python process writes its traceback within milliseconds; a process that cannot is not waited for.
TRACEBACK_GRACE_NS = 100 * MS
# After SIGKILL only an uninterruptible wait in the kernel keeps a process; the agent's end does not wait for that.
KILL_GRACE_NS = 2 * S

# A living worker answers a new supervisor within a turn of its loop; one that does not is hung.
TAKEOVER_ANSWER_NS = 3 * S

# Why we end a worker that nobody asked to end.
HUNG = "hung"
NOT_READY = "not ready in time"
FAULTS = frozenset({HUNG, NOT_READY})
# How many earlier starts a worker is told the ends of; the writer does not tell older ones apart either.
ENDINGS_MAX = 8


class ChildState(StrEnum):
    """The states; the words are shown to operators."""

    ASLEEP = "asleep"
    DOWN = "down"
    STARTING = "starting"
    UP = "up"
    STOPPING = "stopping"
    BACKOFF = "backoff"
    FAILED = "failed"


class Policy(Struct, frozen=True):
    """The times that govern a worker's life, in nanoseconds."""

    heartbeat_interval_ns: int
    hang_timeout_ns: int
    start_timeout_ns: int
    stop_timeout_ns: int
    stable_period_ns: int
    backoff: Backoff


class Child:
    """One worker: its state, its present epoch and its failures. Methods return the effects of what happened.

    `members` are the names of the samplers that share its process. `asleep_why`: why there is nothing to do for it at the agent's
    start; empty: there is, or it always runs.
    """

    def __init__(
        self, name: str, kind: WorkerKind, policy: Policy, rng: Random, members: tuple[str, ...] = (), *, asleep_why: str = ""
    ) -> None:
        assert kind.is_on_demand or not asleep_why, name
        self.name = name
        self.kind = kind
        self.members = members
        self._policy = policy
        self._rng = rng
        self.asleep_why = asleep_why
        self.state = ChildState.ASLEEP if asleep_why else ChildState.DOWN
        self.epoch = 0
        self.pid: int | None = None
        self.restarts = 0
        self.failures = 0
        self.last_exit: str | None = None
        # The few lines that tell most; all of them, with the stacks of a hung worker, are in its `Death`.
        self.stderr_tail: tuple[str, ...] = ()
        # How often it ended in which way, by the words of `last_exit`.
        self.deaths: Counter[str] = Counter()
        # For the next start: its first batch reports how those before it ended.
        self.endings: deque[Ending] = deque(maxlen=ENDINGS_MAX)
        self.started_at_ns = 0
        self.up_at_ns: int | None = None
        self.deadline_ns: int | None = None
        self.watch = self._new_watch()
        self._stop_reason = ""
        self._wanted = False
        self._is_killed = False
        self._is_taken_over = False

    def _new_watch(self) -> Watch:
        return Watch(timeout_ns=self._policy.hang_timeout_ns, interval_ns=self._policy.heartbeat_interval_ns)

    def set_policy(self, policy: Policy) -> None:
        """Other times govern it from now on; a deadline that is set already stays."""
        self._policy = policy
        self.watch.set_timeout(policy.hang_timeout_ns)

    @property
    def is_taken_over(self) -> bool:
        """Whether its process was started by a supervisor that has died."""
        return self._is_taken_over

    @property
    def has_process(self) -> bool:
        """Whether a process of this child is ordered or alive."""
        return self.state in (ChildState.STARTING, ChildState.UP, ChildState.STOPPING)

    def name_of(self, member: str) -> str:
        """Under which name something is shown that this process says of a member; its own where there is none of that name."""
        return member if member in self.members else self.name

    # ---- orders ----------------------------------------------------------------------------------

    def start(self, now_ns: int) -> list[Effect]:
        """Order a new generation. Only without a process."""
        assert not self.has_process, self.state
        self._wanted = True
        self.epoch += 1
        self.restarts = self.epoch - 1
        self.state = ChildState.STARTING
        self.pid = None
        self.started_at_ns = now_ns
        self.up_at_ns = None
        self.deadline_ns = now_ns + self._policy.start_timeout_ns
        self.watch = self._new_watch()
        self._is_killed = self._is_taken_over = False
        spawn = Spawn(self.name, self.epoch)
        if self.epoch == 1:
            return [spawn]
        return [Log("worker_restart", "info", {"worker": self.name, "epoch": self.epoch, "after": self.last_exit}), spawn]

    def take_over(self, survivor: Survivor, now_ns: int) -> None:
        """Take over a living process of a dead supervisor: it runs, and counts as up when it has said so again."""
        assert not self.has_process, self.state
        self._wanted = True
        self.epoch = survivor.epoch
        self.restarts = self.epoch - 1
        self.state = ChildState.STARTING
        self.pid = survivor.pid
        self.started_at_ns = survivor.started_at_ns
        self.deadline_ns = now_ns + min(self._policy.start_timeout_ns, TAKEOVER_ANSWER_NS)
        self._is_taken_over = True

    def stop(self, reason: str, now_ns: int, *, wanted: bool, grace_ns: int | None = None) -> list[Effect]:
        """Ask it to stop cleanly within the grace (default: the stop timeout); `wanted`: and start it again afterwards."""
        self._wanted = wanted
        if not self.has_process:
            self.state = ChildState.DOWN
            self.deadline_ns = None
            return []
        if self.state is ChildState.STOPPING:
            # Told before, perhaps to be started again: it hears it once more, with what is left of its time.
            return [] if self._is_killed or self.deadline_ns is None else [self._stop_message(now_ns)]
        self._begin_stopping(reason)
        grace_ns = self._policy.stop_timeout_ns if grace_ns is None else grace_ns
        self.deadline_ns = now_ns + grace_ns
        return [self._stop_message(now_ns)]

    def want_no_more(self) -> None:
        """The agent ends: however this worker ends before its turn to stop, it is not started again."""
        self._wanted = False
        if self.state in (ChildState.BACKOFF, ChildState.ASLEEP):
            self.state = ChildState.DOWN
            self.deadline_ns = None

    def replace_hung(self, now_ns: int) -> list[Effect]:
        """It makes no progress: ask for a traceback, then kill."""
        assert self.state is ChildState.UP
        self._begin_stopping(HUNG)
        self.deadline_ns = now_ns + TRACEBACK_GRACE_NS
        return [
            Log("worker_hung", "warning", {"worker": self.name, "epoch": self.epoch, "silent_ms": self.watch.silent_ns // MS}),
            Signal(self.name, self.epoch, "USR2"),
            # A stopped process writes its stacks when it goes on, in the moment that it has left.
            Signal(self.name, self.epoch, "CONT"),
        ]

    def forgive(self, now_ns: int) -> list[Effect]:
        """Forget the failures; a worker in backoff or failed starts at once."""
        self.failures = 0
        if self.state in (ChildState.BACKOFF, ChildState.FAILED):
            return self.start(now_ns)
        return []

    # ---- what happened ---------------------------------------------------------------------------

    def on_spawned(self, pid: int) -> list[Effect]:
        """The process exists."""
        assert pid > 0, pid
        self.pid = pid
        # Told to end before it had a pid: the order could not reach it then.
        return [Signal(self.name, self.epoch, "KILL")] if self._is_killed else []

    def on_hello(self, now_ns: int) -> list[Effect]:
        """It is connected now: a Stop that was sent before could not reach it, so it is told again."""
        if self._is_taken_over and self.state is ChildState.STARTING:
            # It lives and answers; now it waits for the rules, which we send.
            self.deadline_ns = now_ns + self._policy.start_timeout_ns
        if self.state is not ChildState.STOPPING or self._is_killed or self.deadline_ns is None:
            return []
        return [self._stop_message(now_ns)]

    def on_ready(self, now_ns: int) -> list[Effect]:
        """It has its snapshot and does its work."""
        if self.state is not ChildState.STARTING:
            return []
        self.state = ChildState.UP
        self.up_at_ns = now_ns
        self.deadline_ns = now_ns + self._policy.stable_period_ns if self.failures else None
        if self._is_taken_over:
            return [Log("worker_taken_over", "info", {"worker": self.name, "epoch": self.epoch, "pid": self.pid})]
        took_ms = (now_ns - self.started_at_ns) / MS
        return [Log("worker_up", "info", {"worker": self.name, "epoch": self.epoch, "pid": self.pid, "took_ms": round(took_ms, 1)})]

    def on_deadline(self, now_ns: int) -> list[Effect]:
        """The deadline of the present state has come."""
        match self.state:
            case ChildState.BACKOFF:
                return self.start(now_ns)
            case ChildState.STARTING:
                note = Log("worker_not_ready", "warning", {"worker": self.name, "epoch": self.epoch})
                self._begin_stopping(NOT_READY)
                return [note, *self._kill(now_ns)]
            case ChildState.STOPPING:
                return self._kill(now_ns)
            case ChildState.UP:
                self.deadline_ns = None
                self.failures = 0
                return [Log("worker_stable", "debug", {"worker": self.name, "epoch": self.epoch})]
            case ChildState.ASLEEP | ChildState.DOWN | ChildState.FAILED:
                self.deadline_ns = None
                return []
            case _:
                assert_never(self.state)

    def on_exited(self, gone: Exited, now_ns: int) -> tuple[Death, list[Effect]]:
        """The process is gone: record how, and decide what comes next."""
        assert self.has_process, self.state
        reason = self._stop_reason if self.state is ChildState.STOPPING else ""
        exit_text = describe_exit(gone.status)
        death = Death(self.name, self.epoch, now_ns, exit_text, now_ns - self.started_at_ns, gone.stderr_tail, reason)
        asked = bool(reason) and reason not in FAULTS
        self.last_exit = f"{exit_text}, {reason}" if reason in FAULTS else exit_text
        self.stderr_tail = telling_lines(gone.stderr_tail)
        self.deaths[self.last_exit] += 1
        self.endings.append(Ending(self.epoch, "worker_hung" if reason in FAULTS else "worker_stopped" if asked else "worker_died"))
        if self.up_at_ns is not None and now_ns - self.up_at_ns >= self._policy.stable_period_ns:
            self.failures = 0
        was_up = self.up_at_ns is not None
        self.pid = None
        self.up_at_ns = None
        self.deadline_ns = None
        fields: dict[str, object] = {"worker": self.name, "epoch": self.epoch, "exit": death.exit,
                                     "uptime_ms": death.uptime_ns // MS}  # fmt: skip
        if reason:
            fields["reason"] = reason
        if not self._wanted:
            self.state = ChildState.DOWN
            return death, [Log("worker_stopped", "info", fields)]
        if asked or (gone.with_launcher and was_up):
            # Asked to end, or killed with the fork server: no failure of its own. Before it was up this counts as a failure,
            # so that a fork server whose children always die does not spin.
            self.state = ChildState.DOWN
            return death, [Log("worker_stopped" if asked else "worker_died", "info", fields), *self.start(now_ns)]
        note = Log("worker_died", "warning", {**fields, "stderr_tail": " | ".join(self.stderr_tail)})
        return death, [note, *self._after_failure(gone.status, now_ns)]

    def on_spawn_failed(self, problem: str, now_ns: int) -> list[Effect]:
        """The start failed: there is no process."""
        self.last_exit = f"not started: {problem}"
        self.deadline_ns = None
        note = Log("spawn_failed", "error", {"worker": self.name, "epoch": self.epoch, "problem": problem})
        if not self._wanted:
            self.state = ChildState.DOWN
            return [note]
        return [note, *self._after_failure(None, now_ns)]

    # ---- parts -----------------------------------------------------------------------------------

    def _stop_message(self, now_ns: int) -> Effect:
        """Stop, with a little less than the time left, so that SIGKILL does not hit a worker that is just finishing."""
        assert self.deadline_ns is not None
        rest_ns = max(0, self.deadline_ns - now_ns)
        return Send(self.name, self.epoch, Stop(rest_ns - rest_ns // 5, for_good=not self._wanted))

    def _begin_stopping(self, reason: str) -> None:
        self.state = ChildState.STOPPING
        self._stop_reason = reason

    def _kill(self, now_ns: int) -> list[Effect]:
        self.deadline_ns = now_ns + KILL_GRACE_NS
        if self.pid is None and self._is_killed:
            # Ordered long ago, still no process: the launcher itself hangs.
            return [ResetLauncher()]
        self._is_killed = True
        return [] if self.pid is None else [Signal(self.name, self.epoch, "KILL")]

    def _after_failure(self, status: int | None, now_ns: int) -> list[Effect]:
        if status is not None and ends_restarts(status):
            self.state = ChildState.FAILED
            return [Log("worker_failed", "error", {"worker": self.name, "exit": describe_exit(status)})]
        self.failures += 1
        wait_ns = delay_ns(self.failures, self._policy.backoff, self._rng)
        self.state = ChildState.BACKOFF
        if wait_ns == 0:
            return self.start(now_ns)
        self.deadline_ns = now_ns + wait_ns
        return [Log("worker_backoff", "info", {"worker": self.name, "failures": self.failures, "wait_ms": wait_ns // MS})]
