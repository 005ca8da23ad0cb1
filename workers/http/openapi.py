"""The description of a server's documents in OpenAPI 3.1, from its table of routes and the types of its answers. PURE.

*Source:* OpenAPI Specification 3.1.1; schemas by msgspec.
"""

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from workers.http.response import EVENT_STREAM, JSON, REASON_BY_STATUS

SCHEMA_REFERENCE = "#/components/schemas/{name}"


class RouteParameter(Struct, frozen=True):
    """One parameter of a query, or of the path where `{name}` is in it; `type` is JSON Schema's word."""

    name: str
    about: str
    type: str = "string"
    is_required: bool = False
    choices: tuple[str, ...] = ()


class Route(Struct, frozen=True):
    """One method of one path. `answer`: the type of its document; None: a stream of events, described in `about`.

    `status`: that of the answer; `problems`: other statuses and when they come; `body`: the type of a body that is sent.
    """

    path: str
    about: str
    answer: Any = None
    method: str = "get"
    parameters: tuple[RouteParameter, ...] = ()
    body: Any = None
    problems: dict[int, str] = {}
    status: int = 200


def openapi_document(title: str, version: str, about: str, routes: Sequence[Route]) -> dict[str, Any]:
    """The whole description, as a document that can be written down as JSON."""
    # Imported by the first reader: the module behind it is needed for nothing else.
    from msgspec.json import schema_components

    types = list(dict.fromkeys(each for route in routes for each in (route.answer, route.body) if each is not None))
    schemas, components = schema_components(types, ref_template=SCHEMA_REFERENCE)
    by_type = dict(zip(types, schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method] = _operation(route, by_type)
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version, "description": about},
        "paths": paths,
        "components": {
            "schemas": dict(components),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "description": "Where the server has a token."}},
        },
        # Empty: on the loopback device none is needed.
        "security": [{}, {"token": []}],
    }


def _operation(route: Route, schema_by_type: dict[Any, Any]) -> dict[str, Any]:
    content = (
        {EVENT_STREAM: {"schema": {"type": "string"}}} if route.answer is None else {JSON: {"schema": schema_by_type[route.answer]}}
    )
    operation: dict[str, Any] = {
        "operationId": _operation_id(route),
        "summary": route.about.partition(". ")[0].rstrip("."),
        "description": route.about,
        "responses": {
            str(route.status): {"description": REASON_BY_STATUS[route.status], "content": content},
            **{str(status): {"description": about} for status, about in sorted(route.problems.items())},
        },
    }
    if route.parameters:
        operation["parameters"] = [_parameter(each, is_in_path=f"{{{each.name}}}" in route.path) for each in route.parameters]
    if route.body is not None:
        operation["requestBody"] = {"required": True, "content": {JSON: {"schema": schema_by_type[route.body]}}}
    return operation


def _operation_id(route: Route) -> str:
    words = "".join(character if character.isalnum() else " " for character in route.path).split()
    return "_".join((route.method, *words))


def _parameter(parameter: RouteParameter, *, is_in_path: bool) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": parameter.type}
    if parameter.choices:
        schema["enum"] = list(parameter.choices)
    return {
        "name": parameter.name,
        "in": "path" if is_in_path else "query",
        "required": parameter.is_required or is_in_path,
        "description": parameter.about,
        "schema": schema,
    }
