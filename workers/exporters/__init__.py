"""The kinds of sinks: each module here has a `SINK`, and nothing else names it."""
