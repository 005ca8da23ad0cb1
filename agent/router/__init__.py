"""Answers questions over all hosts: which cells (host, minute) are read from sketches, which from raw rows, and how exact that
is."""
