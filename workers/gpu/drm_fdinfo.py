"""What a DRM driver says of one open descriptor in /proc/PID/fdinfo/N. PURE, and light.

*Source:* linux/Documentation/gpu/drm-usage-stats.rst. A client may be open several times, in one process or several: it is known
by its device and its number. Engine times may step back, and a size without a unit is in bytes.
"""

from collections.abc import Mapping
from typing import NamedTuple

TEXT_BYTES_MAX = 16 << 10
_ENGINES_MAX = 32
_ENGINE, _CAPACITY = "drm-engine-", "drm-engine-capacity-"
# `drm-memory-` is the older name of `drm-resident-`.
_MEMORY = ("drm-resident-", "drm-memory-")
# The regions on the device itself: amdgpu, xe and nouveau say vram, i915 says local0.
_ON_DEVICE = ("vram", "local")
_SCALE = {"": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


class DrmClient(NamedTuple):
    """One client. `busy_ns` is by engine, each divided by the number of its equals. *Absent:* `memory_bytes` where no region is."""

    pdev: str
    client: int
    driver: str
    busy_ns: Mapping[str, int]
    memory_bytes: int | None


def parse_fdinfo(text: str) -> DrmClient | None:
    """The client of a descriptor. *Absent:* it is no DRM client, or lacks what it is known by."""
    fields: dict[str, str] = {}
    for line in text.splitlines():
        name, colon, value = line.partition(":")
        if colon and name.startswith("drm-"):
            fields[name] = value.strip()
    client, pdev = fields.get("drm-client-id", ""), fields.get("drm-pdev", "")
    if not client.isascii() or not client.isdigit() or not pdev:
        return None
    return DrmClient(pdev, int(client), fields.get("drm-driver", ""), _busy_ns(fields), _memory_bytes(fields))


def _busy_ns(fields: Mapping[str, str]) -> dict[str, int]:
    busy: dict[str, int] = {}
    for name, value in fields.items():
        if not name.startswith(_ENGINE) or name.startswith(_CAPACITY) or len(busy) >= _ENGINES_MAX:
            continue
        number = _whole(value.removesuffix(" ns"))
        if number is not None:
            engine = name.removeprefix(_ENGINE)
            busy[engine] = number // max(1, _whole(fields.get(_CAPACITY + engine, "")) or 1)
    return busy


def _memory_bytes(fields: Mapping[str, str]) -> int | None:
    found: dict[str, int] = {}
    for name, value in fields.items():
        prefix = next((prefix for prefix in _MEMORY if name.startswith(prefix)), None)
        region = "" if prefix is None else name.removeprefix(prefix)
        if region.startswith(_ON_DEVICE) and (size := _size(value)) is not None:
            found[region] = max(size, found.get(region, 0))
    return sum(found.values()) if found else None


def _size(value: str) -> int | None:
    number, _, unit = value.partition(" ")
    whole = _whole(number)
    return None if whole is None or unit.strip() not in _SCALE else whole * _SCALE[unit.strip()]


def _whole(value: str) -> int | None:
    text = value.strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 20 else None
