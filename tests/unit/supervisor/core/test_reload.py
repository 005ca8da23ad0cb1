"""Settings that are read again: carried out as a whole, or refused with a sentence and without effect."""

from random import Random

import pytest
from fakes.kind import kind_of
from fakes.story import POLICY, Story
from msgspec.structs import replace

from agent.model.limit import WorkerLimits
from agent.model.timebase import S
from supervisor.core.child import Child, ChildState
from supervisor.core.effect import (
    ApplySettings,
    Effect,
    ReadSettings,
    ReloadRequested,
    Respond,
    Send,
    SettingsRead,
    Spawn,
)
from supervisor.core.governance import WorkerBudget
from supervisor.core.settings_change import ChangedSetting, Needed, SettingsChange

CHILDREN = {"writer": "writer", "control-plane": "control-plane", "sampler/process": "sampler", "sampler/gpu": "sampler"}
BUDGETS = {name: WorkerBudget(WorkerLimits(cpu=5)) for name in CHILDREN}


def make_story() -> Story:
    """All workers up."""
    story = Story(CHILDREN, budgets=BUDGETS)
    for number, name in enumerate(CHILDREN):
        story.bring_up(name, pid=100 + number)
    story.look_complete()
    return story


def a_change(**fields: object) -> SettingsChange:
    """A reading with one different setting, and these further fields."""
    settings = (ChangedSetting("sampler.process.top_rows", "50", "60", Needed.RESTARTED_WORKER, ("sampler/process",)),)
    whole: dict[str, object] = {
        "settings": settings,
        "stop_timeout_ns": 1 * S,
        "policies": {},
        "budgets": BUDGETS,
        "members": {},
        "is_governed": True,
    }
    return SettingsChange(**{**whole, **fields})  # type: ignore[arg-type]


def read(story: Story, change: SettingsChange | None, problem: str = "") -> list[Effect]:
    """Somebody asks, and the shell has read this."""
    (order,) = [each for each in story.command("reload") if isinstance(each, ReadSettings)]
    return story.tell(SettingsRead(order.token, problem, change))


def answer_of(effects: list[Effect]) -> Respond:
    """What the client gets."""
    (answer,) = [each for each in effects if isinstance(each, Respond)]
    return answer


def test_only_workers_that_read_a_changed_setting_are_restarted() -> None:
    """Settings are applied before any start, the others go on."""
    story = make_story()
    effects = read(story, a_change(restarted=frozenset({"sampler/process"})))
    assert isinstance(effects[0], ApplySettings)
    assert [each.child for each in effects if isinstance(each, Send)] == ["sampler/process"]
    assert story.state("sampler/process") is ChildState.STOPPING
    assert {story.state(name) for name in CHILDREN if name != "sampler/process"} == {ChildState.UP}
    result = answer_of(effects).result
    assert result.restarted == ["sampler/process"]  # type: ignore[union-attr]
    assert result.pending == []  # type: ignore[union-attr]
    story.die("sampler/process", status=0)
    assert story.state("sampler/process") is ChildState.STARTING
    assert story.child("sampler/process").failures == 0


def test_a_refused_file_changes_nothing_and_stands_as_a_condition() -> None:
    """Until a reading succeeds: the next start would fail."""
    story = make_story()
    effects = read(story, None, "line 3: no such setting")
    assert [type(each) for each in effects] == [Respond]
    problem = answer_of(effects).problem
    assert problem is not None
    assert problem.code == "settings_refused"
    assert "line 3" in problem.sentence
    assert ("supervisor", "reload_refused") in story.supervisor_state.history.conditions
    assert {story.state(name) for name in CHILDREN} == {ChildState.UP}
    read(story, a_change(settings=()))
    assert ("supervisor", "reload_refused") not in story.supervisor_state.history.conditions


def test_a_worker_that_is_switched_off_ends_and_is_forgotten() -> None:
    """Its conditions too; the agent is ready without it."""
    story = make_story()
    read(story, a_change(removed=frozenset({"sampler/gpu"})))
    assert story.state("sampler/gpu") is ChildState.STOPPING
    story.die("sampler/gpu", status=0)
    assert "sampler/gpu" not in story.supervisor_state.children
    assert "sampler/gpu" not in story.governance.governors
    assert story.supervisor_state.is_ready
    assert [child.name for child in story.supervisor_state.children.values()] == ["writer", "control-plane", "sampler/process"]


def test_one_that_is_switched_on_again_continues_its_epochs() -> None:
    """The writer would take a smaller number for a late frame of a dead worker."""
    story = make_story()
    story.die("sampler/gpu")
    assert story.child("sampler/gpu").epoch == 2
    read(story, a_change(removed=frozenset({"sampler/gpu"})))
    story.die("sampler/gpu", status=0)
    child = Child("sampler/gpu", kind_of("sampler"), POLICY, Random(1))
    effects = read(story, a_change(added=(child,)))
    assert Spawn("sampler/gpu", 3) in effects
    assert story.child("sampler/gpu").epoch == 3


def test_a_new_worker_takes_its_place_in_the_order_of_starts() -> None:
    """It is stopped in its turn too."""
    story = make_story()
    child = Child("sampler/host", kind_of("sampler"), POLICY, Random(1))
    read(story, a_change(added=(child,), budgets={**BUDGETS, "sampler/host": WorkerBudget()}))
    names = [each.name for each in story.supervisor_state.children.values()]
    assert names.index("sampler/host") > names.index("control-plane")
    assert "sampler/host" in story.governance.governors
    story.bring_up("sampler/host", pid=500)
    assert story.supervisor_state.is_ready


def test_two_readings_at_once_are_not_made() -> None:
    """The second asker is told to try again."""
    story = make_story()
    first = story.command("reload")
    assert [type(each) for each in first] == [ReadSettings]
    assert answer_of(story.command("reload")).problem.code == "too_busy"  # type: ignore[union-attr]
    assert story.tell(ReloadRequested()) == []
    assert len(story.noted("reload_skipped")) == 1


def test_while_workers_still_end_no_other_reading_begins() -> None:
    """One of the same name may be wanted again, and has not ended yet."""
    story = make_story()
    read(story, a_change(removed=frozenset({"sampler/gpu"})))
    assert answer_of(story.command("reload")).problem.code == "too_busy"  # type: ignore[union-attr]
    story.die("sampler/gpu", status=0)
    assert [type(each) for each in story.command("reload")] == [ReadSettings]


def test_a_signal_asks_without_an_answer() -> None:
    """SIGHUP: the outcome is in the log."""
    story = make_story()
    (order,) = story.tell(ReloadRequested())
    assert isinstance(order, ReadSettings)
    effects = story.tell(SettingsRead(order.token, change=a_change(settings=())))
    assert [type(each) for each in effects] == [ApplySettings]
    assert len(story.noted("settings_reloaded")) == 1


def test_what_an_older_reading_found_is_dropped() -> None:
    """A thread that hung for an hour brings it late."""
    story = make_story()
    assert story.tell(SettingsRead(77, change=a_change())) == []


@pytest.mark.runbook("Reload of settings")
def test_a_failed_worker_is_started_by_the_change_that_may_have_mended_it() -> None:
    """Exit code 78 says that its settings are wrong."""
    story = make_story()
    story.die("sampler/process", status=78)
    assert story.state("sampler/process") is ChildState.FAILED
    effects = read(story, a_change(restarted=frozenset({"sampler/process"})))
    assert Spawn("sampler/process", 2) in effects


def test_times_of_supervision_hold_at_once() -> None:
    """A living worker's patience too."""
    story = make_story()
    policy = replace(POLICY, hang_timeout_ns=77 * S)
    read(story, a_change(policies=dict.fromkeys(CHILDREN, policy), stop_timeout_ns=9 * S))
    assert story.child("writer").watch._timeout_ns == 77 * S
    assert story.machine._stop.stop_timeout_ns == 9 * S


def test_at_the_end_of_the_agent_nothing_is_read() -> None:
    """And what was read meanwhile is not carried out."""
    story = make_story()
    (order,) = [each for each in story.command("reload") if isinstance(each, ReadSettings)]
    from supervisor.core.effect import StopRequested

    story.tell(StopRequested("test"))
    effects = story.tell(SettingsRead(order.token, change=a_change(restarted=frozenset({"writer"}))))
    assert [type(each) for each in effects] == [Respond]
    assert answer_of(story.command("reload")).problem.code == "too_busy"  # type: ignore[union-attr]


def test_a_worker_without_a_process_is_forgotten_at_once() -> None:
    """There is no end of it to wait for."""
    story = make_story()
    story.die("sampler/gpu", 78)
    effects = read(story, a_change(removed=frozenset({"sampler/gpu"})))
    assert "sampler/gpu" not in story.supervisor_state.children
    assert answer_of(effects).result is not None


def test_a_sleeping_worker_is_started_by_the_change_that_gives_it_work() -> None:
    """It had nothing to do by the settings before."""
    story = Story({**CHILDREN, "jobs": "on-demand"}, budgets=BUDGETS, asleep={"jobs": "no workload"})
    for number, name in enumerate(CHILDREN):
        story.bring_up(name, pid=100 + number)
    story.look_complete()
    assert story.state("jobs") is ChildState.ASLEEP
    effects = read(story, a_change(restarted=frozenset({"jobs"})))
    assert [effect.child for effect in effects if isinstance(effect, Spawn)] == ["jobs"]
