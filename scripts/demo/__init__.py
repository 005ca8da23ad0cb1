"""A fleet to look at: a hub and nodes with changing loads on this machine, which end with the program."""
