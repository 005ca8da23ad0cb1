"""What can go wrong with a sink, one story each, with the kinds of sinks as they are.

Each says what is wrong and what to do, nothing is lost while it lasts, the account adds up, and it goes on by itself afterwards.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes.real_sink_host import HostSpool, RealSinkHost, Receiver, over_http, stamp_of
from fakes.small_disk import fill, mounted
from harness.sinks.certificates import Authority
from harness.sinks.http_answer import OK, Answer, cut, reset, retry_after, silence, status
from harness.sinks.http_sink import SinkTls

from agent.model.tables import EXPORT_GAP
from agent.model.timebase import HOUR, S
from agent.store.keeping import Keeping, PrunedSegment

KINDS = ("otlp", "prometheus")
SECRET = "glpat-never-shown"
PAGE = Answer(200, (("Content-Type", "text/html"),), b"<html><body>Log in to the network</body></html>")
BAD_PAGE = Answer(400, (("Content-Type", "text/html"),), b"<!DOCTYPE html><p>Bad request</p>")
ECHO = Answer(401, (("Content-Type", "text/plain"),), f"no such token: {SECRET}".encode())
# A space before the colon, which HTTP forbids.
NO_HTTP = Answer(200, (("Content-Length ", "0"),))

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def spool(tmp_path: Path) -> HostSpool:
    """An open segment without rows."""
    state = tmp_path / "state"
    state.mkdir()
    return HostSpool(state)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """One that takes everything so far."""
    with Receiver() as made:
        yield made


@pytest.fixture(params=KINDS)
def host(request: pytest.FixtureRequest, spool: HostSpool, receiver: Receiver, tmp_path: Path) -> Iterator[RealSinkHost]:
    """An exporter that has brought three rows there, with a token."""
    token = tmp_path / "token"
    token.write_text(f"{SECRET}\n")
    made = over_http(spool.state, request.param, receiver.url, token_file=str(token))
    spool.append(3)
    made.wait_settled(3)
    assert receiver.missing(3) == []
    yield made
    made.kill()


def said(host: RealSinkHost) -> str:
    """Everything that it has told anybody."""
    return repr((host.stats, host.bus.notes, host.bus.conditions))


def assert_waiting(host: RealSinkHost, state: str, rows: int, *words: str) -> None:
    """The exporter is in this state, says these words, and so many rows wait."""
    host.wait_state(state)
    host.run_until(lambda: host.ledger["pending"] == rows, "the rows that wait")
    # On a machine that was busy for a moment the first answer may have come too late.
    host.run_until(lambda: host.stats["state"] == state and all(word in host.problem for word in words), f"{state}: {words}")
    active = {each.kind: each.active for each in host.bus.conditions}
    assert active[f"sink_{state}"], "no condition"
    assert host.ledger["rejected"] == host.ledger["pruned"] == 0
    assert SECRET not in said(host)


def assert_goes_on(host: RealSinkHost, spool: HostSpool, receiver: Receiver) -> None:
    """By itself, with every row."""
    spool.append(1)
    host.wait_settled(spool.rows)
    assert receiver.missing(spool.seq) == []
    assert host.ledger["delivered"] == host.ledger["produced"] == spool.rows
    assert host.stats["state"] == "up"
    assert not any({each.kind: each.active for each in host.bus.conditions}.values())
    assert host.bus.notes[-1].kind == "sink_up"


@pytest.mark.parametrize(
    ("answer", "state", "words"),
    [
        pytest.param(ECHO, "paused", ("does not take our credentials", "…", "look at the token"), id="wrong-token"),
        pytest.param(status(403), "paused", ("does not let us write", "give this user"), id="no-right"),
        pytest.param(status(404), "paused", ("404", "look at the endpoint"), id="wrong-path"),
        pytest.param(PAGE, "paused", ("page for people", "look at the endpoint"), id="page-of-a-proxy"),
        pytest.param(BAD_PAGE, "paused", ("page for people", "look at the endpoint"), id="refusing-page-of-a-proxy"),
        pytest.param(Answer(407), "paused", ("a proxy", "wants credentials"), id="proxy-with-credentials"),
        pytest.param(Answer(302, (("Location", f"https://u:{SECRET}@x/?k={SECRET}"),)), "paused", ("https://x/",), id="redirect"),
        pytest.param(Answer(429), "down", ("busy or not ready (429)",), id="429"),
        pytest.param(retry_after(503, 2), "down", ("busy or not ready (503)",), id="503-with-a-time"),
        pytest.param(Answer(502, body=b"<html>"), "down", ("busy or not ready (502)",), id="502"),
        pytest.param(silence(), "down", ("did not answer within 0.3 s",), id="no-answer"),
        pytest.param(NO_HTTP, "down", ("did not answer in HTTP/1.1",), id="garbage"),
        pytest.param(cut(0), "down", ("closed the connection before it answered",), id="closed"),
        pytest.param(cut(40), "down", ("in the middle of its answer",), id="cut"),
        pytest.param(reset(0), "down", ("closed the connection",), id="reset"),
    ],
)
def test_an_answer_that_is_none(
    host: RealSinkHost, spool: HostSpool, receiver: Receiver, answer: Answer, state: str, words: tuple[str, ...]
) -> None:
    """Rows wait, and arrive once the sink answers as it should."""
    receiver.answer = answer
    spool.append(2)
    assert_waiting(host, state, 2, *words)
    turns = host.timers
    host.run_for(10 * S)
    assert host.timers - turns < 200, "it spins"
    receiver.answer = OK
    assert_goes_on(host, spool, receiver)


def test_nobody_listens(host: RealSinkHost, spool: HostSpool, receiver: Receiver) -> None:
    """Until somebody does."""
    receiver.stop()
    spool.append(2)
    assert_waiting(host, "down", 2, "nothing takes connections at 127.0.0.1", "start the sink there")
    receiver.start()
    assert_goes_on(host, spool, receiver)


def test_connections_that_nobody_serves(host: RealSinkHost, spool: HostSpool, receiver: Receiver) -> None:
    """Half-open: they are taken, and nothing is read from them."""
    receiver.stop()
    receiver.is_stalled = True
    receiver.start()
    spool.append(2)
    assert_waiting(host, "down", 2, "did not answer within 0.3 s")
    receiver.is_stalled = False
    assert_goes_on(host, spool, receiver)


def test_a_token_that_was_exchanged(host: RealSinkHost, spool: HostSpool, receiver: Receiver, tmp_path: Path) -> None:
    """The file is read again, without a restart; one that is gone or no text is named, not shown."""
    token = tmp_path / "token"
    receiver.answer = ECHO
    spool.append(1)
    assert_waiting(host, "paused", 1, "credentials")
    token.unlink()
    host.run_until(lambda: "cannot be read" in host.problem, "the missing file")
    assert str(token) in host.problem
    token.write_text(f"{SECRET}\n{SECRET}\n")
    host.run_until(lambda: "several lines" in host.problem, "the two lines")
    assert SECRET not in said(host)
    token.write_text("another")
    receiver.answer = OK
    assert_goes_on(host, spool, receiver)
    assert receiver.requests[-1].header("Authorization") == "Bearer another"


@pytest.mark.parametrize("answer", [status(400), status(422)])
@pytest.mark.runbook("Exports")
def test_what_is_refused_for_good(host: RealSinkHost, spool: HostSpool, receiver: Receiver, answer: Answer) -> None:
    """It is counted with its reason and told once, and keeps nothing else."""
    receiver.answer = answer
    spool.append(2)
    host.wait_settled(5)
    assert host.ledger["rejected_by_reason"] == {f"http_{answer.status}": 2}
    assert "rejected_by_sink" in [note.kind for note in host.bus.notes]
    receiver.answer = OK
    spool.append(1)
    host.wait_settled(6)
    assert receiver.has(stamp_of(6))
    assert (host.ledger["delivered"], host.ledger["rejected"]) == (4, 2)


def test_a_body_of_one_byte_too_much(host: RealSinkHost, spool: HostSpool, receiver: Receiver) -> None:
    """It is divided, and all of it arrives; a row that is too large by itself is counted."""
    spool.append(8)
    # An exporter that begins has them all in one delivery.
    receiver.answer = Answer(503)
    before = len(receiver.sizes)
    host.start()
    assert_waiting(host, "down", 8, "503")
    receiver.content_bytes_max = max(receiver.sizes[before:]) - 1
    receiver.answer = OK
    host.wait_settled(11)
    assert receiver.missing(11) == []
    assert host.ledger["rejected"] == 0
    receiver.content_bytes_max = 1
    spool.append(2)
    host.wait_settled(13)
    assert host.ledger["rejected_by_reason"] == {"too_large": 2}
    assert host.ledger["delivered"] == 11


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("fault", "words"),
    [
        pytest.param("expired", ("has expired", "this host's clock"), id="expired"),
        pytest.param("name", ("is of another name than localhost", "server_name"), id="other-name"),
        pytest.param("authority", ("signed by nobody", "ca_file"), id="unknown-authority"),
        pytest.param("client", ("does not take our certificate", "cert_file"), id="wants-a-certificate"),
    ],
)
@pytest.mark.runbook("Exports")
def test_a_certificate(spool: HostSpool, tmp_path: Path, kind: str, fault: str, words: tuple[str, ...]) -> None:
    """The sink pauses, and goes on once the certificate is another."""
    authority, stranger = Authority(tmp_path / "known"), Authority(tmp_path / "stranger")
    good = SinkTls(authority.server("localhost"))
    bad = {
        "expired": SinkTls(authority.server("localhost", expired=True)),
        "name": SinkTls(authority.server("elsewhere.example")),
        "authority": SinkTls(stranger.server("localhost")),
        "client": SinkTls(authority.server("localhost"), stranger.certificate),
    }[fault]
    with Receiver(bad) as receiver:
        host = over_http(
            spool.state,
            kind,
            f"https://localhost:{receiver.port}",
            ca_file=str(authority.certificate),
            connect_timeout=S,
            timeout=S,
        )
        spool.append(2)
        assert_waiting(host, "paused", 2, *words)
        receiver.stop()
        receiver.prove(good)
        receiver.start()
        assert_goes_on(host, spool, receiver)
        host.kill()


def test_time_that_goes_backwards(host: RealSinkHost, spool: HostSpool, receiver: Receiver) -> None:
    """What is measured then arrives with its own time, and waits are not longer for it."""
    back_ns = 24 * HOUR
    host.clock.set_wall_ns(host.clock.wall_ns() - back_ns)
    spool.append(2, stamp_wall_ns=stamp_of(0) - back_ns)
    host.wait_settled(5)
    assert receiver.has(stamp_of(4) - back_ns)
    assert receiver.has(stamp_of(5) - back_ns)
    receiver.answer = Answer(503)
    spool.append(1)
    assert_waiting(host, "down", 1, "503")
    host.clock.set_wall_ns(host.clock.wall_ns() + 2 * back_ns)
    receiver.answer = OK
    host.wait_settled(6)
    assert receiver.has(stamp_of(6))


def test_a_sink_that_is_taken_out_and_added_again(host: RealSinkHost, spool: HostSpool, receiver: Receiver) -> None:
    """Under the same name and address it goes on where it was; what is not kept any more is told."""
    host.kill()
    spool.append(2)
    host.start()
    host.wait_settled(5)
    assert receiver.missing(5) == []
    host.kill()
    gone = spool.segment
    spool.append(2)
    for _ in range(3):
        spool.rotate()
    spool.append(1)
    spool.remove(gone, Keeping({"central": spool.generation}))
    host.start()
    host.run_until(lambda: receiver.has(stamp_of(8)) and host.is_settled, "the row that is left")
    assert [row["reason"] for row in host.outbox.records(EXPORT_GAP)] == ["not_configured"]
    assert host.ledger["delivered"] == 6


def test_a_segment_that_was_removed(host: RealSinkHost, spool: HostSpool, receiver: Receiver) -> None:
    """While the sink was away: counted, an event and a row; what is left arrives."""
    receiver.answer = Answer(503)
    gone = spool.segment
    spool.append(2)
    assert_waiting(host, "down", 2, "503")
    spool.rotate()
    spool.append(1)
    spool.remove(gone, Keeping({"central": 1}, (PrunedSegment(gone, {"host": 5}, 99, 1, 2, "sink_quota"),)))
    receiver.answer = OK
    host.wait_settled(6)
    assert (host.ledger["delivered"], host.ledger["pruned"]) == (4, 2)
    assert [(row["rows"], row["reason"]) for row in host.outbox.records(EXPORT_GAP)] == [(2, "sink_quota")]
    assert receiver.has(stamp_of(6))


def test_a_segment_that_somebody_took_away(host: RealSinkHost, spool: HostSpool, receiver: Receiver) -> None:
    """Nobody wrote down what it held: what was counted of it is lost and told, and the rest arrives."""
    receiver.answer = Answer(503)
    gone = spool.path
    spool.append(2)
    assert_waiting(host, "down", 2, "503")
    host.kill()
    spool.rotate()
    spool.append(1)
    gone.unlink()
    receiver.answer = OK
    host.start()
    host.run_until(lambda: receiver.has(stamp_of(6)) and host.is_settled, "the row that is left")
    ledger = host.ledger
    assert ledger["produced"] == ledger["delivered"] + ledger["pruned"]
    assert ledger["delivered"] == 4


@pytest.mark.parametrize("damage", ["cut", "noise", "empty"])
def test_a_cursor_that_is_damaged(host: RealSinkHost, spool: HostSpool, receiver: Receiver, damage: str) -> None:
    """It is told and set aside; what the spool still has comes again, and nothing is left out."""
    host.kill()
    cursor = spool.state / "sinks" / "central" / "cursor"
    cursor.write_bytes({"cut": cursor.read_bytes()[:20], "noise": b"\xa5" * 4096, "empty": b""}[damage])
    receiver.taken.clear()
    spool.append(1)
    host.start()
    host.wait_settled(4)
    assert receiver.missing(4) == []
    assert ("cursor_damaged" in [note.kind for note in host.bus.notes]) == (damage != "empty")


def test_a_cursor_of_another_machine(host: RealSinkHost, spool: HostSpool, receiver: Receiver) -> None:
    """It says nothing about the rows of this one."""
    host.kill()
    receiver.taken.clear()
    (spool.state / "install-id").write_text("fedcba9876543210\n")
    spool.path.unlink()
    spool.install = "fedcba9876543210"
    spool.seq = spool.rows = spool.generation = 0
    spool.rotate()
    spool.append(2)
    host.start()
    host.wait_settled(2)
    assert receiver.missing(2) == []
    assert "cursor_set_aside" in [note.kind for note in host.bus.notes]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.runbook("Exports")
def test_a_full_disk_of_the_agent(tmp_path: Path, receiver: Receiver, kind: str) -> None:
    """Without room for the cursor nothing more is sent, which is told; then it goes on."""
    with mounted(tmp_path / "small", "8m") as state:
        spool = HostSpool(state)
        host = over_http(state, kind, receiver.url)
        host.run_until(lambda: "ledger" in host.stats, "its begin")
        filler = state / "filler"
        fill(filler)
        # The spool still grows within its last page.
        spool.append(1)
        host.run_until(lambda: "sink_storage" in [each.kind for each in host.bus.conditions], "the condition")
        assert "No space left" in next(each.detail for each in host.bus.conditions if each.kind == "sink_storage")
        filler.unlink()
        spool.append(1)
        host.wait_settled(2)
        host.run_until(lambda: not host.bus.conditions[-1].active, "the end of the condition")
        assert receiver.missing(2) == []
        assert host.ledger["delivered"] == 2
        host.kill()
