"""agentd: what puts the daemon together, from the command line to the running supervisor loop."""
