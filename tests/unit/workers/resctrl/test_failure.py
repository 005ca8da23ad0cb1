"""Kinds of failures, their sentences and remedies."""

import os
from errno import EACCES, EBADF, EBUSY, EINVAL, EIO, ENODEV, ENOENT, ENOSPC, ENOSYS, ENOTSUP, EPERM, EROFS

import pytest

from workers.resctrl.failure import SourceError, empty_thread_set, failure_of, mount_failure, not_mounted, status_text
from workers.resctrl.problem import ProblemKind

ROOT = "/sys/fs/resctrl"


def _os_error(code: int) -> OSError:
    return OSError(code, os.strerror(code))


@pytest.mark.parametrize(
    ("code", "kind"),
    [(EACCES, ProblemKind.NO_PERMISSION), (EPERM, ProblemKind.NO_PERMISSION), (EROFS, ProblemKind.NO_PERMISSION),
     (ENOSPC, ProblemKind.CAPACITY), (EBUSY, ProblemKind.BUSY), (EIO, ProblemKind.IO), (ENOENT, ProblemKind.IO),
     (ENODEV, ProblemKind.IO), (EINVAL, ProblemKind.IO)],
)  # fmt: skip
def test_kinds_by_errno(code: int, kind: ProblemKind) -> None:
    """Full is not busy, and both are apart from everything else; path, errno and the kernel's words are kept."""
    failure = failure_of(_os_error(code), f"{ROOT}/mon_groups/pod_x", "the group cannot be made", status="Out of RMIDs")

    assert (failure.kind, failure.path, failure.errno, failure.status) == (kind, f"{ROOT}/mon_groups/pod_x", code, "Out of RMIDs")
    assert failure.sentence.startswith(f"{ROOT}/mon_groups/pod_x: the group cannot be made: {os.strerror(code)} (Out of RMIDs)")


@pytest.mark.parametrize(
    ("code", "kind"),
    [(EACCES, ProblemKind.NO_PERMISSION), (EPERM, ProblemKind.NO_PERMISSION), (ENODEV, ProblemKind.UNSUPPORTED),
     (EINVAL, ProblemKind.UNSUPPORTED), (ENOTSUP, ProblemKind.UNSUPPORTED), (ENOSYS, ProblemKind.UNSUPPORTED),
     (EBUSY, ProblemKind.IO), (ENOENT, ProblemKind.IO), (EBADF, ProblemKind.IO)],
)  # fmt: skip
def test_kinds_at_mounting(code: int, kind: ProblemKind) -> None:
    """At mounting the same numbers mean other things."""
    failure = mount_failure(_os_error(code), ROOT, [])

    assert (failure.kind, failure.errno) == (kind, code)


def test_a_second_mount_is_told_where_the_first_is() -> None:
    """There can be one mount: the failure says where it is, or that it cannot be seen from here."""
    assert "it is mounted at /mnt/a, /mnt/b" in mount_failure(_os_error(EBUSY), ROOT, ["/mnt/a", "/mnt/b"]).sentence
    assert "in another mount namespace" in mount_failure(_os_error(EBUSY), ROOT, []).sentence


def test_a_failing_source_is_not_taken_for_a_failing_group() -> None:
    """That a cgroup is gone is no reason to make the group again."""
    assert (SourceError("kubepods/x", _os_error(ENOENT)).errno, SourceError("x", _os_error(EIO)).kind) == (None, ProblemKind.IO)


@pytest.mark.parametrize(
    ("content", "text"),
    [(b"ok\n", ""), (b"", ""), (b"Out of RMIDs\n", "Out of RMIDs"), (b"No task 7\nError while processing task 7\n",
     "No task 7. Error while processing task 7"), (b"\xff\n", "�")],
)  # fmt: skip
def test_the_kernels_explanation(content: bytes, text: str) -> None:
    """In one line; nothing where it has none."""
    assert status_text(content) == text


def test_what_is_not_mounted_names_the_command_that_mounts_it() -> None:
    """At the place that was looked at."""
    failure = not_mounted("/r", 2)
    assert (failure.kind, failure.path, failure.errno) == (ProblemKind.NOT_MOUNTED, "/r", 2)
    assert "no resctrl is mounted here" in failure.sentence
    assert "/r" in failure.sentence


def test_without_a_thread_there_is_nothing_to_do() -> None:
    """It is no fault of anybody."""
    failure = empty_thread_set("/r/mon_groups/a")
    assert failure.kind is ProblemKind.EMPTY_THREAD_SET
    assert "nothing to do until one starts" in failure.sentence
