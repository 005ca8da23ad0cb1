"""agentctl diag: what is shown of events and conditions, and what the filters choose."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from fakes.control_server import FakeControlServer

from agent.cli.program import run

AT = "2023-11-14T22:13:{:02}.000Z"


def event(second: int, kind: str, **more: Any) -> dict[str, Any]:
    """An event of the writer."""
    row = {"at": AT.format(second), "kind": kind, "severity": "info", "worker": "writer", "fields": {}}
    return {**row, "subject": None, "phase": None, "since": None, "count": 1, **more}


def breaker(second: int, phase: str, since: int, **fields: Any) -> dict[str, Any]:
    """What the breaker of `io` files does."""
    severity = "info" if phase == "end" else "warning"
    more = {"worker": "sampler/process", "subject": "io", "phase": phase, "since": AT.format(since), "severity": severity}
    return event(second, "breaker_open", **more, fields={"detail": "dear", **fields})


EVENTS = [
    event(1, "sealed", fields={"rows": 7}),
    breaker(2, "begin", 2),
    breaker(5, "end", 2, held_seconds=3.0),
    event(6, "starting", worker=None),
    event(7, "sync_failed", severity="error"),
    breaker(9, "begin", 9),
]
HOLDING = [
    {"worker": "sampler/process", "kind": "breaker_open:io", "detail": "dear", "blocks_ready": False, "since": AT.format(9)},
    {"worker": "writer", "kind": "spool", "detail": "no room", "blocks_ready": True, "since": AT.format(3)},
]
ANSWERS: dict[str, Any] = {"diag": {"events": EVENTS, "deaths": [], "hidden": 0, "conditions": HOLDING}}
WORKER = {
    "name": "writer",
    "kind": "writer",
    "state": "up",
    "pid": 1,
    "epoch": 1,
    "uptime_seconds": 1.0,
    "restarts": 0,
    "last_exit": None,
    "deaths": {},
    "stderr_tail": [],
    "backoff_seconds": None,
    "heartbeat_age_seconds": 0.1,
    "rules_revision": 1,
    "rules_digest": "00",
    "in_sync": True,
    "cpu_percent": None,
    "rss_bytes": None,
    "pss_bytes": None,
}
WORKERS = {"workers": [WORKER, {**WORKER, "name": "sampler/node", "members": ["sampler/host"]}]}


def diag(folder: Path, *words: str) -> tuple[int, str, str]:
    """Exit code and what was printed, of an agent with these events."""
    shown, told = io.StringIO(), io.StringIO()
    with FakeControlServer(str(folder), {**ANSWERS, "list-workers": WORKERS}):
        code = run(["diag", *words], {"EVERGAUGE_RUNTIME_DIR": str(folder)}, shown, told)
    return code, shown.getvalue(), told.getvalue()


def kinds(folder: Path, *words: str) -> list[tuple[str, str | None]]:
    """Kind and phase of each event that is shown."""
    code, shown, told = diag(folder, "--json", *words)
    assert (code, told) == (0, "")
    return [(each["kind"], each["phase"]) for each in json.loads(shown)["events"]]


def test_beginnings_say_how_long_they_held(tmp_path: Path) -> None:
    """Or that they still hold; the end says it too, and what holds now has a table of its own."""
    lines = diag(tmp_path)[1].splitlines()
    told = [line.split() for line in lines if "breaker_open:io" in line]
    assert [" ".join(words[3:7]).partition(" detail")[0] for words in told[:3]] == [
        "breaker_open:io begin 3 s",
        "breaker_open:io end 3 s",
        "breaker_open:io begin still holds",
    ]
    assert "holding now:" in lines
    assert [line.split()[:2] for line in lines if "no room" in line] == [["writer", "spool"]]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--kind", "sealed"], [("sealed", None)]),
        (["--kind", "breaker_open:fd"], []),
        (["--kind", "breaker_open:io"], [("breaker_open", "begin"), ("breaker_open", "end"), ("breaker_open", "begin")]),
        (["--kind", "BreakerOpen"], [("breaker_open", "begin"), ("breaker_open", "begin")]),
        (["--kind", "BreakerClosed"], [("breaker_open", "end")]),
        (["--kind", "BreakerOpen", "--limit", "1"], [("breaker_open", "begin")]),
        (["--worker", "supervisor"], [("starting", None)]),
        (["--worker", "sampler/host"], []),
        (["--severity", "error"], [("sync_failed", None)]),
        (["--severity", "warning", "--worker", "writer"], [("sync_failed", None)]),
        (["--since", "2023-11-14T22:13:07Z"], [("sync_failed", None), ("breaker_open", "begin")]),
    ],
)
@pytest.mark.runbook("Status and events")
def test_filters_choose(words: list[str], expected: list[tuple[str, str | None]], tmp_path: Path) -> None:
    """Each of them alone and together; a limit counts what they choose."""
    assert kinds(tmp_path, *words) == expected


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--kind", "breaker_opn"], "there is no kind 'breaker_opn': did you mean breaker_open"),
        (["--kind", "Nothing"], "there is no kind 'Nothing': docs/events.md lists them"),
        (["--worker", "writr"], "there is no worker 'writr': did you mean writer?"),
        (["--severity", "bad"], "'bad' is not accepted: write one of info, warning, error"),
        (["--since", "soon"], "'soon' is no moment"),
    ],
)
def test_words_that_name_nothing_are_refused(words: list[str], sentence: str, tmp_path: Path) -> None:
    """With what may have been meant."""
    code, shown, told = diag(tmp_path, *words)
    assert (code, shown) == (64, "")
    assert sentence in told.replace("; ", ": ")


def test_what_is_not_chosen_is_counted_by_nobody_and_shown_nowhere(tmp_path: Path) -> None:
    """The table of what holds is filtered too."""
    shown = diag(tmp_path, "--kind", "sealed")[1]
    assert "rows=7" in shown
    assert "holding now:" not in shown


def test_an_agent_of_an_earlier_version_has_no_phases(tmp_path: Path) -> None:
    """Its events are shown as they are."""
    old = {"at": AT.format(1), "kind": "condition_begins", "severity": "warning", "worker": "writer", "fields": {"condition": "x"}}
    shown = io.StringIO()
    with FakeControlServer(str(tmp_path), {"diag": {"events": [old], "deaths": [], "hidden": 0}}):
        assert run(["diag"], {"EVERGAUGE_RUNTIME_DIR": str(tmp_path)}, shown, io.StringIO()) == 0
    assert "condition=x" in shown.getvalue()
