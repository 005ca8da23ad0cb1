"""Where a container runtime of a test's own keeps everything, and how it is configured."""

from dataclasses import dataclass
from pathlib import Path

# Debian 13's and the first with configuration version 3.
VERSIONS = ("1.7", "2")
IMAGES = ("localhost/pause:1", "localhost/load:1")


@dataclass(frozen=True)
class Place:
    """The folders and sockets below one private folder."""

    folder: Path

    @property
    def config(self) -> Path:
        """The configuration file."""
        return self.folder / "config.toml"

    @property
    def socket(self) -> Path:
        """CRI and everything else of containerd."""
        return self.folder / "containerd.sock"

    @property
    def nri(self) -> Path:
        """Where plugins connect."""
        return self.folder / "nri.sock"

    @property
    def log(self) -> Path:
        """What containerd writes."""
        return self.folder / "containerd.log"

    @property
    def shared(self) -> Path:
        """What is mounted below here later is seen by containers that start later still."""
        return self.folder / "shared"

    @property
    def data(self) -> Path:
        """Images and the disks of containers."""
        return self.folder / "data"


def configuration(place: Place, version: str, *, has_nri: bool, systemd_cgroups: bool = False) -> str:
    """The text of config.toml: everything below `place`, nothing of the host's own."""
    disabled = str(not has_nri).lower()
    driver = str(systemd_cgroups).lower()
    head = f"""
root = "{place.data}/root"
state = "{place.data}/state"
[grpc]
address = "{place.socket}"
[ttrpc]
address = "{place.socket}.ttrpc"
[plugins."io.containerd.nri.v1.nri"]
disable = {disabled}
socket_path = "{place.nri}"
plugin_path = "{place.data}/nri-plugins"
plugin_config_path = "{place.data}/nri-configuration"
"""
    # restrict_oom_score_adj: without it runc fails where CAP_SYS_RESOURCE is missing.
    if version == "1.7":
        return f"""version = 2{head}
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{IMAGES[0]}"
restrict_oom_score_adj = true
disable_apparmor = true
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
SystemdCgroup = {driver}
"""
    return f"""version = 3{head}
[plugins."io.containerd.cri.v1.images".pinned_images]
sandbox = "{IMAGES[0]}"
[plugins."io.containerd.cri.v1.runtime"]
restrict_oom_score_adj = true
disable_apparmor = true
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
SystemdCgroup = {driver}
"""
