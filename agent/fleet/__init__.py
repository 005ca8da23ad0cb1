"""What nodes and hubs say to each other, and the live state that they share. PURE, all of it.

`beat` has the beat of a node, `live` the rows of its live state, `update` how they travel, `message` everything else on the
connection, `invitation` how a node gets to know a hub.
"""
