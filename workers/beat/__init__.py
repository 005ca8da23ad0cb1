"""The beat of this node to its hubs. Nothing else runs in its process, so that nothing busy can make the node look dead."""
