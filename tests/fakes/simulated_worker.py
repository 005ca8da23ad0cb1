"""A worker as the pure core sees it: the real replica of the rules, what is on its way to it and from it, and its page."""

from collections import deque

from agent.model.heartbeat_page import Beat
from agent.model.message import Ack, Ask, Delta, Hello, Nack, Publish, Ready, Reply, Resync, Snapshot, TakenOver
from agent.model.rule_state import Change, RuleState
from supervisor.core.effect import Survivor
from workers.runtime.replica import RulesReplica

Pods = dict[str, bytes]
Answer = Ack | Nack | Resync


class SimulatedWorker:
    """One generation of one worker. `down` is on its way to it, `up` comes from it; `host` are the pods that there are.

    It answers as `workers.runtime.loop` does, and publishes as `workers.control_plane` does.
    """

    def __init__(self, name: str, epoch: int, pid: int, host: Pods) -> None:
        self.name, self.epoch, self.pid = name, epoch, pid
        self.replica = RulesReplica()
        self.down: deque[object] = deque()
        self.up: list[object] = [Hello(pid)]
        self.is_cut_off = False
        self.is_stopped = False
        # Words to it or from it were lost, or came otherwise than a line brings them.
        self.is_harmed = False
        # Its hello has reached the supervisor of now, which hears nothing else before.
        self.is_greeted = False
        self.sent_sequence = 0
        self.taken_sequence = 0
        # What it held before, by revision, to be thrown back to; and every acknowledgement that was ever on the line.
        self.past: list[tuple[int, RuleState]] = []
        self.echoes: list[Ack] = []
        self.turns = 0
        self.page: Beat | None = None
        self._host = host
        self._is_ready_told = False
        self._has_looked = False
        self._has_heard = False
        self._published: Pods = {}

    def turn(self, now_ns: int) -> None:
        """A turn of its loop, which begins with a new heartbeat page."""
        if self.is_stopped:
            return
        self.turns += 1
        self.page = Beat(self.turns, now_ns, self.replica.revision, self.replica.state.digest)
        if self.replica.is_loaded:
            self.look_at_host()

    def take(self, message: object) -> bool:
        """Take a message and answer it; False: it was the word to end."""
        if isinstance(message, Snapshot | Delta):
            self._take_rules(message)
        elif isinstance(message, Ask):
            self.up.append(Reply(message.ask, {}))
        elif isinstance(message, TakenOver):
            self.up.append(Hello(self.pid))
            self._is_ready_told = False
            # The new supervisor holds nothing of what was published.
            self._has_looked, self._published = False, {}
        else:
            return False
        return True

    def _take_rules(self, message: Snapshot | Delta) -> None:
        was_loaded, before = self.replica.is_loaded, self.replica.state.digest
        answer: Answer = self.replica.take(message)
        self.up.append(answer)
        if not isinstance(answer, Ack):
            assert self.replica.state.digest == before, f"{self.name} holds part of a message that it refused"
            return
        assert answer.digest == self.replica.state.digest == message.digest, f"{self.name} took what was not sent"
        is_next = isinstance(message, Snapshot) or message.sequence == self.taken_sequence + 1
        assert is_next, f"{self.name} took a change over a hole"
        self.taken_sequence = message.sequence
        self.past.append((self.replica.revision, RuleState(self.replica.state.items())))
        self.echoes.append(answer)
        self._has_heard = True
        if not was_loaded:
            self._published = self.held_pods()
        if not self._is_ready_told:
            self._is_ready_told = True
            self.up.append(Ready())

    def look_at_host(self) -> None:
        """The control plane publishes what the supervisor does not hold: by its own rules when it has heard of them since it
        last published, else by what it last published."""
        if self.name != "control-plane":
            return
        known = self.held_pods() if self._has_heard and self._has_looked else self._published
        changes: list[Change] = [(key, self._host.get(key)) for key in sorted({*known, *self._host})]
        changes = [(key, content) for key, content in changes if known.get(key) != content]
        if changes or not self._has_looked:
            self.up.append(Publish(changes, complete=True))
            self._has_heard = False
        self._has_looked = True
        self._published = dict(self._host)

    def drift(self, how: str) -> bool:
        """Its rules change by themselves; False when nothing could change in this way."""
        state = self.replica.state
        before = (self.replica.revision, state.digest)
        entries = list(state.items())
        match how:
            case "added":
                state.put("rule/ghost", b'{"name":"ghost"}')
            case "altered" if entries:
                state.put(entries[0][0], entries[0][1] + b" ")
            case "removed" if entries:
                state.put(entries[-1][0], None)
            case "emptied":
                self.replica.state = RuleState()
            case "thrown back" if self.past:
                self.replica.revision, former = self.past[0]
                self.replica.state = RuleState(former.items())
        return (self.replica.revision, self.replica.state.digest) != before

    def hear_place(self, place: int) -> int:
        """Where in `up` the next word to be heard stands: at `place`, or nearer, since answers overtake nothing but answers."""
        while place and not all(isinstance(each, Answer) for each in self.up[: place + 1]):
            place -= 1
        return min(place, len(self.up) - 1)

    def lose_line(self) -> None:
        """The connection breaks, and what was on its way is lost; what it publishes is said again, so it is kept."""
        self.is_cut_off = self.is_harmed = True
        self.down.clear()
        self.up = [message for message in self.up if not isinstance(message, Answer)]

    def be_orphaned(self, *, keeps_heard: bool, is_connected: bool) -> None:
        """Its supervisor is gone; what was on its way down is lost unless it had arrived already."""
        self.is_greeted = False
        self.is_cut_off = not is_connected
        self.is_harmed |= self.is_cut_off
        # Nothing that this one has taken was sent by the supervisor of now.
        self.sent_sequence = -1
        if not keeps_heard:
            self.down.clear()

    def survivor(self) -> Survivor:
        """What the next supervisor finds of it."""
        revision = 0 if self.page is None else self.page.revision
        return Survivor(self.name, self.epoch, self.pid, started_at_ns=0, revision=revision)

    def held_pods(self) -> Pods:
        """The pods that its rules have."""
        return dict(self.replica.state.items("pod/"))
