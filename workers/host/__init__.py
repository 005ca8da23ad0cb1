"""What the host sampler knows: parsers of the kernel's files, differences of counters, and rows."""
