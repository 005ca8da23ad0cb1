"""Benchmark of supervision: evergauge beside other supervisors, the same child below all of them, in one run."""
