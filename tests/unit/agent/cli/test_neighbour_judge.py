"""The judge, case by case: what is needed to name a neighbour, and the reason where nobody is."""

from array import array
from collections.abc import Mapping

from agent.cli.neighbour_episode import Symptom
from agent.cli.neighbour_search import verdicts_of
from agent.cli.neighbour_unit import (
    BANDWIDTH,
    CPU,
    IO_BYTES,
    LLC,
    MEMORY,
    MEMORY_EVENTS,
    MEMORY_LIMIT,
    PRESSURE_CPU,
    PRESSURE_IO,
    PRESSURE_MEMORY,
    THROTTLED,
    HostWindow,
    JudgedUnit,
    NodeWindow,
    UnitWindow,
)
from agent.cli.neighbour_verdict import Innocence, Verdict

SECONDS, BEGIN, END = 300, 180, 220
MIB = float(1 << 20)
Columns = Mapping[str, "array[float]"]
VICTIM, NOISY = "/system.slice/victim.service", "/system.slice/noisy.service"


def flat(value: float) -> "array[float]":
    return array("d", [value * (1 + 0.02 * (second * 7 % 5)) for second in range(SECONDS)])


def step(before: float, during: float, *, begin: int = BEGIN, end: int = END) -> "array[float]":
    series = flat(before)
    for second in range(begin, end):
        series[second] = during * (1 + 0.02 * (second * 7 % 5))
    return series


UNKNOWN_HOST = HostWindow()


def judged(units: Mapping[str, Columns], host: HostWindow = UNKNOWN_HOST, groups: Mapping[str, str] | None = None) -> list[Verdict]:
    windows = [UnitWindow(JudgedUnit(path, "service", path, (groups or {}).get(path)), columns) for path, columns in units.items()]
    return [verdict for verdict in verdicts_of(NodeWindow(1_000, SECONDS, windows, host)) if verdict.unit == VICTIM]


def full(before: float, during: float) -> HostWindow:
    return HostWindow(cores=4, cpu_cores=step(before, during))


SUFFERS: Columns = {PRESSURE_CPU: step(0.01, 0.4), CPU: flat(0.5)}


def test_a_neighbour_that_takes_the_cpu_is_named() -> None:
    """With its part, its onset, and the seconds of unix time."""
    (verdict,) = judged({VICTIM: SUFFERS, NOISY: {CPU: step(0.1, 3.3)}, "/other": {CPU: flat(0.1)}}, full(1.0, 4.0))
    (culprit,) = verdict.culprits
    assert (verdict.begin_s, verdict.end_s, verdict.symptom) == (1_000 + BEGIN, 1_000 + END, Symptom.CPU)
    assert (culprit.unit, culprit.column, culprit.lag_seconds, culprit.seconds) == (NOISY, CPU, 0, END - BEGIN)
    assert culprit.part > 0.9
    assert culprit.rise > 3
    assert verdict.innocence is None
    assert verdict.lost_seconds > 10


def test_several_share_by_their_parts() -> None:
    """Two that rose together are both named, the larger first."""
    (verdict,) = judged({VICTIM: SUFFERS, NOISY: {CPU: step(0.1, 2.1)}, "/b": {CPU: step(0.1, 1.1)}}, full(1.0, 4.0))
    assert [culprit.unit for culprit in verdict.culprits] == [NOISY, "/b"]
    assert 0.95 < sum(culprit.part for culprit in verdict.culprits) <= 1.0


def test_beside_idle_cores_no_neighbour_is_at_fault() -> None:
    """A unit that waits on a host with room waits for itself."""
    (verdict,) = judged({VICTIM: SUFFERS, NOISY: {CPU: step(0.1, 1.3)}}, full(1.0, 2.0))
    assert (verdict.culprits, verdict.innocence) == ((), Innocence.NO_SHORTAGE)


def test_its_own_limit_is_nobodys_fault() -> None:
    """Throttling explains the wait, whatever a neighbour does."""
    throttled = {**SUFFERS, THROTTLED: step(0.0, 0.5)}
    verdicts = judged({VICTIM: throttled, NOISY: {CPU: step(0.1, 3.3)}}, full(1.0, 4.0))
    assert {verdict.innocence for verdict in verdicts} == {Innocence.OWN_LIMIT}
    assert {verdict.symptom for verdict in verdicts} == {Symptom.CPU, Symptom.THROTTLED}


def test_what_it_wanted_itself_is_its_own() -> None:
    """It began to work, and nobody else wanted more."""
    (verdict,) = judged({VICTIM: {**SUFFERS, CPU: step(0.2, 3.5)}, NOISY: {CPU: step(0.1, 0.5)}}, full(1.0, 4.0))
    assert verdict.innocence is Innocence.OWN_LOAD


def test_nothing_rose_is_an_answer() -> None:
    """Also where another rises at another time, or was up before."""
    for other in (flat(0.3), step(0.1, 3.0, begin=240, end=280), step(0.1, 3.0, begin=120, end=220)):
        (verdict,) = judged({VICTIM: SUFFERS, NOISY: {CPU: other}}, full(4.0, 4.0))
        assert (verdict.culprits, verdict.innocence) == ((), Innocence.NOTHING_ROSE)


def test_what_belongs_to_no_unit_is_told() -> None:
    """The host rose, and no unit did."""
    (verdict,) = judged({VICTIM: SUFFERS, NOISY: {CPU: flat(0.1)}}, full(1.0, 4.0))
    assert verdict.innocence is Innocence.NO_UNIT


def test_parents_and_children_of_the_victim_are_no_culprits() -> None:
    """The slice around it, and a service inside a slice."""
    units = {VICTIM: SUFFERS, "/system.slice": {CPU: step(0.5, 3.5)}, f"{VICTIM}/inner": {CPU: step(0.1, 3.0)}}
    (verdict,) = judged(units)
    assert verdict.culprits == ()


def test_a_slice_is_named_by_the_service_that_rose_in_it() -> None:
    """Of a slice and a service in it the service is the neighbour."""
    units = {VICTIM: SUFFERS, "/user.slice": {CPU: step(0.2, 3.2)}, "/user.slice/a.service": {CPU: step(0.1, 3.1)}}
    (verdict,) = judged(units, full(1.0, 4.0))
    assert [culprit.unit for culprit in verdict.culprits] == ["/user.slice/a.service"]


def test_too_little_is_known() -> None:
    """Ten seconds before it do not tell what is usual."""
    early = {PRESSURE_CPU: step(0.01, 0.4, begin=10, end=60), CPU: flat(0.5)}
    (verdict,) = judged({VICTIM: early, NOISY: {CPU: step(0.1, 3.3, begin=10, end=60)}}, full(1.0, 4.0))
    assert (verdict.innocence, verdict.before) == (Innocence.TOO_LITTLE, None)


def test_io_of_another_beside_a_busy_disk() -> None:
    """By bytes; beside an idle disk nobody is at fault."""
    units = {VICTIM: {PRESSURE_IO: step(0.01, 0.5), IO_BYTES: flat(MIB)}, NOISY: {IO_BYTES: step(MIB, 200 * MIB)}}
    (verdict,) = judged(units, HostWindow(disk_busy=step(0.1, 0.9)))
    assert [culprit.column for culprit in verdict.culprits] == [IO_BYTES]
    (verdict,) = judged(units, HostWindow(disk_busy=flat(0.1)))
    assert verdict.innocence is Innocence.NO_SHORTAGE


def ramp(begin: int, end: int, least: float, most: float) -> "array[float]":
    series = flat(least)
    for second in range(begin, SECONDS):
        series[second] = least + (most - least) * min(1.0, (second - begin) / (end - begin))
    return series


def test_memory_of_another_where_the_host_is_short() -> None:
    """It grew before the victim waited; where the host has memory, nobody is at fault."""
    units = {
        VICTIM: {PRESSURE_MEMORY: step(0.0, 0.3), MEMORY: flat(100 * MIB)},
        NOISY: {MEMORY: ramp(BEGIN - 20, BEGIN + 2, 50 * MIB, 4_000 * MIB)},
    }
    short = HostWindow(memory_total_bytes=8_000 * MIB, memory_available_bytes=step(4_000 * MIB, 100 * MIB))
    (verdict,) = judged(units, short)
    assert [(culprit.unit, culprit.column) for culprit in verdict.culprits] == [(NOISY, MEMORY)]
    assert verdict.limit is None
    roomy = HostWindow(memory_total_bytes=8_000 * MIB, memory_available_bytes=flat(4_000 * MIB))
    (verdict,) = judged(units, roomy)
    assert verdict.innocence is Innocence.NO_SHORTAGE


def test_memory_under_a_shared_limit() -> None:
    """Only who is below the limit too can be the culprit, and the limit is named; a full own limit is the victim's own."""
    limit = 1_000 * MIB
    grows = {MEMORY: ramp(BEGIN - 20, BEGIN + 2, 50 * MIB, 800 * MIB)}
    units: dict[str, Columns] = {
        VICTIM: {PRESSURE_MEMORY: step(0.0, 0.3), MEMORY: flat(100 * MIB), MEMORY_LIMIT: flat(limit)},
        NOISY: grows,
        "/elsewhere": {MEMORY: ramp(BEGIN - 20, BEGIN + 2, 50 * MIB, 9_000 * MIB)},
        "/system.slice": {MEMORY: flat(990 * MIB), MEMORY_LIMIT: flat(limit), MEMORY_EVENTS: step(0.0, 5.0)},
    }
    (verdict,) = judged(units)
    assert [culprit.unit for culprit in verdict.culprits] == [NOISY]
    assert verdict.limit == "/system.slice"
    # Without a row of the slice its limit is that of the units in it, which hold nearly all of it.
    inside = {VICTIM: units[VICTIM], NOISY: {**grows, MEMORY_LIMIT: flat(limit)}, "/elsewhere": units["/elsewhere"]}
    (verdict,) = judged(inside)
    assert ([culprit.unit for culprit in verdict.culprits], verdict.limit) == ([NOISY], "/system.slice")
    units[VICTIM] = {**units[VICTIM], MEMORY_LIMIT: flat(105 * MIB)}
    (verdict,) = judged(units)
    assert verdict.innocence is Innocence.OWN_LIMIT


def test_own_events_without_a_shared_limit_are_its_own() -> None:
    """It was at its limit again and again, also where its mean is below."""
    columns = {PRESSURE_MEMORY: step(0.0, 0.3), MEMORY: flat(80 * MIB), MEMORY_LIMIT: flat(100 * MIB), MEMORY_EVENTS: step(0, 9)}
    (verdict,) = judged({VICTIM: columns, NOISY: {MEMORY: ramp(BEGIN - 9, BEGIN, 0, 900 * MIB)}})
    assert verdict.innocence is Innocence.OWN_LIMIT


def test_cache_that_another_took() -> None:
    """By what it holds more; not one of the same group, and nobody where the victim works less."""
    loses = {LLC: step(8 * MIB, 2 * MIB), BANDWIDTH: flat(100 * MIB)}
    takes = {LLC: step(MIB, 7 * MIB), BANDWIDTH: step(MIB, 900 * MIB)}
    (verdict,) = judged({VICTIM: loses, NOISY: takes, "/twin": takes}, groups={NOISY: "g", "/twin": "g", VICTIM: "v"})
    (culprit,) = verdict.culprits
    assert (culprit.unit, verdict.symptom) == (NOISY, Symptom.CACHE)
    (verdict,) = judged({VICTIM: loses, NOISY: takes}, groups={NOISY: "g", VICTIM: "g"})
    assert verdict.culprits == ()
    (verdict,) = judged({VICTIM: {**loses, BANDWIDTH: step(100 * MIB, MIB)}, NOISY: takes})
    assert verdict.innocence is Innocence.LESS_WORK


def test_who_moves_a_third_less_holds_a_third_less() -> None:
    """What it leaves others have, and did not take; a little less work does not explain that most of it is gone."""
    leaves = {LLC: step(9 * MIB, 6 * MIB), BANDWIDTH: step(100 * MIB, 67 * MIB)}
    gains = {LLC: step(20 * MIB, 23 * MIB), BANDWIDTH: flat(300 * MIB)}
    (verdict,) = judged({VICTIM: leaves, NOISY: gains})
    assert verdict.innocence is Innocence.LESS_WORK
    loses = {LLC: step(8 * MIB, 2 * MIB), BANDWIDTH: step(100 * MIB, 85 * MIB)}
    (verdict,) = judged({VICTIM: loses, NOISY: {LLC: step(MIB, 7 * MIB), BANDWIDTH: step(MIB, 900 * MIB)}})
    assert [culprit.unit for culprit in verdict.culprits] == [NOISY]


def test_a_neighbour_that_rises_in_every_second_episode_alone_is_not_told() -> None:
    """Its use goes up and down all the time, so that the seconds of the episode fit no better than others."""
    restless = array("d", [3.0 if second // 40 % 2 == 0 or BEGIN <= second < END else 0.1 for second in range(SECONDS)])
    for verdict in judged({VICTIM: SUFFERS, NOISY: {CPU: restless}}, full(1.0, 4.0)):
        assert verdict.culprits == ()


def test_a_neighbour_that_hardly_ever_pauses_is_not_told() -> None:
    """It rises in the very second, and higher than ever; but its ups and downs are not those of the victim."""
    busy = array("d", [0.1 if second % 40 in range(10, 20) else 3.0 for second in range(SECONDS)])
    busy[BEGIN:END] = array("d", [3.4] * (END - BEGIN))
    (verdict,) = judged({VICTIM: SUFFERS, NOISY: {CPU: busy}}, full(3.0, 4.0))
    assert (verdict.culprits, verdict.innocence) == ((), Innocence.NOTHING_ROSE)
    # The same rise of one that was even before is a neighbour's.
    (verdict,) = judged({VICTIM: SUFFERS, NOISY: {CPU: step(2.3, 3.4)}}, full(3.0, 4.0))
    assert [culprit.unit for culprit in verdict.culprits] == [NOISY]
