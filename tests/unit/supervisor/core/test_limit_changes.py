"""Changes of limits, one document after the other."""

from fakes.story import Story

from agent.model.control.document import plain
from agent.model.errors import ExitCode
from agent.model.limit import Resource
from supervisor.core.effect import ClientAsker, Effect, LimitsPersisted, PersistLimits, Respond
from supervisor.core.limit_changes import WAITING_MAX, LimitChanges, LimitMutation

CHILDREN = {"writer": "writer", "gateway": "gateway"}


class ChangeStory(Story):
    """A story with changes of its own, that were not asked for on the socket."""

    def __init__(self) -> None:
        super().__init__(CHILDREN)
        self.changes = LimitChanges(self.supervisor_state, self.governance)
        self.asked = 0

    def change(self, name: str, descriptors: int | None) -> list[Effect]:
        """Ask for a limit, or (None) for those of the settings."""
        self.asked += 1
        values = None if descriptors is None else {Resource.DESCRIPTORS: descriptors}
        return self.changes.ask(LimitMutation(ClientAsker(self.asked), name, values), self.now_ns)

    def written(self, effects: list[Effect], problem: str = "") -> list[Effect]:
        """The disk has answered for what these effects order."""
        (order,) = [each for each in effects if isinstance(each, PersistLimits)]
        return self.changes.on_persisted(LimitsPersisted(order.token, problem), self.now_ns)


def answers(effects: list[Effect]) -> list[object]:
    """Of each client: the code of the problem, or whether anything changed."""
    return [
        each.problem.code if each.problem is not None else None if each.result is None else plain(each.result)["changed"]
        for each in effects
        if isinstance(each, Respond)
    ]


def test_a_limit_holds_after_it_is_on_the_disk() -> None:
    """The same again changes nothing and is written nowhere; a reset takes it back."""
    story = ChangeStory()
    asked = story.change("writer", 77)
    assert answers(asked) == []
    assert story.governance.governors["writer"].limits.descriptors == 0
    assert answers(story.written(asked)) == [True]
    assert story.governance.governors["writer"].limits.descriptors == 77
    assert answers(story.change("writer", 77)) == [False]
    assert answers(story.written(story.change("writer", None))) == [True]
    assert story.governance.changed == {}


def test_a_document_that_cannot_be_kept_changes_nothing() -> None:
    """The client is told what to do."""
    story = ChangeStory()
    (answer,) = story.written(story.change("writer", 77), "no space left on device")
    assert isinstance(answer, Respond)
    assert answer.problem is not None
    assert answer.problem.sentence.startswith("no space left on device; the limits are as before; ")
    assert answer.problem.exit == int(ExitCode.IO)
    assert story.governance.changed == {}


def test_each_change_has_its_own_document_with_all_before_it() -> None:
    """What is asked meanwhile waits."""
    story = ChangeStory()
    first = story.change("writer", 77)
    assert story.change("gateway", 88) == []
    second = story.written(first)
    (order,) = [each for each in second if isinstance(each, PersistLimits)]
    assert order.limits == {"writer": {Resource.DESCRIPTORS: 77}, "gateway": {Resource.DESCRIPTORS: 88}}


def test_too_many_that_wait_are_refused_at_once() -> None:
    """A disk that does not answer costs a bounded memory."""
    story = ChangeStory()
    story.change("writer", 1)
    assert [story.change("writer", number) for number in range(WAITING_MAX)] == [[]] * WAITING_MAX
    assert answers(story.change("writer", 5)) == ["too_busy"]


def test_an_answer_for_another_document_is_none() -> None:
    """Nothing is under way, or something else is."""
    story = ChangeStory()
    assert story.changes.on_persisted(LimitsPersisted(0), 0) == []
    story.change("writer", 77)
    assert story.changes.on_persisted(LimitsPersisted(9), 0) == []


def test_a_worker_that_was_switched_off_meanwhile_has_no_limits() -> None:
    """Whether its change was being written, or waited."""
    story = ChangeStory()
    asked = story.change("writer", 77)
    story.change("writer", 88)
    story.governance.forget("writer", story.now_ns)
    assert answers(story.written(asked)) == ["no_such_worker", "no_such_worker"]
