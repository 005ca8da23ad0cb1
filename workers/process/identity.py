"""Who the processes with a row are: user and command line, read for every row about once a second.

An exec under the same name, a retitled command line and a setuid leave no mark that is cheap to see, so nothing is believed
for longer of a process that ran. One that did not run since is not read again. Reading a command line takes the memory lock of
the process, which may never be free again; it is done aside.
"""

from collections.abc import Callable, Hashable, Sequence

from agent.model.absence import Absence
from agent.model.errors import KernelFormatError
from agent.model.proc_stat import parse_stat
from agent.model.timebase import MS
from agent.side_reader import SideReader, Unanswered
from workers.framework.descriptor_pool import is_shortage
from workers.process.answer import is_refused, why_absent
from workers.process.breaker import FileBreaker, ReadOutcome
from workers.process.files import ProcFiles
from workers.process.process_table import ProcessIdentity, TrackedProcess

# A little less than the shortest usual interval, so that a tick that comes early reads too.
BELIEVED_NS = 900 * MS


class IdentityReader:
    """Brings the identities of processes up to date. `parse` makes a line of the bytes; None: command lines are switched off."""

    def __init__(
        self,
        files: ProcFiles,
        reader: SideReader[bytes],
        parse: Callable[[bytes], str | None] | None,
        breaker: FileBreaker,
        cpu_ns: Callable[[], int],
    ) -> None:
        self._files = files
        self._reader = reader
        self._parse = parse
        self._breaker = breaker
        self._cpu_ns = cpu_ns
        self.unanswered = 0

    def read(self, processes: Sequence[TrackedProcess], now_ns: int) -> None:
        """Read what is older than a second, or was read under another name; afterwards each one has its identity."""
        due: list[tuple[TrackedProcess, ProcessIdentity]] = []
        for process in processes:
            known = process.identity = process.identity or ProcessIdentity()
            if (
                known.at_ns is None
                or known.read_as != process.comm
                or (now_ns - known.at_ns >= BELIEVED_NS and known.ran_at != process.ran_at)
            ):
                known.at_ns, known.read_as, known.ran_at = now_ns, process.comm, process.ran_at
                known.uid = self._read_owner(process)
                due.append((process, known))
        self._read_command_lines([(process, known) for process, known in due if self._has_command_line(process, known)])

    def _has_command_line(self, process: TrackedProcess, known: ProcessIdentity) -> bool:
        """Whether it is to be read; where not, the reason stands already."""
        if self._parse is None:
            known.why_no_command_line = Absence.SWITCHED_OFF.value
        elif process.stat.is_kernel_thread:
            known.why_no_command_line = Absence.KERNEL_THREAD.value
        elif not process.stat.is_ended:
            return True
        elif known.command_line is None:
            # What has ended has no memory, so no command line either; one that was read before stays.
            known.why_no_command_line = Absence.VANISHED.value
        return False

    def _read_command_lines(self, due: list[tuple[TrackedProcess, ProcessIdentity]]) -> None:
        count = self._breaker.begin_tick(len(due))
        for _, known in due[count:]:
            known.forget(Absence.BREAKER_OPEN.value)
        if asked := due[:count]:
            begun_ns = self._cpu_ns()
            answers = self._answers([process for process, _ in asked])
            refused = unanswered = 0
            for process, known in asked:
                answer = answers[_key(process)]
                if not isinstance(answer, bytes):
                    refused += is_refused(answer)
                    unanswered += isinstance(answer, Unanswered)
                self._take(process, known, answer)
            self._breaker.end_tick(ReadOutcome(len(asked), refused, unanswered, self._cpu_ns() - begun_ns))

    def _answers(self, processes: list[TrackedProcess]) -> dict[Hashable, bytes | OSError | Unanswered]:
        answers = self._reader.read_all([(_key(process), self._where(process)) for process in processes])
        short = [answer for answer in answers.values() if isinstance(answer, OSError) and is_shortage(answer)]
        if short and self._files.kept:
            self._files.pool.make_room(short[0])
            again = [process for process in processes if answers[_key(process)] in short]
            answers.update(self._reader.read_all([(_key(process), self._where(process)) for process in again]))
        return answers

    def _where(self, process: TrackedProcess) -> str:
        """A process whose line was read before keeps its file open: an execution changes what it says, and not what it is.

        Where the first thread has ended, the line is read of one that goes on.
        """
        if process.thread is not None:
            return f"{process.name}/task/{process.thread}/cmdline"
        path = f"{process.name}/cmdline"
        known = process.identity
        return path if known is None or known.digest is None else self._files.word_of(path)

    def _take(self, process: TrackedProcess, known: ProcessIdentity, answer: bytes | OSError | Unanswered) -> None:
        if isinstance(answer, bytes):
            digest = hash(answer)
            if digest == known.digest and known.command_line is not None:
                return
            assert self._parse is not None
            known.digest, known.command_line = digest, self._parse(answer)
            known.why_no_command_line = None if known.command_line is not None else self._why_empty(process)
            return
        self.unanswered += isinstance(answer, Unanswered)
        known.forget(why_absent(answer))

    def _why_empty(self, process: TrackedProcess) -> str:
        """A process that has just ended gives nothing; one that still runs has none, or has wiped it."""
        try:
            has_ended = parse_stat(self._files.read_stat(process.name)).is_ended
        except (OSError, KernelFormatError):
            has_ended = True
        return (Absence.VANISHED if has_ended else Absence.EMPTY_COMMAND_LINE).value

    def _read_owner(self, process: TrackedProcess) -> int | None:
        """The effective user: the owner of the directory. Files in it are root's where a process has dropped privileges."""
        try:
            return self._files.tree.owner(process.name)
        except OSError:
            return None


def _key(process: TrackedProcess) -> tuple[str, int]:
    return process.name, process.stat.start_ticks
