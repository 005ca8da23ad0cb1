"""How engines outside of Kubernetes name the cgroups of their containers, machines and jobs: one table. PURE.

Everything below such a cgroup is one workload, including the services of its own init system. An id of 64 hexadecimal digits
(docker, podman, containerd, CRI-O, ECS) needs no entry here: `agent.model.cgroup_path` recognizes it anywhere in a path.
"""

import re

from msgspec import Struct

_NAME = r"[^/]{1,128}"
_WORD = r"[0-9A-Za-z_-]"
_HEX = r"[0-9a-f]"
_UUID = rf"{_HEX}{{8}}(?:-{_HEX}{{4}}){{3}}-{_HEX}{{12}}"


class Form(Struct, frozen=True):
    """One way to name a group: `pattern` matches the path from the slash before the form up to the workload's own group.

    Its group `id` is the id; `is_container` false: the group is known by its own name, as units of systemd are.
    """

    engine: str
    pattern: str
    source: str
    is_container: bool = True


FORMS = (
    # `lxc.payload/NAME` is LXC 3.1 to 3.2, `lxc/NAME` older ones, LXD of that time and Proxmox, which adds `ns` below it.
    Form(
        "lxc", rf"/(?:lxc\.payload[./]|lxc/)(?P<id>{_NAME})", "lxc.container.conf(5) lxc.cgroup.dir.container; LXD, Incus, Proxmox"
    ),
    Form("lxc", rf"/(?P<id>lxc\.monitor[./]{_NAME})", "lxc.container.conf(5) lxc.cgroup.dir.monitor", is_container=False),
    Form(
        "machine",
        rf"/machine\.slice/(?P<id>machine-{_NAME}\.scope|(?:systemd-nspawn|container)@{_NAME}\.service)",
        "systemd-machined(8), systemd-nspawn@.service, libvirt cgroups.html (machine-qemu), NixOS containers",
        is_container=False,
    ),
    # systemd-nspawn --keep-unit in a service of any name puts itself beside its payload.
    Form(
        "nspawn", rf"/(?P<id>{_NAME}\.(?:service|scope))(?=/payload(?:/|\Z))", "systemd-nspawn(1) --keep-unit", is_container=False
    ),
    Form("libvirt", rf"/machine/(?P<id>{_NAME})\.libvirt-(?:qemu|lxc)", "libvirt cgroups.html, hosts without systemd"),
    Form("qemu", r"/qemu\.slice/(?P<id>[0-9]{1,10})\.scope", "Proxmox VE qm(1)"),
    # Fargate names containers by task and number; on EC2 they have docker's ids. A cluster may stand above the task.
    Form("ecs", rf"/ecs/(?:{_NAME}/)?{_HEX}[0-9a-f-]{{31,35}}/(?P<id>{_HEX}{{32}}-[0-9]{{1,20}})", "amazon-ecs-agent; AWS Fargate"),
    Form(
        "slurm", rf"/slurm(?:_{_NAME})?/uid_[0-9]{{1,10}}/job_(?P<id>[0-9]{{1,20}})", "slurm.schedmd.com/cgroups.html (cgroup/v1)"
    ),
    Form("slurm", rf"/(?:{_NAME}_)?slurmstepd\.scope/job_(?P<id>[0-9]{{1,20}})", "slurm.schedmd.com/cgroup_v2.html"),
    Form("firecracker", rf"/firecracker-containerd/{_NAME}/(?P<id>[0-9A-Za-z#-]{{1,128}})", "firecracker-containerd"),
    # The parent is by default the name of the executable, which has to hold `firecracker`.
    Form(
        "firecracker",
        rf"/(?!firecracker-containerd/){_WORD}{{0,64}}firecracker{_WORD}{{0,64}}(?:\.[0-9]{{1,4}}){{0,3}}/(?P<id>[0-9A-Za-z-]{{1,64}})",
        "firecracker docs/jailer.md --parent-cgroup, --id",
    ),
    Form("kata", rf"/kata_overhead/(?P<id>{_NAME})", "kata-containers docs/design/host-cgroups.md"),
    Form("kata", rf"/kata_(?P<id>{_HEX}{{12,128}})", "kata-containers docs/design/host-cgroups.md"),
    Form("nomad", rf"/nomad\.slice(?:/(?:share|reserve)\.slice)?/(?P<id>{_UUID}\.{_NAME})\.scope", "Nomad client, cgroups v2"),
    Form("nomad", rf"/nomad(?:/(?:share|reserve))?/(?P<id>{_UUID}\.{_NAME})", "Nomad client, cgroups v1"),
    Form("mesos", rf"/mesos/(?P<id>{_UUID})", "mesos.apache.org mesos-containerizer, --cgroups_root"),
    Form("garden", rf"/garden(?:/(?:good|bad))?/(?P<id>{_HEX}{{8}}-[0-9a-z-]{{4,64}})", "cloudfoundry/guardian"),
    Form("singularity", r"/singularity/(?P<id>[0-9]{1,10})", "SingularityCE user guide: cgroups without systemd"),
    Form("apptainer", r"/apptainer/(?P<id>[0-9]{1,10})", "Apptainer user guide: cgroups without systemd"),
)

# A form begins at a slash and ends with a whole name; of several, whatever begins first is the outermost.
_ANY = re.compile(
    "|".join(rf"(?:{form.pattern.replace('?P<id>', f'?P<id{number}>')})(?=/|\Z)" for number, form in enumerate(FORMS))
)


class Boundary(Struct, frozen=True):
    """A workload's own group within a path: `begin` is where its form begins, `end` where the path of the group ends."""

    form: Form
    begin: int
    end: int
    id: str


def boundary_of(path: str) -> Boundary | None:
    """The outermost group in a path that a form of the table names. *Range:* linear in the path. *Absent:* None without any."""
    found = _ANY.search(path)
    if found is None or found.lastgroup is None:
        return None
    form = FORMS[int(found.lastgroup.removeprefix("id"))]
    return Boundary(form, found.start(), found.end(), found[found.lastgroup])
