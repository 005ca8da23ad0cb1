"""Points of series as requests of Prometheus remote write, in both versions of its protocol. PURE."""
