"""The resctrl sampler: which rows it makes of the groups that the assignments name, and what it says of itself."""

import errno
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes.occupancy_story import LLC_BYTES, NewStory, OccupancyStory, occupancy_stories

from agent.config import Config
from agent.model.rule import Assignment, Monitoring, Unit, UnitKind, canonical, pod_key
from agent.model.rule_state import RuleState
from agent.model.table import Value
from agent.model.timebase import MS, S
from workers.framework.sampler_work import CATCH_UP_NS
from workers.resctrl.plan import Plan
from workers.resctrl.reading_counts import SILENT_TICKS, WORDS_TOLD_MAX
from workers.samplers.resctrl import GROUPS_LOOKED_AT, LOOK_NS, OPEN_NS, SAMPLER

FIRST = "mbm_total_rate:first_tick,mbm_local_rate:first_tick"


@pytest.fixture
def new_story(tmp_path: Path) -> Iterator[NewStory]:
    """Makes stories with these settings, not yet started."""
    with occupancy_stories(tmp_path) as make:
        yield make


@pytest.fixture
def story(new_story: NewStory) -> OccupancyStory:
    """A sampler with the settings that it has by itself."""
    story = new_story()
    story.start()
    return story


def _by_pod(rows: list[dict[str, Value]], column: str) -> dict[Value, Value]:
    return {row["pod_uid"]: row[column] for row in rows}


def test_a_row_says_all_of_a_pod(story: OccupancyStory) -> None:
    """Every column, with the sums over both domains, and the rates from the second tick on."""
    path = f"{story.folder.root}/{story.make_pod('a')}"
    story.assign("a", path, namespace="shop", name="till-0", containers=(3, 2))
    (row,) = story.tick()
    wall_ns = story.fake_clock.wall_ns()
    expected = {
        "timestamp": wall_ns, "pod_namespace": "shop", "pod_name": "till-0", "pod_uid": "a", "resctrl_group": path,
        "llc_occupancy_bytes": 246, "start_timestamp": wall_ns, "total_containers": 3, "reconciled_containers": 2,
        "mbm_total_bytes": 2000, "mbm_local_bytes": 1200, "mbm_total_bytes_per_second": None,
        "mbm_local_bytes_per_second": None, "absent": FIRST, "llc_size_bytes": sum(LLC_BYTES.values()), "pods_in_group": 1,
        "emulated": None,
    }  # fmt: skip
    assert row == expected
    story.folder.put("mon_groups/pod_a/mon_data/mon_L3_01", mbm_total_bytes=4000)
    (row,) = story.tick(2 * S)
    assert (row["mbm_total_bytes_per_second"], row["mbm_local_bytes_per_second"], row["absent"]) == (1500.0, 0.0, None)


def test_rows_of_an_emulated_resctrl_say_so(story: OccupancyStory) -> None:
    """Also the last row of a group when the mount is gone, and the worker's own statistics."""
    story.folder.emulated = True
    story.make_pod("a")
    assert [row["emulated"] for row in story.tick()] == [True]
    assert {row["emulated"] for row in story.domain_rows} == {True}
    assert story.probe.stats()["emulated"] is True
    story.folder.mount = None
    assert [row["emulated"] for row in story.tick()] == [True]


def test_a_domain_row_says_all_of_a_group_in_a_domain_and_in_its_nodes(story: OccupancyStory) -> None:
    """Nodes have rows of their own, and their values are in their domain's sum already."""
    path = story.make_pod("a")
    story.folder.put(f"{path}/mon_data/mon_L3_01/mon_sub_L3_02", llc_occupancy=23, mbm_total_bytes=400)
    (row,) = story.tick()
    assert (row["llc_occupancy_bytes"], row["mbm_total_bytes"]) == (246, 2000)
    wall_ns = story.fake_clock.wall_ns()
    common = {
        "timestamp": wall_ns, "start_timestamp": wall_ns, "resctrl_group": f"{story.folder.root}/{path}", "resource": "L3",
        "mbm_total_bytes_per_second": None, "mbm_local_bytes_per_second": None, "emulated": None,
    }  # fmt: skip
    domain = {"sub_domain": None, "llc_occupancy_bytes": 123, "mbm_total_bytes": 1000, "mbm_local_bytes": 600, "absent": FIRST}
    node = {"sub_domain": 2, "llc_occupancy_bytes": 23, "mbm_total_bytes": 400, "mbm_local_bytes": None, "llc_size_bytes": None}
    assert story.domain_rows == [
        {**common, "domain": 0, **domain, "llc_size_bytes": LLC_BYTES[0]},
        {**common, "domain": 1, **domain, "llc_size_bytes": LLC_BYTES[1]},
        {**common, "domain": 1, **node, "absent": "mbm_total_rate:first_tick,mbm_local:unsupported"},
    ]


def test_pods_that_share_a_group_have_its_values_each_and_it_is_read_once(story: OccupancyStory) -> None:
    """The rows say with how many; the group's domains have one row each."""
    path = story.folder.make_group("mon_groups/batch")
    for uid in ("b", "a"):
        story.assign(uid, path)
    rows = story.tick()
    assert [(row["pod_uid"], row["llc_occupancy_bytes"], row["pods_in_group"]) for row in rows] == [("a", 246, 2), ("b", 246, 2)]
    assert len(story.domain_rows) == 2
    assert len(story.folder.descriptors) == 6


def test_a_group_of_several_directories_is_their_sum_under_the_name_of_the_first(story: OccupancyStory) -> None:
    """A pod with threads in another tool's control group; a rate of each counter, then their sum."""
    own = story.folder.make_group("mon_groups/pod_a")
    other = story.folder.make_group("gold/mon_groups/pod_a", (1,), llc_occupancy=10)
    story.assign("a", own, other)
    (row,) = story.tick()
    assert (row["resctrl_group"], row["llc_occupancy_bytes"], row["mbm_total_bytes"]) == (own, 256, 3000)
    assert [(row["domain"], row["llc_occupancy_bytes"]) for row in story.domain_rows] == [(0, 123), (1, 133)]
    story.folder.put("gold/mon_groups/pod_a/mon_data/mon_L3_01", mbm_total_bytes=1500)
    assert story.tick()[0]["mbm_total_bytes_per_second"] == 500.0
    story.folder.remove("gold")
    story.tick()
    (row,) = story.tick()
    # As long as it is assigned the row is not whole, and says so.
    assert (row["llc_occupancy_bytes"], row["absent"]) == (246, "llc_occupancy:vanished,mbm_total:vanished,mbm_local:vanished")


def test_a_second_directory_that_comes_later_leaves_the_first_ones_counters_alone(story: OccupancyStory) -> None:
    """Only the new one begins."""
    own = f"{story.folder.root}/{story.make_pod('a')}"
    story.tick()
    story.folder.put("mon_groups/pod_a/mon_data/mon_L3_00", mbm_total_bytes=1700)
    story.assign("a", own, story.folder.make_group("gold/mon_groups/pod_a"))
    (row,) = story.tick()
    assert (row["mbm_total_bytes_per_second"], row["absent"]) == (700.0, FIRST)


def test_two_resources_with_the_same_event_are_not_added_up(story: OccupancyStory) -> None:
    """The same traffic, told twice; the cache's word stands, whatever else there is."""
    path = story.make_pod("a")
    story.folder.put(f"{path}/mon_data/mon_MB_00", mbm_total_bytes=1999)
    story.folder.put(f"{path}/mon_data/mon_L2_00", llc_occupancy=7)
    story.folder.put(f"{path}/mon_data/mon_PERF_PKG_00", core_energy=7)
    (row,) = story.tick()
    assert (row["llc_occupancy_bytes"], row["mbm_total_bytes"]) == (246, 2000)
    assert [row["resource"] for row in story.domain_rows] == ["L2", "L3", "L3", "MB"]
    assert {row["resource"]: row["llc_size_bytes"] for row in story.domain_rows} == {"L2": None, "L3": LLC_BYTES[1], "MB": None}


def test_hardware_without_bandwidth_has_none_and_says_why(story: OccupancyStory) -> None:
    """Occupancy stands alone."""
    story.folder.put("mon_groups/pod_a/mon_data/mon_L3_00", llc_occupancy=5)
    story.assign("a", f"{story.folder.root}/mon_groups/pod_a")
    (row,) = story.tick()
    assert (row["llc_occupancy_bytes"], row["mbm_total_bytes"], row["mbm_total_bytes_per_second"]) == (5, None, None)
    assert row["absent"] == "mbm_total:unsupported,mbm_local:unsupported"


def test_each_reason_stands_once_however_many_domains_have_it(story: OccupancyStory) -> None:
    """And different ones stand beside each other."""
    story.folder.make_group("mon_groups/pod_a", (0, 1, 2, 3))
    story.assign("a", f"{story.folder.root}/mon_groups/pod_a")
    for domain, word in enumerate(("Unavailable", "Unavailable", "Error")):
        story.folder.put(f"mon_groups/pod_a/mon_data/mon_L3_{domain:02d}", llc_occupancy=word)
    (row,) = story.tick()
    assert (row["llc_occupancy_bytes"], row["absent"]) == (123, f"llc_occupancy:unavailable,llc_occupancy:error,{FIRST}")


def test_a_sum_that_no_column_holds_is_absent(story: OccupancyStory) -> None:
    """64 bits without a sign fit into a file and not into a table; the loop goes on, the other values stand."""
    story.make_pod("a", mbm_total_bytes=(1 << 63) - 1)
    (row,) = story.tick()
    assert (row["mbm_total_bytes"], row["mbm_local_bytes"]) == (None, 1200)
    assert str(row["absent"]).split(",")[1] == "mbm_total:implausible"
    assert story.domain_rows[0]["mbm_total_bytes"] == (1 << 63) - 1


def test_pods_without_a_group_have_no_row(story: OccupancyStory) -> None:
    """Why they have none is the control plane's to tell; nothing is read outside of groups."""
    story.assign("b")
    story.make_pod("a")
    assert [row["pod_uid"] for row in story.tick()] == ["a"]


def test_a_new_name_of_a_pod_touches_no_counter_and_only_what_changed_is_decoded(story: OccupancyStory) -> None:
    """Labels come and change; the group is the same."""
    paths = {uid: story.make_pod(uid) for uid in "abc"}
    story.tick()
    decoded = story.probe._plan.decoded
    story.assign("b", f"{story.folder.root}/{paths['b']}", name="new")
    rows = story.tick()
    assert _by_pod(rows, "pod_name") == {"a": None, "b": "new", "c": None}
    assert {row["absent"] for row in rows} == {None}
    assert story.probe._plan.decoded == decoded + 1


def test_a_pod_that_is_removed_gives_its_descriptors_back_at_once(story: OccupancyStory) -> None:
    """Not at the next tick: its group can be removed now."""
    for uid in "ab":
        story.make_pod(uid)
    story.tick()
    story.remove_pod("a")
    assert len(story.folder.descriptors) == 6
    assert [row["pod_uid"] for row in story.tick()] == ["b"]


def test_a_group_that_may_not_be_read_has_a_row_at_every_tick_that_says_so(story: OccupancyStory) -> None:
    """It is there, so it does not fall silent; the others are not touched."""
    for uid in "ab":
        story.make_pod(uid)
    story.folder.fail("mon_groups/pod_a/mon_data", errno.EACCES)
    for _ in range(3):
        rows = {row["pod_uid"]: row for row in story.tick()}
        assert rows["a"]["absent"] == "llc_occupancy:no_permission,mbm_total:no_permission,mbm_local:no_permission"
        assert rows["b"]["llc_occupancy_bytes"] == 246


def test_each_group_has_the_time_of_its_own_reading(story: OccupancyStory) -> None:
    """All share the time of the scan's beginning."""
    for uid in "ab":
        story.make_pod(uid)
    story.tick()
    reading = story.folder.read_open
    story.folder.read_open = lambda descriptor, bytes_max: (story.fake_clock.advance(100_000), reading(descriptor, bytes_max))[1]  # type: ignore[method-assign]
    rows = story.tick()
    start_ns = rows[0]["start_timestamp"]
    assert isinstance(start_ns, int)
    assert [row["timestamp"] for row in rows] == [start_ns + 600_000, start_ns + 1_200_000]
    assert [row["timestamp"] for row in story.domain_rows] == [start_ns + 600_000] * 2 + [start_ns + 1_200_000] * 2


# ---- domains that come and go --------------------------------------------------------------------


def test_a_domain_that_appears_everywhere_is_in_every_group_within_two_seconds(story: OccupancyStory) -> None:
    """The root has it too; however many groups there are."""
    groups = [story.make_pod(f"{number:02d}") for number in range(3 * GROUPS_LOOKED_AT)]
    story.folder.put("mon_data/mon_L3_00", llc_occupancy=0)
    story.tick()
    for group in ("", *(f"{group}/" for group in groups)):
        story.folder.put(f"{group}mon_data/mon_L3_07", llc_occupancy=1000)
    for _ in range(LOOK_NS // S):
        rows = story.tick()
    assert set(_by_pod(rows, "llc_occupancy_bytes").values()) == {1246}


def test_a_domain_that_appears_in_one_group_alone_is_found_in_its_turn(story: OccupancyStory) -> None:
    """No group is forgotten, and no tick lists more than a few."""
    groups = [story.make_pod(f"{number:02d}") for number in range(3 * GROUPS_LOOKED_AT)]
    story.tick()
    story.folder.put(f"{groups[-1]}/mon_data/mon_L3_07", llc_occupancy=1000)
    for _ in range(LOOK_NS // S + 2):
        story.folder.calls.clear()
        rows = story.tick()
        listed = [path for call, path in story.folder.calls if call == "list_directories" and path.endswith("/mon_data")]
        assert len(listed) <= GROUPS_LOOKED_AT
    assert rows[-1]["llc_occupancy_bytes"] == 1246


def test_a_group_that_vanishes_twice_is_told_twice(story: OccupancyStory) -> None:
    """One row each time, and none in between the two but those with values."""
    path = story.make_pod("a")
    seen = []
    for _ in range(2):
        seen += [row["llc_occupancy_bytes"] for row in story.tick()]
        story.folder.remove(path)
        seen += [row["llc_occupancy_bytes"] for _ in range(2) for row in story.tick()]
        story.folder.make_group(path)
    assert seen == [246, None, 246, None]


# ---- many new groups -----------------------------------------------------------------------------


def _slow_opening(story: OccupancyStory) -> None:
    opening = story.folder.open
    story.folder.open = lambda path: (story.fake_clock.advance(1 * MS), opening(path))[1]  # type: ignore[method-assign]


def test_an_event_without_any_value_for_a_while_is_a_condition(story: OccupancyStory) -> None:
    """One group's trouble is in its rows; when no group has a value, somebody must hear of it."""
    paths = [story.make_pod(uid) for uid in ("p1", "p2")]
    story.tick()
    for path in paths:
        for domain in (0, 1):
            story.folder.put(f"{path}/mon_data/mon_L3_{domain:02d}", llc_occupancy="Unavailable")
    for _ in range(SILENT_TICKS - 1):
        story.tick()
    assert story.bus.conditions == []
    story.tick()
    (told,) = story.bus.conditions
    assert (told.kind, told.active, told.blocks_ready) == ("no_values", True, False)
    assert "llc_occupancy unavailable" in told.detail
    story.folder.put(f"{paths[0]}/mon_data/mon_L3_00", llc_occupancy=1)
    story.tick()
    assert [held.active for held in story.bus.conditions] == [True, False]


def test_an_entry_that_cannot_be_read_costs_its_own_pod_alone() -> None:
    """One of a newer version, or a damaged one: the others are read on, and the sampler lives."""
    pod = Unit("p1", UnitKind.POD, "/kubepods/podp1", 1)
    paths = ("/sys/fs/resctrl/mon_groups/pod_p1",)
    rules = RuleState([(pod_key("p1"), canonical(Assignment(pod, "p1", None, 0, 0, Monitoring(paths)))), (pod_key("p2"), b"{")])
    plan = Plan()
    assert plan.take(rules)
    assert (list(plan.groups), plan.unreadable) == ([paths[0]], 1)
    rules.put(pod_key("p1"), b"[]")
    assert plan.take(rules)
    assert (list(plan.groups), plan.unreadable) == ([], 2)
    rules.put(pod_key("p1"), None)
    assert plan.take(rules)


def test_many_new_groups_are_opened_between_two_ticks_and_the_next_only_reads(story: OccupancyStory) -> None:
    """In parts that leave the loop its turn; each beats, and the counters begin with the tick."""
    story.tick()
    _slow_opening(story)
    for number in range(100):
        story.make_pod(f"{number:03d}")
    assert not story.folder.descriptors
    parts, beats = 0, story.beats
    while (deadline_ns := story.work.next_deadline_ns() or 0) <= (now_ns := story.fake_clock.now_ns()):
        story.work.on_timer(now_ns)
        assert story.fake_clock.now_ns() - now_ns <= CATCH_UP_NS + 6 * MS
        parts += 1
    # 600 files, one a millisecond, and a beat every twenty.
    assert parts == 12
    assert story.beats - beats >= 24
    assert len(story.folder.descriptors) == 600
    began_ns = story.fake_clock.now_ns()
    rows = story.tick(deadline_ns - began_ns)
    assert (len(rows), story.fake_clock.now_ns()) == (100, deadline_ns)
    assert {row["absent"] for row in rows} == {FIRST}


def test_after_a_remount_groups_are_opened_between_two_ticks_too(story: OccupancyStory) -> None:
    """All of them are new then; what the tick that notices it has no time for does not wait for the next."""
    for number in range(30):
        story.make_pod(f"{number:02d}")
    story.tick()
    _slow_opening(story)
    story.folder.mount = 2
    assert len(story.tick()) < 30
    while (story.work.next_deadline_ns() or 0) <= story.fake_clock.now_ns():
        story.work.on_timer(story.fake_clock.now_ns())
    assert len(story.folder.descriptors) == 180


def test_a_group_whose_pod_is_gone_before_it_was_opened_is_not_opened(story: OccupancyStory) -> None:
    """Its descriptors would belong to nobody."""
    story.tick()
    story.make_pod("a")
    story.remove_pod("a")
    assert not story.probe.is_behind()


def test_what_a_tick_finds_unopened_it_opens_for_a_moment_and_after_those_that_are_open(story: OccupancyStory) -> None:
    """Nobody waits for ever, and nobody's interval is made longer."""
    story.make_pod("zz")
    story.tick()
    _slow_opening(story)
    for number in range(30):
        story.make_pod(f"{number:02d}")
    seen = []
    for tick in range(5):
        due_ns = story.fake_clock.now_ns() + S
        rows = story.tick()
        seen.append(len(rows) - 1)
        assert story.probe.stats()["groups_waiting"] == 30 - seen[-1]
        assert (rows[0]["pod_uid"] == "zz") == (tick == 0)
        assert story.fake_clock.now_ns() - due_ns <= OPEN_NS + 6 * MS
    assert seen == [9, 18, 27, 30, 30]


def test_groups_that_cannot_be_opened_keep_no_other_from_its_turn(story: OccupancyStory) -> None:
    """Who was tried longest ago is tried first."""
    listing = story.folder.list_directories
    story.folder.list_directories = lambda path: (story.fake_clock.advance(10 * MS), listing(path))[1]  # type: ignore[method-assign]
    for number in range(12):
        story.assign(f"{number:02d}", f"{story.folder.root}/mon_groups/gone_{number}")
    story.make_pod("zz")
    rows = [row["pod_uid"] for _ in range(4) for row in story.tick()]
    assert "zz" in rows


# ---- the mount -----------------------------------------------------------------------------------


def test_where_it_is_not_mounted_a_condition_says_so_and_what_to_do(new_story: NewStory) -> None:
    """Before the worker is ready; nothing is measured, and it comes by itself."""
    story = new_story(enabled="true")
    story.folder.mount = None
    story.start()
    (condition,) = story.bus.conditions
    assert (condition.kind, condition.active, condition.blocks_ready) == ("unreadable", True, True)
    assert story.folder.root in condition.detail
    assert "mount -t resctrl resctrl" in condition.detail
    assert "resctrl.auto_mount" in condition.detail
    story.make_pod("a")
    story.folder.mount = 7
    assert [row["llc_occupancy_bytes"] for row in story.tick()] == [246]
    assert [held.active for held in story.bus.conditions] == [True, False]


@pytest.mark.parametrize(
    ("enabled", "was_there", "blocks"), [("true", False, True), ("true", True, True), ("auto", False, False), ("auto", True, True)]
)
def test_its_absence_blocks_readiness_where_it_was_asked_for_or_had_been_there(
    new_story: NewStory, enabled: str, was_there: bool, blocks: bool
) -> None:
    """With auto a host without resctrl is no failure; one that loses it is."""
    story = new_story(enabled=enabled)
    story.folder.mount = 1 if was_there else None
    story.start()
    story.folder.mount = None
    story.tick()
    assert [(held.active, held.blocks_ready) for held in story.bus.conditions] == [(True, blocks)]


def test_when_it_is_unmounted_every_pod_has_one_row_that_says_so_and_nothing_stays_open(story: OccupancyStory) -> None:
    """What was offered before stays offered; when it is mounted again, all is measured again, with new counters."""
    story.make_pod("a")
    story.tick()
    story.folder.mount = None
    (row,) = story.tick()
    assert (row["llc_occupancy_bytes"], row["absent"]) == (None, "llc_occupancy:vanished,mbm_total:vanished,mbm_local:vanished")
    assert story.folder.descriptors == {}
    assert story.tick() == []
    assert [held.active for held in story.bus.conditions] == [True]
    story.folder.mount = 2
    (row,) = story.tick()
    assert (row["llc_occupancy_bytes"], row["absent"]) == (246, FIRST)
    assert [held.active for held in story.bus.conditions] == [True, False]


def test_another_mount_at_the_same_place_is_another_measurement(story: OccupancyStory) -> None:
    """Between two ticks: nobody noticed the moment without, but the counters are others."""
    story.make_pod("a")
    story.tick()
    former = set(story.folder.descriptors.values())
    story.folder.mount = 2
    story.folder.calls.clear()
    (row,) = story.tick()
    assert (row["llc_occupancy_bytes"], row["absent"]) == (246, FIRST)
    assert {path for call, path in story.folder.calls if call == "open"} == former
    assert len(story.folder.descriptors) == 6


def test_where_nothing_at_all_can_be_read_the_cause_is_a_condition(story: OccupancyStory) -> None:
    """The rows say it too, each for itself; one group that can still be read is reason enough to go on."""
    for uid in "ab":
        story.make_pod(uid)
    story.tick()
    for path in story.folder.descriptors.values():
        story.folder.fail(path, errno.ENOTCONN)
    story.folder.fail("mon_data", errno.ENOTCONN)
    for _ in range(3):
        rows = story.tick()
        assert {row["absent"] for row in rows} == {"llc_occupancy:unreadable,mbm_total:unreadable,mbm_local:unreadable"}
    (condition,) = story.bus.conditions
    assert (condition.active, condition.blocks_ready) == (True, True)
    assert "Transport endpoint is not connected" in condition.detail
    story.folder.fail("mon_groups/pod_b/mon_data/mon_L3_00/llc_occupancy", None)
    assert [row["llc_occupancy_bytes"] for row in story.tick()] == [None, 123]
    assert [held.active for held in story.bus.conditions] == [True, False]


# ---- what it says of itself ----------------------------------------------------------------------


def test_a_word_that_nobody_knows_is_told_once(story: OccupancyStory) -> None:
    """With its file and its text; a file of garbage does not fill the log."""
    path = story.make_pod("a")
    for number in range(2 * WORDS_TOLD_MAX):
        for _ in range(2):
            story.folder.put(f"{path}/mon_data/mon_L3_00", llc_occupancy=f"word {number}")
            story.tick()
    assert len(story.bus.notes) == WORDS_TOLD_MAX
    note = story.bus.notes[0]
    assert (note.kind, note.severity) == ("event_malformed", "warning")
    assert note.fields == {"path": f"{path}/mon_data/mon_L3_00/llc_occupancy", "content": r"b'word 0\n'"}


def test_it_counts_its_readings_and_those_without_a_value(story: OccupancyStory) -> None:
    """By reason; and groups, pods, files and descriptors as they are."""
    path = story.make_pod("a")
    story.assign("b", f"{story.folder.root}/{path}")
    story.folder.put(f"{path}/mon_data/mon_L3_00", llc_occupancy="Unavailable", mbm_total_bytes="Error")
    for _ in range(2):
        story.tick()
    document = story.work.on_ask("stats", 0)
    assert document is not None
    expected = {
        "groups": 1, "groups_waiting": 0, "groups_vanished": 0, "pods": 2, "event_files": 6, "descriptors_not_kept": 0,
        "readings": 12, "readings_absent": 4, "absent": {"unavailable": 2, "error": 2},
    }  # fmt: skip
    assert {key: document[key] for key in expected} == expected


def test_at_the_end_nothing_stays_open(story: OccupancyStory) -> None:
    """Every descriptor is given back."""
    story.make_pod("a")
    story.tick()
    story.work.on_stop(0, for_good=True)
    assert story.folder.descriptors == {}


# ---- whether it runs at all ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("enabled", "auto_mount", "filesystems", "wanted"),
    [
        ("true", False, "", True),
        ("false", True, "nodev\tresctrl\n", False),
        ("auto", False, "nodev\tresctrl\n", False),
        ("auto", True, "nodev\tresctrl\n", True),
        ("auto", True, "nodev\tresctrlfs\nresctrl2\n", False),
        ("auto", True, None, False),
    ],
)
def test_it_runs_where_it_was_asked_for_or_where_it_can(
    tmp_path: Path, enabled: str, auto_mount: bool, filesystems: str | None, wanted: bool
) -> None:
    """Nothing is mounted here: with auto it takes a kernel that knows resctrl, and the agent's leave to mount it."""
    if filesystems is not None:
        (tmp_path / "filesystems").write_text(filesystems)
    values: dict[str, int | str | bool] = {
        "sampler.resctrl.enabled": enabled, "resctrl.auto_mount": auto_mount, "kernel.proc_root": str(tmp_path),
        "resctrl.mount": str(tmp_path / "nothing"),
    }  # fmt: skip
    assert SAMPLER.is_wanted(Config(values)) is wanted
