"""Recorded hosts: the same bytes of `/proc` become the same rows, whatever is done to the sampler."""

import pytest
from fakes.replay_host import Replay, rows_file, rows_text
from harness.replay import ReplayTree, load, names

RECORDINGS = names()


@pytest.mark.parametrize("name", RECORDINGS)
def test_a_recording_becomes_the_rows_that_are_kept_beside_it(name: str) -> None:
    """Byte for byte; `python -m fakes.replay_host` writes them again after an intended change."""
    assert rows_file(name).read_text() == rows_text(load(name))


@pytest.mark.parametrize("name", RECORDINGS)
def test_a_recording_has_every_file_that_is_asked_for_and_every_descriptor_comes_back(name: str) -> None:
    """Otherwise the corpus is older than the sampler, and must be recorded again."""
    replay = Replay(load(name))
    assert len(list(replay.samples())) == len(load(name).ticks)
    assert (replay.missing, replay.open_descriptors) == (set(), 0)


def test_the_corpus_has_the_hosts_that_it_is_for() -> None:
    """Nobody loses one unnoticed."""
    assert RECORDINGS == ["backwards", "churn", "hostile", "mixed", "old-kernel", "pods", "refused", "zombies"]


@pytest.mark.parametrize("name", RECORDINGS)
def test_no_recording_says_where_it_was_made(name: str) -> None:
    """Neither folders nor users of the machine, nor names of other processes."""
    for tick in load(name).ticks:
        for path, content in tick.files.items():
            assert isinstance(content, int) or b"/home/" not in content, path
            assert isinstance(content, int) or b"/root" not in content, path


def test_a_kept_descriptor_answers_for_its_own_process_alone() -> None:
    """Of a process that has gone nothing is read, though its file may be there again."""
    recording = load("zombies")
    tree = ReplayTree(recording)
    before, after = recording.ticks[1:3]
    died = next(name for name in before.names if name not in after.names)
    tree.advance()
    descriptor = tree.open(f"{died}/stat")
    assert tree.read_open(descriptor, 4096)
    tree.advance()
    with pytest.raises(ProcessLookupError):
        tree.read_open(descriptor, 4096)
