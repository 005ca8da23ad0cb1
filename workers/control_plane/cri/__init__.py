"""Names of pods from the container runtime's CRI socket, for hosts on which NRI does not report them."""
