"""The rows of many nodes, made of the recorded minutes of one: as messages of topics, and as files of a landing prefix."""
