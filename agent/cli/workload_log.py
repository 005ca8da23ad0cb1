"""The command logs: the output of a workload, read from its bounded file."""

import codecs
import os
import time
from collections.abc import Iterator

from agent.cli.call import Call
from agent.cli.option import SWITCH, WHOLE, Argument, Command, Option
from agent.cli.render import escape
from agent.model.control.workload import WorkloadList
from agent.model.errors import MisuseError, PermissionRefused, StorageError

CHUNK_BYTES = 64 << 10
LINES = 100
LINES_MAX = 1_000_000
# So much is searched for the last lines; a line is hardly longer.
TAIL_BYTES_MAX = 64 << 20
LOOK_SECONDS = 0.25


def logs(call: Call) -> int:
    """`agentctl logs NAME`."""
    name = call.words[0]
    lines = call.whole("--lines", LINES)
    if not 0 <= lines <= LINES_MAX:
        raise MisuseError("--lines", f"{lines} is not accepted", f"write a whole number from 0 to {LINES_MAX}")
    path, _is_running = _output_of(call, name)
    descriptor = _open(path)
    # What it writes may be cut within a character anywhere.
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    try:
        end = os.fstat(descriptor).st_size
        for chunk in _from(descriptor, tail_start(descriptor, end, lines), end):
            _print(call, decoder.decode(chunk))
        if call.has("--follow"):
            call.output.flush()
            _follow(call, name, descriptor, end, decoder)
        _print(call, decoder.decode(b"", final=True))
    finally:
        os.close(descriptor)
    return 0


def _output_of(call: Call, name: str) -> tuple[str, bool]:
    listed = call.read(WorkloadList, call.ask("list-workloads"))
    for row in listed.workloads:
        if row.name == name:
            if row.output is None:
                raise MisuseError(name, "it has not been started", "`agentctl list-workloads` says why")
            return row.output, row.pid is not None or row.state == "backoff"
    raise MisuseError(name, "there is no workload of this name", "`agentctl list-workloads` lists them")


def _open(path: str) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except PermissionError as cause:
        raise PermissionRefused(path, "this user may not read it", "call agentctl as the agent's user or root") from cause
    except OSError as cause:
        raise StorageError(path, f"the output cannot be read: {cause.strerror}") from cause


def tail_start(descriptor: int, end: int, lines: int) -> int:
    """Where the last lines of a file begin; within a bound."""
    if lines == 0:
        return end
    found = 0
    position = end
    while position > 0 and end - position < TAIL_BYTES_MAX:
        begin = max(0, position - CHUNK_BYTES)
        chunk = os.pread(descriptor, position - begin, begin)
        if position == end and chunk.endswith(b"\n"):
            # The end of the last line begins no further one.
            chunk = chunk[:-1]
        while (place := chunk.rfind(b"\n")) >= 0:
            found += 1
            if found == lines:
                return begin + place + 1
            chunk = chunk[:place]
        position = begin
    return position


def _from(descriptor: int, begin: int, end: int) -> Iterator[bytes]:
    while begin < end:
        chunk = os.pread(descriptor, min(CHUNK_BYTES, end - begin), begin)
        if not chunk:
            return
        begin += len(chunk)
        yield chunk


def _follow(call: Call, name: str, descriptor: int, position: int, decoder: codecs.IncrementalDecoder) -> None:
    """Print what comes, until the workload has ended or the reader ends this command."""
    while True:
        size = os.fstat(descriptor).st_size
        if size < position:
            # The head was dropped to keep it within its bound.
            position = size
        for chunk in _from(descriptor, position, size):
            _print(call, decoder.decode(chunk))
            position += len(chunk)
        call.output.flush()
        if size == os.fstat(descriptor).st_size:
            call.deadline = time.monotonic() + call.timeout_seconds
            if not _output_of(call, name)[1]:
                return
            time.sleep(LOOK_SECONDS)


def _print(call: Call, text: str) -> None:
    # Where the file's head was dropped, blocks may be holes.
    text = text.replace("\0", "")
    if call.output.isatty():
        # A workload may write what moves a terminal's cursor.
        text = "\n".join(map(escape, text.replace("\r\n", "\n").replace("\t", "    ").split("\n")))
    call.output.write(text)


COMMANDS = (
    Command(
        "logs",
        logs,
        about="the output of a workload, standard output and standard error together",
        details="The output is a file that the workload writes itself; only its last part is kept (--output of run, 16M).",
        arguments=(Argument("NAME", "the workload, as list-workloads names it"),),
        options=(
            Option("--lines", "N", f"only the last N lines; {LINES}", kind=WHOLE),
            Option("--follow", "", "go on with what it writes, until it has ended", kind=SWITCH),
        ),
        examples=("agentctl logs train", "agentctl logs web --lines 20 --follow"),
    ),
)
