"""The uplink's work: follow the spool, keep the live state, send each hub what has changed.

Starts and ends of units go at once, all else once in an interval. It reads what the writer has stored, so no sampler waits for it.
"""

import os
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from msgspec import Struct

from agent.fleet.beat import BeatProgress
from agent.fleet.joined import JoinedHub
from agent.fleet.message import NodeHello, decode_answer
from agent.model.control.document import decode
from agent.model.control.result import AgentStatus
from agent.model.errors import EvergaugeError, ProtocolError
from agent.model.rule_state import RuleState
from agent.model.timebase import MS, S
from agent.model.worker_kind import STATUS
from agent.ports import Bus, Clock, Interest
from agent.store.layout import SPOOL_FOLDER
from agent.store.place import BEGINNING, Place
from agent.store.segment import created_wall_ns
from agent.store.spool_follower import SpoolFollower
from workers.export.assigned_names import AssignedNames
from workers.fleet.beat_page import BeatPage
from workers.fleet.hub_socket import HubSocket
from workers.framework.condition import Conditions
from workers.framework.inotify import Inotify
from workers.framework.work import BaseWork
from workers.uplink.hub_feed import HubFeed
from workers.uplink.live_builder import LiveBuilder, ModelFact
from workers.uplink.models_file import ModelsFile

INTERVAL_NS = 1 * S
# A unit that started is worth an update of its own, with what is stored of it right after; a storm of starts is not worth a hundred
# a second, and would be too many for a hub.
URGENT_NS = 5 * MS
APART_NS = 20 * MS
# Without a notice of the kernel: a writer that is busy, a user without watches.
LOOK_NS = 1 * S
OPEN_AGAIN_NS = 10 * S
# Rows of units that do nothing come once a minute.
BEGIN_NS = 90 * S
# What the agent says of itself: asked for seldom, because every worker is asked for it; sooner after an event of table `diag`.
STATUS_NS = 60 * S
STATUS_SOON_NS = 2 * S
MODELS_NS = 10 * S
READ_BYTES = 1 << 20
ANSWERS_PER_TURN_MAX = 64
_DIAG = "diag"


class UplinkParts(Struct, frozen=True):
    """What the work is made of: `read` gives the hub of a name, `connect` its socket, `page` its page."""

    hubs: tuple[str, ...]
    state_dir: str
    hello: NodeHello
    read: Callable[[str], JoinedHub]
    connect: Callable[[JoinedHub], HubSocket]
    page: Callable[[str], BeatPage]


class _UplinkLink(Struct):
    name: str
    feed: HubFeed
    socket: HubSocket | None = None
    page: BeatPage | None = None
    open_at_ns: int = 0


class UplinkWork(BaseWork):
    """The `agent.ports.Work` of worker `uplink`."""

    def __init__(self, parts: UplinkParts, clock: Clock, bus: Bus) -> None:
        super().__init__()
        self._parts = parts
        self._clock = clock
        self._bus = bus
        self._conditions = Conditions(bus)
        self._names = AssignedNames()
        self._rules: RuleState | None = None
        hello = parts.hello
        self._builder = LiveBuilder(hello.run, hello.host, hello.agent_version, self._names)
        self._follower = SpoolFollower(parts.state_dir, (*LiveBuilder.TABLES, _DIAG), hello.install, reads_removed=True)
        self._models_file = ModelsFile(parts.state_dir)
        self._models: dict[str, ModelFact] = {}
        self._models_at_ns = 0
        self._notices: Inotify | None = None
        self._links = [_UplinkLink(name, HubFeed(hello)) for name in parts.hubs]
        self._place: Place = BEGINNING
        self._look_at_ns = 0
        self._send_at_ns = 0
        self._sent_at_ns = 0
        self._has_answers = False
        self._status_request: int | None = None
        self._status_at_ns = 0

    def on_start(self, now_ns: int) -> None:
        """Begin with the last minute of the spool, and with the models that were known before."""
        self._builder.know_models(self._models_file.read())
        self._models = dict(self._builder.models)
        self._place = self._begin(self._clock.wall_ns() - BEGIN_NS)
        self._watch()
        self._look_at_ns = self._send_at_ns = self._status_at_ns = now_ns
        for link in self._links:
            self._open(link, now_ns)

    def on_rules(self, rules: RuleState) -> None:
        """They have the names of pods."""
        self._rules = rules

    def next_deadline_ns(self) -> int | None:
        """The next look, update or question."""
        if self.is_stopped:
            return None
        if self._has_answers:
            return 0
        opens = (link.open_at_ns for link in self._links if link.socket is None)
        return min(self._look_at_ns, self._send_at_ns, self._status_at_ns, *opens)

    def on_timer(self, now_ns: int) -> None:
        """Do what is due."""
        if self.is_stopped:
            return
        self._has_answers = False
        for link in self._links:
            if link.socket is None and now_ns >= link.open_at_ns:
                self._open(link, now_ns)
            if link.socket is not None:
                self._take_answers(link, link.socket, now_ns)
        if now_ns >= self._status_at_ns:
            self._status_at_ns = now_ns + STATUS_NS
            self._status_request = self._bus.request(STATUS)
        if now_ns >= self._look_at_ns:
            self._look(now_ns)
        if now_ns >= self._send_at_ns:
            self._send(now_ns)

    def interests(self) -> tuple[Interest, ...]:
        """Appends to the spool, and the hubs."""
        if self.is_stopped:
            return ()
        sockets = tuple(Interest(link.socket.descriptor) for link in self._links if link.socket is not None)
        return sockets if self._notices is None else (Interest(self._notices.descriptor), *sockets)

    def on_readable(self, descriptor: int, now_ns: int) -> None:
        """Rows were stored, or a hub has answered."""
        if self._notices is not None and descriptor == self._notices.descriptor:
            self._notices.drain()
            self._look_at_ns = now_ns
        else:
            self._has_answers = True

    def on_answer(self, request: int, body: dict[str, Any]) -> None:
        """What the supervisor says of the agent."""
        if request != self._status_request:
            return
        self._status_request = None
        with suppress(ProtocolError):
            status = decode(AgentStatus, body, "the supervisor")
            self._builder.set_conditions([f"{row.worker}: {row.kind}: {row.detail}" for row in status.conditions])

    def stats(self) -> dict[str, Any]:
        """By hub: updates and bytes sent, the version that it should have."""
        links = self._links
        return {
            "units": self._builder.unit_count,
            "left_out": self._builder.left_out,
            "welcome": {link.name: int(link.feed.contact.is_welcome) for link in links},
            "updates": {link.name: link.feed.updates for link in links},
            "wholes": {link.name: link.feed.wholes for link in links},
            "sent_bytes": {link.name: link.feed.sent_bytes for link in links},
        }

    def on_stop(self, now_ns: int, *, for_good: bool) -> None:
        """End the connections; the beat says whether the node leaves."""
        super().on_stop(now_ns, for_good=for_good)
        for link in self._links:
            if link.socket is not None:
                link.socket.close()
                link.socket = None

    # ---- the spool ----

    def _begin(self, since_wall_ns: int) -> Place:
        begin = BEGINNING
        with suppress(EvergaugeError):
            for segment, path in self._follower.paths().items():
                opened_ns = created_wall_ns(os.path.basename(path))
                if opened_ns is None or opened_ns <= since_wall_ns or begin == BEGINNING:
                    begin = Place(segment, 0)
        return begin

    def _watch(self) -> None:
        with suppress(OSError):
            notices = Inotify()
            try:
                notices.watch(os.path.join(self._parts.state_dir, SPOOL_FOLDER))
            except OSError:
                notices.close()
                raise
            self._notices = notices

    def _look(self, now_ns: int) -> None:
        self._look_at_ns = now_ns + LOOK_NS
        if self._notices is None:
            self._watch()
        try:
            batches = self._follower.read(self._place, READ_BYTES)
        except EvergaugeError as failure:
            self._conditions.begin("uplink_storage", failure.sentence)
            return
        self._conditions.end("uplink_storage")
        for batch in batches:
            self._place = batch.behind
            if batch.table == _DIAG:
                self._status_at_ns = min(self._status_at_ns, now_ns + STATUS_SOON_NS)
            elif self._builder.take(batch):
                self._send_soon(now_ns)
        if sum(len(batch.rows) for batch in batches) >= READ_BYTES:
            self._look_at_ns = now_ns
        for link in self._links:
            self._tell_beat(link)
        self._keep_models(now_ns)

    def _keep_models(self, now_ns: int) -> None:
        if now_ns < self._models_at_ns or self._models == self._builder.models:
            return
        self._models_at_ns = now_ns + MODELS_NS
        self._models = dict(self._builder.models)
        # A cache: the next change is written again.
        with suppress(OSError):
            self._models_file.write(self._models)

    # ---- the hubs ----

    def _open(self, link: _UplinkLink, now_ns: int) -> None:
        link.open_at_ns = now_ns + OPEN_AGAIN_NS
        # What is wrong with its file is told by the beat.
        with suppress(EvergaugeError, OSError):
            hub = self._parts.read(link.name)
            link.page = link.page or self._parts.page(link.name)
            link.socket = self._parts.connect(hub)

    def _send_soon(self, now_ns: int) -> None:
        self._send_at_ns = min(self._send_at_ns, max(now_ns + URGENT_NS, self._sent_at_ns + APART_NS))

    def _send(self, now_ns: int) -> None:
        self._sent_at_ns = now_ns
        self._send_at_ns = now_ns + INTERVAL_NS
        self._names.refresh(self._rules)
        wall_ns = self._clock.wall_ns()
        for link in self._links:
            if link.socket is None:
                continue
            frame = link.feed.offer(self._builder.state(wall_ns), now_ns)
            if frame is not None:
                link.feed.on_sent(now_ns, is_sent=link.socket.send(frame))
                self._has_answers = True
            self._tell_beat(link)

    def _tell_beat(self, link: _UplinkLink) -> None:
        if link.page is not None:
            progress = BeatProgress(link.feed.version, link.feed.digest, self._builder.sampled_ns or None)
            link.page.write(self._parts.hello.run, progress)

    def _take_answers(self, link: _UplinkLink, socket: HubSocket, now_ns: int) -> None:
        for _ in range(ANSWERS_PER_TURN_MAX):
            frame = socket.receive()
            if frame is None:
                return
            was_welcome = link.feed.contact.is_welcome
            # What is no answer is told by the beat, which gets the same.
            with suppress(ProtocolError):
                link.feed.on_answer(decode_answer(frame), now_ns)
            if not was_welcome or link.feed.wants_whole:
                self._send_soon(now_ns)
        self._has_answers = True
