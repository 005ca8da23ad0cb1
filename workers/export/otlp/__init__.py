"""OTLP: the mapping of tables to metrics and log records, its protobuf and JSON, and what a receiver answers."""
