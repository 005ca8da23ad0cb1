"""What an answer of the side reader says where it is no content: why the value is absent."""

from errno import EACCES, ENOENT, EPERM, ESRCH

from agent.model.absence import Absence
from agent.side_reader import Unanswered

REFUSED = frozenset({EACCES, EPERM})
_REASONS = {ENOENT: Absence.VANISHED, ESRCH: Absence.VANISHED, EACCES: Absence.NO_PERMISSION, EPERM: Absence.NO_PERMISSION}
_NO_ANSWER = {Unanswered.STUCK: Absence.NOT_ANSWERED, Unanswered.NOT_ASKED: Absence.READERS_STUCK}


def why_absent(answer: OSError | Unanswered) -> str:
    """The reason, as it stands in column `absent`."""
    if isinstance(answer, Unanswered):
        return _NO_ANSWER[answer].value
    return _REASONS.get(answer.errno or 0, Absence.UNREADABLE).value


def is_refused(answer: object) -> bool:
    """Whether this user may not read the file."""
    return isinstance(answer, OSError) and answer.errno in REFUSED
