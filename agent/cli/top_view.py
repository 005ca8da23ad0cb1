"""The view of `agentctl top`: the newest sample or one of the past, what a person chose to see, and names of pods and users."""

import sys
import time
from abc import ABC, abstractmethod
from typing import ClassVar, Generic, Protocol, TypeVar

from msgspec.structs import replace

from agent.cli.call import Call
from agent.cli.span import moment_of
from agent.cli.top_heading import HistoryMoment
from agent.cli.top_keys import NOW_KEYS, TICK_STEPS, TIME_STEPS_NS
from agent.cli.top_names import TopNames
from agent.cli.top_state import FILTER_CHARACTERS_MAX, NO_TREE, KeyRules, Scroll, TopState, on_key
from agent.cli.top_style import Line, Span
from agent.cli.width import ELLIPSIS
from agent.model.errors import MisuseError, UnavailableError

TYPE_CHECKING = False
if TYPE_CHECKING:
    # It reads sealed files: only a look at the past needs it.
    from agent.cli.top_history import HistoryReader

# All that a screen has beyond ASCII: cut text, branches of a tree, keys, levels of a trend.
_LETTERS = f"{ELLIPSIS}│└├←→▁▂▃▄▅▆▇█"
ELLIPSIS_ASCII = "~"


class Stamped(Protocol):
    """A sample: what a view shows of one tick."""

    @property
    def at_wall_ns(self) -> int:
        """The tick's time, unix nanoseconds."""
        ...


StampedT = TypeVar("StampedT", bound=Stamped)


class Top(ABC, Generic[StampedT]):
    """Samples and names together: one screen at each request. One class for each view.

    *Raises:* MisuseError where `--sort` names no order of the view.
    """

    # Its orders, the usual first, and what keys mean in it.
    rules: ClassVar[KeyRules]

    def __init__(self, call: Call) -> None:
        self.state = _first_state(call, self.rules)
        self.has_letters = _has_letters(getattr(sys.stdout, "encoding", None))
        self.scroll = Scroll()
        self.state_dir = call.state_dir()
        self.names = TopNames(call)
        self._sealed: StampedT | None = None
        # What is shown of the past: the moment that was asked for, and the sample of it; None: now is shown.
        self.moment: HistoryMoment | None = None
        self._past: StampedT | None = None
        self._history: HistoryReader[StampedT] | None = None
        # What stands still while it is paused, and since when.
        self._held: StampedT | None = None
        self._held_wall_ns = 0
        asked_ns = moment_of(call, "--at", time.time_ns())
        if asked_ns is not None:
            self._show_moment(asked_ns)

    @abstractmethod
    def from_open_spool(self) -> StampedT | None:
        """The newest sample in the open spool. *Raises:* EvergaugeError."""

    @abstractmethod
    def sealed(self) -> StampedT | None:
        """The newest sample of the sealed files. *Raises:* EvergaugeError."""

    @abstractmethod
    def nothing(self) -> UnavailableError:
        """What is said where there is no sample. *Raises:* EvergaugeError that says more."""

    @abstractmethod
    def document(self) -> object:
        """The newest sample as JSON holds it. *Raises:* EvergaugeError."""

    @abstractmethod
    def draw(self, width: int | None, height: int, *, has_keys: bool) -> list[Line]:
        """The lines of the screen now. `has_keys`: somebody can type. *Raises:* EvergaugeError."""

    @abstractmethod
    def history(self) -> "HistoryReader[StampedT]":
        """The ticks of the past."""

    def sample(self) -> StampedT:
        """The sample of the moment that is shown, the newest one for now. *Raises:* UnavailableError when there is none."""
        if self.moment is not None:
            if self._past is None:
                raise self.nothing()
            return self._past
        if self.state.is_paused and self._held is not None:
            return self._held
        newest = self.from_open_spool() or self._sealed
        if newest is None:
            newest = self._sealed = self.sealed()
        if newest is None:
            raise self.nothing()
        self._held, self._held_wall_ns = newest, time.time_ns()
        return newest

    def now_wall_ns(self) -> int:
        """Now; while it is paused, when what is shown was new."""
        return self._held_wall_ns if self.state.is_paused and self._held is not None else time.time_ns()

    def press(self, key: str) -> bool:
        """Do what a key asks for; True: the screen is to be left. *Raises:* EvergaugeError."""
        is_text = self.state.is_typing or self.state.shows_help
        if is_text or not self.step(key):
            self.state = on_key(self.state, key, self.rules, self.scroll) or self.state
        return self.state.is_ended

    def lines(self, width: int | None, height: int, *, has_keys: bool = False) -> list[Line]:
        """The screen in letters that the terminal has. *Raises:* EvergaugeError."""
        drawn = self.draw(width, height, has_keys=has_keys)
        if self.has_letters:
            return drawn
        return [tuple(Span(span.text.replace(ELLIPSIS, ELLIPSIS_ASCII), span.style) for span in line) for line in drawn]

    def step(self, key: str) -> bool:
        """Go where a key goes in time; False: it is no such key. *Raises:* EvergaugeError."""
        if key in NOW_KEYS:
            self.moment = self._past = None
        elif key in TIME_STEPS_NS:
            base_ns = self.sample().at_wall_ns if self.moment is None else self.moment.asked_ns
            # Before the first tick there is nothing to go to, and no way back that is as long.
            if TIME_STEPS_NS[key] > 0 or not self._is_before_all:
                self._go(max(0, base_ns + TIME_STEPS_NS[key]))
        elif key in TICK_STEPS:
            found_ns = self._reader().step(self.sample().at_wall_ns, is_before=TICK_STEPS[key])
            # Before the first tick there is none, behind the last there is now.
            if found_ns is not None:
                self._go(found_ns)
            elif not TICK_STEPS[key]:
                self.moment = self._past = None
        else:
            return False
        return True

    @property
    def _is_before_all(self) -> bool:
        return self.moment is not None and not self.moment.is_near and self.moment.before_ns is None

    def _go(self, asked_ns: int) -> None:
        """Show a moment; one that is still to come is now."""
        if asked_ns > time.time_ns():
            self.moment = self._past = None
        else:
            self._show_moment(asked_ns)

    def _show_moment(self, asked_ns: int) -> None:
        self._past, self.moment = self._reader().at(asked_ns)

    def _reader(self) -> "HistoryReader[StampedT]":
        if self._history is None:
            self._history = self.history()
        return self._history


def _first_state(call: Call, rules: KeyRules) -> TopState:
    """What the options ask for. *Raises:* MisuseError."""
    sort = call.text("--sort") or rules.sorts[0]
    if sort not in rules.sorts:
        raise MisuseError("--sort", f"{sort!r} is no order of this view", f"write one of {', '.join(rules.sorts)}")
    if call.has("--tree") and not rules.has_tree:
        raise MisuseError("--tree", "this view has no tree", "leave it out")
    if call.has("--tree") and sort == NO_TREE:
        raise MisuseError("--tree", "an order by pods has no tree", "leave it out, or write another --sort")
    kept = call.text("--filter") or ""
    if len(kept) > FILTER_CHARACTERS_MAX:
        raise MisuseError("--filter", f"{len(kept)} characters are too many", f"write at most {FILTER_CHARACTERS_MAX}")
    return replace(TopState(sort), filter=kept, is_tree=call.has("--tree"))


def _has_letters(encoding: str | None) -> bool:
    """Whether the terminal has all letters that a screen may use."""
    try:
        _LETTERS.encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
