"""What this host lets the agent see and do: for `agentctl doctor` and for the daemon's first lines.

`probe` looks, `judgement` decides (PURE), `finding` and `facts` are the words between them.
"""

import os
from collections.abc import Mapping

from agent.config import CGROUP_ROOT, NRI_SOCKET, PROC_ROOT, RESCTRL_MOUNT, STATE_DIR, Config
from agent.doctor.finding import Finding, Usability, lacks_essential
from agent.paths import default_state_dir

__all__ = ["Finding", "Usability", "examine", "lacks_essential"]


def examine(
    config: Config | None = None,
    *,
    state_dir: str | None = None,
    environment: Mapping[str, str] = os.environ,
    root: str = "/",
    with_packages: bool = True,
    with_others: bool = True,
) -> list[Finding]:
    """One finding per topic, for this user on this host, in a fixed order.

    The folders are those of `config`, where it says some, else the defaults; `root` is where /sys, /run and /dev lie
    below. Looking up packages costs 30 ms and memory, so the daemon leaves it out. It looks at no file of another process
    either (`with_others`): one that answers nothing must not keep it waiting.
    """
    # Needed by who looks, and not by the daemon, which reads what a child of it has found.
    from agent.doctor.judgement import judge
    from agent.doctor.probe import probe

    settings = config or Config({})
    return judge(
        probe(
            proc_root=settings.of(PROC_ROOT),
            cgroup_root=settings.of(CGROUP_ROOT),
            state_dir=state_dir or settings.of(STATE_DIR) or default_state_dir(dict(environment)),
            resctrl_mount=settings.of(RESCTRL_MOUNT),
            nri_socket=settings.of(NRI_SOCKET),
            root=root,
            with_packages=with_packages,
            with_others=with_others,
        )
    )
