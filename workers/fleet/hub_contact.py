"""How a node stands with one hub, by what the hub answered. PURE.

A connection that the hub does not know gets a Greet and answers with its hello; a hub that refuses the node is asked again from
time to time, because a person may have mended the reason.
"""

from agent.fleet.message import Denied, Greet, Hold, HubAnswer, NodeHello, Welcome, encode_hello
from agent.model.foreign import readable
from agent.model.timebase import MS, S

DENIED_AGAIN_NS = 60 * S
# A hub answers a hello at once; one that is overloaded says Hold.
UNANSWERED_NS = 10 * S
# Of what a hub says; its own sentences have some 100.
SENTENCE_CHARACTERS_MAX = 500


class HubContact:
    """`is_welcome`: the hub takes what this connection says. `problem`: why it does not; empty: nothing is wrong as far as
    known."""

    def __init__(self, hello: NodeHello) -> None:
        self.hello = encode_hello(hello)
        self.is_welcome = False
        self.problem = ""
        self.hub = ""
        self.hub_run = ""
        self._not_before_ns = 0

    def is_open(self, now_ns: int) -> bool:
        """Whether something may be sent now."""
        return now_ns >= self._not_before_ns

    def greeting(self, now_ns: int) -> bytes | None:
        """The hello, where the hub should have it now. *Absent:* None where it has it, or must not be asked yet."""
        if self.is_welcome or not self.is_open(now_ns):
            return None
        self._not_before_ns = now_ns + UNANSWERED_NS
        return self.hello

    def not_sent(self) -> None:
        """There is no connection: what is sent on the next one is a first word."""
        self.is_welcome = False
        self._not_before_ns = 0

    def on_answer(self, answer: HubAnswer, now_ns: int) -> None:
        """Learn from an answer."""
        match answer:
            case Welcome():
                self.is_welcome, self.problem = True, ""
                self.hub, self.hub_run = answer.hub, answer.hub_run
                self._not_before_ns = 0
            case Greet():
                self.is_welcome = False
                self._not_before_ns = 0
            case Hold():
                self._not_before_ns = now_ns + answer.after_ms * MS
            case Denied():
                self.is_welcome = False
                self.problem = shown(answer.sentence or answer.code)
                self._not_before_ns = now_ns + DENIED_AGAIN_NS
            case _:
                pass


def shown(sentence: str) -> str:
    """What a hub says, as people see it: one line that can be printed."""
    return readable(sentence, SENTENCE_CHARACTERS_MAX)
