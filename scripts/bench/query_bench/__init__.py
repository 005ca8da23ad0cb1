"""The benchmark of queries over a long history; `scripts/bench/query` runs it."""
