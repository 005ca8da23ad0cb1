"""The composition root: which workers there are, with which settings, over which sockets. Imported once all checks have passed."""

import os
import random
import shlex
import sys

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
    HANG_TIMEOUT,
    HEARTBEAT_INTERVAL,
    HOST_NAME,
    LOG_FORMAT,
    LOG_LEVEL,
    PLACES,
    RUNTIME_DIR,
    SEAL_INTERVAL,
    STABLE_SPELL,
    START_TIMEOUT,
    STATE_DIR,
    STOP_TIMEOUT,
    STORAGE_QUOTA,
    Config,
    service_variables,
)
from agent.doctor import examine
from agent.greeting import greeting
from agent.inheritance import find_former, make_launcher, remove_remains
from agent.launch import Launch, encode_launch
from agent.model.message import Condition, Identity
from agent.model.timebase import format_duration
from agent.paths import default_runtime_dir
from agent.workforce import Workforce
from supervisor.core.authority import Authority
from supervisor.core.backoff import Backoff
from supervisor.core.child import Child, Policy
from supervisor.core.diary import DiagnosticEvent
from supervisor.core.fleet import Fleet
from supervisor.core.machine import Machine
from supervisor.core.report import About
from supervisor.shell.bus import Bus
from supervisor.shell.journal import Journal, load_rulebook
from supervisor.shell.log import EventLog
from supervisor.shell.loop import SupervisorLoop
from supervisor.shell.service_manager import ServiceManager
from workers import catalogue

# A pod gets seven or more variables for each service; a few tell where they come from.
IGNORED_NAMES_MAX = 8


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
    former = find_former(config, workforce, former_ledger)
    remove_remains(config, former)
    run = os.urandom(8).hex() if former is None else former.run
    # First of all: the fork server imports while everything else is made.
    launcher = make_launcher(config, workforce, clock, former, run=run)
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
        places={setting.key: config.of(setting) for setting in PLACES},
    )
    book, damage = load_rulebook(config.of(STATE_DIR), clock.wall_ns())
    policy = policy_of(config)
    rng = random.Random(seed)
    kinds = workforce.kinds
    children = [Child(name, kind, policy_of(config, name), rng) for name, kind in kinds.items()]
    fleet = Fleet(about, children, Authority(book, first_sequence=started_at_ns))
    log.write("starting", "info", {"version": about.version, "run": run, "pid": about.pid, "seed": seed})
    if ignored := service_variables(os.environ):
        # Said once, so that a setting of such a name that has no effect can be explained.
        log.write("environment_ignored", "info", {"variables": len(ignored), "names": ", ".join(ignored[:IGNORED_NAMES_MAX])})
    if damage:
        log.write("rules_set_aside", "error", {"problem": damage})
        fleet.diary.note(DiagnosticEvent(started_at_ns, "rules_set_aside", "error", "", {"problem": damage}))
        # It stands until the agent is started again with the rules mended: the operator's rules are not in force.
        fleet.diary.set_condition("supervisor", Condition("rules_set_aside", active=True, detail=damage))
    bus = Bus(config.of(BUS_SOCKET), run)

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
        make_order=lambda child, epoch: _order(config, about, child, kinds[child], epoch),
        on_settled=on_settled,
        service_manager=service_manager,
        former=former,
    )


def _order(config: Config, about: About, child: str, kind: str, epoch: int) -> bytes:
    """What a newborn is told: which worker it is, and everything that this one needs."""
    launch = Launch(
        identity=Identity(about.run, child, epoch),
        kind=kind,
        bus_path=config.of(BUS_SOCKET),
        data_path=config.of(DATA_SOCKET),
        state_dir=about.state_dir,
        host=about.host,
        agent_version=about.version,
        config=config,
    )
    return encode_launch(launch)


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
        if each.is_wanted(config)
    ]
    text = greeting(
        version=about.version,
        host=about.host,
        measured=[*samplers, pods],
        findings=examine(config, state_dir=about.state_dir, with_packages=False, with_others=False),
        data_dir=os.path.join(about.state_dir, "data"),
        seal_interval_ns=config.of(SEAL_INTERVAL),
        quota=config.show(STORAGE_QUOTA) if config.of(STORAGE_QUOTA) else "",
        agentctl=_agentctl(config),
        reasons=reasons,
        took_ns=took_ns,
    )
    try:
        print(text, flush=True)
    except (OSError, ValueError):
        # Nobody reads: the agent measures all the same.
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115  it stays open as long as the process
