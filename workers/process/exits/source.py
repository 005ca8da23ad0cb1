"""Opens the best source of deaths that this kernel and user allow, and says why a better one cannot be had, and the remedy."""

import os
from errno import EACCES, EAFNOSUPPORT, ECONNREFUSED, EINVAL, ENOENT, EPERM, EPROTONOSUPPORT

from agent.kernel_file import read_text
from agent.model.foreign import readable
from workers.process.exits.connector import ConnectorListener
from workers.process.exits.taskstats import TaskstatsListener

POSSIBLE_CPUS = "/sys/devices/system/cpu/possible"
CPUS_BYTES_MAX = 4096
_CAPABILITY = (
    "give the agent CAP_NET_ADMIN (in a systemd unit also AF_NETLINK in RestrictAddressFamilies=, in Kubernetes "
    "securityContext.capabilities.add: [NET_ADMIN])"
)
_NAMESPACE = "run the agent in the host's network and pid namespaces (docker run --network host --pid host, hostNetwork, hostPID)"
_REMEDIES = {
    EPERM: _CAPABILITY,
    EACCES: _CAPABILITY,
    EAFNOSUPPORT: _CAPABILITY,
    EINVAL: _NAMESPACE,
    ENOENT: f"{_NAMESPACE}, on a kernel with CONFIG_TASKSTATS=y",
    ECONNREFUSED: _NAMESPACE,
    EPROTONOSUPPORT: "run a kernel with CONFIG_CONNECTOR=y and CONFIG_PROC_EVENTS=y",
}


def remedy(refused: OSError) -> str:
    """What brings a source back that was refused like this."""
    return _REMEDIES.get(refused.errno or 0, _CAPABILITY)


def possible_cpus(path: str = POSSIBLE_CPUS) -> str:
    """The kernel's list of CPUs that there can be, such as `0-63`: those that come later are in it."""
    try:
        text = read_text(path, CPUS_BYTES_MAX).strip()
    except OSError:
        text = ""
    # Without sysfs: as many as the C library counts.
    return text or f"0-{max(1, os.sysconf('SC_NPROCESSORS_CONF')) - 1}"


def open_taskstats(buffer_bytes: int) -> TaskstatsListener:
    """*Raises:* OSError where it cannot be had."""
    return TaskstatsListener(possible_cpus(), buffer_bytes=buffer_bytes)


def open_connector(buffer_bytes: int) -> ConnectorListener:
    """*Raises:* OSError where it cannot be had."""
    return ConnectorListener(buffer_bytes=buffer_bytes)


def why_not(refused: OSError) -> str:
    """The kernel's reason in words."""
    return readable((refused.strerror or str(refused)).removeprefix("netlink: "))
