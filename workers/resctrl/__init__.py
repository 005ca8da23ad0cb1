"""Cache occupancy and memory bandwidth by Linux resctrl: a library of its own, used by the control plane and a sampler."""
