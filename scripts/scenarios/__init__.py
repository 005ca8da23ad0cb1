"""Scenarios: real loads, the real agent, failures, an independent baseline, and validators that judge the goals."""
