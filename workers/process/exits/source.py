"""Opens the best source of deaths that this kernel and user allow, and says why a better one cannot be had, and the remedy."""

import os
from errno import EACCES, EAFNOSUPPORT, ECONNREFUSED, EINVAL, ENOENT, EPERM, EPROTONOSUPPORT

from agent.capability import GRANTED, NET_ADMIN
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
# Root of another user namespace has the capability for what belongs to that.
_USER_NAMESPACE = (
    "run the agent outside of a user namespace, where its CAP_NET_ADMIN counts (no rootless container, no userns-remap, "
    "PrivateUsers=no)"
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
    if refused.errno in (EPERM, EACCES) and _holds_capability():
        return _USER_NAMESPACE
    return _REMEDIES.get(refused.errno or 0, _CAPABILITY)


def _holds_capability(path: str = "/proc/self/status") -> bool:
    """Whether this process has CAP_NET_ADMIN, in whatever user namespace. *Source:* proc_pid_status(5)."""
    try:
        with open(path, "rb") as file:
            lines = file.read(8192).splitlines()
    except OSError:
        return False
    words = [int(line.split()[1], 16) for line in lines if line.startswith(b"CapEff:")]
    return any(word >> GRANTED[NET_ADMIN] & 1 for word in words)


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
