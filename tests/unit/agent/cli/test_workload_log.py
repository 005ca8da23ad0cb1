"""Which part of a workload's output is shown."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.cli.workload_log import CHUNK_BYTES, TAIL_BYTES_MAX, tail_start

Tail = Callable[[bytes, int], bytes]
CONTENTS = [b"", b"\n", b"a", b"a\n", b"a\nb", b"a\nb\n", b"\n\n\n", b"a\n\nb\n\n", b"x" * CHUNK_BYTES + b"\ny\n"]


@pytest.fixture
def tail(tmp_path: Path) -> Tail:
    """The last lines of an output with this content."""

    def of(content: bytes, lines: int) -> bytes:
        path = tmp_path / "output"
        path.write_bytes(content)
        descriptor = os.open(path, os.O_RDONLY)
        try:
            return content[tail_start(descriptor, len(content), lines) :]
        finally:
            os.close(descriptor)

    return of


@pytest.mark.parametrize("lines", [0, 1, 2, 3, 5, 100])
@pytest.mark.parametrize("content", CONTENTS, ids=range(len(CONTENTS)))
def test_the_last_lines_are_those_that_a_split_gives(tail: Tail, content: bytes, lines: int) -> None:
    """A line that is not ended yet counts too."""
    assert tail(content, lines) == b"".join(content.splitlines(keepends=True)[-lines:] if lines else [])


@pytest.mark.parametrize("length", [CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1])
def test_lines_may_end_at_the_ends_of_what_is_read_at_once(tail: Tail, length: int) -> None:
    """Wherever a chunk begins."""
    content = b"".join(b"%d" % index + b"." * (length - 2) + b"\n" for index in range(5))
    for lines in range(1, 6):
        assert tail(content, lines) == b"".join(content.splitlines(keepends=True)[-lines:])


def test_a_line_without_an_end_is_not_searched_for_ever(tmp_path: Path) -> None:
    """So far from the end it begins somewhere."""
    path = tmp_path / "output"
    size = TAIL_BYTES_MAX + 10 * CHUNK_BYTES
    with path.open("wb") as file:
        file.truncate(size)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        assert size - TAIL_BYTES_MAX >= tail_start(descriptor, size, 1) >= size - TAIL_BYTES_MAX - CHUNK_BYTES
    finally:
        os.close(descriptor)
