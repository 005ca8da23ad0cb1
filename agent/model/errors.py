"""Failures and the names of exit codes. PURE.

Three kinds are never mixed: *absence* is a value (`agent.model.absence`), *failure* is an
exception from here, a *bug* is an `assert` and ends its process.
"""

from enum import IntEnum

from agent.model.foreign import readable


class ExitCode(IntEnum):
    """Why a process of evergauge ended, after sysexits.h; the supervisor's restart policy reads the name."""

    DONE = 0
    FAILED = 1
    MISUSE = 64
    BAD_DATA = 65
    UNAVAILABLE = 69
    BUG = 70
    IO = 74
    TRY_AGAIN = 75
    NO_PERMISSION = 77
    CONFIG = 78


def ends_restarts(status: int) -> bool:
    """Whether a worker that ended with this status is not started again, because it would end the same way."""
    return status == ExitCode.CONFIG


def exit_code_name(code: int) -> str:
    """The name of an exit code as operators read it, such as `done` or `config`; one without a name is `code 3`."""
    try:
        return ExitCode(code).name.lower()
    except ValueError:
        return f"code {code}"


class EvergaugeError(Exception):
    """A failure with a sentence for a person: what happened to which thing, and the remedy.

    `where` names the thing (a path, a key, a socket), `problem` says what is wrong with it,
    `remedy` says what to do; all three make `sentence`.
    """

    code: ExitCode = ExitCode.FAILED

    def __init__(self, where: str, problem: str, remedy: str = "") -> None:
        self.where = where
        self.problem = problem
        self.remedy = remedy
        super().__init__(self.sentence)

    @property
    def sentence(self) -> str:
        """One line: `where: problem; remedy`, whatever bytes and control characters a path in it has."""
        text = f"{self.where}: {self.problem}" if self.where else self.problem
        return readable(f"{text}; {self.remedy}" if self.remedy else text)


class ConfigError(EvergaugeError):
    """A setting or a start argument that cannot be used; starting again would fail the same way."""

    code = ExitCode.CONFIG


class MisuseError(EvergaugeError):
    """A command line that asks for something that does not exist."""

    code = ExitCode.MISUSE


class BusyError(EvergaugeError):
    """Somebody else holds what is needed; the same call can succeed later."""

    code = ExitCode.TRY_AGAIN


class UnavailableError(EvergaugeError):
    """The agent, or a part of it, does not answer."""

    code = ExitCode.UNAVAILABLE


class StorageError(EvergaugeError):
    """A folder or file of the agent's own cannot be read or written."""

    code = ExitCode.IO


class PermissionRefused(EvergaugeError):
    """The operating system or the control socket says no to this user."""

    code = ExitCode.NO_PERMISSION


class FormatError(EvergaugeError):
    """Bytes that are not what their format says: a damaged record, a foreign document."""

    code = ExitCode.BAD_DATA


class KernelFormatError(FormatError):
    """A kernel file whose content this version cannot read; the text is kept in `problem`."""


class ProtocolError(FormatError):
    """A message on a socket that does not decode or breaks the protocol's rules."""
