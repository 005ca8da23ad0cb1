"""Stories of workers that start, die, hang and are stopped."""

from fakes.story import Story, spawns

from agent.model.control.result import Diagnostics
from agent.model.errors import ExitCode
from agent.model.heartbeat_page import Beat
from agent.model.message import Condition, Ending, Hello, Note, Publish, Ready, Stop
from agent.model.timebase import MS, S
from supervisor.core.child import ChildState
from supervisor.core.effect import (
    Exited,
    Finished,
    Noted,
    ResetLauncher,
    Send,
    Settled,
    Signal,
    SpawnFailed,
    StopRequested,
    WorkerObservation,
    WorkersObserved,
)
from supervisor.core.watchdog import ProcessState

PAIR = {"writer": "writer", "control-plane": "control-plane"}


def _look(story: Story, name: str, turns: int, state: str = "S") -> list[object]:
    story.now_ns += 500 * MS
    child = story.child(name)
    beat = Beat(turns, story.now_ns, story.supervisor_state.authority.revision, story.supervisor_state.authority.state.digest)
    return list(story.tell(WorkersObserved((WorkerObservation(name, child.epoch, beat, ProcessState(state, 0)),))))


def test_all_children_are_started_without_waiting_for_one_another() -> None:
    """The first effects are all the spawns."""
    assert spawns(Story(PAIR).begun) == [("writer", 1), ("control-plane", 1)]


def test_a_worker_is_up_when_it_has_acknowledged_its_snapshot_and_said_ready() -> None:
    """Started is not ready, and ready without the snapshot is not either."""
    story = Story(PAIR)
    story.spawned("writer")
    hello = story.say("writer", Hello(100))
    story.say("writer", Ready())
    assert story.state("writer") is ChildState.STARTING
    story.acknowledge("writer", hello)
    story.say("writer", Ready())
    assert story.state("writer") is ChildState.UP


def test_the_agent_is_ready_once_all_are_up_and_the_host_was_seen() -> None:
    """Settled, without a reason, comes with the last missing thing."""
    story = Story(PAIR)
    story.bring_up("writer")
    assert Settled(()) not in story.bring_up("control-plane")
    assert Settled(()) in story.look_complete()
    assert story.supervisor_state.reasons_not_ready(story.now_ns) == []


def test_the_first_death_is_answered_by_an_immediate_start() -> None:
    """No delay after the first failure."""
    story = Story(PAIR)
    story.bring_up("writer")
    assert spawns(story.die("writer")) == [("writer", 2)]


def test_a_worker_that_dies_at_once_always_is_started_at_growing_intervals() -> None:
    """The k-th delay follows the policy to the ceiling, and ready alone forgives nothing."""
    story = Story({"writer": "writer"})
    delays = []
    for _ in range(12):
        story.bring_up("writer")
        died_at_ns = story.now_ns
        effects = story.die("writer")
        while not spawns(effects):
            effects = story.advance(story.machine.next_deadline_ns() - story.now_ns)
        delays.append((story.now_ns - died_at_ns) // MS)
    assert delays == [0, 100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 30000, 30000]


def test_a_stable_period_forgives_the_failures() -> None:
    """After sixty seconds up the next death is the first again."""
    story = Story({"writer": "writer"})
    for _ in range(5):
        story.bring_up("writer")
        story.die("writer")
        story.advance(2 * S)
    story.bring_up("writer")
    story.advance(61 * S)
    assert spawns(story.die("writer")) == [("writer", 7)]


def test_polling_list_workers_does_not_postpone_a_restart() -> None:
    """A question every millisecond moves no timer."""
    story = Story({"writer": "writer"})
    for _ in range(2):
        story.bring_up("writer")
        story.die("writer")
    started = []
    for _ in range(100):
        story.ask("list-workers")
        started += spawns(story.advance(1 * MS))
    assert started == [("writer", 3)]


def test_a_worker_that_is_never_ready_is_killed_then_backs_off() -> None:
    """Ten silent seconds after its start it gets SIGKILL, and its death is a failure."""
    story = Story({"writer": "writer"})
    story.spawned("writer")
    assert [effect for effect in story.advance(10 * S) if isinstance(effect, Signal)] == [Signal("writer", 1, "KILL")]
    assert spawns(story.die("writer")) == [("writer", 2)]
    assert story.child("writer").failures == 1


def test_a_hung_worker_is_asked_for_a_traceback_then_killed_then_replaced() -> None:
    """USR2 (and CONT, so that a stopped one can obey), a short grace, KILL, and the next generation."""
    story = Story({"writer": "writer"})
    story.bring_up("writer")
    effects = [_look(story, "writer", turns=1) for _ in range(5)]
    assert effects[-1] == [Signal("writer", 1, "USR2"), Signal("writer", 1, "CONT")]
    assert story.advance(100 * MS) == [Signal("writer", 1, "KILL")]
    assert spawns(story.die("writer")) == [("writer", 2)]


def test_the_next_start_is_told_how_those_before_it_ended() -> None:
    """Hung, died, asked to end by the operator: the newest eight, in the words of table `gap`."""
    story = Story({"writer": "writer"})
    story.bring_up("writer")
    for _ in range(5):
        _look(story, "writer", turns=1)
    story.die("writer")
    story.bring_up("writer")
    story.command("restart-worker", name="writer")
    story.die("writer", 0)
    story.bring_up("writer")
    story.die("writer")
    endings = [Ending(1, "worker_hung"), Ending(2, "worker_stopped"), Ending(3, "worker_died")]
    assert list(story.child("writer").endings) == endings
    for _ in range(10):
        story.advance(60 * S)
        story.bring_up("writer")
        story.die("writer")
    assert [ending.epoch for ending in story.child("writer").endings] == list(range(6, 14))


def test_a_configuration_error_ends_the_restarts_until_the_operator_resets() -> None:
    """Exit code 78 is final; reset-worker forgives it."""
    story = Story({"writer": "writer"})
    story.bring_up("writer")
    assert spawns(story.die("writer", int(ExitCode.CONFIG))) == []
    assert story.state("writer") is ChildState.FAILED
    assert spawns(story.advance(3600 * S)) == []
    assert spawns(story.command("reset-worker", name="writer")) == [("writer", 2)]


def test_an_unasked_end_with_code_zero_is_a_failure_like_any_other() -> None:
    """A worker that just leaves in a loop must not be restarted without delay."""
    story = Story({"writer": "writer"})
    for _ in range(3):
        story.bring_up("writer")
        story.die("writer", 0)
        story.advance(S)
    assert story.child("writer").failures == 3


def test_restart_worker_stops_in_order_and_starts_without_counting_a_failure() -> None:
    """The operator's restart is no crash."""
    story = Story({"writer": "writer"})
    story.bring_up("writer")
    effects = story.command("restart-worker", name="writer")
    assert [effect.message for effect in effects if isinstance(effect, Send)] == [Stop(800 * MS, for_good=False)]
    assert spawns(story.die("writer", 0)) == [("writer", 2)]
    assert story.child("writer").failures == 0


def test_a_worker_that_ignores_stop_is_killed_at_its_deadline() -> None:
    """Order first, force after the grace."""
    story = Story({"writer": "writer"})
    story.bring_up("writer")
    story.command("restart-worker", name="writer")
    assert story.advance(1 * S) == [Signal("writer", 1, "KILL")]


def test_the_agent_stops_its_workers_one_by_one_in_reverse_order() -> None:
    """The writer, started first, hears of the end when all others are gone."""
    story = Story(PAIR)
    story.bring_up("writer")
    story.bring_up("control-plane")
    first = story.tell(StopRequested("SIGTERM"))
    assert [effect.child for effect in first if isinstance(effect, Send)] == ["control-plane"]
    second = story.die("control-plane", 0)
    assert [effect.child for effect in second if isinstance(effect, Send)] == ["writer"]
    assert story.die("writer", 0) == [Finished()]


def test_a_worker_waiting_for_its_restart_is_simply_not_started_when_the_agent_stops() -> None:
    """A stop during a backoff ends at once."""
    story = Story({"writer": "writer"})
    for _ in range(3):
        story.bring_up("writer")
        story.die("writer")
        story.advance(100 * MS) if story.state("writer") is ChildState.BACKOFF and _ < 2 else None
    assert story.state("writer") is ChildState.BACKOFF
    assert Finished() in story.tell(StopRequested("SIGTERM"))


def test_a_process_that_survives_sigkill_does_not_hold_the_end_for_ever() -> None:
    """It is named as left behind."""
    story = Story({"writer": "writer"})
    story.bring_up("writer")
    story.tell(StopRequested("SIGTERM"))
    effects = story.advance(10 * S)
    assert Finished(("writer",)) in effects


def test_an_event_of_a_dead_generation_is_dropped_and_counted() -> None:
    """The exit of epoch 1 arriving twice does not kill epoch 2."""
    story = Story({"writer": "writer"})
    story.bring_up("writer")
    story.die("writer")
    assert story.tell(Exited("writer", 1, -9)) == []
    assert story.state("writer") is ChildState.STARTING
    assert story.supervisor_state.stale_events == 1


def test_a_failed_spawn_backs_off_like_a_death() -> None:
    """No process at all is a failure too."""
    story = Story({"writer": "writer"})
    assert spawns(story.tell(SpawnFailed("writer", 1, "EAGAIN"))) == [("writer", 2)]
    story.tell(SpawnFailed("writer", 2, "EAGAIN"))
    assert story.state("writer") is ChildState.BACKOFF


def test_a_launcher_that_never_answers_is_reset() -> None:
    """No pid after the start timeout and the kill grace: the fork server itself hangs."""
    story = Story({"writer": "writer"})
    assert ResetLauncher() in story.advance(20 * S)


def test_one_crash_loop_does_not_touch_the_other_workers() -> None:
    """The neighbour keeps its epoch and its deadline stays its own."""
    story = Story(PAIR)
    story.bring_up("control-plane")
    for _ in range(10):
        story.bring_up("writer")
        story.die("writer")
        story.advance(40 * S)
    assert story.child("control-plane").epoch == 1
    assert spawns(story.die("control-plane")) == [("control-plane", 2)]


def test_a_blocking_condition_makes_the_agent_not_ready_until_it_ends_or_its_worker_dies() -> None:
    """Conditions come, go, and do not outlive their worker."""
    story = Story(PAIR)
    story.bring_up("writer")
    story.bring_up("control-plane")
    story.look_complete()
    story.say("writer", Condition("spool", active=True, detail="no space left", blocks_ready=True))
    assert story.supervisor_state.reasons_not_ready(story.now_ns) == ["writer: no space left"]
    story.die("writer")
    story.bring_up("writer")
    assert story.supervisor_state.reasons_not_ready(story.now_ns) == []


def test_only_the_control_plane_may_publish_pods() -> None:
    """A confused sampler changes nothing."""
    story = Story(PAIR)
    story.bring_up("writer")
    story.say("writer", Publish([("pod/x", None)], complete=True))
    assert len(story.noted("publish_refused")) == 1
    assert not story.supervisor_state.looked_at_host


def test_the_control_plane_cannot_write_rules() -> None:
    """Its keys are pods, and its contents must be assignments."""
    story = Story(PAIR)
    story.bring_up("control-plane")
    story.say("control-plane", Publish([("rule/x", b"{}")], complete=False))
    story.say("control-plane", Publish([("pod/x", b"not an assignment")], complete=False))
    assert len(story.noted("publish_refused")) == 2
    assert len(story.supervisor_state.authority.state) == 0


def test_a_workers_note_is_in_the_event_history() -> None:
    """Nothing is only in a log."""
    story = Story(PAIR)
    story.bring_up("writer")
    story.say("writer", Note("sealed", "info", {"rows": 3}))
    found = story.ask("diag", limit=512).result
    assert isinstance(found, Diagnostics)
    assert [event.fields for event in found.events if event.kind == "sealed"] == [{"rows": 3}]


def test_a_condition_ends_when_its_worker_dies() -> None:
    """Nothing that was begun is left open, and the end says how long it held."""
    story = Story(PAIR)
    story.bring_up("writer")
    story.say("writer", Condition("spool", active=True, detail="no room"))
    story.advance(2 * S)
    story.die("writer")
    found = story.ask("diag", limit=512).result
    assert isinstance(found, Diagnostics)
    begun, ended = [event for event in found.events if event.kind == "spool"]
    assert (begun.phase, begun.severity, begun.fields) == ("begin", "error", {"detail": "no room"})
    assert (ended.phase, ended.severity, ended.since) == ("end", "info", begun.at)
    assert ended.fields == {"detail": "its worker ended", "held_seconds": 2.0}
    assert found.conditions == []
    assert [line.fields["condition"] for line in story.noted("condition_ends")] == ["spool"]


def test_each_start_but_the_first_is_a_restart() -> None:
    """It says how the start before it ended."""
    story = Story(PAIR)
    story.bring_up("writer")
    assert story.noted("worker_restart") == []
    story.die("writer")
    assert [(line.fields["epoch"], line.fields["after"]) for line in story.noted("worker_restart")] == [(2, "SIGKILL")]


def test_what_the_shell_announced_is_an_event_and_not_logged_again() -> None:
    """It is in the log already."""
    story = Story(PAIR)
    story.tell(Noted("stray_killed", "warning", {"pid": 7}))
    found = story.ask("diag", limit=512).result
    assert isinstance(found, Diagnostics)
    assert [event.fields for event in found.events if event.kind == "stray_killed"] == [{"pid": 7}]
    assert story.noted("stray_killed") == []


def test_diag_of_no_events_holds_none() -> None:
    """The last 0 of a list are none, and all that are kept are hidden."""
    story = Story(PAIR)
    story.bring_up("writer")
    whole, empty = story.ask("diag", limit=512).result, story.ask("diag", limit=0).result
    assert isinstance(whole, Diagnostics)
    assert empty == Diagnostics(events=[], deaths=[], hidden=len(whole.events), conditions=[])
    assert story.ask("diag", limit=-1).problem is not None
    assert story.ask("diag", limit=True).problem is not None


def test_a_worker_that_was_stopped_before_it_was_connected_is_told_again() -> None:
    """Its hello is answered with the Stop that could not reach it, with what is left of the grace."""
    story = Story({"writer": "writer"})
    story.spawned("writer")
    story.tell(StopRequested("SIGTERM"))
    story.advance(400 * MS)
    messages = [effect.message for effect in story.say("writer", Hello(100)) if isinstance(effect, Send)]
    assert Stop(480 * MS) in messages


def test_nothing_is_started_any_more_once_the_agent_ends() -> None:
    """restart-worker and reset-worker are refused while the workers are stopped one by one."""
    story = Story(PAIR)
    story.bring_up("writer")
    story.bring_up("control-plane")
    story.tell(StopRequested("SIGTERM"))
    story.die("control-plane", 0)
    for operation in ("restart-worker", "reset-worker"):
        problem = story.ask(operation, name="control-plane").problem
        assert problem is not None
        assert problem.code == "stopping"
    assert story.die("writer", 0) == [Finished()]


def test_signals_in_a_row_kill_once_and_leave_nobody_behind() -> None:
    """The second signal ends the patience, the third changes nothing more."""
    story = Story(PAIR)
    story.bring_up("writer")
    story.bring_up("control-plane")
    story.tell(StopRequested("SIGTERM"))
    hurried = story.tell(StopRequested("SIGTERM"))
    assert {effect.child for effect in hurried if isinstance(effect, Signal)} == set(PAIR)
    assert story.tell(StopRequested("SIGTERM")) == []
    story.die("control-plane")
    assert story.die("writer") == [Finished()]


def test_a_second_signal_after_giving_up_on_a_worker_is_heard() -> None:
    """One worker cannot be killed and is given up; the order goes on with the others."""
    story = Story(PAIR)
    story.bring_up("writer")
    story.bring_up("control-plane")
    story.tell(StopRequested("SIGTERM"))
    story.advance(4 * S)
    story.tell(StopRequested("SIGTERM"))
    story.die("writer")
    assert len(story.noted("left_behind")) == 1


def test_arguments_of_the_wrong_type_are_refused_and_end_nothing() -> None:
    """A list is no name."""
    story = Story(PAIR)
    for operation in ("worker-state", "restart-worker", "reset-worker", "remove-rule"):
        wrongs: list[object] = [[], {}, None, 7]
        for wrong in wrongs:
            assert story.ask(operation, name=wrong).problem is not None
    assert story.ask("diag", limit="many").problem is not None
    assert story.ask("add-rule", rule={"name": ["a"]}).problem is not None


def test_workers_that_die_with_the_fork_server_are_started_at_once_and_not_blamed() -> None:
    """One event names the fork server; no failure is counted, however often it happens to a worker that was up."""
    story = Story(PAIR)
    for _ in range(3):
        for name in PAIR:
            story.bring_up(name)
        for name in PAIR:
            gone = Exited(name, story.child(name).epoch, None, (), with_launcher=True)
            assert spawns(story.tell(gone)) == [(name, story.child(name).epoch)]
        story.advance(2 * S)
    assert {child.failures for child in story.supervisor_state.children.values()} == {0}
    assert len(story.noted("fork_server_died")) == 3


def test_a_fork_servers_death_is_one_event_however_late_its_workers_are_seen_to_have_died() -> None:
    """A starved machine takes seconds to end a process."""
    story = Story(PAIR)
    for name in PAIR:
        story.bring_up(name)
    story.advance(1 * S)
    for name in PAIR:
        story.tell(Exited(name, story.child(name).epoch, None, (), with_launcher=True))
        story.advance(3 * S)
    assert len(story.noted("fork_server_died")) == 1


def test_a_worker_that_was_not_up_when_the_fork_server_died_backs_off() -> None:
    """Else a fork server whose children always die would spin."""
    story = Story({"writer": "writer"})
    for _ in range(2):
        story.spawned("writer")
        story.tell(Exited("writer", story.child("writer").epoch, None, (), with_launcher=True))
    assert story.state("writer") is ChildState.BACKOFF


def test_the_whole_stop_takes_one_stop_timeout_however_many_workers_ignore_it() -> None:
    """Each gets its share of what is left; nobody waits for the full time one after another."""
    names = {f"sampler/{number}": "sampler" for number in range(8)}
    story = Story(names)
    for name in names:
        story.bring_up(name)
    story.tell(StopRequested("SIGTERM"))
    begun_ns = story.now_ns
    for name in reversed(names):
        while Signal(name, 1, "KILL") not in story.advance(max(1, story.machine.next_deadline_ns() - story.now_ns)):
            continue
        story.die(name)
    assert story.now_ns - begun_ns <= 1 * S + 100 * MS


def test_a_start_that_takes_too_long_is_settled_with_its_reasons() -> None:
    """Once, after two seconds; becoming ready later is not a second start."""
    story = Story({"control-plane": "control-plane"})
    story.bring_up("control-plane")
    (settled,) = [effect for effect in story.advance(3 * S) if isinstance(effect, Settled)]
    assert settled.reasons == ("control-plane has not yet seen which pods and units exist",)
    assert not any(isinstance(effect, Settled) for effect in story.look_complete())


def test_a_worker_that_stops_for_a_restart_hears_that_it_is_for_good_after_all() -> None:
    """restart-worker and then the end of the agent: no successor comes, so it must close what is open."""
    story = Story({"control-plane": "control-plane"})
    story.bring_up("control-plane")
    story.command("restart-worker", name="control-plane")
    story.advance(100 * MS)
    (told,) = [effect.message for effect in story.tell(StopRequested("SIGTERM")) if isinstance(effect, Send)]
    assert isinstance(told, Stop)
    assert told.for_good
    assert story.die("control-plane", 0) == [Finished()]


def test_a_worker_that_dies_while_the_agent_ends_is_not_started_again() -> None:
    """A signal to the whole group ends them all at once, before their turn to stop has come."""
    story = Story({"writer": "writer", "gateway": "gateway"})
    story.bring_up("writer")
    story.bring_up("gateway")
    story.tell(StopRequested("SIGTERM"))
    assert spawns(story.die("writer", -15)) == []
    assert story.state("writer") is ChildState.DOWN
    assert Finished() in story.die("gateway", 0)


def test_a_worker_that_waits_to_be_started_is_not_when_the_agent_ends() -> None:
    """Its time comes while others are still stopping."""
    story = Story({"writer": "writer", "gateway": "gateway"})
    story.bring_up("gateway")
    for _ in range(3):
        story.die("writer", 70)
        story.advance(1)
    assert story.state("writer") is ChildState.BACKOFF
    story.tell(StopRequested("SIGTERM"))
    assert spawns(story.advance(500 * MS)) == []
