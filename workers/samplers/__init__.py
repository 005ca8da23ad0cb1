"""One file here is one sampler, found by discovery."""
