"""One node after another: how it comes, what is believed of it, when it is judged, and who is refused."""

import pytest
from fakes.hub_story import TERMS, HubStory, StoryNode, answers, changed_nodes, changed_units, install_id, labelled, member

from agent.fleet.live import UnitUse
from agent.fleet.message import Denied, Greet, Hold, WantWhole, Welcome
from agent.fleet.update import LiveState
from agent.model.timebase import MS, S
from workers.hub.effect import HubTerms
from workers.hub.fleet_node import NodePhase
from workers.hub.registry import BEHIND_NS, PROBLEM_NS, RETIRED_MAX, TELL_EVERY_NS

GRACE = TERMS.stale_ns


def test_a_node_that_says_hello_is_welcome_and_fresh() -> None:
    """It learns when to beat; its phase is within the interval."""
    story, node = HubStory(), StoryNode(1)
    assert story.node(1).phase is NodePhase.NEVER_SEEN
    [welcome] = answers(story.say_hello(node, b"a"))
    assert isinstance(welcome, Welcome)
    assert (welcome.hub, welcome.hub_run, welcome.beat_ms, welcome.phase_ms < 1000) == ("hub", TERMS.run, 1000, True)
    assert story.beat(node, b"a") == []
    held = story.node(1)
    assert (held.phase, held.counts.received, held.counts.lost, held.progress_ms) == (NodePhase.FRESH, 1, 0, 100)


def test_a_frame_without_a_hello_is_greeted() -> None:
    """A hub that was restarted knows no connection."""
    story, node = HubStory(), StoryNode(1)
    assert answers(story.beat(node, b"a")) == [Greet()]
    assert answers(story.update(b"b", node.update([]))) == [Greet()]
    assert story.registry.strangers == 2


def test_who_is_no_member_or_has_another_name_is_denied() -> None:
    """And one that speaks another version; each is named once."""
    story, node = HubStory(), StoryNode(9)
    [denied] = answers(story.say_hello(node, b"a"))
    assert isinstance(denied, Denied)
    assert denied.code == "unknown_node"
    node = StoryNode(1)
    [denied] = answers(story.say_hello(node, b"a", install=install_id(2)))
    assert isinstance(denied, Denied)
    assert (denied.code, install_id(2) in denied.sentence) == ("other_identity", True)
    assert [tell.kind for tell in story.tells] == ["hub_refused_node"]
    story.now_ns += TELL_EVERY_NS
    [denied] = answers(story.say_hello(node, b"a", protocol=9))
    assert isinstance(denied, Denied)
    assert denied.code == "protocol"
    assert story.node(1).problem == denied.sentence


def test_a_node_that_makes_up_reasons_fills_no_log() -> None:
    """A thousand hellos, each with another install id: one event in ten seconds, and the node knows each time."""
    story, node = HubStory(), StoryNode(1)
    for number in range(1000):
        found = story.say_hello(node, b"a", install=install_id(100 + number))
        assert len(answers(found)) == 1
    assert len(story.tells) == 1
    story.now_ns += TELL_EVERY_NS
    story.say_hello(node, b"a", install=install_id(99))
    assert len(story.tells) == 2


def test_a_beat_in_the_name_of_another_node_is_refused() -> None:
    """A node can only speak for itself."""
    story, node, other = HubStory(), StoryNode(1), StoryNode(2)
    story.connect(node)
    found = story.took(
        story.registry.on_beat(f"{node.install}-{node.run}-beat".encode(), other.beat(), story.now_ns, story.wall_ns)
    )
    [denied] = answers(found)
    assert isinstance(denied, Denied)
    assert denied.code == "other_identity"
    assert (story.node(1).counts.refused, story.node(2).phase) == (1, NodePhase.NEVER_SEEN)


def test_too_many_hellos_are_put_off() -> None:
    """Those of beats go first: they say who is there."""
    story = HubStory(10, terms=HubTerms("hub", TERMS.run, 1 * S, 90 * S, 4))
    nodes = [StoryNode(number) for number in range(1, 7)]
    found = [answers(story.say_hello(node, b"%d" % at))[0] for at, node in enumerate(nodes)]
    assert [type(answer) for answer in found] == [Welcome] * 4 + [Hold] * 2
    story.now_ns += 500 * MS
    [hold] = answers(story.say_hello(nodes[0], b"live", "live"))
    assert isinstance(hold, Hold)
    assert isinstance(answers(story.say_hello(nodes[4], b"4"))[0], Welcome)


def test_the_live_state_comes_after_the_first_beat() -> None:
    """The beat says which life it is."""
    story, node = HubStory(), StoryNode(1)
    assert answers(story.say_hello(node, b"l", "live")) == [Hold(500)]
    story.say_hello(node, b"b")
    assert isinstance(answers(story.say_hello(node, b"l", "live"))[0], Welcome)
    assert isinstance(answers(story.say_hello(node, b"r", "rows"))[0], Welcome)
    assert answers(story.say_hello(StoryNode(1, run=2), b"x", "live")) == [Hold(500)]


def test_units_that_begin_and_end_are_told() -> None:
    """Numbers that change are not; a whole state tells only what is different."""
    story, node = HubStory(), StoryNode(1)
    _, live = story.connect(node)
    assert changed_units(story.update(live, node.update([labelled(1), labelled(2)]))) == [((1, 2), ())]
    index = story.registry.index
    assert story.update(live, node.update([labelled(1), labelled(2)], [UnitUse(1, cpu=5)])) == []
    assert story.registry.index == index
    assert changed_units(story.update(live, node.update([labelled(2), labelled(3)]))) == [((3,), (1,))]
    assert changed_units(story.update(live, node.update([labelled(2), labelled(3)], whole=True))) == [((), ())]
    held = story.node(1)
    assert (sorted(held.state.labels), held.state.digest, held.host) == ([2, 3], node.state.digest, "node-1")
    assert story.registry.index == index + 2


def test_a_key_that_is_another_unit_after_a_restart_of_the_uplink_ends_and_begins() -> None:
    """The whole state of the next uplink counts its keys from one."""
    story, node = HubStory(), StoryNode(1)
    _, live = story.connect(node)
    story.update(live, node.update([labelled(1), labelled(2)]))
    found = changed_units(story.update(live, node.update([labelled(1, unit="/other"), labelled(2)], whole=True)))
    assert found == [((1,), (1,))]


def test_an_update_that_does_not_fit_is_answered_by_the_wish_for_everything() -> None:
    """Not more than once a second, and nothing of it is applied."""
    story, node = HubStory(), StoryNode(1)
    beat, live = story.connect(node)
    story.update(live, node.update([labelled(1)]))
    node.update([labelled(1), labelled(2)])
    lost = node.update([labelled(1), labelled(2), labelled(3)])
    assert answers(story.update(live, lost)) == [WantWhole()]
    assert answers(story.update(live, lost)) == []
    assert list(story.node(1).state.labels) == [1]
    story.pass_time(1 * S, (node, beat))
    assert answers(story.update(live, lost)) == [WantWhole()]
    story.update(live, node.update([labelled(3)], whole=True))
    assert list(story.node(1).state.labels) == [3]


def test_a_bad_update_is_refused_and_the_state_stays() -> None:
    """Bytes that are none, another life's, and numbers of a unit without a name."""
    story, node = HubStory(), StoryNode(1)
    _, live = story.connect(node)
    story.update(live, node.update([labelled(1)]))
    for frame in (b"U1nonsense", StoryNode(1, run=7).update([labelled(5)])):
        found = answers(story.update(live, frame))
        assert isinstance(found[0], Denied)
        assert found[0].code == "bad_update"
    assert (list(story.node(1).state.labels), story.node(1).counts.refused) == ([1], 2)


def test_a_hub_that_is_behind_asks_for_everything() -> None:
    """An update that is on its way is waited for; another digest of the same version is not."""
    story, node = HubStory(), StoryNode(1)
    beat, live = story.connect(node)
    story.update(live, node.update([labelled(1)]))
    story.beat(node, beat)
    as_of_ns = story.node(1).as_of_ns
    node.update([labelled(1), labelled(2)])
    wants = [answer for answer in answers(story.pass_time(BEHIND_NS, (node, beat))) if isinstance(answer, WantWhole)]
    assert wants == []
    assert story.node(1).as_of_ns == as_of_ns
    wants = [answer for answer in answers(story.pass_time(3 * S, (node, beat))) if isinstance(answer, WantWhole)]
    assert len(wants) == 2
    story.update(live, node.update([labelled(2)], whole=True))
    assert answers(story.pass_time(5 * S, (node, beat))) == []
    node.state.digest = b"other008"
    assert answers(story.pass_time(1 * S, (node, beat))) == [WantWhole()]


def test_a_node_whose_uplink_has_sent_nothing_is_not_asked() -> None:
    """Neither is one without a connection for its state."""
    story, node = HubStory(), StoryNode(1)
    beat, _ = story.connect(node, live=False)
    assert answers(story.pass_time(10 * S, (node, beat))) == []
    node.update([labelled(1)])
    assert answers(story.pass_time(10 * S, (node, beat))) == []


def test_an_uplink_that_was_started_again_and_has_sent_nothing_is_waited_for() -> None:
    """What is held of it grows old meanwhile."""
    story, node = HubStory(), StoryNode(1)
    beat, live = story.connect(node)
    story.update(live, node.update([labelled(1)]))
    node.state = LiveState(run=node.run)
    assert answers(story.pass_time(10 * S, (node, beat))) == []
    assert story.node(1).age_ns(story.now_ns) == 10 * S


def test_silence_makes_late_then_stale_and_a_beat_makes_fresh() -> None:
    """Its units leave scheduling in one step and stay visible."""
    story, node = HubStory(), StoryNode(1)
    beat, live = story.connect(node)
    story.update(live, node.update([labelled(1)]))
    story.pass_time(GRACE, (node, beat))
    assert (story.node(1).phase, len(story.index)) == (NodePhase.FRESH, 1)
    story.pass_time(3 * S)
    assert story.node(1).phase is NodePhase.FRESH
    assert changed_nodes(story.pass_time(1 * S)) == [node.install]
    assert (story.node(1).phase, len(story.index)) == (NodePhase.LATE, 1)
    story.pass_time(85 * S)
    assert story.node(1).phase is NodePhase.LATE
    index = story.registry.index
    story.pass_time(1 * S)
    assert (story.node(1).phase, len(story.index), len(story.node(1).state.labels)) == (NodePhase.STALE, 0, 1)
    assert story.registry.index > index
    story.beat(node, beat)
    assert (story.node(1).phase, len(story.index), story.node(1).counts.late) == (NodePhase.FRESH, 1, 1)
    assert [tell.kind for tell in story.tells] == ["hub_node_silent", "hub_node_back"]


def test_a_node_that_leaves_is_gone_at_once_and_may_come_back() -> None:
    """It is not waited for."""
    story, node = HubStory(), StoryNode(1)
    beat, _ = story.connect(node)
    story.beat(node, beat, leaves=True)
    assert (story.node(1).phase, [tell.kind for tell in story.tells]) == (NodePhase.GONE, ["hub_node_left"])
    story.pass_time(200 * S)
    assert story.node(1).phase is NodePhase.GONE
    node = StoryNode(1, run=2)
    story.say_hello(node, b"b2")
    assert story.node(1).phase is NodePhase.FRESH


def test_a_new_life_on_the_same_boot_follows_at_once() -> None:
    """One set of units: those of the life before are gone in one step. What comes late of it is refused."""
    story, node = HubStory(), StoryNode(1)
    beat, live = story.connect(node)
    story.update(live, node.update([labelled(1), labelled(2)]))
    story.beat(node, beat)
    later = StoryNode(1, run=2)
    found = story.say_hello(later, b"later")
    assert changed_units(found) == [((), (1, 2))]
    assert (story.node(1).state.labels, len(story.index)) == ({}, 0)
    assert answers(story.beat(node, beat)) == [Greet()]
    assert answers(story.update(live, node.update([labelled(3)]))) == [Greet()]
    [denied] = answers(story.say_hello(node, beat))
    assert isinstance(denied, Denied)
    assert denied.code == "old_life"
    assert (story.node(1).life or node).run == later.run


def test_lives_that_ended_are_remembered_up_to_a_bound() -> None:
    """The last eight."""
    story = HubStory()
    for run in range(1, 30):
        story.say_hello(StoryNode(1, run=run), b"%d" % run)
    assert len(story.node(1).retired) == RETIRED_MAX
    assert len(story.registry.contacts) <= 2


def test_a_copy_on_another_machine_is_refused_while_the_first_one_beats() -> None:
    """Both are named, and the first one is not disturbed."""
    story, node, copy = HubStory(), StoryNode(1), StoryNode(1, run=2, boot="boot-2", host="copy")
    beat, _ = story.connect(node)
    story.beat(node, beat)
    for _ in range(2):
        assert answers(story.say_hello(copy, b"copy")) == [Hold(3000)]
    assert story.beat(copy, b"copy") == []
    found = story.pass_time(1 * S, (node, beat))
    [denied] = answers(found)
    assert isinstance(denied, Denied)
    assert denied.code == "same_identity"
    assert all(name in denied.sentence for name in ("copy", "node-1", node.run, copy.run))
    assert [tell.kind for tell in story.tells] == ["hub_same_identity"]
    assert (story.node(1).phase, story.node(1).problem) == (NodePhase.FRESH, denied.sentence)
    assert answers(story.beat(copy, b"copy")) == [Greet()]


def test_a_reason_that_is_not_repeated_is_forgotten() -> None:
    """The copy was turned off."""
    story, node, copy = HubStory(), StoryNode(1), StoryNode(1, run=2, boot="boot-2")
    beat, _ = story.connect(node)
    story.say_hello(copy, b"copy")
    story.pass_time(2 * S, (node, beat))
    assert story.node(1).problem
    found = story.pass_time(PROBLEM_NS, (node, beat))
    assert (story.node(1).problem, changed_nodes(found)) == ("", [node.install])


def test_a_machine_that_was_restarted_waits_until_the_life_before_is_silent() -> None:
    """Three beats; then it is the node."""
    story, node, later = HubStory(), StoryNode(1), StoryNode(1, run=2, boot="boot-2")
    beat, _ = story.connect(node)
    story.beat(node, beat)
    assert answers(story.say_hello(later, b"later")) == [Hold(3000)]
    found = story.pass_time(4 * S)
    assert isinstance(answers(found)[0], Welcome)
    assert ((story.node(1).life or node).run, story.node(1).phase) == (later.run, NodePhase.FRESH)
    assert "hub_same_identity" not in [tell.kind for tell in story.tells]


def test_a_copy_that_was_accepted_in_a_silence_keeps_its_place_until_it_is_silent_itself() -> None:
    """The one before was only cut off: it is refused while the copy beats, both are named, and it is the node again afterwards."""
    story, node, copy = HubStory(), StoryNode(1), StoryNode(1, run=2, boot="boot-2")
    beat, _ = story.connect(node)
    story.say_hello(copy, b"copy")
    story.pass_time(4 * S)
    for _ in range(3):
        assert answers(story.beat(node, beat)) == [Greet()]
        assert answers(story.say_hello(node, beat)) == [Hold(3000)]
        story.pass_time(1 * S)
        [denied] = answers(story.beat(copy, b"copy"))
        assert isinstance(denied, Denied)
        assert (denied.code, copy.host in denied.sentence, node.host in denied.sentence) == ("same_identity", True, True)
        assert (story.node(1).life or node).run == copy.run
    story.say_hello(node, beat)
    story.pass_time(4 * S)
    assert ((story.node(1).life or copy).run, story.node(1).phase) == (node.run, NodePhase.FRESH)


def reconnected(story: HubStory, node: StoryNode, silent_ns: int) -> list[object]:
    """A node that beats has lost its connection and comes on another one after this silence; what was answered in ten seconds."""
    story.pass_time(silent_ns)
    found = answers(story.say_hello(node, b"new"))
    for _ in range(10):
        found += answers(story.pass_time(1 * S, (node, b"new")))
    return found


@pytest.mark.parametrize("silent_ns", [500 * MS, 2500 * MS, 10 * S])
def test_the_same_life_on_a_new_connection_is_never_late(silent_ns: int) -> None:
    """All of its beats are counted, and nobody is told that there are two."""
    story, node = HubStory(), StoryNode(1)
    beat, _ = story.connect(node)
    story.pass_time(GRACE + 10 * S, (node, beat))
    before = story.node(1).counts.received
    changes = len(changed_nodes(story.effects))
    found = reconnected(story, node, silent_ns)
    assert {type(answer) for answer in found} == {Welcome}
    counts = story.node(1).counts
    assert (counts.received - before, counts.lost, counts.doubled, counts.refused) == (10, 0, 0, 0)
    assert story.node(1).phase is NodePhase.FRESH
    # Silent for longer than three beats it was late before it came.
    assert len(changed_nodes(story.effects)) - changes == (2 if silent_ns > 3 * S else 0)
    assert story.tells == []


@pytest.mark.parametrize(("stall_ns", "lost"), [(2 * S, 0), (120 * S, 5)])
def test_beats_that_were_on_the_way_are_no_second_life(stall_ns: int, lost: int) -> None:
    """After a stall of the hub the last beats of an ended connection wait beside the first of the next.

    Where the next one was taken at once, they are refused and count as lost.
    """
    story, node = HubStory(), StoryNode(1)
    beat, _ = story.connect(node)
    story.pass_time(10 * S, (node, beat))
    waiting = [node.beat() for _ in range(5)]
    story.now_ns += stall_ns
    story.wall_ns += stall_ns
    story.say_hello(node, b"new")
    story.beat(node, b"new")
    for late in waiting:
        story.now_ns += 500 * MS
        story.took(story.registry.on_beat(beat, late, story.now_ns, story.wall_ns))
    story.turn()
    story.pass_time(10 * S, (node, b"new"))
    counts = story.node(1).counts
    assert (counts.received + counts.lost, counts.lost, counts.doubled, counts.refused) == (10 + 5 + 1 + 10, lost, 0, lost)
    assert "hub_same_identity" not in [tell.kind for tell in story.tells]
    assert story.node(1).beat_connection == b"new"


def test_a_beat_process_that_was_started_again_counts_from_one() -> None:
    """Its beats are not taken for doubled ones."""
    story, node = HubStory(), StoryNode(1)
    beat, _ = story.connect(node)
    story.pass_time(100 * S, (node, beat))
    node.sequence = 0
    reconnected(story, node, 1 * S)
    counts = story.node(1).counts
    assert (counts.received, counts.doubled, counts.lost) == (110, 0, 0)


def test_two_that_beat_for_one_life_are_found() -> None:
    """A copy of a running virtual machine, memory and all: the connection that came later is refused."""
    story, node, copy = HubStory(), StoryNode(1), StoryNode(1)
    beat, _ = story.connect(node)
    story.pass_time(5 * S, (node, beat))
    copy.sequence = node.sequence
    [welcome] = answers(story.say_hello(copy, b"copy"))
    assert isinstance(welcome, Welcome)
    found = story.pass_time(3 * S, (copy, b"copy"), (node, beat))
    assert [answer.code for answer in answers(found) if isinstance(answer, Denied)] == ["same_identity"]
    assert story.node(1).beat_connection == beat
    assert story.node(1).phase is NodePhase.FRESH


def test_lost_and_doubled_beats_are_counted() -> None:
    """By their numbers, which wrap."""
    story, node = HubStory(), StoryNode(1)
    beat, _ = story.connect(node)
    story.beat(node, beat)
    node.sequence += 3
    story.beat(node, beat)
    node.sequence -= 1
    story.beat(node, beat)
    counts = story.node(1).counts
    assert (counts.received, counts.lost, counts.doubled) == (3, 3, 1)
    node.sequence = (1 << 32) - 2
    story.node(1).sequence = (1 << 32) - 3
    story.beat(node, beat)
    node.sequence = 1
    story.beat(node, beat)
    assert (counts.received, counts.lost, counts.doubled) == (5, 6, 1)


def test_a_clock_that_is_off_is_shown_and_moves_nothing() -> None:
    """An hour ahead, and an hour behind."""
    for offset_ns in (3600 * S, -3600 * S):
        story, node = HubStory(), StoryNode(1)
        beat, _ = story.connect(node)
        for _ in range(100):
            story.pass_time(1 * S)
            story.beat(node, beat, wall_ns=story.wall_ns + offset_ns)
        assert story.node(1).phase is NodePhase.FRESH
        assert story.node(1).offset_us == offset_ns // 1000
        story.pass_time(91 * S)
        assert story.node(1).phase is NodePhase.STALE


def test_the_age_of_what_is_held_is_that_of_the_rows() -> None:
    """Since the hub last knew that it has what the node has, and as old as its rows were then."""
    story, node = HubStory(), StoryNode(1)
    beat, live = story.connect(node)
    assert story.node(1).age_ns(story.now_ns) is None
    story.update(live, node.update([]))
    story.beat(node, beat, progress_ms=700)
    story.now_ns += 300 * MS
    assert story.node(1).age_ns(story.now_ns) == 1000 * MS
    story.beat(node, beat, progress_ms=None)
    assert story.node(1).age_ns(story.now_ns) == 0


def test_a_hub_that_begins_gives_no_verdict_before_it_has_listened() -> None:
    """Nodes that reported before are late until they are heard, and stale after the whole time alone."""
    story, node = HubStory(seen=True), StoryNode(1)
    assert (story.node(1).phase, story.registry.is_in_grace) == (NodePhase.LATE, True)
    beat, _ = story.connect(node)
    story.pass_time(GRACE - S, (node, beat))
    assert [story.node(number).phase for number in (1, 2)] == [NodePhase.FRESH, NodePhase.LATE]
    story.pass_time(1 * S, (node, beat))
    assert [story.node(number).phase for number in (1, 2)] == [NodePhase.FRESH, NodePhase.STALE]


def test_a_stall_of_the_hub_is_told_and_nobody_is_judged_for_it() -> None:
    """Two minutes in which the hub did not run."""
    story, node = HubStory(), StoryNode(1)
    beat, _ = story.connect(node)
    story.pass_time(GRACE + 10 * S, (node, beat))
    story.now_ns += 120 * S
    story.turn()
    assert ([tell.kind for tell in story.tells], story.tells[0].fields) == (["hub_stalled"], {"seconds": 119.0})
    assert (story.node(1).phase, story.registry.is_in_grace) == (NodePhase.FRESH, True)
    story.pass_time(GRACE - S)
    assert story.node(1).phase is NodePhase.FRESH
    story.pass_time(1 * S)
    assert story.node(1).phase is NodePhase.STALE


def test_a_hub_that_loses_many_at_once_suspects_itself() -> None:
    """It says so once, and no more when they are back."""
    story = HubStory(10)
    nodes = [StoryNode(number) for number in range(1, 11)]
    pairs = [(node, story.connect(node, live=False)[0]) for node in nodes]
    story.pass_time(GRACE + S, *pairs)
    story.pass_time(92 * S, *pairs[:5])
    assert [tell.kind for tell in story.tells].count("hub_suspects_itself") == 1
    assert "5 of 10 nodes became silent at once" in story.registry.suspicion
    story.pass_time(20 * S, *pairs)
    assert story.registry.suspicion == ""


def test_a_removed_node_is_told_and_forgotten() -> None:
    """All of its connections; one that joins again begins as a new one."""
    story, node = HubStory(), StoryNode(1)
    beat, live = story.connect(node)
    story.update(live, node.update([labelled(1)]))
    story.say_hello(StoryNode(1, run=5, boot="boot-2"), b"copy")
    found = story.took(story.registry.remove(node.install))
    assert [type(answer) for answer in answers(found)] == [Denied] * 3
    assert (len(story.index), len(story.registry.contacts), story.registry.remove(node.install)) == (0, 0, [])
    assert answers(story.beat(node, beat)) == [Greet()]
    assert isinstance(answers(story.say_hello(node, beat))[0], Denied)
    story.pass_time(GRACE + 95 * S)
    assert changed_nodes(story.registry.add(member(1), story.wall_ns)) == [node.install]
    assert story.node(1).phase is NodePhase.NEVER_SEEN


def test_a_member_that_joins_again_says_hello_again() -> None:
    """It may have another key now, and who has the old one must not go on."""
    story, node = HubStory(), StoryNode(1)
    beat, _ = story.connect(node)
    assert story.registry.add(member(1), story.wall_ns) == []
    assert answers(story.beat(node, beat)) == [Greet()]
    assert len(story.registry.contacts) == 0


def test_a_flood_is_counted_and_not_decoded() -> None:
    """What one connection says beyond a node's need."""
    story, node = HubStory(), StoryNode(1)
    beat, _ = story.connect(node)
    contact = story.registry.contacts.get(beat)
    assert contact is not None
    refused = sum(story.registry.is_flooding(contact, story.now_ns) for _ in range(1000))
    assert (refused > 700, story.node(1).counts.refused) == (True, refused)


def test_names_of_hosts_are_made_safe() -> None:
    """They stand on terminals and in rows; an empty one is that of the member."""
    story, node = HubStory(), StoryNode(1)
    story.say_hello(node, b"a", host="evil\x1b[2J")
    assert story.node(1).host == "evil\\x1b[2J"
    story.say_hello(node, b"a", host="")
    assert story.node(1).host == "evil\\x1b[2J"


def test_the_next_turn_is_within_a_beat() -> None:
    """Sooner where somebody becomes stale."""
    story, node = HubStory(), StoryNode(1)
    story.connect(node)
    story.pass_time(GRACE)
    assert story.registry.next_deadline_ns(story.now_ns) <= story.now_ns + TERMS.beat_ns
