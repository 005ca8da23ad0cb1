"""Operations of the control socket: answered at once, or within their time."""

from typing import Any

import pytest
from fakes.story import Story

from agent.model.control import OPERATIONS
from agent.model.control.document import plain
from agent.model.control.result import Readiness
from agent.model.errors import ExitCode
from agent.model.message import Ask, Publish, Reply, Request
from agent.model.rule import Assignment, Monitoring, Unit, UnitKind, canonical, pod_key
from agent.model.timebase import MS, S
from supervisor.core.control_operations import STATS_DEADLINE_NS
from supervisor.core.effect import (
    ClientAsker,
    Effect,
    Exited,
    LimitsPersisted,
    Persist,
    Persisted,
    PersistLimits,
    Respond,
    RotateRequested,
    Send,
    StopRequested,
    WorkerAsker,
)
from supervisor.core.worker_question import OPEN_QUESTIONS_MAX

TRIO = {"writer": "writer", "control-plane": "control-plane", "gateway": "gateway"}


def _up() -> Story:
    story = Story(TRIO)
    for name in TRIO:
        story.bring_up(name)
    story.look_complete()
    return story


def _asks(effects: list[Effect]) -> dict[str, Ask]:
    return {effect.child: effect.message for effect in effects if isinstance(effect, Send) and isinstance(effect.message, Ask)}


def _answers(effects: list[Effect]) -> list[Respond]:
    return [effect for effect in effects if isinstance(effect, Respond)]


def _result(answer: Respond) -> dict[str, Any]:
    assert answer.result is not None, answer.problem
    return plain(answer.result)


def test_every_operation_has_its_handler() -> None:
    """None of the announced words ends in an error of the program's own."""
    for operation in sorted(OPERATIONS):
        assert _up().command(operation) is not None


def test_hello_tells_where_the_agent_is() -> None:
    """What agentctl needs to find the data."""
    assert _result(_up().ask("hello")) == {
        "version": "0", "run": "r", "host": "h", "pid": 1, "state_dir": "/s", "runtime_dir": "/r", "places": {}
    }  # fmt: skip


def test_list_workers_has_exactly_its_columns() -> None:
    """Readers rely on them."""
    rows = _result(_up().ask("list-workers"))["workers"]
    assert [row["name"] for row in rows] == list(TRIO)
    assert list(rows[0]) == [
        "name", "kind", "state", "pid", "epoch", "uptime_seconds", "restarts", "last_exit", "deaths", "stderr_tail",
        "backoff_seconds", "heartbeat_age_seconds", "rules_revision", "rules_digest", "in_sync", "asleep_why",
        "cpu_percent", "rss_bytes", "pss_bytes", "members",
    ]  # fmt: skip


def test_a_worker_in_backoff_says_for_how_long_and_why() -> None:
    """Absent values are null, not zero."""
    story = _up()
    for _ in range(3):
        story.die("gateway")
        if story.child("gateway").has_process:
            story.bring_up("gateway")
    row = _result(story.ask("list-workers"))["workers"][2]
    assert (row["state"], row["last_exit"], row["pid"], row["uptime_seconds"]) == ("backoff", "SIGKILL", None, None)
    assert row["backoff_seconds"] == 0.1


def test_a_workers_deaths_are_told_by_their_cause_with_the_stderr_tail() -> None:
    """Two kills and an exit code; of what the last one said on stderr the last three lines."""
    story = _up()
    for status in (-9, -9, 70):
        story.tell(Exited("gateway", story.child("gateway").epoch, status, ("one", "two", "three", "four")))
        story.advance(1 * S)
        story.bring_up("gateway")
    row = _result(story.ask("list-workers"))["workers"][2]
    assert row["deaths"] == {"SIGKILL": 2, "bug (70)": 1}
    assert row["stderr_tail"] == ["two", "three", "four"]


def test_of_stacks_the_innermost_frames_are_the_stderr_tail() -> None:
    """Where it was tells more than how it once got there; what it said before its stacks does not stand in their place."""
    story = _up()
    words = ("a complaint", "Current thread 0x1 (most recent call first):", "innermost", "middle", "outer", "outermost")
    story.tell(Exited("gateway", story.child("gateway").epoch, -9, words))
    row = _result(story.ask("list-workers"))["workers"][2]
    assert row["stderr_tail"] == ["innermost", "middle", "outer"]


def test_status_waits_for_the_workers_own_numbers() -> None:
    """Every worker that is up is asked; the answer comes with the last reply."""
    story = _up()
    asks = _asks(story.command("status"))
    assert {name: ask.what for name, ask in asks.items()} == dict.fromkeys(TRIO, "stats")
    assert _answers(story.say("writer", Reply(asks["writer"].ask, {"rows": 5}))) == []
    assert _answers(story.say("gateway", Reply(asks["gateway"].ask, {}))) == []
    (answer,) = _answers(story.say("control-plane", Reply(asks["control-plane"].ask, {})))
    assert _result(answer)["stats"]["writer"] == {"rows": 5}
    assert _result(answer)["ready"] is True


def test_a_worker_that_does_not_answer_is_shown_without_numbers() -> None:
    """After three tenths of a second the rest is told."""
    story = _up()
    asks = _asks(story.command("status"))
    story.say("writer", Reply(asks["writer"].ask, {"rows": 5}))
    (answer,) = _answers(story.advance(STATS_DEADLINE_NS))
    assert _result(answer)["stats"] == {"writer": {"rows": 5}, "control-plane": None, "gateway": None}


def test_a_worker_that_dies_meanwhile_is_not_waited_for() -> None:
    """Its death is an answer too."""
    story = _up()
    asks = _asks(story.command("status"))
    story.say("writer", Reply(asks["writer"].ask, {}))
    story.say("gateway", Reply(asks["gateway"].ask, {}))
    (answer,) = _answers(story.die("control-plane"))
    assert _result(answer)["stats"]["control-plane"] is None


def test_a_late_reply_is_no_second_answer() -> None:
    """The client was answered when its time was over."""
    story = _up()
    asks = _asks(story.command("status"))
    story.advance(STATS_DEADLINE_NS)
    assert _answers(story.say("writer", Reply(asks["writer"].ask, {}))) == []


def test_worker_state_is_what_the_worker_itself_says() -> None:
    """The supervisor adds the name and the epoch and nothing else."""
    story = _up()
    ask = _asks(story.command("worker-state", name="gateway"))["gateway"]
    (answer,) = _answers(story.say("gateway", Reply(ask.ask, {"revision": 9, "rules": []})))
    assert _result(answer) == {"name": "gateway", "epoch": 1, "revision": 9, "rules": []}


def test_worker_state_of_a_silent_or_absent_worker_is_try_again() -> None:
    """Exit code 75 in both cases."""
    story = _up()
    story.command("worker-state", name="gateway")
    (silent,) = _answers(story.advance(5 * S))
    story.die("gateway")
    down = story.ask("worker-state", name="gateway")
    assert [each.problem.exit for each in (silent, down) if each.problem] == [int(ExitCode.TRY_AGAIN)] * 2


def test_rotate_gives_the_writers_own_answer() -> None:
    """Files when it sealed, its sentence when it could not, try again when it is not there."""
    story = _up()
    ask = _asks(story.command("rotate"))["writer"]
    (sealed,) = _answers(story.say("writer", Reply(ask.ask, {"files": [], "rows": 0})))
    assert _result(sealed) == {"files": [], "rows": 0}
    ask = _asks(story.command("rotate"))["writer"]
    (refused,) = _answers(story.say("writer", Reply(ask.ask, {"files": [], "rows": 0, "problem": "disk full"})))
    assert refused.problem is not None
    assert (refused.problem.sentence, refused.problem.exit) == ("disk full", int(ExitCode.IO))
    story.die("writer")
    assert story.ask("rotate").problem is not None


def test_a_rotation_asked_by_signal_answers_nobody() -> None:
    """It is a question too, with a deadline."""
    story = _up()
    assert list(_asks(story.tell(RotateRequested()))) == ["writer"]
    (answer,) = _answers(story.advance(60 * S))
    assert answer.asker == ClientAsker(-1)


def test_the_gateways_request_is_answered_on_the_bus() -> None:
    """With the number of its request."""
    story = _up()
    story.say("gateway", Request(7, "status"))
    (answer,) = _answers(story.advance(STATS_DEADLINE_NS))
    assert answer.asker == WorkerAsker("gateway", 1, 7)
    assert _result(answer)["workers"][0]["cpu_seconds"] is None


def test_readiness_is_answered_without_a_question_to_a_worker() -> None:
    """From what is known here: a worker that does not answer delays nothing."""
    story = _up()
    assert story.say("gateway", Request(7, "ready")) == [Respond(WorkerAsker("gateway", 1, 7), Readiness(ready=True, reasons=[]))]
    story.die("writer")
    result = _result(story.ask("ready"))
    assert (result["ready"], len(result["reasons"])) == (False, 1)
    assert result["reasons"][0].startswith("writer is starting, its last exit was SIGKILL")


@pytest.mark.parametrize("what", ["restart-worker", "hello", "", "x" * 10_000])
def test_a_workers_other_requests_are_refused(what: str) -> None:
    """It may ask for readiness and status: it changes nothing, and is refused at once."""
    (answer,) = _answers(_up().say("gateway", Request(7, what)))
    assert answer.asker == WorkerAsker("gateway", 1, 7)
    assert answer.problem is not None
    assert (answer.problem.code, answer.problem.exit) == ("no_such_request", int(ExitCode.MISUSE))
    assert len(answer.problem.sentence) < 200


@pytest.mark.parametrize("body", [{"rules": 1}, {"revision": "7"}, {"pods": [1]}])
def test_a_worker_that_answers_nonsense_is_told_so(body: dict[str, Any]) -> None:
    """Its reply is another process's word: it is checked before a client sees it."""
    story = _up()
    ask = _asks(story.command("worker-state", name="gateway"))["gateway"]
    (answer,) = _answers(story.say("gateway", Reply(ask.ask, body)))
    assert answer.problem is not None
    assert (answer.problem.code, answer.problem.exit) == ("bad_answer", int(ExitCode.BAD_DATA))


def test_too_many_open_questions_are_refused_and_forgotten_in_time() -> None:
    """A flood costs a bounded memory."""
    story = _up()
    answers = [answer for _ in range(OPEN_QUESTIONS_MAX + 5) for answer in _answers(story.command("status"))]
    assert [answer.problem.code for answer in answers if answer.problem] == ["too_busy"] * 5
    assert len(_answers(story.advance(STATS_DEADLINE_NS))) == OPEN_QUESTIONS_MAX


def test_list_pods_shows_what_the_control_plane_published() -> None:
    """With group, state of the group and since when."""
    story = _up()
    unit = Unit("u1", UnitKind.POD, "/kubepods/podu1", containers=2, namespace="shop", name="cart")
    story.say("control-plane", Publish([(pod_key("u1"), canonical(Assignment(unit, None, "quiet", 0)))], complete=True))
    listed = _result(story.ask("list-pods"))
    assert listed["complete"] is True
    (pod,) = listed["pods"]
    assert (pod["uid"], pod["name"], pod["group"], pod["group_state"], pod["rule"]) == ("u1", "cart", None, "ignored", "quiet")
    assert pod["valid_from"] == "1970-01-01T00:00:00.000Z"


@pytest.mark.parametrize(
    ("monitoring", "state", "problem"),
    [
        (None, "assigned", None),
        (Monitoring(), "pending", None),
        (Monitoring(("/r/mon_groups/pod_u1",), "", "", 2, 1), "exists", None),
        (Monitoring((), "capacity", "Out of RMIDs", 2, 0), "failed", "capacity"),
    ],
    ids=["no groups in use", "being made", "made", "out of ids"],
)
def test_list_pods_shows_how_the_monitoring_group_stands(monitoring: Monitoring | None, state: str, problem: str | None) -> None:
    """Its state, why there is none, its directories, and how many containers are whole in it."""
    story = _up()
    unit = Unit("u1", UnitKind.POD, "/kubepods/podu1", containers=2)
    assignment = Assignment(unit, "u1", None, 0, 0, monitoring)
    story.say("control-plane", Publish([(pod_key("u1"), canonical(assignment))], complete=True))
    (pod,) = _result(story.ask("list-pods"))["pods"]
    assert (pod["group_state"], pod["group_problem"]) == (state, problem)
    assert pod["group_paths"] == ([] if monitoring is None else list(monitoring.paths))
    expected = (None, None) if monitoring is None else (monitoring.total_containers, monitoring.reconciled_containers)
    assert (pod["total_containers"], pod["reconciled_containers"]) == expected


def test_a_reset_of_a_healthy_worker_changes_nothing() -> None:
    """It keeps its process."""
    story = _up()
    assert _result(story.ask("reset-worker", name="writer")) == {"name": "writer", "state": "up"}
    assert story.child("writer").epoch == 1


def test_restart_worker_of_a_failed_one_points_to_reset() -> None:
    """Starting it again would fail the same way."""
    story = _up()
    story.die("gateway", int(ExitCode.CONFIG))
    problem = story.ask("restart-worker", name="gateway").problem
    assert problem is not None
    assert "reset-worker gateway" in problem.sentence


def test_restart_worker_in_backoff_starts_it_now() -> None:
    """The operator does not wait."""
    story = _up()
    for _ in range(3):
        story.die("gateway")
        if story.child("gateway").has_process:
            story.bring_up("gateway")
    before = story.child("gateway").epoch
    assert _result(story.ask("restart-worker", name="gateway"))["state"] == "starting"
    assert story.child("gateway").epoch == before + 1
    assert story.advance(200 * MS) == []


def test_what_is_no_operation_is_refused_with_those_that_are() -> None:
    """A client of another version sees what this one knows."""
    problem = _up().ask("list-wrkers").problem
    assert problem is not None
    assert problem.sentence.startswith("there is no operation 'list-wrkers'; there are ")
    assert "list-workers" in problem.sentence


@pytest.mark.parametrize("limit", [-1, 1_000_000, True, "5", None])
def test_diag_takes_a_number_of_events_that_it_could_have(limit: object) -> None:
    """True is no number."""
    problem = _up().ask("diag", limit=limit).problem
    assert problem is not None
    assert problem.sentence.startswith("limit is a whole number from 0 to ")


def test_a_rule_is_kept_on_the_disk_and_refused_with_its_reason() -> None:
    """It is in force, and gone, once the disk has answered."""
    story = _up()
    problem = story.ask("add-rule", rule={"name": "a", "priority": 1 << 40}).problem
    assert problem is not None
    assert problem.sentence == "rule 'a': a priority lies between -1000000 and 1000000"
    for operation, arguments in (("add-rule", {"rule": {"name": "a"}}), ("remove-rule", {"name": "a"})):
        (order,) = [effect for effect in story.command(operation, **arguments) if isinstance(effect, Persist)]
        (answer,) = _answers(story.tell(Persisted(order.token)))
        assert _result(answer)["changed"] is True
    assert _result(story.ask("list-rules"))["rules"] == []


def test_a_limit_is_kept_on_the_disk() -> None:
    """The answer follows it."""
    story = _up()
    effects = story.command("set-limit", name="gateway", descriptors=77)
    (order,) = [effect for effect in effects if isinstance(effect, PersistLimits)]
    (answer,) = _answers(story.tell(LimitsPersisted(order.token)))
    assert _result(answer)["limit"]["descriptor_limit"] == 77


@pytest.mark.parametrize("operation", ["restart-worker", "reset-worker"])
def test_no_worker_is_started_while_the_agent_ends(operation: str) -> None:
    """Who asks is told to start the agent instead."""
    story = _up()
    story.tell(StopRequested("SIGTERM"))
    problem = story.ask(operation, name="gateway").problem
    assert problem is not None
    assert (problem.code, problem.exit) == ("stopping", int(ExitCode.TRY_AGAIN))
