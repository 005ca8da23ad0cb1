"""What the agent can see and do on this host: for `agentctl doctor` and for the daemon's start banner.

`probe` reads the host into `facts`; `judgement` (PURE) turns facts into `finding`s.
"""

import os
from collections.abc import Mapping

from msgspec.structs import replace

from agent.config import (
    CGROUP_ROOT,
    CRI_ENABLED,
    CRI_SOCKET,
    NRI_ENABLED,
    NRI_SOCKET,
    PROC_ROOT,
    RESCTRL_MOUNT,
    STATE_DIR,
    Config,
)
from agent.doctor.facts import WireFacts
from agent.doctor.finding import Finding, Usability, lacks_essential
from agent.paths import default_state_dir

__all__ = ["Finding", "Usability", "WireFacts", "examine", "lacks_essential"]


def examine(
    config: Config | None = None,
    *,
    state_dir: str | None = None,
    environment: Mapping[str, str] = os.environ,
    root: str = "/",
    with_packages: bool = True,
    with_others: bool = True,
    wires: Mapping[str, WireFacts] | None = None,
) -> list[Finding]:
    """One finding per topic, for this user on this host, in a fixed order.

    Folders come from `config`, else the defaults apply; `root` is the folder that holds /sys, /run and /dev. The daemon
    skips packages, whose lookup costs 30 ms and memory, and files of other processes (`with_others`), because reading one
    may never return. `wires` is what a running agent says of its ways to the container runtime.
    *Absent:* the topics that were skipped.
    """
    # Imported here because the daemon itself never examines the host: a child process does, and the daemon decodes its findings.
    from agent.doctor.judgement import judge
    from agent.doctor.probe import probe

    settings = config or Config({})
    facts = probe(
        proc_root=settings.of(PROC_ROOT),
        cgroup_root=settings.of(CGROUP_ROOT),
        state_dir=state_dir or settings.of(STATE_DIR) or default_state_dir(dict(environment)),
        resctrl_mount=settings.of(RESCTRL_MOUNT),
        nri_socket=settings.of(NRI_SOCKET),
        cri_socket=settings.of(CRI_SOCKET),
        root=root,
        with_packages=with_packages,
        with_others=with_others,
    )
    switches = {"nri_enabled": settings.of(NRI_ENABLED), "cri_enabled": settings.of(CRI_ENABLED)}
    gpu = None if facts.gpu is None else replace(facts.gpu, enabled=str(settings.values.get("sampler.gpu.enabled", "auto")))
    return judge(replace(facts, **switches, gpu=gpu, wires=None if wires is None else dict(wires)))
