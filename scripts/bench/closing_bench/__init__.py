"""Do the stored rows add up to what the kernel counts? Every load, host and unit, against readers that are not the sampler's."""
