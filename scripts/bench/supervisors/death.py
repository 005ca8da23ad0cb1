"""The supervisor itself is killed. evergauge: at random moments, over and over, with everything checked; the others: once."""

import os
import signal
from collections import defaultdict

from harness import proc

from supervisors import gunicorn
from supervisors.agentd import DISTANCE_INTERVAL_MS, RealAgent
from supervisors.child_starts import ChildStart
from supervisors.figures import Check, Row, Section
from supervisors.kill import all_variants
from supervisors.rival import Bench, Rival, Variant, running, starting
from supervisors.trial import Outcome, run_trial

CHILDREN = 5
LEFT_ALONE_SECONDS = 2.0


def of_evergauge(bench: Bench) -> Section:
    """The default agent, its own sampler and writer, rules that are added all the time."""
    kills = bench.options.supervisor_kills
    section = Section("death", f"kill -9 of the supervisor itself, {kills} times at random moments, and a new one started")
    bench.say(f"death: evergauge, {kills} kills")
    agent = RealAgent(bench)
    outcome = Outcome()
    with running([agent]):
        agent.wait_ready()
        while outcome.kills < kills:
            run_trial(bench, agent, outcome, kills_max=kills - outcome.kills)
        distances_ms = agent.sample_distances_ms()
        gaps = agent.gap_rows()
    section.rows = [
        Row("start of the new one to its answer", samples=outcome.answered_ms),
        Row("start of the new one to all up, in sync", samples=outcome.whole_ms),
        Row("distance of two samples", samples=distances_ms),
    ]
    section.checks = [
        Check("workers neither adopted nor gone within 1 s", outcome.lingering, "", 0, 0),
        Check("looks that saw two workers of a name", outcome.doubles, "", 0, 0),
        Check("acknowledged rules lost", outcome.rules_lost, "", 0, 0),
        Check("not whole again within 1 s of the start", outcome.late, "", None, 0),
        Check("workers not adopted", outcome.gone, "", None, 0),
        Check("longest distance of two samples", max(distances_ms), "ms", None, 2 * DISTANCE_INTERVAL_MS),
    ]
    section.remarks = [
        f"{outcome.kills} kills in {outcome.trials} trials (some in the middle of a start); a new one 0 to 100 ms later",
        f"{outcome.adopted} workers adopted, {outcome.gone} gone; {outcome.rules} rules acknowledged; {gaps} rows in table gap",
        f"samples are due every {DISTANCE_INTERVAL_MS} ms; {outcome.looks} looks at all processes",
    ]
    section.remarks += outcome.notes
    return section


# ---- the others ------------------------------------------------------------------------------------


def of_others(bench: Bench) -> Section:
    """All at the same time; nothing is timed here."""
    section = Section("fate", "the others: what becomes of 5 children when their supervisor is killed and started again", unit="")
    cases = {variant.title: (variant.make(bench, CHILDREN), False) for variant in _others(bench)}
    for title, word in (("s6, child tells readiness", "s6-supervise"), ("runit", "runsv")):
        for variant in _others(bench):
            if variant.title == title:
                cases[f"{title.split(',')[0]}, every {word} killed"] = (variant.make(bench, CHILDREN), True)
    if not cases:
        return section
    bench.say(f"death: {'; '.join(cases)}")
    with starting([rival for rival, _ in cases.values()]) as problems:
        whole = {title: case for title, case in cases.items() if case[0].label not in problems}
        section.rows = [Row(title, note=problems[rival.label]) for title, (rival, _) in cases.items() if rival.label in problems]
        first = {title: dict(rival.living) for title, (rival, _) in whole.items()}
        for rival, only_below in whole.values():
            _kill_supervisors(rival, only_below=only_below)
        bench.starts.rest(LEFT_ALONE_SECONDS)
        alone = {title: _alive(starts) for title, starts in first.items()}
        for rival, only_below in whole.values():
            if not only_below:
                rival.launch()
        bench.starts.rest(bench.options.orphan_seconds)
        after = {title: _alive(rival.living) for title, (rival, _) in whole.items()}
        watched = {title: _kill_one(bench, starts, whole[title][0]) for title, starts in alone.items()}
        bench.starts.rest(bench.options.seen_seconds)
        for title, (rival, _) in whole.items():
            section.rows.append(Row(title, values=_outcome_of(alone[title], after[title], watched[title], rival)))
    section.remarks = [
        f"alive_alone: after {LEFT_ALONE_SECONDS:g} s; the rest: {bench.options.orphan_seconds:g} s after the new start",
        "systemd here is a user manager; as the first process of a machine its death is the machine's",
        "gunicorn's children are its own workers, which look for their parent; s6 and runit have one helper per child",
    ]
    return section


def _others(bench: Bench) -> list[Variant]:
    kept = ("s6, child", "runit", "systemd, RestartSec", "circus, check_delay", "supervisord")
    variants = [variant for variant in all_variants(bench) if variant.title.startswith(kept)]
    if "gunicorn" not in bench.toolchain.missing:
        # With its default timeout.
        variants.append(Variant("gunicorn", "gunicorn", lambda bench, count: gunicorn.Gunicorn(bench, count, timeout=30)))
    return variants


def _kill_supervisors(rival: Rival, *, only_below: bool) -> None:
    supervisors = rival.supervisors()
    for pid in supervisors[1:] if only_below else supervisors[:1]:
        os.kill(pid, signal.SIGKILL)
    if not only_below:
        assert rival.process is not None
        rival.process.wait()


def _alive(starts: dict[int, ChildStart]) -> dict[int, ChildStart]:
    return {pid: start for pid, start in starts.items() if proc.is_alive(pid)}


def _kill_one(bench: Bench, alone: dict[int, ChildStart], rival: Rival) -> tuple[int, int] | None:
    """Kill a child of the time before, if one is left; gives the time and how many starts there had been."""
    for pid, start in _alive(alone).items():
        if not any(other.name == start.name and other.pid != pid for other in _alive(rival.living).values()):
            os.kill(pid, signal.SIGKILL)
            return pid, len(rival.living)
    return None


def _outcome_of(
    alone: dict[int, ChildStart], after: dict[int, ChildStart], killed: tuple[int, int] | None, rival: Rival
) -> dict[str, str | int]:
    names: dict[str, int] = defaultdict(int)
    for start in after.values():
        names[start.name] += 1
    # gunicorn's workers have no names: more than there should be are as many too many.
    doubles = sum(count - 1 for count in names.values()) if len(names) > 1 else max(0, len(after) - CHILDREN)
    replaced = "-" if killed is None else "yes" if len(rival.living) > killed[1] else "never"
    return {
        "alive_alone": f"{len(alone)} of {CHILDREN}",
        "alive_after_restart": len(after),
        "twice": doubles,
        "an_old_one_replaced": replaced,
    }
