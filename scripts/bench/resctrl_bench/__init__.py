"""The benchmark of monitoring groups, cache occupancy and memory bandwidth: `scripts/bench/resctrl`."""
