"""The faults of a scenario, drawn with a seeded random generator. PURE."""

from collections.abc import Iterable, Iterator
from errno import errorcode
from random import Random

from agent.model.timebase import parse_duration_ns
from workers.resctrl.emulator.scenario import Fault
from workers.resctrl.emulator.traffic import matches

# At most this many pairs of operation and path are cached with the faults that match; a scan has far fewer.
REMEMBERED_MAX = 50_000
GARBAGE_BYTES = 12
ANY_PATH = "**"


class _Rule:
    """One fault with its state."""

    __slots__ = ("_after_ns", "_every_ns", "_lasts_ns", "_skip", "_until_ns", "answer", "count", "delay_ns", "errno", "fault")

    def __init__(self, fault: Fault, start_ns: int) -> None:
        self.fault = fault
        self.errno = fault.errno_number
        self.answer = fault.answer
        self.delay_ns = _ns(fault.delay)
        self.count = 0
        self._skip = fault.skip
        self._after_ns = start_ns + _ns(fault.after)
        self._until_ns = start_ns + _ns(fault.until) if fault.until else None
        self._every_ns = _ns(fault.every)
        self._lasts_ns = _ns(fault.lasts)

    def strikes(self, now_ns: int, chance: Random) -> bool:
        """Whether this operation fails; counts it if so."""
        fault = self.fault
        if now_ns < self._after_ns or (self._until_ns is not None and now_ns >= self._until_ns):
            return False
        if self._every_ns and (now_ns - self._after_ns) % self._every_ns >= self._lasts_ns:
            return False
        if fault.count is not None and self.count >= fault.count:
            return False
        if self._skip:
            self._skip -= 1
            return False
        if fault.probability < 1 and chance.random() >= fault.probability:
            return False
        self.count += 1
        return True


class ScriptedFaults:
    """The active faults; new ones may be added at any time. The scenario's times count from `start_ns`."""

    def __init__(self, faults: Iterable[Fault], seed: int, start_ns: int) -> None:
        self._chance = Random(seed)
        self._rules: list[_Rule] = []
        self._remembered: dict[tuple[str, str], tuple[_Rule, ...]] = {}
        self.delays = False
        for fault in faults:
            self.add(fault, start_ns)

    def add(self, fault: Fault, start_ns: int) -> None:
        """Adds a fault; its times count from `start_ns`."""
        self._rules.append(_Rule(fault, start_ns))
        self._remembered.clear()
        self.delays = self.delays or bool(fault.delay)

    def clear(self) -> None:
        """Removes all faults."""
        self._rules.clear()
        self._remembered.clear()
        self.delays = False

    def struck(self) -> list[int]:
        """How often each fault has struck, in the order in which they were added."""
        return [rule.count for rule in self._rules]

    def check(self, operation: str, path: str, now_ns: int) -> None:
        """Lets an operation pass, or fail. *Raises:* OSError when a fault with an errno strikes it."""
        for rule in self._fitting(operation, path):
            if rule.errno and rule.strikes(now_ns, self._chance):
                raise OSError(rule.errno, errorcode[rule.errno], path)

    def value(self, path: str, now_ns: int) -> bytes | None:
        """What an event file shows instead of its value. *Absent:* None: its value."""
        for rule in self._fitting("read", path):
            if rule.answer is not None and rule.strikes(now_ns, self._chance):
                return self._answer(rule.answer)
        return None

    def delay_ns(self, operation: str, path: str, now_ns: int) -> int:
        """How long to hold back an answer, in nanoseconds; 0: no delay."""
        return sum(rule.delay_ns for rule in self._fitting(operation, path) if rule.delay_ns and rule.strikes(now_ns, self._chance))

    def _answer(self, word: str) -> bytes:
        if word == "empty":
            return b""
        if word == "garbage":
            # It contains no digit and no newline, so that no reader can take a part of it for a number.
            return bytes(self._chance.choices(range(0x3A, 0x100), k=GARBAGE_BYTES))
        return word.encode() + b"\n"

    def _fitting(self, operation: str, path: str) -> tuple[_Rule, ...]:
        if not self._rules:
            return ()
        found = self._remembered.get((operation, path))
        if found is None:
            if len(self._remembered) >= REMEMBERED_MAX:
                self._remembered.clear()
            found = self._remembered[operation, path] = tuple(self._look_for(operation, path))
        return found

    def _look_for(self, operation: str, path: str) -> Iterator[_Rule]:
        return (rule for rule in self._rules if rule.fault.operation in ("any", operation) and fits(rule.fault.path, path))


def fits(pattern: str, path: str) -> bool:
    """Whether a path matches a pattern: shell wildcards in each part; `**` is any path, and in front any folder."""
    if pattern == ANY_PATH:
        return True
    if pattern.startswith("**/"):
        wanted = pattern[3:].count("/") + 1
        return matches(pattern[3:], "/".join(path.split("/")[-wanted:]))
    return matches(pattern, path)


def _ns(duration: str) -> int:
    return parse_duration_ns(duration) if duration else 0
