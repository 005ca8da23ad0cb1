"""Whether named processes hold as much as they are to hold, as a sentence that stays while it is so. PURE."""

from msgspec import Struct

from workers.process.choice import MetricChoice, ProcessChoice
from workers.process.exits.deaths import Deaths
from workers.process.top_n import Limits

# A host is busy with something else for a moment now and then.
BEGIN_TICKS = 5
END_TICKS = 30
_NAMES = {"cpu": "CPU", "rss": "memory", "io": "input and output"}


class _State(Struct):
    """One metric: for how many ticks it has been short or not, and its part of the sentence while it counts as short."""

    ticks: int = 0
    told: str = ""


class CaptureWatch:
    """Follows the capture from tick to tick."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._states = {metric: _State() for metric in _NAMES}

    def set_limits(self, limits: Limits) -> None:
        """Other limits hold from the next tick on."""
        self._limits = limits

    def sentence(self, choice: ProcessChoice, deaths: Deaths) -> str:
        """What is short, with the ratio of the moment in which that began; empty: nothing is."""
        for metric, chosen in (("cpu", choice.cpu), ("rss", choice.rss), ("io", choice.io)):
            dead = deaths.cpu_ns if metric == "cpu" else deaths.read_bytes + deaths.write_bytes if metric == "io" else 0
            self._follow(metric, chosen, dead)
        told = [state.told for state in self._states.values() if state.told]
        return f"named processes hold less than {self._limits.capture / 10:g} %: {'; '.join(told)}" if told else ""

    def _follow(self, metric: str, chosen: MetricChoice, dead: int) -> None:
        state = self._states[metric]
        if chosen.is_short is bool(state.told):
            state.ticks = 0
            return
        state.ticks += 1
        if state.told:
            if state.ticks >= END_TICKS:
                state.told, state.ticks = "", 0
        elif state.ticks >= BEGIN_TICKS:
            state.told, state.ticks = self._part(metric, chosen, dead), 0

    def _part(self, metric: str, chosen: MetricChoice, dead: int) -> str:
        held = 100 * (chosen.capture or 0.0)
        reason = (
            f"{100 * dead / chosen.whole:.0f} % is of processes that ended, see process_exit"
            if dead * 1000 > chosen.whole * (1000 - self._limits.capture)
            else f"the limit is sampler.process.top_rows = {self._limits.most}, the rest is in process_tail"
        )
        return f"{held:.1f} % of {_NAMES[metric]} ({reason})"
