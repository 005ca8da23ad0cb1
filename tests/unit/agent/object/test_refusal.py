"""What a bucket's failures mean."""

import pytest

from agent.object.place import ObjectPlace, Provider
from agent.object.refusal import forbids_listing, refusal_of

PLACE = ObjectPlace(Provider.S3, "b", "x")


def answer(status: int, code: str = "") -> str:
    """As obstore says it."""
    said = f"Server returned non-2xx status code: {status}: <Code>{code}</Code>"
    return f"Error performing PUT http://h/b?X-Amz-Signature=secret: {said}"


@pytest.mark.parametrize(
    ("text", "has_credentials", "is_passing", "problem"),
    [
        (answer(500, "InternalError"), True, True, "busy or not ready (500 InternalError)"),
        (answer(503, "SlowDown"), True, True, "busy"),
        (answer(400, "RequestTimeout"), True, True, "busy"),
        (answer(409, "ConditionalRequestConflict"), True, True, "busy"),
        (answer(403, "RequestTimeTooSkewed"), True, False, "clock is wrong"),
        (answer(403, "AccessDenied"), True, False, "does not let us write"),
        (answer(401), True, False, "does not let us write (401)"),
        (answer(404, "NoSuchBucket"), True, False, "is not there"),
        (answer(301, "PermanentRedirect"), True, False, "refuses to write"),
        ("kind: Timeout", True, True, "no answer in time"),
        ("kind: Connect", True, True, "cannot be reached"),
        ("kind: Interrupted", True, True, "broke"),
        ("what else", True, True, "broke"),
        ("invalid peer certificate: UnknownIssuer kind: Connect", True, False, "name its authority in ca_file"),
        ("http://169.254.169.254/latest/api/token kind: Connect", False, False, "there are no credentials for s3://b/x"),
        ("kind: Connect", False, True, "cannot be reached"),
    ],
)
def test_a_failure_passes_or_needs_a_person(text: str, has_credentials: bool, is_passing: bool, problem: str) -> None:
    """It is said which, in a sentence without the library's words."""
    found = refusal_of(text, PLACE, "write", has_credentials=has_credentials)
    assert found.is_passing is is_passing
    assert problem in found.sentence
    assert "secret" not in found.sentence


def test_a_user_who_may_not_list_is_told_from_other_failures() -> None:
    """A sink need not list, so that is no failure there."""
    assert forbids_listing(answer(403, "AccessDenied"))
    assert not forbids_listing(answer(403, "InvalidAccessKeyId"))
