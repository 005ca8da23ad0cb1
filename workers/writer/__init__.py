"""From acknowledged batches to Parquet."""
