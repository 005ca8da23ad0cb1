"""Where container runtimes have their sockets. PURE."""

# Sockets that speak CRI, each runtime's default place. `/var/run` is a link to `/run` wherever these runtimes run.
CRI_SOCKETS = (
    ("containerd", "/run/containerd/containerd.sock"),
    ("containerd (k3s)", "/run/k3s/containerd/containerd.sock"),
    ("containerd (k0s)", "/run/k0s/containerd.sock"),
    ("containerd (microk8s)", "/var/snap/microk8s/common/run/containerd.sock"),
    ("CRI-O", "/run/crio/crio.sock"),
    ("cri-dockerd", "/run/cri-dockerd.sock"),
)
# Docker's own socket does not speak CRI.
RUNTIME_SOCKETS = (*CRI_SOCKETS, ("docker", "/run/docker.sock"))
