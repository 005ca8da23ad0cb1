"""The beat's work: one frame a second to each hub. It reads nothing but a page of memory, and waits for nothing."""

from collections.abc import Callable
from typing import Any

from msgspec import Struct

from agent.fleet.beat import BeatProgress
from agent.fleet.joined import JoinedHub
from agent.fleet.message import NodeHello, decode_answer
from agent.model.errors import EvergaugeError, ProtocolError
from agent.model.timebase import MS, S
from agent.ports import Bus, Clock, Interest
from workers.beat.hub_beat import HubBeat
from workers.beat.joining import BeginJoining, Joining
from workers.fleet.beat_page import BeatPage
from workers.fleet.hub_socket import HubSocket
from workers.framework.condition import Conditions
from workers.framework.work import BaseWork

OPEN_AGAIN_NS = 10 * S
JOIN_LOOK_NS = 1 * S
ANSWERS_PER_TURN_MAX = 64
# What has been sent last is on its way for so long before the connection ends.
LEAVE_NS = 200 * MS


class BeatParts(Struct, frozen=True):
    """What the work is made of. `read` gives the hub of a name, `connect` its socket, `page` its page, `join` an attempt to join
    it; each raises what its room says."""

    hubs: tuple[str, ...]
    hello: NodeHello
    read: Callable[[str], JoinedHub]
    connect: Callable[[JoinedHub], HubSocket]
    page: Callable[[str], BeatPage]
    join: BeginJoining = lambda _name, _now_ns: None


class _BeatLink(Struct):
    name: str
    beat: HubBeat
    socket: HubSocket | None = None
    page: BeatPage | None = None
    joining: Joining | None = None
    open_at_ns: int = 0


class BeatWork(BaseWork):
    """The `agent.ports.Work` of worker `beat`."""

    def __init__(self, parts: BeatParts, clock: Clock, bus: Bus) -> None:
        super().__init__()
        self._parts = parts
        self._clock = clock
        self._conditions = Conditions(bus)
        now_ns = clock.now_ns()
        self._links = [_BeatLink(name, HubBeat(parts.hello, now_ns)) for name in parts.hubs]
        self._has_answers = False
        self._leave_at_ns: int | None = None

    def on_start(self, now_ns: int) -> None:
        """Connect to all hubs."""
        for link in self._links:
            link.beat.next_at_ns = now_ns
            self._open(link, now_ns)

    def next_deadline_ns(self) -> int | None:
        """The next beat of any hub."""
        if self.is_stopped:
            return self._leave_at_ns
        if self._has_answers:
            return 0
        return min((self._due_ns(link) for link in self._links), default=None)

    def on_timer(self, now_ns: int) -> None:
        """Beat where it is time."""
        if self.is_stopped:
            self._close()
            return
        self._has_answers = False
        for link in self._links:
            if link.joining is not None:
                self._go_on_joining(link, link.joining, now_ns)
            elif link.socket is None and now_ns >= link.open_at_ns:
                self._open(link, now_ns)
            if link.socket is not None:
                self._take_answers(link, link.socket, now_ns)
                if now_ns >= link.beat.next_at_ns:
                    self._beat(link, link.socket, now_ns)
                    self._has_answers = True

    def interests(self) -> tuple[Interest, ...]:
        """The sockets of the hubs."""
        waiting = (link.socket or link.joining for link in self._links)
        return tuple(Interest(each.descriptor) for each in waiting if each is not None)

    def on_readable(self, descriptor: int, now_ns: int) -> None:
        """Something has happened at one of them."""
        self._has_answers = True

    def stats(self) -> dict[str, Any]:
        """By hub: whether it takes the beats, how many were sent."""
        links = self._links
        return {
            "hubs": {link.name: link.beat.contact.hub for link in links},
            "welcome": {link.name: int(link.beat.contact.is_welcome) for link in links},
            "problems": {link.name: link.beat.contact.problem for link in links if link.beat.contact.problem},
            "sent": {link.name: link.beat.sent for link in links},
            "unsent": {link.name: link.beat.unsent for link in links},
        }

    def on_stop(self, now_ns: int, *, for_good: bool) -> None:
        """The agent ends for good: say so, so that the hub does not wait for this node."""
        super().on_stop(now_ns, for_good=for_good)
        self._leave_at_ns = now_ns
        for link in self._links:
            if for_good and link.socket is not None and link.beat.contact.is_welcome:
                wall_ns = self._clock.wall_ns()
                if link.socket.send(link.beat.beat(wall_ns, self._progress(link), leaves=True)):
                    self._leave_at_ns = now_ns + LEAVE_NS

    def is_done(self) -> bool:
        """All connections have ended."""
        return self.is_stopped and all(link.socket is None for link in self._links)

    def _due_ns(self, link: _BeatLink) -> int:
        # A request to join that is not answered ends after some seconds; until then its descriptor wakes the loop.
        return link.open_at_ns if link.socket is None else link.beat.next_at_ns

    def _open(self, link: _BeatLink, now_ns: int) -> None:
        try:
            hub = self._parts.read(link.name)
        except EvergaugeError as failure:
            self._join(link, failure.sentence, now_ns)
            return
        try:
            link.page = link.page or self._parts.page(link.name)
            link.socket = self._parts.connect(hub)
        except EvergaugeError as failure:
            self._fail(link, failure.sentence, now_ns)
        except OSError as failure:
            self._fail(link, f"the connection to the hub cannot be made: {failure.strerror}", now_ns)
        else:
            self._conditions.end(f"hub_unusable:{link.name}")

    def _join(self, link: _BeatLink, sentence: str, now_ns: int) -> None:
        """There are no keys: join, if the settings name an invitation."""
        try:
            link.joining = self._parts.join(link.name, now_ns)
        except EvergaugeError as failure:
            self._fail(link, failure.sentence, now_ns)
            return
        if link.joining is None:
            self._fail(link, sentence, now_ns)
        else:
            link.open_at_ns = now_ns + JOIN_LOOK_NS

    def _go_on_joining(self, link: _BeatLink, joining: Joining, now_ns: int) -> None:
        link.open_at_ns = now_ns + JOIN_LOOK_NS
        try:
            outcome = joining.turn(now_ns)
        except EvergaugeError as failure:
            outcome = failure.sentence
        if outcome is False:
            return
        joining.close()
        link.joining = None
        if outcome is True:
            self._open(link, now_ns)
        else:
            self._fail(link, str(outcome), now_ns)

    def _fail(self, link: _BeatLink, sentence: str, now_ns: int) -> None:
        # Half of it to one and a half, each node at its own moment: a cluster's nodes are started together.
        part = int(self._parts.hello.install[-4:], 16)
        link.open_at_ns = now_ns + OPEN_AGAIN_NS // 2 + OPEN_AGAIN_NS * part // 0xFFFF
        self._conditions.begin(f"hub_unusable:{link.name}", sentence)

    def _beat(self, link: _BeatLink, socket: HubSocket, now_ns: int) -> None:
        frame = link.beat.due(now_ns, self._clock.wall_ns(), self._progress(link))
        if frame is not None:
            link.beat.on_sent(is_sent=socket.send(frame))

    def _progress(self, link: _BeatLink) -> BeatProgress:
        return BeatProgress() if link.page is None else link.page.read(self._parts.hello.run)

    def _take_answers(self, link: _BeatLink, socket: HubSocket, now_ns: int) -> None:
        for _ in range(ANSWERS_PER_TURN_MAX):
            frame = socket.receive()
            if frame is None:
                return
            try:
                link.beat.on_answer(decode_answer(frame), now_ns)
            except ProtocolError as failure:
                link.beat.contact.problem = failure.sentence
            self._conditions.tell(f"hub_refuses:{link.name}", link.beat.contact.problem)
        self._has_answers = True

    def _close(self) -> None:
        for link in self._links:
            for end in (link.socket, link.joining):
                if end is not None:
                    end.close()
            link.socket = link.joining = None
