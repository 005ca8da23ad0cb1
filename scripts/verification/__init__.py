"""Judges the goals G-1 to G-10, checks the runbook, reports the architecture: see scripts/verify and docs/verification.md."""
