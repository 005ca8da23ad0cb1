"""What pods cost at their start, and how soon they are known: the parts of `scripts/bench/nri`."""
