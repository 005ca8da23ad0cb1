"""What a new process says when it cannot become the command, and the sentence for that. PURE."""

import errno
from collections.abc import Callable
from enum import StrEnum

from agent.model.foreign import readable
from workers.keeper.protocol import RefusalWord, WorkloadSpec
from workers.keeper.refusal import WorkloadRefused

MESSAGE_BYTES_MAX = 64
_SHOWN_CHARACTERS = 200


class BirthStage(StrEnum):
    """What the new process was doing."""

    JOIN = "join"
    USER = "user"
    FOLDER = "folder"
    COMMAND = "command"
    PREPARE = "prepare"


def message(stage: BirthStage, number: int) -> bytes:
    """What it writes into the pipe that `exec` would close."""
    return f"{stage} {number}".encode()


def failure_of(said: bytes, spec: WorkloadSpec, strerror: Callable[[int], str]) -> WorkloadRefused:
    """The refusal for what it said; `strerror` gives the system's words for a number."""
    word, _blank, text = said.decode("ascii", "replace").partition(" ")
    number = int(text) if text.isdecimal() else 0
    stage = BirthStage(word) if word in {each.value for each in BirthStage} else BirthStage.PREPARE
    why = strerror(number)
    if stage is BirthStage.COMMAND:
        return _command(spec, number, why)
    if stage is BirthStage.USER:
        problem = f"cannot run as user {readable(spec.user, 80)!r}: {'there is none' if number == 0 else why}"
        return WorkloadRefused(RefusalWord.BAD_USER, spec.name, problem, "name a user of this host; only root may choose another")
    if stage is BirthStage.FOLDER:
        problem = f"its folder {readable(spec.folder, _SHOWN_CHARACTERS)} cannot be entered: {why}"
        return WorkloadRefused(RefusalWord.BAD_FOLDER, spec.name, problem, "name a folder that its user may enter")
    what = "its process cannot join its cgroup" if stage is BirthStage.JOIN else "its process cannot be prepared"
    return WorkloadRefused(RefusalWord.SYSTEM, spec.name, f"{what}: {why}")


def _command(spec: WorkloadSpec, number: int, why: str) -> WorkloadRefused:
    program = readable(spec.argv[0], _SHOWN_CHARACTERS)
    if number in (errno.ENOENT, errno.ENOTDIR):
        where = "there is no such file, or its interpreter is missing" if "/" in program else "it is in no folder of PATH"
        return WorkloadRefused(
            RefusalWord.MISSING_BINARY, spec.name, f"missing binary {program}: {where}", "name an existing program"
        )
    if number in (errno.EACCES, errno.ENOEXEC, errno.EISDIR, errno.EPERM):
        reason = "it is no program and has no #! line" if number == errno.ENOEXEC else why
        remedy = "chmod +x it, or name its interpreter"
        return WorkloadRefused(RefusalWord.NOT_EXECUTABLE, spec.name, f"{program} is not executable: {reason}", remedy)
    if number == errno.E2BIG:
        problem = "its arguments and environment are larger than the kernel takes (each at most 128 KiB)"
        return WorkloadRefused(RefusalWord.BAD_COMMAND, spec.name, problem, "hand the program a file")
    return WorkloadRefused(RefusalWord.SYSTEM, spec.name, f"{program} cannot be started: {why}")
