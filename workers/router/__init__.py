"""The worker `router`: answers questions over all hosts by HTTP."""
