"""Questions to workers: sent, answered once, bounded in number and time."""

from fakes.story import Story
from msgspec.structs import replace

from agent.model.control.result import Readiness
from agent.model.message import Ask, Reply
from agent.model.timebase import S
from supervisor.core.effect import ClientAsker, Effect, Problem, Respond, Send
from supervisor.core.worker_question import OPEN_QUESTIONS_MAX, Question, Replies, WorkerQuestions

ASKER = ClientAsker(1)
PATIENCE_NS = 2 * S
PAIR = {"writer": "writer", "gateway": "gateway"}


def _questions() -> WorkerQuestions:
    story = Story(PAIR)
    for name in PAIR:
        story.bring_up(name)
    return WorkerQuestions(story.supervisor_state)


def _question(*workers: str) -> Question:
    def finish(replies: Replies, at_ns: int) -> Readiness:
        return Readiness(ready=len(replies) == len(workers), reasons=sorted(replies))

    return Question(ASKER, "stats", workers, PATIENCE_NS, finish)


def _numbers(effects: list[Effect]) -> dict[str, int]:
    return {each.child: each.message.ask for each in effects if isinstance(each, Send) and isinstance(each.message, Ask)}


def test_the_answer_comes_with_the_last_reply() -> None:
    """Each worker is asked once, by a number of its own; a reply to another worker's number does not count."""
    questions = _questions()
    numbers = _numbers(questions.ask(_question("writer", "gateway"), 0))
    assert len(set(numbers.values())) == 2
    assert questions.on_reply("writer", Reply(numbers["gateway"], {}), 1) == []
    assert questions.on_reply("writer", Reply(numbers["writer"], {}), 1) == []
    answered = [Respond(ASKER, Readiness(ready=True, reasons=["gateway", "writer"]))]
    assert questions.on_reply("gateway", Reply(numbers["gateway"], {}), 2) == answered
    assert questions.on_reply("gateway", Reply(numbers["gateway"], {}), 3) == []


def test_a_question_to_no_worker_is_answered_at_once() -> None:
    """There is nothing to wait for."""
    assert _questions().ask(_question(), 0) == [Respond(ASKER, Readiness(ready=True, reasons=[]))]


def test_the_deadline_answers_with_the_replies_that_are_there() -> None:
    """Not before it, and not twice."""
    questions = _questions()
    numbers = _numbers(questions.ask(_question("writer", "gateway"), 0))
    questions.on_reply("writer", Reply(numbers["writer"], {}), 1)
    assert questions.next_deadline_ns() == PATIENCE_NS
    assert questions.on_deadline(PATIENCE_NS - 1) == []
    assert questions.on_deadline(PATIENCE_NS) == [Respond(ASKER, Readiness(ready=False, reasons=["writer"]))]
    assert (questions.next_deadline_ns(), questions.on_deadline(PATIENCE_NS)) == (None, [])


def test_a_dead_worker_is_not_waited_for() -> None:
    """Every question that waits for it goes on without it."""
    questions = _questions()
    for _ in range(2):
        questions.ask(_question("gateway"), 0)
    assert questions.on_worker_gone("writer", 1) == []
    assert len(questions.on_worker_gone("gateway", 1)) == 2


def test_a_problem_is_an_answer_without_a_result() -> None:
    """What is made of the replies may be a refusal."""
    problem = Problem("no_answer", "try again", 75)
    effects = _questions().ask(Question(ASKER, "stats", (), PATIENCE_NS, lambda _replies, _at_ns: problem), 0)
    assert effects == [Respond(ASKER, None, problem)]


def test_too_many_open_questions_are_refused() -> None:
    """The worker is not asked; those that are open stay so."""
    questions = _questions()
    for _ in range(OPEN_QUESTIONS_MAX):
        assert len(_numbers(questions.ask(_question("writer"), 0))) == 1
    (refused,) = questions.ask(_question("writer"), 0)
    assert isinstance(refused, Respond)
    assert refused.problem is not None
    assert (refused.problem.code, refused.problem.exit) == ("too_busy", 75)
    assert len(questions.on_deadline(PATIENCE_NS)) == OPEN_QUESTIONS_MAX


def test_a_question_that_waits_is_sent_when_its_worker_is_up() -> None:
    """It carries its arguments; its patience counts from the moment it was asked."""
    story = Story(PAIR)
    story.bring_up("gateway")
    questions = WorkerQuestions(story.supervisor_state)
    waiting = replace(_question("writer", "gateway"), arguments={"name": "a"}, waits=True)
    assert list(_numbers(questions.ask(waiting, 0))) == ["gateway"]
    assert (questions.on_worker_up("gateway"), questions.on_worker_gone("writer", 1)) == ([], [])
    story.bring_up("writer")
    (sent,) = questions.on_worker_up("writer")
    assert isinstance(sent, Send)
    assert (sent.child, isinstance(sent.message, Ask) and sent.message.arguments) == ("writer", {"name": "a"})
    assert questions.on_worker_up("writer") == []
    assert questions.on_deadline(PATIENCE_NS) == [Respond(ASKER, Readiness(ready=False, reasons=[]))]


def test_a_question_whose_worker_never_comes_up_ends_with_its_deadline() -> None:
    """Nobody waits for ever for a worker that does not start."""
    questions = WorkerQuestions(Story(PAIR).supervisor_state)
    assert questions.ask(replace(_question("writer"), waits=True), 0) == []
    assert questions.on_deadline(PATIENCE_NS) == [Respond(ASKER, Readiness(ready=False, reasons=[]))]
    assert questions.on_worker_up("writer") == []
