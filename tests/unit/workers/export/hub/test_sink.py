"""The sink of a hub over a scripted one: rows once each and in their order, whatever becomes of answers and of the hub."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest
import zmq
from fakes.scripted_hub import (
    Act,
    Asked,
    ScriptedHub,
    behind,
    deaf,
    doubled,
    forgetful,
    honest,
    late,
    lost,
    saying,
    scripted_hub,
)
from fakes.sink_context import sink_context
from fakes.stored_batch import stored, stored_bytes
from harness.waiting import wait_until

from agent.fleet.message import (
    ANSWER_BYTES_MAX,
    BATCHES_MAX,
    Denied,
    Greet,
    Hold,
    Taken,
    WantForms,
    WantWhole,
    Welcome,
    encode_answer,
)
from agent.model.fleet_tables import HOST_MINUTE, UNIT_MINUTE
from agent.model.tables import DIAG, GAP
from agent.model.timebase import MINUTE, MS, S
from agent.store.batch import StoredBatch
from agent.store.origin_form import decode_form
from agent.store.record import TableForm, form_of
from workers.export.hub.parcel import RowsParcel
from workers.export.hub.sink import TRIES, HubSink
from workers.export.sink import Delivered, Later, Paused, Verdict
from workers.fleet.hub_contact import SENTENCE_CHARACTERS_MAX
from workers.host.schema import HOST
from workers.unit.schema import UNIT

NODE, RUN = "00112233445566aa", "aabbccddeeff0011"
TABLES = ("diag", "gap", "unit_minute")
BEGIN = 1_700_000_040 * S
# An answer that comes at all has come by then; one that does not costs a test so much time.
PATIENT_NS, HASTY_NS = 20 * S, 1 * S


def opened(key_file: Path, *, answer_ns: int = PATIENT_NS, tables: tuple[str, ...] = TABLES) -> HubSink:
    """A sink of the hub whose file that is."""
    context = sink_context("hub", {"key_file": str(key_file), "answer_timeout": answer_ns}, tables=tables)
    return HubSink(msgspec.structs.replace(context, install=NODE, run=RUN))


@contextmanager
def story(folder: Path, *acts: Act, answer_ns: int = PATIENT_NS) -> Iterator[tuple[ScriptedHub, HubSink]]:
    """A hub and the sink of a node that has joined it."""
    with scripted_hub(*acts) as hub:
        sink = opened(hub.key_file(folder), answer_ns=answer_ns)
        try:
            yield hub, sink
        finally:
            sink.close()


def diag(seq: int) -> StoredBatch:
    """One event."""
    row: dict[str, Any] = {
        "timestamp": BEGIN + seq,
        "run": RUN,
        "seq": seq,
        "kind": "k",
        "module": "m",
        "severity": "info",
        "detail": f"event {seq}",
    }
    return stored(DIAG, [row], seq=seq, worker="supervisor")


def gap(seq: int) -> StoredBatch:
    """One row of another sender."""
    return stored(GAP, [{"timestamp": BEGIN + seq, "worker": "w", "rows": seq, "reason": "x"}], seq=seq, worker="writer")


def unit(second: int, **values: Any) -> StoredBatch:
    """One row of one unit; of these only minutes are sent."""
    head: dict[str, Any] = {"timestamp": BEGIN + second * S, "unit": "/a", "kind": "service", "cgroup": "/a", "elapsed_ns": S}
    return stored(UNIT, [head | {"is_final": False, "cpu_ns": S // 2} | values], seq=second + 1, worker="sampler/unit")


def host(second: int) -> StoredBatch:
    """One row of the host."""
    row: dict[str, Any] = {"timestamp": BEGIN + second * S, "elapsed_ns": S, "cpu_ns": S}
    return stored(HOST, [row], seq=second + 1, worker="sampler/host")


def taken(sink: HubSink, *batches: StoredBatch) -> RowsParcel:
    """What travels of some batches."""
    parcel = sink.take(batches)
    assert isinstance(parcel, RowsParcel)
    return parcel


def until_delivered(sink: HubSink, parcel: RowsParcel) -> Verdict:
    """The first verdict that is not to come again later."""
    while isinstance(verdict := sink.deliver(parcel), Later):
        pass
    return verdict


def events(hub: ScriptedHub) -> list[int]:
    """The numbers of the events that the hub has."""
    place = DIAG.column_names.index("seq")
    found = []
    for row in hub.rows("diag"):
        number = row[place]
        assert isinstance(number, int)
        found.append(number)
    return found


# ---- what a hub gets ----


def test_rows_travel_as_they_are_stored_behind_a_hello(tmp_path: Path) -> None:
    """In the order of the spool, with the numbers of their senders, and with the name of the run; the sink says who it is once."""
    with story(tmp_path) as (hub, sink):
        first, second = [diag(1), gap(1), diag(2)], [gap(2), diag(3)]
        for batches in (first, second):
            assert sink.deliver(taken(sink, *batches)) == Delivered()
        assert [batch.encoded for batch in hub.stored] == [batch.rows for batch in (*first, *second)]
        assert hub.numbers == [("supervisor", 1), ("writer", 1), ("supervisor", 2), ("writer", 2), ("supervisor", 3)]
        (hello,) = hub.hellos
        assert (hello.purpose, hello.install, hello.run, hello.host) == ("rows", NODE, RUN, "node-1")
        one, two = hub.deliveries
        assert two.number > one.number
        # Columns travel once on a connection.
        assert sorted(form.names for form in one.forms.values()) == sorted([DIAG.column_names, GAP.column_names])
        assert two.forms == {}
        stamp = diag(1).entry.stamp_wall_ns
        assert {(batch.stamp_wall_ns, batch.rows) for batch in (*one.batches, *two.batches)} == {(stamp, 1)}


def test_of_a_context_table_only_minutes_travel(tmp_path: Path) -> None:
    """Under the sampler's name with a suffix and the number of the batch that completed the minute."""
    with story(tmp_path) as (hub, sink):
        assert sink.take([unit(0), unit(1)]) is None
        assert sink.take([]) is None
        parcel = taken(sink, unit(2), diag(1), unit(60), diag(2))
        assert (parcel.points, parcel.size_bytes) == (3, sum(map(len, parcel.rows)))
        assert sink.deliver(parcel) == Delivered()
        assert hub.numbers == [("supervisor", 1), ("sampler/unit/minutes", 61), ("supervisor", 2)]
        assert [row[:2] for row in hub.rows("unit_minute")] == [(BEGIN, "/a")]
        assert hub.rows("unit") == []


def test_minutes_of_an_outage_travel_together(tmp_path: Path) -> None:
    """Each once and in its order, those of units and of the host side by side, each with the columns of its table."""
    with scripted_hub() as hub:
        sink = opened(hub.key_file(tmp_path), tables=("unit_minute", "host_minute"))
        batches = [batch for minute in range(9) for batch in (unit(60 * minute), host(60 * minute))]
        assert sink.deliver(taken(sink, *batches)) == Delivered()
        for table in (UNIT_MINUTE, HOST_MINUTE):
            assert [row[0] for row in hub.rows(table.name)] == [BEGIN + minute * MINUTE for minute in range(8)]
            forms = {decode_form(batch.origin.form) for batch in hub.stored if batch.table == table.name}
            assert forms == {form_of(table)}
        sink.close()


def test_a_table_that_is_asked_for_travels_beside_its_minutes(tmp_path: Path) -> None:
    """And without minutes being asked for, there are none to keep."""
    with scripted_hub() as hub:
        sink = opened(hub.key_file(tmp_path), tables=("unit", "unit_minute"))
        assert sink.deliver(taken(sink, unit(0), diag(1), unit(60))) == Delivered()
        assert hub.numbers == [("sampler/unit", 1), ("sampler/unit", 61), ("sampler/unit/minutes", 61)]
        sink.close()
        sink = opened(hub.key_file(tmp_path), tables=("unit",))
        assert taken(sink, unit(120), unit(180)).points == 2
        assert sink.snapshot() == b""


def unreadable(second: int) -> StoredBatch:
    """Rows of units by a version to come."""
    form = TableForm(99, ("timestamp", "unit", "shape"), ("int64", "utf8", "tensor"), "unit-")
    return stored_bytes("unit", form, msgspec.msgpack.encode([[BEGIN, "/a", 1]]), 1, seq=second + 1, worker="sampler/unit")


def test_rows_that_no_minutes_can_be_made_of_cost_no_others(tmp_path: Path) -> None:
    """Such as those behind a version that was taken back: what is sent as it is goes out, and the minutes have all other rows."""
    sentence = "no minutes are made of rows of table unit: "
    with story(tmp_path) as (hub, sink):
        verdict = sink.deliver(taken(sink, diag(1), unit(0), unreadable(1), unit(2), diag(2), unit(60)))
        assert isinstance(verdict, Delivered)
        assert (verdict.refused_rows, verdict.reason, verdict.sentence.startswith(sentence)) == (0, "", True)
        assert events(hub) == [1, 2]
        assert [(row[5], row[8]) for row in hub.rows("unit_minute")] == [(2, False)]
        assert sink.left_out() == {"rows": 1}
        # Alone they are told, and nothing travels.
        before = len(hub.asked)
        parcel = taken(sink, unreadable(61))
        assert (parcel.points, parcel.size_bytes) == (0, 0)
        verdict = sink.deliver(parcel)
        assert isinstance(verdict, Delivered)
        assert verdict.sentence.startswith(sentence)
        assert len(hub.asked) == before


def test_rows_that_no_minutes_can_be_made_of_are_passed_by_at_a_restart(tmp_path: Path) -> None:
    """However batches are grouped, the minutes have the rows behind them too."""
    first, again = opened(tmp_path), opened(tmp_path)
    batches = [unit(0), unreadable(1), unit(2), unit(3)]
    assert taken(first, *batches[:2]).problem
    assert first.take(batches[2:]) is None
    again.skip(batches)
    assert again.snapshot() == first.snapshot()
    assert frames(again, [unit(60)]) == frames(first, [unit(60)])


# ---- whatever becomes of answers ----

NOISE = [
    Taken(10**9), Taken(0), Hold(1000, 10**9), WantForms(10**9), WantWhole(), Welcome("other", "run-9", 1000, 0),
]  # fmt: skip


@pytest.mark.parametrize("noise", NOISE, ids=lambda answer: type(answer).__name__)
def test_an_answer_to_what_was_never_asked_is_none(tmp_path: Path, noise: Any) -> None:
    """Neither in front of the answer to a hello nor in front of that to a delivery; the true one counts."""
    act = behind(noise)
    # In front of a Welcome a Hold is one for the hello, and so is another Welcome.
    greeting = honest if isinstance(noise, Hold | Welcome) else act
    with story(tmp_path, greeting, act, act) as (hub, sink):
        for number in (1, 2):
            assert sink.deliver(taken(sink, diag(number))) == Delivered()
            assert events(hub) == list(range(1, number + 1))
        assert len(hub.asked) == 3


def test_an_answer_of_several_parts_is_passed_over(tmp_path: Path) -> None:
    """No hub sends one."""
    with story(tmp_path, honest, behind((b"one", b"two"))) as (hub, sink):
        assert sink.deliver(taken(sink, diag(1))) == Delivered()
        assert len(hub.asked) == 2


def test_doubled_answers_are_one(tmp_path: Path) -> None:
    """Also where the second one comes in front of the answer to what is said next."""
    with story(tmp_path, *[doubled] * 5) as (hub, sink):
        for number in range(1, 5):
            assert sink.deliver(taken(sink, diag(number))) == Delivered()
        assert events(hub) == [1, 2, 3, 4]
        assert len(hub.asked) == 5


@pytest.mark.parametrize("act", [lost, deaf, late], ids=["lost", "deaf", "late"])
def test_a_delivery_without_an_answer_comes_again_byte_for_byte(tmp_path: Path, act: Act) -> None:
    """Under another number on another connection, so that an answer that comes late is none to it; the rows are there once."""
    with story(tmp_path, honest, act, answer_ns=HASTY_NS) as (hub, sink):
        parcel = taken(sink, diag(1), gap(1))
        assert sink.deliver(parcel) == Later("the hub does not answer")
        assert until_delivered(sink, parcel) == Delivered()
        assert hub.numbers == [("supervisor", 1), ("writer", 1)]
        deliveries = [asked for asked in hub.asked if asked.head is not None]
        assert deliveries[0].frames[1:] == deliveries[-1].frames[1:]
        assert deliveries[0].head is not None
        assert deliveries[-1].head is not None
        assert deliveries[0].head.batches == deliveries[-1].head.batches
        assert deliveries[0].number != deliveries[-1].number
        assert deliveries[0].connection != deliveries[-1].connection


@pytest.mark.parametrize(
    ("garbage", "answer_ns"),
    [
        (b"", PATIENT_NS),
        (b"\xc1", PATIENT_NS),
        (b"\xff" * 100, PATIENT_NS),
        # A map without the number that the delivery has.
        (b"\x81\xa4type\xa5taken", PATIENT_NS),
        # The connection ends with it.
        (bytes(ANSWER_BYTES_MAX + 1), HASTY_NS),
    ],
    ids=["nothing", "no msgpack", "numbers", "cut", "too large"],
)
@pytest.mark.parametrize("frames_before", [0, 1], ids=["hello", "delivery"])
def test_garbage_is_no_answer(tmp_path: Path, garbage: bytes, answer_ns: int, frames_before: int) -> None:
    """Not to a hello and not to a delivery: another connection is made, and nothing is lost."""
    with story(tmp_path, *[honest] * frames_before, saying(garbage), answer_ns=answer_ns) as (hub, sink):
        parcel = taken(sink, diag(1))
        assert sink.deliver(parcel) == Later("the hub does not answer")
        assert events(hub) == []
        assert until_delivered(sink, parcel) == Delivered()
        assert events(hub) == [1]
        assert len({asked.connection for asked in hub.asked}) == 2


def test_nothing_is_believed_behind_garbage(tmp_path: Path) -> None:
    """The connection is given up before what follows on it is read; the rows, which are stored, come again and are there once."""
    with story(tmp_path, honest, behind(b"nonsense")) as (hub, sink):
        parcel = taken(sink, diag(1))
        assert sink.deliver(parcel) == Later("the hub does not answer")
        assert sink.deliver(parcel) == Delivered()
        assert (len(hub.deliveries), events(hub)) == (2, [1])


@pytest.mark.parametrize(
    ("frames_before", "act", "verdict"),
    [
        (0, saying(Hold(700)), Later("the hub greets others first", 700 * MS)),
        (1, saying(Hold(700, 1)), Later("the hub takes no more rows at this moment", 700 * MS)),
        (0, saying(Denied("unknown_node", "join again")), Paused("join again")),
        (1, saying(Denied("removed", "you were taken out")), Paused("you were taken out")),
        (0, saying(Denied("unknown_node", "")), Paused("unknown_node")),
        (1, saying(Denied("removed", "")), Paused("removed")),
    ],
)
def test_a_hub_that_refuses_or_holds_gets_the_same_when_it_takes_it(
    tmp_path: Path, frames_before: int, act: Act, verdict: Verdict
) -> None:
    """Its own word when and why; a node that was refused says hello again."""
    with story(tmp_path, *[honest] * frames_before, act) as (hub, sink):
        parcel = taken(sink, diag(1))
        assert sink.deliver(parcel) == verdict
        assert events(hub) == []
        assert sink.deliver(parcel) == Delivered()
        assert events(hub) == [1]
        is_held = frames_before == 1 and isinstance(verdict, Later)
        assert len(hub.hellos) == (1 if is_held else 2)


@pytest.mark.parametrize("answer", [Greet(), "forms"], ids=["greet", "forms"])
def test_a_hub_that_asks_for_the_same_without_end_is_put_off(tmp_path: Path, answer: Greet | str) -> None:
    """After four times, with the rows kept."""
    acts: list[Act] = []
    for number in range(1, TRIES + 1):
        if answer == "forms":
            acts += [honest, saying(WantForms(number))] if number == 1 else [saying(WantForms(number))]
        else:
            acts += [honest, saying(Greet())]
    with story(tmp_path, *acts) as (hub, sink):
        parcel = taken(sink, diag(1))
        assert sink.deliver(parcel) == Later("the hub asks for the same again and again")
        assert (len(hub.deliveries), events(hub)) == (TRIES, [])
        # Whatever it knew or not, it gets all columns each time.
        assert all(len(head.forms) == 1 for head in hub.deliveries)
        assert sink.deliver(parcel) == Delivered()
        assert events(hub) == [1]


def test_a_hub_that_has_forgotten_columns_gets_them_again(tmp_path: Path) -> None:
    """All that it asks for in one more delivery; those behind it have none."""
    with story(tmp_path) as (hub, sink):
        assert sink.deliver(taken(sink, diag(1), gap(1))) == Delivered()
        hub.acts.append(saying(WantForms(2)))
        assert sink.deliver(taken(sink, diag(2), gap(2))) == Delivered()
        assert sink.deliver(taken(sink, diag(3))) == Delivered()
        assert [len(head.forms) for head in hub.deliveries] == [2, 0, 2, 0]
        assert events(hub) == [1, 2, 3]


def test_rows_that_a_hub_refuses_are_counted_with_its_reason(tmp_path: Path) -> None:
    """Its sentence alone is a warning."""
    acts = [honest, saying(Taken(1, 2, "a batch is too large")), saying(Taken(2, 0, "look at the disk"))]
    with story(tmp_path, *acts) as (_, sink):
        assert sink.deliver(taken(sink, diag(1), diag(2), diag(3))) == Delivered(2, "refused_by_hub", "a batch is too large")
        assert sink.deliver(taken(sink, diag(4))) == Delivered(0, "", "look at the disk")


def test_a_hub_that_says_more_than_is_true_is_not_believed(tmp_path: Path) -> None:
    """No more rows are refused than were sent, and what it says is one line of printable text."""
    acts = [
        honest, saying(Taken(1, (1 << 63) - 1, "no\n\x1b[2Jroom")), saying(Denied("c", "\x1b]0;x\x07" + 600 * "x")),
        saying(Denied("a\nb", "")),
    ]  # fmt: skip
    with story(tmp_path, *acts) as (_, sink):
        assert sink.deliver(taken(sink, diag(1), diag(2))) == Delivered(2, "refused_by_hub", "no\\n\\x1b[2Jroom")
        parcel = taken(sink, diag(3))
        for expected in ("\\x1b]0;x\\x07", "a\\nb"):
            verdict = sink.deliver(parcel)
            assert isinstance(verdict, Paused)
            assert verdict.sentence.startswith(expected)
            assert len(verdict.sentence) <= SENTENCE_CHARACTERS_MAX


def refusing(rows: int, sentence: str) -> Act:
    """It stores all, and says that it refuses so many rows."""

    def act(hub: ScriptedHub, asked: Asked) -> list[bytes]:
        hub.answers(asked)
        return [encode_answer(Taken(asked.number, rows, sentence))]

    return act


def test_many_batches_are_several_deliveries(tmp_path: Path) -> None:
    """A hub reads no delivery of more than 4096 batches. Where it puts one of them off all come again, and none is there twice."""
    count = 2 * BATCHES_MAX + 1
    with story(tmp_path, honest, refusing(3, "three"), honest, refusing(1, "")) as (hub, sink):
        parcel = taken(sink, *(diag(seq) for seq in range(1, count + 1)))
        assert sink.deliver(parcel) == Delivered(4, "refused_by_hub", "three")
        assert [len(head.batches) for head in hub.deliveries] == [BATCHES_MAX, BATCHES_MAX, 1]
        assert [len(head.forms) for head in hub.deliveries] == [1, 0, 0]
        assert events(hub) == list(range(1, count + 1))
    with story(tmp_path, honest, honest, saying(Hold(5, 2))) as (hub, sink):
        assert sink.deliver(parcel) == Later("the hub takes no more rows at this moment", 5 * MS)
        assert sink.deliver(parcel) == Delivered()
        assert [len(head.batches) for head in hub.deliveries] == [BATCHES_MAX] * 4 + [1]
        assert events(hub) == list(range(1, count + 1))


# ---- whatever becomes of the hub ----


def is_connected(sink: HubSink) -> bool:
    """Whether it could say something; a word that no hub knows."""
    assert sink._socket is not None
    return sink._socket.send(b"?")


def test_a_hub_that_was_restarted_gets_a_hello_and_all_columns_again(tmp_path: Path) -> None:
    """Another life of it, at the same address: on the same connection, where something between them has kept it."""
    with story(tmp_path) as (hub, sink):
        assert sink.deliver(taken(sink, diag(1))) == Delivered()
        hub.acts.append(forgetful)
        assert sink.deliver(taken(sink, diag(2))) == Delivered()
        assert sink.deliver(taken(sink, diag(3))) == Delivered()
        assert events(hub) == [1, 2, 3]
        assert len(hub.hellos) == 2
        assert [len(head.forms) for head in hub.deliveries] == [1, 0, 1, 0]


def test_nothing_is_dropped_while_the_hub_is_away(tmp_path: Path) -> None:
    """A connection that has ended is noticed at once; when the hub is back the same goes out, and what follows behind it."""
    with story(tmp_path) as (hub, sink):
        assert sink.deliver(taken(sink, diag(1))) == Delivered()
        hub.stop()
        wait_until(lambda: not is_connected(sink), "the connection has ended")
        parcel = taken(sink, diag(2))
        assert sink.deliver(parcel) == Later("there is no connection to the hub")
        hub.begin_again()
        hub.start()
        for each in (parcel, taken(sink, diag(3))):
            assert sink.deliver(each) == Delivered()
        assert events(hub) == [1, 2, 3]


def test_a_hub_that_cannot_be_reached_is_named(tmp_path: Path) -> None:
    """Five seconds are waited for a connection; there is nobody, or one that does not know this node's key."""
    with story(tmp_path) as (hub, sink):
        hub.stop()
        parcel = taken(sink, diag(1))
        assert sink.deliver(parcel) == Later("the hub cannot be reached, or does not know this node's key")
        hub.start()
        assert sink.deliver(parcel) == Delivered()
        assert events(hub) == [1]


@pytest.mark.parametrize("seed", range(4))
def test_rows_are_there_once_each_in_any_story(tmp_path: Path, seed: int) -> None:
    """Over answers that are lost, late, doubled, refusals and nonsense, and over restarts of both: what is acknowledged is stored,
    and at the end all of it in its order."""
    chance = Random(seed)
    moods: list[Act] = [
        honest, lost, deaf, late, doubled, forgetful, saying(b"nonsense"), saying(Greet()), saying(Hold(1)),
        saying(Denied("c", "")), saying(Taken(10**9)), behind(Taken(1)), behind(Greet()), behind(Denied("c", "")),
        behind(Hold(1)), behind(b"nonsense"),
    ]  # fmt: skip
    acts = [chance.choice(moods) for _ in range(30)]
    with scripted_hub(*acts) as hub:
        key_file = hub.key_file(tmp_path)
        sink = opened(key_file, answer_ns=100 * MS)
        # Of one minute after the other, and an event in between.
        chunks = [[diag(number), unit(30 * number), unit(30 * number + 29)] for number in range(1, 25)]
        snapshot, since = sink.snapshot(), 0
        for number, chunk in enumerate(chunks):
            parcel = taken(sink, *chunk)
            while not isinstance(sink.deliver(parcel), Delivered):
                if chance.random() < 0.2:
                    # The exporter is started again: its snapshot is older than what was delivered since.
                    sink.close()
                    sink = opened(key_file, answer_ns=100 * MS)
                    sink.restore(snapshot)
                    sink.skip([batch for earlier in chunks[since:number] for batch in earlier])
                    again = taken(sink, *chunk)
                    assert again.frames(1, frozenset()) == parcel.frames(1, frozenset())
                    parcel = again
            assert number + 1 in events(hub)
            if chance.random() < 0.2:
                snapshot, since = sink.snapshot(), number + 1
        sink.close()
        assert not hub.acts
        assert events(hub) == list(range(1, 25))
        # Seconds 30 to 749: the first minute has its second half, the last one is open.
        minutes = hub.rows("unit_minute")
        assert [row[0] for row in minutes] == [BEGIN + minute * MINUTE for minute in range(12)]
        assert [row[5] for row in minutes] == [2] + [4] * 11


# ---- what a node has ----


def test_without_keys_the_sink_pauses_until_they_are_there(tmp_path: Path) -> None:
    """A person has to join; it is looked at again with each attempt."""
    with scripted_hub() as hub:
        sink = opened(tmp_path / "hub.json")
        parcel = taken(sink, diag(1))
        for verdict in (sink.deliver(parcel), sink.probe()):
            assert isinstance(verdict, Paused)
            assert "agentctl join" in verdict.sentence
        hub.key_file(tmp_path).rename(tmp_path / "aside.json")
        (tmp_path / "hub.json").write_text("no keys")
        assert isinstance(sink.deliver(parcel), Paused)
        (tmp_path / "aside.json").rename(tmp_path / "hub.json")
        assert sink.deliver(parcel) == Delivered()
        sink.close()
        assert events(hub) == [1]


def test_a_socket_that_cannot_be_made_is_tried_again(tmp_path: Path) -> None:
    """No descriptor is left at this moment."""
    with story(tmp_path) as (hub, sink):
        sink._zmq = zmq.Context()
        sink._zmq.set(zmq.MAX_SOCKETS, 1)
        held = sink._zmq.socket(zmq.DEALER)
        parcel = taken(sink, diag(1))
        for verdict in (sink.deliver(parcel), sink.probe()):
            assert isinstance(verdict, Later)
            assert verdict.sentence.startswith("the connection cannot be made: ")
            assert "open files" in verdict.sentence
        held.close(linger=0)
        verdict = wait_until(lambda: isinstance(found := sink.deliver(parcel), Delivered) and found, "a socket is free")
        assert events(hub) == [1]


def test_a_probe_says_hello_and_sends_nothing(tmp_path: Path) -> None:
    """Its answer is that of the hub."""
    with story(tmp_path, honest, saying(Denied("unknown_node", "join again")), saying(Hold(5))) as (hub, sink):
        assert sink.probe() == Delivered()
        assert sink.probe() == Paused("join again")
        assert sink.probe() == Later("the hub greets others first", 5 * MS)
        assert (len(hub.hellos), hub.deliveries) == (3, [])


def test_a_sink_can_be_closed_at_any_time(tmp_path: Path) -> None:
    """Before it has connected, twice, and used again behind it."""
    with story(tmp_path) as (hub, sink):
        sink.close()
        assert sink.deliver(taken(sink, diag(1))) == Delivered()
        sink.close()
        sink.close()
        assert sink.deliver(taken(sink, diag(2))) == Delivered()
        assert events(hub) == [1, 2]


# ---- restarts of the exporter ----


def frames(sink: HubSink, batches: Sequence[StoredBatch]) -> list[tuple[bytes, ...] | None]:
    """What would be sent of each batch."""
    parcels = [sink.take([batch]) for batch in batches]
    return [parcel.frames(1, frozenset()) if isinstance(parcel, RowsParcel) else None for parcel in parcels]


def test_a_restart_sends_the_same_bytes(tmp_path: Path) -> None:
    """From a snapshot and the batches behind it, which are skipped; without one from the first batch."""
    batches = [unit(second) for second in (0, 30, 59, 60, 90, 119, 121, 180)]
    whole = opened(tmp_path)
    expected = frames(whole, batches)
    assert [each is None for each in expected] == [True, True, True, False, True, True, False, False]
    for kept in range(len(batches)):
        first = opened(tmp_path)
        first.skip(batches[:kept])
        for settled in range(kept, len(batches)):
            again = opened(tmp_path)
            again.restore(first.snapshot())
            again.skip(batches[kept:settled])
            assert frames(again, batches[settled:]) == expected[settled:]
    again = opened(tmp_path)
    again.restore(b"")
    assert frames(again, batches) == expected
