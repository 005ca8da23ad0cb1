"""The control plane's work over a scripted tree: looks, rules, adoption, conditions and a clean stop."""

import errno
from collections.abc import Iterable

import pytest
from fakes.bus import RecordingBus
from fakes.clock import FakeClock
from fakes.kernel_tree import MemoryTree
from fakes.outbox import RecordingOutbox

from agent.config import CONTROL_PLANE_INTERVAL, Config
from agent.model.message import encode
from agent.model.rule import Action, Assignment, GroupRule, Match, QosClass, canonical, decode_assignment, rule_key
from agent.model.rule_state import RuleState
from agent.model.tables import POD_GROUP
from workers.control_plane.pods import UNITS_MAX
from workers.control_plane.work import CHUNK, ControlPlaneWork

CONTAINER = "c" * 64
UID = "8a7f1c52-3e0b-4d6a-9f21-7c5d0e4b6a13"
POD = f"kubepods/burstable/pod{UID}"
NGINX = "/system.slice/nginx.service"
SHARED = GroupRule("shared", match=Match(qos=QosClass.BURSTABLE), action=Action("shared", "front"))


class Story:
    """One worker over one tree, with everything it says kept."""

    def __init__(self, tree: MemoryTree | None = None, rules: RuleState | None = None, clock: FakeClock | None = None) -> None:
        self.tree = tree or MemoryTree({"cgroup.controllers": b"", f"{POD}/{CONTAINER}/x": b"", f"{NGINX[1:]}/x": b""})
        self.clock = clock or FakeClock()
        self.outbox = RecordingOutbox()
        self.bus = RecordingBus()
        self.work = ControlPlaneWork(self.clock, self.tree, self.outbox, self.bus, Config({}), run="r")
        self.work.on_rules(rules or RuleState())
        self.work.on_start(self.clock.now_ns())

    def look(self) -> "Story":
        """The time of the next look comes."""
        deadline_ns = self.work.next_deadline_ns()
        assert deadline_ns is not None
        self.work.on_timer(self.clock.advance(deadline_ns - self.clock.now_ns()))
        return self

    def echo(self, rules: Iterable[GroupRule] = ()) -> RuleState:
        """What the supervisor holds after everything published, and these operator rules, handed to the worker."""
        state = RuleState(self.bus.entries().items())
        for rule in rules:
            state.put(rule_key(rule.name), canonical(rule))
        self.work.on_rules(state)
        return state

    def assigned(self) -> dict[str, Assignment]:
        """The assignments published so far, by uid."""
        return {key.removeprefix("pod/"): decode_assignment(content) for key, content in self.bus.entries().items()}


def test_the_first_look_is_due_at_once_but_not_part_of_the_start() -> None:
    """A restarted worker is ready before it walks a large tree."""
    story = Story()
    assert story.clock.now_ns() == story.work.next_deadline_ns()
    assert (story.tree.calls, story.bus.published) == ([], [])


def test_the_first_look_is_published_as_complete() -> None:
    """Pods with their containers, services by name; one opening row each."""
    story = Story().look()

    (published,) = story.bus.published
    assert published.complete
    assert {UID, NGINX} == set(story.assigned())
    assert (story.assigned()[UID].unit.containers, story.assigned()[UID].unit.cgroup) == (1, "/" + POD)
    assert {row["pod_uid"]: row["valid_until"] for row in story.outbox.records(POD_GROUP)} == {UID: None, NGINX: None}


def test_a_host_without_units_is_complete_as_well() -> None:
    """Nothing found by a whole look is a result, and is said once."""
    story = Story(MemoryTree({"cgroup.controllers": b""})).look().look()
    assert [(published.changes, published.complete) for published in story.bus.published] == [([], True)]


def test_looks_are_an_interval_apart_and_say_nothing_when_nothing_changed() -> None:
    """The second and third look at the same tree are silent, with the supervisor's echo and without."""
    story = Story().look()
    began_ns = story.clock.now_ns()
    story.look()
    story.echo()
    story.look()

    assert 2 * CONTROL_PLANE_INTERVAL.default == story.clock.now_ns() - began_ns
    assert len(story.bus.published) == 1
    assert len(story.outbox.records(POD_GROUP)) == 2


def test_a_pod_that_ends_is_removed_and_closed() -> None:
    """Its directory is gone at the next look."""
    story = Story().look()
    story.tree.remove("kubepods")
    story.look()

    assert [(f"pod/{UID}", None)] == story.bus.published[-1].changes
    last = story.outbox.records(POD_GROUP)[-1]
    assert (UID, story.clock.wall_ns()) == (last["pod_uid"], last["valid_until"])


def test_operator_rules_bind_at_once() -> None:
    """No look is needed for a new rule: units are as they were seen last."""
    story = Story().look()
    looked = len(story.tree.calls)

    story.echo([SHARED])

    assert (story.assigned()[UID].group, story.assigned()[UID].rule) == ("front", "shared")
    assert looked == len(story.tree.calls)
    assert story.assigned()[NGINX].group == NGINX


def test_a_rule_that_goes_gives_the_pods_their_own_groups_back() -> None:
    """Removing a rule binds again like adding one."""
    story = Story().look()
    story.echo([SHARED])
    story.clock.advance(1)
    story.echo([])
    assert (story.assigned()[UID].group, story.assigned()[UID].rule) == (UID, None)


def test_an_unreadable_rule_is_told_and_the_others_hold() -> None:
    """One damaged entry never stops the binding."""
    rules = RuleState([("rule/broken", b"{"), (rule_key("shared"), canonical(SHARED))])

    story = Story(rules=rules).look()

    assert [note.kind for note in story.bus.notes] == ["rule_unreadable"]
    assert story.assigned()[UID].group == "front"


def test_a_successor_adopts_and_only_says_that_its_look_is_complete() -> None:
    """After a kill the assignments come back with the rules: same beginning, no changes.

    Their opening rows are written once more, because those of the predecessor may have died with it.
    """
    first = Story().look()
    first.echo([SHARED])
    state = first.echo([SHARED])
    first.clock.advance(10**9)

    second = Story(first.tree, state, first.clock)
    second.look()

    assert [(published.changes, published.complete) for published in second.bus.published] == [([], True)]
    begun = {row["pod_uid"]: row["valid_from"] for row in first.outbox.records(POD_GROUP) if row["valid_until"] is None}
    again = [(row["pod_uid"], row["valid_from"], row["valid_until"], row["run"]) for row in second.outbox.records(POD_GROUP)]
    assert again == [(uid, begun[uid], None, "r") for uid, _from, _until, _run in again]
    assert {uid for uid, *_rest in again} == {UID, NGINX}


def test_a_successor_finds_what_ended_and_what_began_meanwhile() -> None:
    """Between death and restart one pod ended and a service began: what is written last of each says so."""
    first = Story().look()
    state = first.echo()
    first.tree.remove("kubepods")
    first.tree.put("system.slice/cron.service/x")

    second = Story(first.tree, state, first.clock).look()

    rows = {row["pod_uid"]: row["valid_until"] is None for row in second.outbox.records(POD_GROUP)}
    assert rows == {UID: False, NGINX: True, "/system.slice/cron.service": True}
    assert second.bus.published[-1].complete


def test_a_rule_that_comes_before_the_first_look_binds_what_was_adopted() -> None:
    """Nothing is closed for not having been seen yet, and the look is not complete."""
    state = Story().look().echo()
    story = Story(rules=state)

    state.put(rule_key("shared"), canonical(SHARED))
    story.work.on_rules(state)

    (published,) = story.bus.published
    assert (False, [f"pod/{UID}"]) == (published.complete, [key for key, _content in published.changes])
    assert story.assigned()[UID].group == "front"


def test_what_the_supervisor_lost_is_published_again() -> None:
    """A snapshot without our assignments, or with one of nobody's, is repaired at the next look."""
    story = Story().look()
    story.work.on_rules(RuleState([("pod/ghost", b"{}")]))

    story.look()

    changes = dict(story.bus.published[-1].changes)
    assert {f"pod/{UID}", f"pod/{NGINX}", "pod/ghost"} == set(changes)
    assert changes["pod/ghost"] is None


def test_an_unreadable_root_is_a_condition_and_ends_no_interval() -> None:
    """The tree cannot be looked at: said once, assignments stay; said again when it works."""
    story = Story().look()
    story.tree.fail(".", errno.EACCES)
    story.look().look()

    assert [(condition.kind, condition.active) for condition in story.bus.conditions] == [("cgroup_tree", True)]
    assert "Permission denied" in story.bus.conditions[0].detail
    assert len(story.bus.published) == 1

    story.tree.fail(".", None)
    story.look()
    assert [condition.active for condition in story.bus.conditions] == [True, False]


def test_without_a_whole_look_nothing_is_complete() -> None:
    """From the start nothing can be read: a condition, and not one word about units."""
    story = Story(MemoryTree({"readme": b""})).look().look()

    assert story.bus.published == []
    assert [condition.kind for condition in story.bus.conditions] == ["cgroup_tree"]
    assert "kernel.cgroup_root" in story.bus.conditions[0].detail


def test_units_below_an_unreadable_directory_stay() -> None:
    """A part of the tree refuses: a condition, and what was below it is not taken for gone."""
    story = Story().look()
    story.tree.fail("kubepods/burstable", errno.EIO)
    story.look()

    assert len(story.bus.published) == 1
    assert "/kubepods/burstable" in story.bus.conditions[-1].detail


class _CrowdedTree(MemoryTree):
    """While `is_crowded` one slice holds as many scopes as there may be units."""

    is_crowded = True

    def list_directories(self, path: str = ".") -> list[str]:
        if path.endswith("crowd.slice"):
            return [f"{number:05}.scope" for number in range(UNITS_MAX)] if self.is_crowded else []
        return super().list_directories(path)


def test_too_many_units_are_a_condition() -> None:
    """What is left out is said, the pods stay, and it is said when all fit again."""
    tree = _CrowdedTree({"cgroup.controllers": b"", "crowd.slice/x": b"", f"{POD}/{CONTAINER}/x": b""})
    story = Story(tree).look().look()

    assert len(story.assigned()) == UNITS_MAX
    assert UID in story.assigned()
    assert [(condition.kind, condition.active) for condition in story.bus.conditions] == [("units_truncated", True)]

    tree.is_crowded = False
    story.look()
    assert not story.bus.conditions[-1].active
    assert list(story.assigned()) == [UID]


def test_many_changes_travel_in_several_messages_and_the_last_completes() -> None:
    """The first look at a crowded host neither makes one huge message nor one huge batch."""
    files = {f"{number:05}.service/x": b"" for number in range(CHUNK + 1)}
    story = Story(MemoryTree({"cgroup.controllers": b"", **files})).look()

    assert [(len(each.changes), each.complete) for each in story.bus.published] == [(CHUNK, False), (1, True)]
    assert [len(offer.rows) for offer in story.outbox.offers] == [CHUNK, 1]


def test_a_full_outbox_stops_nothing() -> None:
    """Rows that do not fit are the outbox's to account for; assignments go out anyway."""
    story = Story()
    story.outbox.is_full = True
    story.look()
    assert {UID, NGINX} == set(story.assigned())


def test_a_clean_stop_closes_every_interval_and_takes_the_assignments_back() -> None:
    """Then nothing is left to do, and an echo of the rules brings nothing back."""
    story = Story().look()
    story.clock.advance(10**9)
    assert not story.work.is_done()

    story.work.on_stop(story.clock.now_ns(), for_good=True)

    assert story.work.is_done()
    assert story.work.next_deadline_ns() is None
    assert story.assigned() == {}
    assert not story.bus.published[-1].complete
    closed = [row["pod_uid"] for row in story.outbox.records(POD_GROUP) if row["valid_until"] == story.clock.wall_ns()]
    assert {UID, NGINX} == set(closed)
    published = len(story.bus.published)
    story.echo([SHARED])
    assert published == len(story.bus.published)


def test_stats_tell_what_the_last_look_found() -> None:
    """Before the first look there is no hierarchy to name."""
    story = Story()
    before = story.work.on_ask("stats", story.clock.now_ns())
    after = story.look().work.on_ask("stats", story.clock.now_ns())

    assert before is not None
    assert (before["hierarchy"], before["scans"]) == (None, 0)
    assert after == {
        "units": 2, "scans": 1, "scan_ns_last": 0, "hierarchy": "v2", "directories": 6, "unreadable": 0, "truncated": False,
    }  # fmt: skip


def test_an_unknown_question_is_answered_with_a_problem() -> None:
    """Nobody waits for an answer that never comes."""
    story = Story()
    assert "rotate" in str(story.work.on_ask("rotate", story.clock.now_ns()))
    assert (story.work.take_replies(), story.work.interests()) == ((), ())


def test_a_stop_for_a_restart_closes_nothing() -> None:
    """The successor adopts the assignments, and their intervals go on."""
    story = Story().look()
    rows, published = len(story.outbox.offers), len(story.bus.published)

    story.work.on_stop(story.clock.now_ns(), for_good=False)

    assert story.work.is_done()
    assert (len(story.outbox.offers), len(story.bus.published)) == (rows, published)
    assert {UID, NGINX} == set(story.assigned())


def test_a_name_that_is_no_utf8_is_told_like_any_other() -> None:
    """A cgroup `x\\xff` that nobody may list, made by any user with a delegated one, is a condition and never the end."""
    story = Story()
    story.tree.put("user.slice/x\udcff/cgroup.procs")
    story.tree.put("user.slice/y\udcff.service/cgroup.procs")
    story.tree.fail("user.slice/x\udcff", errno.EACCES)
    story.look()

    (condition,) = story.bus.conditions
    assert condition.detail.startswith("1 cgroups cannot be listed, first /user.slice/x")
    assert encode(condition)
    assert "/user.slice/y\ufffd.service" in story.assigned()
    story.tree.fail("user.slice/y\udcff.service", errno.EACCES)
    story.tree.fail("user.slice", errno.EACCES)
    assert "/user.slice/y\ufffd.service" in story.look().assigned()


def test_a_root_that_cannot_be_listed_may_have_any_name() -> None:
    """The kernel's answer names the path as it was asked."""
    story = Story(MemoryTree({"memory\udcff/a": b"", "memory/x/y": b""}))
    story.tree.fail("memory", errno.EIO)
    story.look()
    assert encode(story.bus.conditions[-1])


class _LeakyTree(MemoryTree):
    """Services that leak scopes; `leaked` in each."""

    leaked = 9_000

    def list_directories(self, path: str = ".") -> list[str]:
        if path.endswith(".service"):
            return [f"run-r{number:05}.scope" for number in range(self.leaked)]
        return [] if "run-r" in path else super().list_directories(path)

    def device(self, path: str = ".") -> int:
        return 0


def test_groups_that_were_left_out_are_told_by_their_place() -> None:
    """Which places have how many, the worst first, in words that stay while groups come and go there."""
    files = {f"{name}.service/x": b"" for name in "abcde"} | {f"{POD}/{CONTAINER}/x": b"", "cgroup.controllers": b""}
    tree = _LeakyTree(files)
    story = Story(tree).look()

    detail = story.bus.conditions[-1].detail
    assert "the cgroup tree has more than 20000 directories; pods come first, left out are 5000 or more in /" in detail
    assert detail.count("5000 or more in /") == 3
    assert "and some in 2 others" in detail
    tree.leaked += 20
    story.look()
    tree.leaked = 1
    assert [condition.active for condition in story.look().bus.conditions] == [True, False]
    assert UID in story.assigned()


def test_a_longer_interval_makes_looks_rarer() -> None:
    """The worker uses more than it may: the tree is walked half as often, and as often as before afterwards."""
    story = Story()
    interval_ns = Config({}).of(CONTROL_PLANE_INTERVAL)
    for steps, factor in ((["longer_interval"], 2), (["longer_interval", "much_longer_interval"], 5), ([], 1)):
        story.work.on_level(steps, is_off=False)
        while True:
            begun_ns = story.clock.now_ns()
            story.look()
            if story.clock.now_ns() - begun_ns >= interval_ns // 2:
                break
        begun_ns = story.clock.now_ns()
        while (waited_ns := (story.work.next_deadline_ns() or 0) - begun_ns) <= interval_ns // 2:
            story.look()
        assert waited_ns == pytest.approx(factor * interval_ns, rel=0.1)
