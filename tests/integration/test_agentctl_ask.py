"""agentctl ask percentile: sketches of sealed files and open spool put together, and what is missing said."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fakes.agentctl_here import agentctl_here
from fakes.sealed_files import seal
from fakes.stored_data import batch_of, head_of, write_segment
from fakes.stored_sketches import SKETCH_FORM, WINDOW_NS, sketch_row

from agent.model.tables import POD_GROUP
from agent.store.record import form_of

S = 10**9
# 2024-01-02, 03:00 UTC.
BEGIN = 1_704_164_400 * S
SPAN = ("--since", "2024-01-02T03:00Z", "--until", "2024-01-02T03:10Z")
DB = ("u-db", "postgres")

Ask = Callable[..., tuple[int, str, str]]


@pytest.fixture
def ask(tmp_path: Path) -> Ask:
    """Run `agentctl ask percentile` over the folders of the test."""

    def call(*words: str) -> tuple[int, str, str]:
        return agentctl_here(tmp_path, "ask", "percentile", *words)

    return call


@pytest.fixture
def stored(tmp_path: Path) -> None:
    """Six windows: four sealed in two files, one in the spool, one missing; and the names of the pods."""
    rows = [sketch_row(BEGIN + number * WINDOW_NS, [1_000 * (number + 1)] * 100) for number in range(4)]
    memory = [sketch_row(BEGIN, [1 << 20, 3 << 20], metric="rss")]
    seal(tmp_path, "process_sketch", 1, [*rows[:2], *memory], form=SKETCH_FORM)
    seal(tmp_path, "process_sketch", 2, [*rows[2:], sketch_row(BEGIN, [80_000_000] * 100, key=DB)], form=SKETCH_FORM)
    group = (BEGIN, "u-web", "pod", "shop", "web", "burstable", "/k", 1, "own", None, BEGIN, None, None, "run-1")
    seal(tmp_path, "pod_group", 2, [group], form=form_of(POD_GROUP))
    spooled = [sketch_row(BEGIN + 5 * WINDOW_NS, [6_000] * 100, ticks=30)]
    data = head_of("0000000300000000", {"process_sketch": SKETCH_FORM}) + batch_of(
        "process_sketch", spooled, stamp_wall_ns=BEGIN + 6 * WINDOW_NS
    )
    write_segment(tmp_path, "0000000300000000", data)


def document(answered: tuple[int, str, str]) -> dict[str, Any]:
    assert (answered[0], answered[2]) == (0, "")
    found: dict[str, Any] = json.loads(answered[1])
    return found


@pytest.mark.usefixtures("stored")
def test_sealed_files_and_the_spool_are_one_answer(ask: Ask) -> None:
    """Over all units and commands; the error is stated, and so is what is missing."""
    code, output, warnings = ask("--metric", "cpu", "--p", "0,50,95,100", *SPAN)
    assert (code, warnings) == (0, "")
    lines = output.splitlines()
    assert lines[0].split() == ["VALUES", "WINDOWS", "P0", "P50", "P95", "P100", "MAX", "ERROR"]
    assert lines[1].split() == [*("600", "5", "1", "us", "3.01", "us"), *("80", "ms") * 3, "0.54", "%"]
    assert lines[3].startswith("CPU time of a process in a tick; 5 windows from 2024-01-02 ")
    assert lines[4:] == [
        "1 window has fewer ticks than the fullest, which has 60",
        "1 window in between without rows: the agent or the sampler did not run",
        "4 of 6 minutes of hosts covered: 4 by sketches, 0 by raw rows; --explain says which",
        "1 minute: no rows, or ticks are missing: the host was off or cut off, or its rows have not come",
        "1 minute: the sketch covers fewer ticks than were taken",
    ]


@pytest.mark.usefixtures("stored")
def test_json_has_all_of_it(ask: Ask) -> None:
    """Within the error of the exact values; the largest is exact."""
    found = document(ask("--metric", "cpu", "--json", *SPAN))
    (group,) = found.pop("groups")
    assert found == {
        "metric": "cpu", "unit": "ns", "since_ns": BEGIN, "until_ns": BEGIN + 6 * WINDOW_NS, "windows": 5, "windows_partial": 1,
        "windows_missing": 1, "windows_shared": 0, "ticks_of_full": 60, "rows_damaged": 0, "kind": "percentile",
        "covered": 4, "total": 6, "sources": {"sketch": 4, "raw": 0, "unknown": 2},
        "reasons": {"ticks_missing": 1, "fewer_ticks": 1}, "newest": {"sketch": 2, "reasons": {}},
    }  # fmt: skip
    assert (group["values"], group["windows"], group["max"]) == (600, 5, 80_000_000)
    assert group["sum"] == 100 * (1_000 + 2_000 + 3_000 + 4_000 + 6_000 + 80_000_000)
    assert group["percentiles"] == {
        "50": pytest.approx(3_000, rel=0.0055),
        "95": pytest.approx(80_000_000, rel=0.0055),
        "99": pytest.approx(80_000_000, rel=0.0055),
    }


@pytest.mark.usefixtures("stored")
def test_an_answer_by_pod_has_their_names(ask: Ask) -> None:
    """A pod that nobody named has its uid."""
    _, output, _ = ask("--metric", "cpu", "--by", "pod,command", "--p", "99", *SPAN)
    assert [line.split()[:2] for line in output.splitlines()[:3]] == [
        ["POD", "COMMAND"],
        ["u-db", "postgres"],
        ["shop/web", "nginx"],
    ]


@pytest.mark.usefixtures("stored")
@pytest.mark.parametrize(
    "choice", [("--pod", "shop/web"), ("--pod", "u-web"), ("--command", "nginx"), ("--command", "nginx", "--pod", "u-web")]
)
def test_a_pod_or_command_is_chosen(ask: Ask, choice: tuple[str, ...]) -> None:
    """A pod by uid or name."""
    (group,) = document(ask("--metric", "cpu", "--json", *choice, *SPAN))["groups"]
    assert (group["values"], group["max"]) == (500, 6_000)


@pytest.mark.usefixtures("stored")
def test_memory_is_another_metric(ask: Ask) -> None:
    """In bytes."""
    code, output, _ = ask("--metric", "rss", "--p", "100", *SPAN)
    assert (code, output.splitlines()[1].split()) == (0, ["2", "1", "3.0", "MiB", "3.0", "MiB", "0.54", "%"])
    assert "resident memory of a process at a tick; 1 window from" in output


@pytest.mark.usefixtures("stored")
def test_a_part_of_the_time_has_the_windows_that_overlap_it(ask: Ask) -> None:
    """As wholes."""
    found = document(ask("--metric", "cpu", "--json", "--since", "2024-01-02T03:02:30Z", "--until", "2024-01-02T03:03:01Z"))
    assert (found["since_ns"], found["windows"]) == (BEGIN + 2 * WINDOW_NS, 2)


@pytest.mark.usefixtures("stored")
def test_the_table_has_as_many_lines_as_are_asked_for(ask: Ask) -> None:
    """It says how many more there are."""
    _, output, _ = ask("--metric", "cpu", "--by", "pod", "--lines", "1", *SPAN)
    lines = output.splitlines()
    assert lines[1].startswith("u-db")
    assert lines[2] == "and 1 more line; --lines shows more, --json all"


@pytest.mark.usefixtures("stored")
@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--metric", "memory"), "'memory' is not accepted; write one of cpu, rss"),
        ((), "--metric: it is missing; write --metric cpu or --metric rss"),
        (("--metric", "cpu", "--p", "101"), "--p: 101 is not between 0 and 100"),
        (("--metric", "cpu", "--p", "nan"), "--p: nan is not between 0 and 100"),
        (("--metric", "cpu", "--p", "50;95"), "--p: '50;95' is no percentile; write numbers from 0 to 100"),
        (("--metric", "cpu", "--p", ",".join(map(str, range(21)))), "21 percentiles are too many; write 20 at most"),
        (("--metric", "cpu", "--by", "pods"), "--by: 'pods' is not accepted; did you mean pod?"),
        (("--metric", "cpu", "--by", "node"), "write pod, namespace, command or host, or several: pod,command"),
        (("--metric", "cpu", "--lines", "0"), "--lines: 0 is not accepted; write 1 or more"),
    ],
)
def test_what_cannot_be_asked_is_refused(ask: Ask, words: tuple[str, ...], sentence: str) -> None:
    """With what to write instead."""
    code, output, warnings = ask(*words)
    assert (code, output) == (64, "")
    assert sentence in warnings


def test_an_unknown_question_is_refused(tmp_path: Path) -> None:
    """With those that there are."""
    assert (
        agentctl_here(tmp_path, "ask", "percentil")[2]
        == "agentctl: ask: there is no question 'percentil'; did you mean percentile?\n"
    )
    assert agentctl_here(tmp_path, "ask", "zzz")[2] == (
        "agentctl: ask: there is no question 'zzz'; it answers percentile, sum, avg, max, count, top, rows\n"
    )


@pytest.mark.usefixtures("stored")
@pytest.mark.runbook("Sketches")
def test_no_data_says_what_to_do(ask: Ask) -> None:
    """In a time without windows, and of a pod that there is not."""
    code, output, warnings = ask("--metric", "cpu")
    assert (code, output) == (69, "")
    assert "there is no sketch of cpu in this time; a window's sketches are written when it is over" in warnings
    assert (
        "no sketch of cpu is of shop/wep in this time; did you mean shop/web?"
        in ask("--metric", "cpu", "--pod", "shop/wep", *SPAN)[2]
    )
    assert "`--by pod,command` shows which there are" in ask("--metric", "cpu", "--command", "x", *SPAN)[2]


@pytest.mark.usefixtures("stored")
def test_files_that_are_left_out_are_named(ask: Ask, tmp_path: Path) -> None:
    """The answer comes without them."""
    stranger = next((tmp_path / "data/process_sketch").rglob("*00000001*"))
    stranger.write_bytes(b"nonsense")
    code, output, warnings = ask("--metric", "cpu", *SPAN)
    assert (code, output.splitlines()[1].split()[0]) == (0, "400")
    assert str(stranger) in warnings


@pytest.mark.usefixtures("stored")
def test_the_last_hour_is_asked_where_no_time_is_given(ask: Ask, tmp_path: Path) -> None:
    """Also before an --until."""
    recent = (time.time_ns() - 120 * S) // WINDOW_NS * WINDOW_NS
    seal(tmp_path, "process_sketch", 4, [sketch_row(recent, [5]), sketch_row(recent - 7_200 * S, [6])], form=SKETCH_FORM)
    assert document(ask("--metric", "cpu", "--json"))["groups"][0]["values"] == 1
    assert document(ask("--metric", "cpu", "--json", "--until", "2024-01-02T03:10Z"))["windows"] == 5


@pytest.mark.usefixtures("stored")
def test_a_deadline_ends_it(ask: Ask) -> None:
    """With what to do."""
    code, _, warnings = ask("--metric", "cpu", "--timeout", "0.000001", *SPAN)
    assert code == 75
    assert "were over before all sketches were read; ask for a shorter time, or give a longer --timeout" in warnings


@pytest.mark.usefixtures("stored")
def test_an_answer_by_namespace_sums_its_pods(ask: Ask) -> None:
    """A pod that nobody named is in none; one namespace can be chosen."""
    _, output, _ = ask("--metric", "cpu", "--by", "namespace", "--p", "99", *SPAN)
    assert [line.split()[:2] for line in output.splitlines()[:3]] == [["NAMESPACE", "VALUES"], ["no", "namespace"], ["shop", "500"]]
    (group,) = document(ask("--metric", "cpu", "--by", "namespace", "--namespace", "shop", "--json", *SPAN))["groups"]
    assert (group["namespace"], group["values"], group["max"]) == ("shop", 500, 6_000)
    assert ask("--metric", "cpu", "--namespace", "shpo", *SPAN)[0] == 69
