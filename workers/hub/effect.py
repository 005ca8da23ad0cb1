"""What follows from an event at the hub. PURE."""

from msgspec import Struct

from agent.fleet.live import UnitLabel
from agent.fleet.message import HubAnswer


class HubTerms(Struct, frozen=True):
    """Who the hub is and how long it waits. *Units:* ns."""

    name: str
    run: str
    beat_ns: int
    stale_ns: int
    admissions_per_second: int


class AnswerNode(Struct, frozen=True):
    """Answer on a connection."""

    connection: bytes
    answer: HubAnswer


TellFields = dict[str, str | int | float | bool | None]


class Tell(Struct, frozen=True):
    """An event for the diagnostics."""

    kind: str
    severity: str
    fields: TellFields


class NodeChanged(Struct, frozen=True):
    """A node's phase, or who it is, has changed."""

    install: str


class UnitsChanged(Struct, frozen=True):
    """Units of a node have begun, ended or changed what they are. `begun` and `gone` are their keys, `ended` who those
    that are gone were. `is_arrival`: another life of the node begins, and then tells for the first time what runs on it; what is
    the same as before is no news."""

    install: str
    begun: tuple[int, ...]
    gone: tuple[int, ...]
    ended: tuple[UnitLabel, ...] = ()
    is_arrival: bool = False


HubEffect = AnswerNode | Tell | NodeChanged | UnitsChanged
