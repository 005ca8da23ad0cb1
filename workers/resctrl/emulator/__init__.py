"""A resctrl without the hardware: the kernel's rules in plain code, and a FUSE mount that serves them."""
