"""agentctl, the control program."""
