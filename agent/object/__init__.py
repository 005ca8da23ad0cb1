"""Object storage: how a place in it is named, opened, and what its refusals mean. Sinks and the lake share it."""
