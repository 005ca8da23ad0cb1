"""The entry of workers that do as they are told: the agent's own worker loop around a scripted work.

control-plane   tells that the host was seen, so that the agent becomes ready; else idle
idle            beats, holds its rules, answers
dies            ends with SIGKILL right after it is up, unless a file `NAME.spared` lies in the folder of orders
exits-N         says so on stderr and ends with exit code N right after it is up
breeds          has a child of its own in a session of its own, deaf to what can be ignored
slow-N          takes N milliseconds to become ready
busy            has always more to do: every turn of its loop burns 12 ms of processor time, and it is never done

Where the environment variable WORKFORCE_FOLDER names a folder, every worker that is up also does what `fakes.order` can, by
what arrives in a fifo of its name there, and writes into the file `ledger` when it was born, up and about to die.
"""

import os
import signal
import time
from collections.abc import Callable
from typing import Any

from fakes.kind import kind_of
from fakes.order import breed, burn, carry_out

from agent.launch import Launch
from agent.model.rule import Assignment, Unit, UnitKind, canonical, pod_key
from agent.model.rule_state import Change, RuleState
from agent.model.worker_kind import WorkerKind
from agent.ports import Interest, Work
from workers.framework.declaration import WorkerContext
from workers.framework.work import BaseWork
from workers.runtime import worker_main

VARIABLE = "WORKFORCE"
FOLDER_VARIABLE = "WORKFORCE_FOLDER"
# The agent's own kinds, which keep their makers; the control plane is scripted here, for nothing is to be looked at.
REAL_KINDS = {"writer", "sampler", "gateway"}
BUSY_TURN_SECONDS = 0.012
# So many different units are published again and again: the state that all hold stays small, however much flows.
PUBLISHED_UNITS = 500
# Fewer than the bus holds for one worker, so that a worker that reads at all is sent every one.
MESSAGES_PER_TURN = 20
ORDER_BYTES_MAX = 4096


class ScriptedWork(BaseWork):
    """`agent.ports.Work` that does one thing when it starts, and after that what it is ordered to."""

    def __init__(self, script: str, name: str, bus: Any) -> None:
        super().__init__()
        self._script = script
        self._name = name
        self._bus = bus
        self._is_noted = False
        self._due: int | None = None
        self._orders: int | None = None
        self._publications = 0
        self._changes_each = 0
        self._published = 0
        self._awaited: Change | None = None

    def on_start(self, now_ns: int) -> None:
        """Do the one thing at the first turn after it is up."""
        kind, _, argument = self._script.partition("-")
        if kind == "slow":
            time.sleep(int(argument) / 1000)
        self._due = now_ns
        self._orders = _open_fifo(self._name)

    def on_rules(self, rules: RuleState) -> None:
        """They are held by the loop; one that publishes goes on when what it published last has come back."""
        if self._awaited is not None and rules.get(self._awaited[0]) == self._awaited[1]:
            self._awaited = None
            self._due = 0

    def next_deadline_ns(self) -> int | None:
        """At once, for a script with something to do."""
        return self._due

    def on_timer(self, now_ns: int) -> None:
        """The one thing, or the next part of what was ordered."""
        if self._publications:
            self._publish_some()
            return
        self._due = None
        if not self._is_noted:
            self._is_noted = True
            note(self._name, "up")
        kind, _, argument = self._script.partition("-")
        match kind:
            case "dies":
                if not _is_spared(self._name):
                    note(self._name, "dies")
                    os.kill(os.getpid(), signal.SIGKILL)
            case "exits":
                carry_out(f"say ends with {argument}")
                carry_out(f"exit {argument}")
            case "breeds":
                breed()
            case "busy":
                self._due = now_ns
                burn(BUSY_TURN_SECONDS)
            case "host":
                self._bus.publish([], complete=True)

    def interests(self) -> tuple[Interest, ...]:
        """The fifo that orders come through."""
        return () if self._orders is None else (Interest(self._orders),)

    def on_readable(self, descriptor: int, now_ns: int) -> None:
        """Orders, one per line."""
        for line in os.read(descriptor, ORDER_BYTES_MAX).decode().splitlines():
            what, _, argument = line.partition(" ")
            if what == "publish":
                publications, changes = argument.split()
                self._publications, self._changes_each, self._due = int(publications), int(changes), now_ns
            else:
                carry_out(line)

    def stats(self) -> dict[str, Any]:
        """How far the publishing is."""
        return {"to_publish": self._publications}

    def on_taken_over(self, now_ns: int) -> None:
        """The one that tells that the host was seen tells it again."""
        if self._script == "host":
            self._due = now_ns

    def _publish_some(self) -> None:
        for _ in range(min(MESSAGES_PER_TURN, self._publications)):
            self._bus.publish([self._next_change() for _ in range(self._changes_each)], complete=False)
            self._publications -= 1
        self._due = None

    def _next_change(self) -> Change:
        self._published += 1
        uid = f"unit-{self._published % PUBLISHED_UNITS}"
        unit = Unit(uid, UnitKind.SERVICE, f"/system.slice/{uid}.service")
        self._awaited = pod_key(uid), canonical(Assignment(unit, uid, None, self._published))
        return self._awaited


def note(name: str, event: str) -> None:
    """A line in the ledger: who, what, and when (monotonic). One write, so that workers do not mix."""
    folder = os.environ.get(FOLDER_VARIABLE)
    if folder is None:
        return
    ledger = os.open(os.path.join(folder, "ledger"), os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    os.write(ledger, f"{name} {event} {time.monotonic_ns()}\n".encode())
    os.close(ledger)


def be_worker(take_order: Callable[[], bytes], page: int, stderr: int) -> None:
    """The entry of these workers: the agent's own, with the scripts among the kinds."""
    worker_main.run_worker(take_order, page, stderr, maker_of)


def maker_of(launch: Launch) -> worker_main.MakeWork:
    """How the work of a worker is made: the agent's own kinds as usual, all others by their script."""
    if launch.kind in REAL_KINDS:
        return worker_main.registered_maker(launch)

    def make(context: WorkerContext) -> Work:
        name = context.launch.identity.worker
        note(name, "born")
        # Only the kind `control-plane` may publish, and the agent is ready only when it has.
        return ScriptedWork("host" if launch.kind == "control-plane" else launch.kind, name, context.bus)

    return make


def described_kinds() -> dict[str, WorkerKind]:
    """The workers that the environment names, as the supervisor takes them."""
    return {name: kind_of(kind) for name, kind in kinds().items()}


def kinds() -> dict[str, str]:
    """Worker name to kind, from the environment."""
    found: dict[str, str] = {}
    for part in os.environ[VARIABLE].split(","):
        name, _, kind = part.partition("=")
        name, _, count = name.partition("*")
        found |= {f"{name}{number}" if count else name: kind for number in range(int(count or 1))}
    return found


def fifo_name(worker: str) -> str:
    """The name of the fifo through which a worker gets its orders."""
    return f"{worker.replace('/', '-')}.orders"


def _open_fifo(worker: str) -> int | None:
    folder = os.environ.get(FOLDER_VARIABLE)
    if folder is None:
        return None
    path = os.path.join(folder, fifo_name(worker))
    if not os.path.exists(path):
        os.mkfifo(path, 0o600)
    # For reading and writing: without a writer of its own it would be readable at its end all the time.
    return os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)


def _is_spared(worker: str) -> bool:
    return os.path.exists(os.path.join(os.environ.get(FOLDER_VARIABLE, "/"), f"{worker.replace('/', '-')}.spared"))
