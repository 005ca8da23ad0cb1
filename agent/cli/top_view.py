"""The view of `agentctl top`: the newest sample or one of the past, with the names that it does not hold."""

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar, Generic, Protocol, TypeVar

from agent.cli.call import Call
from agent.cli.span import moment_of
from agent.cli.top_heading import HistoryMoment
from agent.cli.top_history import HistoryReader
from agent.cli.top_keys import NOW_KEYS, TICK_STEPS, TIME_STEPS_NS
from agent.cli.top_names import Names
from agent.model.errors import MisuseError, UnavailableError


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

    # The orders that it knows, the usual first, and the keys that choose them.
    sorts: ClassVar[tuple[str, ...]]
    sort_by_key: ClassVar[Mapping[str, str]]

    def __init__(self, call: Call) -> None:
        sort = call.text("--sort") or self.sorts[0]
        if sort not in self.sorts:
            raise MisuseError("--sort", f"{sort!r} is no order of this view", f"write one of {', '.join(self.sorts)}")
        self.sort = sort
        self.state_dir = call.state_dir()
        self.names = Names(call)
        self._sealed: StampedT | None = None
        # What is shown of the past: the moment that was asked for, and the sample of it; None: now is shown.
        self.moment: HistoryMoment | None = None
        self._past: StampedT | None = None
        self._history: HistoryReader[StampedT] | None = None
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
    def render(self, *, width: int | None, height: int, keys: tuple[str, str] = ("", "")) -> list[str]:
        """The lines of the screen now. *Raises:* EvergaugeError."""

    @abstractmethod
    def history(self) -> HistoryReader[StampedT]:
        """The ticks of the past."""

    def sample(self) -> StampedT:
        """The sample of the moment that is shown, the newest one for now. *Raises:* UnavailableError when there is none."""
        if self.moment is not None:
            if self._past is None:
                raise self.nothing()
            return self._past
        newest = self.from_open_spool() or self._sealed
        if newest is None:
            newest = self._sealed = self.sealed()
        if newest is None:
            raise self.nothing()
        return newest

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

    def _reader(self) -> HistoryReader[StampedT]:
        if self._history is None:
            self._history = self.history()
        return self._history
