"""One line on a terminal that shows the progress of a long answer, redrawn in place and removed at its end."""

import time
from collections.abc import Callable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.cli.output import Output

# Shorter answers need no line; more frequent redraws only cost.
FIRST_SECONDS, AGAIN_SECONDS = 1.0, 0.25


class Progress:
    """Counts and draws. `output` None: it counts only."""

    def __init__(
        self, output: "Output | None", noun: str, *, total: int | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._output = output
        self._noun = noun
        self._total = total
        self._clock = clock
        self._begun = clock()
        self._next = self._begun + FIRST_SECONDS
        self._is_drawn = False
        self.count = 0

    def add(self, count: int) -> None:
        """Count this many more as done."""
        self.count += count
        self.draw()

    def draw(self) -> None:
        """Draw where it is time to."""
        now = self._clock()
        if self._output is None or now < self._next:
            return
        self._next = now + AGAIN_SECONDS
        self._is_drawn = True
        of_total = "" if self._total is None else f" of {self._total:,}"
        self._output.write(f"\r\x1b[K{self.count:,}{of_total} {self._noun}, {now - self._begun:.0f} s")
        self._output.flush()

    def end(self) -> None:
        """Remove the line before anything else is printed there."""
        if self._is_drawn and self._output is not None:
            self._is_drawn = False
            self._output.write("\r\x1b[K")
            self._output.flush()


def progress_for(warnings: "Output", output: "Output | None", term: str | None, noun: str, total: int | None = None) -> Progress:
    """A progress that draws only on a terminal that can be redrawn and does not show the rows themselves.

    `output` is where the answer goes, None: into a file.
    """
    can_draw = warnings.isatty() and term != "dumb" and (output is None or not output.isatty())
    return Progress(warnings if can_draw else None, noun, total=total)
