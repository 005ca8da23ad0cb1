"""What the agent costs: memory and CPU of each of its processes, beside a psutil loop over the same processes."""
