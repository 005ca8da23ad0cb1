"""The container runtime interface (CRI): names of pods where there is no NRI."""
