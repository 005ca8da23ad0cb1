"""The composition root: the supervisor's parts, made from the configuration and put together. Imported when all checks have
passed: a refused start pays for none of it."""

import gc
import os
import random
from collections.abc import Callable, Sequence
from typing import NamedTuple

import agent
from agent.clock import SystemClock
from agent.config import (
    BACKOFF_BASE,
    BACKOFF_CEILING,
    BACKOFF_FACTOR,
    BACKOFF_JITTER,
    BUFFER_BYTES,
    BUS_SOCKET,
    CONTROL_SOCKET,
    DATA_SOCKET,
    HANG_TIMEOUT,
    HEARTBEAT_INTERVAL,
    HOST_NAME,
    LOG_FORMAT,
    LOG_LEVEL,
    PLACES,
    RUNTIME_DIR,
    STABLE_PERIOD,
    START_TIMEOUT,
    STATE_DIR,
    STOP_TIMEOUT,
    Config,
    reader_gid,
    service_variables,
)
from agent.daemon.banner_printer import BannerPrinter, how_to_end
from agent.daemon.settings_source import SettingsReader, SettingsSource
from agent.daemon.takeover import make_launcher, remove_remains, take_over_previous, takeover_fingerprint
from agent.daemon.text_output import TextOutput
from agent.launch import Launch, encode_launch
from agent.limit_setting import CPU_LIMIT, DESCRIPTOR_LIMIT, GOVERNOR_ENABLED, MEMORY_LIMIT, QUEUE_LIMIT
from agent.model.backoff import Backoff
from agent.model.limit import Ladder, WorkerLimits
from agent.model.message import Identity
from agent.model.worker_kind import WorkerKind
from agent.setting import AUTO_BYTES, AUTO_PERCENT
from agent.worker_set import WorkerSet
from supervisor.core.authority import Authority
from supervisor.core.child import Child, Policy
from supervisor.core.effect import Log
from supervisor.core.event_history import event_of
from supervisor.core.governance import Governance, WorkerBudget
from supervisor.core.machine import Machine
from supervisor.core.report import About
from supervisor.core.supervisor_state import SupervisorState
from supervisor.shell.bus import BusRouter
from supervisor.shell.control_listener import Readers
from supervisor.shell.limits_store import load_limits
from supervisor.shell.lock import FolderLock
from supervisor.shell.log import EventLog
from supervisor.shell.loop import LoopParts, SupervisorLoop
from supervisor.shell.rules_store import RulesStore, load_rulebook
from supervisor.shell.service_manager import ServiceManager

# A pod gets seven or more variables for each service; a few show where they come from.
IGNORED_NAMES_MAX = 8


def policy_of(config: Config, worker: str = "") -> Policy:
    """The supervisor's times, for one worker or (no name) for those without times of their own."""
    return Policy(
        heartbeat_interval_ns=config.of(HEARTBEAT_INTERVAL),
        hang_timeout_ns=config.of_worker(HANG_TIMEOUT, worker),
        start_timeout_ns=config.of_worker(START_TIMEOUT, worker),
        stop_timeout_ns=config.of_worker(STOP_TIMEOUT, worker),
        stable_period_ns=config.of_worker(STABLE_PERIOD, worker),
        backoff=Backoff(
            base_ns=config.of_worker(BACKOFF_BASE, worker),
            factor=config.of_worker(BACKOFF_FACTOR, worker),
            ceiling_ns=config.of_worker(BACKOFF_CEILING, worker),
            jitter_percent=config.of_worker(BACKOFF_JITTER, worker),
        ),
    )


class Resources(NamedTuple):
    """What an agent holds before it is wired: the locks of its folders and sockets, its outputs for people (one where standard
    output and error are the same file), and the path of the takeover record of the last agent of this state folder."""

    locks: Sequence[FolderLock]
    out: TextOutput
    err: TextOutput
    previous_record: str = ""


class Reading(NamedTuple):
    """How the settings are read again while the agent runs, and which workers they want. *Raises:* each EvergaugeError, OSError."""

    load: Callable[[], Config]
    worker_set_of: Callable[[Config], WorkerSet]


def resources(locks: Sequence[FolderLock], *, previous_record: str) -> Resources:
    """These locks and this process's own streams. *Raises:* OSError."""
    err = TextOutput(2)
    # Two threads that write to one terminal would change the order of the lines.
    return Resources(locks, err if os.path.sameopenfile(1, 2) else TextOutput(1), err, previous_record)


def wire(config: Config, worker_set: WorkerSet, held: Resources, reading: Reading, *, for_ns: int | None) -> SupervisorLoop:
    """The whole agent, ready to run.

    *Raises:* EvergaugeError when a folder or socket cannot be used, OSError.
    """
    clock = SystemClock()
    started_at_ns = clock.now_ns()
    ended_by = how_to_end(os.environ)
    # Before anything is started: its variables are for this process alone.
    service_manager = ServiceManager(os.environ)
    log = EventLog(clock, level=config.of(LOG_LEVEL), form=config.of(LOG_FORMAT), output=held.err)
    taken_over = take_over_previous(config, worker_set, held.previous_record, log.note_killed)
    remove_remains(config, taken_over)
    run = os.urandom(8).hex() if taken_over is None else taken_over.run
    if taken_over is None:
        _import_for_workers(config)
    # As early as possible: before there is any other thread, and the workers start while everything else is made.
    launcher = make_launcher(config, worker_set, taken_over, run=run, on_killed=log.note_killed)
    about = _about(config, run, clock, started_at_ns)
    state = _state(config, worker_set, about, log, clock)
    bus = BusRouter(config.of(BUS_SOCKET), run)

    def on_applied(applied: Config, workers: WorkerSet) -> None:
        # First where the next supervisor looks: one that finds other settings than its own would end all workers.
        launcher.change_record(takeover_fingerprint(applied, workers), workers.kinds)
        log.set_form(applied.of(LOG_LEVEL), applied.of(LOG_FORMAT))

    reader = SettingsReader(reading.load, reading.worker_set_of, _child_maker(), policy_of, budgets_of)
    settings = SettingsSource(config, worker_set, reader, on_applied)
    banner = BannerPrinter(config, about, clock, held.out, is_shared=held.out is held.err, ended_by=ended_by, for_ns=for_ns)
    return SupervisorLoop(
        LoopParts(
            machine=Machine(state, policy_of(config), _governance(config, worker_set, state, log, clock)),
            clock=clock,
            log=log,
            launcher=launcher,
            rules_store=RulesStore(about.state_dir),
            bus=bus,
            control_path=config.of(CONTROL_SOCKET),
            make_order=lambda child, epoch: _order(settings.config, about, state.children[child], epoch),
            settings=settings,
            on_settled=banner.on_settled,
            service_manager=service_manager,
            locks=held.locks,
            data_path=config.of(DATA_SOCKET),
            taken_over=taken_over,
            readers=_readers(config),
        )
    )


def _import_for_workers(config: Config) -> None:
    """Import what every worker needs, here and now: the fork server is a fork of this process and shares it.

    What is frozen is never looked at by a collector again, here or there: so its pages stay shared.
    """
    from workers import registry
    from workers.runtime import worker_main  # noqa: F401  it is what a worker begins with

    registry.preload(config)
    gc.collect()
    gc.freeze()


def _about(config: Config, run: str, clock: SystemClock, started_at_ns: int) -> About:
    return About(
        version=agent.__version__,
        run=run,
        host=config.of(HOST_NAME),
        pid=os.getpid(),
        state_dir=config.of(STATE_DIR),
        runtime_dir=config.of(RUNTIME_DIR),
        started_at_ns=started_at_ns,
        wall_offset_ns=clock.wall_ns() - started_at_ns,
        places={setting.key: config.of(setting) for setting in PLACES},
    )


def _state(config: Config, worker_set: WorkerSet, about: About, log: EventLog, clock: SystemClock) -> SupervisorState:
    """The supervisor's state at its start, with the rules from the disk; what is remarkable is logged. *Raises:* StorageError."""
    book, damage = load_rulebook(config.of(STATE_DIR), clock.wall_ns())
    seed = int.from_bytes(os.urandom(8), "big")
    rng = random.Random(seed)
    make_child = _child_maker(rng)
    children = [make_child(name, config, worker_set) for name in worker_set.kinds]
    state = SupervisorState(about, children, Authority(book, first_sequence=about.started_at_ns))
    lines = [Log("starting", "info", {"version": about.version, "run": about.run, "pid": about.pid, "seed": seed})]
    if ignored := service_variables(os.environ):
        # Told once, so that a setting of such a name that has no effect can be explained.
        names = ", ".join(ignored[:IGNORED_NAMES_MAX])
        lines.append(Log("environment_ignored", "info", {"variables": len(ignored), "names": names}))
    # It stands until the agent is started again with the rules mended: the operator's rules are not in force.
    if damage and (begun := state.history.begin_own("rules_set_aside", damage, about.started_at_ns)) is not None:
        lines.append(begun.log())
    for line in lines:
        _tell(line, state, log, about.started_at_ns)
    return state


def _tell(line: Log, state: SupervisorState, log: EventLog, at_ns: int) -> None:
    """Before there is a machine: into the log and the history."""
    log.write(line.kind, line.severity, line.fields)
    state.history.note(event_of(line, at_ns))


def _child_maker(rng: random.Random | None = None) -> Callable[[str, Config, WorkerSet], Child]:
    chance = rng or random.Random(int.from_bytes(os.urandom(8), "big"))

    def make(name: str, config: Config, worker_set: WorkerSet) -> Child:
        members, asleep_why = worker_set.members.get(name, ()), worker_set.asleep.get(name, "")
        return Child(name, worker_set.kinds[name], policy_of(config, name), chance, members, asleep_why=asleep_why)

    return make


def budgets_of(config: Config, worker_set: WorkerSet) -> dict[str, WorkerBudget]:
    """What each worker may use by the settings, and what it can leave out."""
    factors, ladders = worker_set.cpu_factors, worker_set.ladders
    return {
        name: WorkerBudget(_limits_of(config, name, kind, factors.get(name, 1)), ladders.get(name, Ladder()))
        for name, kind in worker_set.kinds.items()
    }


def _limits_of(config: Config, worker: str, kind: WorkerKind, cpu_factor: int) -> WorkerLimits:
    cpu, memory = config.of_worker(CPU_LIMIT, worker), config.of_worker(MEMORY_LIMIT, worker)
    queue = config.of_worker(QUEUE_LIMIT, worker)
    return WorkerLimits(
        cpu=kind.cpu_limit * cpu_factor if cpu == AUTO_PERCENT else cpu,
        memory=kind.memory_limit if memory == AUTO_BYTES else memory,
        descriptors=config.of_worker(DESCRIPTOR_LIMIT, worker),
        queue=config.of(BUFFER_BYTES) * 4 // 5 if queue == AUTO_BYTES else queue,
    )


def _governance(config: Config, worker_set: WorkerSet, state: SupervisorState, log: EventLog, clock: SystemClock) -> Governance:
    """The limits of all workers, with what the operator has set. *Raises:* StorageError."""
    changed, damage = load_limits(config.of(STATE_DIR), clock.wall_ns())
    now_ns = clock.now_ns()
    if damage and (begun := state.history.begin_own("limits_set_aside", damage, now_ns)) is not None:
        _tell(begun.log(), state, log, now_ns)
    return Governance(state.history, budgets_of(config, worker_set), changed, is_enabled=config.of(GOVERNOR_ENABLED))


def _readers(config: Config) -> Readers | None:
    gid, folder = reader_gid(config), config.of(RUNTIME_DIR)
    if gid is None:
        return None
    return Readers(gid, folder if os.path.dirname(config.of(CONTROL_SOCKET)) == folder else "")


def _order(config: Config, about: About, child: Child, epoch: int) -> bytes:
    """What a new worker is told: which worker it is, everything that this one needs, and how its generations before ended."""
    launch = Launch(
        identity=Identity(about.run, child.name, epoch),
        kind=child.kind.name,
        bus_path=config.of(BUS_SOCKET),
        data_path=config.of(DATA_SOCKET),
        state_dir=about.state_dir,
        host=about.host,
        agent_version=about.version,
        config=config,
        endings=tuple(child.endings),
    )
    return encode_launch(launch)
