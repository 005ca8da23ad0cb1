"""What the doctor says as a whole."""

import pytest

from agent.doctor.finding import ESSENTIAL_TOPICS, Finding, Usability, lacks_essential


@pytest.mark.parametrize(
    ("topic", "state", "is_lacking"),
    [
        ("state folder", Usability.MISSING, True),
        ("state folder", Usability.LIMITED, False),
        ("resctrl", Usability.MISSING, False),
    ],
)
def test_the_agent_cannot_run_without_some_topics(topic: str, state: Usability, is_lacking: bool) -> None:
    """Of any other one only some columns or names are missing."""
    findings = [Finding("gpu", Usability.UNUSED, "none"), Finding(topic, state, "x", "y")]
    assert lacks_essential(findings) is is_lacking
    assert ("resctrl" in ESSENTIAL_TOPICS, lacks_essential([])) == (False, False)
