"""What clients, files, disks and workloads do to a keeper costs at most what they asked for."""

import os
import resource
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes.failpoints import arm
from fakes.keeper_world import KeeperProcess, members, own_tree
from harness.waiting import wait_until

from workers.keeper.protocol import LINE_BYTES_MAX, KeeperRefused, RefusalWord


@pytest.fixture
def tree(request: pytest.FixtureRequest) -> Iterator[Path]:
    """A part of the cgroup tree."""
    with own_tree(f"hostile-{abs(hash(request.node.nodeid)) % 10**8}") as tree:
        yield tree


@pytest.fixture
def keeper(tmp_path: Path, tree: Path) -> Iterator[KeeperProcess]:
    """A keeper with a part of the tree, and failpoints."""
    points = tmp_path / "points"
    points.mkdir()
    with KeeperProcess(tmp_path, tree, environment={"EVERGAUGE_FAILPOINTS": str(points)}) as keeper:
        yield keeper


def raw_client(keeper: KeeperProcess) -> socket.socket:
    """A connection that sends what it likes."""
    peer = socket.socket(socket.AF_UNIX)
    peer.connect(str(keeper.folder / "keeper.sock"))
    peer.settimeout(30)
    return peer


def assert_serves(keeper: KeeperProcess) -> None:
    """It still starts what is to be started."""
    keeper.run("after", "true")
    ended = keeper.wait_ended("after").ending
    assert ended is not None
    assert ended.code == 0


@pytest.mark.parametrize(
    "line", [b"\n", b"{}\n", b"\xff\xfe\n", b"[" * 5000 + b"\n", b'{"type":"spawn","request":7}\n', b'"' * 100 + b"\n"]
)
def test_lines_that_are_no_order_are_refused(keeper: KeeperProcess, line: bytes) -> None:
    """With the request's number where there is one; the connection goes on."""
    with raw_client(keeper) as peer:
        peer.sendall(line + b'{"type":"list","request":9}\n')
        answers = peer.makefile("rb")
        refused = answers.readline()
        assert b"not_understood" in refused
        assert (b'"request":7' in refused) == (b'"request":7' in line)
        assert b'"type":"records","request":9' in answers.readline()
    assert_serves(keeper)


def test_an_order_in_pieces_is_one_order(keeper: KeeperProcess) -> None:
    """Byte by byte."""
    with raw_client(keeper) as peer:
        for byte in b'{"type":"list","request":9}\n':
            peer.sendall(bytes([byte]))
        assert b'"request":9' in peer.makefile("rb").readline()


def test_a_line_without_an_end_is_cut_off(keeper: KeeperProcess) -> None:
    """It is refused, and its sender let go."""
    with raw_client(keeper) as peer:
        try:
            peer.sendall(b"x" * (LINE_BYTES_MAX + (1 << 20)))
            assert b"not_understood" in peer.makefile("rb").read()
        except (BrokenPipeError, ConnectionResetError):
            pass
    assert_serves(keeper)


def test_a_client_that_does_not_read_holds_nobody(keeper: KeeperProcess) -> None:
    """Its answers wait up to a bound; everybody else is answered."""
    keeper.run("web", "sleep", "1000", env={"LARGE": "x" * 100_000})
    with raw_client(keeper) as peer:
        for _ in range(200):
            peer.sendall(b'{"type":"list","request":1}\n')
        assert_serves(keeper)
    keeper.stop("web", grace_ns=0)
    keeper.wait_ended("web")


def test_many_clients_are_let_go(keeper: KeeperProcess) -> None:
    """More than are bearable are closed at once, and do not cost the others their connection."""
    peers = [raw_client(keeper) for _ in range(40)]
    assert_serves(keeper)
    for peer in peers:
        peer.close()


def test_a_full_disk_refuses_a_birth(keeper: KeeperProcess, tmp_path: Path) -> None:
    """A workload without a record is not started; nothing of it is left."""
    arm(tmp_path / "points", "keeper.record", "error ENOSPC")
    refused = keeper.refusal("web", "sleep", "1000")
    assert refused.code == RefusalWord.SYSTEM
    assert "its record cannot be written: " in refused.sentence
    assert f"make room in {keeper.folder}" in refused.sentence
    assert [path.name for path in keeper.folder.iterdir()] == ["keeper.sock"]
    assert not (keeper.cgroup_root / "evergauge-workloads/web.workload").exists()
    assert_serves(keeper)


@pytest.mark.parametrize("point", ["keeper.recorded", "keeper.born", "keeper.gate"])
def test_a_birth_that_fails_halfway_leaves_nothing(keeper: KeeperProcess, tmp_path: Path, point: str) -> None:
    """No process, no cgroup, no file."""
    arm(tmp_path / "points", point, "error ENOMEM")
    assert keeper.refusal("web", "sleep", "1000").code == RefusalWord.SYSTEM
    assert [path.name for path in keeper.folder.iterdir()] == ["keeper.sock"]
    assert not (keeper.cgroup_root / "evergauge-workloads/web.workload").exists()
    assert_serves(keeper)


def test_no_descriptor_left_is_a_refusal(keeper: KeeperProcess) -> None:
    """And when there are some again everything goes on."""
    assert keeper.process is not None
    used = len(os.listdir(f"/proc/{keeper.process.pid}/fd"))
    limits = resource.prlimit(keeper.process.pid, resource.RLIMIT_NOFILE)
    for spare in range(1, 9):
        resource.prlimit(keeper.process.pid, resource.RLIMIT_NOFILE, (used + spare, limits[1]))
        with raw_client(keeper) if spare > 4 else socket.socket():
            answer = keeper.refusal_or_record("web", "true")
        if isinstance(answer, KeeperRefused):
            assert answer.code == RefusalWord.SYSTEM, answer
            assert not (keeper.cgroup_root / "evergauge-workloads/web.workload").exists()
        else:
            keeper.wait_ended("web")
    resource.prlimit(keeper.process.pid, resource.RLIMIT_NOFILE, limits)
    assert_serves(keeper)


def test_arguments_that_exec_does_not_take_are_a_sentence(keeper: KeeperProcess) -> None:
    """One of more than 128 KiB."""
    refused = keeper.refusal("web", "echo", "x" * (1 << 20))
    assert refused.code == RefusalWord.BAD_COMMAND
    assert "larger than the kernel takes" in refused.sentence


def test_a_fork_bomb_is_ended(keeper: KeeperProcess) -> None:
    """It forks at once and for ever, each child in a session of its own; the bound is the number of them alone."""
    script = "n=0; while [ $n -lt 40 ]; do n=$((n+1)); (while :; do setsid true; done) & done; wait"
    record = keeper.run("web", "sh", "-c", script)
    cgroup = keeper.cgroup(record)
    wait_until(lambda: len(members(cgroup)) > 40, "it forks")
    keeper.stop("web", grace_ns=0)
    ended = keeper.wait_ended("web").ending
    assert ended is not None
    assert ended.signal == signal.SIGKILL
    assert not cgroup.exists()


def test_one_that_moves_itself_out_is_told_and_ended(keeper: KeeperProcess, tree: Path) -> None:
    """Where it went is in the record, and its first process is found there."""
    outside = tree / "outside"
    outside.mkdir()
    record = keeper.run("web", "sh", "-c", f"echo 0 >{outside}/cgroup.procs; exec sleep 1000")
    wait_until(lambda: members(outside) == [record.pid], "it is outside")
    wait_until(lambda: keeper.record("web").moved_to.endswith("/outside"), "that is told")
    keeper.stop("web")
    ended = keeper.wait_ended("web").ending
    assert ended is not None
    assert ended.signal == signal.SIGTERM


def test_records_that_are_none_are_set_aside(tmp_path: Path, tree: Path) -> None:
    """Garbage, a link, a folder, another's name: each is told, none is followed, and the keeper starts."""
    folder = tmp_path / "workloads"
    folder.mkdir()
    (tmp_path / "secret").write_text("{}")
    (folder / "garbage.json").write_bytes(b"\xff" * 100)
    (folder / "empty.json").write_bytes(b"")
    (folder / "deep.json").write_bytes(b"[" * 100_000)
    (folder / "link.json").symlink_to(tmp_path / "secret")
    (folder / "folder.json").mkdir()
    (folder / "half.json.new").write_text("{")
    os.mkfifo(folder / "pipe.json")
    (folder / os.fsdecode(b"\xff\x1b.json")).write_text("{}")
    with KeeperProcess(tmp_path, tree) as keeper:
        listing = keeper.listing()
        assert listing.records == ()
        assert len(listing.notes) == 7
        assert all(note.isprintable() and "is no record" in note for note in listing.notes)
        assert not (folder / "half.json.new").exists()
        assert (tmp_path / "secret").read_text() == "{}"
        assert_serves(keeper)


def test_an_output_that_is_no_plain_file_is_refused(keeper: KeeperProcess, tmp_path: Path) -> None:
    """A link somewhere else would be written to, a pipe would block."""
    (keeper.folder / "web.out").symlink_to(tmp_path / "elsewhere")
    assert keeper.refusal("web", "echo", "x").code == RefusalWord.SYSTEM
    assert not (tmp_path / "elsewhere").exists()
    (keeper.folder / "web.out").unlink()
    os.mkfifo(keeper.folder / "web.out")
    assert keeper.refusal("web", "echo", "x").code == RefusalWord.SYSTEM


def test_a_record_of_another_boot_has_ended(tmp_path: Path, tree: Path) -> None:
    """Its pid may be anybody's now."""
    keeper = KeeperProcess(tmp_path, tree)
    keeper.start()
    record = keeper.run("web", "sleep", "1000")
    keeper.kill()
    path = keeper.folder / "web.json"
    path.write_text(path.read_text().replace(record.boot_id, "00000000-0000-0000-0000-000000000000"))
    keeper.start()
    with keeper:
        ending = keeper.record("web").ending
        assert ending is not None
        assert ending.unknown_why == "the machine was restarted"
        # The cgroup of that name is not the record's own any more: nobody may take it for that.
        assert keeper.refusal("web", "true").code == RefusalWord.NAME_TAKEN


def test_a_frozen_keeper_moves_no_workload(keeper: KeeperProcess) -> None:
    """While it is stopped workloads run and write; afterwards it catches up."""
    assert keeper.process is not None
    keeper.run("web", "sh", "-c", "while :; do echo x; sleep 0.01; done")
    keeper.process.send_signal(signal.SIGSTOP)
    size = len(keeper.output("web"))
    wait_until(lambda: len(keeper.output("web")) > size + 5, "it writes")
    keeper.process.send_signal(signal.SIGCONT)
    keeper.stop("web", grace_ns=0)
    keeper.wait_ended("web")
