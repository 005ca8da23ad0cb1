"""The first lines of a start in the foreground."""

from agent.daemon.banner import QUERY, banner, opening
from agent.doctor.finding import Finding, Usability
from agent.model.timebase import MINUTE, MS
from workers.process.schema import PROCESS


def _banner(*, findings: list[Finding] | None, reasons: tuple[str, ...] = (), quota: str = "10GiB") -> list[str]:
    first = opening(version="1.2", host="node7", ended_by="Ctrl-C", reasons=reasons, took_ns=120 * MS)
    rest = banner(
        measured=["every process", "every pod"], findings=findings, data_dir="/s/data", seal_interval_ns=15 * MINUTE,
        quota=quota, agentctl="bin/agentctl",
    )  # fmt: skip
    return f"{first}\n{rest}".splitlines()


def test_a_ready_agent_says_what_it_measures_and_where_the_data_goes() -> None:
    """A few lines, the titles in a column."""
    assert _banner(findings=[]) == [
        "evergauge 1.2 on node7, ready after 120 ms; Ctrl-C ends it",
        "  measures  every process",
        "            every pod",
        "  data      /s/data (Parquet, sealed every 15m; at most 10GiB, then the oldest goes)",
        '  look      bin/agentctl top (or: status, list-workers, query "SELECT pid, comm, rss_bytes FROM process", doctor)',
    ]


def test_the_address_of_the_page_is_a_line_of_its_own() -> None:
    """Terminals make a link of it."""
    text = banner(
        measured=[],
        findings=[],
        data_dir="/s",
        seal_interval_ns=MINUTE,
        quota="",
        agentctl="agentctl",
        page="http://127.0.0.1:9464/",
    )
    assert "  page      http://127.0.0.1:9464/" in text.splitlines()


def test_data_without_a_limit_is_told() -> None:
    """Nobody finds out by a full disk."""
    assert "  data      /s/data (Parquet, sealed every 15m; without a limit)" in _banner(findings=[], quota="")


def test_what_is_missing_is_told_in_the_words_of_who_looks_for_it() -> None:
    """The topic and its reason stand behind; what is usable or limited is not in the way."""
    findings = [
        Finding("resctrl", Usability.MISSING, "this CPU has none"),
        Finding("kernel", Usability.USABLE, "Linux"),
        Finding("cgroup", Usability.LIMITED, "hybrid"),
        Finding("other", Usability.MISSING, "not here"),
    ]
    lines = [line for line in _banner(findings=findings) if "none" in line or "here" in line or "hybrid" in line]
    assert lines == [
        "  cannot    which pod holds the cache and eats the memory bandwidth (resctrl: this CPU has none)",
        "            other: not here",
    ]


def test_a_resctrl_that_is_of_no_use_is_told_like_one_that_is_missing() -> None:
    """Mounted elsewhere, read-only or for others: nothing is measured, and the banner says why."""
    lines = _banner(findings=[Finding("resctrl", Usability.LIMITED, "/r is mounted read-only")])
    assert "  cannot    which pod holds the cache and eats the memory bandwidth (resctrl: /r is mounted read-only)" in lines


def test_a_container_runtime_that_is_not_there_is_told_once() -> None:
    """Somebody who looks for names of pods finds why there are none; nobody misses NRI there, nor what no column could show."""
    findings = [
        Finding("container runtime", Usability.UNUSED, "none here"),
        Finding("NRI", Usability.UNUSED, "not here"),
        Finding("pressure", Usability.UNUSED, "not here"),
    ]
    lines = [line for line in _banner(findings=findings) if "here" in line]
    assert lines == ["  cannot    names and labels of pods (container runtime: none here)"]


def test_a_runtime_that_reports_nothing_is_told_with_what_is_lost() -> None:
    """Its socket lets nobody in, or NRI is switched off."""
    findings = [
        Finding("container runtime", Usability.LIMITED, "not for this user"),
        Finding("NRI", Usability.MISSING, "not found", "switch it on"),
    ]
    assert [line for line in _banner(findings=findings) if " not " in line] == [
        "  cannot    names and labels of pods (container runtime: not for this user)",
        "            a pod's first instructions (NRI: not found)",
    ]


def test_an_agent_that_is_not_ready_says_why_first() -> None:
    """The reasons stand above everything else."""
    lines = _banner(findings=[], reasons=("writer: no space left",))
    assert lines[:2] == ["evergauge 1.2 on node7, not ready after 120 ms; Ctrl-C ends it", "  not ready writer: no space left"]


def test_the_suggested_question_asks_for_few_columns() -> None:
    """All columns of table `process` are wider than a terminal; these are not, even in the widest row."""
    columns = QUERY.removeprefix("SELECT ").removesuffix(" FROM process").split(", ")
    widest = {"pid": 7, "comm": 15, "rss_bytes": 16}
    assert set(columns) == set(widest) <= {column.name for column in PROCESS.columns}
    assert sum(max(len(name), widest[name]) + 2 for name in columns) <= 80


def test_a_look_at_the_host_that_did_not_end_is_told_as_not_known() -> None:
    """Neither usable nor missing: nobody knows, and the doctor may be asked again."""
    lines = _banner(findings=None)
    assert lines[3] == (
        "  cannot    not known: the look at this host did not end (a mount that does not answer?); bin/agentctl doctor looks again"
    )
