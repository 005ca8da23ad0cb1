"""The Node Resource Interface (NRI): the control plane as a plugin of containerd and CRI-O."""
