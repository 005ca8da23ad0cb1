"""A supervisor that takes over living workers: it goes on counting, and lets them keep their rules until its own are whole."""

from fakes.story import Story, spawns

from agent.model.heartbeat_page import Beat
from agent.model.message import Ack, Delta, Hello, Publish, Ready, Snapshot, TakenOver, WorkLevel
from agent.model.rule import Assignment, GroupRule, Unit, UnitKind, canonical, pod_key
from agent.model.timebase import MS, S
from supervisor.core.child import ChildState
from supervisor.core.effect import Effect, Send, SendRefused, Signal, Survivor, Survivors, WorkerObservation, WorkersObserved
from supervisor.core.rulebook import Rulebook
from supervisor.core.watchdog import ProcessState

NOW_NS = 1_000 * S
CHILDREN = {"writer": "writer", "control-plane": "control-plane", "sampler/a": "sampler"}
BOOK = Rulebook(revision=5, rules=(GroupRule("kept"),))
POD = (pod_key("p"), canonical(Assignment(Unit("p", UnitKind.POD, "/kubepods/p"), "own-p", None, 0)))


def _survivor(name: str, *, epoch: int = 3, revision: int = 9) -> Survivor:
    return Survivor(name, epoch, 100 + epoch, NOW_NS - 60 * S, revision)


def _story(*names: str, epochs: dict[str, int] | None = None) -> Story:
    workers = tuple(_survivor(name) for name in names)
    survivors = Survivors(workers, {**dict.fromkeys(CHILDREN, 3), **(epochs or {})})
    return Story(CHILDREN, book=BOOK, survivors=survivors, now_ns=NOW_NS)


def _words(effects: list[Effect], name: str) -> list[object]:
    """What a worker is told, but for its level: at its hello it is told to leave nothing out."""
    told = [effect.message for effect in effects if isinstance(effect, Send) and effect.child == name]
    return [message for message in told if not isinstance(message, WorkLevel)]


def test_living_workers_are_spoken_to_and_the_others_are_started() -> None:
    """No second process of a name is ordered; who is missing is started with the next number."""
    story = _story("writer", "sampler/a")
    assert _words(story.begun, "writer") == _words(story.begun, "sampler/a") == [TakenOver()]
    assert spawns(story.begun) == [("control-plane", 4)]
    assert (story.child("writer").epoch, story.child("writer").pid) == (3, 103)


def test_a_worker_that_is_not_connected_yet_is_tried_again() -> None:
    """Every ten milliseconds, until the word is taken; once is enough then."""
    story = _story("writer")
    story.tell(SendRefused("writer", 3))
    assert story.advance(9 * MS) == []
    assert _words(story.advance(1 * MS), "writer") == [TakenOver()]
    assert story.advance(50 * MS) == []


def test_an_heir_is_up_when_it_holds_the_rules_and_said_so_again() -> None:
    """Hello, snapshot, acknowledgement, ready; its uptime and its starts go on."""
    story = _story("control-plane")
    story.acknowledge("control-plane", story.say("control-plane", Hello(103)))
    story.say("control-plane", Ready())
    assert story.state("control-plane") is ChildState.UP
    assert story.child("control-plane").started_at_ns == NOW_NS - 60 * S
    assert story.child("control-plane").restarts == 2
    assert story.noted("worker_taken_over")


def test_what_it_said_before_its_hello_was_for_somebody_else() -> None:
    """Ready, acknowledgements and publications that were on their way to the former supervisor change nothing."""
    story = _story("control-plane", "sampler/a")
    story.say("sampler/a", Ack(7, 9, b"\1" * 32))
    story.say("sampler/a", Ready())
    story.say("control-plane", Publish([POD], complete=True))
    assert story.state("sampler/a") is ChildState.STARTING
    assert not story.supervisor_state.looked_at_host
    assert story.supervisor_state.stale_events == 3


def test_an_old_acknowledgement_after_the_hello_is_not_one_of_the_new_snapshot() -> None:
    """Numbers begin higher than any that the former supervisor has used."""
    story = _story("control-plane")
    (snapshot,) = _words(story.say("control-plane", Hello(103)), "control-plane")
    assert isinstance(snapshot, Snapshot)
    assert snapshot.sequence > NOW_NS
    story.say("control-plane", Ack(snapshot.sequence - 1, snapshot.revision, snapshot.digest))
    story.say("control-plane", Ready())
    assert story.state("control-plane") is ChildState.STARTING


def test_heirs_keep_their_rules_until_the_pods_are_known_again() -> None:
    """A sampler that measures pods must not be told that there are none, only because nobody has looked yet."""
    story = _story("control-plane", "sampler/a")
    assert _words(story.say("sampler/a", Hello(103)), "sampler/a") == []
    story.acknowledge("control-plane", story.say("control-plane", Hello(103)))
    effects = story.say("control-plane", Publish([POD], complete=True))
    (snapshot,) = _words(effects, "sampler/a")
    assert isinstance(snapshot, Snapshot)
    assert [key for key, _content in snapshot.entries] == ["pod/p", "rule/kept"]


def test_heirs_are_not_held_for_ever() -> None:
    """A control plane that does not come back: after five seconds everybody gets what there is."""
    story = _story("sampler/a")
    story.say("sampler/a", Hello(103))
    assert not story.supervisor_state.authority.is_in_sync("sampler/a")
    assert _words(story.advance(4900 * MS), "sampler/a") == []
    assert [type(word) for word in _words(story.advance(200 * MS), "sampler/a")] == [Snapshot]
    assert story.child("sampler/a").epoch == 3, "it answered, and waiting is not its fault"


def test_while_it_is_held_no_look_sends_it_half_of_the_rules() -> None:
    """Nor does a change of the rules."""
    story = _story("sampler/a")
    story.say("sampler/a", Hello(103))
    beat = Beat(1, NOW_NS, 9, b"\1" * 32)
    assert story.tell(WorkersObserved((WorkerObservation("sampler/a", 3, beat, ProcessState("S", 0)),))) == []
    assert _words(story.supervisor_state.authority.apply([POD]), "sampler/a") == []


def test_the_revision_goes_on_behind_what_workers_have_seen() -> None:
    """Higher than the durable one and than every survivor's, so that none ever comes again with other contents."""
    assert _story("sampler/a").supervisor_state.authority.revision == 10
    assert _story().supervisor_state.authority.revision == 5


def test_an_heir_that_does_not_answer_is_replaced() -> None:
    """It hangs: killed after three seconds, not after the ten that a start may take."""
    story = _story("writer")
    assert Signal("writer", 3, "KILL") not in story.advance(2900 * MS)
    assert Signal("writer", 3, "KILL") in story.advance(200 * MS)
    assert spawns(story.die("writer")) == [("writer", 4)]


def test_an_heir_that_dies_before_it_answered_is_not_spoken_to_again() -> None:
    """Its successor says hello by itself."""
    story = _story("writer")
    story.tell(SendRefused("writer", 3))
    story.die("writer")
    assert [word for word in _words(story.advance(1 * S), "writer") if isinstance(word, TakenOver)] == []


def test_a_worker_that_is_no_longer_wanted_keeps_its_count_to_itself() -> None:
    """The former supervisor had one more: nothing comes of its number."""
    story = _story(epochs={"sampler/gone": 7})
    assert set(story.supervisor_state.children) == set(CHILDREN)


def test_deltas_follow_the_snapshot_after_a_takeover() -> None:
    """From then on it is a worker as any other."""
    story = _story("control-plane")
    story.acknowledge("control-plane", story.say("control-plane", Hello(103)))
    effects = story.supervisor_state.authority.apply([POD])
    assert [type(word) for word in _words(effects, "control-plane")] == [Delta]


def test_a_name_that_was_never_started_leaves_nothing_behind() -> None:
    """A number that was used is kept for a worker of that name that may come back."""
    state = _story(epochs={"sampler/gone": 7, "sampler/never": 0}).supervisor_state
    assert state.former_epochs == {"sampler/gone": 7}


def test_a_refused_message_to_a_worker_that_has_answered_is_not_tried_again() -> None:
    """It knows already that it is taken over; its rules are mended elsewhere."""
    story = _story("writer")
    story.say("writer", Hello(103))
    story.tell(SendRefused("writer", 3))
    assert [word for word in _words(story.advance(100 * MS), "writer") if isinstance(word, TakenOver)] == []
