"""The keeper: the parent of all workloads, a process of its own that outlives the agent."""
