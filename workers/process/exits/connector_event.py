"""Exit events of the kernel's process connector. PURE. *Source:* linux/include/uapi/linux/cn_proc.h, connector.h."""

from struct import Struct
from typing import NamedTuple

from workers.framework.netlink_message import DONE, pack_connector, pack_message

# Index and value of the process connector, and its multicast group.
INDEX, VALUE, GROUP = 1, 1, 1
_LISTEN = 1
_ACKNOWLEDGEMENT, _EXIT = 0, 0x8000_0000
_ORDER, _FILTERED_ORDER = Struct("=I"), Struct("=II")
# Message head 16, connector head 20, event head 16; then process, thread group, exit code, signal, parent and its thread group.
_EVENT = Struct("=16xII12xI12xIIIIII")
_ACK = Struct("=16xII12xI12xI")


class ConnectorExit(NamedTuple):
    """A process that ended: its leading thread's exit. *Absent:* `ppid` is 0 before Linux 4.19."""

    pid: int
    exit_code: int
    ppid: int


def pack_listen(*, exits_only: bool) -> bytes:
    """The order to send events. Kernels before 6.6 ignore one for exits only."""
    order = _FILTERED_ORDER.pack(_LISTEN, _EXIT) if exits_only else _ORDER.pack(_LISTEN)
    return pack_message(DONE, pack_connector(INDEX, VALUE, order), flags=0)


def acknowledged(data: bytes | memoryview) -> int | None:
    """The errno of an acknowledgement, 0 where the order was accepted. *Absent:* it is another event, or too short."""
    if len(data) < _ACK.size:
        return None
    index, value, what, number = _ACK.unpack_from(data)
    return number if (index, value, what) == (INDEX, VALUE, _ACKNOWLEDGEMENT) else None


def parse_exit(data: bytes | memoryview) -> ConnectorExit | None:
    """The end of a process. *Absent:* it is another event, the exit of a further thread, or too short."""
    if len(data) < _EVENT.size:
        return None
    index, value, what, pid, tgid, code, _, _, ppid = _EVENT.unpack_from(data)
    if (index, value, what) != (INDEX, VALUE, _EXIT) or pid != tgid:
        return None
    return ConnectorExit(pid, code, ppid)
