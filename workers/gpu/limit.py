"""How much of GPUs is read and told at most; what a driver says beyond that is left out and counted. PURE."""

# The largest hosts sold have 16 GPUs, each of which can be cut into 7 slices.
DEVICES_MAX = 128
# MPS serves 48 clients of one GPU (NVIDIA, "Multi-Process Service", section on architectures since Volta).
PROCESSES_MAX = 1024
TEXT_CHARACTERS_MAX = 128
CGROUP_BYTES_MAX = 2048
# A device has some 600 bytes, a process some 400 with its cgroup.
ANSWER_BYTES_MAX = 1 << 20
