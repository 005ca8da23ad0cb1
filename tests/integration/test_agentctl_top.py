"""agentctl top: one print of the newest data, and the live screen on a real terminal."""

import io
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import termios
from collections.abc import Callable
from pathlib import Path

import pytest
from fakes.agentctl_here import agentctl_here
from fakes.control_server import FakeControlServer
from fakes.listed_pod import pod_list, pod_row
from fakes.live_terminal import DEADLINE_SECONDS, on_terminal, top_line, watching
from fakes.stored_data import PROCESS, batch_of, head_of, process_row, tail_row, write_parquet, write_segment

from agent.cli.program import run
from agent.cli.top_source import END_BYTES, SampleFollower
from agent.cli.top_ticks import ProcessTicks

Top = Callable[..., tuple[int, str, str]]


def tick(at: int, *pids: int, tail: int = 7) -> bytes:
    """The batches of one tick, stamped as they are in a spool."""
    named = batch_of("process", [process_row(at, pid, pod="uid-1") for pid in pids], stamp_wall_ns=at)
    return named + batch_of("process_tail", [tail_row(at, tail)], stamp_wall_ns=at)


@pytest.fixture
def top(tmp_path: Path) -> Top:
    """Run `agentctl top` over the folders of the test."""

    def call(*words: str) -> tuple[int, str, str]:
        return agentctl_here(tmp_path, "top", *words)

    return call


def test_the_first_screen_imports_nothing_that_it_does_not_need(tmp_path: Path) -> None:
    """A person waits for it: no `inspect` (which `typing_extensions` would bring), nothing that reads sealed files, no SQL."""
    write_segment(tmp_path, "a", head_of("a") + tick(1, 11))
    folders = ("--state-dir", str(tmp_path), "--runtime-dir", str(tmp_path))
    command = (sys.executable, "-X", "importtime", "-m", "agent.cli.main", "top", "--once", *folders)
    done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_SECONDS, check=True)
    assert " task-11" in done.stdout
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "msgspec" in imported
    assert imported.isdisjoint(("inspect", "pyarrow", "duckdb", "multiprocess", "zmq"))


def test_without_a_terminal_it_is_printed_once(tmp_path: Path, top: Top) -> None:
    """The newest tick of the open spool, with the age of the data and without control characters."""
    write_segment(tmp_path, "a", head_of("a") + tick(1, 11) + tick(2, 22, 23))
    code, text, told = top()
    assert (code, told) == (0, "")
    assert "agent not running: data is" in text
    assert "9 processes   CPU 70.0 %" in text
    assert [line.split()[0] for line in text.splitlines()[4:]] == ["22", "23", "…"]
    assert "\x1b" not in text


def test_pods_have_the_names_that_a_running_agent_tells(tmp_path: Path, top: Top) -> None:
    """With an agent the pod's name stands in its column, without one its uid."""
    write_segment(tmp_path, "a", head_of("a") + tick(1, 11))
    assert "uid-1" in top()[1]
    pods = pod_list(pod_row("uid-1", namespace="shop", name="web"))
    with FakeControlServer(str(tmp_path), {"list-pods": pods}):
        text = top()[1]
    assert "shop/web" in text
    assert "no new samples: data is" in text


def test_a_fresh_segment_without_ticks_shows_the_last_of_the_one_before(tmp_path: Path, top: Top) -> None:
    """A rotation leaves no empty screen."""
    write_segment(tmp_path, "a", head_of("a") + tick(1, 11))
    write_segment(tmp_path, "b", head_of("b"))
    assert top()[1].splitlines()[4].split()[0] == "11"


def test_sealed_data_is_shown_where_there_is_no_spool(tmp_path: Path, top: Top) -> None:
    """The last tick of the newest sealed file."""
    write_parquet(tmp_path, "process", "a", [process_row(1, 11), process_row(2, 22)])
    write_parquet(tmp_path, "process_tail", "a", [tail_row(1, 5), tail_row(2, 6)])
    assert "7 processes" in top()[1]
    assert json.loads(top("--json")[1])["processes"][0]["pid"] == 22


@pytest.mark.runbook("Top")
def test_without_data_the_way_to_some_is_told(tmp_path: Path, top: Top) -> None:
    """One sentence, exit code 69."""
    code, text, told = top()
    assert (code, text, told.count("\n")) == (69, "", 1)
    assert "`scripts/run`" in told


def test_a_damaged_sealed_file_does_not_end_top(tmp_path: Path, top: Top) -> None:
    """The newest file that is whole is shown."""
    write_parquet(tmp_path, "process", "a", [process_row(1, 11)])
    write_parquet(tmp_path, "process", "b", [process_row(2, 22)]).write_bytes(b"PAR1")
    assert json.loads(top("--json")[1])["processes"][0]["pid"] == 11


@pytest.mark.runbook("Top")
def test_what_ails_the_agent_is_told(tmp_path: Path, top: Top) -> None:
    """An agent that does not answer runs; one without a socket does not; an error is an answer."""
    write_segment(tmp_path, "a", head_of("a") + tick(1, 11))
    assert "agent not running: data is" in top()[1]
    with FakeControlServer(str(tmp_path), {}, is_mute=True):
        assert "agent does not answer: data is" in top("--timeout", "0.1")[1]
    with FakeControlServer(str(tmp_path), {}, raw=b""):
        assert "agent does not answer: data is" in top()[1]
    with FakeControlServer(str(tmp_path), {}):
        assert "no new samples: data is" in top()[1]


def test_in_a_pipe_no_command_is_cut(tmp_path: Path, top: Top) -> None:
    """The command comes last and whole, the figures stand before it."""
    row = list(process_row(1, 11))
    row[PROCESS.names.index("command_line")] = "/bin/task-11 " + "x" * 500
    write_segment(tmp_path, "a", head_of("a") + batch_of("process", [tuple(row)]))
    lines = top()[1].splitlines()
    assert lines[3].split() == ["PID", "USER", "PPID", "S", "THR", "CPU%", "RSS", "COMMAND"]
    assert lines[4].endswith("1.0M task-11  /bin/task-11 " + "x" * 500)


def test_an_order_or_interval_that_is_none_is_told(top: Top) -> None:
    """Misuse ends with 64."""
    assert [top("--sort", "name")[0], top("--interval", "0.01")[0]] == [64, 64]


def test_only_new_bytes_are_read_and_rotations_followed(tmp_path: Path) -> None:
    """The follower goes from record to record and from segment to segment, at any cut."""
    path = write_segment(tmp_path, "a", b"")
    follower = SampleFollower(str(tmp_path), ("process", "process_tail"), ProcessTicks())
    data = head_of("a") + tick(1, 11) + tick(2, 22)
    seen = []
    for end in (*range(0, len(data), 7), len(data)):
        path.write_bytes(data[:end])
        sample = follower.poll()
        seen.append(sample and sample.processes[0].pid)
    assert list(dict.fromkeys(seen)) == [None, 11, 22]
    write_segment(tmp_path, "b", head_of("b") + tick(3, 33))
    path.unlink()
    assert getattr(follower.poll(), "at_wall_ns", None) == 3
    assert follower.damaged == 0


@pytest.mark.parametrize("is_sparse", [False, True])
def test_a_large_segment_is_read_from_its_end(is_sparse: bool, tmp_path: Path) -> None:
    """A minute of ticks is in its last bytes; where other tables fill these, more is read. No cut record counts as damage."""
    begin = b"".join(tick(at, *range(100, 120)) for at in range(1, 4))
    many = batch_of("process_tail", [tail_row(1, 7)] * 5_000) if is_sparse else tick(4, *range(100, 150))
    data = head_of("a") + begin + many * (4 * END_BYTES // len(many) + 1)
    write_segment(tmp_path, "a", data + (b"" if is_sparse else tick(5, 55)))
    follower = SampleFollower(str(tmp_path), ("process", "process_tail"), ProcessTicks())
    assert getattr(follower.poll(), "at_wall_ns", None) == (3 if is_sparse else 5)
    assert follower.damaged == 0


def test_a_segment_without_a_head_yet_hides_no_tick(tmp_path: Path) -> None:
    """It was opened a moment ago; the newest tick is at the end of the one before it."""
    write_segment(tmp_path, "a", head_of("a") + tick(1, 11))
    write_segment(tmp_path, "b", head_of("b")[:7])
    follower = SampleFollower(str(tmp_path), ("process", "process_tail"), ProcessTicks())
    assert getattr(follower.poll(), "at_wall_ns", None) == 1


def test_a_segment_of_another_installation_is_not_shown(tmp_path: Path) -> None:
    """Somebody copied it here: what it says was not measured on this host."""
    (tmp_path / "install-id").write_text("0123456789abcdef\n")
    write_segment(tmp_path, "a", head_of("a", install="0123456789abcdef") + tick(1, 11))
    write_segment(tmp_path, "b", head_of("b", install="fedcba9876543210") + tick(2, 22))
    follower = SampleFollower(str(tmp_path), ("process", "process_tail"), ProcessTicks())
    assert getattr(follower.poll(), "at_wall_ns", None) == 1


def test_a_row_that_does_not_fit_is_left_out_alone(tmp_path: Path, top: Top) -> None:
    """Top shows the rows that a query shows, and says how many it does not."""
    bad = list(process_row(1, 12))
    bad[PROCESS.names.index("rss_bytes")] = 1.5
    write_segment(tmp_path, "a", head_of("a") + batch_of("process", [process_row(1, 11), tuple(bad), process_row(1, 13)]))
    sample = SampleFollower(str(tmp_path), ("process", "process_tail"), ProcessTicks()).poll()
    assert sample is not None
    assert ([process.pid for process in sample.processes], sample.bad_rows) == ([11, 13], 1)
    assert "by cpu   1 bad row left out\n" in top()[1]


# ---- on a terminal -------------------------------------------------------------------------------


def test_the_screen_follows_the_spool_and_q_gives_the_terminal_back(tmp_path: Path) -> None:
    """Live: new ticks, keys and a new size are shown; afterwards everything is as before."""
    path = write_segment(tmp_path, "a", head_of("a") + tick(1, 11))
    with watching(tmp_path) as terminal:
        terminal.wait_for(r"\x1b\[\?1049h.*task-11.*7 others")
        assert terminal.local_modes() & (termios.ECHO | termios.ICANON) == 0
        with path.open("ab") as spool:
            spool.write(tick(2, 22))
        terminal.wait_for("task-22")
        os.write(terminal.leader, b"r")
        terminal.wait_for("by rss")
        os.write(terminal.leader, b"p")
        terminal.wait_for(r"1 process .* uid-1")
        terminal.resize(columns=120, lines=10)
        terminal.wait_for(r"COMMAND {60,}")
        terminal.resize(columns=40, lines=10)
        terminal.wait_for(r"PID S THR  CPU%   RSS COMMAND {11}\x1b")
        os.write(terminal.leader, b"q")
        terminal.wait_for(r"\x1b\[\?25h\x1b\[\?1049l")
        assert terminal.program.wait(DEADLINE_SECONDS) == 0
        assert terminal.local_modes() == terminal.modes_before
        assert terminal.program.stderr is not None
        assert terminal.program.stderr.read() == b""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)])
def test_a_signal_gives_the_terminal_back(number: signal.Signals, code: int, tmp_path: Path) -> None:
    """However it is ended, the terminal has its echo and its first screen again, and nothing is complained of."""
    write_segment(tmp_path, "a", head_of("a") + tick(1, 11))
    with watching(tmp_path) as terminal:
        terminal.wait_for("task-11")
        if number is signal.SIGINT:
            os.write(terminal.leader, b"\x03")
        else:
            terminal.program.send_signal(number)
        terminal.wait_for(r"\x1b\[\?1049l")
        assert terminal.program.wait(DEADLINE_SECONDS) == code
        assert terminal.local_modes() == terminal.modes_before
        assert terminal.program.stderr is not None
        assert terminal.program.stderr.read() == b""


def test_no_line_is_longer_than_a_terminal_of_80_columns(tmp_path: Path) -> None:
    """A screen of 80 x 24 neither wraps nor scrolls."""
    write_segment(tmp_path, "a", head_of("a") + tick(1, *range(1000, 1100)))
    with watching(tmp_path) as terminal:
        terminal.wait_for(r"\x1b\[H.*… 88 others.*\x1b\[J")
        frame = terminal.seen.split("\x1b[H")[1].split("\x1b[J")[0]
        lines = [re.sub(r"\x1b\[[0-9;]*[mK]", "", line) for line in frame.split("\r\n")]
        assert len(lines) == 24
        assert max(map(len, lines)) <= 80
        os.write(terminal.leader, b"q")
        assert terminal.program.wait(DEADLINE_SECONDS) == 0


def test_ctrl_z_gives_the_terminal_to_the_shell_and_fg_brings_it_back(tmp_path: Path) -> None:
    """The first screen and the cursor are there before the shell speaks; continued, it draws what is new. Twice, then q."""
    path = write_segment(tmp_path, "a", head_of("a") + tick(1, 11))
    with on_terminal(["bash", "--norc", "--noprofile", "-i"]) as terminal:
        os.write(terminal.leader, (shlex.join(top_line(tmp_path)) + "\n").encode())
        terminal.wait_for(r"\x1b\[\?1049h.*task-11")
        for number in (22, 33):
            os.write(terminal.leader, b"\x1a")
            terminal.wait_for(r"\x1b\[\?25h\x1b\[\?1049l")
            os.write(terminal.leader, b"jobs\n")
            terminal.wait_for("Stopped")
            with path.open("ab") as spool:
                spool.write(tick(number, number))
            os.write(terminal.leader, b"fg\n")
            terminal.wait_for(rf"\x1b\[\?1049h.*task-{number}")
        os.write(terminal.leader, b"q")
        terminal.wait_for(r"\x1b\[\?25h\x1b\[\?1049l")
        os.write(terminal.leader, b"echo it ended with $?\n")
        terminal.wait_for("it ended with 0")


@pytest.mark.parametrize("kind", ["dumb", ""])
def test_a_terminal_that_can_only_print_gets_screens_without_escapes(kind: str, tmp_path: Path) -> None:
    """One below the other, until Ctrl-C."""
    path = write_segment(tmp_path, "a", head_of("a") + tick(1, 11))
    with watching(tmp_path, kind=kind) as terminal:
        terminal.wait_for("task-11.*task-11")
        with path.open("ab") as spool:
            spool.write(tick(2, 22))
        terminal.wait_for("task-22")
        os.write(terminal.leader, b"\x03")
        assert terminal.program.wait(DEADLINE_SECONDS) == 130
        assert "\x1b" not in terminal.seen
        assert terminal.program.stderr is not None
        assert terminal.program.stderr.read() == b""


# ---- what can be chosen ----------------------------------------------------------------------------


def test_options_choose_what_keys_choose(tmp_path: Path, top: Top) -> None:
    """For scripts: a filter, a tree, an order; a tree of pods is misuse."""
    write_segment(tmp_path, "a", head_of("a") + tick(1, 11, 22))
    rows = top("--filter", "task-11")[1].splitlines()[-2:]
    assert (rows[0].split()[0], rows[1].split()[-1]) == ("11", "task-22")
    assert "… 8 others" in rows[1]
    assert "(not named)" in top("--tree", "--sort", "rss")[1]
    assert [top("--tree", "--sort", "pod")[0], top("--tree", "--occupancy")[0], top("--filter", "x" * 99)[0]] == [64] * 3
    document = json.loads(top("--json")[1])
    assert {"problems", "scan", "machine", "ended", "tail", "processes"} <= document.keys()
    assert "before" not in document


def test_a_document_has_what_the_filter_keeps_or_refuses_what_it_cannot_have(tmp_path: Path, top: Top) -> None:
    """Nothing that is asked for is passed over."""
    write_segment(tmp_path, "a", head_of("a") + tick(1, 11, 22))
    found = json.loads(top("--json", "--filter", "task-11")[1])
    assert [process["pid"] for process in found["processes"]] == [11]
    assert (found["tail"], found["at_wall_ns"]) == ([], 1)
    assert [process["pid"] for process in json.loads(top("--json")[1])["processes"]] == [11, 22]
    assert [top("--json", "--tree")[0], top("--json", "--occupancy", "--filter", "x")[0]] == [64, 64]


@pytest.mark.parametrize(
    ("words", "environment", "has_colour"),
    [((), {}, False), (("--color", "always"), {"NO_COLOR": "1"}, True), (("--color", "never"), {}, False)],
)
def test_colours_are_for_terminals_unless_they_are_asked_for(
    words: tuple[str, ...], environment: dict[str, str], has_colour: bool, tmp_path: Path
) -> None:
    """A pipe has none; `--color always` has them in any case, for `less -R`."""
    write_segment(tmp_path, "a", head_of("a") + tick(1, 11))
    output = io.StringIO()
    line = ["top", "--state-dir", str(tmp_path), "--runtime-dir", str(tmp_path), *words]
    assert run(line, environment, output, io.StringIO()) == 0
    assert ("\x1b[" in output.getvalue()) is has_colour


@pytest.mark.parametrize(("words", "no_colour"), [((), "1"), (("--color", "never"), "")])
def test_a_terminal_without_colours_gets_none(words: tuple[str, ...], no_colour: str, tmp_path: Path) -> None:
    """NO_COLOR and --color never: the screen is drawn, and nothing on it has a style."""
    write_segment(tmp_path, "a", head_of("a") + tick(1, 11))
    with watching(tmp_path, *words, environment={"NO_COLOR": no_colour}) as terminal:
        terminal.wait_for(r"task-11.*\x1b\[J")
        assert re.search(r"\x1b\[[0-9;]+m", terminal.seen) is None


def test_keys_filter_scroll_pause_and_help(tmp_path: Path) -> None:
    """Each is on the screen at once, and Esc or another key leads back."""
    path = write_segment(tmp_path, "a", head_of("a") + tick(1, *range(100, 150)))
    with watching(tmp_path, environment={"NO_COLOR": "1"}) as terminal:
        terminal.resize(columns=120, lines=24)
        # The last line of any screen names commands that have no line: only a line of its own is a process's.
        for keys, seen in (
            ("/", "filter: _"),
            ("task-14q", r"filter: task-14q_ \(0 found\)"),
            ("\x7f", r"filter: task-14_ \(10 found\).*task-140"),
            ("\r", r"filter: task-14 \(10 found\).*by cpu   \? help"),
            ("\x1b", r"by cpu   \? help.*\n +100 root"),
            ("\x1b[6~", r"from \d+ on"),
            ("\x1b[H", r"by cpu   \? help.*\n +100 root"),
            ("t", r"by cpu   tree .*\(not named\)"),
            ("+", "tree of sums"),
            ("?", "any key leads back"),
            ("x", "tree of sums"),
            ("T", "by threads"),
            (" ", "paused"),
        ):
            os.write(terminal.leader, keys.encode())
            terminal.wait_for(seen)
        with path.open("ab") as spool:
            spool.write(tick(2, 999))
        terminal.wait_for(r"paused(?!.*task-999).*\x1b\[J.*paused(?!.*task-999).*\x1b\[J")
        os.write(terminal.leader, b" ")
        terminal.wait_for("task-999")
        letter = "漢".encode()
        os.write(terminal.leader, b"/")
        while not terminal.type_in_pieces(letter[:1], letter[1:]):
            os.write(terminal.leader, b"\x15")
        terminal.wait_for("filter: 漢_")
        os.write(terminal.leader, b"\x04")
        assert terminal.program.wait(DEADLINE_SECONDS) == 0
