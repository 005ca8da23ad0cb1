"""Finds the mount that a path leads to without touching the mount, because the server of a FUSE mount may never answer.

Every system call on a mount point (stat, readlink, open) is a request to the file system mounted there. The kernel answers
from its own mount table instead, but that has no symbolic links; so a link is followed only if it is not a mount point.
"""

import os

from agent.kernel_file import read_text
from agent.model.mountinfo import BYTES_MAX, NAME, Mount, parse_mountinfo

MOUNTS_PATH = f"/proc/{NAME}"
# The kernel follows at most as many links in a path (path_resolution(7)).
LINKS_MAX = 40


def mount_of(path: str, mounts_path: str = MOUNTS_PATH) -> Mount | None:
    """The mount whose mount point is where `path` leads to; of several mounts on one point, the last.

    *Absent:* None when nothing is mounted exactly there, or after LINKS_MAX links. *Raises:* OSError when the mount table cannot
    be read. *Source:* proc_pid_mountinfo(5).
    """
    by_point = {mount.point: mount for mount in parse_mountinfo(read_text(mounts_path, BYTES_MAX))}
    place = os.path.abspath(path)
    for _ in range(LINKS_MAX):
        if place in by_point:
            return by_point[place]
        parent = os.path.dirname(place)
        if parent not in by_point:
            parent = os.path.realpath(parent)
        place = os.path.join(parent, os.path.basename(place))
        if place in by_point:
            return by_point[place]
        try:
            link = os.readlink(place)
        except OSError:
            # Not a link, or nothing at all: nothing is mounted there.
            return None
        place = os.path.normpath(os.path.join(parent, link))
    return None
