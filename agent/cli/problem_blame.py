"""Who uses the most of something: a process, all processes of a command together, or a unit. PURE."""

from collections.abc import Callable, Mapping

from msgspec import Struct

from agent.cli.problem import Culprit
from agent.cli.render import counted, text_of
from agent.cli.top_sample import Ended, NamedProcess, Sample, Tail

# A process stands for its command if it uses at least this part of what the command does; else the command itself is named:
# of forty compilers none is the culprit.
PROCESS_PART = 0.5
# A unit is named instead of a command if it uses at least this part of everything, and no command in it the half of that:
# then not the program matters but who started it.
UNIT_PART = 0.5
CULPRITS_MAX = 3
# What a sample says where a row has no command.
UNKNOWN_COMMAND = "?"


class Measure(Struct, frozen=True):
    """How much of something a process, a line of the tail, and a line of the dead use; None: unknown, or not theirs to use."""

    of_process: Callable[[NamedProcess], float | None]
    of_tail: Callable[[Tail], float | None] = lambda _: None
    of_ended: Callable[[Ended], float | None] = lambda _: None


class Usage(Struct):
    """What a command or a unit uses; `largest` is its named process that uses the most."""

    amount: float = 0.0
    processes: int = 0
    largest: NamedProcess | None = None
    largest_amount: float = 0.0

    def add(self, amount: float, processes: int, process: NamedProcess | None = None) -> None:
        """Count what one more line uses."""
        self.amount += amount
        self.processes += processes
        if process is not None and amount > self.largest_amount:
            self.largest, self.largest_amount = process, amount


class Blame(Struct, frozen=True):
    """Who uses the most: the culprit, and how much it uses; `total` is what all use."""

    culprit: Culprit
    amount: float
    total: float
    processes: int = 1


CPU = Measure(lambda process: process.cpu_share, lambda tail: tail.cpu_share, lambda ended: ended.cpu_share)
# Pages that processes share count in each one's RSS and once in the sum of their PSS, which only some processes have.
MEMORY = Measure(lambda process: process.rss_bytes if process.pss_bytes is None else process.pss_bytes, lambda tail: tail.rss_bytes)
READS = Measure(lambda process: process.read_bytes_per_second, lambda tail: tail.read_bytes_per_second)
WRITES = Measure(lambda process: process.write_bytes_per_second, lambda tail: tail.write_bytes_per_second)
SENT = Measure(lambda process: process.sent_bytes_per_second)
RECEIVED = Measure(lambda process: process.received_bytes_per_second)
MAJOR_FAULTS = Measure(lambda process: process.major_faults_per_second)


def blamed(sample: Sample, measure: Measure, pod_names: Mapping[str, str]) -> list[Blame]:
    """Who uses the most of something, the heaviest first, at most CULPRITS_MAX; empty: nobody uses any."""
    commands, units, total = _shares(sample, measure)
    if total <= 0:
        return []
    heaviest = sorted(commands.items(), key=lambda item: -item[1].amount)[:CULPRITS_MAX]
    found = [_of_command(command, share, total) for command, share in heaviest if share.amount > 0]
    unit, of_unit = max(units.items(), key=lambda item: item[1].amount, default=(None, Usage()))
    of_heaviest = found[0].amount if found else 0.0
    if unit is not None and of_unit.amount >= UNIT_PART * total and of_heaviest < of_unit.amount / 2:
        culprit = Culprit("unit", text_of(pod_names.get(unit, unit)), share=of_unit.amount / total)
        found.insert(0, Blame(culprit, of_unit.amount, total, of_unit.processes))
    # A process may use less of it than the next command: then it is not the first.
    return sorted(found, key=lambda blame: -blame.amount)[:CULPRITS_MAX]


def _shares(sample: Sample, measure: Measure) -> tuple[dict[str, Usage], dict[str | None, Usage], float]:
    """What each command and each unit uses, and the sum."""
    commands: dict[str, Usage] = {}
    units: dict[str | None, Usage] = {}
    total = 0.0

    def add(command: str | None, unit: str | None, amount: float, processes: int, process: NamedProcess | None = None) -> None:
        nonlocal total
        total += amount
        units.setdefault(unit, Usage()).add(amount, processes, process)
        # Several commands in one line are nobody in particular.
        if command is not None:
            commands.setdefault(command, Usage()).add(amount, processes, process)

    for process in sample.processes:
        add(counted_command(process), process.pod_uid, measure.of_process(process) or 0.0, 1, process)
    for tail in sample.tail:
        add(tail.command, tail.pod_uid, measure.of_tail(tail) or 0.0, tail.processes)
    for ended in sample.ended:
        add(known_command(ended), ended.pod_uid, measure.of_ended(ended) or 0.0, ended.deaths)
    return commands, units, total


def counted_command(process: NamedProcess) -> str:
    """The command that a process counts to: as in the sums, but scripts of one interpreter are different programs."""
    return process.comm if process.comm is not None and process.name.startswith(process.comm) else process.name


def known_command(ended: Ended) -> str | None:
    """The command of what ended. *Absent:* the row sums up several."""
    return None if ended.command == UNKNOWN_COMMAND else ended.command


def _of_command(command: str, share: Usage, total: float) -> Blame:
    process = share.largest
    if process is not None and share.largest_amount >= PROCESS_PART * share.amount:
        return Blame(culprit_of(process, share.largest_amount / total), share.largest_amount, total)
    return Blame(Culprit("command", text_of(command), share=share.amount / total), share.amount, total, share.processes)


def culprit_of(process: NamedProcess, share: float | None = None) -> Culprit:
    """A process as culprit."""
    return Culprit("process", text_of(process.name), process.pid, process.start_ticks, share)


def who(blame: Blame) -> str:
    """The culprit in words: `dd (pid 4711)`, `cc1 (40 processes)`, `unit shop/web (12 processes)`."""
    culprit = blame.culprit
    if culprit.pid is not None:
        return name_of(culprit)
    named = f"unit {culprit.name}" if culprit.kind == "unit" else culprit.name
    return f"{named} ({counted(blame.processes, 'process')})"


def name_of(culprit: Culprit) -> str:
    """The culprit's name, with its pid where it is a process."""
    return culprit.name if culprit.pid is None else f"{culprit.name} (pid {culprit.pid})"


def culprits(blames: list[Blame]) -> tuple[Culprit, ...]:
    """The culprits alone."""
    return tuple(blame.culprit for blame in blames)
