"""The durable document of the limits that the operator has set. PURE.

JSON, so that a person can read and repair it:
    {"format": 1, "limits": {"sampler/process": {"cpu": 500}}}

Only what was set is in it; all other limits are those of the settings.
"""

from collections.abc import Mapping

import msgspec
from msgspec import Struct

from agent.model.errors import FormatError
from agent.model.limit import Resource, SetLimits

FORMAT_VERSION = 1
# One for each worker that there ever was; an agent has some tens.
WORKERS_MAX = 1024
LIMIT_MOST = (1 << 63) - 1


class _LimitsDocument(Struct, frozen=True, forbid_unknown_fields=True):
    format: int
    limits: dict[str, dict[Resource, int]]


def encode_limits(limits: Mapping[str, SetLimits]) -> bytes:
    """The document, workers in the order of their names."""
    document = _LimitsDocument(FORMAT_VERSION, {name: dict(sorted(each.items())) for name, each in sorted(limits.items())})
    return msgspec.json.format(msgspec.json.encode(document), indent=1) + b"\n"


def decode_limits(document: bytes) -> dict[str, dict[Resource, int]]:
    """The limits of a document, by worker. *Raises:* FormatError when it is damaged or of another format."""
    try:
        found = msgspec.json.decode(document, type=_LimitsDocument)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as cause:
        raise FormatError("limits document", str(cause)) from cause
    if found.format != FORMAT_VERSION:
        raise FormatError("limits document", f"format {found.format} is not known to this version, which reads {FORMAT_VERSION}")
    if len(found.limits) > WORKERS_MAX:
        raise FormatError("limits document", f"{len(found.limits)} workers are more than {WORKERS_MAX}")
    for name, limits in found.limits.items():
        if not all(0 <= value <= LIMIT_MOST for value in limits.values()):
            raise FormatError("limits document", f"the limits of {name!r} are out of range")
    return found.limits
