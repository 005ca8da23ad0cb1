"""What a sampler is, as one declaration; `sampler_work` does the work around its ticks.

A sampler is one module in `workers/samplers` with a `SAMPLER`. The supervisor imports it too, for what it declares.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from msgspec import Struct

from agent.config import Config
from agent.model.errors import EvergaugeError
from agent.model.heartbeat import Heartbeat
from agent.model.limit import CPU_PER_CORE, Ladder, LadderStep
from agent.model.rule_state import RuleState
from agent.model.table import Row, Table
from agent.model.timebase import MINUTE, MS, S
from agent.model.worker_kind import Statistic, WorkerKind
from agent.ports import Bus, Clock, Interest, KernelTree, Work
from agent.setting import MIB, AnySetting, AutoSwitch, Duration, Switch, Whole
from workers.framework.declaration import Worker, WorkerContext

if TYPE_CHECKING:
    from workers.framework.sampler_work import SamplerWork

# What one tick gives: rows by table.
Sample = Sequence[tuple[Table, Sequence[Row]]]


class UnreadableError(EvergaugeError):
    """Nothing at all can be read. `sample` are rows that say so; without `blocks_ready` the agent is still ready."""

    def __init__(self, where: str, problem: str, remedy: str, *, blocks_ready: bool = True, sample: Sample = ()) -> None:
        super().__init__(where, problem, remedy)
        self.blocks_ready = blocks_ready
        self.sample = sample


class SamplerContext(Struct, frozen=True):
    """What a probe is made of. `tree` gives the kernel files below a directory, which need not be there yet."""

    config: Config
    clock: Clock
    bus: Bus
    tree: Callable[[str], KernelTree]
    heartbeat: Heartbeat


class NoDescriptors:
    """The part of a probe that reads at its ticks alone, and reads the same at each."""

    def on_steps(self, steps: frozenset[str]) -> None:
        """Nothing is left out but ticks."""

    def interests(self) -> tuple[Interest, ...]:
        """None."""
        return ()

    def on_readable(self, descriptor: int, now_ns: int) -> None:
        """Never called without an interest."""


class NoRules(NoDescriptors):
    """The part of a probe that measures everything, whatever the rules, and does all of its work in its ticks."""

    def rest(self) -> Sample:
        """Nothing is kept back."""
        return ()

    def on_rules(self, rules: RuleState) -> None:
        """Nothing changes."""

    def is_behind(self) -> bool:
        """Never."""
        return False

    def wake_at_ns(self) -> int | None:
        """Nothing waits."""
        return None

    def catch_up(self, until_ns: int) -> None:
        """Nothing waits."""


class Probe(Protocol):
    """The measuring part of a sampler, one per worker process."""

    def check(self) -> None:
        """Whether anything can be read at all, in microseconds; asked before the worker is ready.

        *Raises:* OSError, UnreadableError.
        """
        ...

    def on_rules(self, rules: RuleState) -> None:
        """The rules changed to this; the same object is changed again later."""
        ...

    def is_behind(self) -> bool:
        """Whether there is work that need not wait for the next tick."""
        ...

    def wake_at_ns(self) -> int | None:
        """When `catch_up` must be called even if nothing waits now, such as before a buffer overflows. *Absent:* it need not."""
        ...

    def catch_up(self, until_ns: int) -> None:
        """Some of it, between two ticks, until about this instant."""
        ...

    def interests(self) -> tuple[Interest, ...]:
        """The descriptors to wait for between two ticks, for reading, each once; asked after every turn of the loop."""
        ...

    def on_readable(self, descriptor: int, now_ns: int) -> None:
        """One of them can be read, or has failed. It may have been closed earlier in the same turn. Rows wait for the next tick."""
        ...

    def sample(self, now_ns: int, wall_ns: int) -> Sample:
        """Measure once.

        *Raises:* OSError, UnreadableError only where nothing at all can be read; what can vanish or be refused is absent.
        """
        ...

    def on_steps(self, steps: frozenset[str]) -> None:
        """Leave out what these steps say from the next tick on (`agent.model.limit.LadderStep`), and nothing else; longer intervals
        are none of its business."""
        ...

    def rest(self) -> Sample:
        """At the end, before `close`: rows of what was gathered over several ticks and is in no sample yet."""
        ...

    def stats(self) -> dict[str, Any]:
        """Its statistics for `status` and /metrics: JSON values by name."""
        ...

    def close(self) -> None:
        """Give everything back."""
        ...


def _always(config: Config) -> bool:
    return True


class Sampler(Struct, frozen=True):
    """One sampler: its name is `sampler/<name>`, `open` makes its probe.

    `process`: it shares the process `sampler/<process>` with all samplers that say so; empty: it has one of its own. Samplers share
    one that are cheap, and whose reads cannot hang.
    `is_available` says whether this host has what it needs, asked where the switch says `auto`. `capacity` is how many ticks
    may wait for the writer; without it only their bytes are bounded. `statistics` say what of the probe's `stats` is a metric.
    `capabilities` are as in `workers.framework.declaration.Worker`. `steps` is what it can leave out when it costs too much, in
    this order; behind them it is switched off.
    """

    name: str
    about: str
    tables: tuple[Table, ...]
    files: tuple[str, ...]
    is_enabled: Switch | AutoSwitch
    interval: Duration
    further_settings: tuple[AnySetting, ...]
    open: Callable[[SamplerContext], Probe]
    is_available: Callable[[Config], bool] = _always
    capacity: Whole | None = None
    statistics: tuple[Statistic, ...] = ()
    capabilities: tuple[str, ...] = ()
    process: str = ""
    steps: tuple[LadderStep, ...] = (LadderStep.LONGER_INTERVAL, LadderStep.MUCH_LONGER_INTERVAL)

    @property
    def settings(self) -> tuple[AnySetting, ...]:
        """All its settings."""
        return (self.is_enabled, self.interval, *(() if self.capacity is None else (self.capacity,)), *self.further_settings)

    def is_wanted(self, config: Config) -> bool:
        """Whether its worker is to run on this host."""
        if isinstance(self.is_enabled, Switch):
            return config.of(self.is_enabled)
        word = config.of(self.is_enabled)
        return word == "true" or (word == "auto" and self.is_available(config))


def enabled_setting(name: str) -> Switch:
    """The switch that every sampler has."""
    return Switch(f"sampler.{name}.enabled", True, f"whether sampler/{name} runs")


def interval_setting(name: str, default_ns: int = 1 * S) -> Duration:
    """The interval that every sampler has."""
    return Duration(f"sampler.{name}.interval", default_ns, 50 * MS, 10 * MINUTE, f"how often sampler/{name} measures")


# A fifth of a core and 256 MiB: of samplers a tenth of that is used on a busy node.
SAMPLER_KIND = WorkerKind("sampler", start_order=50, cpu_limit=CPU_PER_CORE // 5, memory_limit=256 * MIB)
_TICKS = Statistic("evergauge_sampler_ticks_total", "counter", "Ticks taken.", ("ticks",))


def ticks_per_second(interval_ns: int) -> int:
    """*Range:* 1 for an interval of a second and more; else as many as begin in one."""
    return max(1, -(-S // interval_ns))


def sampler_workers(samplers: Iterable[Sampler]) -> list[Worker]:
    """One worker for each process: of samplers that share it, or of the one that has it for itself."""
    by_process: dict[tuple[str, bool], list[Sampler]] = {}
    for each in samplers:
        by_process.setdefault((each.process or each.name, bool(each.process)), []).append(each)
    return [
        _shared_worker(process, inside) if is_shared else sampler_worker(inside[0])
        for (process, is_shared), inside in by_process.items()
    ]


def sampler_worker(sampler: Sampler) -> Worker:
    """The worker `sampler/<name>`, or the member of this name."""
    return Worker(
        name=f"sampler/{sampler.name}",
        kind=SAMPLER_KIND,
        make=lambda context: _make_work(sampler, context),
        # The module of the sampler itself is loaded by its discovery.
        preload=("workers.framework.sampler_work",),
        is_wanted=sampler.is_wanted,
        tables=sampler.tables,
        settings=sampler.settings,
        statistics=(_TICKS, *sampler.statistics),
        capabilities=sampler.capabilities,
        ladder=Ladder(sampler.steps, is_dispensable=True),
        cpu_factor=lambda config: ticks_per_second(config.of(sampler.interval)),
    )


def _shared_worker(process: str, samplers: Sequence[Sampler]) -> Worker:
    """The worker `sampler/<process>` of all samplers that share it."""
    members = tuple(map(sampler_worker, samplers))

    def make(context: WorkerContext) -> Work:
        from workers.framework.member_context import MemberContext
        from workers.framework.shared_work import SharedWork

        wanted = [each for each in samplers if each.is_wanted(context.launch.config)]
        names = [f"sampler/{each.name}" for each in wanted]
        works = {name: _make_work(each, MemberContext(context, name)) for name, each in zip(names, wanted, strict=True)}
        return SharedWork(context.clock, works)

    return Worker(
        name=f"sampler/{process}",
        kind=SAMPLER_KIND,
        make=make,
        preload=("workers.framework.sampler_work", "workers.framework.member_context", "workers.framework.shared_work"),
        is_wanted=lambda config: any(each.is_wanted(config) for each in members),
        tables=tuple(table for each in members for table in each.tables),
        settings=tuple(setting for each in members for setting in each.settings),
        members=members,
        cpu_factor=lambda config: max(ticks_per_second(config.of(each.interval)) for each in samplers if each.is_wanted(config)),
        # What any of them can leave out; each does what concerns it.
        ladder=Ladder(tuple(dict.fromkeys(step for each in samplers for step in each.steps)), is_dispensable=True),
    )


def _make_work(sampler: Sampler, context: WorkerContext) -> "SamplerWork":
    from workers.framework.sampler_work import SamplerWork

    config = context.launch.config
    outbox = context.outbox(None if sampler.capacity is None else config.of(sampler.capacity))
    probe = sampler.open(SamplerContext(config, context.clock, context.bus, context.tree, context.heartbeat))
    return SamplerWork(sampler, probe, context.clock, outbox, context.bus, config)
