"""The description of documents, from the types of the answers."""

import msgspec
from openapi_spec_validator import OpenAPIV31SpecValidator

from workers.http.openapi import Route, RouteParameter, openapi_document


class Wheel(msgspec.Struct):
    """A part."""

    size: int
    name: str | None = None


class Car(msgspec.Struct):
    """A whole."""

    wheels: list[Wheel]


class Order(msgspec.Struct):
    """A body."""

    kind: str


ROUTES = (
    Route("/v1/cars", "All cars. In no order.", list[Car], parameters=(RouteParameter("order", "How", choices=("size", "name")),)),
    Route("/v1/cars/{name}", "One car.", Car, parameters=(RouteParameter("name", "Which"),), problems={404: "There is none."}),
    Route("/v1/cars", "Order one.", Car, method="post", body=Order, problems={409: "Taken."}, status=201),
    Route("/v1/stream", "Cars as they come."),
)


def test_a_description_is_valid_and_names_every_type() -> None:
    """Judged by the validator of the specification."""
    document = openapi_document("cars", "1.0", "About cars.", ROUTES)
    OpenAPIV31SpecValidator(document).validate()
    assert set(document["components"]["schemas"]) == {"Car", "Wheel", "Order"}
    assert set(document["paths"]["/v1/cars"]) == {"get", "post"}
    listed = document["paths"]["/v1/cars"]["get"]
    assert listed["operationId"] == "get_v1_cars"
    assert (listed["summary"], listed["description"]) == ("All cars", "All cars. In no order.")
    assert listed["parameters"][0]["in"] == "query"
    assert listed["parameters"][0]["schema"] == {"type": "string", "enum": ["size", "name"]}
    one = document["paths"]["/v1/cars/{name}"]["get"]
    assert (one["parameters"][0]["in"], one["parameters"][0]["required"]) == ("path", True)
    assert one["responses"]["404"] == {"description": "There is none."}
    assert list(document["paths"]["/v1/stream"]["get"]["responses"]["200"]["content"]) == ["text/event-stream"]
    assert document["paths"]["/v1/cars"]["post"]["responses"].keys() == {"201", "409"}
    assert document["paths"]["/v1/cars"]["post"]["responses"]["201"]["description"] == "Created"
    assert document["paths"]["/v1/cars"]["post"]["requestBody"]["content"]["application/json"]["schema"] == {
        "$ref": "#/components/schemas/Order"
    }
