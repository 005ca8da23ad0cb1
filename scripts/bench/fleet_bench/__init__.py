"""Benchmarks of a hub and its nodes."""
