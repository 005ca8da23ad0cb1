"""What one hub has of this node's live state, and what it is sent next. PURE.

The hub's digest is that of the last update that was handed to the connection. Whether it arrived is not known here: the beat
carries the digest, and a hub that has another one asks for the whole state.
"""

from agent.fleet.beat import NO_DIGEST
from agent.fleet.message import HubAnswer, NodeHello, WantWhole
from agent.fleet.update import LiveState, difference, encode_update, next_digest
from agent.model.timebase import MS
from workers.fleet.hub_contact import HubContact

# A hub that asks again and again gets the whole state no oftener.
WHOLE_EVERY_NS = 500 * MS


class HubFeed:
    """*Units:* `sent_bytes` are those of updates; `wholes` counts updates that had everything."""

    def __init__(self, hello: NodeHello) -> None:
        self.contact = HubContact(hello)
        self.sent_bytes = self.updates = self.wholes = 0
        self._held = LiveState()
        self.wants_whole = True
        self._whole_at_ns = 0
        self._offered: tuple[LiveState, bytes, bool] | None = None

    @property
    def version(self) -> int:
        """Of the update that was sent last."""
        return self._held.version

    @property
    def digest(self) -> bytes:
        """Of the state that the hub has, where it got all that was sent."""
        return self._held.digest

    def offer(self, now: LiveState, now_ns: int) -> bytes | None:
        """The frame to send now; `on_sent` says what became of it. *Absent:* None where the hub has all, or takes nothing yet."""
        if (greeting := self.contact.greeting(now_ns)) is not None:
            self._offered = None
            return greeting
        if not self.contact.is_welcome or not self.contact.is_open(now_ns) or now.node_label is None:
            return None
        is_whole = self.wants_whole and now_ns >= self._whole_at_ns
        if self.wants_whole and not is_whole:
            return None
        update = difference(self._held, now, whole=is_whole)
        if update is None:
            return None
        frame = encode_update(update)
        digest = next_digest(self._held.digest, frame, is_whole=is_whole)
        now.version, now.digest = update.version, digest
        self._offered = (now, frame, is_whole)
        return frame

    def on_sent(self, now_ns: int, *, is_sent: bool) -> None:
        """What was offered went out, or there is no connection."""
        offered, self._offered = self._offered, None
        if not is_sent:
            self.contact.not_sent()
            self.wants_whole = True
        elif offered is not None:
            now, frame, is_whole = offered
            self._held = now
            self.sent_bytes += len(frame)
            self.updates += 1
            if is_whole:
                self.wants_whole = False
                self._whole_at_ns = now_ns + WHOLE_EVERY_NS
                self.wholes += 1

    def on_answer(self, answer: HubAnswer, now_ns: int) -> None:
        """Learn from an answer. On a connection that is new to the hub everything begins again."""
        was_welcome = self.contact.is_welcome
        self.contact.on_answer(answer, now_ns)
        if isinstance(answer, WantWhole) or (self.contact.is_welcome and not was_welcome):
            self.wants_whole = True
            self._held = LiveState(version=self._held.version, digest=NO_DIGEST)
