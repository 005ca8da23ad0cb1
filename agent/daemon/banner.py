"""The few lines of a start in the foreground. PURE."""

from agent.doctor.finding import Finding, Usability
from agent.model.timebase import MS, format_duration

# What the missing thing would have told, in the words of somebody who looks for a noisy neighbour.
_WOULD_TELL = {
    "resctrl": "which pod holds the cache and eats the memory bandwidth",
    "container runtime": "names and labels of pods",
    "NRI": "a pod's first instructions",
}

# A first question to the data, whose answer fits a terminal of 80 columns.
QUERY = "SELECT pid, comm, rss_bytes FROM process"


def opening(*, version: str, host: str, ended_by: str, reasons: tuple[str, ...], took_ns: int) -> str:
    """Whether it is ready, and why not; `ended_by` is what ends the agent. A line each."""
    ready = f"evergauge {version} on {host}, {'not ' if reasons else ''}ready after {took_ns / MS:.0f} ms; {ended_by} ends it"
    return "\n".join([ready, *_paragraph("not ready", list(reasons))])


def banner(
    *,
    measured: list[str],
    findings: list[Finding] | None,
    data_dir: str,
    seal_interval_ns: int,
    quota: str,
    agentctl: str,
) -> str:
    """What is measured here, what is not and why, where the data goes; a line each.

    `findings` are None when the look at this host has not come to an end.
    """
    missing = [_cannot(each) for each in findings or () if _measures_nothing(each)]
    if findings is None:
        missing = [f"not known: the look at this host did not end (a mount that does not answer?); {agentctl} doctor looks again"]
    limit = f"at most {quota}, then the oldest goes" if quota else "without a limit"
    data = f"{data_dir} (Parquet, sealed every {format_duration(seal_interval_ns)}; {limit})"
    # Few columns: all of them are wider than a terminal.
    look = f'{agentctl} top (or: status, list-workers, query "{QUERY}", doctor)'
    return "\n".join(
        [
            *_paragraph("measures", measured),
            *_paragraph("cannot", missing),
            *_paragraph("data", [data]),
            *_paragraph("look", [look]),
        ]
    )


def _measures_nothing(finding: Finding) -> bool:
    """A resctrl that is mounted elsewhere, read-only or for others is as good as none, and so is what this version does not use."""
    if finding.state is Usability.LIMITED:
        return finding.topic == "resctrl"
    return finding.state is Usability.MISSING or (finding.state is Usability.UNUSED and finding.topic in _WOULD_TELL)


def _cannot(finding: Finding) -> str:
    told = _WOULD_TELL.get(finding.topic)
    return f"{told} ({finding.topic}: {finding.detail})" if told else f"{finding.topic}: {finding.detail}"


def _paragraph(title: str, lines: list[str]) -> list[str]:
    return [f"  {title if number == 0 else '':10}{line}" for number, line in enumerate(lines)]
