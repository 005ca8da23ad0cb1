"""Which mount a path leads to, found without touching it: the server of a FUSE mount may never answer.

Every look at a mount point itself (stat, readlink, open) is a question to what is mounted there. The table of mounts answers
from the kernel alone, but it has no symbolic links; so a link is followed only while it is none of the mount points.
"""

import os

from agent.kernel_file import read_text
from agent.model.mountinfo import BYTES_MAX, NAME, Mount, parse_mountinfo

MOUNTS_PATH = f"/proc/{NAME}"
# As many links as the kernel follows for a path (path_resolution(7)).
LINKS_MAX = 40


def mount_of(path: str, mounts_path: str = MOUNTS_PATH) -> Mount | None:
    """What is mounted exactly where `path` leads to; of several that lie upon each other, the last. *Raises:* OSError."""
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
            # It is no link, or nothing: nothing is mounted there.
            return None
        place = os.path.normpath(os.path.join(parent, link))
    return None
