"""Questions to workers, for a client or worker that waits for the answer: bounded in number and time. PURE.

Nothing waits here: a question stays open until its workers have answered or died, or its deadline has come.
"""

from collections.abc import Callable
from typing import Any

from msgspec import Struct

from agent.model.control.document import Document
from agent.model.errors import ExitCode
from agent.model.message import Ask, Reply
from supervisor.core.child import ChildState
from supervisor.core.effect import Asker, Effect, Problem, Respond, Send
from supervisor.core.supervisor_state import SupervisorState

OPEN_QUESTIONS_MAX = 256

# What workers replied, by their names; those that did not are missing.
Replies = dict[str, Reply]
Finish = Callable[[Replies, int], Document | Problem]


class Question(Struct, frozen=True):
    """A question to some workers: how long to wait for replies, and how they become the answer.

    `arguments` make it an operation. `waits`: one that is not up yet is asked as soon as it is. `repeats`: one that ended before
    it replied is asked once more when it is up again; only for what changes nothing.
    """

    asker: Asker
    what: str
    workers: tuple[str, ...]
    patience_ns: int
    finish: Finish
    arguments: dict[str, Any] | None = None
    waits: bool = False
    repeats: bool = False


class _OpenQuestion(Struct):
    """A question that has been sent. `waiting`: workers that have not replied yet, by the numbers of their Asks; `unsent`: those
    that are not up yet; `repeated`: those that have ended since they were asked."""

    question: Question
    waiting: dict[int, str]
    replies: Replies
    deadline_ns: int
    unsent: list[str]
    repeated: set[str]


class WorkerQuestions:
    """The open questions."""

    def __init__(self, state: SupervisorState) -> None:
        self._state = state
        self._open: list[_OpenQuestion] = []
        # Above every number that an earlier supervisor of the same workers has used: their replies to it may still come.
        self._last_ask = state.about.started_at_ns

    def ask(self, question: Question, now_ns: int) -> list[Effect]:
        """Send a question; it is answered immediately where there is no worker to ask, and refused where too many are open."""
        if len(self._open) >= OPEN_QUESTIONS_MAX:
            sentence = f"{OPEN_QUESTIONS_MAX} questions are open; try again"
            return [Respond(question.asker, None, Problem("too_busy", sentence, int(ExitCode.TRY_AGAIN)))]
        sent = _OpenQuestion(question, {}, {}, now_ns + question.patience_ns, [], set())
        effects: list[Effect] = []
        for worker in question.workers:
            if question.waits and self._state.children[worker].state is not ChildState.UP:
                sent.unsent.append(worker)
            else:
                effects.append(self._send(sent, worker))
        self._open.append(sent)
        return effects + self._finish_answered(now_ns)

    def on_worker_up(self, worker: str) -> list[Effect]:
        """It is up now: it is asked what waited for that."""
        waited = [each for each in self._open if worker in each.unsent]
        for each in waited:
            each.unsent.remove(worker)
        return [self._send(each, worker) for each in waited]

    def on_reply(self, worker: str, reply: Reply, now_ns: int) -> list[Effect]:
        """A worker replied to an Ask. A reply that comes after its question was answered is ignored."""
        for each in self._open:
            if each.waiting.get(reply.ask) == worker:
                del each.waiting[reply.ask]
                each.replies[worker] = reply
                return self._finish_answered(now_ns)
        return []

    def on_worker_gone(self, worker: str, now_ns: int) -> list[Effect]:
        """The worker has ended and will not reply; its state says already whether another one comes.

        A question is put once more at most: one that ends its workers must not end each of them.
        """
        comes_back = self._state.children[worker].state in (ChildState.STARTING, ChildState.BACKOFF)
        for each in self._open:
            for ask in [ask for ask, name in each.waiting.items() if name == worker]:
                del each.waiting[ask]
                if comes_back and each.question.repeats and worker not in each.repeated:
                    each.repeated.add(worker)
                    each.unsent.append(worker)
            if not comes_back and worker in each.unsent:
                each.unsent.remove(worker)
        return self._finish_answered(now_ns)

    def on_deadline(self, now_ns: int) -> list[Effect]:
        """Answer the questions whose time is over with the replies that are there."""
        for each in self._open:
            if each.deadline_ns <= now_ns:
                each.waiting.clear()
                each.unsent.clear()
        return self._finish_answered(now_ns)

    def next_deadline_ns(self) -> int | None:
        """When the first open question must be answered. *Absent:* None without one."""
        return min((each.deadline_ns for each in self._open), default=None)

    def _send(self, sent: _OpenQuestion, worker: str) -> Effect:
        self._last_ask += 1
        sent.waiting[self._last_ask] = worker
        ask = Ask(self._last_ask, sent.question.what, sent.question.arguments)
        return Send(worker, self._state.children[worker].epoch, ask)

    def _finish_answered(self, now_ns: int) -> list[Effect]:
        effects: list[Effect] = []
        for each in [each for each in self._open if not each.waiting and not each.unsent]:
            self._open.remove(each)
            outcome = each.question.finish(each.replies, now_ns)
            result, problem = (None, outcome) if isinstance(outcome, Problem) else (outcome, None)
            effects.append(Respond(each.question.asker, result, problem))
        return effects
