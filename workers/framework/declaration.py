"""The declaration of a worker: what it is, when it runs, and how its work is made.

A kind of worker is one folder `workers/<kind>/` whose `worker.py` has a `WORKER`; `workers.registry` finds it, and nothing else
names it. `worker.py` is imported by the supervisor too, so it imports what is heavy only inside its maker.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

from agent.config import Config
from agent.launch import Launch
from agent.model.heartbeat import Heartbeat
from agent.model.limit import Ladder
from agent.model.table import Table
from agent.model.worker_kind import Statistic, WorkerKind
from agent.ports import Bus, Clock, DataPeer, Forwarder, KernelTree, Outbox, Work
from agent.setting import AnySetting

if TYPE_CHECKING:
    import zmq


class WorkerContext(Protocol):
    """What a worker's process gives to the maker of its work."""

    @property
    def launch(self) -> Launch:
        """Who this worker is, and its settings."""
        ...

    @property
    def clock(self) -> Clock:
        """This process's clocks."""
        ...

    @property
    def bus(self) -> Bus:
        """The way to the supervisor."""
        ...

    @property
    def heartbeat(self) -> Heartbeat:
        """To be called in the middle of work that takes longer than some milliseconds."""
        ...

    def tree(self, root: str) -> KernelTree:
        """The kernel files below a directory, which need not be there yet."""
        ...

    def outbox(self, ticks_max: int | None = None, *, member: str = "") -> Outbox:
        """The way of this worker's rows to the writer; at most one is made. `ticks_max` bounds what may wait.

        Each `member` that shares the process has one of its own, and its rows its own name.
        """
        ...

    def forwarder(self) -> Forwarder:
        """The way of other hosts' batches to the writer; at most one is made. They share the numbers of `outbox`."""
        ...

    def data_peer(self) -> DataPeer:
        """The end of the data socket that receives rows; `Work.on_data` is called when it has some.

        *Raises:* UnavailableError where the socket cannot be made.
        """
        ...

    def zmq_context(self) -> "zmq.Context[zmq.Socket[bytes]]":
        """The process's own ZeroMQ context, for a worker that speaks to other hosts. It closes what it opens there."""
        ...

    def tables(self) -> Sequence[Table]:
        """Every table that the agent can write."""
        ...

    def statistics(self) -> Mapping[str, Sequence[Statistic]]:
        """What the `stats` of workers mean for /metrics, by worker name; what stands under "" holds for all."""
        ...


def _always(config: Config) -> bool:
    return True


def _never_idle(config: Config) -> str:
    return ""


def _once(config: Config) -> int:
    return 1


def _accept(config: Config, origin: str) -> None:
    """Any configuration whose settings are good."""


class Worker(Struct, frozen=True):
    """One worker. `make` is called in its own process; the modules that it needs are `preload`ed by the fork server.

    `tables` are those that it writes, `settings` those that only it reads. `capabilities` are those of `agent.capability` that it
    keeps; all others are given up before its work is made. `members` are declared like workers but share this one's process:
    rows, statistics and conditions have their names. `idle_reason` says of one that runs on demand why there is nothing to do for
    it at the agent's start; empty: there is. `check` raises ConfigError for a configuration, read from `origin`, that it cannot
    use. `ladder` is what it can leave out while it uses more than it may. `reads` are keys of settings that others read
    too, or sections (`workload`, `sink.NAME`): it is restarted when one of them changes.
    `cpu_factor`: by how much its default limit of processor time is larger than that of its kind.
    """

    name: str
    kind: WorkerKind
    make: Callable[[WorkerContext], Work]
    preload: tuple[str, ...]
    is_wanted: Callable[[Config], bool] = _always
    tables: tuple[Table, ...] = ()
    settings: tuple[AnySetting, ...] = ()
    statistics: tuple[Statistic, ...] = ()
    capabilities: tuple[str, ...] = ()
    members: tuple["Worker", ...] = ()
    idle_reason: Callable[[Config], str] = _never_idle
    check: Callable[[Config, str], None] = _accept
    ladder: Ladder = Ladder()
    reads: tuple[str, ...] = ()
    cpu_factor: Callable[[Config], int] = _once

    def wanted_members(self, config: Config) -> tuple["Worker", ...]:
        """Those that run with this configuration."""
        return tuple(each for each in self.members if each.is_wanted(config))

    def kept_capabilities(self, config: Config) -> tuple[str, ...]:
        """Its own, and those of the members that run."""
        kept = [*self.capabilities, *(name for each in self.wanted_members(config) for name in each.capabilities)]
        return tuple(dict.fromkeys(kept))
