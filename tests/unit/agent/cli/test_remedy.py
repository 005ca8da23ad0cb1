"""The remedy that several commands give."""

from agent.cli.remedy import start_remedy


def test_an_agent_is_started_as_this_installation_starts_it() -> None:
    """In a checkout its script is named, elsewhere the installed program."""
    assert start_remedy("--state-dir", "/src").startswith("start an agent with `scripts/run`, or name the folder")
    assert start_remedy("--state-dir", None) == "start an agent with `agentd`, or name the folder of another with --state-dir DIR"
