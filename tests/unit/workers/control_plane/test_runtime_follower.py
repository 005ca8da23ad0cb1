"""The loop's end of the link: conditions, notes, whether the runtime is away, and the choice for the fast path."""

from collections.abc import Iterator
from typing import Any

import pytest
from fakes.bus import RecordingBus
from msgspec.structs import replace

from agent.model.rule import Action, GroupRule, Match
from workers.control_plane.binding import Binder
from workers.control_plane.container_runtime import registry
from workers.control_plane.container_runtime.event import (
    LinkState,
    PodStarted,
    RuntimePod,
    RuntimeWire,
    Synchronized,
)
from workers.control_plane.container_runtime.link import RuntimeLink
from workers.control_plane.runtime_follower import NOTE_INTERVAL_NS, RuntimeFollower

CONTAINERD = LinkState(RuntimeWire.NRI, is_connected=True, runtime="containerd 1.7.24")
GONE = LinkState(RuntimeWire.NRI, is_connected=False, problem="the runtime closed the connection", runtime="containerd 1.7.24")
ABSENT = LinkState(RuntimeWire.NRI, is_connected=False, is_there=False, problem="there is no socket")
CRI = LinkState(RuntimeWire.CRI, is_connected=True, runtime="containerd 1.7.24")
CRI_REFUSED = LinkState(RuntimeWire.CRI, is_connected=False, problem="permission denied")


class Source:
    """Hears nothing."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def start(self) -> None:
        self.calls.append("start")

    def stop(self) -> None:
        self.calls.append("stop")

    def stats(self) -> dict[str, Any]:
        return {"stage": "connected"}


class Story:
    """One follower over a real link."""

    def __init__(self, *, is_required: bool = False) -> None:
        self.bus = RecordingBus()
        self.link = RuntimeLink(Binder([]))
        self.source = Source()
        self.follower = RuntimeFollower(self.link, self.bus, {RuntimeWire.NRI: self.source}, is_required=is_required)
        self.now_ns = 0

    def tell(self, *states: LinkState) -> "Story":
        """Each is taken in before the next."""
        for state in states:
            self.link.tell_state(state)
            self.follower.take(self.now_ns)
        return self

    def synchronize(self, *pods: RuntimePod) -> "Story":
        """Everything is reported."""
        self.link.tell(RuntimeWire.NRI, Synchronized(pods, ()))
        self.follower.take(self.now_ns)
        return self

    def conditions(self) -> list[tuple[str, bool, bool]]:
        """What was announced: kind, whether it holds, whether it keeps the agent from being ready."""
        return [(each.kind, each.active, each.blocks_ready) for each in self.bus.conditions]

    def notes(self) -> list[tuple[str, object]]:
        """What was noted, with how many were hidden before."""
        return [(note.kind, note.fields["hidden"]) for note in self.bus.notes]


@pytest.fixture
def story() -> Iterator[Story]:
    """A host where NRI is used if it is there."""
    story = Story()
    yield story
    story.link.close()


def test_a_lost_connection_is_a_condition_until_it_is_back(story: Story) -> None:
    """It does not keep the agent from being ready, and is noted with the runtime's name."""
    story.tell(CONTAINERD, GONE, CONTAINERD)
    assert story.conditions() == [("nri", True, False), ("nri", False, False)]
    assert [note.fields["runtime"] for note in story.bus.notes] == ["containerd 1.7.24"] * 2
    assert story.bus.notes[1].fields["sentence"] == GONE.problem


def test_where_there_is_no_socket_nothing_is_wrong(story: Story) -> None:
    """Unless NRI is required."""
    assert story.tell(ABSENT).conditions() == []
    assert Story(is_required=True).tell(ABSENT).conditions() == [("nri", True, True)]


def test_where_nri_is_required_the_agent_is_not_ready_before_its_first_report() -> None:
    """The thread may need a while to say why."""
    story = Story(is_required=True)
    story.follower.start()
    story.tell(CONTAINERD)
    assert story.conditions() == [("nri", True, True), ("nri", False, False)]
    story.link.close()


def test_what_does_not_fit_is_a_condition(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until the runtime reports less."""
    monkeypatch.setattr(registry, "SANDBOXES_MAX", 1)
    pods = [RuntimePod(f"s{number}", f"u{number}") for number in range(13)]
    story.tell(CONTAINERD).synchronize(*pods)
    assert "10 or more pods" in story.bus.conditions[-1].detail
    story.synchronize(pods[0])
    assert story.conditions() == [("runtime_truncated", True, False), ("runtime_truncated", False, False)]


def test_cri_is_a_condition_only_while_nri_is_not_connected(story: Story) -> None:
    """Nobody asks it otherwise."""
    story.tell(ABSENT, CRI_REFUSED, CONTAINERD)
    assert story.conditions() == [("cri", True, False), ("cri", False, False)]


def test_a_runtime_that_comes_and_goes_is_noted_once_in_a_while(story: Story) -> None:
    """The next note says how many it hides."""
    story.tell(*[CONTAINERD, GONE] * 3)
    assert story.notes() == [("container_runtime_connected", 0), ("container_runtime_lost", 0)]
    story.now_ns += NOTE_INTERVAL_NS
    story.tell(CONTAINERD)
    assert story.notes()[2:] == [("container_runtime_connected", 4)]


def test_the_runtime_is_away_until_it_has_reported_everything(story: Story) -> None:
    """Connected is not enough; a connection that was lost and made again between two looks at the link is none."""
    assert story.follower.is_disconnected
    assert story.tell(CONTAINERD).follower.is_disconnected
    assert not story.synchronize().follower.is_disconnected
    assert story.tell(GONE).follower.is_disconnected
    assert story.tell(CONTAINERD).follower.is_disconnected
    assert not story.synchronize().follower.is_disconnected
    story.link.tell_state(GONE)
    assert not story.tell(CONTAINERD).follower.is_disconnected


def test_either_wire_is_enough(story: Story) -> None:
    """Over CRI the runtime reports everything, too."""
    story.tell(ABSENT, CRI)
    story.link.tell(RuntimeWire.CRI, Synchronized((), ()))
    story.follower.take(0)
    assert not story.follower.is_disconnected


def test_the_fast_path_knows_groups_only_where_they_can_be_used(story: Story) -> None:
    """Rules always; directories while resctrl is there and what was left is cleaned up."""
    binder = Binder([])
    story.follower.update_snapshot(binder, {"a": "mon_groups/pod_a"}, is_open=False)
    assert (story.link.snapshot.binder, dict(story.link.snapshot.paths), story.link.snapshot.is_measured) == (binder, {}, False)
    story.follower.update_snapshot(binder, {"a": "mon_groups/pod_a"}, is_open=True)
    assert (dict(story.link.snapshot.paths), story.link.snapshot.is_measured) == ({"a": "mon_groups/pod_a"}, True)


def test_what_runs_and_what_is_reported_is_shown(story: Story) -> None:
    """With what the thread itself counts."""
    story.follower.start()
    story.tell(CONTAINERD).synchronize(RuntimePod("s1", "u1", "shop", "web"))
    stats = story.follower.stats()
    assert (stats["runtime"], stats["is_connected"], stats["pods"], stats["synchronizations"]) == ("containerd 1.7.24", 1, 1, 1)
    assert stats["wires"]["nri"]["stage"] == "connected"
    assert story.tell(CRI).follower.stats()["wires"]["cri"]["is_connected"]
    (interest,) = story.follower.interests
    assert interest.descriptor == story.link.descriptor
    story.follower.stop()
    assert story.source.calls == ["start", "stop"]


def test_the_groups_of_pods_that_were_not_taken_in_are_known(story: Story) -> None:
    """Before a directory is removed it is asked who may need it."""
    story.link.tell(RuntimeWire.NRI, PodStarted(RuntimePod("s1", "u1", "shop", "web")))
    assert story.follower.has_news
    rule = GroupRule("front", match=Match(namespace="shop"), action=Action("shared", "front"))
    assert [Binder([rule]).bind(unit)[0] for unit in story.follower.named_units()] == ["front"]


def test_a_runtime_that_was_connected_and_has_no_socket_any_more_is_missed() -> None:
    """A host without containers lacks nothing; where names come over CRI nothing is missing either."""
    taken_down = replace(ABSENT, runtime="containerd 1.7.24")
    story = Story().tell(CONTAINERD, taken_down)
    assert story.conditions() == [("nri", True, False)]
    assert story.tell(CRI).conditions()[-1] == ("nri", False, False)


def test_a_wire_that_has_told_nothing_yet_is_not_connected() -> None:
    """`agentctl doctor` must not take the silence of a runtime that hangs for a connection."""
    assert Story().follower.stats()["wires"] == {"nri": {"is_connected": False, "stage": "connected"}}


def test_a_container_that_is_being_placed_is_news_to_come(story: Story) -> None:
    """Its group must not be removed under its threads."""
    waiting = [True, False]
    follower = RuntimeFollower(story.link, story.bus, {}, yield_to_start=lambda _seconds=0.0: waiting.pop(0))
    assert follower.has_news
    assert not follower.has_news


def test_no_directory_is_removed_beside_a_start(story: Story) -> None:
    """Neither while a container is placed, nor before what was done for it is taken in; during the removal none is placed."""
    waiting = [True, False, False]
    follower = RuntimeFollower(story.link, story.bus, {}, yield_to_start=lambda _seconds=0.0: waiting.pop(0))
    with story.link.placing:
        assert not follower.begin_removal()
    assert not follower.begin_removal()
    story.link.tell(RuntimeWire.NRI, PodStarted(RuntimePod("s1", "u1", "shop", "web")))
    assert not follower.begin_removal()
    assert not story.link.placing.locked()
    story.link.take()
    assert story.follower.begin_removal()
    assert story.link.placing.locked()
    story.follower.end_removal()
    assert not story.link.placing.locked()
