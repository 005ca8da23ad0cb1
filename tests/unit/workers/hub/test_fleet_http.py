"""What the hub answers over HTTP, and what it makes of bad questions: none of them ends its loop."""

import json
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from fakes.asked_fleet import AskedFleet
from fakes.gateway_host import Client, Received

from agent.model.timebase import S
from workers.hub import fleet_http
from workers.hub.listing import PARTS_PER_TURN

HELD = "index=999999999&wait=2s"


@pytest.fixture
def asked() -> Iterator[AskedFleet]:
    """A fleet that is asked."""
    made = AskedFleet()
    yield made
    made.close()


@pytest.mark.parametrize(
    "bad",
    [
        "order=nonsense",
        "state=nonsense",
        "limit=0",
        "limit=many",
        "limit=" + "9" * 4400,
        "min_free_vram=much",
        "max_age=soon",
        "max_age=nan",
        f"model={'m' * 5000}",
    ],
)
@pytest.mark.parametrize("held", ["", HELD])
def test_a_bad_question_is_refused_at_once(asked: AskedFleet, bad: str, held: str) -> None:
    """Held or not: the client hears so, and the loop goes on."""
    answer = asked.ask(f"GET /v1/workers?{held}&{bad}")
    assert (answer.status, "sentence" in json.loads(answer.body)["error"]) == (400, True)
    assert asked.ask("GET /v1/workers").status == 200


@pytest.mark.parametrize(
    "bad", ["index=-1", "index=x", "index=" + "9" * 19, "index=1&wait=soon", "index=1&wait=nan", "index=1&wait=-1s"]
)
def test_a_bad_wait_is_refused(asked: AskedFleet, bad: str) -> None:
    """The index is a whole number, the wait a span."""
    assert asked.ask(f"GET /v1/nodes?{bad}").status == 400


def test_a_held_question_is_answered_when_its_time_is_over(asked: AskedFleet) -> None:
    """With what is so then."""
    client = asked.send(f"GET /v1/workers?{HELD}")
    for _ in range(20):
        asked.turn(0.001)
    assert not client.received
    asked.fleet.pass_seconds(3)
    asked.turn_until(client.receive)
    assert client.response().status == 200


def test_a_held_question_is_answered_when_the_index_grows(asked: AskedFleet) -> None:
    """Within the turn."""
    index = asked.fleet.story.registry.index
    client = asked.send(f"GET /v1/nodes?index={index}&wait=60s")
    for _ in range(20):
        asked.turn(0.001)
    assert not client.received
    asked.fleet.begin(4, units=1)
    asked.turn_until(client.receive)
    assert json.loads(client.response().body)["index"] > index


@pytest.mark.parametrize(
    "body",
    [
        "[]",
        "{",
        '{"vram": -1}',
        '{"vram": 1.5}',
        '{"vram": true}',
        '{"ttl": 5}',
        '{"ttl": "0s"}',
        '{"ttl": "2h"}',
        '{"order": ["load"]}',
        '{"min_free_vram": []}',
        '{"model": {}}',
        '{"state": null}',
    ],
)
def test_a_bad_reservation_is_refused(asked: AskedFleet, body: str) -> None:
    """And holds nothing."""
    answer = asked.ask("POST /v1/reservations", body)
    assert (answer.status, "sentence" in json.loads(answer.body)["error"]) == (400, True)
    workers = json.loads(asked.ask("GET /v1/workers").body)["workers"]
    assert workers
    assert {row["reserved"] for row in workers} == {0}


def test_a_reservation_holds_a_worker_until_it_ends(asked: AskedFleet) -> None:
    """It has a name, by which it is ended once."""
    answer = asked.ask("POST /v1/reservations", '{"ttl": "30s"}')
    assert answer.status == 201
    name = json.loads(answer.body)["reservation"]
    assert sum(row["reserved"] for row in json.loads(asked.ask("GET /v1/workers").body)["workers"]) == 1
    assert [asked.ask(f"DELETE /v1/reservations/{name}").status for _ in range(2)] == [200, 404]


@pytest.mark.parametrize("path", ["/v1/nodes", "/v1/workers", "/v1/heat"])
def test_what_is_read_is_not_written(asked: AskedFleet, path: str) -> None:
    """Another method is refused by name."""
    assert asked.ask(f"POST {path}").status == 405


@pytest.mark.parametrize("bad", ["metric=speed", "limit=0", "limit=2001", "limit=x"])
def test_a_bad_heat_map_is_refused(asked: AskedFleet, bad: str) -> None:
    """Its metric and its rows are bounded."""
    assert asked.ask(f"GET /v1/heat?{bad}").status == 400


def test_a_wait_ends_with_the_bound(asked: AskedFleet) -> None:
    """However long a client wants to wait, it hears within a minute."""
    client = asked.send("GET /v1/nodes?index=999999999&wait=100000s")
    for _ in range(20):
        asked.turn(0.001)
    assert not client.received
    asked.fleet.clock.advance(61 * S)
    asked.turn_until(client.receive)
    assert client.response().status == 200


@pytest.fixture
def crowded() -> Iterator[AskedFleet]:
    """A fleet whose documents take several turns of the loop."""
    made = AskedFleet(1 + 4 * PARTS_PER_TURN // 10, units=10)
    yield made
    made.close()


def _rows(answer: Received, name: str) -> list[dict[str, Any]]:
    assert answer.status == 200
    found: list[dict[str, Any]] = json.loads(answer.body)[name]
    return found


@pytest.mark.parametrize(("path", "name"), [("/v1/units?limit=1000", "units"), ("/v1/workers?limit=1000", "workers")])
def test_a_long_answer_takes_turns_with_short_ones(crowded: AskedFleet, path: str, name: str) -> None:
    """Who asks for a few rows does not wait until all rows of another are made; both have theirs."""
    long = crowded.send(f"GET {path}")
    crowded.turn_until(lambda: crowded.fleet.http.next_deadline_ns() == 0)
    short = crowded.ask(f"GET {path.partition('?')[0]}?limit=2")
    assert (len(_rows(short, name)), bool(long.received)) == (2, False)
    crowded.turn_until(long.receive)
    rows = _rows(long.response(), name)
    assert len(rows) == json.loads(long.response().body)["found"] > 3 * PARTS_PER_TURN
    assert _rows(short, name) == rows[:2]


def test_a_long_answer_leaves_out_what_has_ended_meanwhile(crowded: AskedFleet) -> None:
    """A node that is removed while its rows are made takes them with it, and who waits behind them has an answer."""
    long, other = crowded.send("GET /v1/units?limit=1000"), crowded.send("GET /v1/nodes")
    crowded.turn_until(lambda: crowded.fleet.http.next_deadline_ns() == 0)
    gone = sorted(crowded.fleet.story.registry.nodes)[:5]
    for install in gone:
        crowded.fleet.carry_out(crowded.fleet.story.registry.remove(install))
    crowded.turn_until(long.receive)
    document = json.loads(long.response().body)
    # The first of them were made before.
    assert not {row["node"] for row in document["units"][PARTS_PER_TURN:]} & set(gone)
    assert len(document["units"]) < document["found"]
    crowded.turn_until(other.receive)
    assert other.response().status == 200


def test_the_rows_of_a_long_answer_are_as_of_when_they_are_made(crowded: AskedFleet) -> None:
    """A node that has told something while the rows before were made is as old as that, and never younger than nothing."""
    long = crowded.send("GET /v1/units?limit=1000")
    crowded.turn_until(lambda: crowded.fleet.http.next_deadline_ns() == 0)
    made = list(crowded.fleet.story.registry.nodes.values())
    crowded.fleet.clock.advance(5 * S)
    for node in made:
        node.as_of_ns = None if node.as_of_ns is None else crowded.fleet.clock.now_ns()
    crowded.turn_until(long.receive)
    ages = [row["age_seconds"] for row in _rows(long.response(), "units")]
    assert min(ages) >= 0
    # The turn in which it came made two parts of it.
    assert set(ages[2 * PARTS_PER_TURN :]) == {0.0}


def test_who_leaves_before_a_long_answer_is_made_holds_nobody(crowded: AskedFleet) -> None:
    """The next one has its turn."""
    left, other = crowded.send("GET /v1/units?limit=1000"), crowded.send("GET /v1/units?limit=999")
    crowded.turn_until(lambda: crowded.fleet.http.next_deadline_ns() == 0)
    left.socket.close()
    crowded.turn_until(other.receive)
    assert len(_rows(other.response(), "units")) > 3 * PARTS_PER_TURN
    assert crowded.fleet.http.next_deadline_ns() > 0


def _has_begun(stream: Client) -> bool:
    return stream.receive() or b"200 OK" in stream.received


def test_a_whole_picture_is_not_sent_of_too_many_nodes(asked: AskedFleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asks for it hears how to do without; who does without has the stream."""
    monkeypatch.setattr(fleet_http, "WHOLE_NODES_MAX", 2)
    for topics in ("", "?topics=nodes,unit"):
        answer = asked.ask(f"GET /v1/stream{topics}")
        assert (answer.status, "`later`" in json.loads(answer.body)["error"]["sentence"]) == (400, True)
    for topics in ("?topics=unit", "?topics=nodes,later"):
        client = asked.send(f"GET /v1/stream{topics}")
        asked.turn_until(partial(_has_begun, client))
