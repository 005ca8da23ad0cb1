"""Which group a refused user could join: the group and mode of the agent's folders show the reader group."""

import os

from agent.model.foreign import readable


def joining(path: str) -> str:
    """How to be let in by the group of a path, or of the innermost folder around it that can be seen; "": none shows."""
    gid = _reader_gid(path)
    if gid is None or gid in (os.getegid(), *os.getgroups()):
        return ""
    # Imports that only a refusal pays for.
    import grp
    import pwd

    try:
        group = readable(grp.getgrgid(gid).gr_name)
    except KeyError:
        group = str(gid)
    try:
        user = readable(pwd.getpwuid(os.geteuid()).pw_name)
    except KeyError:
        user = "USER"
    return f"join group {group} (`sudo usermod -aG {group} {user}`, then log in again)"


def _reader_gid(path: str) -> int | None:
    """A folder that lets its group through and nobody else is meant for a group; root's own is never one to join."""
    while path not in ("", "/"):
        try:
            status = os.stat(path)
        except OSError:
            path = os.path.dirname(path)
            continue
        return status.st_gid if status.st_gid != 0 and status.st_mode & 0o011 == 0o010 else None
    return None
