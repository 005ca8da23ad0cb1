"""What the hub answers over HTTP, and what it makes of bad questions: none of them ends its loop."""

import json
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from fakes.gateway_host import Client, Received
from fakes.shown_fleet import ShownFleet
from fakes.turned_host import TurnedHost

from agent.model.timebase import S

HELD = "index=999999999&wait=2s"


class AskedFleet(TurnedHost):
    """A small fleet and its HTTP; the test turns the loop."""

    def __init__(self) -> None:
        self.fleet = ShownFleet(4, units=3)
        self.fleet.http.on_timer(self.fleet.clock.now_ns())
        self._clients: list[Client] = []

    def turn(self, wait_seconds: float = 0.0) -> None:
        """One turn of the worker's loop."""
        self.fleet.turn(wait_seconds)

    def send(self, request: str, body: str = "") -> Client:
        """A client whose request is on its way."""
        address = urlsplit(self.fleet.url)
        client = Client((address.hostname or "", address.port or 0))
        self._clients.append(client)
        head = f"{request} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
        client.send((head + body).encode())
        return client

    def ask(self, request: str, body: str = "") -> Received:
        """The answer to a request."""
        client = self.send(request, body)
        self.turn_until(client.receive)
        return client.response()

    def close(self) -> None:
        """End the server and every client."""
        self.fleet.http.close()
        for client in self._clients:
            client.socket.close()


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
