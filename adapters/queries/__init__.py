"""Queries with networks in them, from Parquet files to rows: one interface, a file an engine."""
