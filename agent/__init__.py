"""evergauge: the daemon `agentd`, the control program `agentctl` and what they share."""

__version__ = "0.1.0"
