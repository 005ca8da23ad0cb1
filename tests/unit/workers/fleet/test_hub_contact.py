"""How a node stands with a hub, by the hub's answers."""

from agent.fleet.message import PROTOCOL_VERSION, Denied, Greet, Hold, NodeHello, Taken, Welcome, decode_hello
from agent.model.timebase import MS, S
from workers.fleet.hub_contact import DENIED_AGAIN_NS, SENTENCE_CHARACTERS_MAX, UNANSWERED_NS, HubContact

HELLO = NodeHello(PROTOCOL_VERSION, "beat", "00112233445566aa", "ffeeddccbbaa9988", "node-1", "boot-1", "1.0")
WELCOME = Welcome("hub", "00000000000000ff", 1000, 0)


def test_a_hub_is_greeted_until_it_answers() -> None:
    """Once in ten seconds, and no more when the node is welcome."""
    contact = HubContact(HELLO)
    hello = contact.greeting(0)
    assert hello is not None
    assert decode_hello(hello) == HELLO
    assert (contact.greeting(UNANSWERED_NS - 1), contact.is_open(UNANSWERED_NS - 1)) == (None, False)
    assert contact.greeting(UNANSWERED_NS) == hello
    contact.on_answer(WELCOME, UNANSWERED_NS)
    assert (contact.is_welcome, contact.hub, contact.hub_run, contact.greeting(2 * UNANSWERED_NS)) == (
        True,
        "hub",
        WELCOME.hub_run,
        None,
    )


def test_a_hub_that_greets_gets_its_answer_at_once() -> None:
    """It was restarted, and knows no connection."""
    contact = HubContact(HELLO)
    contact.on_answer(WELCOME, 0)
    contact.on_answer(Greet(), 0)
    assert (contact.is_welcome, contact.greeting(0)) == (False, contact.hello)


def test_a_hub_that_is_busy_is_asked_when_it_says() -> None:
    """Not before."""
    contact = HubContact(HELLO)
    contact.on_answer(Hold(500), 0)
    assert (contact.greeting(499 * MS), contact.greeting(500 * MS)) == (None, contact.hello)


def test_a_hub_that_refuses_is_asked_once_a_minute() -> None:
    """A person may have mended the reason, which is told until then."""
    contact = HubContact(HELLO)
    contact.on_answer(WELCOME, 0)
    contact.on_answer(Denied("removed", "join it again"), 0)
    assert (contact.is_welcome, contact.problem, contact.greeting(DENIED_AGAIN_NS - 1)) == (False, "join it again", None)
    assert contact.greeting(DENIED_AGAIN_NS) == contact.hello
    contact.on_answer(Denied("code", ""), DENIED_AGAIN_NS)
    assert contact.problem == "code"
    contact.on_answer(Denied("code", "a\x1b[31m\n" + "b" * 1000), DENIED_AGAIN_NS)
    assert (contact.problem.isprintable(), len(contact.problem)) == (True, SENTENCE_CHARACTERS_MAX)
    contact.on_answer(WELCOME, 2 * DENIED_AGAIN_NS)
    assert contact.problem == ""


def test_a_new_connection_begins_with_a_hello() -> None:
    """Whatever was said on the one before; other answers change nothing."""
    contact = HubContact(HELLO)
    contact.on_answer(WELCOME, 0)
    contact.on_answer(Taken(1), 0)
    assert contact.is_welcome
    contact.not_sent()
    assert (contact.is_welcome, contact.greeting(1 * S)) == (False, contact.hello)
