"""Who a process with a row is: command line and user, right at each tick, null with a reason where they cannot be had."""

import errno
from typing import Any

import pytest
from fakes.host import PAGE_BYTES, Host, why

from agent.model.timebase import MS

pytestmark = pytest.mark.usefixtures("watched_and_polled")


def _measured(host: Host, ticks: int = 1) -> None:
    for _ in range(ticks):
        host.tick()


def test_command_lines_are_masked_by_default() -> None:
    """A secret on a command line never reaches a table."""
    host = Host()
    host.born(5, command_line=b"mysql\0--password=hunter2\0--token\0abc\0")
    assert host.tick().row(5)["command_line"] == "mysql --password=*** --token ***"


def test_the_program_alone_is_a_choice() -> None:
    """No argument is stored."""
    host = Host(command_line="program")
    host.born(5, command_line=b"/bin/mysql\0--fast\0")
    assert host.tick().row(5)["command_line"] == "/bin/mysql"


def test_a_command_line_that_the_limit_of_reading_cuts_shows_no_half_of_a_secret() -> None:
    """Sixteen times what is stored is read; the password's end is behind it."""
    host = Host(command_line_bytes=16)
    host.born(5, command_line=b"run\0" + b"x://u:" + b"hunter2" * 100 + b"@host\0")
    assert host.tick().row(5)["command_line"] == "run ***"


def test_full_command_lines_are_a_choice() -> None:
    """Cut at the bound that is set."""
    host = Host(command_line="full", command_line_bytes=16)
    host.born(5, command_line=b"mysql\0--password=hunter2\0")
    assert host.tick().row(5)["command_line"] == "mysql --password"


def test_switched_off_command_lines_are_not_even_read() -> None:
    """And every row says why."""
    host = Host(command_line="off")
    host.born(5)
    row = host.tick().row(5)
    assert (row["command_line"], why(row, "command_line"), row["uid"]) == (None, "switched_off", 0)
    assert ("open", "5/cmdline") not in host.tree.calls


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"name": b"kworker/0:1", "state": "I", "rss_pages": 0, "is_kernel_thread": True}, "kernel_thread"),
        ({"state": "Z", "rss_pages": 0}, "vanished"),
        ({"rss_pages": 7}, "empty_command_line"),
        ({"rss_pages": 0}, "empty_command_line"),
        ({"command_line": bytes(20)}, "empty_command_line"),
    ],
)
def test_an_empty_command_line_has_its_reason(fields: dict[str, Any], reason: str) -> None:
    """A kernel thread never had one, a zombie has none any more, and one that lives has none or has wiped it."""
    host = Host()
    host.born(5, **{"command_line": b"", **fields})
    _measured(host)
    assert (host.tick().row(5)["command_line"], why(host.tick().row(5), "command_line")) == (None, reason)


def test_an_empty_command_line_of_a_process_that_has_just_ended_is_vanished() -> None:
    """Its line was read before its end; without memory it has no arguments to give."""
    host = Host()
    host.born(5, command_line=b"")
    host.reader.before_read = lambda: host.change(5, state="Z", rss_pages=0)
    assert why(host.tick().row(5), "command_line") == "vanished"


def test_a_row_never_shows_an_older_program_than_a_second_ago() -> None:
    """An exec under the same name and a title written over the arguments leave no mark in the line."""
    host = Host()
    host.born(5, name=b"python", command_line=b"python\0one.py\0")
    _measured(host, 2)
    host.change(5, command_line=b"python\0two.py\0")
    assert host.tick().row(5)["command_line"] == "python two.py"
    host.change(5, command_line=b"worker: idle\0\0\0\0")
    assert host.tick().row(5)["command_line"] == "worker: idle"


def test_a_row_never_shows_a_user_of_more_than_a_second_ago() -> None:
    """A service that gives root up after its start is not shown as root."""
    host = Host()
    host.born(5)
    _measured(host)
    host.tree.owners["5"] = 33
    host.change(5)
    assert host.tick().row(5)["uid"] == 33


def test_within_a_second_nobody_is_asked_again() -> None:
    """Ticks of 50 ms do not cost forty files each; another name is asked at once."""
    host = Host()
    host.born(5, name=b"sh", command_line=b"sh\0")
    for _ in range(10):
        host.tick(50 * MS)
    assert host.tree.calls.count(("open", "5/cmdline")) == 1
    host.change(5, name=b"nginx", command_line=b"nginx\0")
    row = host.tick(50 * MS).row(5)
    assert (row["comm"], row["command_line"]) == ("nginx", "nginx")


def test_a_zombie_keeps_the_command_line_that_it_had() -> None:
    """Once read, it is still the process's."""
    host = Host()
    host.born(5, command_line=b"make\0")
    _measured(host)
    host.change(5, state="Z", rss_pages=0, command_line=b"")
    row = host.tick().row(5)
    assert (row["command_line"], why(row, "command_line")) == ("make", None)


def test_all_command_lines_of_a_tick_are_handed_over_at_once() -> None:
    """One hand-over to the thread beside, whatever the number of rows."""
    host = Host()
    for pid in range(1, 41):
        host.born(pid)
    _measured(host)
    (paths,) = [paths for paths in host.reader.hand_overs if paths[0].endswith("cmdline")]
    assert sorted(paths) == sorted(f"{pid}/cmdline" for pid in range(1, 41))


@pytest.mark.parametrize("is_known", [True, False])
def test_a_process_whose_memory_lock_is_held_is_null_with_its_reason(is_known: bool) -> None:
    """Its other values and all other processes are measured; what was known before is not shown as if it were of now."""
    host = Host()
    host.born(5)
    host.born(6)
    if is_known:
        _measured(host)
        host.change(5)
    host.reader.stuck_paths.add("5/cmdline")
    tick = host.tick()
    assert (tick.row(5)["command_line"], tick.row(5)["uid"], why(tick.row(5), "command_line")) == (None, 0, "not_answered")
    assert (tick.row(6)["command_line"], tick.row(5)["rss_bytes"]) == ("busy --loop", 10 * PAGE_BYTES)
    stats = host.probe.stats()
    assert (stats["command_lines_unanswered"], stats["readers_stuck"]) == (1, 1)
    host.reader.stuck_paths.clear()
    assert host.tick().row(5)["command_line"] == "busy --loop"


def test_while_too_many_do_not_answer_nobody_is_asked() -> None:
    """And each row says so."""
    host = Host()
    host.born(5)
    host.reader.unasked_paths.add("5/cmdline")
    assert why(host.tick().row(5), "command_line") == "readers_stuck"


@pytest.mark.parametrize(
    ("code", "reason"), [(errno.ESRCH, "vanished"), (errno.EACCES, "no_permission"), (errno.EIO, "unreadable")]
)
def test_a_command_line_that_is_refused_has_its_reason(code: int, reason: str) -> None:
    """Ended, forbidden, or an error that nobody expects."""
    host = Host()
    host.born(5)
    host.tree.fail("5/cmdline", code)
    assert why(host.tick().row(5), "command_line") == reason
