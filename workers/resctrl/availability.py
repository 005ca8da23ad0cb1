"""Whether this host has a resctrl that the agent can use: for the switch that says `auto`."""

from agent.child_check import check_in_child
from agent.config import PROC_ROOT, RESCTRL_AUTO_MOUNT, RESCTRL_MOUNT, Config
from agent.model.mountinfo import KERNEL_RESCTRL_TYPE
from agent.mount_lookup import mount_of
from workers.resctrl.filesystem import MountedFilesystem

# An emulator answers within milliseconds; kept from a processor it can take seconds, and what is not there now is not measured in
# this run.
ANSWER_SECONDS_MAX = 5.0


def is_available(config: Config) -> bool:
    """Whether resctrl is mounted here and lets this user make groups, or the kernel has it and the agent may mount it.

    A program that mounted it may have stopped answering: then nobody could measure anything there, and the start goes on.
    """
    try:
        mount = mount_of(config.of(RESCTRL_MOUNT))
    except OSError:
        return False
    if mount is None or mount.type == KERNEL_RESCTRL_TYPE:
        return _is_usable(config)
    return check_in_child(lambda: _is_usable(config), seconds=ANSWER_SECONDS_MAX) is True


def _is_usable(config: Config) -> bool:
    filesystem = MountedFilesystem(config.of(RESCTRL_MOUNT))
    try:
        if filesystem.mount_id() is not None:
            return filesystem.may_write()
        return config.of(RESCTRL_AUTO_MOUNT) and _kernel_knows(config.of(PROC_ROOT))
    except OSError:
        # Nobody may look, so nobody could read either.
        return False
    finally:
        # The caller lives as long as the agent: a directory kept open would keep an unmounted resctrl from being mounted again.
        filesystem.forget()


def _kernel_knows(proc_root: str) -> bool:
    with open(f"{proc_root}/filesystems", encoding="ascii", errors="replace") as file:
        return any(line.split()[-1:] == ["resctrl"] for line in file)
