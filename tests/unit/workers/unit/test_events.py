"""What happened to units, once each, kills before ends."""

from typing import Any

from fakes.row_problem import problem_of_row

from agent.model.absence import Absence
from agent.model.rule import UnitKind
from agent.model.timebase import S
from agent.ports import Interest
from workers.unit.events import EVENTS_MAX, FIRST_LOOK_NS, UnitEvents, UnitExit
from workers.unit.limit import LimitChange
from workers.unit.oom_ledger import OomKill, OomVerdict
from workers.unit.schema import UNIT_EVENT
from workers.unit.tracked_unit import DirectoryState, Instant, TrackedUnit

START = Instant(100 * S, 1_000_000 * S)
POD = "11111111-2222-3333-4444-555555555555"
POD_CGROUP = f"/kubepods/burstable/pod{POD}"
CONTAINER = "c" * 64


class ListedKills:
    """In place of `workers.unit.oom_watch.OomWatch`."""

    def __init__(self) -> None:
        self.kills: list[tuple[int, OomKill]] = []
        self.units: dict[str, bool] = {}
        self.readable: list[int] = []
        self.lost = self.notices = self.watches = 0
        self.is_closed = False

    def begin(self, path: str, *, is_leaf: bool) -> None:
        self.units[path] = is_leaf

    def end(self, path: str) -> None:
        del self.units[path]

    def interests(self) -> tuple[Interest, ...]:
        return (Interest(7),)

    def on_readable(self, descriptor: int, now_ns: int) -> None:
        self.readable.append(descriptor)

    def take(self, now_ns: int) -> list[tuple[int, OomKill]]:
        kills, self.kills = self.kills, []
        return kills

    def close(self) -> None:
        self.is_closed = True


class Story:
    """Units, and what a table says of them tick by tick."""

    def __init__(self, exit_: UnitExit | None = None) -> None:
        self.watch = ListedKills()
        self.events = UnitEvents(lambda: self.watch, *(() if exit_ is None else (lambda _unit: exit_,)))  # type: ignore[arg-type, return-value]  # it has all that is used
        self.at = START

    def begin(self, unit: TrackedUnit, *, age_ns: int = 3600 * S, links: int = 2) -> TrackedUnit:
        """A unit that was made so long ago."""
        unit.started_wall_ns = self.at.wall_ns - age_ns
        unit.state = DirectoryState(1, links, unit.started_wall_ns)
        self.events.begin(unit, self.at)
        return unit

    def end(self, unit: TrackedUnit, *, is_gone: bool = True) -> None:
        """It is gone, or no unit any more."""
        unit.is_gone = is_gone
        self.events.end(unit, self.at)

    def tick(self, after_ns: int = 1 * S) -> list[dict[str, Any]]:
        """The rows, by column name."""
        self.at = Instant(self.at.now_ns + after_ns, self.at.wall_ns + after_ns)
        ((table, rows),) = self.events.rows(self.at)
        assert table is UNIT_EVENT
        assert [problem for row in rows if (problem := problem_of_row(UNIT_EVENT, row)) is not None] == []
        return [dict(zip(UNIT_EVENT.column_names, row, strict=True)) for row in rows]


def service(name: str = "a") -> TrackedUnit:
    """A service."""
    return TrackedUnit(f"/system.slice/{name}.service", UnitKind.SERVICE, f"/system.slice/{name}.service")


def words(rows: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Unit and event of each row."""
    return [(row["unit"], row["event"]) for row in rows]


def test_what_was_there_before_has_not_started() -> None:
    """Units are found one after the other, also seconds after the sampler began; what is made then has started."""
    story = Story()
    story.begin(service())
    assert story.tick() == []
    story.begin(service("late"))
    story.begin(service("new"), age_ns=0)
    # The time of a directory is that of its last new sub-directory.
    story.begin(TrackedUnit("/user.slice", UnitKind.SLICE, "/user.slice"), age_ns=0, links=5)
    assert words(story.tick()) == [("/system.slice/new.service", "started")]
    story.tick(FIRST_LOOK_NS)
    story.begin(service("later"), age_ns=3600 * S)
    assert words(story.tick()) == [("/system.slice/later.service", "started")]
    assert story.tick() == []


def test_a_kill_is_told_before_the_end_of_its_unit() -> None:
    """Whichever was seen first; the kill has the time at which it was seen."""
    story = Story()
    unit = story.begin(service())
    story.tick()
    story.end(unit)
    story.watch.kills = [(story.at.now_ns + S // 4, OomKill(unit.path, OomVerdict.OWN_LIMIT, 2, None, 4096))]
    kill, end = story.tick()
    assert (kill["event"], kill["verdict"], kill["kills"], kill["limit_bytes"], kill["culprit"]) == (
        "oom",
        "own_limit",
        2,
        4096,
        None,
    )
    assert kill["timestamp"] == story.at.wall_ns - S * 3 // 4
    assert (end["event"], end["exit_code"], end["signal"], end["absent"]) == ("ended", None, None, Absence.NOT_A_CHILD.value)
    assert (kill["sequence"], end["sequence"]) == (1, 2)
    assert story.watch.units == {}
    assert story.tick() == []


def test_an_end_has_its_exit_code_where_somebody_knows_it() -> None:
    """The agent is the parent of workloads alone."""
    for found in (UnitExit(3, None, None), UnitExit(None, 9, None)):
        story = Story(found)
        story.end(story.begin(service()))
        (end,) = story.tick()
        assert (end["exit_code"], end["signal"], end["absent"]) == (found.code, found.signal, None)


def test_a_unit_that_is_no_longer_measured_has_not_ended() -> None:
    """Its cgroup is still there."""
    story = Story()
    story.end(story.begin(service()), is_gone=False)
    assert story.tick() == []


def test_a_changed_limit_is_told_of_the_unit_that_has_it() -> None:
    """Not of all that are below it, and not where no unit is."""
    story = Story()
    story.begin(service())
    story.events.on_limit("/system.slice/a.service", LimitChange("memory.max", None, 4096))
    story.events.on_limit("/system.slice/a.service", LimitChange("cpu.max", 1.5, 2.0))
    story.events.on_limit("/system.slice", LimitChange("cpu.max", 1.5, None))
    rows = story.tick()
    assert [(row["event"], row["limit"], row["before"], row["after"]) for row in rows] == [
        ("limit_changed", "memory.max", "max", "4096"),
        ("limit_changed", "cpu.max", "1.5", "2"),
    ]
    assert story.tick() == []


def test_containers_and_services_are_leaves_and_pods_and_slices_are_not() -> None:
    """What is below a leaf is its own."""
    story = Story()
    pod = story.begin(TrackedUnit(POD, UnitKind.POD, POD_CGROUP))
    container = story.begin(TrackedUnit(POD, UnitKind.POD, f"{POD_CGROUP}/{CONTAINER}", container=CONTAINER, pod=pod))
    slice_ = story.begin(TrackedUnit("/a.slice", UnitKind.SLICE, "/a.slice"))
    unit = story.begin(service())
    assert story.watch.units == {pod.path: False, container.path: True, slice_.path: False, unit.path: True}


def test_a_victim_that_nobody_knew_is_named_by_its_path() -> None:
    """Born, killed and removed between two ticks; or in a part of a unit; or in no unit at all, which is counted."""
    story = Story()
    slice_ = story.begin(TrackedUnit("/a.slice", UnitKind.SLICE, "/a.slice"))
    paths = [f"{POD_CGROUP}/{CONTAINER}", "/system.slice/x.service/inner", "/a.slice/plain", "/plain"]
    story.watch.kills = [(story.at.now_ns, OomKill(path, OomVerdict.HOST, 1)) for path in paths]
    rows = story.tick()
    assert [(row["unit"], row["container"], row["cgroup"]) for row in rows] == [
        (POD, CONTAINER, paths[0]),
        ("/system.slice/x.service", None, "/system.slice/x.service"),
        (slice_.uid, None, slice_.cgroup),
    ]
    assert story.events.stats()["oom_kills_unattributed"] == 1
    assert story.events.stats()["oom_kills"] == 4


def test_a_limit_of_a_part_of_a_unit_is_its_own() -> None:
    """The ledger knows cgroups, and not which of them are units."""
    story = Story()
    story.begin(TrackedUnit("/a.slice", UnitKind.SLICE, "/a.slice"))
    story.watch.kills = [
        (story.at.now_ns, OomKill("/a.slice/x/y", OomVerdict.ANCESTOR, 1, "/a.slice/x")),
        (story.at.now_ns, OomKill("/a.slice/x/y", OomVerdict.ANCESTOR, 1, "/a.slice")),
        (story.at.now_ns, OomKill("/system.slice/b.service", OomVerdict.ANCESTOR, 1, "/system.slice")),
    ]
    assert [(row["verdict"], row["culprit"]) for row in story.tick()] == [
        ("own_limit", None),
        ("own_limit", None),
        ("ancestor", "/system.slice"),
    ]


def test_a_kill_without_a_verdict_says_why() -> None:
    """The root is hidden in a container."""
    story = Story()
    unit = story.begin(service())
    story.watch.kills = [(story.at.now_ns, OomKill(unit.path, None, 1))]
    (kill,) = story.tick()
    assert (kill["verdict"], kill["absent"]) == (None, Absence.ROOT_HIDDEN.value)


def test_more_events_than_a_tick_may_have_are_counted() -> None:
    """Never a flood."""
    story = Story()
    for number in range(EVENTS_MAX + 10):
        story.begin(service(str(number)), age_ns=0)
    assert len(story.tick()) == EVENTS_MAX
    assert story.events.stats()["events_lost"] == 10
    assert story.events.stats()["events"] == EVENTS_MAX


def test_before_the_first_unit_nothing_is_watched() -> None:
    """The watch is made with it, and closed with the part."""
    story = Story()
    assert story.events.interests() == ()
    story.events.on_readable(7, 1)
    assert story.tick() == []
    story.events.close()
    assert not story.watch.is_closed
    story.begin(service())
    assert story.events.interests() == (Interest(7),)
    story.events.on_readable(7, 1)
    story.events.close()
    assert story.watch.readable == [7]
    assert story.watch.is_closed


def test_the_end_of_a_workload_is_left_to_who_knows_how_it_ended() -> None:
    """Worker `workloads` writes it with the keeper's exit code; two rows of one end would be two ends."""
    story = Story()
    path = "/evergauge-workloads/a.workload"
    story.end(story.begin(TrackedUnit(path, UnitKind.WORKLOAD, path)))
    assert story.tick() == []
