"""The control socket: a Unix stream at the edge, one JSON document per line, never a wait.

The kernel tells who connects (`supervisor.shell.peer`). A client's line is bounded before it is kept, its answers before they are
queued; one that sends garbage is answered and counted, one that does not read its answer is cut off.
"""

import json
import os
import resource
import select
import socket
from collections.abc import Callable
from contextlib import suppress
from errno import EMFILE, ENFILE
from typing import Any, NamedTuple

from agent import reader_group
from agent.failpoint import failpoint
from agent.model.control import PROTOCOL_VERSION, REQUEST_BYTES_MAX
from agent.model.errors import ExitCode
from agent.model.json_text import json_bytes
from agent.model.timebase import S
from supervisor.core.access_rule import AccessRules, Peer
from supervisor.core.client_quota import CONNECTIONS_MAX, ClientQuota
from supervisor.core.effect import Commanded, Problem
from supervisor.shell.peer import peer_of
from supervisor.shell.poller import Register
from supervisor.shell.runtime_names import inode_of, refuse_living

# Beyond this the newest are turned away: 2,000 idle clients cost their descriptors and nothing else. Never more than half
# of the descriptors there are beyond those that the agent itself needs: a restart of a worker needs some too.
CLIENTS_MAX = 2048
OWN_DESCRIPTORS = 64
# Whoever does not take his answer for so long is cut off.
UNREAD_NS_MAX = 10 * S


class Readers(NamedTuple):
    """The group that may look, and the folder of the socket where that is the agent's own ('': it is not)."""

    gid: int
    folder: str


class _Client:
    def __init__(self, stream: socket.socket, peer: Peer, *, is_reader: bool) -> None:
        self.stream = stream
        self.peer = peer
        self.is_reader = is_reader
        # A reader's request is under way, or its answer is not read yet.
        self.has_turn = False
        self.incoming = bytearray()
        self.outgoing = bytearray()
        self.is_waiting = False
        self.has_ended = False
        self.unread_since_ns: int | None = None


class ControlSocket:
    """Listens at `path`; `on_command` hears each well-formed request; `answer` gives its outcome."""

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
        self._readers = readers
        self.counts = {"requests": 0, "malformed": 0, "refused": 0, "cut_off": 0}
        self._register = register
        self._on_command = on_command
        self._now_ns = now_ns
        self._clients: dict[int, _Client] = {}
        # Clients with further whole lines in their buffer.
        self._ahead: dict[int, _Client] = {}
        self._last_client = 0
        self._access = AccessRules(os.geteuid(), None if readers is None else readers.gid)
        # Given up for a moment when descriptors run out: a connection that cannot even be refused would wake the loop for ever.
        self._reserve = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        self._clients_max = max(1, min(CLIENTS_MAX, (resource.getrlimit(resource.RLIMIT_NOFILE)[0] - OWN_DESCRIPTORS) // 2))
        self._quota = ClientQuota(self._clients_max)
        self._listener, self._inode = self._listen()
        register(self._listener.fileno(), select.EPOLLIN, self._on_connection)

    def is_there(self) -> bool:
        """Whether connections to the path come here."""
        return inode_of(self.path) == self._inode

    def make_again(self) -> None:
        """Somebody removed the name: listen at a new one. Who is connected notices nothing. *Raises:* BusyError, OSError."""
        refuse_living(self.path)
        lost = self._listener
        self._listener, self._inode = self._listen()
        self._register(lost.fileno(), 0, None)
        lost.close()
        self._register(self._listener.fileno(), select.EPOLLIN, self._on_connection)

    def _listen(self) -> tuple[socket.socket, int]:
        # Under a passing name, then renamed: the socket's own name exists only when it answers, and a dead agent's is replaced.
        temporary = f"{self.path}.new"
        if os.path.lexists(temporary):
            os.unlink(temporary)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            listener.bind(temporary)
            # Before it listens, so that nobody else ever reaches it, whatever the umask.
            os.chmod(temporary, 0o600)
            if self._readers is not None:
                reader_group.share_socket(temporary, self._readers.gid)
                if self._readers.folder:
                    reader_group.share_folder(os.path.realpath(self._readers.folder), self._readers.gid, reader_group.PASSAGE_MODE)
            listener.listen(256)
            inode = os.lstat(temporary).st_ino
            failpoint("control.listening")
            os.rename(temporary, self.path)
        except OSError as cause:
            # The kernel's answer to bind names no file.
            cause.filename = cause.filename or temporary
            listener.close()
            raise
        failpoint("control.named")
        return listener, inode

    def answer(self, client_id: int, result: dict[str, Any] | None, problem: Problem | None) -> None:
        """The outcome of a Commanded; nothing happens when the client has gone."""
        client = self._clients.get(client_id)
        if client is None:
            return
        failpoint("control.before_answer")
        try:
            line = _line(result, problem)
        except TypeError as cause:
            # A worker's answer may hold what msgpack has and JSON has not.
            line = _line(None, Problem("no_answer", f"the answer cannot be written as JSON: {cause}", int(ExitCode.BUG)))
        client.outgoing += line
        client.is_waiting = False
        self._flush(client_id, client)
        self._note_rest(client_id, client)

    def has_more(self) -> bool:
        """Whether clients have sent lines ahead that `go_on` takes."""
        return bool(self._ahead)

    def go_on(self) -> None:
        """Take one further line of each client that sent several; one a turn, so that nobody holds the loop."""
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
        self._register(self._listener.fileno(), 0, None)
        self._listener.close()
        os.close(self._reserve)
        for client_id, client in list(self._clients.items()):
            self._end(client_id, client)
        # One that somebody else has put there is not ours to remove.
        if self.is_there():
            os.unlink(self.path)

    # ---- connections -----------------------------------------------------------------------------

    def _on_connection(self, _mask: int) -> None:
        try:
            stream, _address = self._listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        except OSError as full:
            if full.errno not in (EMFILE, ENFILE):
                raise
            self._refuse_connection()
            return
        if len(self._clients) >= self._clients_max:
            self.counts["refused"] += 1
            stream.close()
            return
        stream.setblocking(False)
        peer = peer_of(stream)
        is_reader = not self._access.is_owner(peer.uid)
        if is_reader and not self._quota.connect(peer.uid):
            self._turn_away(stream, peer.uid)
            return
        self._last_client += 1
        client_id = self._last_client
        client = self._clients[client_id] = _Client(stream, peer, is_reader=is_reader)
        self._register(stream.fileno(), select.EPOLLIN, lambda mask: self._on_stream(client_id, client, mask))

    def _turn_away(self, stream: socket.socket, uid: int) -> None:
        """One connection more than a reader may have: it is told, as far as that costs no wait."""
        self.counts["refused"] += 1
        sentence = f"user {uid}, or all who may only look, have too many connections (a user {CONNECTIONS_MAX}); try again"
        with suppress(OSError):
            stream.send(_line(None, Problem("too_busy", sentence, int(ExitCode.TRY_AGAIN))))
        stream.close()

    def _refuse_connection(self) -> None:
        """Out of descriptors: take the first connection in line and end it."""
        self.counts["refused"] += 1
        os.close(self._reserve)
        try:
            self._listener.accept()[0].close()
        except OSError:
            # It has gone by itself, or another process took the descriptor first; then the loop comes back here.
            pass
        finally:
            self._reserve = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)

    def _on_stream(self, client_id: int, client: _Client, mask: int) -> None:
        if mask & (select.EPOLLHUP | select.EPOLLERR) and (client.is_waiting or not mask & select.EPOLLIN):
            # Gone in both directions (a half-closed one still waits for its answer): nobody is left to answer. What it
            # asked before it went is done all the same.
            self._end(client_id, client)
            return
        if mask & select.EPOLLOUT:
            self._flush(client_id, client)
            self._note_rest(client_id, client)
        if client_id in self._clients and mask & select.EPOLLIN:
            self._read(client_id, client)

    def _read(self, client_id: int, client: _Client) -> None:
        try:
            data = client.stream.recv(REQUEST_BYTES_MAX)
        except BlockingIOError:
            return
        except OSError:
            self._end(client_id, client)
            return
        if not data:
            # It will say no more; what it asked for is still answered, when it can be sent.
            client.has_ended = True
            self._note_rest(client_id, client)
            return
        client.incoming += data
        self._take_line(client_id, client)

    def _take_line(self, client_id: int, client: _Client) -> None:
        """The next request, when none is under way and the last answer has been taken."""
        if client.is_waiting or client.outgoing:
            return
        end = client.incoming.find(b"\n")
        if 0 <= end <= REQUEST_BYTES_MAX:
            if not self._may_ask(client_id, client):
                # What it says ahead waits in its own pipe, and so does a further line of its own.
                self._register(client.stream.fileno(), select.EPOLLERR, lambda mask: self._on_stream(client_id, client, mask))
                return
            line = bytes(client.incoming[:end])
            del client.incoming[: end + 1]
            if line.strip():
                self._on_line(client_id, client, line)
        elif len(client.incoming) > REQUEST_BYTES_MAX:
            client.incoming.clear()
            client.has_ended = True
            self._refuse(client_id, client, "too_long", f"a request has at most {REQUEST_BYTES_MAX} bytes in one line")
        self._note_rest(client_id, client)

    def _may_ask(self, client_id: int, client: _Client) -> bool:
        """Whether its next request may begin now. A reader's waits when there are too many; `_end_turn` takes it up again."""
        if not client.is_reader:
            return True
        client.has_turn = client.has_turn or self._quota.begin_request(client_id, client.peer.uid)
        return client.has_turn

    def _end_turn(self, client: _Client) -> None:
        """A reader's request is done with: the next one's turn has come."""
        if not client.has_turn:
            return
        client.has_turn = False
        following = self._quota.end_request(client.peer.uid)
        if following is not None:
            self._clients[following].has_turn = True
            self._ahead[following] = self._clients[following]

    def _note_rest(self, client_id: int, client: _Client) -> None:
        """Decide what is waited for next: a further line at hand, more bytes, or nothing more."""
        if client_id not in self._clients:
            return
        is_idle = not client.is_waiting and not client.outgoing
        if is_idle:
            self._end_turn(client)
        if is_idle and b"\n" in client.incoming:
            self._ahead[client_id] = client
        elif is_idle and client.has_ended:
            self._end(client_id, client)
        else:
            self._listen_to(client_id, client)

    def _on_line(self, client_id: int, client: _Client, line: bytes) -> None:
        try:
            request = json.loads(line)
            # Half a surrogate pair is JSON but no text: it could be stored and never be encoded again.
            json.dumps(request, ensure_ascii=False).encode()
            operation, arguments = _parse(request)
        except (ValueError, RecursionError) as cause:
            self._refuse(client_id, client, "malformed", f"not a request: {cause}; one line is one JSON document, such as "
                         '{"v": 1, "op": "list-workers", "args": {}}')  # fmt: skip
            return
        client.is_waiting = True
        if (refusal := self._access.refusal(client.peer, operation)) is not None:
            self.counts["refused"] += 1
            self.answer(client_id, None, refusal)
            return
        self.counts["requests"] += 1
        self._on_command(Commanded(client_id, operation, arguments))

    def _refuse(self, client_id: int, client: _Client, code: str, sentence: str) -> None:
        self.counts["malformed"] += 1
        client.outgoing += _line(None, Problem(code, sentence, int(ExitCode.MISUSE)))
        self._flush(client_id, client)

    # ---- bytes out -------------------------------------------------------------------------------

    def _flush(self, client_id: int, client: _Client) -> None:
        while client.outgoing:
            try:
                sent = client.stream.send(client.outgoing)
            except BlockingIOError:
                break
            except OSError:
                self._end(client_id, client)
                return
            del client.outgoing[:sent]
            client.unread_since_ns = None
        if client.outgoing and client.unread_since_ns is None:
            client.unread_since_ns = self._now_ns()
        self._listen_to(client_id, client)

    def _listen_to(self, client_id: int, client: _Client) -> None:
        # While an answer is under way nothing more is read: a client's own pipe holds what it sends ahead.
        mask = 0 if client.is_waiting or client.outgoing or client.has_ended else select.EPOLLIN
        if client.outgoing:
            mask |= select.EPOLLOUT
        self._register(client.stream.fileno(), mask or select.EPOLLERR, lambda seen: self._on_stream(client_id, client, seen))

    def _end(self, client_id: int, client: _Client) -> None:
        self._ahead.pop(client_id, None)
        if self._clients.pop(client_id, None) is not None:
            self._register(client.stream.fileno(), 0, None)
            client.stream.close()
            if client.is_reader:
                self._quota.disconnect(client_id, client.peer.uid)
                self._end_turn(client)


def _line(result: dict[str, Any] | None, problem: Problem | None) -> bytes:
    """An answer as it is sent. *Raises:* TypeError when the result holds what JSON has not."""
    document: dict[str, Any] = {"v": PROTOCOL_VERSION, "ok": problem is None}
    if problem is None:
        document["result"] = result
    else:
        document["error"] = {"code": problem.code, "sentence": problem.sentence, "exit": problem.exit}
    return json_bytes(document) + b"\n"


def _parse(request: object) -> tuple[str, dict[str, Any]]:
    """Operation and arguments of a request. *Raises:* ValueError saying what is wrong with it."""
    if not isinstance(request, dict):
        raise ValueError("it is no JSON object")
    if request.get("v", PROTOCOL_VERSION) != PROTOCOL_VERSION:
        raise ValueError(f"version {request.get('v')!r} is not spoken here, {PROTOCOL_VERSION} is")
    operation, arguments = request.get("op"), request.get("args", {})
    if not isinstance(operation, str) or not isinstance(arguments, dict):
        raise ValueError('"op" must be text and "args" an object')
    if unknown := set(request) - {"v", "op", "args"}:
        raise ValueError(f"unknown fields {sorted(unknown)}")
    return operation, arguments
