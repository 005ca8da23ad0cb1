"""Kernel files that are kept open: read whole, opened again after a failure, absent with a reason."""

import errno

import pytest
from fakes.kernel_tree import MemoryTree

from agent.model.absence import Absence
from agent.model.errors import KernelFormatError
from workers.host.files import WHOLE_BYTES, KeptFiles


class PagedTree(MemoryTree):
    """A tree that gives at most a page for each read, in whole lines, as the kernel does."""

    def read_open(self, descriptor: int, bytes_max: int, offset: int = 0) -> bytes:
        """Whole lines of at most a page."""
        part = super().read_open(descriptor, min(bytes_max, 4096), offset)
        return part[: part.rfind(b"\n") + 1]


def _same(text: bytes) -> bytes:
    return text


def _refuse(text: bytes) -> bytes:
    raise KernelFormatError("file", "is another one")


def test_a_long_file_is_read_to_its_end() -> None:
    """One read gives one page of it."""
    content = b"".join(b"%d %s\n" % (number, b"x" * 60) for number in range(500))
    files = KeptFiles(PagedTree({"long": content}))
    assert files.parsed("long", 1 << 20, _same) == content
    assert files.parsed("long", WHOLE_BYTES, _same) == content[: content.rfind(b"\n", 0, WHOLE_BYTES) + 1]


def test_a_short_file_costs_one_read() -> None:
    """What is shorter than a page was all of it."""
    tree = MemoryTree({"short": b"1\n"})
    files = KeptFiles(tree)
    files.parsed("short", 4096, _same)
    tree.calls.clear()
    assert files.parsed("short", 4096, _same) == b"1\n"
    assert tree.calls == [("read_open", "short")]


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (errno.ENOENT, Absence.NOT_IN_KERNEL),
        (errno.EOPNOTSUPP, Absence.NOT_IN_KERNEL),
        (errno.EACCES, Absence.NO_PERMISSION),
        (errno.EIO, Absence.UNREADABLE),
    ],
)
def test_a_failure_has_a_reason_until_the_file_can_be_read(code: int, reason: Absence) -> None:
    """It is tried again at the next tick."""
    tree = MemoryTree({"a": b"1\n"})
    files = KeptFiles(tree)
    files.parsed("a", 64, _same)
    tree.fail("a", code)
    assert files.parsed("a", 64, _same) is reason
    assert (files.reasons, files.kept, tree.open_descriptors) == ({"a": reason}, 0, 0)
    tree.fail("a", None)
    assert files.parsed("a", 64, _same) == b"1\n"
    assert files.reasons == {}


def test_content_of_another_form_is_unreadable() -> None:
    """The file stays open: its next content may be right."""
    files = KeptFiles(MemoryTree({"a": b"1\n"}))
    assert files.parsed("a", 64, _refuse) is Absence.UNREADABLE
    assert files.kept == 1


def test_without_descriptors_files_are_opened_for_each_reading() -> None:
    """The limit of open files costs time, not values."""

    class FullTree(MemoryTree):
        """A tree whose reader may hold two descriptors."""

        def open(self, path: str) -> int:
            """A descriptor, or EMFILE."""
            if self.open_descriptors >= 2:
                raise OSError(errno.EMFILE, "too many", path)
            return super().open(path)

    files = KeptFiles(FullTree({name: name.encode() for name in "abcd"}))
    for _ in range(3):
        assert [files.parsed(name, 64, _same) for name in "abcd"] == [b"a", b"b", b"c", b"d"]
    files.close()
