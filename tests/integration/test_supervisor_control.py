"""The control socket over real sockets: many idle, slow, garbled and foreign clients, and one that is always answered."""

import json
import os
import resource
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes.control_harness import Client, Harness, Text

from agent.model.control import REQUEST_BYTES_MAX
from agent.model.timebase import S
from supervisor.core.access_rule import AccessRules
from supervisor.core.client_quota import CONNECTIONS_MAX, REQUESTS_MAX
from supervisor.core.effect import Problem
from supervisor.shell.control_socket import UNREAD_NS_MAX

# More than any pipe between two sockets holds.
LARGE = "x" * (4 << 20)

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A private folder with a short name that another user could look into."""
    path = Path(tempfile.mkdtemp(prefix="eg-control-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def harness(folder: Path) -> Iterator[Harness]:
    """A control socket with as many descriptors as the system allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    harness = Harness(folder)
    yield harness
    harness.close()
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_request_is_answered(harness: Harness) -> None:
    """Operation and arguments arrive; the version stands in the answer."""
    client = harness.client()
    client.stream.sendall(b'{"v": 1, "op": "diag", "args": {"limit": 3}}\n')
    harness.until(lambda: client.answers)
    assert client.answers == [{"v": 1, "ok": True, "result": {"op": "diag"}}]
    assert [(each.operation, each.arguments) for each in harness.asked] == [("diag", {"limit": 3})]


def test_a_problem_has_a_code_a_sentence_and_an_exit_code(harness: Harness) -> None:
    """For programs, for people, for agentctl."""
    harness.is_holding = True
    client = harness.client()
    client.ask("status")
    harness.until(lambda: harness.waiting)
    harness.control.answer(harness.waiting.pop().client, None, Problem("too_busy", "try again", 75))
    assert client.answers == [{"v": 1, "ok": False, "error": {"code": "too_busy", "sentence": "try again", "exit": 75}}]


def test_only_the_owner_reaches_the_socket(harness: Harness) -> None:
    """Its mode lets nobody else connect."""
    assert Path(harness.path).stat().st_mode & 0o777 == 0o600
    assert os.listdir(Path(harness.path).parent) == ["control.sock"]


def test_a_dead_agents_socket_is_replaced(harness: Harness, folder: Path) -> None:
    """Also the one under the passing name that it did not come to rename."""
    (folder / "second").mkdir()
    for name in ("control.sock", "control.sock.new"):
        stale = socket.socket(socket.AF_UNIX)
        stale.bind(str(folder / "second" / name))
        stale.close()
    second = Harness(folder / "second")
    client = second.client()
    client.ask("hello")
    second.until(lambda: client.answers)
    second.close()
    assert os.listdir(folder / "second") == []


def test_half_a_line_is_not_answered_until_the_rest_arrives(harness: Harness) -> None:
    """Byte by byte, in the middle of a letter of two bytes too."""
    client = harness.client()
    for byte in '{"op": "hello", "args": {"ü": 1}}'.encode():
        client.stream.sendall(bytes([byte]))
        harness.turn()
    assert client.answers == []
    client.stream.sendall(b"\n")
    harness.until(lambda: client.answers)
    assert harness.asked[0].arguments == {"ü": 1}


def test_requests_in_one_write_are_answered_in_their_order(harness: Harness) -> None:
    """The second is not begun before the first has its answer."""
    harness.is_holding = True
    client = harness.client()
    client.ask("status", "hello", "diag")
    for number, operation in enumerate(("status", "hello", "diag"), start=1):
        harness.until(lambda number=number: len(harness.asked) == number)  # type: ignore[misc]
        harness.idle()
        assert [each.operation for each in harness.asked][number - 1 :] == [operation]
        harness.answer_all()
    assert [answer["result"]["op"] for answer in client.answers] == ["status", "hello", "diag"]


def test_a_client_that_says_no_more_gets_its_answers_and_is_ended(harness: Harness) -> None:
    """As `nc` and a shell's pipe do it: everything was said, the reading goes on."""
    harness.is_holding = True
    client = harness.client()
    client.ask("status", "hello")
    client.stream.shutdown(socket.SHUT_WR)
    harness.until(lambda: harness.waiting)
    harness.idle()
    harness.is_holding = False
    harness.until(lambda: len(client.answers) == 2 and client.is_cut_off)


def test_a_client_that_goes_away_while_it_is_waited_for_costs_nothing(harness: Harness) -> None:
    """Nobody turns for it, what it asked goes on, and its late answer is dropped."""
    harness.is_holding = True
    client = harness.client()
    client.ask("rotate")
    harness.until(lambda: harness.waiting)
    client.stream.close()
    harness.idle()
    before = harness.calls
    harness.idle()
    assert harness.calls == before
    harness.answer_all()
    assert [each.operation for each in harness.asked] == ["rotate"]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"garbage", "not a request"),
        (b"[]", "it is no JSON object"),
        (b'"status"', "it is no JSON object"),
        (b'{"v": 2, "op": "status"}', "version 2 is not spoken here"),
        (b'{"args": {}}', '"op" must be text'),
        (b'{"op": "status", "args": []}', '"args" an object'),
        (b'{"op": "status", "more": 1}', "unknown fields ['more']"),
        (b"\xff\xfe", "not a request"),
        (b"[" * 50_000, "not a request"),
        (b'{"op": "status", "args": {"a": "\\ud800"}}', "not a request"),
    ],
)
def test_what_is_no_request_is_answered_with_what_is_wrong_and_the_next_one_as_ever(
    harness: Harness, line: bytes, problem: str
) -> None:
    """Counted, never fatal, and the connection stays."""
    client = harness.client()
    client.stream.sendall(line + b"\n")
    client.ask("hello")
    harness.until(lambda: len(client.answers) == 2)
    refused, answered = client.answers
    assert problem in refused["error"]["sentence"]
    assert (refused["error"]["code"], refused["error"]["exit"]) == ("malformed", 64)
    assert answered["ok"]
    assert harness.control.counts["malformed"] == 1


def test_empty_lines_are_passed_over(harness: Harness) -> None:
    """A person who types presses return."""
    client = harness.client()
    client.stream.sendall(b"\n \n\r\n")
    client.ask("hello")
    harness.until(lambda: client.answers)
    assert harness.control.counts["malformed"] == 0


def test_a_line_without_an_end_is_refused_and_the_client_ended(harness: Harness) -> None:
    """Nothing is kept beyond the bound."""
    client = harness.client()
    client.stream.sendall(b"x" * (REQUEST_BYTES_MAX + 1))
    harness.until(lambda: client.answers and client.is_cut_off)
    assert client.answers[0]["error"]["code"] == "too_long"


def test_two_thousand_refusals_in_one_write_are_two_thousand_answers(harness: Harness) -> None:
    """However deep the pile, each is looked at by itself and nobody else waits for the end of it."""
    client, other = harness.client(), harness.client()
    client.stream.sendall(b"x\n" * 2000)
    other.ask("hello")
    assert harness.until(lambda: other.answers) <= 5
    harness.until(lambda: client.lines == 2000)


def test_a_client_that_asks_for_much_and_reads_nothing_is_held_at_one_answer(harness: Harness) -> None:
    """A thousand large answers are not made for somebody who does not take the first."""
    harness.result = Text(text=LARGE)
    client = harness.client()
    client.ask(*["list-rules"] * 1000)
    harness.until(lambda: harness.asked)
    harness.idle(100)
    assert len(harness.asked) == 1


def test_a_client_that_never_reads_is_cut_off_in_time(harness: Harness) -> None:
    """After the bound and not before; the others stay."""
    harness.result = Text(text=LARGE)
    client, idle = harness.client(), harness.client()
    client.ask("list-rules")
    harness.until(lambda: harness.asked)
    harness.idle()
    harness.clock.advance(UNREAD_NS_MAX)
    harness.control.cut_off_unread()
    assert harness.control.counts["cut_off"] == 0
    harness.clock.advance(1)
    harness.control.cut_off_unread()
    assert harness.control.counts["cut_off"] == 1
    harness.until(lambda: client.answers == [] and client.is_cut_off)
    idle.ask("hello")
    harness.until(lambda: idle.answers)


def test_a_client_that_reads_slowly_is_not_cut_off(harness: Harness) -> None:
    """As long as something moves, however long the whole takes."""
    harness.result = Text(text=LARGE)
    client = harness.client()
    client.ask("list-rules")
    harness.until(lambda: harness.asked)
    for _ in range(8):
        client.take(256 << 10)
        harness.idle()
        harness.clock.advance(UNREAD_NS_MAX - S)
        harness.control.cut_off_unread()
    harness.until(lambda: client.answers)
    assert harness.control.counts["cut_off"] == 0
    assert client.answers[0]["result"] == {"text": LARGE}


def test_idle_and_slow_clients_do_not_delay_another(harness: Harness) -> None:
    """A thousand that say nothing, five with half a line, five that do not read: one is answered within a few turns."""
    harness.clients(1000)
    halves, deaf = harness.clients(5), harness.clients(5)
    for client in halves:
        client.stream.sendall(b'{"op": "sta')
    harness.result = Text(text=LARGE)
    for client in deaf:
        client.ask("list-rules")
    harness.until(lambda: len(harness.asked) == len(deaf))
    harness.result = None
    harness.idle()
    before = harness.calls
    for _ in range(20):
        client = harness.client()
        client.ask("hello")
        assert harness.until(lambda: client.answers) <= 5  # noqa: B023  called in this turn of the loop only
    # Connection and request: nobody of the thousand was looked at.
    assert harness.calls - before <= 2 * 20


def test_more_clients_than_there_is_room_for_are_turned_away_and_counted(folder: Path) -> None:
    """The first ones stay, and are answered."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = len(os.listdir("/proc/self/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + 128, hard))
    harness = Harness(folder)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    first = harness.client()
    late = harness.clients(2 * (used + 128))
    harness.idle()
    turned_away = harness.control.counts["refused"]
    assert 0 < turned_away < len(late)
    late[-1].take()
    assert late[-1].is_cut_off
    first.ask("hello")
    harness.until(lambda: first.answers)
    harness.close()
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_without_a_descriptor_left_connections_are_ended_and_nobody_turns_for_them(folder: Path) -> None:
    """A connection that cannot be taken would wake the loop for ever; those that are there go on."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    harness = Harness(folder)
    known = harness.client()
    harness.idle()
    late = harness.client()
    highest = max(int(name) for name in os.listdir("/proc/self/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1, hard))
    fillers = []
    try:
        while True:
            fillers.append(os.dup(0))
    except OSError:
        harness.idle()
        before = harness.calls
        harness.idle()
        assert harness.calls == before
    finally:
        for descriptor in fillers:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    late.take()
    assert late.is_cut_off
    assert harness.control.counts["refused"] == 1
    known.ask("hello")
    harness.until(lambda: known.answers)
    harness.close()


def _be_another_user(path: str, request: bytes, answers: int) -> None:
    """In a child of its own: become nobody, ask, write what was answered into a file. Does not return."""
    code = 70
    try:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
        with socket.socket(socket.AF_UNIX) as stream:
            stream.connect(path)
            stream.sendall(request)
            stream.shutdown(socket.SHUT_WR)
            while data := stream.recv(1 << 16):
                os.write(answers, data)
        code = 0
    finally:
        os._exit(code)


def _answers_to_another_user(harness: Harness, *operations: str) -> list[dict[str, Any]]:
    """What somebody who is neither root nor the agent's user is answered, once the socket's mode lets him in."""
    Path(harness.path).chmod(0o666)
    if os.geteuid() != 0:
        # Without root nobody can be somebody else, but the agent can be.
        harness.control._access = AccessRules(0)
        client = harness.client()
        client.ask(*operations)
        harness.until(lambda: client.lines == len(operations))
        return client.answers
    request = b"".join(json.dumps({"op": each}).encode() + b"\n" for each in operations)
    with tempfile.TemporaryFile() as heard:
        # Forked, not started as a program: the other user may not be let into the folder of this interpreter.
        pid = os.fork()
        if pid == 0:
            _be_another_user(harness.path, request, heard.fileno())
        ended: list[tuple[int, int]] = []

        def has_ended() -> bool:
            ended.append(os.waitpid(pid, os.WNOHANG))
            return ended[-1][0] == pid

        harness.until(has_ended)
        assert os.waitstatus_to_exitcode(ended[-1][1]) == 0
        heard.seek(0)
        return [json.loads(line) for line in heard.read().splitlines()]


def test_another_user_may_look_and_change_nothing(harness: Harness) -> None:
    """The kernel says who it is; the refusal says who may."""
    looked, refused, again = _answers_to_another_user(harness, "status", "restart-worker", "list-pods")
    assert looked["ok"]
    assert again["ok"]
    assert (refused["error"]["code"], refused["error"]["exit"]) == ("not_permitted", 77)
    assert "may not do restart-worker; root and user" in refused["error"]["sentence"]
    assert [each.operation for each in harness.asked] == ["status", "list-pods"]
    assert harness.control.counts["refused"] == 1


def test_another_user_who_asks_for_changes_without_end_is_refused_without_end(harness: Harness) -> None:
    """Two thousand in one write: each is answered, none is one too deep."""
    answers = _answers_to_another_user(harness, *["rotate"] * 2000)
    assert {answer["error"]["code"] for answer in answers} == {"not_permitted"}
    assert len(answers) == harness.control.counts["refused"] == 2000


# ---- users who may only look ---------------------------------------------------------------------

VISITOR = 64999


def _reader_clients(harness: Harness, count: int) -> list[Client]:
    """Connections of another user: the kernel notes who connects, whatever becomes of it later."""
    Path(harness.path).chmod(0o666)
    os.seteuid(VISITOR)
    try:
        made = [harness.client() for _ in range(count)]
    finally:
        os.seteuid(0)
    harness.idle(count)
    return made


@needs_root
def test_a_readers_requests_take_turns_and_ours_pass_by(harness: Harness) -> None:
    """Five at once: two are under way, each answer lets the next one come, in order; what the operator asks does not wait."""
    harness.is_holding = True
    readers, ours = _reader_clients(harness, 5), harness.client()
    for number, reader in enumerate(readers):
        reader.ask(*(("hello", "no-such") if number == 0 else ("hello",)))
    harness.until(lambda: len(harness.asked) == REQUESTS_MAX)
    harness.idle()
    assert len(harness.asked) == REQUESTS_MAX
    ours.ask("status")
    harness.until(lambda: harness.asked[-1].operation == "status")
    harness.is_holding = False
    harness.until(lambda: all(reader.lines for reader in readers) and readers[0].lines == 2)
    assert readers[0].answers[1]["error"]["code"] == "not_permitted"
    harness.idle()
    before = harness.calls
    harness.idle()
    assert harness.calls == before, "nobody turns for those who have nothing to say"


@needs_root
def test_a_reader_that_reads_no_answer_keeps_its_turn_and_goes_with_it(harness: Harness) -> None:
    """No further large answer is made for it; when it goes, the next one is served, and one that has gone no longer waits."""
    harness.result = Text(text=LARGE)
    *deaf, gone, waiting = _reader_clients(harness, REQUESTS_MAX + 2)
    for reader in (*deaf, gone, waiting):
        reader.ask("list-rules")
    harness.until(lambda: len(harness.asked) == REQUESTS_MAX)
    harness.idle()
    assert len(harness.asked) == REQUESTS_MAX
    gone.stream.close()
    harness.idle()
    deaf[0].stream.close()
    harness.until(lambda: waiting.lines)
    assert len(harness.asked) == REQUESTS_MAX + 1
    harness.clock.advance(UNREAD_NS_MAX + 1)
    harness.control.cut_off_unread()
    assert harness.control.counts["cut_off"] == 1


@needs_root
def test_a_readers_connection_beyond_its_number_is_told_so(harness: Harness) -> None:
    """It hears what to do before it is ended; the first ones are answered."""
    readers = _reader_clients(harness, CONNECTIONS_MAX + 1)
    late = readers[-1]
    harness.until(lambda: late.answers and late.is_cut_off)
    assert (late.answers[0]["error"]["code"], late.answers[0]["error"]["exit"]) == ("too_busy", 75)
    assert harness.control.counts["refused"] == 1
    readers[0].ask("hello")
    harness.until(lambda: readers[0].answers)
