"""The supervisor's hands over the real system: locks, background threads, the rules store, and what processes cost."""

import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import pytest
from harness.waiting import wait_until

import agent.failpoint as failpoints
from agent.model.errors import BusyError, ExitCode, StorageError
from agent.model.rule import GroupRule
from agent.model.timebase import S
from supervisor.core.effect import Persisted
from supervisor.core.rulebook import Rulebook
from supervisor.shell.background_thread import BackgroundThread
from supervisor.shell.lock import FolderLock
from supervisor.shell.process_statistics import ProcessStatistics
from supervisor.shell.rules_store import RulesStore, load_rulebook

T = TypeVar("T")
DEADLINE_SECONDS = 30.0
WALL_NS = 1_800_000_000 * S

# ---- locks -----------------------------------------------------------------------------------------

HOLDER = """
import sys
from supervisor.shell.lock import FolderLock
lock = FolderLock(sys.argv[1], what="state folder", remedy="stop it")
print("held", flush=True)
sys.stdin.read()
"""


def _hold(path: Path) -> subprocess.Popen[str]:
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    return holder


def _end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def _lock(path: Path) -> None:
    """Take the lock and give it back."""
    os.close(FolderLock(str(path), what="state folder", remedy="stop it")._descriptor)


def test_a_held_lock_names_its_holder(tmp_path: Path) -> None:
    """With the exit code that says: the same call can succeed later."""
    path = tmp_path / "state.lock"
    holder = _hold(path)
    with pytest.raises(BusyError) as refused:
        _lock(path)
    assert refused.value.sentence == f"{path}: another agent (pid {holder.pid}) uses this state folder; stop it"
    assert refused.value.code is ExitCode.TRY_AGAIN
    _end(holder)


def test_the_holders_death_frees_the_lock(tmp_path: Path) -> None:
    """SIGKILL, at once, with nobody to clean up; the file stays and is used again."""
    path = tmp_path / "state.lock"
    holder = _hold(path)
    _end(holder)
    _lock(path)
    assert path.read_text() == f"{os.getpid()}\n"


# Its child holds the lock for a moment longer than it lives.
LEAVER = """
import os, sys, time
from supervisor.shell.lock import FolderLock
lock = FolderLock(sys.argv[1], what="state folder", remedy="stop it")
if os.fork() == 0:
    time.sleep(0.5)
    os._exit(0)
os._exit(0)
"""


def test_a_lock_that_its_dead_holder_left_to_a_process_that_is_ending_is_waited_for(tmp_path: Path) -> None:
    """As a fork server without a supervisor holds it while it removes the sockets, and gets no processor."""
    path = tmp_path / "runtime.lock"
    subprocess.run([sys.executable, "-c", LEAVER, str(path)], check=True)
    _lock(path)
    assert path.read_text() == f"{os.getpid()}\n"


def test_a_lock_whose_file_was_removed_is_held_again_unless_somebody_was_faster(tmp_path: Path) -> None:
    """A process that opens the path must meet it; another's lock there is never taken away."""
    path = tmp_path / "runtime.lock"
    lock = FolderLock(str(path), what="runtime folder", remedy="stop it", note="/run/takeover-record")
    assert lock.is_there()
    path.unlink()
    assert not lock.is_there()
    lock.make_again()
    assert lock.is_there()
    assert path.read_text() == f"{os.getpid()}\n/run/takeover-record\n"
    path.unlink()
    holder = _hold(path)
    with pytest.raises(BusyError):
        lock.make_again()
    assert not lock.is_there()
    _end(holder)
    os.close(lock._descriptor)


def test_a_refused_lock_leaves_no_descriptor_and_the_holders_name(tmp_path: Path) -> None:
    """However often somebody tries."""
    path = tmp_path / "state.lock"
    holder = _hold(path)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        with pytest.raises(BusyError):
            _lock(path)
    assert len(os.listdir("/proc/self/fd")) == before
    assert path.read_text() == f"{holder.pid}\n"
    _end(holder)


def test_a_lock_where_nothing_can_be_written_is_a_failure_of_storage(tmp_path: Path) -> None:
    """Named, with its remedy."""
    (tmp_path / "state.lock").mkdir()
    with pytest.raises(StorageError, match="cannot be written: Is a directory; give the agent a folder"):
        _lock(tmp_path / "state.lock")


# ---- the background thread -----------------------------------------------------------------------------


def _results(background: BackgroundThread[T], count: int = 1) -> list[T]:
    found: list[T] = []
    while len(found) < count:
        assert select.select([background.descriptor], [], [], DEADLINE_SECONDS)[0], f"{found} is all that came"
        found += background.results()
    return found


def test_calls_are_run_in_order_and_told_through_the_descriptor() -> None:
    """A hundred of them; afterwards the descriptor is silent."""
    background: BackgroundThread[object] = BackgroundThread("tested")
    for number in range(100):
        background.send(lambda number=number: number)  # type: ignore[misc]
    assert _results(background, 100) == list(range(100))
    assert background.close(DEADLINE_SECONDS)
    background.results()
    assert select.select([background.descriptor], [], [], 0)[0] == []
    os.close(background.descriptor)


def test_no_result_is_an_empty_list_and_no_wait() -> None:
    """Also before anything was ever sent."""
    background: BackgroundThread[object] = BackgroundThread("tested")
    assert background.results() == []
    assert background.close(DEADLINE_SECONDS)
    os.close(background.descriptor)


def test_a_hanging_call_delays_only_those_behind_it() -> None:
    """Closing says that it did not end; the caller goes on meanwhile."""
    background: BackgroundThread[object] = BackgroundThread("tested")
    gate = threading.Event()
    background.send(lambda: gate.wait(DEADLINE_SECONDS))
    background.send(lambda: "behind")
    assert background.results() == []
    assert not background.close(timeout_seconds=0)
    gate.set()
    assert _results(background, 2) == [True, "behind"]
    assert background.close(DEADLINE_SECONDS)
    os.close(background.descriptor)


# ---- the rules store -----------------------------------------------------------------------------------

BOOK = Rulebook(17, (GroupRule("a"), GroupRule("ü", priority=5)))


@pytest.fixture
def rules_store(tmp_path: Path) -> Iterator[RulesStore]:
    """A rules store in a private folder."""
    rules_store = RulesStore(str(tmp_path))
    yield rules_store
    assert rules_store.thread.close(DEADLINE_SECONDS)
    os.close(rules_store.thread.descriptor)


def test_what_was_written_is_read_at_the_next_start(rules_store: RulesStore, tmp_path: Path) -> None:
    """Revision and rules; nothing else is left in the folder."""
    rules_store.write(1, BOOK)
    assert _results(rules_store.thread) == [Persisted(1)]
    assert load_rulebook(str(tmp_path), WALL_NS) == (BOOK, "")
    assert os.listdir(tmp_path) == ["rules.json"]


def test_the_last_document_holds(rules_store: RulesStore, tmp_path: Path) -> None:
    """One after another, each as a whole."""
    for revision in range(1, 21):
        rules_store.write(revision, Rulebook(revision))
    assert _results(rules_store.thread, 20) == [Persisted(token) for token in range(1, 21)]
    assert load_rulebook(str(tmp_path), WALL_NS)[0].revision == 20


def test_without_a_document_there_are_no_rules_and_that_is_well(tmp_path: Path) -> None:
    """The first start."""
    assert load_rulebook(str(tmp_path), WALL_NS) == (Rulebook(), "")


def test_a_write_that_fails_says_so_and_leaves_what_was_there(rules_store: RulesStore, tmp_path: Path) -> None:
    """A folder stands where the document belongs, then where the temporary one does; the thread lives on."""
    (tmp_path / "rules.json").mkdir()
    rules_store.write(1, BOOK)
    assert _results(rules_store.thread) == [Persisted(1, f"{tmp_path}/rules.json cannot be written: Is a directory")]
    (tmp_path / "rules.json").rmdir()
    rules_store.write(2, BOOK)
    assert _results(rules_store.thread) == [Persisted(2)]
    (tmp_path / "rules.json.new").mkdir()
    rules_store.write(3, BOOK)
    assert _results(rules_store.thread) == [Persisted(3, f"{tmp_path}/rules.json cannot be written: Is a directory")]
    assert load_rulebook(str(tmp_path), WALL_NS) == (BOOK, "")


@pytest.fixture
def failing(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which files arm failpoints of this process."""
    folder = tmp_path_factory.mktemp("failpoints")
    monkeypatch.setattr(failpoints, "_folder", str(folder))
    return folder


def test_a_folder_that_cannot_be_synced_leaves_the_document_in_place_and_says_so(
    rules_store: RulesStore, tmp_path: Path, failing: Path
) -> None:
    """EIO after the rename: the next start reads the new rules, so what runs must not go on with the old ones."""
    (failing / "document.renamed").write_text("error EIO")
    rules_store.write(1, BOOK)
    assert _results(rules_store.thread) == [
        Persisted(1, f"{tmp_path} cannot be synced: failpoint document.renamed", is_in_place=True)
    ]
    assert load_rulebook(str(tmp_path), WALL_NS) == (BOOK, "")


@pytest.mark.parametrize("word", ["EINVAL", "ENOTSUP"])
def test_a_file_system_that_syncs_no_folders_is_taken_as_it_is(
    rules_store: RulesStore, tmp_path: Path, failing: Path, word: str
) -> None:
    """As network file systems answer: the document is as durable as it can be there, and why is told."""
    (failing / "document.renamed").write_text(f"error {word}")
    rules_store.write(1, BOOK)
    reason = f"the file system of {tmp_path} syncs no folders: failpoint document.renamed"
    assert _results(rules_store.thread) == [Persisted(1, weakness=reason)]
    assert load_rulebook(str(tmp_path), WALL_NS) == (BOOK, "")


def test_a_half_written_successor_is_never_read(rules_store: RulesStore, tmp_path: Path) -> None:
    """What a power failure left under the passing name is overwritten by the next write."""
    rules_store.write(1, BOOK)
    assert _results(rules_store.thread) == [Persisted(1)]
    (tmp_path / "rules.json.new").write_bytes(b'{"format": 1, "revi')
    assert load_rulebook(str(tmp_path), WALL_NS) == (BOOK, "")
    rules_store.write(2, Rulebook(18))
    assert _results(rules_store.thread) == [Persisted(2)]
    assert load_rulebook(str(tmp_path), WALL_NS)[0].revision == 18


WRITER = """
import itertools, os, sys
from agent.model.rule import GroupRule
from supervisor.core.rulebook import Rulebook, encode_rulebook
from supervisor.shell.rules_store import RulesStore
rules_store = RulesStore(sys.argv[1])
for revision in itertools.count(1):
    rules_store.write(revision, Rulebook(revision, tuple(GroupRule(f"r{n}") for n in range(200))))
    while not rules_store.thread.results():
        pass
    os.write(1, b"%d\\n" % revision)
"""


def test_a_writer_killed_at_any_moment_leaves_a_whole_document_that_holds_what_it_announced(tmp_path: Path) -> None:
    """Six kills in the middle of replacing: never less than the last revision announced, at most one more."""
    for round_number in range(6):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE)
        assert writer.stdout is not None
        for _ in range(3 + round_number):
            writer.stdout.readline()
        writer.kill()
        rest, _ = writer.communicate()
        announced = max([3 + round_number, *(int(line) for line in rest.split(b"\n")[:-1])])
        book, damage = load_rulebook(str(tmp_path), WALL_NS)
        assert damage == ""
        assert announced <= book.revision <= announced + 1
        assert len(book.rules) == 200


def test_a_damaged_document_is_set_aside_under_a_name_that_tells_when(tmp_path: Path) -> None:
    """The sentence names both files and what to do; nothing is deleted."""
    (tmp_path / "rules.json").write_bytes(b"\xff\x00")
    book, damage = load_rulebook(str(tmp_path), WALL_NS)
    (aside,) = tmp_path.iterdir()
    assert book == Rulebook()
    assert aside.name == f"rules.json.damaged-20270115T080000Z-{os.getpid()}"
    assert aside.read_bytes() == b"\xff\x00"
    assert str(aside) in damage
    assert "put it back" in damage


def test_a_document_that_cannot_be_read_at_all_is_a_failure(tmp_path: Path) -> None:
    """The agent must not go on as if there were no rules."""
    (tmp_path / "rules.json").mkdir()
    with pytest.raises(StorageError, match="cannot be read: Is a directory"):
        load_rulebook(str(tmp_path), WALL_NS)


# ---- measuring -------------------------------------------------------------------------------------

BUSY = "import sys; print('up', flush=True)\nwhile True: pass"


@pytest.fixture
def busy() -> Iterator[subprocess.Popen[str]]:
    """A child that uses all the CPU it gets."""
    child = subprocess.Popen([sys.executable, "-c", BUSY], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "up\n"
    yield child
    child.kill()
    child.wait()
    child.stdout.close()


def test_the_cpu_and_memory_of_a_real_child(busy: "subprocess.Popen[str]") -> None:
    """Percent over the looks, which are on our clock: what it used in ten of our seconds."""
    statistics = ProcessStatistics(busy.pid)
    assert {statistics.cpu_percent, statistics.cpu_seconds, statistics.rss_bytes} == {None}
    first = statistics.sample(0)
    assert first is not None
    percent_after_one_look = statistics.cpu_percent
    other = ProcessStatistics(busy.pid)
    wait_until(lambda: (process_state := other.sample(0)) and process_state.cpu_ns >= first.cpu_ns + S // 10, "it used 100 ms")
    other.close()
    last = statistics.sample(10 * S)
    assert last is not None
    assert last.state in "RS"
    assert percent_after_one_look is None
    assert statistics.cpu_percent == round((last.cpu_ns - first.cpu_ns) / (10 * S) * 100, 2)
    assert statistics.cpu_seconds == last.cpu_ns / S
    assert statistics.rss_bytes is not None
    assert statistics.rss_bytes > 1 << 20
    statistics.close()


def test_a_dead_child_is_seen_as_a_zombie_and_then_not_at_all(busy: "subprocess.Popen[str]") -> None:
    """None, never a number of somebody else."""
    statistics = ProcessStatistics(busy.pid)
    statistics.sample(0)
    busy.kill()
    wait_until(lambda: (process_state := statistics.sample(S)) is not None and process_state.state == "Z", "it is a zombie")
    busy.wait()
    assert statistics.sample(2 * S) is None
    statistics.close()


def test_the_percentage_forgets_what_is_long_ago(busy: "subprocess.Popen[str]") -> None:
    """Twenty looks at the same instant of the child: the first one, long ago, no longer counts."""
    busy.send_signal(signal.SIGSTOP)
    statistics = ProcessStatistics(busy.pid)
    wait_until(lambda: (process_state := statistics.sample(0)) is not None and process_state.state == "T", "it is stopped")
    for number in range(1, 21):
        statistics.sample(number * S)
    assert statistics.cpu_percent == 0.0
    statistics.close()


def test_a_process_that_is_not_there_cannot_be_measured(busy: "subprocess.Popen[str]") -> None:
    """The loop takes this as: it has already gone."""
    busy.kill()
    busy.wait()
    with pytest.raises(FileNotFoundError):
        ProcessStatistics(busy.pid)
