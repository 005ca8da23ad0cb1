"""The few lines of a start in the foreground. PURE."""

from agent.doctor.finding import Finding, Usability
from agent.model.timebase import MS, format_duration

# What the missing thing would have shown, in the words of an operator who looks for a noisy neighbour.
_NAMES = "container runtime"
_WOULD_SHOW = {
    "resctrl": "which pod holds the cache and eats the memory bandwidth",
    _NAMES: "names and labels of pods",
    "NRI": "a pod's first instructions",
}

# A first question to the data, whose answer fits a terminal of 80 columns.
QUERY = "SELECT pid, comm, rss_bytes FROM process"


def opening(*, version: str, host: str, ended_by: str, reasons: tuple[str, ...], took_ns: int) -> str:
    """Whether it is ready, why not, and what ends it (`ended_by`), as text of a few lines."""
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
    page: str = "",
) -> str:
    """What is measured here, what is not and why, where the data goes, as text of a few lines.

    `page`: the address of this node's page, "" where none is served.
    *Absent:* `findings` when the look at this host did not end in time.
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
            *_paragraph("page", [page] if page else []),
            *_paragraph("look", [look]),
        ]
    )


def _measures_nothing(finding: Finding) -> bool:
    """Whether nothing is measured by it: missing, or of no use (a resctrl mounted elsewhere, a socket that lets nobody in).

    Where there is no container runtime, that alone is worth a line: nobody misses NRI there.
    """
    if finding.state is Usability.LIMITED:
        return finding.topic in _WOULD_SHOW
    return finding.state is Usability.MISSING or (finding.state is Usability.UNUSED and finding.topic == _NAMES)


def _cannot(finding: Finding) -> str:
    shown = _WOULD_SHOW.get(finding.topic)
    return f"{shown} ({finding.topic}: {finding.detail})" if shown else f"{finding.topic}: {finding.detail}"


def _paragraph(title: str, lines: list[str]) -> list[str]:
    return [f"  {title if number == 0 else '':10}{line}" for number, line in enumerate(lines)]
