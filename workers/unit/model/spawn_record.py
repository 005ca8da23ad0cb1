"""What the keeper's record says of the workload that it started: its command, and what the operator says of it. PURE.

*Source:* `WorkloadRecord` in workers/keeper/protocol.py, of which this is the part that is needed here.
"""

import msgspec
from msgspec import Struct

from agent.model.served_model import model_by_arguments, parse_environment, variables_wanted
from workers.unit.model.finding import LABEL, ModelFinding, ModelSource, of_label

# Where the keeper has its records, below the state folder.
RECORDS_FOLDER, RECORD_SUFFIX = "workloads", ".json"
# What the keeper writes at most: an order of 4 MiB, and what the kernel made of it.
RECORD_BYTES_MAX = 5 << 20


class _Spec(Struct, frozen=True):
    argv: tuple[str, ...] = ()
    env: dict[str, str] = {}
    labels: dict[str, str] = {}


class _SpawnRecord(Struct, frozen=True):
    spec: _Spec = _Spec()
    cgroup: str = ""


_RECORD = msgspec.json.Decoder(_SpawnRecord)


def findings_of_record(content: bytes, cgroup: str) -> tuple[ModelFinding, ...]:
    """What label and command of a workload say. None where it is the record of another one, or of none."""
    try:
        record = _RECORD.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ()
    if record.cgroup != cgroup:
        return ()
    spec = record.spec
    command = _bytes("\0".join(spec.argv))
    environment = b"\0".join(_bytes(f"{name}={value}") for name, value in spec.env.items())
    told = model_by_arguments(command, parse_environment(environment, variables_wanted(command)))
    found = (of_label(spec.labels.get(LABEL)), None if told is None else ModelFinding(ModelSource.SPAWN_RECORD, told))
    return tuple(each for each in found if each is not None)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
