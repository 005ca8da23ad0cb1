"""The forms of the files below `info`, of `schemata` and of `size`. PURE. *Source:* Documentation/filesystems/resctrl.rst.

Every parser raises ValueError for text of another form.
"""

import re
from collections.abc import Mapping

from msgspec import Struct

# Numbers of domains and of counters; longer ones are no numbers of this world.
_DIGITS_MAX = 19
_MODE = re.compile(r"(\[)?([a-z_]+)(\])?")
_CONFIG = "_config"


class EventFeatures(Struct, frozen=True):
    """What `mon_features` lists: the events, and which of them can be configured."""

    events: tuple[str, ...]
    configurable: tuple[str, ...]


class AssignMode(Struct, frozen=True):
    """What `mbm_assign_mode` lists: all modes, and the active one."""

    active: str
    modes: tuple[str, ...]


def parse_decimal(text: str) -> int:
    """One number without a sign. *Raises:* ValueError. *Source:* `num_rmids`, `num_closids`, `min_cbm_bits` and others."""
    return _number(text.strip())


def parse_mask(text: str) -> int:
    """One bit mask in hexadecimal digits, not zero. *Raises:* ValueError. *Source:* `cbm_mask`."""
    mask = _hexadecimal(text.strip())
    if not mask:
        raise ValueError("an empty mask")
    return mask


def parse_features(text: str) -> EventFeatures:
    """One event to a line; `<event>_config` says of the event that it can be configured. *Raises:* ValueError.

    *Source:* `mon_features`.
    """
    words = text.split()
    if not words or not all(re.fullmatch(r"[a-z][a-z0-9_]*", word) for word in words):
        raise ValueError("no list of events")
    configs = {word.removesuffix(_CONFIG) for word in words if word.endswith(_CONFIG)}
    events = tuple(word for word in words if not word.endswith(_CONFIG))
    return EventFeatures(events, tuple(event for event in events if event in configs))


def parse_assign_mode(text: str) -> AssignMode:
    """One mode to a line, the active one in brackets. *Raises:* ValueError. *Source:* `mbm_assign_mode`."""
    modes = []
    active = None
    for line in text.split():
        found = _MODE.fullmatch(line)
        if found is None or bool(found[1]) != bool(found[3]):
            raise ValueError("no list of modes")
        modes.append(found[2])
        if found[1]:
            active = found[2]
    if active is None:
        raise ValueError("no mode is active")
    return AssignMode(active, tuple(modes))


def parse_domain_counts(text: str) -> Mapping[int, int]:
    """`0=32;1=32`: a number for each domain. *Raises:* ValueError. *Source:* `num_mbm_cntrs`, `available_mbm_cntrs`."""
    pairs = (item.split("=") for item in text.strip().split(";"))
    return {_number(domain.strip()): _number(count.strip()) for domain, count in pairs}


def parse_filter(text: str) -> tuple[str, ...]:
    """The names of memory transactions, joined by commas; none for an empty filter."""
    return tuple(word for word in text.strip().split(",") if word)


def parse_monitored_domain(name: str, prefix: str) -> int | None:
    """The number at the end of a directory such as `mon_L3_00`; None for another directory."""
    digits = name.removeprefix(prefix)
    return _number(digits) if digits != name and _is_number(digits) else None


def parse_full_sizes(resource: str, full_mask: int, schemata: str, sizes: str) -> Mapping[int, int]:
    """The bytes of each whole cache, from the share of it that one group may use and the size of that share.

    *Shape:* one item for each domain that both files list; empty when one of them does not list the resource. The kernel
    rounds a slice down: a cache whose size is no multiple of its slices looks smaller by less than their number of bytes.
    """
    masks, shares = _line_of(resource, schemata), _line_of(resource, sizes)
    full: dict[int, int] = {}
    for domain, word in masks.items():
        try:
            mask, share = _hexadecimal(word), _number(shares[domain])
        except (KeyError, ValueError):
            continue
        if mask and share and not mask & ~full_mask:
            full[domain] = share // mask.bit_count() * full_mask.bit_count()
    return full


def _line_of(resource: str, text: str) -> Mapping[int, str]:
    """The items by domain of the line `  L3:0=ffff;1=ffff`; empty when there is no such line."""
    for line in text.splitlines():
        name, colon, items = line.strip().partition(":")
        if colon and name == resource:
            pairs = [item.partition("=") for item in items.split(";")]
            return {int(domain): word.strip() for domain, _equal, word in pairs if _is_number(domain.strip())}
    return {}


def _is_number(word: str) -> bool:
    # `isdecimal` of strings takes the digits of every script.
    return word.isascii() and word.isdecimal() and len(word) <= _DIGITS_MAX


def _number(word: str) -> int:
    if not _is_number(word):
        raise ValueError("no number")
    return int(word)


def _hexadecimal(word: str) -> int:
    if not re.fullmatch(r"[0-9a-f]{1,16}", word):
        raise ValueError("no mask")
    return int(word, 16)
