"""How often `agentctl neighbours` is right, and what it costs."""
