"""What a node sends to a hub."""
