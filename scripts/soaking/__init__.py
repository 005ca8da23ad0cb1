"""The parts of scripts/soak: the agent that is soaked, what happens to it, what is measured, what follows from that."""
