"""A request of the router's HTTP as the words of agentctl."""

import pytest
from openapi_spec_validator import validate

from agent.model.errors import MisuseError
from agent.router.question import Kind
from workers.http.openapi import openapi_document
from workers.router.api import ROUTES, VALUES_MAX, words_of


def test_each_kind_of_question_is_a_path_that_is_described() -> None:
    """As OpenAPI has it."""
    document = openapi_document("evergauge router", "1", "About.", ROUTES)
    validate(document)
    assert set(document["paths"]) == {f"/v1/ask/{kind}" for kind in Kind}
    parameters = {each["name"] for each in document["paths"]["/v1/ask/percentile"]["get"]["parameters"]}
    assert {"p", "metric", "explain"} <= parameters
    assert "lines" in {each["name"] for each in document["paths"]["/v1/ask/rows"]["get"]["parameters"]}


def test_parameters_are_options_in_one_word_each() -> None:
    """Of one that is there several times each counts."""
    query = {"metric": ["cpu"], "host": ["a", "--json"], "explain": ["1"]}
    assert words_of(Kind.TOP, query) == ["ask", "top", "--metric=cpu", "--host=a", "--host=--json", "--explain", "--json"]


@pytest.mark.parametrize(
    ("kind", "query", "problem"),
    [
        (Kind.SUM, {"p": ["50"]}, "p: there is no such parameter"),
        (Kind.SUM, {"lake": ["s3://x"]}, "lake: there is no such parameter"),
        (Kind.ROWS, {"explain": ["1"]}, "explain: there is no such parameter"),
        (Kind.SUM, {"explain": ["1", "1"]}, "explain: it is not 1"),
        (Kind.SUM, {"pod": ["x"] * (VALUES_MAX + 1)}, "pod: it says more than"),
        (Kind.SUM, {"pod": ["x" * 2_000]}, "pod: it says more than"),
    ],
)
def test_what_is_no_parameter_is_refused(kind: Kind, query: dict[str, list[str]], problem: str) -> None:
    """So that a client reads nothing that the router's own settings do not name."""
    with pytest.raises(MisuseError, match=problem):
        words_of(kind, query)
