"""The supervisor's answers, as agreed and not."""

import pytest
from fakes.status import status_document

from agent.model.control.result import Readiness
from workers.gateway.supervisor_answer import readiness_of, status_of, unready


def test_readiness_is_read() -> None:
    """Yes without a reason, no with some."""
    assert readiness_of({"ready": True, "reasons": []}) == Readiness(ready=True, reasons=[])
    assert readiness_of({"ready": False, "reasons": ["x"]}) == unready("x")


@pytest.mark.parametrize("body", [{}, {"ready": "yes", "reasons": []}, {"ready": True}, {"ready": True, "reasons": [1]}])
def test_readiness_that_cannot_be_read_is_a_reason(body: dict[str, object]) -> None:
    """An answer that is damaged is no yes."""
    readiness = readiness_of(body)
    assert not readiness.ready
    assert readiness.reasons[0].startswith("the supervisor: the answer has no ")


def test_a_refused_question_has_its_sentence() -> None:
    """Both questions know the refusal."""
    assert readiness_of({"problem": "no"}) == unready("no")
    assert status_of({"problem": "no"}) is None


@pytest.mark.parametrize(
    "body", [{}, status_document(ready="yes"), status_document(workers=[{"name": "x"}]), status_document(rules=None)]
)
def test_a_status_that_is_not_as_agreed_is_none(body: dict[str, object]) -> None:
    """Nothing of it is shown."""
    assert status_of(body) is None


def test_a_status_may_grow() -> None:
    """What a newer supervisor adds is not looked at."""
    assert status_of(status_document(later=1)) == status_of(status_document()) is not None
