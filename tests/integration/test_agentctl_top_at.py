"""agentctl top --at: a moment of the past from sealed files and open spool, and the keys that go back and forth."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from fakes.agentctl_here import agentctl_here
from fakes.live_terminal import watching
from fakes.sealed_files import seal
from fakes.stored_data import batch_of, head_of, process_row, tail_row, write_segment
from fakes.stored_occupancy import OCCUPANCY, occupancy_row, occupancy_tick

from agent.cli import stored_rows
from agent.cli.sealed_listing import list_sealed
from agent.cli.top_history import HistoryReader, source_of
from agent.model.table import Value
from agent.model.tables import POD_GROUP
from agent.store.record import form_of
from workers.registry import tables

S = 10**9
# Midnight of 2024-01-02, UTC.
MIDNIGHT = 1_704_153_600 * S

Top = Callable[..., tuple[int, str, str]]


@pytest.fixture
def top(tmp_path: Path) -> Top:
    """Run `agentctl top` over the folders of the test."""

    def call(*words: str) -> tuple[int, str, str]:
        return agentctl_here(tmp_path, "top", *words)

    return call


def ticks(begin: int, count: int) -> list[int]:
    return [begin + second * S for second in range(count)]


@pytest.fixture
def stored(tmp_path: Path) -> None:
    """Three stretches of ten seconds: two sealed ones an hour apart, one of a minute later in the spool. A pid for each second."""
    for generation, begin in ((1, MIDNIGHT), (2, MIDNIGHT + 3_600 * S)):
        at = ticks(begin, 10)
        seal(tmp_path, "process", generation, [process_row(stamp, pid=1_000 * generation + k) for k, stamp in enumerate(at)])
        seal(tmp_path, "process_tail", generation, [tail_row(stamp, 7) for stamp in at])
    data = head_of("0000000300000000")
    for k, stamp in enumerate(ticks(MIDNIGHT + 3_660 * S, 10)):
        data += batch_of("process", [process_row(stamp, 3_000 + k)], stamp_wall_ns=stamp)
        data += batch_of("process_tail", [tail_row(stamp, 7)], stamp_wall_ns=stamp)
    write_segment(tmp_path, "0000000300000000", data)


def pid_of(answer: tuple[int, str, str]) -> int:
    code, text, told = answer
    assert (code, told) == (0, "")
    (process,) = json.loads(text)["processes"]
    return int(process["pid"])


@pytest.mark.parametrize(
    ("when", "pid"),
    [
        ("2024-01-02T00:00:03Z", 1_003),
        ("2024-01-02T00:00:03.9Z", 1_003),
        ("2024-01-02T00:00:40Z", 1_009),
        ("2024-01-02T01:00:00Z", 2_000),
        ("2024-01-02T01:01:05+00:00", 3_005),
        ("2024-01-02T01:00:59Z", 2_009),
        # Nearer to the end of the first stretch than to the beginning of the second, and the other way round.
        ("2024-01-02T00:10:00Z", 1_009),
        ("2024-01-02T00:50:00Z", 2_000),
        ("2023-12-01Z", 1_000),
        ("now", 3_009),
    ],
)
def test_the_tick_of_a_moment_is_shown(when: str, pid: int, stored: None, top: Top) -> None:
    """The newest at that moment, else the nearest, whether it was sealed or waits in the spool."""
    when = "2023-12-01T00:00Z" if when == "2023-12-01Z" else when
    assert pid_of(top("--at", when, "--json")) == pid


def test_the_first_line_says_which_moment_it_is(stored: None, top: Top) -> None:
    """Date, time, distance; the sums are those of the tick."""
    lines = top("--at", "2024-01-02T00:00:03.5Z")[1].splitlines()
    assert lines[0] == "node-1   2024-01-02 00:00:03 UTC   0.5 s before the moment asked for"
    assert lines[1].startswith("8 processes   CPU 60.0 %")
    assert lines[4].split()[0] == "1003"


def test_a_moment_without_data_says_so_with_the_reason(tmp_path: Path, stored: None, top: Top) -> None:
    """The nearest on both sides, and what table gap says about that time."""
    gap = next(table for table in tables() if table.name == "gap")
    values: dict[str, object] = dict.fromkeys(gap.column_names)
    begin, end = MIDNIGHT + 10 * S, MIDNIGHT + 3_600 * S
    values |= {"timestamp": end, "worker": "sampler/process", "run": "r", "epoch": 1, "reason": "suspended"}
    values |= {"from_timestamp": begin, "until_timestamp": end}
    head = head_of("0000000400000000", {"gap": form_of(gap)})
    row = tuple(values[name] for name in gap.column_names)
    write_segment(tmp_path, "0000000400000000", head + batch_of("gap", [row], stamp_wall_ns=end))  # type: ignore[list-item]
    first = top("--at", "2024-01-02T00:50Z")[1].splitlines()[0]
    assert first.endswith(
        "10 min after the moment asked for; no data at 2024-01-02 00:50:00 UTC (sampler/process suspended); "
        "the other nearest 49 min 51 s before the moment asked for"
    )


def test_the_spool_shows_of_the_past_what_a_query_shows(tmp_path: Path, top: Top) -> None:
    """Rows that do not fit their table are left out one by one, and a segment of another installation as a whole."""
    (tmp_path / "install-id").write_text("0123456789abcdef\n")
    bad = (*process_row(MIDNIGHT, 3)[:-1], [])
    own = batch_of("process", [process_row(MIDNIGHT, 1), bad, process_row(MIDNIGHT, 2)], stamp_wall_ns=MIDNIGHT)
    other = batch_of("process", [process_row(MIDNIGHT, 4)], stamp_wall_ns=MIDNIGHT)
    write_segment(tmp_path, "a", head_of("a", install="0123456789abcdef") + own)
    write_segment(tmp_path, "b", head_of("b", install="fedcba9876543210") + other)
    shown = json.loads(top("--at", "2024-01-02T00:00:01Z", "--json")[1])
    assert sorted(process["pid"] for process in shown["processes"]) == [1, 2]


def test_a_moment_whose_file_is_damaged_says_so(tmp_path: Path, stored: None, top: Top) -> None:
    """That there is no data is half of the truth: the file that has it is named."""
    (damaged,) = (path for path in (tmp_path / "data/process/date=2024-01-02").iterdir() if "T010000Z" in path.name)
    damaged.write_bytes(damaged.read_bytes()[:-9])
    first = top("--at", "2024-01-02T00:59:59Z")[1].splitlines()[0]
    assert "   1 min" in first
    assert f"(not read: {damaged}, it does not end as a Parquet file); the other nearest" in first
    assert "not read" not in top("--at", "2024-01-02T01:01:03Z")[1]


def test_rows_since_the_clock_was_set_back_are_found(tmp_path: Path, top: Top) -> None:
    """Their segment has a name of the future."""
    data = head_of("0000000300000000") + batch_of("process", [process_row(MIDNIGHT, 7)], stamp_wall_ns=MIDNIGHT)
    write_segment(tmp_path, "0000000300000000", data).rename(tmp_path / "spool/20990101T000000Z-0000000300000000.spool")
    assert pid_of(top("--at", "2024-01-02T00:00:01Z", "--json")) == 7


def test_pods_of_the_past_have_the_names_of_their_time(tmp_path: Path, top: Top) -> None:
    """A pod that no agent knows any more is called what table pod_group called it that day."""
    seal(tmp_path, "process", 1, [process_row(MIDNIGHT + S, 1, pod="uid-1"), process_row(MIDNIGHT + S, 2, pod="uid-2")])
    known: dict[str, Value] = {column.name: 0 if column.dtype == "int64" else "" for column in POD_GROUP.columns}
    known |= {"timestamp": MIDNIGHT, "pod_uid": "uid-1", "pod_namespace": "shop", "pod_name": "web"}
    row = tuple(known[name] for name in POD_GROUP.column_names)
    seal(tmp_path, "pod_group", 1, [row], form=form_of(POD_GROUP))
    lines = top("--at", "2024-01-02T00:00:02Z")[1].splitlines()
    assert {line.split()[2] for line in lines[4:6]} == {"shop/web", "uid-2"}


def test_json_names_the_moment_that_was_asked_for(stored: None, top: Top) -> None:
    """Beside the time of the tick; without --at there is none."""
    assert json.loads(top("--at", "2024-01-02T00:00:03.5Z", "--json")[1])["asked_wall_ns"] == MIDNIGHT + 3_500_000_000
    assert "asked_wall_ns" not in json.loads(top("--json")[1])


def test_cache_occupancy_has_its_past_too(tmp_path: Path, top: Top) -> None:
    """The tick of the moment with the trend before it, over sealed file and spool."""
    rows = [occupancy_row(stamp, "u-1", name="shop/web", llc=(k + 1) << 20) for k, stamp in enumerate(ticks(MIDNIGHT, 5))]
    seal(tmp_path, "occupancy", 1, rows, form=OCCUPANCY)
    head = head_of("0000000300000000", {"occupancy": OCCUPANCY})
    spooled = [occupancy_tick(stamp, [occupancy_row(stamp, "u-1", llc=9 << 20)]) for stamp in ticks(MIDNIGHT + 5 * S, 3)]
    write_segment(tmp_path, "0000000300000000", head + b"".join(spooled))
    document = json.loads(top("--occupancy", "--at", "2024-01-02T00:00:02.5Z", "--json")[1])
    assert [pod["llc_bytes"] for pod in document["pods"]] == [3 << 20]
    assert document["unmeasured"] is None
    lines = top("--occupancy", "--at", "2024-01-02T00:00:06Z")[1].splitlines()
    assert "2024-01-02 00:00:06 UTC   as asked" in lines[0]
    assert lines[-1].endswith(" ▂▃▃▄▅██")


def test_no_data_at_all_and_no_moment_are_told(tmp_path: Path, top: Top) -> None:
    """One sentence each, exit codes 69 and 64."""
    assert top("--at", "03:12")[0] == 69
    code, _, told = top("--at", "yesterday")
    assert (code, told.count("\n"), "--at: 'yesterday' is no moment" in told) == (64, 1, True)


def test_files_that_go_under_it_are_looked_for_again(
    tmp_path: Path, stored: None, top: Top, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A day is compacted between the look at the folder and the look at its files."""
    done: list[bool] = []

    def list_and_exchange(*arguments: object) -> object:
        listing = list_sealed(*arguments)  # type: ignore[arg-type]
        if not done:
            done.append(True)
            for path in (tmp_path / "data/process/date=2024-01-02").iterdir():
                path.unlink()
            seal(tmp_path, "process", 2, [process_row(stamp, 5_000) for stamp in ticks(MIDNIGHT, 10)], is_compacted=True)
        return listing

    monkeypatch.setattr(stored_rows, "list_sealed", list_and_exchange)
    assert pid_of(top("--at", "2024-01-02T00:00:03Z", "--json")) == 5_000


@pytest.mark.parametrize("pause_seconds", [900, 7_200, 50_000, 80_000])
def test_a_pause_within_a_file_of_a_day_is_stepped_over(tmp_path: Path, top: Top, pause_seconds: int) -> None:
    """The name of a compacted file spans the pause; both ends of it are found, and no tick of the day before is nearer."""
    behind = MIDNIGHT + 5 * S + pause_seconds * S
    stamps = [*ticks(MIDNIGHT, 5), *ticks(behind, 5)]
    seal(tmp_path, "process", 1, [process_row(MIDNIGHT - 60 * S, pid=9)], is_compacted=True)
    seal(tmp_path, "process", 2, [process_row(stamp, pid=k) for k, stamp in enumerate(stamps)], is_compacted=True)
    history = HistoryReader(source_of(str(tmp_path), "process", "timestamp", tables()), lambda stamp: stamp)
    assert history.step(behind, is_before=True) == stamps[4]
    assert history.step(stamps[4], is_before=False) == behind
    shown, moment = history.at(behind - 120 * S)
    assert (shown, moment.before_ns, moment.after_ns) == (behind, stamps[4], behind)


def test_keys_go_back_and_forth_and_to_now(tmp_path: Path, stored: None) -> None:
    """By tick over the borders of files, by minute and hour, and back to the newest data."""
    with watching(tmp_path, "--at", "2024-01-02T01:00:01Z") as terminal:
        terminal.wait_for(r"01:00:01 UTC   as asked.*\[ \] minute.*2001")
        for keys, clock, pid in (
            ("\x1b[D", "01:00:00", 2_000),
            ("\x1b[D", "00:00:09", 1_009),
            ("\x1b[C", "01:00:00", 2_000),
            ("]", "01:01:00", 3_000),
            ("]", "01:01:09", 3_009),
            ("{", "00:00:09", 1_009),
            ("}", "01:01:09", 3_009),
            # No hour before the first tick is farther away than one.
            ("{{{{", "00:00:00", 1_000),
            ("}", "00:00:09", 1_009),
            ("}", "01:01:09", 3_009),
        ):
            os.write(terminal.leader, keys.encode())
            terminal.wait_for(rf"{clock} UTC   .*task-{pid}")
        os.write(terminal.leader, b"0")
        terminal.wait_for(r"agent not running: data is.*task-3009")
        os.write(terminal.leader, b"\x1b[D")
        terminal.wait_for(r"01:01:08 UTC   as asked.*task-3008")
        os.write(terminal.leader, b"q")
        assert terminal.program.wait(20) == 0


def test_a_key_that_is_held_down_is_never_cut_in_two(tmp_path: Path, stored: None) -> None:
    """More sequences than are read at once, and one that comes in pieces: no part of one is the key of a minute."""
    with watching(tmp_path, "--at", "2024-01-02T01:01:09Z") as terminal:
        terminal.wait_for(r"01:01:09 UTC   as asked.*task-3009")
        while True:
            os.write(terminal.leader, b"\x1b[D" * 25)
            terminal.wait_for(r"00:00:04 UTC   as asked.*task-1004")
            if terminal.type_in_pieces(b"\x1b", b"[", b"C"):
                break
            os.write(terminal.leader, b"}}")
            terminal.wait_for(r"01:01:09 UTC   .*task-3009")
        terminal.wait_for(r"00:00:05 UTC   as asked.*task-1005")
        os.write(terminal.leader, b"\x1b")
        os.write(terminal.leader, b"\x1b[24;5~q")
        assert terminal.program.wait(20) == 0
