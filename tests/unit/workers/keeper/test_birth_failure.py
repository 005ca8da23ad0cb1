"""What a new process says becomes a sentence that says what to do."""

import errno

import pytest

from workers.keeper.birth_failure import BirthStage, failure_of, message
from workers.keeper.protocol import RefusalWord, WorkloadSpec

SPEC = WorkloadSpec(name="web", argv=("/opt/x",), user="nobody", folder="/data")


def word_of(number: int) -> str:
    """The system's words, by their short name."""
    return errno.errorcode.get(number, "?")


@pytest.mark.parametrize(
    ("stage", "number", "word", "part"),
    [
        (BirthStage.COMMAND, errno.ENOENT, RefusalWord.MISSING_BINARY, "missing binary /opt/x: there is no such file"),
        (BirthStage.COMMAND, errno.ENOTDIR, RefusalWord.MISSING_BINARY, "missing binary"),
        (BirthStage.COMMAND, errno.EACCES, RefusalWord.NOT_EXECUTABLE, "is not executable: EACCES; chmod +x it"),
        (BirthStage.COMMAND, errno.ENOEXEC, RefusalWord.NOT_EXECUTABLE, "no #! line"),
        (BirthStage.COMMAND, errno.E2BIG, RefusalWord.BAD_COMMAND, "larger than the kernel takes"),
        (BirthStage.COMMAND, errno.ENOMEM, RefusalWord.SYSTEM, "cannot be started: ENOMEM"),
        (BirthStage.USER, 0, RefusalWord.BAD_USER, "user 'nobody': there is none"),
        (BirthStage.USER, errno.EPERM, RefusalWord.BAD_USER, "EPERM"),
        (BirthStage.FOLDER, errno.ENOENT, RefusalWord.BAD_FOLDER, "its folder /data cannot be entered: ENOENT"),
        (BirthStage.JOIN, errno.EBUSY, RefusalWord.SYSTEM, "cannot join its cgroup: EBUSY"),
        (BirthStage.PREPARE, errno.EMFILE, RefusalWord.SYSTEM, "cannot be prepared: EMFILE"),
    ],
)
def test_each_stage_has_its_sentence(stage: BirthStage, number: int, word: RefusalWord, part: str) -> None:
    """Named after the workload."""
    refused = failure_of(message(stage, number), SPEC, word_of)
    assert refused.word is word
    assert refused.sentence.startswith("web: ")
    assert part in refused.sentence


def test_a_command_without_a_slash_is_looked_for_in_path() -> None:
    """So the sentence says that it is nowhere there."""
    spec = WorkloadSpec(name="web", argv=("x",))
    assert "it is in no folder of PATH" in failure_of(message(BirthStage.COMMAND, errno.ENOENT), spec, word_of).sentence


@pytest.mark.parametrize("said", [b"\xff\xfe", b"command", b"command x", b"dance 2"])
def test_words_that_are_none_are_a_refusal_too(said: bytes) -> None:
    """A process that was killed while it spoke."""
    assert failure_of(said, SPEC, word_of).word is RefusalWord.SYSTEM
