"""When this node beats to one hub, and what the beat says. PURE."""

from agent.fleet.beat import BeatProgress, NodeBeat, encode_beat
from agent.fleet.message import HubAnswer, NodeHello, Welcome
from agent.model.timebase import MS, S
from workers.fleet.hub_contact import HubContact

# Until the hub says otherwise.
INTERVAL_NS = 1 * S


class HubBeat:
    """*Units:* `next_at_ns` by the monotonic clock. `sent` counts beats, `unsent` those for which there was no connection."""

    def __init__(self, hello: NodeHello, now_ns: int) -> None:
        self.contact = HubContact(hello)
        self.next_at_ns = now_ns
        self.sent = self.unsent = 0
        self._install = hello.install
        self._run = hello.run
        self._interval_ns = INTERVAL_NS
        self._sequence = 0

    def due(self, now_ns: int, wall_ns: int, progress: BeatProgress) -> bytes | None:
        """The frame to send now, and the next one an interval later. *Absent:* None while the hub wants nothing from this node.

        Beats that were not sent in time (the machine was suspended) are not sent later.
        """
        missed = max(0, now_ns - self.next_at_ns) // self._interval_ns
        self.next_at_ns += (1 + missed) * self._interval_ns
        if (greeting := self.contact.greeting(now_ns)) is not None:
            return greeting
        return self.beat(wall_ns, progress) if self.contact.is_welcome else None

    def beat(self, wall_ns: int, progress: BeatProgress, *, leaves: bool = False) -> bytes:
        """The frame of the next beat."""
        self._sequence += 1
        newest_ns = progress.newest_row_ns
        age_ms = None if newest_ns is None else max(0, wall_ns - newest_ns) // MS
        return encode_beat(
            NodeBeat(
                self._install, self._run, self._sequence, progress.state_version, progress.digest, wall_ns // 1000, age_ms,
                leaves=leaves,
            )
        )  # fmt: skip

    def on_sent(self, *, is_sent: bool) -> None:
        """Whether the frame went out."""
        if is_sent:
            self.sent += 1
        else:
            self.unsent += 1
            self.contact.not_sent()

    def on_answer(self, answer: HubAnswer, now_ns: int) -> None:
        """Learn from an answer. A hub that greets gets its answer with the next turn."""
        self.contact.on_answer(answer, now_ns)
        if isinstance(answer, Welcome):
            self._interval_ns = answer.beat_ms * MS
            self.next_at_ns = now_ns + min(answer.phase_ms, answer.beat_ms) * MS
        elif not self.contact.is_welcome and self.contact.is_open(now_ns):
            self.next_at_ns = now_ns
