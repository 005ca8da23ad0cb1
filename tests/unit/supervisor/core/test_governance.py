"""Limits of workers in the supervisor: measured, announced, carried out, changed."""

import pytest
from fakes.story import Story
from msgspec.structs import replace

from agent.model.heartbeat_page import Beat
from agent.model.limit import CPU_PER_CORE, Ladder, LadderStep, Resource, WorkerLimits
from agent.model.message import Hello, Ready, Snapshot, WorkLevel
from agent.model.timebase import MINUTE, MS, S
from supervisor.core.child import ChildState
from supervisor.core.effect import (
    Effect,
    LimitsPersisted,
    Log,
    PersistLimits,
    Respond,
    Send,
    Signal,
    Survivor,
    Survivors,
    WorkerObservation,
    WorkersObserved,
)
from supervisor.core.governance import WorkerBudget
from supervisor.core.usage import WorkerUsage

SAMPLER = "sampler/process"
CHILDREN = {"writer": "writer", "control-plane": "control-plane", SAMPLER: "sampler"}
LADDER = Ladder((LadderStep.LONGER_INTERVAL, LadderStep.LOWER_CAP), is_dispensable=True)
BUDGETS = {
    "writer": WorkerBudget(WorkerLimits(cpu=CPU_PER_CORE)),
    "control-plane": WorkerBudget(),
    SAMPLER: WorkerBudget(WorkerLimits(cpu=CPU_PER_CORE // 10, memory=1000), LADDER),
}


def make_story(**options: object) -> Story:
    """All workers up."""
    story = Story(CHILDREN, **{"budgets": BUDGETS, **options})  # type: ignore[arg-type]
    for number, name in enumerate(CHILDREN):
        story.bring_up(name, pid=100 + number)
    return story


def measure(story: Story, seconds: int, *, cores: float, usage: dict[str, int] | None = None) -> list[Effect]:
    """The sampler is measured four times a second while it uses so much, and nothing while it is switched off."""
    effects: list[Effect] = []
    for _ in range(4 * seconds):
        effects += story.advance(250 * MS)
        is_off = story.governance.governors[SAMPLER].level > LADDER.lowest
        cpu_ns = getattr(story, "cpu_ns", 0) + (0 if is_off else int(cores * 250 * MS))
        story.cpu_ns = cpu_ns  # type: ignore[attr-defined]
        beats = [
            WorkerObservation(name, child.epoch, Beat(story.now_ns, story.now_ns, 0, b"\0" * 32), None)
            for name, child in story.supervisor_state.children.items()
        ]
        seen = replace(beats[-1], usage=WorkerUsage(cpu_ns, **(usage or {})))
        effects += story.tell(WorkersObserved((*beats[:-1], seen)))
    return effects


def told(effects: list[Effect]) -> list[WorkLevel]:
    """The levels that the sampler was told."""
    return [each.message for each in effects if isinstance(each, Send) and isinstance(each.message, WorkLevel)]


def test_an_overshoot_is_told_to_the_worker_and_to_people() -> None:
    """One step, one event, two conditions with sentences that name the figures."""
    story = make_story()
    effects = measure(story, 4, cores=0.3)
    assert told(effects) == [WorkLevel(2, ["longer_interval", "lower_cap"])]
    (step,) = story.noted("degradation_step")
    assert step.fields["from"] == "full"
    assert step.fields["to"] == "lower_cap"
    assert step.fields["resource"] == "cpu"
    assert step.fields["limit"] == "10 %"
    held = {kind: condition.detail for (worker, kind), condition in story.supervisor_state.history.conditions.items()}
    assert held.keys() == {"module_over_limit:cpu", "degraded"}
    assert "of a core over" in held["module_over_limit:cpu"]
    assert "10 % are allowed" in held["module_over_limit:cpu"]
    assert held["degraded"] == "level 2 leaves out longer_interval, lower_cap"


@pytest.mark.runbook("Governor")
def test_every_condition_of_a_quiet_worker_has_its_end() -> None:
    """After the load has gone nothing holds any more, and each end was said."""
    story = make_story()
    measure(story, 60, cores=0.3)
    measure(story, 600, cores=0.0)
    assert story.supervisor_state.history.conditions == {}
    begun = {line.fields["condition"] for line in story.noted("condition_begins")}
    ended = {line.fields["condition"] for line in story.noted("condition_ends")}
    assert begun == ended == {"module_over_limit:cpu", "degraded", "breaker_open"}
    assert len(story.noted("breaker_half_open")) >= 1


def test_conditions_outlive_the_process_and_the_next_one_is_told_its_level() -> None:
    """A worker that dies while it is slowed does not come back at full cost."""
    story = make_story()
    measure(story, 4, cores=0.3)
    story.die(SAMPLER)
    assert (SAMPLER, "degraded") in story.supervisor_state.history.conditions
    story.spawned(SAMPLER)
    greeted = story.say(SAMPLER, Hello(100))
    assert told(greeted) == [WorkLevel(2, ["longer_interval", "lower_cap"])]
    # With the rules it begins: one that is switched off would take a tick before it knew.
    kinds = [type(each.message) for each in greeted if isinstance(each, Send)]
    assert kinds.index(WorkLevel) < kinds.index(Snapshot)


def test_a_worker_at_its_full_level_is_told_nothing() -> None:
    """A start sends no message more than before."""
    story = Story(CHILDREN, budgets=BUDGETS)
    story.spawned(SAMPLER)
    assert told(story.say(SAMPLER, Hello(100))) == []


def test_a_worker_of_a_dead_supervisor_is_told_that_nothing_is_left_out() -> None:
    """The level that it had is not known here; if it costs too much, it is slowed again."""
    survivors = Survivors((Survivor(SAMPLER, 3, 100, 0, 0),), {SAMPLER: 3})
    story = Story(CHILDREN, budgets=BUDGETS, survivors=survivors)
    assert told(story.say(SAMPLER, Hello(100))) == [WorkLevel(0, [])]


def test_too_much_memory_restarts_the_worker_cleanly() -> None:
    """It is asked to stop and is started again; that is no failure of its own."""
    story = make_story()
    effects = measure(story, 2, cores=0.0, usage={"rss_bytes": 2000})
    assert story.state(SAMPLER) is ChildState.STOPPING
    assert [each for each in effects if isinstance(each, Signal)] == []
    (line,) = story.noted("restarted_over_limit")
    assert line.fields["resource"] == "memory"
    story.die(SAMPLER, status=0)
    assert story.state(SAMPLER) is ChildState.STARTING
    assert story.child(SAMPLER).failures == 0


def test_without_a_governor_everything_is_measured_and_nothing_is_ruled() -> None:
    """`supervisor.governor = false`."""
    story = make_story(is_governed=False)
    assert told(measure(story, 60, cores=1.0, usage={"rss_bytes": 5000})) == []
    result = story.ask("list-limits").result
    row = next(each for each in result.limits if each.name == SAMPLER)  # type: ignore[union-attr]
    assert row.cpu_percent == 100.0
    assert row.memory_bytes == 5000
    assert not result.is_enabled  # type: ignore[union-attr]


def test_what_is_measured_of_a_worker_that_is_not_up_is_not_judged() -> None:
    """A start may cost what it must; a time limit bounds it."""
    story = Story(CHILDREN, budgets=BUDGETS)
    story.spawned(SAMPLER)
    assert told(measure(story, 5, cores=1.0)) == []


# ---- set-limit -----------------------------------------------------------------------------------


def persisted(story: Story, effects: list[Effect]) -> Respond:
    """The disk takes the document; gives the answer."""
    (order,) = [each for each in effects if isinstance(each, PersistLimits)]
    (answer,) = [each for each in story.tell(LimitsPersisted(order.token)) if isinstance(each, Respond)]
    return answer


def test_a_limit_is_in_force_once_it_is_on_the_disk() -> None:
    """Not before, and the answer comes then."""
    story = make_story()
    effects = story.command("set-limit", name=SAMPLER, cpu=500)
    assert not [each for each in effects if isinstance(each, Respond)]
    (order,) = [each for each in effects if isinstance(each, PersistLimits)]
    assert order.limits == {SAMPLER: {Resource.CPU: 500}}
    assert story.governance.governors[SAMPLER].limits.cpu == CPU_PER_CORE // 10
    answer = persisted(story, effects)
    assert answer.problem is None
    limits = story.governance.governors[SAMPLER].limits
    assert (limits.cpu, limits.memory) == (500, 1000)
    (line,) = story.noted("limit_changed")
    assert line.fields["cpu"] == "10 % -> 0.5 %"


def test_a_limit_that_cannot_be_kept_is_refused_and_changes_nothing() -> None:
    """A full disk: the limits are as before, and the next change may succeed."""
    story = make_story()
    (order,) = [each for each in story.command("set-limit", name=SAMPLER, cpu=500) if isinstance(each, PersistLimits)]
    (answer,) = [each for each in story.tell(LimitsPersisted(order.token, "no room")) if isinstance(each, Respond)]
    assert answer.problem is not None
    assert answer.problem.code == "not_durable"
    assert story.governance.governors[SAMPLER].limits.cpu == CPU_PER_CORE // 10
    assert persisted(story, story.command("set-limit", name=SAMPLER, cpu=500)).problem is None


def test_changes_that_come_together_are_all_kept() -> None:
    """The second waits for the first, and its document has both."""
    story = make_story()
    first = story.command("set-limit", name=SAMPLER, cpu=500)
    second = story.command("set-limit", name="writer", memory=77)
    assert [each for each in second if isinstance(each, PersistLimits)] == []
    (order,) = [each for each in first if isinstance(each, PersistLimits)]
    after = story.tell(LimitsPersisted(order.token))
    (next_order,) = [each for each in after if isinstance(each, PersistLimits)]
    assert next_order.limits == {SAMPLER: {Resource.CPU: 500}, "writer": {Resource.MEMORY: 77}}


def test_the_same_limit_again_writes_nothing() -> None:
    """Adding the same twice changes nothing."""
    story = make_story(set_limits={SAMPLER: {Resource.CPU: 500}})
    answer = story.ask("set-limit", name=SAMPLER, cpu=500)
    assert answer.result is not None
    assert answer.result.changed is False  # type: ignore[attr-defined]


@pytest.mark.runbook("Governor")
def test_a_reset_gives_back_the_limits_of_the_settings() -> None:
    """And the document forgets the worker."""
    story = make_story(set_limits={SAMPLER: {Resource.CPU: 500}})
    effects = story.command("set-limit", name=SAMPLER, reset=True)
    (order,) = [each for each in effects if isinstance(each, PersistLimits)]
    assert order.limits == {}
    persisted(story, effects)
    assert story.governance.governors[SAMPLER].limits.cpu == CPU_PER_CORE // 10


def test_a_limit_that_is_raised_ends_what_was_over_it() -> None:
    """0.1 % brings the event, more than is used ends it."""
    story = make_story()
    persisted(story, story.command("set-limit", name=SAMPLER, cpu=100))
    measure(story, 30, cores=0.003)
    assert (SAMPLER, "module_over_limit:cpu") in story.supervisor_state.history.conditions
    persisted(story, story.command("set-limit", name=SAMPLER, cpu=500))
    measure(story, 20, cores=0.003)
    assert (SAMPLER, "module_over_limit:cpu") not in story.supervisor_state.history.conditions


def test_wrong_limits_are_refused_with_a_sentence() -> None:
    """An unknown worker, a member, no limit, text, a fraction, a negative number, all at once."""
    story = Story({"writer": "writer", "sampler/node": "sampler"}, members={"sampler/node": ("sampler/host", "sampler/unit")})
    wrong: list[tuple[dict[str, object], str]] = [
        ({"name": "nobody", "cpu": 1}, "there is no worker"),
        ({"name": "sampler/host", "cpu": 1}, "shares the process"),
        ({"name": "writer"}, "name at least one of"),
        ({"name": "writer", "cpu": 1, "reset": True}, "name at least one of"),
        ({"name": "writer", "cpu": "0.5%"}, "cpu is a whole number"),
        ({"name": "writer", "cpu": 0.5}, "cpu is a whole number"),
        ({"name": "writer", "memory": -1}, "memory is a whole number"),
        ({"name": "writer", "cpu": True}, "cpu is a whole number"),
        ({"name": ["x"], "cpu": 1}, "there is no worker"),
    ]
    for arguments, sentence in wrong:
        problem = story.ask("set-limit", **arguments).problem
        assert problem is not None, arguments
        assert sentence in problem.sentence, arguments


@pytest.mark.runbook("Reload of settings")
def test_other_settings_change_limits_that_the_operator_has_not_set() -> None:
    """A reload: what the operator has set stays."""
    story = make_story(set_limits={SAMPLER: {Resource.CPU: 500}})
    budgets = {name: WorkerBudget(WorkerLimits(cpu=77, memory=88), budget.ladder) for name, budget in BUDGETS.items()}
    story.governance.replace_budgets(budgets, story.supervisor_state.children, story.now_ns)
    assert story.governance.governors[SAMPLER].limits == WorkerLimits(cpu=500, memory=88)
    assert story.governance.governors["writer"].limits == WorkerLimits(cpu=77, memory=88)


def test_an_hour_of_standing_load_degrades_nobody() -> None:
    """At two thirds of the limit, with bursts of a window's end, nothing is left out."""
    story = make_story()
    for minute in range(60):
        measure(story, 58, cores=0.05)
        measure(story, 2, cores=0.15 if minute % 5 == 0 else 0.05)
    assert story.noted("degradation_step") == []
    assert story.now_ns >= 59 * MINUTE


def test_ready_after_a_level_is_as_before() -> None:
    """A level that is told at the hello does not keep a worker from being up."""
    story = make_story()
    measure(story, 4, cores=0.3)
    story.die(SAMPLER)
    story.bring_up(SAMPLER)
    assert story.state(SAMPLER) is ChildState.UP
    assert story.say(SAMPLER, Ready()) == []
    assert story.now_ns > 4 * S - 1


def test_a_worker_without_a_budget_is_neither_told_nor_measured() -> None:
    """One that has just been forgotten may still say hello."""
    story = make_story()
    child = story.child(SAMPLER)
    story.governance.forget(SAMPLER, story.now_ns)
    assert story.governance.on_hello(child, story.now_ns) == []
    assert story.governance.on_observed(child, WorkerUsage(5), story.now_ns) == []


def test_what_was_found_of_a_worker_that_is_not_wanted_any_more_ends() -> None:
    """The limits that the operator has set for it are kept, for when it comes back with the settings."""
    story = make_story(set_limits={SAMPLER: {Resource.CPU: 10}})
    measure(story, 4, cores=0.3)
    ended = story.governance.forget(SAMPLER, story.now_ns)
    assert {line.fields["condition"] for line in ended if isinstance(line, Log)} >= {"module_over_limit:cpu"}
    story.governance.replace_budgets(BUDGETS, story.supervisor_state.children, story.now_ns)
    assert story.governance.governors[SAMPLER].limits.cpu == 10


def test_the_same_budget_again_changes_nothing() -> None:
    """A file that was read again without a difference; a worker that is not there yet has its limits ready."""
    story = make_story()
    budgets = {**BUDGETS, "sampler/new": WorkerBudget(WorkerLimits(cpu=7))}
    assert story.governance.replace_budgets(budgets, story.supervisor_state.children, story.now_ns) == []
    assert story.governance.governors["sampler/new"].limits.cpu == 7
    assert story.governance.replace_budgets({"sampler/new": WorkerBudget()}, {}, story.now_ns) == []


def test_who_has_nothing_to_leave_out_is_named_all_the_same() -> None:
    """The sentence says that nothing follows."""
    story = make_story(budgets={**BUDGETS, SAMPLER: WorkerBudget(WorkerLimits(cpu=CPU_PER_CORE // 10))})
    measure(story, 4, cores=0.3)
    held = {kind: condition.detail for (_, kind), condition in story.supervisor_state.history.conditions.items()}
    assert held["module_over_limit:cpu"].endswith("there is nothing that it could leave out")


def test_without_a_figure_of_the_processor_the_others_are_kept() -> None:
    """Where nothing is ruled too."""
    story = make_story(is_governed=False)
    usage = WorkerUsage(None, rss_bytes=5)
    assert story.governance.on_observed(story.child(SAMPLER), usage, story.now_ns) == []
    assert story.governance.governors[SAMPLER].usage == usage
