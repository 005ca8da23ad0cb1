"""What travels through Kafka: topics, message headers and rows as columns, for the sink that writes them and for readers. PURE."""
