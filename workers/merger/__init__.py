"""The merger: takes what agents have put into Kafka, and commits rows, offsets and marks to the lake together."""
