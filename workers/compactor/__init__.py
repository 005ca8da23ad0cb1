"""Makes few large files of the many small ones of a fleet's store."""
