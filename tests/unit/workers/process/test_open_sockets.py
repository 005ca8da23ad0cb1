"""The sockets among the open files of a process, in a folder of the same form; with the kernel: `test_tcp_bytes`."""

from pathlib import Path

import pytest

from agent.model.absence import Absence
from workers.process.open_sockets import FILES_PER_TICK_MAX, SocketLister

# The size of a folder on a disk is no count of its files.
MANY = 1 << 20


def _process(root: Path, name: str, links: list[str]) -> None:
    (root / name / "fd").mkdir(parents=True)
    for number, link in enumerate(links):
        (root / name / "fd" / str(number)).symlink_to(link)


def test_sockets_are_told_by_their_links(tmp_path: Path) -> None:
    """Files, pipes and everything else are left out."""
    _process(tmp_path, "5", ["/dev/null", "socket:[17]", "pipe:[18]", "socket:[19]", "anon_inode:[eventpoll]"])
    assert SocketLister(str(tmp_path), MANY).read("5") == frozenset({17, 19})


def test_a_process_that_is_gone_says_so(tmp_path: Path) -> None:
    """It ended since it was seen."""
    assert SocketLister(str(tmp_path), MANY).read("5") is Absence.VANISHED


def test_a_failure_of_another_kind_is_raised(tmp_path: Path) -> None:
    """Too many open files, for instance, is nothing of the process."""
    (tmp_path / "5").mkdir()
    (tmp_path / "5" / "fd").write_text("no folder")
    with pytest.raises(NotADirectoryError):
        SocketLister(str(tmp_path), MANY).read("5")


def test_too_many_files_are_not_read(tmp_path: Path) -> None:
    """The folder's size says so, or the count while they are read."""
    _process(tmp_path, "5", ["socket:[1]"] * 5)
    assert SocketLister(str(tmp_path), 4).read("5") is Absence.TOO_MANY


def test_a_tick_reads_a_number_of_files(tmp_path: Path) -> None:
    """What is left of it is read in the next one."""
    _process(tmp_path, "5", ["socket:[1]", "socket:[2]"])
    lister = SocketLister(str(tmp_path), MANY)
    for _ in range(FILES_PER_TICK_MAX // 2):
        assert lister.read("5") == frozenset({1, 2})
    assert lister.read("5") is Absence.INCOMPLETE
    lister.begin_tick()
    assert lister.read("5") == frozenset({1, 2})


def test_another_network_namespace_is_told_without_reading(tmp_path: Path) -> None:
    """Its sockets are not in the agent's listing."""
    _process(tmp_path, "5", ["socket:[1]"])
    _process(tmp_path, "6", ["socket:[2]"])
    for name in ("self", "5", "6"):
        (tmp_path / name / "ns").mkdir(parents=True)
    (tmp_path / "self" / "ns" / "net").write_text("")
    (tmp_path / "5" / "ns" / "net").hardlink_to(tmp_path / "self" / "ns" / "net")
    (tmp_path / "6" / "ns" / "net").write_text("")
    lister = SocketLister(str(tmp_path), MANY)
    assert (lister.read("5"), lister.read("6")) == (frozenset({1}), Absence.OTHER_NETWORK_NAMESPACE)
