"""A proc mount that hides the processes of other users is told as a condition, with how many are seen and the remedy."""

import os

import pytest
from fakes.bus import RecordingBus
from fakes.host import Host
from fakes.kernel_tree import MemoryTree

from workers.process.visibility import REFUSED_TICKS, Visibility, mount_options, running_threads

ALL_CAPABILITIES = b"Name:\tx\nCapEff:\t000001ffffffffff\n"
NONE = b"Name:\tx\nCapEff:\t0000000000000000\n"


def _mounts(options: str) -> bytes:
    return f"22 1 0:5 / / rw - ext4 /dev/vda rw\n30 22 0:21 / /proc rw,nosuid - proc proc {options}\nnonsense\n".encode()


def _story(options: str, capabilities: bytes = NONE, names: tuple[str, ...] = ("7", "8", "self")) -> RecordingBus:
    tree = MemoryTree({"self/mountinfo": _mounts(options), "self/status": capabilities, "loadavg": b"0.20 0.18 0.12 1/431 11206\n"})
    bus = RecordingBus()
    Visibility(tree, "/proc/", bus).check(list(names))
    return bus


def test_hidden_processes_block_readiness_and_say_how_many_and_what_to_do() -> None:
    """Two of what has 431 threads in all."""
    (told,) = _story("rw,hidepid=invisible").conditions
    assert (told.kind, told.active, told.blocks_ready) == ("processes_hidden", True, True)
    assert told.detail.startswith("only 2 processes seen, and the kernel runs 431 threads: /proc hides")
    assert "hidepid=invisible" in told.detail
    assert "mount -o remount,hidepid=0 /proc" in told.detail


def test_processes_that_are_listed_and_refuse_are_told_as_such() -> None:
    """`hidepid=1` hides nobody's number, only everything behind it."""
    (told,) = _story("rw,gid=987654,hidepid=noaccess", names=("1", "7", "8")).conditions
    assert told.detail.startswith("3 processes listed, of which only our own can be read: /proc hides")


@pytest.mark.parametrize(
    ("options", "capabilities", "names", "is_hidden"),
    [
        ("rw", NONE, ("1", "7"), False),
        ("rw,hidepid=0", NONE, ("1", "7"), False),
        ("rw,hidepid=off", NONE, ("1", "7"), False),
        ("rw,gid=987654,hidepid=1", NONE, ("1", "7"), True),
        # Where no group is named, it is root's.
        ("rw,hidepid=2", NONE, ("1", "7"), 0 not in (os.getegid(), *os.getgroups())),
        ("rw,hidepid=2", ALL_CAPABILITIES, ("1", "7"), False),
        (f"rw,gid={os.getegid()},hidepid=2", NONE, ("1", "7"), False),
        ("rw,gid=987654,hidepid=2", NONE, ("1", "7"), True),
        (f"rw,gid={os.getegid()},hidepid=ptraceable", NONE, ("1", "7"), True),
        # Whatever the options say: there always is a process 1.
        ("rw", ALL_CAPABILITIES, ("7",), True),
        ("rw", NONE, ("self",), False),
    ],
)
def test_the_mount_the_rights_and_process_1_decide(
    options: str, capabilities: bytes, names: tuple[str, ...], is_hidden: bool
) -> None:
    """Hidden is what the mount hides from this user, and whatever hides process 1."""
    assert [told.active for told in _story(options, capabilities, names).conditions] == [True] * is_hidden


def test_the_condition_ends_with_the_hiding_and_is_not_repeated() -> None:
    """Somebody mounts it otherwise."""
    tree = MemoryTree({"self/mountinfo": _mounts("rw,hidepid=2"), "self/status": NONE})
    bus = RecordingBus()
    visibility = Visibility(tree, "/proc", bus)
    for _ in range(3):
        visibility.check(["7"])
    tree.put("self/mountinfo", _mounts("rw"))
    for _ in range(3):
        visibility.check(["1", "7"])
    assert [(told.active, told.blocks_ready) for told in bus.conditions] == [(True, True), (False, False)]


def test_a_mount_that_tells_nothing_of_itself_hides_nothing_that_is_seen() -> None:
    """Files may be missing (`subset=pid`): then process 1 decides."""
    bus = RecordingBus()
    Visibility(MemoryTree({"7/": b""}), "/proc", bus).check(["1", "7"])
    assert bus.conditions == []
    Visibility(MemoryTree({"7/": b""}), "/proc", bus).check(["7"])
    assert bus.conditions[0].detail.startswith("only 1 process seen: /proc hides")


def test_processes_that_refuse_for_a_while_are_told() -> None:
    """One refusal may be a process about to end; it blocks nothing."""
    bus = RecordingBus()
    visibility = Visibility(MemoryTree(), "/proc", bus)
    for _ in range(REFUSED_TICKS - 1):
        visibility.on_refused(3, 10)
    visibility.on_refused(0, 10)
    assert bus.conditions == []
    for _ in range(REFUSED_TICKS + 2):
        visibility.on_refused(3, 10)
    visibility.on_refused(0, 10)
    assert [(told.kind, told.active, told.blocks_ready) for told in bus.conditions] == [
        ("processes_refused", True, False),
        ("processes_refused", False, False),
    ]
    assert "3 of 10 processes" in bus.conditions[0].detail


def test_the_sampler_tells_it_before_it_is_ready() -> None:
    """So that nothing says ready, and the first lines of a start can say it too."""
    host = Host()
    host.born(7)
    host.probe.check()
    assert [told.kind for told in host.bus.conditions] == ["processes_hidden"]
    assert host.probe.stats()["is_hidden"] is True


@pytest.mark.parametrize(
    ("text", "number"), [("0.20 0.18 0.12 1/431 11206", 431), ("", None), ("1 2 3", None), ("0 0 0 a/b 5", None)]
)
def test_threads_stand_behind_the_slash(text: str, number: int | None) -> None:
    """Of proc_loadavg(5); a file of another form says nothing."""
    assert running_threads(text) == number


def test_the_last_mount_of_a_place_counts() -> None:
    """It covers the earlier one; other types and places do not count."""
    text = (_mounts("rw,hidepid=2") + _mounts("rw,gid=5")).decode()
    assert mount_options(text, "/proc")["gid"] == "5"
    assert "hidepid" not in mount_options(text, "/proc")
    assert mount_options(text, "/") == mount_options(text, "/elsewhere") == {}
