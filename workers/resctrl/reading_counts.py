"""What the readings of all groups give, counted; and what a person should know when they give nothing."""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from agent.model.absence import Absence
from agent.model.message import Note
from agent.ports import Bus
from workers.framework.condition import Conditions
from workers.resctrl.event_file import EventFileReader
from workers.resctrl.reader import DirectoryReader

# Words that nobody knows are reported once each; a file of garbage may have a new one at each reading.
WORDS_TOLD_MAX = 16
# A hiccup of the hardware is shorter.
SILENT_TICKS = 5


class ReadingCounts:
    """Readings so far, and those without a value by reason."""

    def __init__(self, bus: Bus, beat: Callable[[], object]) -> None:
        self._bus = bus
        self._beat = beat
        self._conditions = Conditions(bus)
        self._words: set[bytes] = set()
        self._silent_ticks = 0
        self._absent = dict.fromkeys(Absence, 0)
        self._readings = 0

    def stats(self) -> dict[str, Any]:
        """The counts, for `status` and /metrics."""
        return {
            "readings": self._readings,
            "readings_absent": sum(self._absent.values()),
            "absent": {reason.value: count for reason, count in self._absent.items() if count},
        }

    def count(self, directories: Iterable[DirectoryReader]) -> None:
        """One tick is over: these are all directories, as they were read in it."""
        without: Counter[tuple[str, str]] = Counter()
        given: set[str] = set()
        for directory in directories:
            self._beat()
            self._readings += len(directory.files)
            for file in directory.files:
                event = file.path.rpartition("/")[2]
                if isinstance(file.value, Absence):
                    without[event, file.value.value] += 1
                    self._on_absent(file, file.value)
                else:
                    given.add(event)
        self._tell_silence(sorted(f"{event} {reason}" for event, reason in without if event not in given))

    def _on_absent(self, file: EventFileReader, reason: Absence) -> None:
        self._absent[reason] += 1
        is_new = reason is Absence.MALFORMED and file.content not in self._words
        if is_new and len(self._words) < WORDS_TOLD_MAX:
            self._words.add(file.content)
            self._bus.note(Note("event_malformed", "warning", {"path": file.path, "content": repr(file.content)}))

    def _tell_silence(self, silent: list[str]) -> None:
        """Report when no group has any value of an event for a while; for a moment that is no news."""
        self._silent_ticks = self._silent_ticks + 1 if silent else 0
        kinds = ", ".join(silent) if self._silent_ticks >= SILENT_TICKS else ""
        detail = f"no group has a value: {kinds}; `agentctl top --occupancy` shows them, dmesg may say what the hardware lacks"
        self._conditions.tell("no_values", detail if kinds else "")
