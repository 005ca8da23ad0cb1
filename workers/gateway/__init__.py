"""The HTTP face: /live, /ready, /metrics."""
