"""Worker `workloads`: decides which programs run within limits, and tells the keeper."""
