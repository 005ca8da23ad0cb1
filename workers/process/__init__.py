"""The processes of a host: following them from tick to tick, who they are, and the rows that they become."""
