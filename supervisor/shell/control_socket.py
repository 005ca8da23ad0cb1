"""The control socket: a Unix stream at the edge, one JSON document per line, never a wait.

The kernel identifies the client (`supervisor.shell.peer`). A client's line is bounded before it is kept, its answers before they
are queued; one that sends garbage gets an error and is counted, one that does not read its answer is cut off.
"""

import os
import resource
import select
import socket
from collections.abc import Callable
from contextlib import suppress

from agent.failpoint import failpoint
from agent.model.control import REQUEST_BYTES_MAX
from agent.model.control.answer import ControlError, answer_line
from agent.model.control.document import Document
from agent.model.control.request import parse_request
from agent.model.errors import ExitCode
from agent.model.timebase import S
from supervisor.core.access_rule import AccessRules
from supervisor.core.client_quota import CONNECTIONS_MAX, ClientQuota
from supervisor.core.effect import Commanded, Problem
from supervisor.shell.control_connection import ControlConnection, TooLong
from supervisor.shell.control_listener import ControlListener, OutOfDescriptors, Readers
from supervisor.shell.peer import peer_of
from supervisor.shell.poller import Register

# Beyond this the newest are turned away: 2,000 idle clients cost their descriptors and nothing else. Never more than half
# of the descriptors there are beyond those that the agent itself needs: a restart of a worker needs some too.
CLIENTS_MAX = 2048
OWN_DESCRIPTORS = 64
# Time after which a client that does not take its answer is cut off.
UNREAD_NS_MAX = 10 * S


class ControlSocket:
    """Listens at `path`; `on_command` hears each well-formed request; `answer` gives its outcome.

    *Raises:* OSError where it cannot listen.
    """

    def __init__(
        self,
        path: str,
        *,
        register: Register,
        on_command: Callable[[Commanded], None],
        now_ns: Callable[[], int],
        readers: Readers | None = None,
    ) -> None:
        self.path = path
        self.counts = {"requests": 0, "malformed": 0, "refused": 0, "cut_off": 0}
        self._register = register
        self._on_command = on_command
        self._now_ns = now_ns
        self._clients: dict[int, ControlConnection] = {}
        # Clients with further whole lines in their buffer.
        self._ahead: dict[int, ControlConnection] = {}
        self._last_client = 0
        self._access = AccessRules(os.geteuid(), None if readers is None else readers.gid)
        self._clients_max = max(1, min(CLIENTS_MAX, (resource.getrlimit(resource.RLIMIT_NOFILE)[0] - OWN_DESCRIPTORS) // 2))
        self._quota = ClientQuota(self._clients_max)
        self._listener = ControlListener(path, readers)
        register(self._listener.descriptor, select.EPOLLIN, self._on_connection)

    def is_there(self) -> bool:
        """Whether connections to the path come here."""
        return self._listener.is_there()

    def make_again(self) -> None:
        """Listen at the name once more. Connected clients notice nothing. *Raises:* BusyError, OSError."""
        lost = self._listener.replace()
        self._register(lost.fileno(), 0, None)
        lost.close()
        self._register(self._listener.descriptor, select.EPOLLIN, self._on_connection)

    def answer(self, client_id: int, result: Document | None, problem: Problem | None) -> None:
        """The outcome of a Commanded; nothing happens when the client has gone."""
        assert (result is None) != (problem is None), "an operation has a result or a problem"
        client = self._clients.get(client_id)
        if client is None:
            return
        failpoint("control.before_answer")
        client.put(answer_of(result, problem))
        client.is_waiting = False
        self._send(client_id, client)

    def has_more(self) -> bool:
        """Whether clients have sent lines ahead that `go_on` takes."""
        return bool(self._ahead)

    def go_on(self) -> None:
        """Take one further line of each client that sent several; one a turn, so that no client holds the loop."""
        ahead, self._ahead = self._ahead, {}
        for client_id, client in ahead.items():
            if client_id in self._clients and not client.is_waiting:
                self._take_line(client_id, client)

    def cut_off_unread(self) -> None:
        """End the clients that have not taken their answer for too long; called at every look."""
        limit_ns = self._now_ns() - UNREAD_NS_MAX
        for client_id, client in list(self._clients.items()):
            if client.unread_since_ns is not None and client.unread_since_ns < limit_ns:
                self.counts["cut_off"] += 1
                self._end(client_id, client)

    def close(self) -> None:
        """Stop listening, end the clients, remove the socket."""
        self._register(self._listener.descriptor, 0, None)
        self._listener.close()
        for client_id, client in list(self._clients.items()):
            self._end(client_id, client)

    # ---- connections -----------------------------------------------------------------------------

    def _on_connection(self, _mask: int) -> None:
        try:
            stream = self._listener.accept()
        except OutOfDescriptors:
            self.counts["refused"] += 1
            return
        if stream is None:
            return
        if len(self._clients) >= self._clients_max:
            self.counts["refused"] += 1
            stream.close()
            return
        peer = peer_of(stream)
        is_reader = not self._access.is_owner(peer.uid)
        if is_reader and not self._quota.connect(peer.uid):
            self._turn_away(stream, peer.uid)
            return
        self._last_client += 1
        client = self._clients[self._last_client] = ControlConnection(stream, peer, is_reader=is_reader)
        self._listen_to(self._last_client, client)

    def _turn_away(self, stream: socket.socket, uid: int) -> None:
        """Refuse a connection beyond a reader's number, with a sentence where that costs no wait."""
        self.counts["refused"] += 1
        sentence = f"user {uid}, or all who may only look, have too many connections (a user {CONNECTIONS_MAX}); try again"
        with suppress(OSError):
            stream.send(answer_of(None, Problem("too_busy", sentence, int(ExitCode.TRY_AGAIN))))
        stream.close()

    def _on_stream(self, client_id: int, client: ControlConnection, mask: int) -> None:
        if mask & (select.EPOLLHUP | select.EPOLLERR) and (client.is_waiting or not mask & select.EPOLLIN):
            # Closed in both directions (a half-closed one still waits for its answer). What it asked for is done nevertheless.
            self._end(client_id, client)
            return
        if mask & select.EPOLLOUT:
            self._send(client_id, client)
        if client_id in self._clients and mask & select.EPOLLIN:
            self._read(client_id, client)

    def _read(self, client_id: int, client: ControlConnection) -> None:
        if not client.receive():
            self._end(client_id, client)
        elif client.has_ended:
            # It sends no more; what it asked for is still answered.
            self._note_rest(client_id, client)
        else:
            self._take_line(client_id, client)

    # ---- requests --------------------------------------------------------------------------------

    def _take_line(self, client_id: int, client: ControlConnection) -> None:
        """Begin the next request, when none is under way and the last answer has been taken."""
        if not client.is_idle:
            return
        try:
            is_whole = client.peek_line()
        except TooLong:
            self._refuse(client, "too_long", f"a request has at most {REQUEST_BYTES_MAX} bytes in one line")
            self._send(client_id, client)
            return
        if is_whole:
            if not self._take_turn(client_id, client):
                # What it sends ahead waits in its own pipe, and so does a further line of its own.
                self._register(client.descriptor, select.EPOLLERR, lambda mask: self._on_stream(client_id, client, mask))
                return
            line = client.take_line()
            if line.strip():
                self._on_line(client_id, client, line)
        self._note_rest(client_id, client)

    def _take_turn(self, client_id: int, client: ControlConnection) -> bool:
        """Take the turn for its next request. False: a reader's waits when there are too many, until `_end_turn` names it."""
        if not client.is_reader:
            return True
        client.has_turn = client.has_turn or self._quota.begin_request(client_id, client.peer.uid)
        return client.has_turn

    def _end_turn(self, client: ControlConnection) -> None:
        """A reader's request is done: the next one's turn has come."""
        if not client.has_turn:
            return
        client.has_turn = False
        following = self._quota.end_request(client.peer.uid)
        if following is not None:
            self._clients[following].has_turn = True
            self._ahead[following] = self._clients[following]

    def _on_line(self, client_id: int, client: ControlConnection, line: bytes) -> None:
        try:
            request = parse_request(line)
        except (ValueError, RecursionError) as cause:
            example = '{"v": 1, "op": "list-workers", "args": {}}'
            self._refuse(client, "malformed", f"not a request: {cause}; one line is one JSON document, such as {example}")
            self._send(client_id, client)
            return
        client.is_waiting = True
        if (refusal := self._access.refusal(client.peer, request.operation)) is not None:
            self.counts["refused"] += 1
            self.answer(client_id, None, refusal)
            return
        self.counts["requests"] += 1
        self._on_command(Commanded(client_id, request.operation, request.arguments))

    def _refuse(self, client: ControlConnection, code: str, sentence: str) -> None:
        self.counts["malformed"] += 1
        client.put(answer_of(None, Problem(code, sentence, int(ExitCode.MISUSE))))

    # ---- what comes next -------------------------------------------------------------------------

    def _send(self, client_id: int, client: ControlConnection) -> None:
        """Send what there is, then decide what is waited for."""
        if client.flush(self._now_ns()):
            self._note_rest(client_id, client)
        else:
            self._end(client_id, client)

    def _note_rest(self, client_id: int, client: ControlConnection) -> None:
        """Decide what is waited for next: a further line at hand, more bytes, or nothing more."""
        if client_id not in self._clients:
            return
        if client.is_idle:
            self._end_turn(client)
        if client.is_idle and client.has_line:
            self._ahead[client_id] = client
        elif client.is_idle and client.has_ended:
            self._end(client_id, client)
        else:
            self._listen_to(client_id, client)

    def _listen_to(self, client_id: int, client: ControlConnection) -> None:
        self._register(client.descriptor, client.wanted, lambda mask: self._on_stream(client_id, client, mask))

    def _end(self, client_id: int, client: ControlConnection) -> None:
        self._ahead.pop(client_id, None)
        if self._clients.pop(client_id, None) is not None:
            self._register(client.descriptor, 0, None)
            client.close()
            if client.is_reader:
                self._quota.disconnect(client_id, client.peer.uid)
                self._end_turn(client)


def answer_of(result: Document | None, problem: Problem | None) -> bytes:
    """An answer as it is sent."""
    if problem is not None:
        return answer_line(ControlError(code=problem.code, sentence=problem.sentence, exit=problem.exit))
    assert result is not None
    try:
        return answer_line(result)
    except TypeError as cause:
        # A worker's own part of a result may hold what msgpack has and JSON has not.
        sentence = f"the answer cannot be written as JSON: {cause}"
        return answer_line(ControlError(code="no_answer", sentence=sentence, exit=int(ExitCode.BUG)))
