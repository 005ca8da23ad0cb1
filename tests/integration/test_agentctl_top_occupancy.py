"""agentctl top --occupancy: who holds the cache, from spool and sealed files, on a pipe and on a real terminal."""

import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from fakes.agentctl_here import agentctl_here
from fakes.control_server import FakeControlServer
from fakes.listed_pod import pod_list, pod_row
from fakes.live_terminal import DEADLINE_SECONDS, watching
from fakes.stored_data import FORMS, batch_of, head_of, process_row, write_parquet, write_segment
from fakes.stored_occupancy import MIB, OCCUPANCY, occupancy_row, occupancy_tick

from agent.cli.program import run

HEADER_LINES = 4
TABLES = {**FORMS, "occupancy": OCCUPANCY}
Top = Callable[..., tuple[int, str, str]]


def head(segment: str) -> bytes:
    return head_of(segment, TABLES)


def tick(at: int, **llc_of_pod: int | None) -> bytes:
    """One tick of pods `shop/<uid>`."""
    absent = "llc_occupancy:unavailable"
    rows = [
        occupancy_row(at, uid, name=f"shop/{uid}", llc=llc, absent=None if llc is not None else absent)
        for uid, llc in llc_of_pod.items()
    ]
    return occupancy_tick(at, rows)


@pytest.fixture
def top(tmp_path: Path) -> Top:
    """Run `agentctl top --occupancy` over the folders of the test."""

    def call(*words: str) -> tuple[int, str, str]:
        return agentctl_here(tmp_path, "top", "--occupancy", *words)

    return call


def pods_in(answer: tuple[int, str, str]) -> list[str]:
    code, text, told = answer
    assert (code, told) == (0, "")
    return [line.split()[0] for line in text.splitlines()[HEADER_LINES:]]


def test_without_a_terminal_it_is_printed_once(tmp_path: Path, top: Top) -> None:
    """The newest tick of the open spool, in the order that is asked for, without control characters."""
    write_segment(tmp_path, "a", head("a") + tick(1, web=MIB) + tick(2, db=MIB, web=3 * MIB, cart=None))
    code, text, told = top()
    assert (code, told) == (0, "")
    assert "agent not running: data is" in text
    assert "2 pods measured" not in text
    assert "3 pods measured, others unknown   LLC 4.0 MiB of 32.0 MiB   BW 2.9 MiB/s" in text
    assert text.splitlines()[-1].split() == ["shop/cart", "-", "-", "976.6", "KiB/s", "488.3", "KiB/s", "unavailable"]
    assert "\x1b" not in text
    assert pods_in(top("--once")) == ["shop/web", "shop/db", "shop/cart"]
    assert pods_in(top("--sort", "name")) == ["shop/cart", "shop/db", "shop/web"]


def test_the_trend_is_of_the_ticks_that_the_spool_still_holds(tmp_path: Path, top: Top) -> None:
    """One screen has a past too, over the border of two segments."""
    write_segment(tmp_path, "a", head("a") + tick(1, web=MIB) + tick(2, web=4 * MIB))
    write_segment(tmp_path, "b", head("b") + tick(3, web=8 * MIB))
    assert top()[1].splitlines()[-1].endswith("▂▅█")


def test_other_tables_of_the_spool_are_no_occupancy(tmp_path: Path, top: Top) -> None:
    """Ticks of processes between and behind those of the sampler change nothing."""
    other = batch_of("process", [process_row(9, 11)], stamp_wall_ns=9)
    write_segment(tmp_path, "a", head("a") + other + tick(1, web=MIB) + other)
    assert pods_in(top()) == ["shop/web"]


def test_a_running_agent_tells_names_and_who_is_not_measured(tmp_path: Path, top: Top) -> None:
    """Pods without a row have the agent's reason, in a line and in the sums; the JSON has them too."""
    rows = [occupancy_row(1, "u1", group="s"), occupancy_row(1, "u2", group="s", name="shop/cart")]
    write_segment(tmp_path, "a", head("a") + occupancy_tick(1, rows))
    pods = pod_list(
        pod_row("u1", namespace="shop", name="web"),
        pod_row("u2"),
        pod_row("u3", namespace="batch", name="job", group_state="failed", group_problem="capacity"),
        pod_row("system.slice/x.service", kind="service", group=None, group_state="ignored", rule="quiet"),
    )
    with FakeControlServer(str(tmp_path), {"list-pods": pods}):
        text = top()[1]
        document = json.loads(top("--json")[1])
    assert "2 pods measured, 2 not   LLC 1.0 MiB of" in text
    assert "by llc   not measured: 1 capacity, 1 ignored by a rule" in text
    assert [line.split()[:3] for line in text.splitlines()[HEADER_LINES:]] == [
        ["shop/cart", "1.0", "MiB"],
        ["shop/web", "=", "above"],
        ["batch/job", "-", "-"],
        ["system.slice/x.service", "-", "-"],
    ]
    assert document["unmeasured"][0] == {"pod": "batch/job", "reason": "capacity", "uid": "u3"}
    assert [pod["llc_bytes"] for pod in document["pods"]] == [MIB, MIB]


def test_without_an_agent_json_says_that_the_others_are_unknown(tmp_path: Path, top: Top) -> None:
    """Null, which is not the same as none."""
    write_segment(tmp_path, "a", head("a") + tick(1, web=MIB))
    document = json.loads(top("--json")[1])
    assert (document["unmeasured"], document["at_wall_ns"], document["host"]) == (None, 1, "node-1")


def test_what_ails_the_agent_is_told(tmp_path: Path, top: Top) -> None:
    """One that does not answer, one that answers with an error, and data that is old for no such reason."""
    write_segment(tmp_path, "a", head("a") + tick(1, web=MIB))
    with FakeControlServer(str(tmp_path), {}, is_mute=True):
        assert "agent does not answer: data is" in top("--timeout", "0.1")[1]
    with FakeControlServer(str(tmp_path), {}):
        text = top()[1]
    assert "no new samples: data is" in text
    assert "others unknown (agent lists none)" in text


def test_sealed_data_is_shown_where_there_is_no_spool(tmp_path: Path, top: Top) -> None:
    """The last tick of the newest whole file, with the trend of those before it."""
    rows = [occupancy_row(10**9 * at, uid, llc=at * MIB, name=f"shop/{uid}") for at in (1, 2) for uid in ("web", "db")]
    write_parquet(tmp_path, "occupancy", "a", rows, form=OCCUPANCY)
    write_parquet(tmp_path, "occupancy", "b", rows, form=OCCUPANCY).write_bytes(b"PAR1")
    assert pods_in(top()) == ["shop/db", "shop/web"]
    assert "LLC 4.0 MiB of" in top()[1]
    assert top()[1].splitlines()[-1].endswith("▅█")


@pytest.mark.parametrize("folder", ["spool", "data"])
def test_without_occupancy_the_ways_to_some_are_told(folder: str, tmp_path: Path, top: Top) -> None:
    """An agent without resctrl has data and no such data: doctor, setting and emulator are named."""
    (tmp_path / folder).mkdir()
    code, text, told = top()
    assert (code, text, told.count("\n")) == (69, "", 1)
    for word in ("no cache occupancy", "agentctl doctor", "sampler.resctrl.enabled", "agentctl emulate-resctrl"):
        assert word in told


def test_a_folder_that_no_agent_had_is_told(tmp_path: Path, top: Top) -> None:
    """There the way is to start one."""
    code, text, told = top()
    assert (code, text, told.count("\n")) == (69, "", 1)
    assert "scripts/run" in told


@pytest.mark.parametrize("words", [("--sort", "cpu"), ("--sort", "size")])
def test_an_order_of_another_view_is_told(words: tuple[str, ...], top: Top) -> None:
    """Misuse ends with 64 and names the orders that there are."""
    code, _, told = top(*words)
    assert (code, "llc, bw, name" in told) == (64, True)


def test_the_view_of_processes_takes_no_order_of_this_one(tmp_path: Path) -> None:
    """Neither does it sort processes by cache."""
    output, warnings = io.StringIO(), io.StringIO()
    assert run(["top", "--sort", "llc", "--state-dir", str(tmp_path)], {}, output, warnings) == 64
    assert "cpu, rss, io, net, threads, age, pod" in warnings.getvalue()


@pytest.mark.parametrize(("encoding", "last"), [("utf-8", "█"), ("ascii", "@"), ("latin-1", "@")])
def test_a_trend_has_letters_that_can_be_printed(encoding: str, last: str, tmp_path: Path) -> None:
    """Where the locale has no blocks, plain letters stand for them, and no escape takes their room."""
    write_segment(tmp_path, "a", head("a") + tick(1, web=MIB))
    line = [sys.executable, "-m", "agent.cli.main", "top", "--occupancy"]
    folders = ["--state-dir", str(tmp_path), "--runtime-dir", str(tmp_path)]
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    done = subprocess.run([*line, *folders], env=environment, capture_output=True, check=True, timeout=DEADLINE_SECONDS)
    assert re.search(rf"KiB/s +{re.escape(last)}$", done.stdout.decode(encoding).splitlines()[-1])


def test_the_screen_follows_the_spool_and_its_keys(tmp_path: Path) -> None:
    """Live: new ticks move the trend, keys choose the order, a small terminal drops columns, q ends it."""
    path = write_segment(tmp_path, "a", head("a") + tick(10**9, web=MIB))
    with watching(tmp_path, "--occupancy") as terminal:
        terminal.wait_for(r"\x1b\[\?1049h.*by llc   \(keys l b n q\).*LLC TREND.*shop/web")
        with path.open("ab") as spool:
            spool.write(tick(2 * 10**9, web=MIB, db=2 * MIB))
        terminal.wait_for("shop/db.*shop/web.*██")
        os.write(terminal.leader, b"n")
        terminal.wait_for("by name.*shop/db.*shop/web")
        os.write(terminal.leader, b"b")
        terminal.wait_for("by bw.*BW TREND")
        terminal.resize(columns=40, lines=10)
        terminal.wait_for(r"LLC% +BW\x1b")
        os.write(terminal.leader, b"q")
        terminal.wait_for(r"\x1b\[\?25h\x1b\[\?1049l")
        assert terminal.program.wait(DEADLINE_SECONDS) == 0
