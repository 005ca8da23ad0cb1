"""Severities have an order."""

from agent.cli.problem import Severity, worst


def test_the_worst_of_some_severities() -> None:
    """Critical is worse than a warning, a warning than a notice; of none it is calm."""
    assert worst([Severity.NOTICE, Severity.CRITICAL, Severity.WARNING]) is Severity.CRITICAL
    assert worst([Severity.CALM, Severity.NOTICE]) is Severity.NOTICE
    assert worst([]) is Severity.CALM
