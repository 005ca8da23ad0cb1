"""The failure of a user who may not ask the agent: whose agent it is, as far as the file system shows it, and the remedy."""

import os

from agent.membership import joining
from agent.model.errors import PermissionRefused
from agent.model.foreign import readable


def refused(path: str) -> PermissionRefused:
    """The failure to raise where this user may not connect to the control socket at `path`."""
    owner = _owner(path)
    if owner is None:
        return PermissionRefused(
            "control socket", f"{path} may not be opened by this user", "call agentctl as root or as the agent's user"
        )
    problem = f"the agent here belongs to {owner} ({path}), and this user may not ask it"
    calling = "call `sudo agentctl`" if owner == "root" else f"call agentctl as {owner}"
    return PermissionRefused("control socket", problem, " or ".join(filter(None, (calling, joining(path)))))


def _owner(path: str) -> str | None:
    """The user of the socket or, where that is hidden, of the innermost folder that can be seen. *Absent:* neither is seen."""
    while path not in ("", "/"):
        try:
            number = os.stat(path).st_uid
        except OSError:
            path = os.path.dirname(path)
            continue
        # An import that only a refusal pays for.
        import pwd

        try:
            return readable(pwd.getpwuid(number).pw_name)
        except KeyError:
            return f"user {number}"
    return None
