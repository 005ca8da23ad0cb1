"""Where the agent's CPU time and memory go while it collects 100 busy units, by line of code."""
