"""The schema gate: what a release has declared can be added to, and nothing else."""
