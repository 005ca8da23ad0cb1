"""What the hub says may be asked of it, held against what it serves."""

import json
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from fakes.asked_fleet import AskedFleet
from fakes.gateway_host import Client
from openapi_spec_validator import OpenAPIV31SpecValidator

from agent.model.control.document import Document
from agent.model.control.fleet import FleetNodeDetail, FleetUnitRow
from workers.http.openapi import Route, RouteParameter, openapi_document
from workers.hub.api import ROUTES, WAIT_SECONDS_MAX, described

DOCUMENT = openapi_document("hub", "1.0", "About.", described(ROUTES))
SCHEMAS = DOCUMENT["components"]["schemas"]
BY_NAME = {(route.method, route.path): route for route in ROUTES}
# What each document is asked for with.
ASKED = {
    "/v1/nodes": "/v1/nodes",
    "/v1/node": "/v1/node?node=gpu-001",
    "/v1/changes": "/v1/changes",
    "/v1/units": "/v1/units",
    "/v1/workers": "/v1/workers",
    "/v1/heat": "/v1/heat",
}
# What no parameter of that name can be; any text is a name of something.
BAD = {
    "index": "index=-1",
    "wait": "index=1&wait=soon",
    "limit": "limit=0",
    "metric": "metric=speed",
    "order": "order=best",
    "state": "state=bored",
    "min_free_vram": "min_free_vram=much",
    "max_age": "max_age=soon",
    "topics": "topics=" + ",".join(map(str, range(17))),
}


class Wheel(Document):
    """A part."""

    size: int


class Car(Document):
    """A whole."""

    wheels: list[Wheel]
    spare: Wheel | None
    by_place: dict[str, Wheel]
    owner: str | None


@pytest.fixture
def asked() -> Iterator[AskedFleet]:
    """A fleet that is asked."""
    made = AskedFleet()
    yield made
    made.close()


def fitting(document: Any, route: Route) -> Any:
    """What is left of a document when it is read as the type that is described: a field that is not described is lost.

    *Raises:* ValidationError where a field is missing or has another type.
    """
    [typed] = described((route,))
    return msgspec.to_builtins(msgspec.convert(document, typed.answer))


# ---- the types ----


def test_documents_become_types_of_the_same_fields_and_words() -> None:
    """Documents inside lists, objects and others too; what may be null may be so still."""
    [route] = described((Route("/v1/cars", "All cars.", Car),))
    assert (route.path, route.about, route.answer.__name__, route.answer.__doc__) == ("/v1/cars", "All cars.", "Car", "A whole.")
    schema = openapi_document("cars", "1", "", (route,))["components"]["schemas"]["Car"]
    wheel = {"$ref": "#/components/schemas/Wheel"}
    assert schema["properties"] == {
        "wheels": {"type": "array", "items": wheel},
        "spare": {"anyOf": [wheel, {"type": "null"}]},
        "by_place": {"type": "object", "additionalProperties": wheel},
        "owner": {"anyOf": [{"type": "string"}, {"type": "null"}]},
    }
    assert schema["required"] == ["wheels", "spare", "by_place", "owner"]


def test_a_type_is_made_once_for_all_that_name_it() -> None:
    """Else the description would have two of one name."""
    routes = described((Route("/a", "A.", FleetUnitRow), Route("/b", "B.", list[FleetUnitRow]), Route("/c", "C.")))
    assert routes[1].answer.__args__ == (routes[0].answer,)
    assert routes[2].answer is None
    assert routes[0].answer.__struct_fields__ == tuple(FleetUnitRow._types)


def test_a_description_changes_nothing_but_the_types() -> None:
    """Each route keeps its words, parameters, problems, body and status."""
    for before, after in zip(ROUTES, described(ROUTES), strict=True):
        assert msgspec.structs.replace(after, answer=before.answer) == before


# ---- the whole description ----


def test_the_description_is_valid_and_names_each_operation_once() -> None:
    """Judged by the validator of the specification."""
    OpenAPIV31SpecValidator(DOCUMENT).validate()
    operations = [operation for methods in DOCUMENT["paths"].values() for operation in methods.values()]
    assert len({operation["operationId"] for operation in operations}) == len(operations) == len(ROUTES) == len(BY_NAME)
    assert all(operation["description"] for operation in operations)


def test_every_number_of_a_row_may_be_null_where_it_may_be_unknown() -> None:
    """A reader that is made from the description does not take absence for a fault."""
    for name in ("cpu_cores", "memory_bytes", "vram_free_bytes", "waiting", "age_seconds", "started"):
        assert {"type": "null"} in SCHEMAS["FleetUnitRow"]["properties"][name]["anyOf"]
    assert SCHEMAS["FleetNodes"]["properties"]["nodes"] == {"type": "array", "items": {"$ref": "#/components/schemas/FleetNodeRow"}}
    assert SCHEMAS["FleetNodeDetail"]["required"] == list(FleetNodeDetail._types)


def test_the_guide_has_the_paths_that_are_described() -> None:
    """All of them, with their methods, and the description itself."""
    guide = (Path(__file__).parents[4] / "docs" / "fleet.md").read_text()
    found = {(method.lower(), path) for method, path in re.findall(r"^\| `([A-Z]+) (/v1/[a-z./]+[A-Z]*)", guide, re.MULTILINE)}
    assert found == {("get", "/v1/openapi.json"), *((method, path.replace("{reservation}", "NAME")) for method, path in BY_NAME)}


# ---- against what is served ----


@pytest.mark.parametrize("path", ASKED)
def test_what_is_answered_is_what_is_described(asked: AskedFleet, path: str) -> None:
    """With every field of every row, and none besides."""
    answer = asked.ask(f"GET {ASKED[path]}")
    document = json.loads(answer.body)
    assert answer.status == BY_NAME["get", path].status == 200
    assert fitting(document, BY_NAME["get", path]) == document


def test_every_document_that_is_read_is_asked_for_here() -> None:
    """But the stream, whose events are no document."""
    assert {path for (method, path), route in BY_NAME.items() if method == "get" and route.answer is not None} == set(ASKED)
    assert [route.path for route in ROUTES if route.answer is None] == ["/v1/stream"]


def test_a_reservation_is_made_and_ended_as_described(asked: AskedFleet) -> None:
    """Its statuses too: made, ended, and none that fits or has the name."""
    make, end = BY_NAME["post", "/v1/reservations"], BY_NAME["delete", "/v1/reservations/{reservation}"]
    answer = asked.ask("POST /v1/reservations", '{"ttl": "30s"}')
    document = json.loads(answer.body)
    assert (answer.status, fitting(document, make)) == (make.status, document) == (201, document)
    path = end.path.replace("{reservation}", document["reservation"])
    ended, again = asked.ask(f"DELETE {path}"), asked.ask(f"DELETE {path}")
    assert (ended.status, fitting(json.loads(ended.body), end)) == (end.status, {"ended": True}) == (200, {"ended": True})
    assert again.status in end.problems
    none = asked.ask("POST /v1/reservations", '{"model": "no such model"}')
    bad = asked.ask("POST /v1/reservations", '{"ttl": 5}')
    assert {none.status, bad.status} == set(make.problems) == {400, 404}


@pytest.mark.parametrize(
    ("path", "parameter"),
    [(route.path, each.name) for route in ROUTES if route.method == "get" for each in route.parameters if each.name in BAD],
)
def test_a_parameter_that_is_described_is_looked_at(asked: AskedFleet, path: str, parameter: str) -> None:
    """A bad value is refused, and the description says that it may be."""
    answer = asked.ask(f"GET {path}?{BAD[parameter]}")
    assert answer.status == 400
    assert 400 in BY_NAME["get", path].problems


@pytest.mark.parametrize(
    ("path", "parameter", "rows"),
    [
        ("/v1/units", "node", "units"),
        ("/v1/units", "unit", "units"),
        ("/v1/units", "kind", "units"),
        ("/v1/workers", "model", "workers"),
        ("/v1/workers", "lora", "workers"),
        ("/v1/workers", "node", "workers"),
    ],
)
def test_a_name_that_is_described_narrows_the_answer(asked: AskedFleet, path: str, parameter: str, rows: str) -> None:
    """To nothing where nothing has the name."""
    assert json.loads(asked.ask(f"GET {path}").body)[rows]
    assert json.loads(asked.ask(f"GET {path}?{parameter}=nothing").body)[rows] == []
    assert parameter in {each.name for each in BY_NAME["get", path].parameters}


def test_every_parameter_that_is_described_is_tried_here() -> None:
    """One that is new needs a bad value above, or a name."""
    names = {each.name for route in ROUTES if route.method == "get" for each in route.parameters}
    assert names - BAD.keys() == {"node", "unit", "kind", "model", "lora"}


def choices() -> list[tuple[str, RouteParameter]]:
    """The parameters with words to choose from."""
    return [(route.path, each) for route in ROUTES for each in route.parameters if each.choices]


@pytest.mark.parametrize(("path", "parameter"), choices(), ids=[each.name for _, each in choices()])
def test_every_choice_that_is_described_is_served(asked: AskedFleet, path: str, parameter: RouteParameter) -> None:
    """And stands in the description as one of them."""
    for word in parameter.choices:
        assert asked.ask(f"GET {path}?{parameter.name}={word}").status == 200
    [found] = [each for each in DOCUMENT["paths"][path]["get"]["parameters"] if each["name"] == parameter.name]
    assert found["schema"] == {"type": "string", "enum": list(parameter.choices)}


def test_a_node_that_is_none_is_a_bad_parameter(asked: AskedFleet) -> None:
    """As its path says."""
    for words in ("", "?node=nobody"):
        assert asked.ask(f"GET /v1/node{words}").status == 400
    assert 400 in BY_NAME["get", "/v1/node"].problems


def _has_begun(stream: Client) -> bool:
    return stream.receive() or b"\r\n\r\n" in stream.received


def test_the_stream_is_one_of_events(asked: AskedFleet) -> None:
    """Of the type that is described."""
    client = asked.send("GET /v1/stream")
    asked.turn_until(partial(_has_begun, client))
    [kind] = DOCUMENT["paths"]["/v1/stream"]["get"]["responses"]["200"]["content"]
    assert f"content-type: {kind}".encode() in bytes(client.received).lower()


def test_a_path_that_is_not_described_is_not_there(asked: AskedFleet) -> None:
    """The answer names those that are."""
    for path in ("/v1", "/v1/", "/v1/unit", "/v2/nodes", "/v1/reservations"):
        answer = asked.ask(f"GET {path}")
        assert answer.status == 404
        for route in ROUTES:
            assert route.path in answer.body.decode()


def test_the_description_that_is_served_is_made_of_these_routes(asked: AskedFleet) -> None:
    """The same each time that it is asked for."""
    first, second = asked.ask("GET /v1/openapi.json"), asked.ask("GET /v1/openapi.json")
    assert json.loads(first.body)["paths"] == DOCUMENT["paths"]
    assert first.body == second.body


def test_the_bound_of_a_wait_is_told_where_it_is_asked_for() -> None:
    """Both who wait for nodes and who wait for workers read it."""
    for path in ("/v1/nodes", "/v1/workers"):
        [wait] = [each for each in BY_NAME["get", path].parameters if each.name == "wait"]
        assert wait.about.endswith(f"at most {WAIT_SECONDS_MAX}s")
        assert WAIT_SECONDS_MAX == 60
