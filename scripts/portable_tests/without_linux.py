"""Takes from Python what only Linux gives it, so that a test which needs it fails here too. pytest loads it with -p."""

import os
import select
import signal
import sys

ONLY_LINUX = {
    os: (
        "pidfd_open",
        "memfd_create",
        "eventfd",
        "splice",
        "setns",
        "unshare",
        "sched_setaffinity",
        "sched_getaffinity",
        "getxattr",
    ),
    select: ("epoll",),
    signal: ("pidfd_send_signal",),
}
PLACES = ("/proc/", "/sys/", "/dev/shm/")
# They ask for themselves: how much memory and which processors there are.
OF_LIBRARIES = ("/proc/self/", "/proc/cpuinfo", "/proc/meminfo", "/sys/devices/system/cpu")


def _refuse(event: str, arguments: tuple[object, ...]) -> None:
    if event in ("open", "os.listdir", "os.scandir") and isinstance(arguments[0], str):
        path = arguments[0]
        if path.startswith(PLACES) and not path.startswith(OF_LIBRARIES):
            raise FileNotFoundError(f"{path}: only Linux has it")


for module, names in ONLY_LINUX.items():
    for name in names:
        if hasattr(module, name):
            delattr(module, name)
sys.addaudithook(_refuse)
