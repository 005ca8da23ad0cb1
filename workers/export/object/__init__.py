"""Sealed Parquet files to object storage or a folder."""
