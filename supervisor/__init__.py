"""The supervisor: the only truth about workers and rules."""
