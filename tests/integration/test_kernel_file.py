"""Kernel files are read to their end, a page at a time."""

import mmap
import os
from pathlib import Path

import pytest

from agent.kernel_file import PART_BYTES, read_text, read_whole


def test_a_file_that_the_kernel_gives_out_in_pages_is_read_whole() -> None:
    """One read(2) of a table of memory maps gives a page at most; this one has several."""
    # Shared ones are not merged with their neighbours, so each has its line.
    maps = [mmap.mmap(-1, 4096) for _ in range(200)]
    descriptor = os.open("/proc/self/maps", os.O_RDONLY)
    try:
        once = os.read(descriptor, 1 << 20)
    finally:
        os.close(descriptor)
    whole = read_whole("/proc/self/maps", 1 << 20)
    assert len(once) <= 4096 < len(whole)
    assert whole.count(b"\n") >= len(maps)


def test_no_more_than_the_bound_is_read(tmp_path: Path) -> None:
    """Whatever the file's size; what is there is given."""
    (tmp_path / "file").write_bytes(b"x" * (2 * PART_BYTES + 3))
    sizes = [len(read_whole(str(tmp_path / "file"), bound)) for bound in (0, 5, PART_BYTES + 1, 1 << 20)]
    assert sizes == [0, 5, PART_BYTES + 1, 2 * PART_BYTES + 3]


def test_bytes_that_are_no_text_are_kept_as_paths_have_them(tmp_path: Path) -> None:
    """The path that is read so can be opened."""
    (tmp_path / "file").write_bytes(b"a\xffb")
    assert os.fsencode(read_text(str(tmp_path / "file"), 10)) == b"a\xffb"


def test_nobody_waits_for_a_writer(tmp_path: Path) -> None:
    """A pipe in the place of a file is empty; nothing at all is an error."""
    os.mkfifo(tmp_path / "pipe")
    assert read_whole(str(tmp_path / "pipe"), 10) == b""
    with pytest.raises(FileNotFoundError):
        read_whole(str(tmp_path / "nothing"), 10)
