"""The description of the page's documents."""

from openapi_spec_validator import OpenAPIV31SpecValidator

from workers.gateway.node.routes import ABOUT, ROUTES
from workers.http.openapi import openapi_document


def test_the_description_is_valid_and_has_every_path() -> None:
    """By the validator of the specification."""
    document = openapi_document("evergauge", "0.1.0", ABOUT, ROUTES)
    OpenAPIV31SpecValidator(document).validate()
    assert set(document["paths"]) == {route.path for route in ROUTES}
    assert {"NodeDocument", "SeriesDocument", "AgentDocument"} <= set(document["components"]["schemas"])
