"""A machine with cgroup version 2 alone and systemd as its first process: containerd lets systemd make its pods' cgroups there.

One boot (about a minute and a half on two quiet processors, since the guest's processor is emulated), several stories about it.
"""

import json
import os
import subprocess
import sys
import tempfile
from typing import Any

import pytest
from harness.lab.guest_tests import CHECKOUT, GUEST_SECONDS, SLOWNESS
from harness.lab.place import VERSIONS

LAB = CHECKOUT / "scripts" / "lab"
# Fetching a kernel and containerd comes first on a machine that has none yet.
FETCH_SECONDS = 420.0
pytestmark = [
    pytest.mark.timeout(FETCH_SECONDS + GUEST_SECONDS + 60),
    pytest.mark.skipif(os.geteuid() != 0, reason="sharing the disk needs root"),
]


@pytest.fixture(scope="module")
def seen() -> dict[str, Any]:
    """What was seen in the guest."""
    version = VERSIONS[0]
    subprocess.run([str(LAB / "containerd"), "package", version], check=True, capture_output=True, timeout=FETCH_SECONDS)
    environment = [f"PYTHONPATH={CHECKOUT}/tests:{CHECKOUT}", f"LAB_SLOWNESS={SLOWNESS}"]
    words = ["env", *environment, sys.executable, "-m", "harness.lab.inside_guest", version]
    with tempfile.TemporaryDirectory(prefix="guest-") as folder:
        command = [str(LAB / "guest"), "run", folder, *words]
        limit = os.environ | {"LAB_GUEST_SECONDS": str(GUEST_SECONDS)}
        ended = subprocess.run(command, capture_output=True, text=True, timeout=GUEST_SECONDS + 60, env=limit, check=False)
        assert ended.returncode == 0, f"{ended.stdout}\n{ended.stderr}"
    found: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return found


def test_pods_of_the_systemd_driver_are_named_and_whole(seen: dict[str, Any]) -> None:
    """One pod from before the agent and one with two containers from after it: names, counts, and every thread in the group."""
    for name, containers in (("early", {"main"}), ("late", {"first", "second"})):
        row = seen[name]["row"]
        assert (row["uid"], row["namespace"], row["name"], row["kind"]) == (seen[name]["uid"], "lab", name, "pod")
        assert set(row["container_names"].values()) == containers
        assert row["total_containers"] == row["reconciled_containers"] == len(containers)
        assert seen[name]["tasks"] == seen[name]["threads"]
        assert len(seen[name]["threads"]) > len(containers)


def test_cgroups_have_the_form_that_systemd_gives_them(seen: dict[str, Any]) -> None:
    """Slices of a kubelet with the systemd driver, and a scope for each container and for the sandbox."""
    for name in ("early", "late"):
        uid = seen[name]["uid"].replace("-", "_")
        pod = f"/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod{uid}.slice"
        assert seen[name]["row"]["cgroup"] == pod
        cgroups = {line.removeprefix("0::") for line in seen[name]["cgroups"]}
        ids = seen[name]["containers"].values()
        assert cgroups >= {f"{pod}/cri-containerd-{each}.scope" for each in ids}
        assert all(each.startswith(f"{pod}/cri-containerd-") for each in cgroups)


def test_the_group_of_a_removed_pod_goes(seen: dict[str, Any]) -> None:
    """After the early pod's end the late one's group is left, beside those of services."""
    groups = {path.removeprefix("mon_groups/pod_") for path in seen["groups"]}
    assert seen["late"]["uid"] in groups
    assert seen["early"]["uid"] not in groups
