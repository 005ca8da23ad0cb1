"""Carries the core's decisions out: processes, sockets, files."""
