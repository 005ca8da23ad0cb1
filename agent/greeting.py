"""The few lines of a start in the foreground. PURE."""

from agent.model.timebase import MS


def greeting(version: str, host: str, measured: list[str], missing: list[str], data_dir: str, took_ns: int) -> str:
    """What is measured here, what is not and why, where the data goes; one line each."""
    lines = [f"evergauge {version} on {host}, ready in {took_ns / MS:.0f} ms"]
    lines += _paragraph("measures", measured) + _paragraph("cannot", missing)
    lines += _paragraph("data", [data_dir])
    lines += _paragraph("look", ['agentctl top · agentctl status · agentctl query "SELECT * FROM process" · Ctrl-C ends the agent'])
    return "\n".join(lines)


def _paragraph(title: str, lines: list[str]) -> list[str]:
    return [f"  {title if number == 0 else '':9}{line}" for number, line in enumerate(lines)]
