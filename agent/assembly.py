"""The composition root: which workers there are, with which settings, over which sockets. Imported once all checks have passed."""

import os
import random
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

import agent
from agent.clock import SystemClock
from agent.config import (
    BACKOFF_BASE,
    BACKOFF_CEILING,
    BACKOFF_FACTOR,
    BACKOFF_JITTER,
    BUS_SOCKET,
    CONTROL_PLANE_INTERVAL,
    CONTROL_SOCKET,
    DATA_SOCKET,
    GATEWAY_ADDRESS,
    HANG_TIMEOUT,
    HEARTBEAT_INTERVAL,
    HOST_NAME,
    LOG_FORMAT,
    LOG_LEVEL,
    ORPHAN_GRACE,
    RUNTIME_DIR,
    SEAL_INTERVAL,
    SPARE_WORKERS,
    STABLE_SPELL,
    START_TIMEOUT,
    STATE_DIR,
    STOP_TIMEOUT,
    Config,
)
from agent.doctor import examine
from agent.greeting import greeting
from agent.launch import Launch, encode_launch
from agent.model.checksum import blake2b
from agent.model.message import Condition, Identity
from agent.model.timebase import format_duration
from agent.paths import default_runtime_dir, fork_server_dir
from agent.paths import ledger as ledger_path
from supervisor.core.authority import Authority
from supervisor.core.backoff import Backoff
from supervisor.core.child import Child, Policy
from supervisor.core.diary import DiagnosticEvent
from supervisor.core.fleet import Fleet
from supervisor.core.machine import Machine
from supervisor.core.report import About
from supervisor.shell.bus import Bus
from supervisor.shell.journal import Journal, load_rulebook
from supervisor.shell.launcher import Birthplace, Launcher
from supervisor.shell.ledger import Ledger, boot_id, read_ledger
from supervisor.shell.log import EventLog
from supervisor.shell.loop import SupervisorLoop
from supervisor.shell.service_manager import ServiceManager
from supervisor.shell.takeover import Former, take_over
from workers import catalogue


@dataclass(frozen=True, slots=True)
class Workforce:
    """Which workers there are and where their processes begin.

    `kinds` maps name to kind in the order of their start; they are stopped in the reverse order. `entry` is the
    `module:function` that a new process calls, `preload` what the fork server imports for all of them.
    """

    kinds: Mapping[str, str]
    entry: str = "workers.runtime.worker_main:run_worker"
    preload: Sequence[str] = ("workers.runtime.preload",)


def agent_workforce(config: Config) -> Workforce:
    """The agent's own workers. The writer starts first and so stops last: what the others say at their end is stored."""
    kinds = {"writer": "writer", "control-plane": "control-plane"}
    kinds |= {f"sampler/{each.name}": "sampler" for each in catalogue.all_samplers() if config.of(each.is_enabled)}
    if config.of(GATEWAY_ADDRESS):
        kinds["gateway"] = "gateway"
    return Workforce(kinds)


def policy_of(config: Config, worker: str = "") -> Policy:
    """The supervisor's times, for one worker or (no name) for those without times of their own."""
    return Policy(
        heartbeat_interval_ns=config.of(HEARTBEAT_INTERVAL),
        hang_timeout_ns=config.of_worker(HANG_TIMEOUT, worker),
        start_timeout_ns=config.of_worker(START_TIMEOUT, worker),
        stop_timeout_ns=config.of_worker(STOP_TIMEOUT, worker),
        stable_spell_ns=config.of_worker(STABLE_SPELL, worker),
        backoff=Backoff(
            base_ns=config.of_worker(BACKOFF_BASE, worker),
            factor=config.of_worker(BACKOFF_FACTOR, worker),
            ceiling_ns=config.of_worker(BACKOFF_CEILING, worker),
            jitter_percent=config.of_worker(BACKOFF_JITTER, worker),
        ),
    )


def assemble(config: Config, workforce: Workforce, *, for_ns: int | None, former_ledger: str = "") -> SupervisorLoop:
    """The whole agent, ready to run; `former_ledger` is that of the last agent of this state folder.

    *Raises:* EvergaugeError when a folder or socket cannot be used.
    """
    clock = SystemClock()
    started_at_ns = clock.now_ns()
    # Before anything is started: its variables are for this process alone.
    service_manager = ServiceManager(os.environ)
    log = EventLog(clock, level=config.of(LOG_LEVEL), form=config.of(LOG_FORMAT))
    former = _take_over(config, workforce, former_ledger)
    remove_sockets(config, former=former)
    run = os.urandom(8).hex() if former is None else former.run
    # First of all: the fork server imports while everything else is made.
    launcher = _make_launcher(config, workforce, clock, former, run=run)
    seed = int.from_bytes(os.urandom(8), "big")
    about = About(
        version=agent.__version__,
        run=run,
        host=config.of(HOST_NAME),
        pid=os.getpid(),
        state_dir=config.of(STATE_DIR),
        runtime_dir=config.of(RUNTIME_DIR),
        started_at_ns=started_at_ns,
        wall_offset_ns=clock.wall_ns() - started_at_ns,
    )
    book, damage = load_rulebook(config.of(STATE_DIR), clock.wall_ns())
    policy = policy_of(config)
    rng = random.Random(seed)
    kinds = workforce.kinds
    children = [Child(name, kind, policy_of(config, name), rng) for name, kind in kinds.items()]
    fleet = Fleet(about, children, Authority(book, first_sequence=started_at_ns))
    log.write("starting", "info", {"version": about.version, "run": run, "pid": about.pid, "seed": seed})
    if damage:
        log.write("rules_set_aside", "error", {"problem": damage})
        fleet.diary.note(DiagnosticEvent(started_at_ns, "rules_set_aside", "error", "", {"problem": damage}))
        # It stands until the agent is started again with the rules mended: the operator's rules are not in force.
        fleet.diary.set_condition("supervisor", Condition("rules_set_aside", active=True, detail=damage))
    bus = Bus(config.of(BUS_SOCKET), run)

    def make_order(child: str, epoch: int) -> bytes:
        identity = Identity(run, child, epoch)
        return encode_launch(
            Launch(
                identity=identity,
                kind=kinds[child],
                bus_path=config.of(BUS_SOCKET),
                data_path=config.of(DATA_SOCKET),
                state_dir=about.state_dir,
                host=about.host,
                agent_version=about.version,
                config=config,
            )
        )

    def on_settled(reasons: tuple[str, ...]) -> int | None:
        now_ns = clock.now_ns()
        _greet(config, about, reasons, took_ns=now_ns - started_at_ns)
        return None if for_ns is None else now_ns + for_ns

    return SupervisorLoop(
        machine=Machine(fleet, policy),
        clock=clock,
        log=log,
        launcher=launcher,
        journal=Journal(about.state_dir),
        bus=bus,
        control_path=config.of(CONTROL_SOCKET),
        make_order=make_order,
        on_settled=on_settled,
        service_manager=service_manager,
        former=former,
    )


def _take_over(config: Config, workforce: Workforce, former_ledger: str) -> Former | None:
    """What a supervisor that was killed left in this runtime folder, if it fits; what does not fit is ended."""
    own = ledger_path(config.of(RUNTIME_DIR))
    if former_ledger not in ("", own) and (elsewhere := read_ledger(former_ledger)) is not None:
        # Its sockets are not ours: nothing of it can fit.
        take_over(elsewhere, boot_id=boot_id(), fingerprint=b"", names=frozenset())
    record = read_ledger(own)
    if record is None:
        return None
    return take_over(record, boot_id=boot_id(), fingerprint=_fingerprint(config, workforce), names=frozenset(workforce.kinds))


def _make_launcher(config: Config, workforce: Workforce, clock: SystemClock, former: Former | None, *, run: str) -> Launcher:
    folder = fork_server_dir(config.of(RUNTIME_DIR))
    os.makedirs(folder, mode=0o700, exist_ok=True)
    ledger = Ledger(
        ledger_path(config.of(RUNTIME_DIR)),
        boot_id=boot_id(),
        run=run,
        fingerprint=_fingerprint(config, workforce),
        epochs=dict.fromkeys(workforce.kinds, 0) if former is None else former.epochs,
        server=None if former is None else former.server,
    )
    place = Birthplace(run, workforce.entry, workforce.preload, folder, config.of(ORPHAN_GRACE), config.of(SPARE_WORKERS))
    return Launcher(place, ledger, clock, former=former, is_alone=True)


def _fingerprint(config: Config, workforce: Workforce) -> bytes:
    """What must be the same for workers to be taken over: the version, where the code is, the workers, every setting."""
    what = [
        agent.__version__,
        agent.__file__,
        sys.version,
        workforce.entry,
        list(workforce.kinds.items()),
        sorted(config.values.items()),
    ]
    return blake2b(msgspec.json.encode(what), digest_size=32).digest()


def remove_sockets(config: Config, *, former: Former | None = None) -> None:
    """Remove what sockets leave in the file system: our own at the end, those of an agent that was killed at the start.

    The runtime folder is locked, so no living agent's can be among them; the sockets of a `former` one's workers stay.
    """
    folder = fork_server_dir(config.of(RUNTIME_DIR))
    names = os.listdir(folder) if os.path.isdir(folder) else []
    paths = [*(os.path.join(folder, name) for name in names), config.of(BUS_SOCKET), config.of(DATA_SOCKET)]
    kept = () if former is None else (former.server.address, config.of(DATA_SOCKET))
    for path in paths:
        if path not in kept and os.path.lexists(path):
            os.unlink(path)
    if former is None and os.path.isdir(folder):
        os.rmdir(folder)


def _agentctl(config: Config) -> str:
    """How agentctl is called for this agent: beside the program that was started, since a checkout's environment is on
    nobody's PATH, and with the runtime folder where that is not the default."""
    words = [os.path.join(os.path.dirname(sys.argv[0]), "agentctl")]
    if config.of(RUNTIME_DIR) != os.path.abspath(default_runtime_dir(os.environ)):
        words += ["--runtime-dir", config.of(RUNTIME_DIR)]
    return shlex.join(words)


def _greet(config: Config, about: About, reasons: tuple[str, ...], *, took_ns: int) -> None:
    """The few lines of a start in the foreground: what is measured, what is not and why, where the data goes."""
    pods = f"pods, services and scopes of the cgroup tree, every {format_duration(config.of(CONTROL_PLANE_INTERVAL))}"
    samplers = [
        f"{each.about}, every {format_duration(config.of(each.interval))}"
        for each in catalogue.all_samplers()
        if config.of(each.is_enabled)
    ]
    text = greeting(
        version=about.version,
        host=about.host,
        measured=[*samplers, pods],
        findings=examine(config, state_dir=about.state_dir, with_packages=False),
        data_dir=os.path.join(about.state_dir, "data"),
        seal_interval_ns=config.of(SEAL_INTERVAL),
        agentctl=_agentctl(config),
        reasons=reasons,
        took_ns=took_ns,
    )
    try:
        print(text, flush=True)
    except (OSError, ValueError):
        # Nobody reads: the agent measures all the same.
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115  it stays open as long as the process
