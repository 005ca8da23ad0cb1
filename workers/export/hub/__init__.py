"""The sink of kind `hub`: rows as they are stored, and those of minutes, to a hub of evergauge."""
