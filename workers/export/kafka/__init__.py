"""Rows to topics of Kafka, each delivery in one transaction with a mark of what is there."""
