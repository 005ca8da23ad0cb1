"""Each validator passes on a world in which its goal holds, and fails where that is broken on purpose."""

import dataclasses
import math
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[3] / "scripts/bench"))
sys.path.insert(0, str(Path(__file__).parents[3] / "scripts"))

from scenarios.definition import ExpectedEvent, ValidatorChoice
from scenarios.evidence import CommandCpu, Cost, Event, Evidence, Exact, GapRow, Replacement, SketchRow, Tick
from scenarios.judgement import Judgement
from scenarios.judging import JUDGES, judge
from scenarios.shapes import VALIDATORS

S, MIB = 1_000_000_000, 1 << 20
BEGIN = 1_000 * S
SECONDS = 20
COST = Cost(SECONDS * S, 280_000_000, 580_000_000, 100_000_000, [60 * MIB, 62 * MIB], [200 * MIB] * 2, 600)


def _world(**changed: Any) -> Evidence:
    """A host of half a core and 1,000 MiB whose rows hold everything: 97 % named, 2 % in the tail, 1 % dead; all of it told."""
    part = S // 2
    ticks = [
        Tick(
            BEGIN + number * S,
            part * 97 // 100,
            part * 2 // 100,
            part // 100,
            970 * MIB,
            1000 * MIB,
            99 * MIB // 10,
            unit_cpu_ns=S // 4,
        )
        for number in range(SECONDS + 3)
    ]
    times = [BEGIN - 5 * S + number * S // 10 for number in range(10 * (SECONDS + 12))]
    world = Evidence(
        begin_ns=BEGIN,
        end_ns=BEGIN + SECONDS * S,
        interval_ns=S,
        cost=COST,
        host_cpu=[(at, at // 2) for at in times],
        unit_cpu=[(at, at // 4) for at in times],
        host_rss=[(at, 1000 * MIB) for at in times],
        host_io=[(at, at * 10 * MIB // S) for at in times],
        ticks=ticks,
        sketches=[_sketch("db", range(1_000, 3_000))],
        exact=[Exact("u", "db", "rss", list(range(1_000, 3_000)), "the load")],
        events=[Event("module_over_limit", "sampler/process", BEGIN + 2 * S, BEGIN + 9 * S, "limit 0.1 %, measured 2 %")],
        replacements=[Replacement("writer", 0.05)],
        commands=[CommandCpu("burn", 100 * S, 99 * S)],
        counts={("sampler/process", "raw_writes"): (3, 10)},
        pss_by_worker={"sampler/process": [9 * MIB, 10 * MIB]},
    )
    return dataclasses.replace(world, **changed)


def _sketch(command: str | None, values: Iterable[int], *, factor: float = 1.0, keys: int = 1, unit: str | None = "u") -> SketchRow:
    """As the sampler has it: bucket i is above 2^(i/64) and at most 2^((i+1)/64). A factor that is not 1 biases it."""
    buckets = Counter(math.ceil(math.log2(value * factor) * 64) - 1 for value in values)
    first, last = min(buckets), max(buckets)
    counts = [buckets[index] for index in range(first, last + 1)]
    return SketchRow(BEGIN, 60 * S, unit, command, "rss", 6, 0, sum(counts), first, counts, keys)


def _judged(name: str, world: Evidence, **limits: float | str) -> list[Judgement]:
    shape = VALIDATORS[name]
    values = {key: parameter.default for key, parameter in shape.parameters.items() if parameter.default is not None} | limits
    expected = (ExpectedEvent("module_over_limit", "sampler/process", ends=True),) if name == "events" else ()
    return judge([ValidatorChoice(name, shape.goal, values, expected)], world)


def _bad(name: str, world: Evidence, **limits: float | str) -> list[str]:
    return [each.what for each in _judged(name, world, **limits) if not each.is_good]


LIMITS: dict[str, dict[str, float | str]] = {
    "counter": {"part": "sampler/process", "count": "raw_writes"},
    "memory": {"part": "sampler/process", "pss_mib": 16.0},
    "calm": {"most": 1.0},
}


# Those of exports and stores have files of their own.
ELSEWHERE = {"catch_up", "delivery", "lateness", "recovery", "sink_memory", "same_rows", "rebinned", "wire_cost"}
ELSEWHERE |= {"cursor", "marks", "truth", "fallback"}
HERE = sorted(set(JUDGES) - ELSEWHERE)


@pytest.mark.parametrize("name", HERE)
def test_each_validator_passes_where_its_goal_holds(name: str) -> None:
    """And it says something."""
    found = _judged(name, _world(), **LIMITS.get(name, {}))
    assert found
    assert [each for each in found if not each.is_good] == []


@pytest.mark.parametrize("name", HERE)
def test_no_validator_passes_where_nothing_was_gathered(name: str) -> None:
    """What was not measured is no success."""
    nothing = Evidence(BEGIN, BEGIN + SECONDS * S, S)
    assert not all(each.is_good for each in _judged(name, nothing, **LIMITS.get(name, {})))


def _costing(percent: float, loop_percent: float | None, pss_mib: int = 60) -> Evidence:
    loop = None if loop_percent is None else round(loop_percent / 100 * SECONDS * S)
    return _world(
        cost=dataclasses.replace(
            COST, agent_cpu_ns=round(percent / 100 * SECONDS * S), reference_cpu_ns=loop, pss_bytes=[pss_mib * MIB]
        )
    )


@pytest.mark.parametrize(
    ("percent", "loop", "is_good"),
    [
        (1.9, 2.9, True),
        (2.1, 2.9, False),
        (2.1, 2.0, False),
        (9.0, 14.0, True),
        (10.0, 14.0, False),
        (1.9, None, True),
        (2.1, None, False),
    ],
)
def test_too_much_cpu_is_found_on_a_slow_machine_too(percent: float, loop: float | None, is_good: bool) -> None:
    """2 % of a core; where a psutil loop costs more than 2.9 %, 2.0/2.9 of that loop. The evidence has all three figures."""
    cpu, _memory = _judged("cost", _costing(percent, loop))
    assert cpu.is_good == is_good
    assert f"{percent:.2f} % of a core" in cpu.evidence
    assert loop is None or (f"psutil loop {loop:.2f} %" in cpu.evidence and "ratio" in cpu.evidence)


def test_too_much_memory_is_found() -> None:
    """The largest reading counts, and summed RSS is shown beside it."""
    assert _bad("cost", _costing(1.0, 2.9, 101)) == ["memory of the agent (PSS)"]
    assert "RSS summed 200.0 MiB" in _judged("cost", _world())[1].evidence


@pytest.mark.parametrize(("factor", "is_good"), [(1.0, True), (1.02, False), (0.98, False)])
def test_a_biased_sketch_is_found(factor: float, is_good: bool) -> None:
    """Two percent to either side are more than one."""
    world = _world(sketches=[_sketch("db", range(1_000, 3_000), factor=factor)])
    assert (_bad("sketch_error", world) == []) == is_good


def test_the_error_of_a_good_sketch_is_within_what_it_promises() -> None:
    """This reader of buckets is not the agent's; by it the error stays below 0.55 %."""
    (found,) = _judged("sketch_error", _world())
    assert found.figure is not None
    assert 0 < found.figure <= 0.55


def test_too_many_keys_are_found_and_too_few_counted_ones() -> None:
    """513 keys of one window; and a further row that counts less than are missing."""
    many = [_sketch(f"c{number}", [5]) for number in range(513)]
    assert _bad("sketch_keys", _world(sketches=many)) == ["keys of a window"]
    kept = [*many[:512], _sketch(None, [5], keys=40, unit=None)]
    assert _bad("sketch_keys", _world(sketches=kept), further_least=40.0) == []
    assert _bad("sketch_keys", _world(sketches=kept), further_least=41.0) == ["further keys counted"]


def test_lower_capture_is_found() -> None:
    """Rows that name 90 % of the CPU and of the memory, and nothing of the I/O."""
    ticks = [
        dataclasses.replace(tick, named_cpu_ns=S * 45 // 100, named_rss_bytes=900 * MIB, named_io_bytes=0)
        for tick in _world().ticks
    ]
    assert _bad("capture", _world(ticks=ticks)) == ["CPU held by named rows", "RSS held by named rows", "I/O held by named rows"]


def test_a_hidden_process_is_found() -> None:
    """The kernel counts a tenth of a core more than all rows: capture and closing miss it, though the sampler's own sums agree."""
    host = [(at, at // 2 + max(0, at - BEGIN) // 10) for at, _value in _world().host_cpu]
    assert _bad("capture", _world(host_cpu=host)) == ["CPU held by named rows"]
    assert _bad("closing", _world(host_cpu=host)) == ["CPU of the host, off"]


def test_a_tail_that_loses_cpu_is_found() -> None:
    """Of half a core the tail should have a tenth."""
    ticks = [dataclasses.replace(tick, named_cpu_ns=S * 44 // 100, tail_cpu_ns=0) for tick in _world().ticks]
    assert _bad("closing", _world(ticks=ticks)) == ["CPU of the host, off"]


def test_cpu_of_the_dead_that_is_lost_is_found() -> None:
    """A fork loop's children used 100 s by their parent's counter, and the rows have 80."""
    assert _bad("closing", _world(commands=[CommandCpu("burn", 100 * S, 80 * S)])) == ["CPU of burn, off"]


def test_cpu_of_the_load_and_memory_that_are_lost_are_found() -> None:
    """The unit alone, and the host's memory."""
    ticks = [dataclasses.replace(tick, unit_cpu_ns=S // 5, rss_bytes=900 * MIB) for tick in _world().ticks]
    assert _bad("closing", _world(ticks=ticks)) == ["CPU of the load's unit, off", "memory of the host, off"]


def test_our_own_goal_is_said_beside_the_limit() -> None:
    """1 % off passes the 5 %, and the evidence says that it is not within 0.5 %."""
    ticks = [dataclasses.replace(tick, tail_cpu_ns=S // 200) for tick in _world().ticks]
    cpu, *_others = _judged("closing", _world(ticks=ticks))
    assert (cpu.is_good, "NOT within our own 0.5 %" in cpu.evidence) == (True, True)


@pytest.mark.parametrize(
    ("events", "bad"),
    [
        ([], ["event module_over_limit of sampler/process"]),
        ([Event("module_over_limit", "writer", BEGIN + S, BEGIN + 2 * S, "")], ["event module_over_limit of sampler/process"]),
        ([Event("module_over_limit", "sampler/process", BEGIN - S, BEGIN, "")], ["event module_over_limit of sampler/process"]),
        ([Event("module_over_limit", "sampler/process", BEGIN + S, None, "")], ["event module_over_limit of sampler/process, end"]),
    ],
)
def test_a_silent_breaker_is_found(events: list[Event], bad: list[str]) -> None:
    """No event, one that another module has, one from before the failure, one without an end."""
    assert _bad("events", _world(events=events)) == bad


def test_a_missed_tick_is_found_unless_it_is_explained() -> None:
    """A row of table gap with its reason explains it; a limit on all missing ticks does not care for reasons."""
    ticks = [tick for number, tick in enumerate(_world().ticks) if number not in (5, 6)]
    explained = [GapRow(BEGIN + 7 * S, "sampler/process", "starved", 2)]
    assert _bad("continuity", _world(ticks=ticks)) == ["ticks missing without a reason"]
    assert _bad("continuity", _world(ticks=ticks, gaps=explained)) == []
    assert _bad("continuity", _world(ticks=ticks, gaps=explained), explained_most=0.0) == ["ticks missing in all"]
    hole = [GapRow(BEGIN + 7 * S, "sampler/process", "corrupt_record", None, (BEGIN + 4 * S, BEGIN + 7 * S))]
    assert _bad("continuity", _world(ticks=ticks, gaps=hole)) == []
    of_the_writer = [GapRow(BEGIN + 7 * S, "writer", "corrupt_record", None, (BEGIN + 4 * S, BEGIN + 7 * S))]
    assert _bad("continuity", _world(ticks=ticks, gaps=of_the_writer)) == []
    half = [GapRow(BEGIN + 7 * S, "sampler/process", "corrupt_record", None, (BEGIN + 4 * S, BEGIN + 5 * S))]
    assert _bad("continuity", _world(ticks=ticks, gaps=half)) == ["ticks missing without a reason"]
    other = [GapRow(BEGIN + 7 * S, "sampler/unit", "starved", 2), GapRow(BEGIN - S, "sampler/process", "starved", 2)]
    assert _bad("continuity", _world(ticks=ticks, gaps=other)) == ["ticks missing without a reason"]


def test_a_sampler_that_never_comes_back_is_found() -> None:
    """The last ticks of the window are missing."""
    assert _bad("continuity", _world(ticks=_world().ticks[:10])) == ["ticks missing without a reason"]


def test_a_part_that_is_late_or_lost_is_found() -> None:
    """Six seconds, and never."""
    late = [Replacement("writer", 6.0), Replacement("gateway", None), Replacement("sampler/node", 0.01)]
    assert _bad("replacement", _world(replacements=late)) == ["replacement of writer", "replacement of gateway"]


@pytest.mark.parametrize(("counts", "is_good"), [((3, 3), False), ((9, 4), True), ((0, 200), False)])
def test_a_count_that_stands_still_or_runs_away_is_found(counts: tuple[int, int], is_good: bool) -> None:
    """A worker that was replaced has begun again at nothing."""
    world = _world(counts={("sampler/process", "raw_writes"): counts})
    assert (_bad("counter", world, **LIMITS["counter"], most=100.0) == []) == is_good


def test_a_worker_that_grows_is_found() -> None:
    """Its largest reading counts."""
    world = _world(pss_by_worker={"sampler/process": [10 * MIB, 30 * MIB]})
    assert _bad("memory", world, **LIMITS["memory"]) == ["memory of sampler/process (PSS)"]


def test_capture_that_jumps_from_tick_to_tick_is_found() -> None:
    """Every second tick has a third more, the others a third less: the sum over the window is right, and nothing else is."""
    ticks = [
        dataclasses.replace(tick, named_cpu_ns=tick.named_cpu_ns * (133 if number % 2 else 67) // 100)
        for number, tick in enumerate(_world().ticks)
    ]
    assert _bad("stability", _world(ticks=ticks)) == ["capture from tick to tick, deviation"]
    assert _bad("closing", _world(ticks=ticks)) == []


def test_a_condition_is_one_event_from_its_beginning_to_its_end() -> None:
    """Also where another run of the agent tells the end; a beginning that is told again does not begin another."""
    from scenarios.gathering import events_of_rows

    def row(at: int, phase: str | None, kind: str = "degraded", subject: str | None = "cpu") -> dict[str, Any]:
        return {"timestamp": at, "phase": phase, "kind": kind, "subject": subject, "module": "m", "detail": "why", "fields": None}

    rows = [
        row(1, "begin"),
        row(2, None, "limit_changed", None),
        row(3, "change"),
        row(4, "begin"),
        row(5, "end"),
        row(6, "begin"),
        row(7, "end", "x"),
    ]
    assert events_of_rows(rows) == [
        Event("degraded", "m", 1, 5, "cpu why"),
        Event("limit_changed", "m", 2, None, "why"),
        Event("degraded", "m", 6, None, "cpu why"),
    ]


def test_a_sampler_that_begins_again_reads_twice_in_an_interval_and_makes_up_for_nothing() -> None:
    """At 2.1 s its tick 2, at 2.4 s once more, at 4.7 s the tick nearest to it, which is 5, since 4 was read."""
    from scenarios.validators.told import taken_slots

    assert taken_slots([S, 2 * S + S // 10, 2 * S + 4 * S // 10], 0, S) == {1, 2}
    assert taken_slots([4 * S + S // 10, 4 * S + 7 * S // 10], 0, S) == {4, 5}
    assert taken_slots([4 * S + 7 * S // 10, 6 * S], 0, S) == {4, 6}


def test_ticks_between_two_runs_are_told_by_the_agent_itself() -> None:
    """It says that it stops, and that it is ready again. Its first tick may stand for the number after that; no later one may."""
    ticks = [tick for number, tick in enumerate(_world().ticks) if number not in (5, 6)]
    told = [Event("stopping", "supervisor", BEGIN + 5 * S - 1, None, ""), Event("ready", "supervisor", BEGIN + 6 * S + 1, None, "")]
    assert _bad("continuity", _world(ticks=ticks, events=told)) == []
    early = [
        Event("stopping", "supervisor", BEGIN + 4 * S + 1, None, ""),
        Event("ready", "supervisor", BEGIN + 5 * S - 1, None, ""),
    ]
    assert _bad("continuity", _world(ticks=ticks, events=early)) == ["ticks missing without a reason"]


@pytest.mark.parametrize("kind", ["module_over_limit", "degraded", "degradation_step", "restarted_over_limit"])
def test_a_worker_that_was_slowed_is_found(kind: str) -> None:
    """In the window; what was before it, and what else is told, is none of this validator's business."""
    inside = [Event(kind, "sampler/process", BEGIN + S, None, "20 % are allowed")]
    assert _bad("calm", _world(events=inside)) == ["times that a worker was over its limit or did less"]
    assert _bad("calm", _world(events=inside), most=1.0) == []
    before = [Event(kind, "sampler/process", BEGIN - S, None, ""), Event("sealed", "writer", BEGIN + S, None, "")]
    assert _bad("calm", _world(events=before)) == []
