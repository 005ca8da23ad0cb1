"""What the core makes of answers of the keeper that come late, are lost, or are not what was expected."""

from fakes.core_story import JOB, WEB, CoreStory, refused

from agent.model.timebase import S
from workers.keeper.protocol import KeeperDone, ListWorkloads, SpawnWorkload
from workers.workloads.core import LIST_AGAIN_NS
from workers.workloads.effect import EndingSeen


def test_a_stopped_workload_whose_start_is_refused_is_not_tried_again() -> None:
    """The operator stopped it while it started: it is no problem, and nothing is planned."""
    story = CoreStory({"web": WEB}).connect()
    story.is_there = False
    story.wait(0)
    assert story.ask("stop-workload", name="web") == {"name": "web", "state": "waiting"}
    story.keeper.missing.add("serve")
    story.is_there = True
    story.take(story.core.on_message(story.keeper.answer(story.held_back[0]), story.now_ns))
    assert story.core.refused() == ""
    story.keeper.missing.clear()
    story.wait(60 * S)
    assert (story.state("web"), story.keeper.spawned) == ("waiting", [])


def test_a_stop_of_what_has_just_ended_is_refused_and_the_end_is_found() -> None:
    """The keeper knew of the end before the worker did: it is asked what there is."""
    story = CoreStory().connect()
    story.ask("run-workload", workload=JOB)
    story.keeper.end("job", code=0)
    assert refused(story.ask("stop-workload", name="job")) == "not_found"
    assert story.state("job") == "ended"
    assert [each.record.incarnation for each in story.told if isinstance(each, EndingSeen)] == [1]


def test_a_forgetting_on_the_way_is_judged_by_the_next_records() -> None:
    """The record is gone, or it is still there and the client shall try again."""
    for is_carried_out in (True, False):
        story = CoreStory().connect()
        story.ask("run-workload", workload=JOB)
        story.ended("job", code=0)
        story.is_there = False
        assert story.ask("forget-workload", name="job") is None
        if is_carried_out:
            story.keeper.answer(story.held_back[0])
        story.core.on_lost()
        story.is_there = True
        story.connect()
        body = story.answer(2)
        assert body is not None
        if is_carried_out:
            assert (body, "job" in story.core.table.tracked) == ({"name": "job", "state": "forgotten"}, False)
        else:
            assert (refused(body), story.state("job")) == ("keeper_lost", "ended")
            assert body["refused"]["sentence"] == "job: the keeper ended before it was forgotten; try again"


def test_an_answer_of_an_earlier_connection_is_not_taken_for_one_of_this() -> None:
    """Its order was judged by the records, and its client has its answer."""
    story = CoreStory({"web": WEB}).connect()
    story.wait(0)
    story.is_there = False
    assert story.ask("stop-workload", name="web") is None
    (late,) = story.held_back
    story.core.on_lost()
    story.is_there = True
    story.connect()
    assert story.answer(1) == {"name": "web", "state": "stopping", "pid": 1001, "birth": "clone_into_cgroup"}
    assert story.core.on_message(KeeperDone(late.request), story.now_ns) == []


def test_a_listing_that_comes_while_a_workload_starts_starts_it_no_second_time() -> None:
    """The records do not have it yet."""
    story = CoreStory({"web": WEB}).connect()
    story.is_there = False
    story.wait(LIST_AGAIN_NS)
    spawn, listing = story.held_back
    assert (type(spawn), type(listing)) == (SpawnWorkload, ListWorkloads)
    story.is_there = True
    story.take(story.core.on_message(story.keeper.answer(listing), story.now_ns))
    story.wait(5 * S)
    assert (story.state("web"), story.keeper.spawned) == ("waiting", [])
    story.take(story.core.on_message(story.keeper.answer(spawn), story.now_ns))
    story.wait(5 * S)
    assert (story.state("web"), len(story.keeper.spawned)) == ("running", 1)
