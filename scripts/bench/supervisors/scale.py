"""What is measured with fifty children below one supervisor: all killed at once, idleness, and the command that shows them."""

import os
import signal
import statistics
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass

from harness import proc

from supervisors import ours
from supervisors.child_starts import SupervisorFailed
from supervisors.figures import Check, Row, Section, percentile
from supervisors.kill import all_variants
from supervisors.poller import Poller
from supervisors.rival import Bench, Rival, Variant, outer_environment, running

CHILDREN = 50
FEW = 5
RULES = 100
SWEPT_SECONDS_MAX = 60.0
OWN = "evergauge, own workers"
TINY = "evergauge"


@dataclass(slots=True)
class Sections:
    """The three lines."""

    sweep: Section
    idle: Section
    command: Section


def measure(bench: Bench) -> list[Section]:
    """The lines of these three that are wanted, all of one supervisor before the next one is started."""
    sections = Sections(
        Section("sweep", "50 killed at once: until all 50 run again, or are ready with 100 rules each (own workers)"),
        Section("idle", "idle, 50 children: context switches of all threads of the supervisor's processes, CPU, memory", unit=""),
        Section("command", "the whole command that shows what runs, as an operator waits for it"),
    )
    wanted = {line: line in bench.options.only for line in ("sweep", "idle", "command")}
    own = Variant(OWN, "", lambda bench, count: ours.Agent(bench, count, is_own=True, rules=RULES), pause_seconds=ours.LOOKED_AT)
    best = {variant.title.split(",")[0]: variant for variant in reversed(all_variants(bench))}
    for variant in [own, *all_variants(bench)]:
        if bench.options.is_thorough or variant is own or variant in best.values():
            _measure_variant(bench, variant, sections, wanted)
    if wanted["command"]:
        _add_few(bench, sections.command)
    if wanted["idle"]:
        _judge_idle(sections.idle)
    return [getattr(sections, line) for line, is_wanted in wanted.items() if is_wanted]


def _measure_variant(bench: Bench, variant: Variant, sections: Sections, wanted: dict[str, bool]) -> None:
    """A supervisor with other settings does nothing else when it is idle, nor when it is asked: only once per kind."""
    is_first = not any(row.who.split(",")[0] == variant.title.split(",")[0] for row in sections.command.rows)
    asks = wanted["command"] and is_first
    # Idle workers of evergauge are its own: the tiny child does not beat, and is not looked at.
    idles = wanted["idle"] and variant.title != TINY and "reserve" not in variant.title and "without" not in variant.title
    if not (wanted["sweep"] or asks or idles):
        return
    bench.say(f"scale: {variant.title}")
    rival = variant.make(bench, CHILDREN)
    try:
        with running([rival]):
            if idles:
                bench.starts.rest(bench.options.settle_seconds)
                sections.idle.rows.append(_idle(bench, variant.title, rival))
            if asks:
                sections.command.rows.append(_commands(bench, variant.title, rival))
            if wanted["sweep"] and "reserve" not in variant.title:
                _sweep(bench, variant, rival, sections.sweep)
    except SupervisorFailed as failure:
        for line, is_wanted in wanted.items():
            if is_wanted:
                getattr(sections, line).rows.append(Row(variant.title, note=str(failure)))


# ---- all killed at once ----------------------------------------------------------------------------


def _sweep(bench: Bench, variant: Variant, rival: Rival, section: Section) -> None:
    rounds = max(2, bench.options.sweeps // (2 if variant.is_slow else 1))
    is_own = variant.title == OWN
    poller = Poller(rival.runtime_dir / "control.sock") if is_own and isinstance(rival, ours.Agent) else None
    each_ms: list[float] = []
    all_ms: list[float] = []
    spans: list[tuple[int, int]] = []
    try:
        for _ in range(rounds):
            begun_ns = _kill_all(bench, variant, rival)
            starts = list(rival.living.values())
            each_ms += [(start.at_ns - begun_ns) / 1e6 for start in starts]
            all_ms.append(max(each_ms[-len(starts) :]))
            spans.append((begun_ns, max(start.at_ns for start in starts)))
            for start in starts:
                rival.on_restarted(start)
    finally:
        answers = poller.stop() if poller else []
    values = {"one_p50": percentile(each_ms, 50), "one_p99": percentile(each_ms, 99)}
    section.rows.append(Row(variant.title, values=values, samples=all_ms))
    if is_own:
        meanwhile = [taken_ms for at_ns, taken_ms in answers if any(begun <= at_ns <= ended for begun, ended in spans)]
        section.rows.append(Row("  list-workers meanwhile", samples=meanwhile))
        section.checks = [
            Check("all ready, longest", max(all_ms), "ms", 1000, 250),
            Check("control answers meanwhile, p99", percentile(meanwhile, 99), "ms", None, 20),
        ]
        section.remarks = [
            f"n: sweeps, each of {CHILDREN} deaths; one_p50, one_p99: of the single replacements",
            "meanwhile: a client asks for list-workers every 5 ms; what it asks between the kill and the last one ready counts",
        ]


def _kill_all(bench: Bench, variant: Variant, rival: Rival) -> int:
    """Kill all children at a random moment when all are healthy; gives when. They are back at the return."""
    youngest_ns = max(start.at_ns for start in rival.living.values())
    healthy_seconds = variant.healthy_seconds - (time.monotonic_ns() - youngest_ns) / 1e9
    bench.starts.rest(max(0.0, healthy_seconds) + bench.rng.uniform(*variant.pause_seconds))
    victims = list(rival.living)
    rival.living.clear()
    begun_ns = time.monotonic_ns()
    for pid in victims:
        os.kill(pid, signal.SIGKILL)
    bench.starts.wait_until(lambda: len(rival.living) >= rival.count, "all are back", seconds=SWEPT_SECONDS_MAX)
    return begun_ns


# ---- idle ------------------------------------------------------------------------------------------


def _idle(bench: Bench, title: str, rival: Rival) -> Row:
    supervisors, children = rival.supervisors(), list(rival.living)
    before, below = proc.activity(supervisors), proc.activity(children)
    begun_ns = time.monotonic_ns()
    bench.starts.rest(bench.options.idle_seconds)
    seconds = (time.monotonic_ns() - begun_ns) / 1e9
    after, below_after = proc.activity(supervisors), proc.activity(children)
    memory = [proc.memory(pid) for pid in supervisors]
    values = {
        "processes": len(supervisors),
        "wakeups/s": (after.switches - before.switches) / seconds,
        "cpu_%": (after.cpu_ns - before.cpu_ns) / seconds / 1e7,
        "pss_MiB": sum(each.pss_bytes for each in memory) / proc.MIB,
    }
    if title == OWN:
        values |= {
            "worker_private_MiB": statistics.median(proc.memory(pid).private_bytes for pid in children) / proc.MIB,
            "workers_wakeups/s": (below_after.switches - below.switches) / seconds,
            "workers_cpu_%": (below_after.cpu_ns - below.cpu_ns) / seconds / 1e7,
        }
        names = {supervisors[0]: "supervisor", supervisors[1]: "fork server"}
        parts = [
            f"{names.get(pid, 'in reserve')} {part.pss_bytes / proc.MIB:.1f}" for pid, part in zip(supervisors, memory, strict=True)
        ]
        return Row(title, values=values, note=f"PSS by process: {', '.join(parts)}")
    return Row(title, values=values)


def _judge_idle(section: Section) -> None:
    (own,) = [row.values for row in section.rows if row.who == OWN]
    section.checks = [
        Check("wake-ups per second", _number(own["wakeups/s"]), "", 5, None),
        Check("CPU", _number(own["cpu_%"]), "%", 0.5, 0.2),
        Check("supervisor and fork server, PSS", _number(own["pss_MiB"]), "MiB", None, 24),
        Check("private memory of a worker, median", _number(own["worker_private_MiB"]), "MiB", None, 4),
    ]
    section.remarks = [
        "evergauge's workers beat four times a second and are looked at; the tiny child of the others does nothing at all",
        "PSS shares a page among all that map it: Python supervisors share the interpreter's file with the benchmark itself",
    ]


def _number(value: object) -> float:
    assert isinstance(value, int | float)
    return float(value)


# ---- the command -----------------------------------------------------------------------------------


def _commands(bench: Bench, title: str, rival: Rival) -> Row:
    command = rival.status_command()
    environment = {**outer_environment(), **rival.status_environment()}
    pipe = subprocess.PIPE
    taken_ms = []
    for _ in range(bench.options.samples):
        begun_ns = time.monotonic_ns()
        done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, check=False)
        taken_ms.append((time.monotonic_ns() - begun_ns) / 1e6)
        if done.returncode != 0 or not done.stdout:
            said = (done.stdout + done.stderr).decode(errors="replace").strip()
            return Row(f"{title}, {rival.count}", note=f"{' '.join(command)} ended with {done.returncode}: {said}")
    return Row(f"{title.split(',')[0]}, {_subject(command, rival.count)}", samples=taken_ms)


def _subject(command: Sequence[str], count: int) -> str:
    tool = os.path.basename(command[0])
    return f"{tool}, 1 service" if tool == "s6-svstat" else f"{tool}, {count}"


def _add_few(bench: Bench, section: Section) -> None:
    agent = ours.Agent(bench, FEW, is_own=True, rules=RULES)
    with running([agent]):
        section.rows.insert(0, _commands(bench, OWN, agent))
    bare = ours.bare_python()
    taken_ms = []
    for _ in range(bench.options.samples):
        begun_ns = time.monotonic_ns()
        subprocess.run(bare, check=True)
        taken_ms.append((time.monotonic_ns() - begun_ns) / 1e6)
    section.rows.append(Row("(an interpreter that does nothing)", samples=taken_ms))
    section.checks = [
        Check(f"{row.who.partition(', ')[2]}, p50", percentile(row.samples, 50), "ms", 100, 30) for row in section.rows[:2]
    ]
