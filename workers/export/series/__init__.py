"""The Prometheus view of the stored rows, shared by /metrics and remote write: totals, values, beginnings, ends. PURE."""
