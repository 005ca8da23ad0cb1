"""Scenarios: what groups do, what goes wrong and when, written in TOML. PURE.

The control socket takes the same actions as JSON.
"""

import errno
from collections.abc import Mapping
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

from agent.model.errors import ConfigError
from agent.model.timebase import parse_duration_ns
from agent.model.toml import parse_toml

DEFAULT_BYTES_PER_CPU_SECOND = 2_000_000_000

Natural = Annotated[int, Meta(ge=0)]
Positive = Annotated[int, Meta(ge=1)]
Share = Annotated[float, Meta(ge=0, le=1)]
Name = Annotated[str, Meta(pattern=r"\A[^/\n]+\Z")]
Operation = Literal["any", "mkdir", "rmdir", "rename", "open", "read", "write"]

T = TypeVar("T")


class _Strict(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An unknown key is an error."""


class Fault(_Strict, frozen=True, tag_field="do", tag="fault"):
    """One thing that goes wrong: an `errno` by name, another `answer` of an event file, or an answer after a `delay`.

    `path` has shell wildcards in each part; `**/` in front is any folder, `**` any path. Of the matching operations the first
    `skip` succeed, then each fails with `probability`, at most `count` times. `after` and `until` bound the fault in time; with
    `every`, it is active only in the first `lasts` of each period.
    """

    operation: Operation = "any"
    path: str = "**"
    errno: str = ""
    answer: str | None = None
    delay: str = ""
    probability: Share = 1.0
    count: Positive | None = None
    skip: Natural = 0
    after: str = "0s"
    until: str = ""
    every: str = ""
    lasts: str = ""

    def __post_init__(self) -> None:
        given = [bool(self.errno), self.answer is not None, bool(self.delay)].count(True)
        if given != 1:
            raise ValueError("exactly one of `errno`, `answer` and `delay` must stand in a fault")
        if self.errno and not isinstance(getattr(errno, self.errno, None), int):
            raise ValueError(f"`errno`: {self.errno!r} is no name of an error, such as ENOSPC")
        if self.answer is not None and self.operation not in ("any", "read"):
            raise ValueError("`answer` goes with operation `read` alone")
        if bool(self.every) != bool(self.lasts):
            raise ValueError("`every` and `lasts` go together")
        for key in ("delay", "after", "until", "every", "lasts"):
            _check_duration(key, getattr(self, key), may_be_empty=key != "after")

    @property
    def errno_number(self) -> int:
        """The error's number; 0 for a fault without an errno."""
        return int(getattr(errno, self.errno)) if self.errno else 0


class Traffic(_Strict, frozen=True, tag_field="do", tag="traffic"):
    """The memory traffic of the groups whose path matches; `domains` overrides the rate of single domains by their number."""

    path: str
    bytes_per_second: Natural = 0
    domains: dict[str, Natural] = {}
    local_fraction: Share = 0.75

    def __post_init__(self) -> None:
        if any(not key.isdecimal() for key in self.domains):
            raise ValueError('`domains` has numbers of domains as its keys, such as domains = {"0" = 1000000}')

    def rates(self, domains: tuple[int, ...]) -> dict[int, int]:
        """Bytes per second by domain. *Raises:* ConfigError for a domain that the profile does not have."""
        unknown = [key for key in self.domains if int(key) not in domains]
        if unknown:
            raise ConfigError("traffic", f"the profile has no domain {unknown[0]}", f"it has {', '.join(map(str, domains))}")
        return {domain: self.domains.get(str(domain), self.bytes_per_second) for domain in domains}


class Vanish(_Strict, frozen=True, tag_field="do", tag="vanish"):
    """Another program removes the groups whose path matches."""

    path: str


class Occupy(_Strict, frozen=True, tag_field="do", tag="occupy"):
    """Another program makes groups and takes ids: `count`, or as many as there are."""

    count: Positive | None = None
    name: Name = "foreign_"
    directory: str = "mon_groups"


class Offline(_Strict, frozen=True, tag_field="do", tag="offline"):
    """All CPUs of a domain go offline, and its directories disappear."""

    domain: Natural


class Online(_Strict, frozen=True, tag_field="do", tag="online"):
    """The CPUs of a domain come back online."""

    domain: Natural


class Reset(_Strict, frozen=True, tag_field="do", tag="reset"):
    """The bandwidth counters of the groups whose path matches restart; with `unread` their first reading is `Unavailable`."""

    path: str
    unread: bool = False


class Wrap(_Strict, frozen=True, tag_field="do", tag="wrap"):
    """All bandwidth counters wrap at `2**bits` units; without `bits` they never wrap."""

    bits: Annotated[int, Meta(ge=8, le=64)] | None = None
    unit_bytes: Positive = 1


class Resident(_Strict, frozen=True, tag_field="do", tag="resident"):
    """The groups whose path matches hold this much of a cache now; limbo lasts until other traffic has replaced it."""

    path: str
    domain: Natural
    bytes: Natural


class Lock(_Strict, frozen=True, tag_field="do", tag="lock"):
    """Another program holds the lock of the root directory for a while."""

    lasts: str

    def __post_init__(self) -> None:
        _check_duration("lasts", self.lasts)


class Clear(_Strict, frozen=True, tag_field="do", tag="clear"):
    """Removes all faults."""


Action = Fault | Traffic | Vanish | Occupy | Offline | Online | Reset | Wrap | Resident | Lock | Clear


class Event(Struct, frozen=True):
    """An action at an instant after the start, repeated every `every_ns` if that is not 0."""

    at_ns: int
    every_ns: int
    action: Action


class Scenario(Struct, frozen=True):
    """`seed` None: a random one. `read_delay_ns`: how long each read of an event file blocks all other requests, as the kernel's
    single lock does."""

    seed: int | None = None
    bytes_per_cpu_second: int = DEFAULT_BYTES_PER_CPU_SECOND
    local_fraction: float = 0.75
    read_delay_ns: int = 0
    traffic: tuple[Traffic, ...] = ()
    faults: tuple[Fault, ...] = ()
    events: tuple[Event, ...] = ()


class _ScenarioDocument(_Strict, frozen=True):
    seed: Natural | None = None
    bytes_per_cpu_second: Natural = DEFAULT_BYTES_PER_CPU_SECOND
    local_fraction: Share = 0.75
    read_delay: str = "0s"
    traffic: tuple[Traffic, ...] = ()
    fault: tuple[Fault, ...] = ()
    event: tuple[dict[str, object], ...] = ()

    def __post_init__(self) -> None:
        _check_duration("read_delay", self.read_delay)


def parse_scenario(text: str, where: str) -> Scenario:
    """The scenario that a TOML text describes. *Raises:* ConfigError naming the key."""
    document = _convert(parse_toml(text, origin=where, remedy="correct the scenario"), _ScenarioDocument, where)
    return Scenario(
        seed=document.seed,
        bytes_per_cpu_second=document.bytes_per_cpu_second,
        local_fraction=document.local_fraction,
        read_delay_ns=parse_duration_ns(document.read_delay),
        traffic=document.traffic,
        faults=document.fault,
        events=tuple(_event(entry, f"{where}: event {place}") for place, entry in enumerate(document.event, start=1)),
    )


def parse_action(table: Mapping[str, object], where: str) -> Action:
    """One action by its word `do`. *Raises:* ConfigError naming the key."""
    action: Action = _convert(dict(table), Action, where)  # type: ignore[arg-type]
    return action


def _event(entry: dict[str, object], where: str) -> Event:
    rest = {key: value for key, value in entry.items() if key not in ("at", "repeat")}
    times = {}
    for key in ("at", "repeat"):
        value = entry.get(key, "0s")
        if not isinstance(value, str):
            raise ConfigError(where, f"`{key}` must be a duration such as 5s")
        try:
            times[key] = parse_duration_ns(value)
        except ValueError as cause:
            raise ConfigError(where, f"`{key}`: {cause}") from cause
    return Event(times["at"], times["repeat"], parse_action(rest, where))


def _convert(table: dict[str, object], kind: type[T], where: str) -> T:
    try:
        return msgspec.convert(table, kind)
    except msgspec.ValidationError as cause:
        raise ConfigError(where, _in_words(str(cause))) from cause


def _in_words(said: str) -> str:
    """msgspec's sentence, with the key in the words of the file: `$.fault[0].count` is `fault 1, key count`."""
    problem, _, place = said.partition(" - at `$")
    parts = place.rstrip("`").replace("[", ".").replace("]", "").strip(".").split(".")
    if not place or parts == [""]:
        return problem
    named = [str(int(part) + 1) if part.isdecimal() else part for part in parts]
    return f"{' '.join(named)}: {problem}"


def _check_duration(key: str, text: str, *, may_be_empty: bool = False) -> None:
    if text or not may_be_empty:
        try:
            parse_duration_ns(text)
        except ValueError as cause:
            raise ValueError(f"`{key}`: {cause}") from cause
