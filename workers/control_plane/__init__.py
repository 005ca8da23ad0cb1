"""Which pods and units exist on this host."""
