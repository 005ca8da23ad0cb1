"""What units cost and suffer, from their cgroups: reading, rows, events."""
