"""Answers that are no content, as reasons."""

import errno

import pytest

from agent.side_reader import Unanswered
from workers.process.answer import is_refused, why_absent


@pytest.mark.parametrize(
    ("answer", "reason", "refused"),
    [
        (OSError(errno.ESRCH, ""), "vanished", False),
        (OSError(errno.ENOENT, ""), "vanished", False),
        (OSError(errno.EACCES, ""), "no_permission", True),
        (OSError(errno.EPERM, ""), "no_permission", True),
        (OSError(errno.EIO, ""), "unreadable", False),
        (OSError("of no number"), "unreadable", False),
        (Unanswered.STUCK, "not_answered", False),
        (Unanswered.NOT_ASKED, "readers_stuck", False),
    ],
)
def test_each_failure_has_its_reason(answer: OSError | Unanswered, reason: str, refused: bool) -> None:
    """Ended, forbidden, stuck, or an error that nobody expects."""
    assert (why_absent(answer), is_refused(answer)) == (reason, refused)
