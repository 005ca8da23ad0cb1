"""Processes that ended: what they used after their last sample, and those that began and ended between two ticks."""
