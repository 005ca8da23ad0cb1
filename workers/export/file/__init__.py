"""The sink of kind `file`: lines of OTLP or copies of the rows in files that are rotated, each row once."""
