"""What the core decides; `tests/sim/test_workload_worlds.py` plays it in random worlds."""

import pytest
from fakes.core_story import JOB, WEB, CoreStory, refused

from agent.model.timebase import MS, S
from workers.keeper.protocol import (
    KeeperRefused,
    ListWorkloads,
    RefusalWord,
    Restart,
    SpawnWorkload,
    StopWorkload,
    WorkloadSpec,
)
from workers.workloads.core import CHANGE_PATIENCE_NS, LIST_AGAIN_NS, LOOK_PATIENCE_NS, WAITING_MAX
from workers.workloads.effect import EndingSeen, KeeperOrder, ListingDue, Remember, Say


def test_a_described_workload_starts_once_at_the_first_listing() -> None:
    """A later worker finds it running and starts nothing."""
    story = CoreStory({"web": WEB}).connect()
    assert story.core.next_deadline_ns() == 0
    story.wait(0)
    assert (story.state("web"), len(story.keeper.spawned)) == ("running", 1)
    (note,) = [each.note for each in story.told if isinstance(each, Say)]
    assert (note.kind, note.fields["workload"], note.fields["start"]) == ("workload_started", "web", 1)
    story.start({"web": WEB})
    story.connect()
    story.wait(5 * S)
    assert (story.state("web"), len(story.keeper.spawned)) == ("running", 1)


def test_run_starts_and_answers_with_the_process() -> None:
    """A name that runs is taken."""
    story = CoreStory().connect()
    done = story.ask("run-workload", workload=JOB)
    assert done == {"name": "job", "state": "running", "pid": 1001, "birth": "clone_into_cgroup"}
    assert refused(story.ask("run-workload", workload=JOB)) == "name_taken"
    assert refused(story.ask("run-workload", name="job")) == "name_taken"


def test_what_ends_early_waits_longer_and_longer() -> None:
    """At once, 0.1 s, 0.2 s …; after a stable period from the beginning; each end is told once."""
    story = CoreStory({"web": WEB}).connect()
    story.wait(0)
    for wait_ns in (0, 100 * MS, 200 * MS):
        story.ended("web", code=1)
        assert story.state("web") == "backoff"
        story.wait(wait_ns - 1 if wait_ns else 0)
        assert (story.state("web") == "running") is (wait_ns == 0)
        story.wait(1)
        assert story.state("web") == "running"
    story.wait(60 * S)
    story.ended("web", code=0)
    story.wait(0)
    assert story.state("web") == "running"
    seen = [each.record.incarnation for each in story.told if isinstance(each, EndingSeen)]
    assert seen == [1, 2, 3, 4]
    assert story.core.table.endings == 4


@pytest.mark.parametrize(("restart", "state"), [("no", "ended"), ("on-failure", "ended"), ("always", "backoff")])
def test_a_good_end_is_an_end_but_for_always(restart: str, state: str) -> None:
    """As the policy says."""
    story = CoreStory().connect()
    story.ask("run-workload", workload={**JOB, "restart": restart})
    story.ended("job", code=0)
    assert story.state("job") == state


def test_stop_is_written_down_before_the_keeper_is_told_and_holds_for_ever() -> None:
    """Neither the next worker nor the next boot starts it again; only the operator does."""
    story = CoreStory({"web": WEB}).connect()
    story.wait(0)
    begun = len(story.told)
    assert story.ask("stop-workload", name="web") == {"name": "web", "state": "stopping", "pid": 1001, "birth": "clone_into_cgroup"}
    order = [type(each) for each in story.told[begun:]]
    assert order.index(Remember) < order.index(KeeperOrder)
    story.ended("web", signal=15)
    story.keeper.reboot("boot-2")
    story.start({"web": WEB})
    story.connect()
    story.wait(5 * S)
    assert (story.state("web"), len(story.keeper.spawned)) == ("ended", 1)
    assert story.ask("run-workload", name="web") is not None
    assert story.state("web") == "running"


def test_a_stop_that_a_dead_keeper_never_carried_out_is_ordered_again() -> None:
    """The operator was told that it stops."""
    story = CoreStory({"web": WEB}).connect()
    story.wait(0)
    story.ask("stop-workload", name="web", grace_ns=5)
    story.keeper.die()
    story.connect()
    assert story.keeper.stopping == {"web"}
    orders = [each.order for each in story.told if isinstance(each, KeeperOrder) and isinstance(each.order, StopWorkload)]
    assert [order.grace_ns for order in orders] == [5, None]


def test_a_stop_ends_the_wait_for_a_start_and_while_it_starts() -> None:
    """Whatever it was about to do."""
    story = CoreStory({"web": WEB}).connect()
    story.wait(0)
    story.ended("web", code=1)
    story.wait(0)
    story.ended("web", code=1)
    assert story.ask("stop-workload", name="web") == {"name": "web", "state": "ended"}
    story.wait(5 * S)
    assert story.state("web") == "ended"
    assert refused(story.ask("stop-workload", name="web")) == "not_found"
    story.is_there = False
    story.ask("run-workload", name="web")
    assert story.ask("stop-workload", name="web") is not None
    story.is_there = True
    story.take(story.core.on_message(story.keeper.answer(story.held_back[0]), story.now_ns))
    assert story.keeper.stopping == {"web"}


def test_forgetting_needs_an_end_and_no_description() -> None:
    """The record and its output go."""
    story = CoreStory({"web": WEB}).connect()
    story.wait(0)
    assert refused(story.ask("forget-workload", name="web")) == "still_runs"
    story.ask("run-workload", workload=JOB)
    assert refused(story.ask("forget-workload", name="job")) == "still_runs"
    story.ended("job", code=0)
    assert story.ask("forget-workload", name="job") == {"name": "job", "state": "forgotten"}
    assert refused(story.ask("forget-workload", name="job")) == "not_found"
    assert "job" not in story.remembered.told


def test_a_start_that_is_refused_is_told_and_leaves_nothing() -> None:
    """Of a described one the sentence stays, and it is tried again."""
    story = CoreStory({"web": WEB})
    story.keeper.missing |= {"work", "serve"}
    story.connect()
    story.wait(0)
    assert story.state("web") == "waiting"
    assert "there is no program serve" in story.core.refused()
    assert refused(story.ask("run-workload", workload=JOB)) == "missing_binary"
    assert "job" not in story.core.table.tracked
    assert refused(story.ask("run-workload", name="web")) == "missing_binary"
    story.keeper.missing.clear()
    story.wait(1 * S)
    assert (story.state("web"), story.core.refused()) == ("running", "")


def test_an_ended_workload_whose_new_start_is_refused_stays_ended() -> None:
    """Although its policy would start the old one again."""
    story = CoreStory().connect()
    story.ask("run-workload", workload={**JOB, "restart": "always"})
    story.ask("stop-workload", name="job")
    story.ended("job", signal=15)
    story.keeper.missing.add("work")
    assert refused(story.ask("run-workload", name="job")) == "missing_binary"
    story.wait(60 * S)
    assert story.state("job") == "ended"


def test_a_name_that_waits_for_its_next_start_is_taken() -> None:
    """By another command; the operator's own start of the same one need not wait."""
    story = CoreStory().connect()
    again = {**JOB, "restart": "always"}
    story.ask("run-workload", workload=again)
    for _ in range(2):
        story.wait(0)
        story.ended("job", code=1)
    body = story.ask("run-workload", workload=again)
    assert (refused(body), story.state("job"), len(story.keeper.spawned)) == ("name_taken", "backoff", 2)
    assert body is not None
    assert "a workload of this name waits for its next start; `agentctl stop job` ends that" in body["refused"]["sentence"]
    assert story.ask("run-workload", name="job") is not None
    assert (story.state("job"), len(story.keeper.spawned)) == ("running", 3)


def test_a_changed_description_is_told_and_holds_from_the_next_start() -> None:
    """What runs keeps the limits it was started with."""
    story = CoreStory({"web": WEB}).connect()
    story.wait(0)
    story.start({"web": WorkloadSpec("web", ("serve", "--fast"), restart=Restart.ALWAYS)})
    story.connect()
    assert story.core.changed().startswith("web: the settings file has changed")
    story.ended("web", code=1)
    story.wait(0)
    assert (story.core.changed(), story.keeper.records["web"].spec.argv) == ("", ("serve", "--fast"))
    assert refused(CoreStory({"web": WEB}).connect().ask("run-workload", workload={"name": "web", "argv": ["x"]})) == "name_taken"


def test_operations_wait_for_the_keepers_records_and_not_for_ever() -> None:
    """A listing is shown as far as it is known; an order is refused with the reason."""
    story = CoreStory()
    assert story.ask("list-workloads") is None
    assert story.ask("run-workload", workload=JOB) is None
    story.wait(LOOK_PATIENCE_NS)
    assert ListingDue(1) in story.told
    story.wait(CHANGE_PATIENCE_NS)
    body = story.answer(2)
    assert refused(body) == "no_keeper"
    assert body is not None
    assert "it is dead" in body["refused"]["sentence"]
    for _ in range(WAITING_MAX):
        assert story.ask("run-workload", workload=JOB) is None
    assert refused(story.ask("list-workloads")) == "too_busy"
    story.connect()
    assert story.state("job") == "running"


def test_an_order_on_the_way_is_judged_by_the_next_records() -> None:
    """Carried out or not, nobody waits for ever, and nothing runs twice."""
    for is_carried_out in (True, False):
        story = CoreStory().connect()
        story.is_there = False
        assert story.ask("run-workload", workload=JOB) is None
        if is_carried_out:
            story.keeper.answer(story.held_back[0])
        story.core.on_lost()
        story.is_there = True
        story.connect()
        body = story.answer(1)
        assert body is not None
        assert (refused(body) == "keeper_lost") if not is_carried_out else (body["state"] == "running")
        assert len(story.keeper.spawned) == is_carried_out


def test_what_was_missed_is_found_by_the_next_listing() -> None:
    """A workload that another client started, one that is gone."""
    story = CoreStory().connect()
    story.keeper.answer(SpawnWorkload(99, WorkloadSpec("other", ("x",))))
    story.wait(LIST_AGAIN_NS)
    assert story.state("other") == "running"
    story.keeper.end("other", code=0)
    del story.keeper.records["other"]
    story.wait(LIST_AGAIN_NS)
    assert "other" not in story.core.table.tracked


def test_a_refusal_of_something_unknown_is_told() -> None:
    """Nothing the keeper says is swallowed; what it knows better is listed again."""
    story = CoreStory().connect()
    story.take(story.core.on_message(KeeperRefused(0, RefusalWord.NOT_UNDERSTOOD, "what?"), 0))
    assert [each.note.kind for each in story.told if isinstance(each, Say)] == ["keeper_refused"]
    listings = sum(isinstance(each, KeeperOrder) and isinstance(each.order, ListWorkloads) for each in story.told)
    story.keeper.answer(SpawnWorkload(99, WorkloadSpec("job", ("x",))))
    assert refused(story.ask("run-workload", workload=JOB)) == "name_taken"
    again = sum(isinstance(each, KeeperOrder) and isinstance(each.order, ListWorkloads) for each in story.told)
    assert (again - listings, story.state("job")) == (1, "running")


def test_nonsense_is_refused() -> None:
    """Operations come from another process."""
    story = CoreStory().connect()
    assert refused(story.ask("dance")) == "not_understood"
    assert refused(story.ask("run-workload", workload=7)) == "bad_setting"
    assert refused(story.ask("run-workload", name="nobody")) == "not_found"
    assert refused(story.ask("stop-workload", name="nobody")) == "not_found"
    assert story.ask("list-workloads") is None


def test_a_host_that_went_down_starts_what_is_described_and_what_always_runs() -> None:
    """A job of the operator's that ran once does not run again by itself."""
    once = WorkloadSpec("once", ("x",))
    story = CoreStory({"once": once}).connect()
    story.wait(0)
    story.ask("run-workload", workload=JOB)
    story.ask("run-workload", workload={**JOB, "name": "server", "restart": "always"})
    story.keeper.reboot("boot-2")
    story.start({"once": once})
    story.connect()
    story.wait(0)
    assert [story.state(name) for name in ("once", "job", "server")] == ["running", "ended", "running"]
    story.ended("once", code=0)
    story.wait(60 * S)
    assert story.state("once") == "ended"
