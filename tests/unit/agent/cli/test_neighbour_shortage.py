"""What was short in an episode, and for whom."""

from array import array

from agent.cli.neighbour_episode import Symptom
from agent.cli.neighbour_rise import Sides
from agent.cli.neighbour_shortage import Shortage, own_rise, rise_outside, shortage_of
from agent.cli.neighbour_unit import CPU, THROTTLED, HostWindow, JudgedUnit, NodeWindow, UnitWindow
from agent.cli.neighbour_verdict import Innocence

SIDES = Sides(range(60), 60, 80)


def stepped(before: float, during: float) -> "array[float]":
    return array("d", [before] * 60 + [during] * 20)


VICTIM = UnitWindow(JudgedUnit("v", "service", "/v"), {CPU: stepped(0.5, 1.5), THROTTLED: stepped(0, 0)})


def window(host: HostWindow) -> NodeWindow:
    return NodeWindow(0, 80, [VICTIM], host)


def test_cores_are_short_from_four_fifths_on() -> None:
    """Below that nobody is at fault; without figures of the host it is not checked."""
    busy, idle = HostWindow(4, stepped(1.0, 3.3)), HostWindow(4, stepped(1.0, 3.1))
    assert shortage_of(window(busy), VICTIM, Symptom.CPU, SIDES) == Shortage()
    assert shortage_of(window(idle), VICTIM, Symptom.CPU, SIDES).innocence is Innocence.NO_SHORTAGE
    assert shortage_of(window(HostWindow()), VICTIM, Symptom.CPU, SIDES) == Shortage()


def test_throttling_is_always_the_own_limit() -> None:
    """No neighbour can cause it."""
    assert shortage_of(window(HostWindow()), VICTIM, Symptom.THROTTLED, SIDES).innocence is Innocence.OWN_LIMIT


def test_a_shared_limit_reaches_what_lies_below_it() -> None:
    """A name that only begins alike does not."""
    shared = Shortage(limit="/a.slice")
    assert shared.reaches(JudgedUnit("b", "service", "/a.slice/b.service"))
    assert not shared.reaches(JudgedUnit("c", "service", "/a.slices/c.service"))
    assert Shortage().reaches(JudgedUnit("c", "service", "/c.service"))


def test_rises_of_its_own_and_of_no_unit() -> None:
    """What the host rose more than its units belongs to none of them."""
    found = window(HostWindow(4, stepped(1.0, 3.5)))
    assert own_rise(found, VICTIM, CPU, SIDES) == 1.0
    assert rise_outside(found, 1.0, CPU, SIDES) == 1.5
    assert rise_outside(found, 3.0, CPU, SIDES) == 0.0


def victim_with(cgroup: str = "/v", /, **columns: "array[float]") -> UnitWindow:
    return UnitWindow(JudgedUnit(cgroup, "service", cgroup), columns)


def of_memory(victim: UnitWindow, *others: UnitWindow, host: HostWindow | None = None) -> Shortage:
    return shortage_of(NodeWindow(0, 80, [victim, *others], host or HostWindow()), victim, Symptom.MEMORY, SIDES)


def test_throttling_that_explains_the_wait_is_the_own_limit() -> None:
    """Half of the rise is enough; less of it is not."""
    for throttled, innocence in ((0.25, Innocence.OWN_LIMIT), (0.1, None)):
        victim = victim_with(throttled=stepped(0, throttled), pressure_cpu=stepped(0, 0.4))
        assert shortage_of(window(HostWindow()), victim, Symptom.CPU, SIDES).innocence is innocence


def test_a_disk_that_had_nothing_to_do_half_of_the_time_kept_nobody_waiting() -> None:
    """Without figures of it nobody is let off."""
    for busy, innocence in ((0.4, Innocence.NO_SHORTAGE), (0.6, None)):
        host = HostWindow(disk_busy=stepped(0.1, busy))
        assert shortage_of(window(host), VICTIM, Symptom.IO, SIDES) == Shortage(innocence)
    assert shortage_of(window(HostWindow()), VICTIM, Symptom.IO, SIDES) == Shortage()


def test_who_works_less_needs_less_cache() -> None:
    """Much less, or by what explains the loss; of the bandwidth, and where that is not known of the CPU."""

    def innocence_of(**columns: "array[float]") -> Innocence | None:
        return shortage_of(window(HostWindow()), victim_with(**columns), Symptom.CACHE, SIDES).innocence

    lost = stepped(10.0, 5.0)
    assert innocence_of(llc_occupancy_bytes=lost, mbm_total_bytes_per_second=stepped(1.0, 0.5)) is Innocence.LESS_WORK
    assert innocence_of(llc_occupancy_bytes=lost, mbm_total_bytes_per_second=stepped(1.0, 0.7)) is Innocence.LESS_WORK
    assert innocence_of(llc_occupancy_bytes=lost, mbm_total_bytes_per_second=stepped(1.0, 0.8)) is None
    assert innocence_of(llc_occupancy_bytes=lost, mbm_total_bytes_per_second=stepped(1.0, 2.0)) is None
    assert innocence_of(llc_occupancy_bytes=lost, cpu_cores=stepped(1.0, 0.5)) is Innocence.LESS_WORK
    assert innocence_of(llc_occupancy_bytes=lost, cpu_cores=stepped(0.0, 0.5)) is None
    assert innocence_of(cpu_cores=stepped(1.0, 0.7)) is None
    assert innocence_of() is None


def test_memory_at_its_own_limit_is_its_own_affair() -> None:
    """Nine tenths of it, or events of the limit where the level is not known."""
    limit = stepped(100.0, 100.0)
    full = victim_with(memory_limit_bytes=limit, memory_current_bytes=stepped(50.0, 90.0))
    assert of_memory(full).innocence is Innocence.OWN_LIMIT
    hit = victim_with(memory_limit_bytes=limit, memory_events=stepped(0.0, 1.0))
    assert of_memory(hit).innocence is Innocence.OWN_LIMIT
    assert of_memory(victim_with(memory_limit_bytes=limit, memory_current_bytes=stepped(50.0, 80.0))) == Shortage()
    assert of_memory(victim_with(memory_events=stepped(0.0, 1.0))) == Shortage()


def test_a_limit_around_it_is_shared_with_what_lies_there() -> None:
    """A full slice that is a unit: by its level or by its events."""
    victim = victim_with("/a.slice/b.slice/v.service", memory_current_bytes=stepped(1.0, 2.0))
    limit = stepped(100.0, 100.0)
    by_level = victim_with("/a.slice", memory_limit_bytes=limit, memory_current_bytes=stepped(50.0, 95.0))
    by_events = victim_with("/a.slice", memory_limit_bytes=limit, memory_events=stepped(0.0, 1.0))
    free = victim_with("/a.slice", memory_limit_bytes=limit, memory_current_bytes=stepped(50.0, 60.0))
    boundless = victim_with("/a.slice", memory_current_bytes=stepped(50.0, 95.0))
    assert [of_memory(victim, outer).limit for outer in (by_level, by_events, free, boundless)] == [
        "/a.slice",
        "/a.slice",
        None,
        None,
    ]


def test_a_cgroup_that_is_no_unit_is_full_when_its_units_are() -> None:
    """They have its limit, none a higher one, and hold nearly all of it together."""
    limit = stepped(100.0, 100.0)

    def holding(cgroup: str, held: float, most: "array[float] | None" = limit) -> UnitWindow:
        columns = {"memory_current_bytes": stepped(1.0, held)} | ({} if most is None else {"memory_limit_bytes": most})
        return victim_with(cgroup, **columns)

    victim = holding("/a.slice/v.service", 40.0)
    assert of_memory(victim, holding("/a.slice/o.service", 46.0)).limit == "/a.slice"
    assert of_memory(victim, holding("/a.slice/o.service", 44.0)).limit is None
    assert of_memory(victim, holding("/a.slice/o.service", 80.0, stepped(200.0, 200.0))).limit is None
    assert of_memory(victim, holding("/a.slice/o.service", 80.0, None)).limit is None
    assert of_memory(victim, holding("/b.slice/o.service", 80.0)).limit is None
    # What lies in it is part of what it has.
    inside = [holding("/a.slice/o.service", 30.0), holding("/a.slice/o.service/in", 30.0)]
    assert of_memory(victim, *inside).limit is None


def test_memory_that_the_host_still_has_was_not_short() -> None:
    """In its worst second; where the host is not known nobody is let off."""
    total = 1000.0
    for least, innocence in ((200.0, Innocence.NO_SHORTAGE), (100.0, None)):
        host = HostWindow(memory_total_bytes=total, memory_available_bytes=stepped(900.0, least))
        assert of_memory(victim_with(), host=host) == Shortage(innocence)
    assert of_memory(victim_with(), host=HostWindow(memory_total_bytes=total)) == Shortage()


def test_no_part_of_another_column_is_outside() -> None:
    """Of the host only the CPU is known as a whole."""
    assert rise_outside(window(HostWindow(4, stepped(1.0, 3.5))), 0.0, "io_bytes_per_second", SIDES) == 0.0
    assert own_rise(window(HostWindow()), victim_with(), CPU, SIDES) == 0.0
